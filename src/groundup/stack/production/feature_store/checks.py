"""Checks of the feature store: small views by hand, and a search through all rows as the reference."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from groundup.checking import assert_refuses, assert_unchanged
from groundup.stack.production.feature_store import (
    DAY,
    Entry,
    FeatureView,
    OnlineStore,
    Skew,
    instants,
    join,
    latest,
    point_in_time,
    skew,
)


def same(actual, expected, message):
    """Fail with `message` unless both are equal; arrays as lists."""
    actual = actual.tolist() if isinstance(actual, np.ndarray) else actual
    assert actual == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


def view(*rows, ttl=None, name="v"):
    """A view of one feature, x, from rows (entity, event, created, x)."""
    entities, events, created, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    moments, written = np.array(events, dtype=np.int64), np.array(created, dtype=np.int64)
    return FeatureView(name, np.array(entities), moments, written, {"x": np.array(values, dtype=float)}, ttl)


def searched(rows, entity, time, known, ttl):
    """The reference: look at every row."""
    best, place = None, -1
    for at, (name, event, created, _) in enumerate(rows):
        seen = name == entity and event <= time and (known == "now" or created <= time)
        if seen and (best is None or (event, created) >= best):
            best, place = (event, created), at
    return -1 if best is None or (ttl is not None and best[0] < time - ttl) else place


def random_rows(rng, count, entities=4, span=12, delay=5):
    """Rows with many ties; some arrive late, some are created before their event."""
    events = rng.integers(0, span, count)
    created = events + rng.integers(-1, delay, count)
    return [
        (int(e), int(t), int(c), float(i))
        for i, (e, t, c) in enumerate(zip(rng.integers(0, entities, count), events, created, strict=True))
    ]


# instants


def test_instants_by_hand():
    """Microseconds since 1970 in UTC: 08:00 in UTC is 10:00 at +02:00; before 1970 they are negative."""
    texts = ["1970-01-01T00:00:00+00:00", "1970-01-01T10:00:00.000001+02:00", "1969-12-31T23:59:59.999999Z"]
    got = instants(texts)
    same(got, [0, 8 * 3600 * 10**6 + 1, -1], "the moments")
    same(got.dtype, np.dtype(np.int64), "the dtype")
    same(instants(iter([datetime(1970, 1, 2, tzinfo=UTC)])), [DAY], "a datetime, in an iterator")
    same((instants([]).tolist(), instants([]).dtype), ([], np.dtype(np.int64)), "no times")


def test_instants_are_exact():
    """No microsecond is lost on the way, which a float of seconds would do."""
    start = datetime(2026, 11, 30, 12, tzinfo=timezone(timedelta(hours=-5, minutes=-30)))
    times = [start + timedelta(microseconds=step) for step in range(0, 1000, 7)]
    expected = [instants([start]).tolist()[0] + step for step in range(0, 1000, 7)]
    same(instants(times), expected, "moments a few microseconds apart")
    same(instants(["9999-12-31T23:59:59.999999Z"]), [253402300799999999], "the last moment of all")


def test_instants_know_the_repeated_hour():
    """On 25 October 2026 Berlin's clocks go back at 03:00: 02:30 happens twice, an hour apart."""
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1))
    same(instants([first, second]), instants(["2026-10-25T00:30Z", "2026-10-25T01:30Z"]).tolist(), "both half past two")
    summer = datetime(2026, 7, 1, 12, tzinfo=berlin)
    same(instants([summer]), instants(["2026-07-01T10:00Z"]).tolist(), "noon in July")


@pytest.mark.parametrize("time", [datetime(2026, 1, 2, 3), "2026-01-02T03:00:00", "2026-01-02"])
def test_instants_refuse_a_time_without_offset(time):
    """A time that does not say where its clock stood could be any of a day's moments."""
    assert_refuses(lambda: instants(["2026-01-02T03:00Z", time]), "times", "2026-01-02")


# point_in_time


def test_point_in_time_by_hand():
    """The last row at or before each time, of the right entity, whatever the order of rows and questions."""
    rows = view(("b", 10, 10, 1), ("a", 30, 30, 2), ("a", 10, 10, 3), ("a", 20, 20, 4))
    same(point_in_time(rows, ["a", "a", "a", "a", "a"], [9, 10, 19, 20, 99]), [-1, 2, 2, 3, 1], "rows of a")
    same(point_in_time(rows, ["b", "a", "c", "0"], [99, 25, 99, 99]), [0, 3, -1, -1], "rows of b, a, and of strangers")


def test_point_in_time_ends_with_the_time_to_live():
    """Exactly ttl later a row still counts, a microsecond later none. With ttl 0 only the same moment counts."""
    rows = view(("a", 10, 10, 1), ("a", 20, 20, 2), ttl=5)
    same(point_in_time(rows, ["a"] * 6, [10, 15, 16, 20, 25, 26]), [0, 0, -1, 1, 1, -1], "rows with a ttl of 5")
    same(point_in_time(view(("a", 10, 10, 1), ttl=0), ["a", "a"], [10, 11]), [0, -1], "rows with a ttl of 0")
    same(point_in_time(view(("a", 10, 10, 1)), ["a"], [10**15]), [0], "a row that lives for ever")


def test_point_in_time_sees_no_later_correction():
    """A correction counts from the moment when it was written; with known="now" it counts always, as in Feast."""
    rows = view(("a", 10, 10, 1), ("a", 10, 30, 2), ("a", 20, 25, 3))
    times = [9, 10, 20, 24, 25, 30]
    same(point_in_time(rows, ["a"] * 6, times), [-1, 0, 0, 0, 2, 2], "rows as known then")
    same(point_in_time(rows, ["a"] * 6, times, "now"), [-1, 1, 2, 2, 2, 2], "rows as known now")
    rows = view(("a", 10, 10, 1), ("a", 10, 30, 2))
    same(point_in_time(rows, ["a"] * 2, [29, 30]), [0, 1], "a correction of the newest row")


def test_point_in_time_breaks_ties():
    """At the same event time the row created last counts; of those created together, the last in the view."""
    rows = view(("a", 10, 12, 1), ("a", 10, 11, 2), ("a", 10, 12, 3), ("a", 10, 11, 4))
    same(point_in_time(rows, ["a", "a", "a"], [10, 11, 12]), [-1, 3, 2], "rows as known then")
    same(point_in_time(rows, ["a", "a"], [10, 12], "now"), [2, 2], "rows as known now")


@pytest.mark.parametrize("known", ["then", "now"])
@pytest.mark.parametrize("ttl", [None, 0, 3])
def test_point_in_time_is_a_search_through_all_rows(rng, known, ttl):
    """On random rows with many ties and late arrivals, it is what looking at every row gives."""
    for count in (0, 1, 5, 60):
        rows = random_rows(rng, count)
        entities, times = rng.integers(-1, 6, 80), rng.integers(-2, 20, 80)
        expected = [searched(rows, e, t, known, ttl) for e, t in zip(entities.tolist(), times.tolist(), strict=True)]
        same(point_in_time(view(*rows, ttl=ttl), entities, times, known), expected, f"places among {count} rows")


def test_point_in_time_answers_each_question_alone(rng):
    """Other questions change nothing, arguments stay as they were, and none gives none."""
    rows = view(*random_rows(rng, 30))
    entities, times = rng.integers(0, 5, 20), rng.integers(0, 15, 20)
    together = point_in_time(rows, entities, times)
    alone = [point_in_time(rows, [e], [t]).tolist()[0] for e, t in zip(entities, times, strict=True)]
    same(together, alone, "places")
    same(together.dtype, np.dtype(np.int64), "the dtype")
    assert_unchanged(lambda e, t: point_in_time(rows, e, t), entities, times)
    same(point_in_time(rows, np.array([], dtype=int), np.array([], dtype=int)), [], "no questions")


def test_point_in_time_refuses_slips():
    """Lengths differ, times are no integers, known is another word."""
    rows = view(("a", 10, 10, 1))
    assert_refuses(lambda: point_in_time(rows, ["a"], [1, 2]), "times")
    assert_refuses(lambda: point_in_time(rows, ["a"], [1.5]), "times", "float64")
    assert_refuses(lambda: point_in_time(rows, ["a"], [1], "later"), "known", "later")  # type: ignore[arg-type]


# OnlineStore.write


@pytest.fixture
def store():
    """A store of one feature, whose values live for ever."""
    return OnlineStore(["x"])


def test_write_keeps_the_newest(store):
    """A later event time wins; at the same event time, a later created time."""
    for event, created, kept in ((10, 12, True), (9, 99, False), (11, 11, True), (11, 10, False), (11, 12, True)):
        same(store.write("a", Entry(event, created, (float(event),))), kept, f"event {event}, created {created}: kept?")
    same(store.entries, {"a": Entry(11, 12, (11.0,))}, "the entries")


def test_write_twice_changes_nothing(store):
    """The same times again: the entry that is written last stays, and it counts as kept."""
    same([store.write("a", Entry(10, 10, (value,))) for value in (1.0, 1.0, 2.0)], [True] * 3, "kept?")
    same(store.entries["a"].values, (2.0,), "the values")


def test_write_takes_entities_by_themselves():
    """Entities do not mix, and an entry has a value for each feature."""
    store = OnlineStore(["x", "y"])
    store.write("a", Entry(10, 10, (1.0, 2.0)))
    store.write(7, Entry(5, 5, (3.0, 4.0)))
    same({name: entry.event for name, entry in store.entries.items()}, {"a": 10, 7: 5}, "events of the entries")
    for values in ((), (1.0,), (1.0, 2.0, 3.0)):
        assert_refuses(lambda values=values: store.write("a", Entry(20, 20, values)), "entry", len(values))
    same(store.entries["a"], Entry(10, 10, (1.0, 2.0)), "the entry after refusals")


# OnlineStore.materialise


def test_materialise_by_hand(store):
    """What was visible by now is written, the newest of each entity stays, and the watermark moves."""
    rows = view(("a", 10, 10, 1), ("b", 11, 12, 2), ("a", 20, 20, 3), ("a", 15, 16, 4), ("b", 30, 31, 5))
    same(store.materialise(rows, 20), 3, "rows kept: the one of event 15 is older than what is there")
    same({name: entry.values for name, entry in store.entries.items()}, {"a": (3.0,), "b": (2.0,)}, "the values")
    same(store.watermark, 20, "the watermark")
    same(
        (store.materialise(rows, 30), store.watermark),
        (0, 30),
        "kept and watermark: a row created at 31 is not there yet",
    )
    same((store.materialise(rows, 31), store.entries["b"].values), (1, (5.0,)), "kept, and the value")


def test_materialise_writes_what_is_new_only(store, monkeypatch):
    """An increment looks at what became visible after the watermark, up to and including now."""
    rows = view(("a", 10, 10, 1), ("a", 20, 20, 2), ("a", 30, 30, 3), ("a", 40, 40, 4))
    written = []
    monkeypatch.setattr(store, "write", lambda entity, entry: written.append((entity, entry)) or True)
    for now, events in ((20, [10, 20]), (20, []), (29, []), (40, [30, 40])):
        written.clear()
        same(store.materialise(rows, now), len(events), f"rows kept at {now}")
        same(written, [("a", Entry(event, event, (event / 10,))) for event in events], f"rows written at {now}")
    for overlap, events in ((0, []), (10, [40]), (11, [30, 40]), (99, [10, 20, 30, 40])):
        written.clear()
        store.materialise(rows, 40, overlap)
        same([entry.event for _, entry in written], events, f"events written with an overlap of {overlap}")


def test_materialise_misses_no_late_row(store):
    """A row whose event time lies before the watermark, and which is written after it, still arrives."""
    before = [("a", 10, 10, 1), ("b", 40, 40, 2)]
    store.materialise(view(*before), 50)
    late = view(*before, ("a", 30, 55, 3), ("b", 35, 56, 4), ("c", 5, 57, 5))
    same(store.materialise(late, 60), 2, "late rows kept: that of b is older than what is there")
    same({name: entry.values[0] for name, entry in store.entries.items()}, {"a": 3.0, "b": 2.0, "c": 5.0}, "the values")


def test_materialise_serves_no_future(store):
    """A row that was written in advance, a price of tomorrow, is written once its event time has come."""
    rows = view(("a", 10, 10, 1), ("a", 40, 5, 2))
    store.materialise(rows, 20)
    same(store.entries["a"].values, (1.0,), "before")
    store.materialise(rows, 40)
    same(store.entries["a"].values, (2.0,), "at its event time")


def test_materialise_takes_the_stores_features():
    """Values come in the order of the store's features; others of the view are left out."""
    columns = {name: np.array([value]) for name, value in (("z", 1.0), ("y", np.nan), ("x", 3.0))}
    store = OnlineStore(["x", "z"])
    store.materialise(FeatureView("v", np.array([7]), np.array([1]), np.array([1]), columns), 1)
    same(repr(store.entries[7]), "Entry(event=1, created=1, values=(3.0, 1.0))", "the entry, in Python's numbers")


def test_materialise_refuses_to_go_back(store):
    """A clock that goes back, or a negative overlap, would leave rows out; the same moment again is fine."""
    rows = view(("a", 10, 10, 1))
    store.materialise(rows, 50)
    store.materialise(rows, 50)
    assert_refuses(lambda: store.materialise(rows, 49), "now", 49)
    assert_refuses(lambda: store.materialise(rows, 60, -1), "overlap", -1)
    same(store.watermark, 50, "the watermark after refusals")
    assert_refuses(lambda: OnlineStore(["x"]).materialise(rows, 60, -1), "overlap", -1)


# OnlineStore.read


def test_read_by_hand():
    """A value for each entity that is asked for, in any order, twice if need be; NaN for strangers."""
    store = OnlineStore(["x", "y"])
    store.write("a", Entry(10, 10, (1.0, 2.0)))
    store.write("b", Entry(20, 20, (3.0, np.nan)))
    got = store.read(["b", "c", "a", "b"], 20)
    same(list(got), ["x", "y"], "the features")
    assert np.array_equal(got["x"], [3, np.nan, 1, 3], equal_nan=True), f"x is {got['x']}"
    assert np.array_equal(got["y"], [np.nan, np.nan, 2, np.nan], equal_nan=True), f"y is {got['y']}"
    same(
        {name: (part.dtype, part.shape) for name, part in store.read(np.array([], dtype=str), 5).items()},
        dict.fromkeys("xy", (np.dtype(float), (0,))),
        "none asked",
    )


def test_read_ends_with_the_time_to_live():
    """An entry is served up to and including its event time plus ttl; without a ttl for ever."""
    for ttl, times in ((5, [True, True, False]), (0, [True, False, False]), (None, [True, True, True])):
        store = OnlineStore(["x"], ttl)
        store.write(3, Entry(10, 12, (1.0,)))
        got = [not np.isnan(store.read(np.array([3]), now)["x"][0]) for now in (10, 15, 16)]
        same(got, times, f"served at 10, 15 and 16 with a ttl of {ttl}")


def test_read_is_the_point_in_time_join(rng):
    """Materialised up to a moment, in steps of any size, the store serves what the join gives for that moment."""
    for ttl in (None, 4):
        rows = view(*random_rows(rng, 80), ttl=ttl)
        store = OnlineStore(["x"], ttl)
        for now in np.unique(rng.integers(0, 20, 6)).tolist():
            store.materialise(rows, now, overlap=int(rng.integers(0, 3)))
            online, offline = store.read(np.arange(6), now)["x"], join([rows], np.arange(6), np.full(6, now))["v__x"]
            assert np.array_equal(online, offline, equal_nan=True), f"at {now}: served {online}, joined {offline}"


# skew


def test_skew_by_hand():
    """Of eight rows, one has a value offline only, two online only, one differs; NaN on both sides agrees."""
    nan = np.nan
    offline = {"x": [1, nan, 3, nan, nan, 6, 7, 8.0], "y": [1.0] * 8}
    online = {"y": [1.0] * 8, "x": [1, nan, nan, 4, 5, 6.5, 7, 8.0]}
    got = skew(offline, online)
    same(got, {"x": Skew(0.125, 0.25, 0.125), "y": Skew(0, 0, 0)}, "the skew")
    same((list(got), got["x"].total), (["x", "y"], 0.5), "the features in order, and the total")
    turned = repr(skew(online, offline)["x"])
    same(
        turned, "Skew(only_offline=0.25, only_online=0.125, different=0.125)", "the other way round, in Python's floats"
    )


def test_skew_has_a_tolerance():
    """A difference of exactly the tolerance agrees, in either direction. Equal infinities agree, others differ."""
    for tolerance, share in ((0, 1), (0.25, 0.5), (0.5, 0.0)):
        same(skew({"x": [1, 1.0]}, {"x": [1.25, 0.5]}, tolerance)["x"], Skew(0, 0, share), f"tolerance {tolerance}")
    small = np.array([1, 3], dtype=np.uint8)
    same(skew({"x": small}, {"x": small[::-1]}, 2)["x"], Skew(0, 0, 0.0), "unsigned numbers, which have no -2")
    inf = np.inf
    same(skew({"x": [inf, -inf, inf, 1]}, {"x": [inf, -inf, -inf, inf]}, 9)["x"], Skew(0, 0, 0.5), "infinities")


def test_skew_refuses_what_does_not_compare():
    """Other features, other lengths, no rows, a negative tolerance."""
    assert_refuses(lambda: skew({"x": [1]}, {"y": [1]}), "online")
    assert_refuses(lambda: skew({"x": [1]}, {"x": [1, 2]}), "online")
    assert_refuses(lambda: skew({"x": []}, {"x": []}), "one")
    for tolerance in (-0.5, np.nan):
        assert_refuses(lambda tolerance=tolerance: skew({"x": [1]}, {"x": [1]}, tolerance), "tolerance")


# the whole


def test_join_takes_each_view_by_itself():
    """Columns of two views, each with its own time to live and its own rows; the naive join leaks."""
    first, second = view(("a", 10, 10, 1), ("a", 30, 30, 2), ttl=5), view(("a", 5, 5, 7), name="w")
    got = join([first, second], ["a", "a", "b"], [12, 25, 12])
    assert np.array_equal(got["v__x"], [1, np.nan, np.nan], equal_nan=True), f"v__x is {got['v__x']}"
    assert np.array_equal(got["w__x"], [7, 7, np.nan], equal_nan=True), f"w__x is {got['w__x']}"
    same(list(got), ["v__x", "w__x"], "the columns")
    same(latest([first], ["a"])["v__x"], [2.0], "the naive join gives a value of the future")
    assert_refuses(lambda: join([first, first], ["a"], [12]), "views")
    assert_refuses(lambda: view(("a", 1, 1, 1), ttl=-1), "ttl", -1)
