"""The vocabulary of checks, and the pytest plugin (`-p groundup.checking`) that every run of them loads.

- A single claim: `assert_close`, `assert_shape`, `assert_refuses`. What was asked is the check's docstring, unless the
  check gives a better message.
- What any function owes, one line each: `assert_unchanged`, `assert_number_kinds`, `assert_dtype_kept`,
  `assert_leading_axes`, `assert_rows_alone`, `assert_order_free`, `assert_nan_shown`, `assert_steps`,
  `assert_refuses_values`, `assert_refuses_nonfinite`, `assert_draws_from`.
- What an estimator owes, and a PyTorch module: `estimator_conventions`, `module_conventions`, each a list to
  parametrise one check with.
- For references and measurements: `numerical_gradient`, `growing`, `speed_ratio`, `runs_python_lines`.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from groundup.checking.assertions import (
    RUNNING,
    assert_close,
    assert_refuses,
    assert_shape,
    growing,
    runs_python_lines,
    speed_ratio,
)
from groundup.checking.estimators import estimator_conventions
from groundup.checking.functions import (
    assert_draws_from,
    assert_dtype_kept,
    assert_leading_axes,
    assert_nan_shown,
    assert_number_kinds,
    assert_order_free,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_rows_alone,
    assert_steps,
    assert_unchanged,
    numerical_gradient,
)
from groundup.checking.modules import module_conventions

__all__ = [
    "assert_close",
    "assert_draws_from",
    "assert_dtype_kept",
    "assert_leading_axes",
    "assert_nan_shown",
    "assert_number_kinds",
    "assert_order_free",
    "assert_refuses",
    "assert_refuses_nonfinite",
    "assert_refuses_values",
    "assert_rows_alone",
    "assert_shape",
    "assert_steps",
    "assert_unchanged",
    "estimator_conventions",
    "growing",
    "module_conventions",
    "numerical_gradient",
    "rng",
    "runs_python_lines",
    "speed_ratio",
]

# Verdicts must repeat: the same code gives the same examples. Deadlines belong to the grader, not to an example.
# The phase `explain` traces every line of a failing check to guess at the cause: seconds, for what the diagnosis does.
settings.register_profile(
    "groundup",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=25,
    phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("groundup")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seed`, the seed of the `rng` fixture."""
    parser.addoption("--seed", type=int, default=0, help="seed of the checks' random numbers")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep the docstring of the check that begins: it is the message where the check gives no other."""
    RUNNING["docstring"] = inspect.getdoc(getattr(item, "function", None)) or ""


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers for a check, the same on every run with the same seed."""
    return np.random.default_rng(request.config.getoption("--seed"))
