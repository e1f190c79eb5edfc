"""Labs of delivery: changes that go through a pipeline, and the false alarms of a canary's gate."""

from __future__ import annotations

import ast
import builtins
import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.delivery import Deployment, judge_canary, run_workflow

PIPELINE: dict[str, Any] = {
    "permissions": {"contents": "read"},
    "jobs": {
        "lint": {},
        "test": {"needs": "lint", "strategy": {"matrix": {"comma": [False, True]}}},
        "build": {"needs": "test", "if": "github.event_name == 'push' && github.ref == 'refs/heads/main'"},
        "release": {"needs": "build"},
        "report": {"needs": ["lint", "test", "build", "release"], "if": "always()"},
    },
}
MINUTES = {"lint": 1, "test": 6, "build": 4, "release": 60, "report": 0}  # of a leg
SOURCE = """import math

LIMIT = 120


def parse(text):
    text = text.strip()
    if not text:
        return None
    value = float(text.replace(",", "."))
    if not 0 <= value <= LIMIT:
        raise ValueError(text)
    return value


def mean(texts):
    known = [value for value in map(parse, texts) if value is not None]
    return math.fsum(known) / len(known) if known else None
"""
TEST = """
assert mean([text.replace(".", "," if comma else ".") for text in ("22.5", "", "4")]) == 13.25
assert parse("80") == 80 and parse("0") == 0
try:
    parse("-1")
except ValueError:
    pass
else:
    raise AssertionError
"""
FILES = ("clean.py", "LICENSE")
Change = tuple[str, str, tuple[str, ...]]  # old text, new text, files of the package
BROKEN: list[Change] = [
    ("if not text:", "if not text", FILES),
    ("import math\n", "", FILES),
    ("known = [", "knwon = [", FILES),
    ('.replace(",", ".")', "", FILES),
    ("0 <= value", "0 < value", FILES),
    ("is not None", "is None", FILES),
    ("", "", ("LICENSE",)),
    ("", "", ("clean.py",)),
    ("", "", ("clean.pyc", "LICENSE")),
    ("text = text.strip()", "text = text", FILES),
    ("LIMIT = 120", "LIMIT = 90", FILES),
    (" if known else None", "", FILES),
]
GOOD: list[Change] = [
    ("math.fsum(known)", "sum(known)", FILES),
    ("LIMIT = 120", "LIMIT = 125", FILES),
    ("if not text:", 'if text == "":', FILES),
]


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of the pipeline lab.

    Attributes:
        seed: seed of the changes and of the traffic.
        changes: how many changes are made.
        broken: the share of them that is broken.
        requests: of production in a stage of the release.
        tests: whether the tests run.
        gate: whether the release asks the canary's gate.
    """

    seed: int = 0
    changes: int = 40
    broken: float = 0.7
    requests: int = 3_000
    tests: bool = True
    gate: bool = True


@lab(
    title="A change through the pipeline",
    question="Which stage stops a broken change, and how early?",
    presets={"smoke": {}, "laptop": {"changes": 400}, "full": {"changes": 4_000}},
    expectations=[
        expect("stopped", at_least=0.9, why="A broken change must not get all of the traffic."),
        expect("stopped", beats_baseline_by=0.2, why="Packages and rare inputs break behind the tests."),
        expect("released", at_least=0.85, why="A good change must come through."),
        expect("minutes", beats_baseline_by=20, lower_is_better=True, why="A failed stage spares the later ones."),
    ],
    sabotage=[{"gate": False}],
)
def pipeline(config: PipelineConfig, record: Recorder) -> None:
    """Draw changes of a small package for columns of numbers, and run each through lint, test, build and release.

    Three kinds of damage each break style, logic, packaging, and rare inputs that no test has. Each stage does its
    work: it parses the code, runs the tests, packs and unpacks the package, and serves requests.
    """
    rng = np.random.default_rng(config.seed)
    stops: dict[str, Counter[str]] = {"broken": Counter(), "good": Counter()}
    minutes: list[int] = []
    for number in record.progress(range(config.changes)):
        kind = "broken" if rng.random() < config.broken else "good"
        changes = BROKEN if kind == "broken" else GOOD
        old, new, files = changes[rng.integers(len(changes))]
        work = _work(SOURCE.replace(old, new) if old else SOURCE, files, f"1.0.{number + 1}", config, rng)
        github = {"event_name": "push", "ref": "refs/heads/main"}
        results = run_workflow(PIPELINE, work, {"github": github})
        stops[kind][next((name for name, result in results.items() if result.state == "failure"), "none")] += 1
        if kind == "broken":
            legs = {name: sum(state != "cancelled" for state in result.legs) for name, result in results.items()}
            minutes.append(sum(MINUTES[name] * count for name, count in legs.items()))
    record.table(
        "stops", [{"change": kind, "stage": stage, "changes": n} for kind in stops for stage, n in stops[kind].items()]
    )
    broken = stops["broken"]
    record.baseline("stopped", (broken["lint"] + broken["test"]) / broken.total(), "lint and tests alone")
    record.result("stopped", 1 - broken["none"] / broken.total())
    record.result("released", stops["good"]["none"] / stops["good"].total())
    record.baseline("minutes", 1 + 2 * 6 + 4 + 60, "every stage, whatever failed before")
    record.result("minutes", np.mean(minutes))


def _work(
    source: str, files: tuple[str, ...], version: str, config: PipelineConfig, rng: np.random.Generator
) -> dict[str, Any]:
    """What each job does with a change; it fails by raising."""
    package = io.BytesIO()

    def test(here: dict[str, Any]) -> None:
        if config.tests:
            exec(compile(source + TEST, "clean.py", "exec"), {"comma": here["matrix"]["comma"]})

    def build(here: dict[str, Any]) -> None:
        contents = {"clean.py": source, "LICENSE": "MIT"}
        with zipfile.ZipFile(package, "w") as archive:
            for name in files:
                archive.writestr(name, contents.get(name, ""))
        with zipfile.ZipFile(package) as archive:
            assert archive.read("LICENSE")
            _load(archive.read("clean.py").decode())

    def release(here: dict[str, Any]) -> None:
        deployment, mean = Deployment("1.0.0", b"before"), _load(source)
        deployment.publish(version, package.getvalue())
        decisions = deployment.roll_out(version, lambda share: _serve(mean, share, config, rng) if config.gate else [])
        assert deployment.stable == version, decisions

    return {
        "lint": lambda here: _lint(source),
        "test": test,
        "build": build,
        "release": release,
        "report": lambda here: None,
    }


def _lint(source: str) -> None:
    """Refuse code that does not parse, and names that nothing defines."""
    nodes = list(ast.walk(ast.parse(source)))
    known = set(dir(builtins))
    known |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    known |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.alias)}
    known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    assert all(node.id in known for node in nodes if isinstance(node, ast.Name))


def _load(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source, "clean.py", "exec"), names)
    return names["mean"]


def _serve(mean: Any, share: float, config: PipelineConfig, rng: np.random.Generator) -> list[bool]:
    """Where each failed request failed. One request of 100 fails in either version; the canary's code may fail more."""
    rare = ([""] * 4, ["31", "  ", "40"], ["98", "7"])
    failures = []
    for in_canary, kind, unlucky in zip(
        rng.random(config.requests) < share,
        rng.random(config.requests),
        rng.random(config.requests) < 0.01,
        strict=True,
    ):
        failed = bool(unlucky)
        if in_canary:
            try:
                mean(rare[int(kind * 25)] if kind < 0.12 else ["22", "38,5", ""])
            except Exception:
                failed = True
        if failed:
            failures.append(bool(in_canary))
    return failures


@dataclass(frozen=True)
class GateConfig:
    """Settings of the canary lab.

    Attributes:
        seed: seed of the failures.
        canaries: how many good ones, and how many bad ones.
        share: of the traffic that a canary gets.
        worse: how many times as often a bad canary fails, and what the gate looks for.
        alpha: how often a good canary may be rolled back.
        failures: after how many, in both versions, a canary without a verdict is promoted.
    """

    seed: int = 0
    canaries: int = 400
    share: float = 0.1
    worse: float = 2.0
    alpha: float = 0.01
    failures: int = 500


@lab(
    title="The canary's gate",
    question="How often does a gate that looks after each failure roll a good canary back?",
    presets={"smoke": {}, "laptop": {"canaries": 4_000}, "full": {"canaries": 40_000}},
    expectations=[
        expect("false_alarms", at_most=0.03, why="The gate promises 1 in 100."),
        expect(
            "false_alarms", beats_baseline_by=0.02, lower_is_better=True, why="A test that is repeated alarms more."
        ),
        expect("caught", at_least=0.9, why="Of canaries twice as bad, 19 in 20 are to be rolled back."),
    ],
    sabotage=[{"alpha": 0.3}, {"worse": 1.05}],
)
def canary_gate(config: GateConfig, record: Recorder) -> None:
    """Judge good and bad canaries after each failure: by Wald's test, and by a binomial test at the level alpha."""
    from scipy import stats

    rng = np.random.default_rng(config.seed)
    guilty = config.worse * config.share / (config.worse * config.share + 1 - config.share)
    rolled_back: dict[str, list[bool]] = {"good": [], "bad": []}
    waits: list[int] = []
    repeated = []
    for kind, chance in (("good", config.share), ("bad", guilty)):
        for _ in record.progress(range(config.canaries)):
            failures = rng.random(config.failures) < chance
            decision = judge_canary(failures.tolist(), config.share, config.worse, config.alpha)
            rolled_back[kind].append(decision.verdict == "rollback")
            if kind == "bad":
                waits.append(decision.failures)
            else:
                p = stats.binom.sf(failures.cumsum() - 1, np.arange(1, config.failures + 1), config.share)
                repeated.append((p < config.alpha).any())
    record.baseline("false_alarms", np.mean(repeated), "a binomial test after each failure")
    record.result("false_alarms", np.mean(rolled_back["good"]))
    record.result("caught", np.mean(rolled_back["bad"]))
    record.result("failures_until_a_verdict", np.median(waits))
