"""Anomalies: each kind is found where it was put, and next to nothing where nothing was."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from groundup.errors import UsageError
from groundup.systems.copilot.finding.anomalies import Anomaly, anomalies
from groundup.systems.copilot.reading.logs import Record, parse
from tests.systems.copilot.incidents import INCIDENTS, START, healthy

BEGIN = START.timestamp()
WORDS = "alder birch cedar elder hazel larch maple poplar rowan walnut willow yew".split()


def record(second: float, service: str | None, message: str, level: str = "info", **fields: object) -> Record:
    return Record(0, message, message, BEGIN + second, level, service, dict(fields))


def traffic(seconds: int = 6_000, seed: int = 0) -> list[Record]:
    """Two services, about a line each second."""
    rng = random.Random(seed)
    made = [record(rng.uniform(0, seconds), "api", f"request {i} served") for i in range(seconds)]
    made += [record(rng.uniform(0, seconds), "jobs", f"job {i} done") for i in range(seconds // 2)]
    return sorted(made, key=lambda one: one.time or 0)


def among(records: Iterable[Record], **options: object) -> list[Anomaly]:
    return anomalies(sorted(records, key=lambda one: one.time or 0), **options)  # type: ignore[arg-type]


def test_a_template_that_its_service_had_never_written_is_new() -> None:
    extra = [record(3_000 + i, "api", f"pool exhausted, {i} wait", "error") for i in range(30)]
    (one,) = among([*traffic(), *extra], window="100s")
    assert (one.kind, one.service, one.template, one.level) == ("new", "api", "pool exhausted, <*> wait", "error")
    assert one.count == 30
    assert one.start <= BEGIN + 3_000 < BEGIN + 3_029 < one.end
    assert one.end - one.start <= 200
    assert one.surprise > 10


def test_a_single_new_line_is_told_where_new_ones_are_rare_and_not_where_they_are_usual() -> None:
    needle = record(4_000, "api", "certificate expired", "error")
    assert [one.kind for one in among([*traffic(), needle])] == ["new"]
    rng = random.Random(5)

    def noise(level: str) -> list[Record]:
        said = (" ".join("".join(rng.choices("abcdefgh", k=4)) for _ in "123") for _ in range(300))
        return [record(i * 20, "api", text, level) for i, text in enumerate(said)]

    found = {level: among([*traffic(), *noise(level), needle]) for level in ("info", "error")}
    told = {level: [one for one in found[level] if one.text == needle.text] for level in found}
    assert len(told["info"]) == 1  # new information does not make a new error usual
    assert told["error"] == []


def test_services_that_begin_at_once_are_one_anomaly() -> None:
    boot = [record(4_000 + i, f"driver-{i % 5}", f"device {i} found") for i in range(60)]
    (one,) = among([*traffic(), *boot], window="100s")
    assert (one.kind, one.template) == ("new", None)
    assert {one.service, *one.together} == {f"driver-{i}" for i in range(5)}
    later = [record(5_000 + i, "backup", f"file {i} saved") for i in range(60)]
    found = among([*traffic(), *boot, *later], window="100s")
    assert [len(one.together) for one in found] == [4, 0]


def test_no_errors_are_no_failure() -> None:
    def found(text: str) -> list[Anomaly]:
        noise = [record(100 + i * 97, "api", f"{word} is ready") for i, word in enumerate(WORDS)]
        return among([*traffic(), *noise, record(5_000, "api", text)])

    assert found("configuration read, 0 errors") == []
    assert [one.kind for one in found("configuration read, 7 errors")] == ["new"]


def test_a_template_that_comes_far_more_often_than_before_is_a_burst() -> None:
    extra = [record(4_000 + i / 2, "jobs", f"job {i} done") for i in range(800)]
    (one,) = among([*traffic(), *extra], window=100)
    assert (one.kind, one.service, one.template) == ("burst", "jobs", "job <*> done")
    assert one.count > 3 * one.expected
    assert one.end - one.start == 400 or one.end - one.start == 500


def test_a_burst_in_the_first_windows_is_compared_with_those_after_it() -> None:
    extra = [record(210 + i / 10, "jobs", f"job {i} done") for i in range(800)]
    found = among([*traffic(), *extra], window=100)
    assert [(one.kind, one.service) for one in found] == [("burst", "jobs")]
    assert found[0].start < BEGIN + 210 + 1 < found[0].end


def test_a_service_that_stops_is_told_once_as_a_whole() -> None:
    kept = [one for one in traffic() if one.service == "api" or (one.time or 0) < BEGIN + 3_000]
    (one,) = among(kept, window=100)
    assert (one.kind, one.service, one.template, one.count) == ("silence", "jobs", None, 0)
    assert one.expected == pytest.approx(50 * 29, rel=0.1)
    assert abs(one.start - BEGIN - 3_000) <= 100


def test_a_template_that_stops_while_its_service_goes_on_is_told() -> None:
    beats = [record(i * 10, "api", "heartbeat ok") for i in range(400)]
    (one,) = among([*traffic(), *beats], window=100)
    assert (one.kind, one.service, one.template) == ("silence", "api", "heartbeat ok")


def test_a_service_that_was_not_there_is_new_as_a_whole() -> None:
    extra = [record(4_000 + i, "kernel", f"oom-killer {i}") for i in range(5)]
    (one,) = among([*traffic(), *extra])
    assert (one.kind, one.service, one.template, one.count) == ("new", "kernel", None, 5)


def test_an_answer_that_fails_is_another_series_than_one_that_does_not() -> None:
    extra = [record(4_000 + i, "api", f"request {i} served", status=502) for i in range(20)]
    (one,) = among([*traffic(), *extra])
    assert (one.kind, one.template, one.status) == ("new", "request <*> served", "5xx")


@pytest.mark.parametrize("name", ["silence", "limited", "kernel", "storm", "needle", "change", "access", "traceback"])
def test_incidents_that_change_counts_are_found(name: str) -> None:
    assert anomalies(parse(INCIDENTS[name][0]()))


def test_in_quiet_logs_there_are_next_to_no_alarms() -> None:
    alarms = [len(anomalies(parse(healthy(3_000, seed)))) for seed in range(20)]
    alarms += [len(anomalies(traffic(3_000, seed))) for seed in range(20)]
    assert sum(alarms) <= 7  # `benchmarks/classifier.py` counts them over more


def test_where_times_are_too_few_to_compare_nothing_is_said() -> None:
    assert anomalies([]) == []
    assert anomalies([Record(1, "x", "x")] * 50) == []
    assert anomalies([record(5, "a", "x")] * 50) == []
    assert anomalies([record(i, "a", "x") for i in range(50)], window="10s") == []  # five windows


def test_a_record_without_a_time_goes_with_the_one_before_it() -> None:
    extra = []
    for i in range(30):
        extra += [record(3_000 + i, "api", "x"), Record(0, "y", "stack trace of it", None, "error", "api")]
    found = anomalies([*traffic()[:4_400], *extra])
    assert {one.template for one in found if one.kind == "new"} == {"x", "stack trace of it"}


def test_a_window_that_cannot_be_is_refused() -> None:
    for window in ("soon", "-5s", 0, float("nan")):
        with pytest.raises(UsageError, match=r"window must be a span such as 30s, 5m or 1h, got"):
            anomalies(traffic(100), window=window)
    with pytest.raises(
        UsageError, match=r"at most 5,000 of them, and 5,9\d\d seconds of logs have 59,\d\d\d of 0\.1 s"
    ):
        anomalies(traffic(), window=0.1)
