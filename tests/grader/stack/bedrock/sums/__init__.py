"""Sums, for the tests of the grader."""
# pyright: reportMissingImports=false

from groundup.stack.bedrock.sums.sums import RunningMean, scale_in_place, softmax, total

__all__ = ["RunningMean", "scale_in_place", "softmax", "total"]
