"""Validation: the rules of a table, the rows that break them, and the columns that drift."""

from groundup.stack.production.validation.validation import (
    KINDS,
    Column,
    Comparison,
    Drift,
    Kind,
    Violation,
    chi2_test,
    find_broken,
    find_drift,
    find_missing,
    find_repeated,
    ks_test,
    of_kind,
    refused_rows,
    report,
    validate,
)

__all__ = [
    "KINDS",
    "Column",
    "Comparison",
    "Drift",
    "Kind",
    "Violation",
    "chi2_test",
    "find_broken",
    "find_drift",
    "find_missing",
    "find_repeated",
    "ks_test",
    "of_kind",
    "refused_rows",
    "report",
    "validate",
]
