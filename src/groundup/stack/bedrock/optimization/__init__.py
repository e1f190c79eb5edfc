"""Optimization: step rules, schedules, a Wolfe line search, Newton and L-BFGS directions, and surfaces to race on."""

from groundup.stack.bedrock.optimization.optimization import (
    Surface,
    Track,
    Trial,
    adam_step,
    descend,
    himmelblau,
    lbfgs_direction,
    minimize,
    momentum_step,
    newton_direction,
    quadratic,
    rmsprop_step,
    rosenbrock,
    saddle,
    warmup_cosine,
    wolfe_line_search,
)

__all__ = [
    "Surface",
    "Track",
    "Trial",
    "adam_step",
    "descend",
    "himmelblau",
    "lbfgs_direction",
    "minimize",
    "momentum_step",
    "newton_direction",
    "quadratic",
    "rmsprop_step",
    "rosenbrock",
    "saddle",
    "warmup_cosine",
    "wolfe_line_search",
]
