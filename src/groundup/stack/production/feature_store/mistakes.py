# pyright: basic
"""Ways to get a feature store wrong, and right ways that differ."""

from datetime import UTC, datetime, timedelta

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.production.feature_store.feature_store import (
    EPOCH,
    Entry,
    Skew,
    _check_asked,
    _check_columns,
)


@mistake("instants")
def takes_naive_times_for_utc(times):
    """You take a time without offset for UTC. It may be any zone's: refuse it, and let its source say which."""
    moments = []
    for time in times:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moments.append((moment - EPOCH) // timedelta(microseconds=1))
    return np.array(moments, dtype=np.int64)


@mistake("instants", edit=("(moment - EPOCH) //", "(moment.replace(tzinfo=UTC) - EPOCH) //"))
def drops_the_offset():
    """You put UTC in the place of the offset, and keep what the clock showed. Convert: 10:00+02:00 is 08:00 in UTC."""


@mistake("instants", edit=("(moment - EPOCH) // timedelta(microseconds=1)", "int(moment.timestamp() * 1e6)"))
def goes_through_a_float():
    """You go through a float of seconds, which has no exact microseconds. Divide timedeltas: they are integers."""


@mistake("point_in_time", edit=('side="right"', 'side="left"'))
def leaves_out_the_same_moment():
    """You take rows before the time only. A row of the very same moment counts: at or before."""


@mistake("point_in_time", edit=("(view.created[order[at]] > moments)", "(view.created[order[at]] > 2**62)"))
def knows_later_corrections():
    """You ask for the event time only. A row that was written later was not known then: training sees the future."""


@mistake("point_in_time", edit=("np.lexsort((view.created, view.events, code))", "np.lexsort((view.events, code))"))
def ignores_created_in_ties():
    """At the same event time you take the last row of the table. The row that was created last is the correction."""


@mistake("point_in_time", edit=(">= moments - view.ttl", "> moments - view.ttl"))
def ends_a_moment_early():
    """You drop a row whose age is exactly the time to live. As in Feast, it still counts."""


@mistake("OnlineStore.write", edit=("(held.event, held.created) > (entry.event, entry.created)", "False"))
def keeps_the_last_written():
    """You keep what is written last. A late row of an older event then replaces a newer value: compare the times."""


@mistake(
    "OnlineStore.write", edit=("(held.event, held.created) > (entry.event, entry.created)", "held.event >= entry.event")
)
def misses_corrections():
    """You compare event times only, so a correction of the same event is not kept. Then the created time decides."""


@mistake(
    "OnlineStore.write",
    edit=("(held.event, held.created) > (entry.event, entry.created)", "held.created > entry.created"),
)
def orders_by_arrival():
    """You order by the created time. A late row of an older event is then taken for the newest: event time first."""


@mistake("OnlineStore.materialise", edit=("np.maximum(view.events, view.created)", "view.events"))
def misses_late_rows():
    """You look for event times after the watermark. A row that arrives late lies before it, and is missed for ever."""


@mistake("OnlineStore.materialise", edit=("np.maximum(view.events, view.created)", "view.created"))
def serves_the_future():
    """You look at created times only. A row written in advance is then served before its event time."""


@mistake("OnlineStore.materialise", edit=("self.watermark = now", "self.watermark = int(visible.max())"))
def moves_the_watermark_too_far():
    """You move the watermark to the newest row. Rows that are not visible yet are then skipped: move it to now."""


@mistake(
    "OnlineStore.read",
    edit=("entry is not None and (self.ttl is None or entry.event >= now - self.ttl)", "entry is not None"),
)
def serves_what_is_too_old():
    """You serve values after their time to live. Training gets NaN there, so the model has never seen them."""


@mistake(
    "OnlineStore.read",
    edit=("np.full((len(entities), len(self.features)), np.nan)", "np.zeros((len(entities), len(self.features)))"),
)
def serves_zero_for_nothing():
    """You serve 0 where there is no value. Training has NaN there: 0 is a value, and often a good one."""


@mistake("skew", edit=("& ~no_left & ~no_right", ""))
def counts_missing_as_different():
    """You count NaN as a difference: NaN differs from everything, itself too. Look at missing values first."""


@mistake("skew", edit=("~no_left & no_right, no_left & ~no_right", "no_left & ~no_right, ~no_left & no_right"))
def swaps_the_sides():
    """You took offline for online. A value that only training has is the dangerous one: name the right side."""


@variant("instants")
def through_utc(times):
    """Each time is turned into UTC, and its parts are counted."""
    moments = []
    for time in times:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
        if moment.tzinfo is None:
            raise ValueError(f"times need an offset, {time} has none")
        span = moment.astimezone(UTC) - EPOCH
        moments.append((span.days * 86400 + span.seconds) * 10**6 + span.microseconds)
    return np.asarray(moments, dtype="int64")


@variant("point_in_time")
def by_bisection(view, entities, times, known="then"):
    """A list for each entity, and a bisection for each question."""
    from bisect import bisect_right

    asked, moments = _check_asked(entities, times, known)
    rows = {}
    triples = zip(view.events.tolist(), view.created.tolist(), range(len(view.events)), strict=True)
    for event, created, at in sorted(triples):
        rows.setdefault(view.entities[at], []).append((event, created, at))
    places = []
    for entity, moment in zip(asked, moments.tolist(), strict=True):
        mine = rows.get(entity, [])
        last = bisect_right(mine, moment, key=lambda row: row[0]) - 1
        while last >= 0 and known == "then" and mine[last][1] > moment:
            last -= 1
        young = last >= 0 and (view.ttl is None or moment - mine[last][0] <= view.ttl)
        places.append(mine[last][2] if young else -1)
    return np.array(places, dtype=np.int64)


@variant("OnlineStore.materialise")
def row_by_row(self, view, now, overlap=0):
    """Each row is asked whether it is new."""
    if overlap < 0 or (self.watermark is not None and now < self.watermark):
        raise ValueError(f"overlap {overlap} below 0, or now {now} before the watermark {self.watermark}")
    kept = 0
    for at in range(len(view.entities)):
        moment = max(int(view.events[at]), int(view.created[at]))
        if moment > now or (self.watermark is not None and moment <= self.watermark - overlap):
            continue
        values = tuple(float(view.values[name][at]) for name in self.features)
        if self.write(view.entities[at], Entry(int(view.events[at]), int(view.created[at]), values)):
            kept += 1
    self.watermark = now
    return kept


@variant("skew")
def pair_by_pair(offline, online, tolerance=0.0):
    """Each pair of values is counted."""
    _check_columns(offline, online, tolerance)
    result = {}
    for name in offline:
        counts = [0, 0, 0]
        pairs = [(float(a), float(b)) for a, b in zip(offline[name], online[name], strict=True)]
        for left, right in pairs:
            if left != left or right != right:
                counts[0] += left == left
                counts[1] += right == right
            elif left != right and abs(left - right) > tolerance:
                counts[2] += 1
        result[name] = Skew(*(count / len(pairs) for count in counts))
    return result
