"""`production/delivery`: zizmor on the same workflows, this project's own workflows, and what checks leave out."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from groundup.stack.production.delivery import (
    FUNCTIONS,
    Cancelled,
    Deployment,
    ancestors,
    evaluate,
    expand_matrix,
    judge_canary,
    lint,
    next_version,
    order_jobs,
    parse,
    pinned,
    read_workflow,
    references,
    render,
    run_workflow,
    should_run,
    truthy,
    untrusted,
)

OWN = Path(__file__).parents[2] / ".github" / "workflows"
COMMIT = "0b93645e9fea7318ecaed2b359559ac225c90a2b"
FAULTY = f"""
on: [issues, pull_request]
jobs:
  greet:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo "Thanks for ${{{{ github.event.issue.title }}}}"
      - run: echo "${{{{ github.head_ref }}}} ${{{{ github.sha }}}}"
      - uses: actions/setup-python@{COMMIT}
      - uses: ./.github/actions/own
      - uses: someone/action/deep@main
  other:
    permissions: {{}}
    runs-on: ubuntu-latest
    steps:
      - run: echo "$TITLE"
        env:
          TITLE: ${{{{ github.event.issue.title }}}}
      - run: |
          echo one
          echo ${{{{ format('{{0}}', github.event.pull_request.head.ref) }}}}
"""
RULES = {
    "unpinned-uses": "unpinned-action",
    "template-injection": "script-injection",
    "excessive-permissions": "missing-permissions",
}


def zizmor(path):
    """What zizmor finds by the rules that we share, as (rule, place)."""
    program = shutil.which("zizmor", path=str(Path(sys.executable).parent)) or shutil.which("zizmor")
    if program is None:
        pytest.skip("zizmor is not installed")
    command = [program, "--offline", "--no-progress", "--format", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = set()
    for finding in json.loads(done.stdout):
        primary = next(place for place in finding["locations"] if place["symbolic"]["kind"] == "Primary")
        route = [step.get("Key", step.get("Index")) for step in primary["symbolic"]["route"]["route"]]
        if finding["ident"] in RULES and route:
            place = f"{route[1]}.steps[{route[3]}]" if len(route) > 3 else route[1]
            found.add((RULES[finding["ident"]], place))
    return found


def ours(text):
    return {finding[:2] for finding in lint(read_workflow(text))}


def test_faults_are_those_that_zizmor_finds(tmp_path):
    path = tmp_path / "faulty.yml"
    path.write_text(FAULTY)
    found = ours(FAULTY)
    assert len(found) == 6
    assert found == zizmor(path)


@pytest.mark.parametrize("name", ["ci.yml", "proofs.yml"])
def test_this_projects_workflows_are_read_as_zizmor_reads_them(name, tmp_path):
    if not (OWN / name).exists():
        pytest.skip("the workflows are not in this checkout")
    text = (OWN / name).read_text()
    assert ours(text) == zizmor(OWN / name) == set(), "every action is pinned to a commit"
    tags = re.sub(r"@[0-9a-f]{40} # (v\d+)\.\S+", r"@\1", text)
    by_tag = tmp_path / name
    by_tag.write_text(tags)
    assert ours(tags) == zizmor(by_tag)
    assert {rule for rule, _ in ours(tags)} == {"unpinned-action"}


def test_this_projects_workflows_are_planned_and_run():
    if not OWN.exists():
        pytest.skip("the workflows are not in this checkout")
    ci, proofs = (read_workflow((OWN / name).read_text()) for name in ("ci.yml", "proofs.yml"))
    assert "pull_request" in ci["on"], "`on` is a text"
    assert order_jobs(ci["jobs"]) == [["linux", "others"]]
    assert expand_matrix(ci["jobs"]["others"]["strategy"]["matrix"]) == [
        {"os": "macos-latest"},
        {"os": "windows-latest"},
    ]
    assert order_jobs(proofs["jobs"]) == [["phases"], ["prove"]]
    seen: list[str] = []
    work = {
        "phases": lambda here: {"names": '["bedrock", "classical"]'},
        "prove": lambda here: seen.append(here["matrix"]["phase"]),
    }
    assert run_workflow(proofs, work)["prove"].legs == ("success", "success")
    assert seen == ["bedrock", "classical"]
    env = render(ci["jobs"]["linux"]["steps"][2]["env"], {"github": {"event": {}}})
    assert env == {"GROUNDUP_SINCE": "HEAD^"}


def test_truth_values_are_those_of_yaml_1_2():
    text = "on: push\njobs:\n  a:\n    x: [on, off, yes, no, true, False, 'true', 3.10]\n"
    workflow = read_workflow(text)
    assert list(workflow) == ["on", "jobs"]
    assert workflow["jobs"]["a"]["x"] == ["on", "off", "yes", "no", True, False, "true", 3.1]
    for text in ("", "jobs: []", "on: push", "- a"):
        with pytest.raises(ValueError, match="text must be a mapping with jobs, got"):
            read_workflow(text)


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        (
            "a || b && c == d < e",
            ("||", ("name", "a"), ("&&", ("name", "b"), ("==", ("name", "c"), ("<", ("name", "d"), ("name", "e"))))),
        ),
        ("a && b && c", ("&&", ("&&", ("name", "a"), ("name", "b")), ("name", "c"))),
        ("!a == b", ("==", ("!", ("name", "a")), ("name", "b"))),
        ("(a || b) && c", ("&&", ("||", ("name", "a"), ("name", "b")), ("name", "c"))),
        (
            "a.b['c'].*.d-e",
            (
                "index",
                ("each", ("index", ("index", ("name", "a"), ("literal", "b")), ("literal", "c"))),
                ("literal", "d-e"),
            ),
        ),
        ("f()[0]", ("index", ("call", "f", ()), ("literal", 0.0))),
        ("f(a, 'b')", ("call", "f", (("name", "a"), ("literal", "b")))),
        ("'||' == '('", ("==", ("literal", "||"), ("literal", "("))),
    ],
)
def test_expressions_are_parsed_by_precedence(expression, tree):
    assert parse(expression) == tree


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "a ==",
        "a b",
        "(a",
        "a)",
        "a.",
        "a.'b'",
        "f(a",
        "f(a b)",
        "a[",
        "a[]",
        '"a"',
        "a = b",
        "a ? b",
        "1 2",
        "&& a",
        "a.1",
    ],
)
def test_what_is_no_expression_is_refused(expression):
    with pytest.raises(ValueError, match="expression must "):
        parse(expression)


def test_what_github_takes_for_true():
    assert [value for value in (None, False, 0, 0.0, "", float("nan")) if truthy(value)] == []
    assert all(truthy(value) for value in (True, 1, -0.5, "false", [], {}))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("' 0xff ' == 255", True),
        ("'a' < 'B'", True),
        ("true > false", True),
        ("null == ''", True),
        ("list == list", True),
        ("list == fromJSON('[1]')", False),
        ("list == 1", False),
        ("contains('Hello', 'ELL') && contains(list, 1) && !contains(list, '2')", True),
        ("contains(null, '')", True),
        ("format('{{{0}}} {1} {2}', true, null, 1.5)", "{true}  1.5"),
        ("join(list)", "1"),
        ("join('x', '-')", "x"),
        ("toJSON(list)", "[\n  1\n]"),
        ("list.*.a", []),
        ("list[0.5]", None),
        ("list['0']", 1),
        ("nothing.*", []),
    ],
)
def test_functions_and_comparisons(expression, expected):
    assert evaluate(parse(expression), {"list": [1]}, FUNCTIONS) == expected


def test_a_text_is_rendered_and_a_lone_expression_keeps_its_kind():
    contexts = {"a": {"n": 2.0, "list": [1, 2], "no": None}}
    value = {"x": ["${{ a.list }}", " ${{ a.n }} ", "n = ${{ a.n }}, ${{ a.no }}${{ '}}' }}"], "y": 3}
    assert render(value, contexts) == {"x": [[1, 2], 2.0, "n = 2, }}"], "y": 3}
    assert render("plain", contexts) == "plain"


def test_a_condition_without_a_status_asks_for_success():
    status = {"success": False, "failure": True, "cancelled": False, "always": True}
    asked = {
        condition: should_run(condition, {"x": 1}, status)
        for condition in ("x", "!x", "ALWAYS() && x", "${{ failure() }}")
    }
    assert asked == {"x": False, "!x": False, "ALWAYS() && x": True, "${{ failure() }}": True}
    assert should_run(None, {}, status) is False
    assert should_run(None, {}, {**status, "success": True}) is True
    assert should_run(True, {}, {**status, "success": True}) is True


def test_references_and_what_strangers_write():
    text = (
        "${{ github.event.commits[0].message }} ${{ a[b.c] || f(d.*.e).g }} ${{ 'github.event.body' }} github.event.x"
    )
    assert references(text) == ["github.event.commits.0.message", "a.*", "b.c", "d.*.e"]
    strange = ["github.event.commits.0.message", "GitHub.Event.Issue.Title", "github.head_ref", "github.event.*.body"]
    assert all(map(untrusted, strange))
    safe = ["github.ref", "github.event.number", "env.title", "github", "title", "github.event.pull_request.base.sha"]
    assert not any(map(untrusted, safe))


def test_pinned():
    assert pinned(f"a/b@{COMMIT}")
    assert pinned("./own")
    assert pinned(f"docker://a@sha256:{'0' * 64}")
    assert not any(map(pinned, ["a/b@v1", f"a/b@{COMMIT[:7]}", "a/b", f"docker://a@{COMMIT}", "docker://a:3"]))


def test_ancestors_are_told_once():
    jobs: dict[str, Any] = {"a": {}, "b": {"needs": "a"}, "c": {"needs": ["a"]}, "d": {"needs": ["b", "c"]}}
    assert ancestors(jobs, "d") == ["b", "c", "a"]
    assert jobs["d"]["needs"] == ["b", "c"]
    assert issubclass(Cancelled, Exception)


@pytest.mark.parametrize(
    ("messages", "version"),
    [
        ([], "1.4.2"),
        (["docs: x", "merge y", "fix : no", "fix:no"], "1.4.2"),
        (["fix: x", "docs: y"], "1.4.3"),
        (["fix: x", "feat(api): y", "fix: z"], "1.5.0"),
        (["Feat: x"], "1.5.0"),
        (["refactor!: x"], "2.0.0"),
        (["fix(a)!: x", "feat: y"], "2.0.0"),
        (["fix: x\n\nbody\n\nBREAKING CHANGE: y"], "2.0.0"),
        (["fix: x\n\nBREAKING-CHANGE: y"], "2.0.0"),
        (["fix: x\n\nno BREAKING CHANGE: y"], "1.4.3"),
    ],
)
def test_versions_follow_commits(messages, version):
    assert next_version("1.4.2", messages) == version


def test_a_version_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"version must be three numbers, such as 1\.4\.2, got 'v1\.4'"):
        next_version("v1.4", [])


def test_a_deployment_done_twice_is_done_once():
    site = Deployment("1", b"one")
    digest = site.publish("2", b"two")
    for _ in range(2):
        assert site.publish("2", b"two") == digest
        assert [decision.verdict for decision in site.roll_out("2", lambda share: [], stages=(0.1,))] in (
            ["continue"],
            [],
        )
    assert site.actions == ["publish 1", "publish 2", "2 to 10%", "2 to 100%"]
    assert (site.stable, site.canary, site.share) == ("2", "", 0.0)
    with pytest.raises(ValueError, match="version must be new for new content, got '2' again"):
        site.publish("2", b"other")
    with pytest.raises(ValueError, match="version must be published first, got '3'"):
        site.shift("3", 0.5)


def test_a_bad_canary_is_taken_back_and_the_stable_one_stays():
    site = Deployment("1", b"one")
    site.publish("2", b"two")
    served: list[float] = []

    def observe(share):
        served.append(share)
        return [share > 0.2] * 30

    decisions = site.roll_out("2", observe, stages=(0.1, 0.3, 0.6), alpha=0.05)
    assert [decision.verdict for decision in decisions] == ["continue", "rollback"]
    assert decisions[1] == judge_canary([True] * 30, 0.3, alpha=0.05)
    assert served == [0.1, 0.3]
    assert (site.stable, site.canary, site.share) == ("1", "", 0.0)
    site.shift("1", 0.5)
    assert (site.stable, site.canary) == ("1", ""), "the stable version is no canary"


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (
            lambda: order_jobs({"a": {"needs": "b"}, "b": {"needs": "a"}}),
            "needs must not lead in a circle, got a → b → a",
        ),
        (lambda: order_jobs({"a": {"needs": "x"}}), "needs must name jobs of the workflow, got 'x' of 'a'"),
        (lambda: expand_matrix({"os": "x"}), "matrix must have a list of values for 'os', got 'x'"),
        (lambda: evaluate(parse("f()"), {}, {"g": print}), "functions must be among g, got 'f'"),
        (lambda: judge_canary([], 1.5), "share must be between 0 and 1, got 1.5"),
        (lambda: judge_canary([], 0.5, beta=0.99), "beta must be between 0 and 0.99, got 0.99"),
        (lambda: judge_canary([], 0.5, worse=1), "worse must be above 1, got 1. It is how many times"),
    ],
)
def test_a_refusal_says_what_is_wrong(call, named):
    with pytest.raises(ValueError, match=named):
        call()
