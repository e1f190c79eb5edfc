"""`production/feature_store`: pandas' as-of join on the simple case, a search through all rows, and the errors."""

from datetime import datetime

import numpy as np
import pytest

from groundup.stack.production.feature_store import (
    DAY,
    HOUR,
    FeatureView,
    OnlineStore,
    instants,
    join,
    point_in_time,
    skew,
)


@pytest.mark.parametrize("ttl", [None, 0, 50, 5 * HOUR])
def test_without_corrections_it_is_pandas_merge_asof(ttl):
    pd = pytest.importorskip("pandas", reason="a peer")
    rng = np.random.default_rng(ttl)
    scale = 1 if ttl in (None, 50) else HOUR
    events, entities = rng.integers(0, 1000, 3000) * scale, rng.integers(0, 40, 3000)
    view = FeatureView("v", entities, events, events, {"x": rng.normal(size=3000)}, ttl)
    asked, times = rng.integers(0, 45, 2000), rng.integers(-5, 1100, 2000) * scale
    rows = pd.DataFrame({"entity": entities, "event": pd.to_datetime(events, unit="us"), "x": view.values["x"]})
    labels = pd.DataFrame({"entity": asked, "time": pd.to_datetime(times, unit="us"), "place": np.arange(2000)})
    joined = pd.merge_asof(
        labels.sort_values("time", kind="stable"),
        rows.sort_values("event", kind="stable"),
        left_on="time",
        right_on="event",
        by="entity",
        tolerance=None if ttl is None else pd.Timedelta(ttl, unit="us"),
    ).sort_values("place")
    got = join([view], asked, times)["v__x"]
    np.testing.assert_array_equal(got, joined["x"].to_numpy())
    assert 0.005 < np.isnan(got).mean() < 1


def test_instants_are_those_of_pandas():
    pd = pytest.importorskip("pandas", reason="a peer")
    texts = ["2026-03-29T01:59:59.999999+01:00", "2026-03-29T03:00:00+02:00", "1911-01-01T00:00:00.5-09:30"]
    expected = [pd.Timestamp(text).tz_convert("UTC").tz_localize(None).as_unit("us").asm8.astype(int) for text in texts]
    assert instants(texts).tolist() == expected
    assert instants([pd.Timestamp("2026-03-29T03:00", tz="Europe/Berlin")]).tolist() == [expected[1]]


def test_a_feast_like_history_with_corrections():
    """Feast's template: event <= t, event >= t - ttl, MAX(created) for each event time, the newest event."""
    rng = np.random.default_rng(5)
    events, entities = rng.integers(0, 200, 2000), rng.integers(0, 30, 2000)
    created = events + rng.integers(0, 40, 2000)
    view = FeatureView("v", entities, events, created, {"x": np.arange(2000.0)}, 25)
    asked, times = rng.integers(0, 30, 500), rng.integers(0, 220, 500)
    got = point_in_time(view, asked, times, "now")
    for entity, time, place in zip(asked, times, got, strict=True):
        seen = np.flatnonzero((entities == entity) & (events <= time) & (events >= time - 25))
        if not len(seen):
            assert place == -1
            continue
        newest = seen[events[seen] == events[seen].max()]
        assert place == newest[created[newest] == created[newest].max()][-1]


def test_texts_and_numbers_are_entities():
    for entities in (np.array(["long name", "b"]), np.array([7, 3], dtype=np.int32), np.array([2**40, 5])):
        view = FeatureView("v", entities, np.array([1, 1]), np.array([1, 1]), {"x": np.array([1.0, 2.0])})
        assert point_in_time(view, entities[::-1], [1, 1]).tolist() == [1, 0]
        store = OnlineStore(["x"])
        store.materialise(view, 1)
        assert store.read(entities[::-1].tolist(), 1)["x"].tolist() == [2, 1]


def test_a_long_time_and_many_entities_stay_exact():
    rng = np.random.default_rng(0)
    events = instants(["2026-11-30T00:00Z"])[0] + rng.permutation(20_000) * 7
    entities = rng.integers(0, 5000, 20_000)
    view = FeatureView("v", entities, events, events, {"x": np.arange(20_000.0)}, DAY)
    assert point_in_time(view, entities, events).tolist() == list(range(20_000))
    before = point_in_time(view, entities, events - 1)
    assert (events[before[before >= 0]] < events[before >= 0]).all()


def test_errors_name_the_next_step():
    empty = np.array([], dtype=np.int64)
    view = FeatureView("v", empty, empty, empty, {"x": empty.astype(float)})
    with pytest.raises(ValueError, match="must have an offset from UTC; got 2026-01-02 03:00:00. Say where"):
        instants([datetime(2026, 1, 2, 3)])
    with pytest.raises(ValueError, match="float64. Use instants"):
        point_in_time(view, [1], [1.5])
    with pytest.raises(ValueError, match=r"online must have the features of offline, \['x'\]; got \['y'\]"):
        skew({"x": [1]}, {"y": [1]})
    with pytest.raises(ValueError, match="created must have 0 rows, as entities; got 1"):
        FeatureView("v", empty, empty, np.array([1]), {})
    store = OnlineStore(["x"])
    store.materialise(view, 5)
    with pytest.raises(ValueError, match="before the watermark 5; got 4"):
        store.materialise(view, 4)
