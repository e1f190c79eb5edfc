"""Evaluation of classifiers: counts, curves, calibration, cross-validation and thresholds by cost."""

from groundup.stack.classical.evaluation.evaluation import (
    Calibration,
    Decision,
    PrecisionRecallCurve,
    RocCurve,
    Scores,
    average_precision,
    calibration_curve,
    cheapest_threshold,
    confusion_matrix,
    cross_validate,
    expected_calibration_error,
    precision_recall_curve,
    precision_recall_f1,
    roc_auc,
    roc_curve,
    stratified_folds,
)

__all__ = [
    "Calibration",
    "Decision",
    "PrecisionRecallCurve",
    "RocCurve",
    "Scores",
    "average_precision",
    "calibration_curve",
    "cheapest_threshold",
    "confusion_matrix",
    "cross_validate",
    "expected_calibration_error",
    "precision_recall_curve",
    "precision_recall_f1",
    "roc_auc",
    "roc_curve",
    "stratified_folds",
]
