"""Delivery: a workflow in the syntax of GitHub Actions is read, checked, planned and run; a release goes out slowly.

    workflow = read_workflow(text)
    lint(workflow)                                   # unpinned actions, injected scripts, permissions, unknown needs
    order_jobs(workflow["jobs"])                     # [["lint"], ["test"], ["build", "docs"]], or the circle by name
    results = run_workflow(workflow, {"lint": check_style, "test": run_tests, ...}, {"github": event})
    judge_canary(failures, share=0.1)                # rollback, promote, or continue

Jobs are functions of Python: nothing is sent anywhere. Not covered: reusable workflows, job-level `continue-on-error`,
services, concurrency, steps run one by one, and several files that start each other.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import yaml

Tree = tuple[Any, ...]
Job = Mapping[str, Any]
State = Literal["success", "failure", "cancelled", "skipped"]


def read_workflow(text: str) -> dict[str, Any]:
    """Read a workflow file: YAML 1.2's truth values only, so that the key `on` stays a text.

    Raises:
        ValueError: no mapping with jobs.
    """
    workflow = yaml.load(text, _Loader)
    if not isinstance(workflow, dict) or not isinstance(workflow.get("jobs"), dict):
        raise ValueError(f"text must be a mapping with jobs, got {text!r:.40}. Is it a workflow?")
    return workflow


# --- expressions ----------------------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:0x[0-9a-fA-F]+|\d+\.?\d*(?:[eE][-+]?\d+)?))|(?P<text>'(?:[^']|'')*')
    |(?P<name>[A-Za-z_][\w-]*)|(?P<sign>&&|\|\||[=!<>]=|[!<>()\[\].,*]))""",
    re.VERBOSE,
)
BINDING = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4}
LITERALS = {"null": None, "true": True, "false": False}


def parse(expression: str) -> Tree:
    """Parse an expression, without `${{ }}`, into a tree.

    A tree is ("literal", value), ("name", context), ("call", function, arguments), ("index", tree, tree) for both
    `a.b` and `a['b']`, ("each", tree) for `a.*`, ("!", tree), or (operator, tree, tree). && binds tighter than ||,
    equality tighter than both, < and its kin tightest.

    Raises:
        ValueError: what is no expression.
    """
    tokens, place = [], 0
    while expression[place:].strip():
        token = TOKEN.match(expression, place)
        if token is None:
            raise ValueError(f"expression must be one, got {expression[place:]!r:.20} in {expression!r}.")
        tokens.append((str(token.lastgroup), token[str(token.lastgroup)]))
        place = token.end()
    parser = _Parser(expression, [*tokens, ("end", "")])
    tree = parser.operators(0)
    parser.take("")
    return tree


def evaluate(tree: Tree, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    """Evaluate a tree as GitHub does, without Python's `eval`.

    A name is its context, None if there is none. `&&` and `||` give one of their operands, not a truth value, and
    leave the right one unevaluated where the left decides: `a && b` is a if a is falsy (see `truthy`), otherwise b;
    `a || b` is a if a is truthy, otherwise b. All other operators are those of OPERATORS, applied to their values.

    Args:
        tree: of `parse`.
        contexts: by name, such as github, needs and matrix.
        functions: by name in lower case; the names of functions ignore case.

    Raises:
        ValueError: a function that is not among them.
    """
    kind, *parts = tree
    if kind == "literal":
        return parts[0]
    if kind == "name":
        return contexts.get(parts[0])
    if kind == "call":
        name, arguments = parts
        if name.lower() not in functions:
            raise ValueError(f"functions must be among {', '.join(functions)}, got {name!r}.")
        return functions[name.lower()](*(evaluate(part, contexts, functions) for part in arguments))
    if kind in ("&&", "||"):
        left = evaluate(parts[0], contexts, functions)
        return left if truthy(left) == (kind == "||") else evaluate(parts[1], contexts, functions)
    return OPERATORS[kind](*(evaluate(part, contexts, functions) for part in parts))


def truthy(value: Any) -> bool:
    """Whether a condition takes a value for true: not null, false, 0, NaN and the empty text, but empty lists."""
    return value is not None and value is not False and value != "" and value != 0 and value == value


def render(value: Any, contexts: Mapping[str, Any]) -> Any:
    """Evaluate the `${{ }}` of a text, and of the texts in lists and mappings; alone in its text it keeps its kind."""
    if isinstance(value, Mapping):
        return {key: render(inner, contexts) for key, inner in value.items()}
    if isinstance(value, list):
        return [render(inner, contexts) for inner in value]
    found = EXPRESSION.findall(value) if isinstance(value, str) else []
    if len(found) == 1 and EXPRESSION.fullmatch(value.strip()):
        return evaluate(parse(found[0]), contexts, FUNCTIONS)
    if found:
        return EXPRESSION.sub(lambda match: _text(evaluate(parse(match[1]), contexts, FUNCTIONS)), value)
    return value


def should_run(condition: Any, contexts: Mapping[str, Any], status: Mapping[str, bool]) -> bool:
    """Whether a job runs, by its `if`: one that calls none of the functions in `status` asks for success() as well.

    Args:
        condition: the text of `if`, with or without `${{ }}`; None without one.
        contexts: by name.
        status: what success, failure, cancelled and always say.
    """
    text = "true" if condition is None else str(condition).lower() if isinstance(condition, bool) else str(condition)
    whole = EXPRESSION.fullmatch(text.strip())
    tree = parse(whole[1] if whole else text)
    if not status.keys() & {part[1].lower() for part in _parts(tree) if part[0] == "call"}:
        tree = ("&&", ("call", "success", ()), tree)
    told = {name: (lambda answer=answer: answer) for name, answer in status.items()}
    return truthy(evaluate(tree, contexts, FUNCTIONS | told))


# --- planning -------------------------------------------------------------------------------------------------------


def needs_of(job: Job) -> list[str]:
    """Return the ids in a job's `needs`, which may be absent, one id, or a list."""
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def order_jobs(jobs: Mapping[str, Job]) -> list[list[str]]:
    """Return the jobs in waves: each wave needs earlier waves only, and starts as soon as it can.

    Within a wave the order is that of the file.

    Args:
        jobs: by id.

    Raises:
        ValueError: a need that is no job, or jobs that need each other in a circle, which is named.
    """
    needs = {name: needs_of(job) for name, job in jobs.items()}
    unknown = [f"{need!r} of {name!r}" for name, above in needs.items() for need in above if need not in needs]
    if unknown:
        raise ValueError(f"needs must name jobs of the workflow, got {', '.join(unknown)}.")
    waves: list[list[str]] = []
    done: set[str] = set()
    while len(done) < len(needs):
        wave = [name for name, above in needs.items() if name not in done and done.issuperset(above)]
        if not wave:
            raise ValueError(f"needs must not lead in a circle, got {' → '.join(_circle(needs, done))}.")
        waves.append(wave)
        done.update(wave)
    return waves


def expand_matrix(matrix: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the legs of a matrix, as GitHub documents `include` and `exclude`.

    First every combination of the axes, the first axis varying slowest. Then a combination goes if it has all the
    pairs of an entry of `exclude`. Then each entry of `include`, in order, is added to every combination whose own axes
    it does not contradict, overwriting what earlier entries added, but no axis. An entry that fits no combination is a
    leg of its own, to which no later entry is added.

    Args:
        matrix: axes by name, each a list of values, with `include` and `exclude`, lists of mappings.

    Raises:
        ValueError: an axis that is no list, or an empty one.
    """
    axes = {name: values for name, values in matrix.items() if name not in ("include", "exclude")}
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"matrix must have a list of values for {name!r}, got {values!r}.")
    own = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    own = [leg for leg in own if not any(entry.items() <= leg.items() for entry in matrix.get("exclude", []))]
    legs, more = [dict(leg) for leg in own], []
    for entry in matrix.get("include", []):
        fitting = [leg for leg, axis in zip(legs, own, strict=True) if (axis | entry).items() >= axis.items()]
        for leg in fitting:
            leg.update(entry)
        if not fitting:
            more.append(dict(entry))
    return legs + more


# --- checking -------------------------------------------------------------------------------------------------------

UNTRUSTED = {"body", "default_branch", "email", "head_ref", "label", "message", "name", "page_name", "ref", "title"}
"""Last words of what strangers write in `github`: GitHub, Secure use reference."""


class Finding(NamedTuple):
    """A fault of a workflow: the rule it breaks, where, and the text that breaks it."""

    rule: str
    place: str
    value: str = ""


def lint(workflow: Mapping[str, Any]) -> list[Finding]:
    """Return the faults of a workflow, job by job in the order of the file, and for each job in this order of rules.

    - `unknown-need`: the job needs an id that is no job; place is the job's id, value the need.
    - `missing-permissions`: neither the workflow nor the job says `permissions`, so that the token may do whatever the
      repository's settings allow; place is the job's id.
    - `unpinned-action`, for each step: `uses` is not pinned (see `pinned`); value is the action.
    - `script-injection`, for each step: its `run` holds an expression of a stranger's text (see `references`,
      `untrusted`), which is pasted into the script before a shell reads it; value is the reference.

    The place of a step is `job.steps[0]`, counted from 0; the findings of one step come together.
    """
    findings = []
    for name, job in workflow["jobs"].items():
        findings += [Finding("unknown-need", name, need) for need in needs_of(job) if need not in workflow["jobs"]]
        if "permissions" not in workflow and "permissions" not in job:
            findings.append(Finding("missing-permissions", name))
        for number, step in enumerate(job.get("steps", [])):
            place = f"{name}.steps[{number}]"
            if "uses" in step and not pinned(step["uses"]):
                findings.append(Finding("unpinned-action", place, step["uses"]))
            strange = [reference for reference in references(step.get("run", "")) if untrusted(reference)]
            findings += [Finding("script-injection", place, reference) for reference in strange]
    return findings


def pinned(action: str) -> bool:
    """Whether an action cannot change: of this repository, by a full commit, or an image by its digest."""
    return re.search(r"^\./|^docker://.*@sha256:[0-9a-f]{64}$|^(?!docker://).*@[0-9a-f]{40}$", action) is not None


def references(text: str) -> list[str]:
    """Return the contexts that the expressions of a text read, as `github.event.issue.title`, in their order."""
    return [path for expression in EXPRESSION.findall(text) for path in _read(parse(expression))]


def untrusted(reference: str) -> bool:
    """Whether a stranger writes the text that a reference reads, by opening an issue or a pull request."""
    words = reference.lower().split(".")
    return words == ["github", "head_ref"] or (words[:2] == ["github", "event"] and words[-1] in UNTRUSTED)


# --- running --------------------------------------------------------------------------------------------------------


class Cancelled(Exception):
    """Raised by a job's work when somebody cancels the run."""


class Result(NamedTuple):
    """How a job ended, what it gave to the jobs that need it, and how each leg of its matrix ended."""

    state: State
    outputs: Mapping[str, Any] = {}
    legs: tuple[State, ...] = ()


def ancestors(jobs: Mapping[str, Job], name: str) -> list[str]:
    """Return all jobs that a job needs, and those that they need, and so on, each once."""
    found = needs_of(jobs[name])
    for above in found:
        found += [need for need in needs_of(jobs[above]) if need not in found]
    return found


def run_workflow(
    workflow: Mapping[str, Any],
    work: Mapping[str, Callable[[dict[str, Any]], Mapping[str, Any] | None]],
    contexts: Mapping[str, Any] | None = None,
) -> dict[str, Result]:
    """Run the jobs one after the other, in the order of `order_jobs`, and return how each ended.

    Whether a job runs, `should_run` says, with `needs` among the contexts: for each need its `result`, the state, and
    its `outputs`. success() holds if all ancestors (not only the needs) succeeded, failure() if one of them failed,
    and neither holds once the run is cancelled; cancelled() holds from then on, always() always. A job that does not
    run is skipped, or cancelled once the run is.

    A job with `strategy.matrix`, rendered first, runs once for each leg, in order; another job has a single leg, {}.
    The work of a leg gets the contexts with `needs` and `matrix`, and may return outputs, which later legs overwrite.
    If it raises, the leg failed, and with `fail-fast`, which is the default, the later legs are cancelled. If it raises
    Cancelled, leg and run are cancelled, and so are the later legs. The job failed if a leg failed; otherwise it is
    cancelled if a leg is.

    Args:
        workflow: as `read_workflow` gives it.
        work: what each job does, by its id.
        contexts: such as github.
    """
    jobs, cancelled = workflow["jobs"], False
    results: dict[str, Result] = {}
    for name in itertools.chain.from_iterable(order_jobs(jobs)):
        above = {results[other].state for other in ancestors(jobs, name)}
        needs = {
            need: {"result": results[need].state, "outputs": results[need].outputs} for need in needs_of(jobs[name])
        }
        here = {**(contexts or {}), "needs": needs}
        status = {
            "success": not cancelled and above <= {"success"},
            "failure": not cancelled and "failure" in above,
            "cancelled": cancelled,
            "always": True,
        }
        if not should_run(jobs[name].get("if"), here, status):
            results[name] = Result("cancelled" if cancelled else "skipped")
            continue
        strategy = jobs[name].get("strategy", {})
        states: list[State] = []
        outputs: dict[str, Any] = {}
        for leg in expand_matrix(render(strategy["matrix"], here)) if "matrix" in strategy else [{}]:
            if "cancelled" in states or ("failure" in states and strategy.get("fail-fast", True)):
                states.append("cancelled")
                continue
            try:
                outputs.update(work[name]({**here, "matrix": leg}) or {})
                states.append("success")
            except Cancelled:
                cancelled = True
                states.append("cancelled")
            except Exception:
                states.append("failure")
        state = "failure" if "failure" in states else "cancelled" if "cancelled" in states else "success"
        results[name] = Result(state, outputs, tuple(states))
    return results


# --- releasing ------------------------------------------------------------------------------------------------------


def next_version(version: str, messages: Iterable[str]) -> str:
    """Return the version that commits ask for: a breaking change is major, `feat` minor, `fix` a patch, others nothing.

    Conventional Commits 1.0.0: `type(scope)!: subject`, and a footer `BREAKING CHANGE: …`.
    """
    if re.fullmatch(r"\d+\.\d+\.\d+", version) is None:
        raise ValueError(f"version must be three numbers, such as 1.4.2, got {version!r}.")
    major, minor, patch = map(int, version.split("."))
    level = 0
    for message in messages:
        head = re.match(r"(\w+)(?:\([^()\n]+\))?(!?): \S", message)
        if head is not None:
            broken = head[2] or re.search(r"^BREAKING[ -]CHANGE: \S", message, re.MULTILINE)
            level = max(level, 3 if broken else {"feat": 2, "fix": 1}.get(head[1].lower(), 0))
    return [version, f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}.0", f"{major + 1}.0.0"][level]


class Decision(NamedTuple):
    """What failures say of a canary: the verdict, after how many of them, and the evidence against the canary."""

    verdict: Literal["rollback", "promote", "continue"]
    failures: int
    evidence: float


def judge_canary(
    failures: Iterable[bool], share: float, worse: float = 2.0, alpha: float = 0.01, beta: float = 0.05
) -> Decision:
    """Judge a canary after each failure, by Wald's sequential probability ratio test, and stop at the first verdict.

    Only requests that failed count, in the canary or in the stable version. If both fail alike, each failure is the
    canary's with probability `share`. If the canary fails `worse` times as often, with worse share / (worse share + 1 -
    share). The evidence is the sum of the logarithms of the ratios, of the second over the first, for each failure:
    where it happened. From ln((1 - beta) / alpha) on, roll back; from ln(beta / (1 - alpha)) down, promote. Wald,
    Sequential tests of statistical hypotheses (1945).

    Args:
        failures: of both versions, in the order of time: True where the canary failed.
        share: of the traffic that the canary gets, between 0 and 1.
        worse: how many times as often a canary fails that should be rolled back, above 1.
        alpha: how often a canary that is as good may be rolled back, between 0 and 1.
        beta: how often one that is `worse` may be promoted, between 0 and 1 - alpha.

    Raises:
        ValueError: a setting out of its range.
    """
    _check_gate(share, worse, alpha, beta)
    guilty = worse * share / (worse * share + 1 - share)
    in_canary, in_stable = math.log(guilty / share), math.log((1 - guilty) / (1 - share))
    evidence, count = 0.0, 0
    for count, failed_in_canary in enumerate(failures, start=1):
        evidence += in_canary if failed_in_canary else in_stable
        if evidence >= math.log((1 - beta) / alpha):
            return Decision("rollback", count, evidence)
        if evidence <= math.log(beta / (1 - alpha)):
            return Decision("promote", count, evidence)
    return Decision("continue", count, evidence)


class Deployment:
    """What runs where: versions by the digest of their content, and the share of the traffic that each gets.

    Doing a thing twice is doing it once: `actions` holds what really changed.
    """

    def __init__(self, version: str, content: bytes) -> None:
        self.digests: dict[str, str] = {}
        self.actions: list[str] = []
        self.publish(version, content)
        self.stable, self.canary, self.share = version, "", 0.0

    def publish(self, version: str, content: bytes) -> str:
        """Store a version, and return its digest. A version that is there already must have the same content."""
        digest = hashlib.sha256(content).hexdigest()
        if self.digests.get(version, digest) != digest:
            raise ValueError(f"version must be new for new content, got {version!r} again. Raise the version.")
        if version not in self.digests:
            self.digests[version] = digest
            self.actions.append(f"publish {version}")
        return digest

    def shift(self, version: str, share: float) -> None:
        """Give a version a share of the traffic: 0 takes it away, 1 makes it the stable one."""
        if version not in self.digests:
            raise ValueError(f"version must be published first, got {version!r}.")
        before = (self.stable, self.canary, self.share)
        if share >= 1:
            self.stable, self.canary, self.share = version, "", 0.0
        elif version != self.stable:
            self.canary, self.share = (version, share) if share > 0 else ("", 0.0)
        if before != (self.stable, self.canary, self.share):
            self.actions.append(f"{version} to {share:.0%}")

    def roll_out(
        self,
        version: str,
        observe: Callable[[float], Iterable[bool]],
        stages: Sequence[float] = (0.05, 0.25),
        **gate: float,
    ) -> list[Decision]:
        """Raise a version's share stage by stage, and take it back where the gate says so.

        Args:
            version: that is published.
            observe: the failures at a share, as `judge_canary` takes them, for as long as a stage lasts.
            stages: shares, ascending; all of the traffic follows where no stage says rollback.
            gate: settings of `judge_canary`.

        Returns:
            The decision of each stage; none for a version that is stable already.
        """
        decisions: list[Decision] = []
        for share in stages if version != self.stable else ():
            self.shift(version, share)
            decisions.append(judge_canary(observe(share), share, **gate))
            if decisions[-1].verdict == "rollback":
                self.shift(version, 0)
                return decisions
        self.shift(version, 1)
        return decisions


# --- what the functions above share ---------------------------------------------------------------------------------

EXPRESSION = re.compile(r"\$\{\{((?:'(?:[^']|'')*'|(?!\}\}).)*)\}\}", re.DOTALL)


class _Loader(yaml.SafeLoader):
    """Takes true and false for truth values, and none of on, off, yes and no, as YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if first in "tTfF" or not tag.endswith(":bool")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Parser:
    """Reads tokens from left to right; each method takes what it describes."""

    def __init__(self, expression: str, tokens: list[tuple[str, str]]) -> None:
        self.expression, self.tokens = expression, tokens

    def take(self, *texts: str) -> str:
        kind, text = self.tokens[0]
        if texts and (text not in texts or kind == "text"):
            raise ValueError(
                f"expression must go on with {' or '.join(texts) or 'nothing'}, got {text!r} in {self.expression!r}."
            )
        self.tokens = self.tokens[1:]
        return text

    def operators(self, least: int) -> Tree:
        tree = self.operand()
        while BINDING.get(self.tokens[0][1], 0) > least and self.tokens[0][0] == "sign":
            sign = self.take()
            tree = (sign, tree, self.operators(BINDING[sign]))
        return tree

    def operand(self) -> Tree:
        kind, text = self.tokens[0]
        if text == "!" and kind == "sign":
            self.take()
            return ("!", self.operand())
        if text == "(":
            self.take()
            tree = self.operators(0)
            self.take(")")
        elif kind == "text":
            tree = ("literal", self.take()[1:-1].replace("''", "'"))
        elif kind == "number":
            tree = ("literal", _number(self.take()))
        elif kind == "name":
            self.take()
            tree = ("literal", LITERALS[text]) if text in LITERALS else ("name", text)
            if self.tokens[0][1] == "(":
                return self.inside(("call", text, self.arguments()))
        else:
            raise ValueError(f"expression must have a value here, got {text!r} in {self.expression!r}.")
        return self.inside(tree)

    def arguments(self) -> tuple[Tree, ...]:
        self.take("(")
        found: list[Tree] = []
        while self.tokens[0] != ("sign", ")"):
            found.append(self.operators(0))
            if self.take(",", ")") == ")":
                return tuple(found)
        self.take(")")
        return tuple(found)

    def inside(self, tree: Tree) -> Tree:
        while self.tokens[0] in (("sign", "."), ("sign", "[")):
            if self.take() == "[":
                tree = ("index", tree, self.operators(0))
                self.take("]")
            elif self.tokens[0][1] == "*":
                self.take()
                tree = ("each", tree)
            elif self.tokens[0][0] == "name":
                tree = ("index", tree, ("literal", self.take()))
            else:
                self.take("*", "a name")
        return tree


class _All(list[Any]):
    """What `a.*` gives: an index into it goes into each of its members."""


def _each(base: Any) -> _All:
    return _All(base.values() if isinstance(base, Mapping) else base if isinstance(base, list) else [])


def _index(base: Any, key: Any) -> Any:
    if isinstance(base, _All):
        return _All(inner for inner in (_index(member, key) for member in base) if inner is not None)
    if isinstance(base, Mapping):
        return base.get(key)
    if isinstance(base, list) and _as_number(key) in range(len(base)):
        return base[int(_as_number(key))]
    return None


def _number(text: str) -> float:
    return float(int(text, 16)) if "x" in text.lower() else float(text)


def _as_number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return _number(value.strip()) if value.strip() else 0.0
        except ValueError:
            return math.nan
    return float(value or 0) if value is None or isinstance(value, bool | int | float) else math.nan


def _pair(left: Any, right: Any) -> tuple[Any, Any]:
    """Both as they are compared: texts without their case, truth values among themselves, all else as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left.upper(), right.upper()
    return _as_number(left), _as_number(right)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping | list) and isinstance(right, Mapping | list):
        return left is right
    return operator.eq(*_pair(left, right))


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else str(value)
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, Mapping | list) else str(value)


def _contains(inside: Any, item: Any) -> bool:
    if isinstance(inside, list):
        return any(_equal(member, item) for member in inside)
    return _text(item).upper() in _text(inside).upper()


OPERATORS: dict[str, Callable[..., Any]] = {
    "!": lambda value: not truthy(value),
    "index": _index,
    "each": _each,
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": lambda left, right: operator.lt(*_pair(left, right)),
    "<=": lambda left, right: operator.le(*_pair(left, right)),
    ">": lambda left, right: operator.gt(*_pair(left, right)),
    ">=": lambda left, right: operator.ge(*_pair(left, right)),
}
"""What an operator makes of values: `index` and `each` go into contexts, the others compare loosely, as GitHub does."""

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": lambda text, start: _text(text).upper().startswith(_text(start).upper()),
    "endswith": lambda text, end: _text(text).upper().endswith(_text(end).upper()),
    "format": lambda text, *values: re.sub(
        r"\{\{|\}\}|\{(\d+)\}", lambda m: m[0][0] if m[1] is None else _text(values[int(m[1])]), text
    ),
    "join": lambda values, by=",": by.join(map(_text, values)) if isinstance(values, list) else _text(values),
    "tojson": lambda value: json.dumps(value, indent=2),
    "fromjson": lambda text: json.loads(text),
}
"""Functions of expressions, by their names in lower case."""


def _children(tree: Tree) -> tuple[Tree, ...]:
    return () if tree[0] in ("literal", "name") else tree[2] if tree[0] == "call" else tree[1:]


def _parts(tree: Tree) -> Iterator[Tree]:
    """A tree and all trees in it."""
    yield tree
    for part in _children(tree):
        yield from _parts(part)


def _read(tree: Tree) -> Iterator[str]:
    """The references in a tree; the keys of a reference may hold others."""
    path = _path(tree)
    if path is not None:
        yield path
    while tree[0] in ("index", "each"):
        yield from _read(tree[2]) if tree[0] == "index" else ()
        tree = tree[1]
    for part in _children(tree):
        yield from _read(part)


def _path(tree: Tree) -> str | None:
    """The dotted path of a reference; None where a tree is none."""
    if tree[0] == "name":
        return str(tree[1])
    base = _path(tree[1]) if tree[0] in ("index", "each") else None
    if base is None:
        return None
    return f"{base}.{_text(tree[2][1]) if tree[0] == 'index' and tree[2][0] == 'literal' else '*'}"


def _circle(needs: Mapping[str, list[str]], done: set[str]) -> list[str]:
    """A circle among the jobs that are not done, from one of them back to itself."""
    path = [next(name for name in needs if name not in done)]
    while path[-1] not in path[:-1]:
        path.append(next(need for need in needs[path[-1]] if need not in done))
    return path[path.index(path[-1]) :]


def _check_gate(share: float, worse: float, alpha: float, beta: float) -> None:
    for name, value, least, most in (("share", share, 0, 1), ("alpha", alpha, 0, 1), ("beta", beta, 0, 1 - alpha)):
        if not least < value < most:
            raise ValueError(f"{name} must be between {least} and {most:g}, got {value}.")
    if not 1 < worse < math.inf:
        raise ValueError(f"worse must be above 1, got {worse}. It is how many times as often a bad canary fails.")
