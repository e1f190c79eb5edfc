"""Cases: decided by a person, in one transaction with the block list, and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.systems.sentinel import cases as module
from groundup.systems.sentinel.cases import Cases, Standing, open_cases, propose
from tests.systems.sentinel.conftest import finding


def entries(cases: Cases) -> list[str]:
    text = cases.list_file.read_text(encoding="utf-8") if cases.list_file.is_file() else ""
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_proposal_changes_nothing(cases: Cases):
    case = cases.add(finding())
    assert case.finding.proposed == "block"
    assert (cases.listed(), entries(cases), case.standing) == ([], [], None)


def test_a_decision_and_its_undo_are_in_the_store_and_the_list(cases: Cases):
    case = cases.add(finding())
    decided = cases.decide(case.id, "block", by="ada")
    assert decided.standing is not None
    assert decided.standing.by == "ada"
    assert entries(cases) == cases.listed() == ["block host paypa1-login.top"]
    undone = cases.undo(case.id[:4], by="grace")
    assert undone.standing is None
    assert undone.decisions[0].undone.endswith("by grace"), "the record of it stays"
    assert entries(cases) == cases.listed() == []


def test_where_the_list_cannot_be_written_nothing_is_decided(cases: Cases, monkeypatch: pytest.MonkeyPatch):
    case = cases.add(finding())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "replace_file", full)
    with pytest.raises(StoreError, match=r"The block list .*No space left on device\. Nothing was decided\."):
        cases.decide(case.id, "block", by="ada")
    assert cases.find(case.id).decisions == ()


def test_where_the_store_fails_after_the_list_was_written_the_list_is_put_back(
    cases: Cases, monkeypatch: pytest.MonkeyPatch
):
    first, second = cases.add(finding()), cases.add(finding(host="other.top"))
    cases.decide(first.id, "block", by="ada")
    write, calls = cases._write_list, []

    def fails() -> None:
        write()
        calls.append(entries(cases))
        if len(calls) == 1:
            raise RuntimeError("the power goes")

    monkeypatch.setattr(cases, "_write_list", fails)
    with pytest.raises(RuntimeError):
        cases.decide(second.id, "block", by="ada")
    assert calls[0] == ["block host other.top", "block host paypa1-login.top"], "it was written"
    assert entries(cases) == cases.listed() == ["block host paypa1-login.top"]


def test_a_list_that_is_lost_or_changed_is_written_again_when_the_store_is_opened(cases: Cases):
    case = cases.add(finding())
    cases.decide(case.id, "block", by="ada")
    cases.list_file.write_text("block host everything\n", encoding="utf-8")
    with open_cases(cases.store) as again:
        assert entries(again) == ["block host paypa1-login.top"]


def test_one_decision_stands_at_a_time(cases: Cases):
    case = cases.add(finding())
    with pytest.raises(Standing, match=r"has no decision that stands"):
        cases.undo(case.id, by="ada")
    cases.decide(case.id, "quarantine", by="ada")
    with pytest.raises(Standing, match=r"is decided: quarantine, by ada\. Undo that first\."):
        cases.decide(case.id, "block", by="eve")


def test_the_policy_is_in_code(cases: Cases):
    own = cases.add(finding(host="accounts.google.com"))
    with pytest.raises(UsageError, match=r"accounts.google.com is google's own. Quarantine the case"):
        cases.decide(own.id, "block", by="ada")
    log = cases.add(finding(host="", hashes={"log": "ab" * 32}))
    with pytest.raises(UsageError, match=r"must be quarantine or allow for a case without a URL, got 'block'"):
        cases.decide(log.id, "block", by="ada")
    cases.decide(log.id, "quarantine", by="ada")
    assert cases.listed() == [f"quarantine sha256 {'ab' * 32}"]
    with pytest.raises(UsageError, match="by must name who decides, got nothing"):
        cases.decide(cases.add(finding()).id, "block", by="  ")
    with pytest.raises(UsageError, match="action must be block, allow, quarantine, got 'erase'"):
        cases.decide(cases.add(finding()).id, "erase", by="ada")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "host", "action"),
    [
        ("high", "x.top", "block"), ("high", "", "quarantine"), ("medium", "x.top", "quarantine"), ("low", "", "allow"),
        ("unknown", "x.top", ""),
    ],
)  # fmt: skip
def test_what_is_proposed(level, host, action):
    assert propose(level, host) == action


def test_cases_are_found_by_the_beginning_of_their_id_and_survive(cases: Cases):
    case = cases.add(finding())
    with open_cases(cases.store) as again:
        assert again.find(case.id[:5]) == case
        with pytest.raises(UnknownName, match="There is no case called 'zz'"):
            again.find("zz")


def test_a_file_that_is_no_store_is_one_clear_error(tmp_path: Path):
    (tmp_path / "x.sqlite").write_text("not a database at all, but long enough to be looked at " * 20)
    with pytest.raises(StoreError, match=r"store must be a file of cases that can be read and written"):
        with open_cases(tmp_path / "x.sqlite"):
            pass
