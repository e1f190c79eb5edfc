"""Attention, for the tests of the grader."""
# pyright: reportMissingImports=false

from groundup.stack.deep.heads.heads import attend

__all__ = ["attend"]
