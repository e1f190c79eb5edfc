"""Datasets: where they come from, their checksums and their provenance.

    passengers = load("titanic")
    passengers["Age"]            # float64 with NaN where the age is not known
    passengers.missing("Age")    # the same as a mask
    passengers.provenance.label  # "real data, from the cache" or "STAND-IN: generated, ..."

Importing this package imports neither pooch nor anything else that is heavy.
"""

from __future__ import annotations

from groundup.data.dataset import Dataset, Provenance
from groundup.data.fetch import DataWarning, cache_folder
from groundup.data.loading import load, watch
from groundup.data.registry import REGISTRY, Entry

__all__ = ["REGISTRY", "DataWarning", "Dataset", "Entry", "Provenance", "cache_folder", "load", "watch"]
