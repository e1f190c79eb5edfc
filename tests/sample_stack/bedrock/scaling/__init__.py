"""A unit small enough to see through, for the tests of the author's tools."""

from groundup.stack.bedrock.scaling.scaling import Scaler, mean

__all__ = ["Scaler", "mean"]
