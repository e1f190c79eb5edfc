"""Checks of delivery."""

import math
from typing import Any

import numpy as np
import pytest

from groundup.checking import assert_close, assert_refuses, assert_refuses_values
from groundup.stack.production.delivery import (
    FUNCTIONS,
    Cancelled,
    Decision,
    Finding,
    Result,
    evaluate,
    expand_matrix,
    judge_canary,
    lint,
    order_jobs,
    parse,
    run_workflow,
)

GITHUB = {"ref": "refs/heads/main", "event": {"commits": [{"message": "fix: x"}, {"message": "y"}]}}
NEEDS = {"lint": {"result": "success"}, "unit-test": {"result": "failure", "outputs": {"count": "3"}}}


def value(expression: str, **functions: Any) -> Any:
    """What an expression is, with a github and a needs context."""
    return evaluate(parse(expression), {"github": GITHUB, "needs": NEEDS}, FUNCTIONS | functions)


# --- expressions ----------------------------------------------------------------------------------------------------


def test_evaluate_gives_literals_and_contexts():
    """A literal is itself; a name is its context, and a path goes into it; what is not there is null."""
    assert [value("true"), value("null"), value("'it''s'")] == [True, None, "it's"]
    assert [value("0x10"), value("-2.5")] == [16, -2.5]
    assert value("github.ref") == value("github['ref']") == "refs/heads/main"
    assert value("needs.unit-test.outputs.count") == "3"
    assert value("github.event.commits[1].message") == "y"
    assert [value("github.nothing.at.all"), value("nobody"), value("github.event.commits[2]")] == [None, None, None]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'Main' == 'main'", True),
        ("'1.0' == 1", True),
        ("null == 0", True),
        ("'' == false", True),
        ("'x' == 0", False),
        ("'x' != 'y'", True),
        ("github.event == github.event", True),
        ("2 < 10 && '2' < '10'", False),
        ("3 >= 3 && 3 <= 3 && 2 > 1", True),
        ("'x' < 1 || 'x' >= 1", False),
        ("!github.nothing", True),
        ("!'false'", False),
    ],
)
def test_evaluate_compares_loosely(expression, expected):
    """Texts are compared without their case; values of different kinds as numbers, of which NaN equals nothing."""
    assert value(expression) is expected


def test_evaluate_gives_an_operand_of_and_and_or():
    """`&&` and `||` give the operand that decides, not a truth value; an empty text, 0 and null are falsy."""
    assert value("github.ref == 'refs/heads/main' && 'live' || 'test'") == "live"
    assert value("github.ref == 'v1' && 'live' || 'test'") == "test"
    assert [value("'' || 0"), value("0 && 1"), value("'a' && ''"), value("null && 1")] == [0, 0, "", None]
    assert value("fromJSON('[]') || 'x'") == [], "an empty list is truthy"
    assert [value("'a' || 'b'"), value("'a' && 'b'"), value("'' || 'b'")] == ["a", "b", "b"]


def test_evaluate_leaves_the_right_side_alone_where_the_left_decides():
    """The right operand is not evaluated if the left one decides: a call there is not made."""
    calls: list[str] = []

    def boom() -> bool:
        calls.append("boom")
        return True

    assert value("false && boom()", boom=boom) is False
    assert value("true || boom()", boom=boom) is True
    assert calls == []
    assert value("true && boom()", boom=boom) is value("false || boom()", boom=boom) is True
    assert calls == ["boom", "boom"]


def test_evaluate_calls_functions():
    """Functions get evaluated arguments, and their names ignore case; a star goes over all members."""
    assert value("contains(needs.*.result, 'failure')") is True
    assert value("Contains(needs.*.result, 'skipped')") is False
    assert value("startsWith(github.ref, 'REFS/') && endsWith(github.ref, format('/{0}', 'main'))") is True
    assert value("join(github.event.commits.*.message, ' + ')") == "fix: x + y"
    assert value("fromJSON('[1, 2]')[1]") == 2
    assert value("add(1, add(2, 3))", add=lambda a, b: a + b) == 6


def test_evaluate_refuses_functions_that_are_not_there():
    """A function that nobody gave is refused by its name: an expression cannot reach into Python."""
    assert_refuses(lambda: value("__import__('os')"), "functions", "__import__")
    assert_refuses(lambda: value("true && exit(1)"), "functions", "exit")


# --- the order of jobs ----------------------------------------------------------------------------------------------


def test_order_jobs_by_hand():
    """Jobs that need nothing come first; each other as soon as its needs are done, in the order of the file."""
    jobs = {
        "release": {"needs": ["build", "docs"]},
        "docs": {"needs": "lint"},
        "build": {"needs": ["test"]},
        "test": {"needs": ["lint"]},
        "lint": {},
        "spell": {},
    }
    assert order_jobs(jobs) == [["lint", "spell"], ["docs", "test"], ["build"], ["release"]]
    assert order_jobs({}) == []


def test_order_jobs_puts_each_job_right_after_the_last_of_its_needs(rng):
    """A job's wave is one more than the latest wave of its needs."""
    names = [str(number) for number in range(30)]
    jobs: dict[str, Any] = {
        name: {"needs": [other for other in names[:place] if rng.random() < 0.1]} for place, name in enumerate(names)
    }
    waves = order_jobs({name: jobs[name] for name in rng.permutation(names)})
    when = {name: number for number, wave in enumerate(waves) for name in wave}
    assert sorted(when) == sorted(names)
    assert all(when[name] == max((when[need] + 1 for need in jobs[name]["needs"]), default=0) for name in names)


def test_order_jobs_names_the_circle():
    """A circle is named by its jobs, and by no job outside of it; a job may not need itself."""
    jobs = {"a": {}, "late": {"needs": "beta"}, "beta": {"needs": ["a", "gamma"]}, "gamma": {"needs": "beta"}}
    assert_refuses(lambda: order_jobs(jobs), "needs", "beta", "gamma")
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (what is named is looked at below, in any words)
        order_jobs(jobs)
    assert "late" not in str(refusal.value), "late is behind the circle, not in it"
    assert_refuses(lambda: order_jobs({"self": {"needs": ["self"]}}), "needs", "self")


def test_order_jobs_refuses_needs_that_are_no_job():
    """A need that is no job is refused by its name."""
    assert_refuses(lambda: order_jobs({"a": {}, "b": {"needs": ["a", "biuld"]}}), "needs", "biuld")


# --- the matrix -----------------------------------------------------------------------------------------------------


def test_expand_matrix_combines_the_axes():
    """Every combination, the first axis varying slowest."""
    legs = expand_matrix({"os": ["linux", "mac"], "python": [3.11, 3.12]})
    assert [tuple(leg.items()) for leg in legs] == [
        (("os", "linux"), ("python", 3.11)),
        (("os", "linux"), ("python", 3.12)),
        (("os", "mac"), ("python", 3.11)),
        (("os", "mac"), ("python", 3.12)),
    ]
    assert expand_matrix({"shard": [1]}) == [{"shard": 1}]


def test_expand_matrix_excludes_by_part():
    """A combination goes if it has all the pairs of an entry; other combinations stay."""
    axes: dict[str, Any] = {"os": ["linux", "mac"], "n": [1, 2]}
    every = [{"os": "linux", "n": 1}, {"os": "linux", "n": 2}, {"os": "mac", "n": 1}, {"os": "mac", "n": 2}]
    assert expand_matrix({**axes, "exclude": [{"os": "mac", "n": 1}, {"os": "sun"}]}) == [*every[:2], every[3]]
    assert expand_matrix({**axes, "exclude": [{"os": "mac"}]}) == every[:2]
    assert expand_matrix({**axes, "exclude": [{"os": "mac", "arch": "arm"}]}) == every, "there is no arch"


def test_expand_matrix_includes_as_github_documents():
    """The example of GitHub's documentation: what extends, what overwrites, what is a leg of its own."""
    matrix = {
        "fruit": ["apple", "pear"],
        "animal": ["cat", "dog"],
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }
    assert expand_matrix(matrix) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_expand_matrix_includes_after_it_excluded():
    """Entries of include come last, so they bring back what was excluded; without an axis each is a leg."""
    matrix = {"os": ["linux", "mac"], "exclude": [{"os": "mac"}], "include": [{"os": "mac", "slow": True}]}
    assert expand_matrix(matrix) == [{"os": "linux"}, {"os": "mac", "slow": True}]
    assert expand_matrix({"os": ["a"], "include": [{"os": "a"}]}) == [{"os": "a"}], "it is there already"
    assert expand_matrix({"include": [{"a": 1}, {"b": 2}]}) == [{"a": 1}, {"b": 2}]
    assert expand_matrix({"os": ["linux"], "exclude": [{"os": "linux"}], "include": [{"x": 1}]}) == [{"x": 1}]


def test_expand_matrix_leaves_the_file_as_it_is():
    """Neither axes nor entries are changed, and legs are apart from each other and from the file."""
    matrix: dict[str, Any] = {"os": ["a", "b"], "include": [{"os": "c"}, {"n": 1}]}
    legs = expand_matrix(matrix)
    for leg in legs:
        leg["mine"] = True
    assert matrix == {"os": ["a", "b"], "include": [{"os": "c"}, {"n": 1}]}
    assert len({id(leg) for leg in legs}) == 3


def test_expand_matrix_refuses():
    """An axis that is no list, or an empty one, is refused by its name."""
    assert_refuses(lambda: expand_matrix({"os": "linux"}), "matrix", "linux")
    assert_refuses(lambda: expand_matrix({"ok": [1], "os": []}), "matrix", "os")


# --- the linter -----------------------------------------------------------------------------------------------------

COMMIT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"


def test_lint_finds_nothing_in_a_careful_workflow():
    """Pinned actions, permissions, needs that are there, and strangers' texts by way of `env`: no finding."""
    steps: list[Any] = [{"uses": COMMIT}, {"uses": "./.github/actions/own"}, {"run": 'echo "$TITLE ${{ github.sha }}"'}]
    steps[2]["env"] = {"TITLE": "${{ github.event.issue.title }}"}
    jobs = {"test": {"steps": steps}, "build": {"needs": "test", "steps": []}, "empty": {}}
    assert lint({"permissions": {"contents": "read"}, "jobs": jobs}) == []


def test_lint_names_rule_place_and_value():
    """Job by job in the order of the file: needs, permissions, then each step's action and script."""
    inject = "echo ${{ github.event.pull_request.title }} ${{ github.head_ref || github.ref }}"
    steps = [{"uses": "actions/checkout@v4"}, {"run": "make"}, {"run": inject}, {"uses": "docker://alpine:3"}]
    jobs = {
        "late": {"needs": ["tset", "build"], "steps": steps},
        "build": {"permissions": {}, "steps": [{"uses": COMMIT}]},
    }
    findings = lint({"jobs": jobs})
    assert findings == [
        Finding("unknown-need", "late", "tset"),
        Finding("missing-permissions", "late"),
        Finding("unpinned-action", "late.steps[0]", "actions/checkout@v4"),
        Finding("script-injection", "late.steps[2]", "github.event.pull_request.title"),
        Finding("script-injection", "late.steps[2]", "github.head_ref"),
        Finding("unpinned-action", "late.steps[3]", "docker://alpine:3"),
    ]
    assert all(isinstance(finding, Finding) for finding in findings)


def test_lint_asks_each_job_for_permissions():
    """Permissions of one job do not speak for another; those of the workflow speak for all, also if they are empty."""
    jobs = {"a": {"permissions": {}}, "b": {}, "c": {"needs": "b"}}
    assert lint({"jobs": jobs}) == [Finding("missing-permissions", "b"), Finding("missing-permissions", "c")]
    assert lint({"permissions": {}, "jobs": jobs}) == []


# --- running --------------------------------------------------------------------------------------------------------


def run(jobs: dict[str, Any], contexts: Any = None, **work: Any) -> dict[str, str]:
    """How each job ends; work that is not given succeeds, and `fail` fails."""
    work = {name: work.get(name, lambda here: None) for name in jobs}
    results = run_workflow({"jobs": jobs}, work, contexts)
    assert all(isinstance(result, Result) for result in results.values()), "a Result for each job"
    return {name: result.state for name, result in results.items()}


def fail(here: Any) -> None:
    raise RuntimeError("broken")


def cancel(here: Any) -> None:
    raise Cancelled


CHAIN = {"lint": {}, "test": {"needs": "lint"}, "build": {"needs": ["test"]}, "docs": {}}


def test_run_workflow_skips_what_needs_a_failure():
    """All succeed; or a job fails, all that needs it, near or far, is skipped, and the others run."""
    assert run(CHAIN) == dict.fromkeys(["lint", "docs", "test", "build"], "success")
    assert run(CHAIN, lint=fail) == {"lint": "failure", "docs": "success", "test": "skipped", "build": "skipped"}
    assert list(run(CHAIN)) == ["lint", "docs", "test", "build"], "in the order of the waves"


def test_run_workflow_keeps_to_conditions():
    """An `if` is asked with its contexts, and for success as well, unless it calls a status function."""
    jobs = {
        "test": {},
        "live": {"needs": "test", "if": "github.ref == 'main'"},
        "tidy": {"needs": "test", "if": "always()"},
        "mend": {"needs": "test", "if": "${{ failure() }}"},
        "both": {"needs": "test", "if": "!cancelled() && github.ref == 'main'"},
        "plain": {"if": False},
    }
    main, branch = {"github": {"ref": "main"}}, {"github": {"ref": "x"}}
    skipped = {"mend": "skipped", "plain": "skipped"}
    assert run(jobs, main) == {"test": "success", "live": "success", "tidy": "success", "both": "success", **skipped}
    assert run(jobs, branch)["live"] == run(jobs, branch)["both"] == "skipped"
    expected = {"test": "failure", "live": "skipped", "tidy": "success", "mend": "success", "both": "success"}
    assert run(jobs, main, test=fail) == {**expected, "plain": "skipped"}


def test_run_workflow_asks_all_ancestors():
    """A skipped or failed ancestor keeps success() from holding, also behind a job that ran in spite of it."""
    jobs: dict[str, Any] = {
        "off": {"if": "false"},
        "between": {"needs": "off", "if": "always()"},
        "after": {"needs": "between"},
        "told": {"needs": "between", "if": "failure()"},
    }
    assert run(jobs) == {"off": "skipped", "between": "success", "after": "skipped", "told": "skipped"}
    failed = run({**jobs, "off": {}}, off=fail)
    assert failed == {"off": "failure", "between": "success", "after": "skipped", "told": "success"}


def test_run_workflow_hands_on_results_and_outputs():
    """A job sees the state and the outputs of its needs, and of no other job; the contexts are left alone."""
    seen: dict[str, Any] = {}
    jobs = {
        "a": {},
        "b": {},
        "c": {"needs": ["a", "b"], "if": "always() && needs.a.outputs.tag == 'v1'"},
        "d": {"needs": "c"},
    }
    contexts: dict[str, Any] = {"github": {"ref": "x"}}
    work = {"a": lambda here: {"tag": "v1"}, "b": fail, "c": seen.update, "d": seen.update}
    results = run_workflow({"jobs": jobs}, work, contexts)
    assert results["a"] == Result("success", {"tag": "v1"}, ("success",))
    assert results["b"] == Result("failure", {}, ("failure",))
    assert results["d"] == Result("skipped", {}, ())
    needs = {"a": {"result": "success", "outputs": {"tag": "v1"}}, "b": {"result": "failure", "outputs": {}}}
    assert seen == {"github": {"ref": "x"}, "needs": needs, "matrix": {}}
    assert contexts == {"github": {"ref": "x"}}


@pytest.mark.parametrize(
    ("strategy", "states"),
    [
        ({}, ("success", "failure", "cancelled")),
        ({"fail-fast": True}, ("success", "failure", "cancelled")),
        ({"fail-fast": False}, ("success", "failure", "success")),
    ],
)
def test_run_workflow_runs_each_leg(strategy, states):
    """A matrix is rendered and run leg by leg; by default the first failure cancels the later legs of the job."""
    jobs: dict[str, Any] = {
        "list": {},
        "test": {
            "needs": "list",
            "strategy": {"matrix": {"n": "${{ fromJSON(needs.list.outputs.names) }}"}, **strategy},
        },
        "next": {"needs": "test"},
    }

    def test(here):
        if here["matrix"]["n"] == 2:
            raise AssertionError
        return {"n": here["matrix"]["n"], f"leg{here['matrix']['n']}": "ran"}

    work = {"list": lambda here: {"names": "[1, 2, 3]"}, "test": test, "next": fail}
    results = run_workflow({"jobs": jobs}, work)
    last = 3 if states[2] == "success" else 1
    assert results["test"].legs == states
    assert results["test"].state == "failure"
    assert results["test"].outputs == {"n": last, "leg1": "ran", **({"leg3": "ran"} if last == 3 else {})}
    assert results["next"].state == "skipped"


def test_run_workflow_cancels():
    """A cancelled leg cancels the later ones and the run: what is left is cancelled, unless it asks for that."""
    jobs: dict[str, Any] = {
        "test": {"strategy": {"matrix": {"n": [1, 2]}, "fail-fast": False}},
        "build": {"needs": "test"},
        "mend": {"needs": "test", "if": "failure()"},
        "free": {"needs": "build", "if": "success() || failure()"},
        "tidy": {"needs": "test", "if": "always()", "strategy": {"matrix": {"n": [1, 2]}}},
        "tell": {"needs": "test", "if": "cancelled()"},
    }
    work = dict.fromkeys(jobs, lambda here: None)
    results = run_workflow(
        {"jobs": jobs}, {**work, "test": lambda here: cancel(here) if here["matrix"]["n"] == 1 else None}
    )
    assert results["test"].legs == ("cancelled", "cancelled")
    assert results["tidy"].legs == ("success", "success")
    states = {name: result.state for name, result in results.items()}
    kept = {"tidy": "success", "tell": "success"}
    assert states == {"test": "cancelled", "build": "cancelled", "mend": "cancelled", "free": "cancelled", **kept}
    assert run({"a": {}, "b": {}}, a=cancel) == {"a": "cancelled", "b": "cancelled"}, "b needs nothing"
    calm = run_workflow({"jobs": {"a": {}, "b": {"needs": "a", "if": "cancelled()"}}}, {"a": fail, "b": fail})
    assert calm["b"].state == "skipped", "a failure cancels no run"


def test_run_workflow_fails_where_a_leg_failed_and_one_is_cancelled():
    """A failed leg weighs more than a cancelled one; after a failure with a cancel, ancestors have still failed."""
    jobs: dict[str, Any] = {
        "test": {"strategy": {"matrix": {"n": [1, 2]}, "fail-fast": False}},
        "mend": {"needs": "test", "if": "failure()"},
        "tidy": {"needs": "test", "if": "always() && needs.test.result == 'failure'"},
    }
    work = {"test": lambda here: fail(here) if here["matrix"]["n"] == 1 else cancel(here), "mend": fail, "tidy": fail}
    states = {name: result.state for name, result in run_workflow({"jobs": jobs}, work).items()}
    assert states == {"test": "failure", "mend": "cancelled", "tidy": "failure"}


# --- the canary -----------------------------------------------------------------------------------------------------


def test_judge_canary_by_hand():
    """A tenth of the traffic, twice as bad: 2/11 of the failures would be the canary's. Here two are."""
    decision = judge_canary([True, False, True], share=0.1, worse=2, alpha=0.01, beta=0.05)
    assert isinstance(decision, Decision)
    assert decision[:2] == ("continue", 3)
    assert_close(decision.evidence, 2 * math.log(20 / 11) + math.log(10 / 11))
    assert judge_canary([], 0.1) == Decision("continue", 0, 0.0)


def test_judge_canary_stops_at_the_bounds():
    """It stops at the first failure that reaches a bound, and looks at none after it."""
    up, down = math.log(20 / 11), math.log(10 / 11)
    high, low = math.log(0.95 / 0.01), math.log(0.05 / 0.99)
    worst = judge_canary([True] * 50, 0.1)
    assert worst[:2] == ("rollback", math.ceil(high / up))
    best = judge_canary(iter([False] * 500), 0.1)
    assert best[:2] == ("promote", math.ceil(low / down))
    assert_close([worst.evidence, best.evidence], [worst.failures * up, best.failures * down])
    stream = iter([True] * 50)
    judge_canary(stream, 0.1)
    assert len(list(stream)) == 50 - worst.failures


def test_judge_canary_reaches_a_bound_when_equal():
    """A bound that is just reached decides: ln(0.5 / 0.25) reaches ln(0.5 / 0.25), and ln(0.25 / 0.5) as well."""
    assert judge_canary([True], 0.25, worse=3, alpha=0.25, beta=0.5).verdict == "rollback", "1/2 instead of 1/4"
    assert judge_canary([True], 0.25, worse=2.9, alpha=0.25, beta=0.5).verdict == "continue"
    assert judge_canary([False], 0.5, worse=3, alpha=0.5, beta=0.25).verdict == "promote", "1/4 instead of 1/2"
    assert judge_canary([False], 0.5, worse=2.9, alpha=0.5, beta=0.25).verdict == "continue"


def test_judge_canary_by_default():
    """By default it looks for twice as bad, with 1 in 100 false rollbacks and 1 in 20 missed ones."""
    for failures in ([True] * 9, [False] * 40):
        assert judge_canary(failures, 0.1) == judge_canary(failures, 0.1, worse=2.0, alpha=0.01, beta=0.05)
    assert judge_canary([True] * 7, 0.1).verdict == "continue"
    assert judge_canary([True] * 8, 0.1).verdict == "rollback"


def test_judge_canary_keeps_its_promise(rng):
    """Of canaries that are as good, at most about alpha are rolled back; of those twice as bad, most are."""
    alarms, caught = (
        np.mean([judge_canary(rng.random(400) < chance, 0.2, 2, 0.05, 0.1).verdict == "rollback" for _ in range(400)])
        for chance in (0.2, 1 / 3)
    )
    assert alarms <= 0.085
    assert caught >= 0.85


def test_judge_canary_refuses():
    """Settings out of their ranges are refused by name."""
    assert_refuses_values(lambda value: judge_canary([], value), "share", 0.0, 1.0, math.nan)
    assert_refuses_values(lambda value: judge_canary([], 0.1, worse=value), "worse", 1.0, 0.5, math.inf)
    assert_refuses_values(lambda value: judge_canary([], 0.1, alpha=value), "alpha", 0.0, 1.0)
    assert_refuses_values(lambda value: judge_canary([], 0.1, beta=value), "beta", 0.0, 0.99)
