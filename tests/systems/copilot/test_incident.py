"""The synthetic incident: the same each time, in many formats, with a cause that can be found."""

from __future__ import annotations

import pytest

from groundup.errors import UsageError
from groundup.systems.copilot import parse, why
from groundup.systems.copilot.incident import FAILURE, NORMAL, Incident, generate
from groundup.systems.copilot.reading.logs import Record


@pytest.fixture(scope="module")
def incident() -> Incident:
    return generate(minutes=30)


def merged(incident: Incident) -> list[Record]:
    records = [record for name, lines in incident.files.items() for record in parse(lines, source=name)]
    return sorted(records, key=lambda record: record.time or 0)


def test_a_seed_gives_the_same_lines_and_another_one_others(incident: Incident):
    assert generate(minutes=30).files == incident.files
    assert generate(minutes=30, seed=8).files != incident.files


def test_each_service_writes_a_format_of_its_own(incident: Incident):
    formats = {name: {record.format for record in parse(lines)} for name, lines in incident.files.items()}
    assert formats["payment.log"] == {"json"}
    assert formats["kubelet.log"] == {"klog"}
    assert formats["mailer.log"] == {"logfmt"}
    assert formats["gateway.log"] == {"access"}
    assert all(record.time is not None for record in merged(incident))


def test_exceptions_stand_below_the_line_that_reports_them(incident: Incident):
    for log, exception in (("checkout.log", "SQLTransientConnection"), ("inventory.log", "CheckoutUnavailable")):
        joined = [record for record in parse(incident.files[log]) if record.joined]
        assert joined
        assert all(exception in " ".join(record.joined) for record in joined)


def test_the_cause_is_among_the_evidence(incident: Incident):
    found = [one.text for one in why(merged(incident))]
    assert set(incident.cause) <= set(found)
    assert any("could not be saved" in text for text in found)


def test_before_the_release_nothing_is_wrong(incident: Incident):
    before = [record for record in merged(incident) if (record.time or 0) < incident.release.timestamp()]
    assert len(before) > 1000
    assert why(before) == []


def test_labels_say_of_each_line_what_it_is(incident: Incident):
    for name, lines in incident.files.items():
        assert len(incident.labels[name]) == len(lines)
    failing = [
        line
        for name, lines in incident.files.items()
        for line, label in zip(lines, incident.labels[name], strict=True)
        if label == FAILURE
    ]
    assert any("ERROR" in line for line in failing)
    assert not any("payment authorised" in line for line in failing)
    assert incident.labels["mailer.log"].count(NORMAL) == len(incident.files["mailer.log"])


def test_a_log_that_is_too_short_has_no_before_and_after():
    with pytest.raises(UsageError, match="minutes must be 10 or more, so that there is a before and an after, got 3"):
        generate(minutes=3)
