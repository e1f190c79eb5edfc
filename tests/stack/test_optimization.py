"""`bedrock/optimization` against torch.optim and scipy.optimize, which its exercise forbids."""

import warnings
from functools import partial

import numpy as np
import pytest
from scipy import optimize

from groundup.stack.bedrock.optimization import (
    Track,
    adam_step,
    descend,
    himmelblau,
    minimize,
    momentum_step,
    quadratic,
    rmsprop_step,
    rosenbrock,
    saddle,
    warmup_cosine,
    wolfe_line_search,
)
from groundup.stack.bedrock.optimization.labs import logistic, passengers

START = np.array([-1.2, 1.0])


def theirs(make, steps, schedule=None):
    """Where an optimizer of PyTorch is on Rosenbrock's valley after some steps."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(START, requires_grad=True)
    optimizer = make(torch.optim, [x])
    scheduler = schedule(torch.optim.lr_scheduler, optimizer) if schedule else None
    for _ in range(steps):
        optimizer.zero_grad()
        ((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2).backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
    return x.detach().numpy()


RULES = {
    "gradient descent": (
        partial(momentum_step, momentum=0.0),
        lambda optim, x: optim.SGD(x, lr=5e-4),
    ),
    "momentum": (momentum_step, lambda optim, x: optim.SGD(x, lr=5e-4, momentum=0.9)),
    "nesterov": (
        partial(momentum_step, nesterov=True),
        lambda optim, x: optim.SGD(x, lr=5e-4, momentum=0.9, nesterov=True),
    ),
    "rmsprop": (rmsprop_step, lambda optim, x: optim.RMSprop(x, lr=5e-4)),
    "adam": (adam_step, lambda optim, x: optim.Adam(x, lr=5e-4)),
    "adam, other betas": (
        partial(adam_step, beta1=0.5, beta2=0.9, epsilon=0.1),
        lambda optim, x: optim.Adam(x, lr=5e-4, betas=(0.5, 0.9), eps=0.1),
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_are_torchs(name):
    """200 steps from one start end at one place."""
    rule, make = RULES[name]
    ours = descend(rosenbrock().loss, START, rule, 5e-4, 200)
    np.testing.assert_allclose(ours, theirs(make, 200), rtol=1e-9)


def test_schedule_is_torchs():
    """A linear warmup, then cosine annealing, around Adam."""

    def schedule(schedulers, optimizer):
        line = schedulers.LinearLR(optimizer, start_factor=1 / 10, end_factor=1.0, total_iters=9)
        wave = schedulers.CosineAnnealingLR(optimizer, T_max=90, eta_min=0.1 * 0.01)
        return schedulers.SequentialLR(optimizer, [line, wave], milestones=[10])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SequentialLR calls its parts in a way that they deprecate
        expected = theirs(lambda optim, x: optim.Adam(x, lr=0.01), 100, schedule)
    rate = lambda t: 0.01 * warmup_cosine(t, 100, warmup=10, floor=0.1)  # noqa: E731
    np.testing.assert_allclose(descend(rosenbrock().loss, START, adam_step, rate, 100), expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_line_search_holds_what_scipys_holds(seed):
    """SciPy's search finds a step as well, and both hold the strong Wolfe conditions."""
    rng = np.random.default_rng(seed)
    surface, x = himmelblau(), rng.uniform(-4, 4, 2)
    value, gradient = surface.loss(x)
    slope = -gradient @ gradient
    ours = wolfe_line_search(surface.loss, x, -gradient, value, gradient, 1e-3, 1e-4, 0.4)
    step = optimize.line_search(
        lambda p: surface.loss(p)[0], lambda p: surface.loss(p)[1], x, -gradient, c1=1e-4, c2=0.4
    )[0]
    assert step is not None
    for t in (ours.step, step):
        there, bend = surface.loss(x - t * gradient)
        assert there <= value + 1e-4 * t * slope
        assert abs(bend @ gradient) <= 0.4 * -slope


@pytest.mark.parametrize("name", ["rosenbrock", "himmelblau", "saddle", "quadratic"])
def test_minimizers_need_about_what_scipys_need(name):
    """L-BFGS arrives where SciPy's does, with at most half as many evaluations more; Newton beside trust-exact."""
    surface = {"rosenbrock": rosenbrock(), "himmelblau": himmelblau(), "saddle": saddle(), "quadratic": quadratic(50)}[
        name
    ]
    for method, hessian in (("L-BFGS-B", None), ("trust-exact", surface.hessian)):
        track = Track(surface.loss)
        ours = minimize(track, START, hessian, tolerance=1e-8)
        options = {"gtol": 1e-8} | ({"ftol": 0.0} if hessian is None else {})
        peer = optimize.minimize(surface.loss, START, jac=True, hess=hessian, method=method, options=options)
        assert surface.loss(ours)[0] == pytest.approx(peer.fun, abs=1e-12)
        assert len(track.values) <= 1.5 * peer.nfev + 3, f"{method}: {len(track.values)} evaluations, {peer.nfev}"


def test_the_labs_loss_has_scipys_minimum():
    """The least value of Titanic's loss, which the races finish at, is the one that SciPy finds."""
    raw, scaled, labels, fitted = passengers(np.random.default_rng(0))
    for X in (raw[fitted], scaled[fitted]):
        surface = logistic(X, labels[fitted])
        w, options = np.zeros(X.shape[1]), {"gtol": 1e-8}
        peer = optimize.minimize(surface.loss, w, jac=True, hess=surface.hessian, method="trust-exact", options=options)
        assert surface.least == pytest.approx(peer.fun, abs=1e-12)
        assert surface.loss(minimize(surface.loss, w))[0] == pytest.approx(peer.fun, abs=1e-9)
