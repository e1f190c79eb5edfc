"""Feature store: point-in-time joins, an online store with a watermark, and the skew between the two."""

from groundup.stack.production.feature_store.feature_store import (
    DAY,
    EPOCH,
    HOUR,
    SECOND,
    Entry,
    FeatureView,
    Instants,
    Known,
    OnlineStore,
    Skew,
    instants,
    join,
    latest,
    point_in_time,
    skew,
)

__all__ = [
    "DAY",
    "EPOCH",
    "HOUR",
    "SECOND",
    "Entry",
    "FeatureView",
    "Instants",
    "Known",
    "OnlineStore",
    "Skew",
    "instants",
    "join",
    "latest",
    "point_in_time",
    "skew",
]
