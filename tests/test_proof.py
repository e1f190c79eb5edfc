"""The proof of a unit: kept when it passes, stale when anything of the unit's own part has changed, and compared."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.course.author import proof
from groundup.course.author.mutants import drawn
from groundup.course.author.verify import Trial, UnitReport
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import Unit, load_unit
from tests.conftest import Ran
from tests.sample import SAMPLE

UNITS = Catalogue().units
MUTANTS = tuple(f"{function}:{operator}:{n}" for function in "abc" for operator in ("x", "y") for n in range(100))


@pytest.mark.parametrize("unit", UNITS.values(), ids=list(UNITS))
def test_every_proof_of_the_release_holds(unit: Unit) -> None:
    standing = proof.standing(unit)
    assert not standing.stale, f"{', '.join(standing.reasons)}. `groundup verify {unit.id}` renews the proof."


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    """A unit that builds on the sample unit, beside it."""
    stack = tmp_path / "stack" / "bedrock"
    shutil.copytree(SAMPLE, stack / "scaling", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(stack / "scaling", stack / "upper")
    (stack / "upper" / "scaling.py").rename(stack / "upper" / "upper.py")
    edit(
        stack / "upper" / "labs.py",
        "",
        "from groundup.stack.bedrock.scaling import mean as other_mean\nimport sklearn\n",
    )
    return load_unit(stack / "upper")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def report(*, tried: tuple[str, ...] = MUTANTS, alive: tuple[str, ...] = (), mistakes: int = 10) -> UnitReport:
    trials = [Trial("mutant", name, name not in alive) for name in tried]
    trials += [Trial("mistake", f"mistake{n}", True, named=True) for n in range(mistakes)]
    trials += [Trial("lab", "noise", True), Trial("lab", "noise with count=1", True)]
    return UnitReport("bedrock/upper", tuple(trials), 1.0, checks=7, mutants=MUTANTS, cpu_seconds=2.0)


def kept(unit: Unit, found: UnitReport | None = None) -> proof.Proof:
    path = proof.keep(unit, found or report(), proof.hashes(unit))
    assert path == unit.folder / "proof.json"
    standing = proof.standing(unit)
    assert standing.proof is not None
    assert standing.reasons == ()
    assert not standing.earlier_gate
    return standing.proof


def reasons(unit: Unit) -> tuple[str, ...]:
    return proof.standing(unit).reasons


def test_a_proof_says_what_was_tried_and_on_what_it_depends(unit: Unit) -> None:
    found = kept(unit, report(alive=("a:x:3", "b:y:1")))
    assert found.counts["checks"] == 7
    assert (found.counts["labs"], found.counts["sabotages"]) == (1, 1)
    assert found.words == "its checks refuse 608 of 610 wrong versions"
    assert "checks.py" in found.files
    assert set(found.needs) == {"bedrock/scaling/__init__.py", "bedrock/scaling/scaling.py"}
    assert {"numpy", "scikit-learn"} <= set(found.packages)
    assert found.packages["numpy"] == proof.locked("numpy") != ""
    assert found.cpu_seconds == 2.0


def test_a_unit_without_a_proof_or_with_a_broken_one_is_stale(unit: Unit) -> None:
    assert reasons(unit) == ("there is no proof",)
    for text in ("{", "[]", "{}", '{"alive": [], "more": 1}'):
        (unit.folder / "proof.json").write_text(text, encoding="utf-8")
        assert reasons(unit) == ("proof.json cannot be read",)


def test_a_changed_a_new_and_a_missing_file_are_named_and_line_ends_are_not(unit: Unit) -> None:
    kept(unit)
    lesson = unit.folder / "lesson.md"
    lesson.write_bytes(lesson.read_bytes().replace(b"\n", b"\r\n"))
    (unit.folder / "__pycache__").mkdir()
    (unit.folder / "__pycache__" / "labs.cpython-311.pyc").write_bytes(b"compiled by Python")
    (unit.folder / "__pycache__" / "scaling.scale-10.py311.1.nbc").write_bytes(b"compiled by Numba")
    assert reasons(unit) == ()
    edit(unit.folder / "checks.py", "The mean", "A mean")
    (unit.folder / "labs.py").unlink()
    (unit.folder / "words.txt").write_text("new", encoding="utf-8")
    assert reasons(unit) == ("checks.py is changed", "labs.py is gone", "words.txt is new")


def test_a_changed_implementation_of_a_needed_unit_makes_it_stale_and_its_checks_do_not(unit: Unit) -> None:
    kept(unit)
    needed = unit.folder.parent / "scaling"
    edit(needed / "checks.py", "The mean", "A mean")
    assert reasons(unit) == ()
    edit(needed / "scaling.py", "array.sum()", "array.sum( )")
    assert reasons(unit) == ("bedrock/scaling/scaling.py is changed",)


def test_another_version_of_a_package_that_it_imports_makes_it_stale(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(unit)
    locked = proof.locked
    monkeypatch.setattr(proof, "locked", lambda name: "999" if name in ("scikit-learn", "torch") else locked(name))
    assert reasons(unit) == ("scikit-learn is changed",)
    monkeypatch.setattr(proof, "lock_file", lambda: None)  # an installed package has no lock to compare with
    assert reasons(unit) == ()


def test_it_is_told_without_parsing_or_importing_anything(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it takes a moment, however many units there are."""
    kept(unit)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a proof is compared by hashes only")

    monkeypatch.setattr("ast.parse", refuse)
    monkeypatch.setattr("builtins.compile", refuse)
    monkeypatch.setattr("importlib.metadata.packages_distributions", refuse)
    assert reasons(unit) == ()


def test_a_changed_gate_leaves_a_proof_that_holds_and_says_so(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(unit)
    monkeypatch.setattr(proof, "gate", lambda: "another")
    standing = proof.standing(unit)
    assert standing.earlier_gate
    assert not standing.stale


def test_the_gate_is_all_that_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = tmp_path / "groundup"
    shutil.copytree(proof.CORE, core, ignore=shutil.ignore_patterns("stack", "__pycache__", "static"))
    monkeypatch.setattr(proof, "CORE", core)
    assert all((core / name).exists() for name in proof.GATE)
    before = proof.gate()
    (core / "site" / "app.py").write_text("", encoding="utf-8")
    assert proof.gate() == before
    for name in (
        "course/grader/session.py",
        "course/author/verify.py",
        "checking/functions.py",
        "labs/judge.py",
        "course/author/rules/code.py",
    ):
        (core / name).write_text(f"# {name}", encoding="utf-8")
        assert proof.gate() != before, name
        before = proof.gate()


def test_what_failed_or_was_left_out_is_no_proof(unit: Unit) -> None:
    failed = replace(report(), trials=(Trial("variant", "by_numpy", False, "fails"),))
    for found in (failed, replace(report(), left_out=("lab",))):
        assert proof.keep(unit, found, proof.hashes(unit)) is None
    assert not (unit.folder / "proof.json").exists()


def test_a_file_that_was_edited_while_the_unit_was_verified_makes_the_proof_stale(unit: Unit) -> None:
    before = proof.hashes(unit)
    edit(unit.folder / "checks.py", "The mean", "A mean")
    proof.keep(unit, report(), before)
    assert reasons(unit) == ("checks.py is changed",)


def test_a_proof_whose_writing_is_interrupted_leaves_the_one_before(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept(unit)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        proof.keep(unit, report(mistakes=11), proof.hashes(unit))
    assert proof.standing(unit).proof == before
    assert [path.name for path in unit.folder.iterdir() if "proof" in path.name] == ["proof.json"]


def test_counts_that_differ_from_the_proof_are_named(unit: Unit) -> None:
    found = kept(unit, report(alive=("a:x:3",)))
    assert proof.differences(found, report(alive=("a:x:3",))) == []
    assert proof.differences(found, report(alive=("a:x:3",), mistakes=9)) == ["mistakes: 9, and 10 in proof.json"]
    assert proof.differences(found, report(alive=("b:y:7",))) == [
        "b:y:7 is not noticed, and proof.json says that it is",
        "a:x:3 is noticed, and proof.json says that it is not",
    ]


def test_a_proof_from_before_pairs_were_counted_still_holds(unit: Unit) -> None:
    kept(unit)
    path = unit.folder / "proof.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    for name in ("pairs", "names", "wrong_names"):
        assert fields["counts"].pop(name) == 0
    path.write_text(json.dumps(fields), encoding="utf-8")
    older = proof.standing(unit).proof
    assert older is not None
    pair = Trial("pair", "a and b", True, names=2)
    now = report()
    assert proof.differences(older, replace(now, trials=(*now.trials, pair))) == []


def test_mutants_are_compared_where_both_tried_them(unit: Unit) -> None:
    some = tuple(drawn(MUTANTS, 200))
    other = next(name for name in MUTANTS if name not in some)
    whole, part = report(alive=(other, some[0])), report(tried=some, alive=(some[0],))
    assert proof.differences(kept(unit, whole), part) == []
    assert proof.differences(kept(unit, part), whole) == []
    assert len(proof.differences(kept(unit, part), report(alive=(other,)))) == 1


def standings(*, stale: int = 0, earlier_gate: bool = False) -> list[proof.Standing]:
    return [
        proof.Standing(f"p/{n:02}", None, ("changed",) if n < stale else (), earlier_gate and n >= stale)
        for n in range(40)
    ]


def test_what_changed_what_is_stale_and_two_drawn_units_are_proven_again() -> None:
    chosen = proof.to_prove(standings(stale=2), {"p/30"}, "commit")
    assert {"p/00", "p/01", "p/30"} < set(chosen)
    assert len(chosen) == 5
    assert chosen == sorted(chosen) == proof.to_prove(standings(stale=2), {"p/30"}, "commit")
    draws = {tuple(proof.to_prove(standings(), set(), f"commit {n}")) for n in range(20)}
    assert len(draws) > 15


def test_eight_are_drawn_while_a_proof_is_of_an_earlier_gate_and_never_more_than_there_are() -> None:
    assert len(proof.to_prove(standings(earlier_gate=True), set(), "commit")) == 8
    assert len(proof.to_prove(standings(earlier_gate=True)[:5], set(), "commit")) == 5
    assert proof.to_prove([], set(), "commit") == []


def test_the_command_says_which_proofs_hold_and_why_not(groundup: Callable[..., Ran], unit: Unit) -> None:
    stack = unit.folder.parent.parent
    unit.folder.rename(stack / "bedrock" / "vectors")  # a name that the catalogue has
    shutil.move(stack / "bedrock" / "vectors" / "upper.py", stack / "bedrock" / "vectors" / "vectors.py")
    unit = load_unit(stack / "bedrock" / "vectors")
    kept(unit)
    ran = groundup("verify", "--stale", "--stack", str(stack))
    assert (ran.code, ran.out) == (0, "1 of 1 proofs hold.\n")
    edit(unit.folder / "checks.py", "The mean", "A mean")
    ran = groundup("verify", "--stale", "--stack", str(stack))
    assert ran.code == 1
    assert "bedrock/vectors: checks.py is changed" in ran.out
    assert "`groundup verify bedrock/vectors` renews it." in ran.out
    ran = groundup("verify", "--stale", "--stack", str(stack), "--json")
    assert ran.json == {
        "units": [
            {"unit": "bedrock/vectors", "stale": True, "reasons": ["checks.py is changed"], "earlier_gate": False}
        ]
    }


def test_the_command_chooses_units_by_phase_and_by_what_changed(groundup: Callable[..., Ran], unit: Unit) -> None:
    phase = next(iter(UNITS.values())).phase
    ran = groundup("verify", "--phase", phase, "--stale", "--json")
    assert [one["unit"] for one in ran.json["units"]] == [one.id for one in UNITS.values() if one.phase == phase]
    for arguments, message in [
        (["--phase", "bedrok"], "There is no phase called 'bedrok'. Did you mean bedrock?"),
        (["vectors", "--phase", phase], "UNITS, --phase and --since each choose the units. Give one of them."),
        (["--since", "HEAD", "--stack", str(unit.folder.parent.parent)], "--since needs git's changes, and"),
    ]:
        ran = groundup("verify", "--stale", *arguments)
        assert ran.code == 2
        assert message in ran.err


def test_the_map_shows_the_proofs_that_hold_and_nothing_of_planned_units(groundup: Callable[..., Ran]) -> None:
    held = {one.id: standing for one in UNITS.values() if not (standing := proof.standing(one)).stale}
    units = {one["unit"]: one["proof"] for one in groundup("map", "--json").json["units"]}
    assert {name for name, shown in units.items() if shown} == held.keys()
    for name, standing in held.items():
        assert standing.proof is not None
        assert units[name] == {
            "refused": standing.proof.refused,
            "of": standing.proof.wrong,
            "date": standing.proof.date,
        }
        assert standing.proof.words in groundup("map").out
    assert groundup("map", "--all").out.count("wrong versions") == len(held)


def test_a_proof_reads_as_text_that_git_can_compare(unit: Unit) -> None:
    kept(unit)
    text = (unit.folder / "proof.json").read_bytes()
    assert text.endswith(b"}\n")
    assert b"\r" not in text
    assert json.loads(text)["date"][:2] == "20"
