"""Means, for the tests of the grader."""
# pyright: reportMissingImports=false

from groundup.stack.bedrock.means.means import mean, totals

__all__ = ["mean", "totals"]
