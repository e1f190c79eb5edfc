"""Automatic differentiation: gradients of any expression of arrays, by the chain rule backwards."""

from groundup.stack.bedrock.autograd.autograd import (
    Tensor,
    gradcheck,
    numerical_gradient,
    topological_order,
    unbroadcast,
)

__all__ = ["Tensor", "gradcheck", "numerical_gradient", "topological_order", "unbroadcast"]
