"""Checks of optimization."""

from typing import Any

import numpy as np
import pytest

from groundup.checking import (
    assert_close,
    assert_number_kinds,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    numerical_gradient,
)
from groundup.stack.bedrock.optimization import (
    Track,
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

POINT, GRADIENT, VELOCITY = np.array([1.0, -2.0]), np.array([3.0, 1.0]), np.array([2.0, -4.0])
SURFACES = {"quadratic": quadratic(30), "rosenbrock": rosenbrock(), "himmelblau": himmelblau(), "saddle": saddle()}


def along(loss: Any, step: float = 1.0, **settings: Any) -> tuple[Any, list[float]]:
    """Search from 0 to the right on a loss of one number, and return what came back with the steps that were tried."""
    track = Track(lambda x: (lambda v, s: (v, np.array([s])))(*loss(float(x[0]))))
    value, slope = loss(0.0)
    found = wolfe_line_search(track, np.zeros(1), np.ones(1), value, np.array([slope]), step, **settings)
    return found, [float(x[0]) for x in track.points]


def parabola(x: float) -> tuple[float, float]:
    """The loss (x - 3)² and its slope."""
    return (x - 3) ** 2, 2 * (x - 3)


def told(*answers: tuple[float, float]) -> Any:
    """A loss that gives these values and slopes, one a call, wherever it is called."""
    numbers = iter(answers)
    return lambda x: next(numbers)


def rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random orthogonal matrix."""
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def bowl(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random positive definite matrix that is not diagonal."""
    Q = rotation(rng, n)
    return Q @ np.diag(np.geomspace(0.5, 20, n)) @ Q.T


# --- momentum -------------------------------------------------------------------------------------------------------


def test_momentum_step_by_hand():
    """Velocity (2, -4), halved, plus gradient (3, 1) is (4, -1); a tenth of it is taken from (1, -2)."""
    point, velocity = momentum_step(POINT, GRADIENT, VELOCITY, 0.1, momentum=0.5)
    assert_close(velocity, [4, -1], "the new velocity")
    assert_close(point, [0.6, -1.9], "the new point")


def test_nesterov_step_by_hand():
    """With Nesterov the step is gradient + half of the new velocity (4, -1): (5, 0.5). The velocity is the same."""
    point, velocity = momentum_step(POINT, GRADIENT, VELOCITY, 0.1, momentum=0.5, nesterov=True)
    assert_close(point, [0.5, -2.05], "the new point")
    assert_close(velocity, [4, -1], "the new velocity")


def test_momentum_begins_with_the_gradient():
    """The first velocity is the gradient; by default nine tenths of it are kept, and Nesterov's step is off."""
    point, velocity = momentum_step(POINT, GRADIENT, None, 0.1)
    assert_close(velocity, GRADIENT, "the first velocity")
    assert_close(point, POINT - 0.1 * GRADIENT, "the first step")
    assert_close(momentum_step(POINT, GRADIENT, VELOCITY, 0.1)[1], [4.8, -2.6], "the second velocity")


def test_gradient_descent_has_its_closed_form():
    """On ½ Σ h x² each coordinate shrinks by 1 - rate · h a step: after 7 steps it is (1 - rate · h)⁷ x."""
    h = np.array([1.0, 5.0, 30.0])
    end = descend(lambda x: (0.0, h * x), [2.0, -1.0, 3.0], momentum_step, 0.06, 7, momentum=0.0)
    assert_close(end, (1 - 0.06 * h) ** 7 * [2.0, -1.0, 3.0])


def test_nesterov_looks_ahead(rng):
    """It is Nesterov's sequence: x = y - rate · gradient(y), then y = x + momentum · (x - last x)."""
    matrix = bowl(rng, 3)
    start = x = y = rng.normal(size=3)
    for _ in range(8):
        new = y - 0.03 * matrix @ y
        x, y = new, new + 0.8 * (new - x)
    got = descend(lambda p: (0.0, matrix @ p), start, momentum_step, 0.03, 8, momentum=0.8, nesterov=True)
    assert_close(got, y)


def test_momentum_is_polyaks_heavy_ball(rng):
    """It is the heavy ball: a gradient step, plus momentum times the last move."""
    matrix = bowl(rng, 3)
    start = last = x = rng.normal(size=3)
    for _ in range(8):
        last, x = x, x - 0.03 * matrix @ x + 0.7 * (x - last)
    assert_close(descend(lambda p: (0.0, matrix @ p), start, momentum_step, 0.03, 8, momentum=0.7), x)


# --- Adam -----------------------------------------------------------------------------------------------------------


def test_adam_step_by_hand():
    """Gradients 2, then 4, with betas 1/2 and 3/4: corrected means 10/3 and 4.75/0.4375 make the second step."""
    point, moments = adam_step([1.0], [2.0], None, 0.1, 0.5, 0.75, 0.5)
    assert_close(point, [1 - 0.1 * 2 / 2.5], "the first point: the corrected means are 2 and 4")
    assert_close(moments[0], [1.0], "the first mean, not corrected")
    assert_close(moments[1], [1.0], "the first mean square, not corrected")
    point, moments = adam_step([1.0], [4.0], moments, 0.1, 0.5, 0.75, 0.5)
    assert_close(point, [1 - 0.1 * (2.5 / 0.75) / (np.sqrt(4.75 / 0.4375) + 0.5)], "the second point")
    assert_close([moments[0][0], moments[1][0], moments[2]], [2.5, 4.75, 2], "mean, mean square and count")


def test_adam_is_its_sums(rng):
    """The means of t gradients are weighted sums, over 1 - betaᵗ; defaults are 0.9, 0.999 and 1e-8."""
    gradients, moments = rng.normal(size=(6, 2, 3)), None
    before = point = np.zeros((2, 3))
    for g in gradients:
        before = point
        point, moments = adam_step(point, g, moments, 0.01)
    old = np.arange(5, -1, -1)[:, None, None]
    mean = (0.1 * 0.9**old * gradients).sum(axis=0) / (1 - 0.9**6)
    square = (0.001 * 0.999**old * gradients**2).sum(axis=0) / (1 - 0.999**6)
    assert_close(point - before, -0.01 * mean / (np.sqrt(square) + 1e-8))
    assert_close(adam_step([0.0], [1e-8], None, 1.0)[0], [-0.5], "epsilon is 1e-8, beside the root")


def test_adam_steps_have_the_size_of_the_rate():
    """Under gradients that stay, of whatever size, every step of every coordinate is the rate."""
    end = descend(lambda x: (0.0, np.array([1e-3, -50.0, 4e6])), np.zeros(3), adam_step, 0.02, 9, epsilon=0.0)
    assert_close(end, [-0.18, 0.18, -0.18])


@pytest.mark.parametrize("rule", [momentum_step, adam_step])
def test_rules_keep_what_they_are_given(rule):
    """Points, gradients and memory stay as they were, any numbers will do, and the result is the caller's own."""
    memory = rule(POINT, GRADIENT, None, 0.1)[1]
    assert_unchanged(lambda p, g, m: rule(p, g, m, 0.1), POINT, GRADIENT, memory, own_result=True)
    assert_unchanged(lambda p, g: rule(p, g, None, 0.1), POINT, GRADIENT, own_result=True)
    assert_number_kinds(lambda p, g: rule(p, g, None, 0.1)[0], [1.0, 0.0, 9.0], [2.0, 5.0, 4.0])


def test_rules_refuse():
    """A rate below 0, shares outside [0, 1) and gradients of another shape are refused."""
    for name, rule in (("momentum", momentum_step), ("beta1", adam_step), ("beta2", adam_step)):
        step = lambda value, n=name, r=rule: r(POINT, GRADIENT, None, 0.1, **{n: value})  # noqa: E731
        assert_refuses_values(step, name, -0.1, 1.0, np.nan)
        assert_refuses_values(lambda value, r=rule: r(POINT, GRADIENT, None, value), "rate", -0.1, np.inf, np.nan)
        assert_refuses(lambda r=rule: r(POINT, GRADIENT[:1], None, 0.1), "gradient", (1,))


# --- schedule -------------------------------------------------------------------------------------------------------


def test_warmup_cosine_by_hand():
    """Warmup 2 of 10 steps, floor 0.2: up 1/2, 1, then from 1 over 0.6 in the middle to 0.2, where it stays."""
    assert_close(warmup_cosine([0, 1, 2, 6, 10, 12], 10, 2, 0.2), [0.5, 1, 1, 0.6, 0.2, 0.2])
    quarter = 0.2 + 0.8 * (1 + np.sqrt(0.5)) / 2
    assert_close(warmup_cosine(4, 10, warmup=2, floor=0.2), quarter, "an eighth of the whole wave")


def test_warmup_cosine_without_a_warmup():
    """It begins at 1 and ends at 0, without a warning, and both halves together make 1 + floor."""
    t = np.arange(9)
    assert_close(warmup_cosine(t, 8), (1 + np.cos(np.pi * t / 8)) / 2)
    assert_close(warmup_cosine(3 + t, 11, 3, 0.1) + warmup_cosine(11 - t, 11, 3, 0.1), np.full(9, 1.1))
    assert_shape(warmup_cosine(np.ones((2, 3)), 8), (2, 3), "factors of shape (2, 3)")
    assert_close(warmup_cosine([0, 1, 2, 3], 4, 3), [1 / 3, 2 / 3, 1, 1], "one step after a warmup of three")
    assert_close(warmup_cosine([0, 1], 1, floor=1.0), [1, 1], "a floor of 1 is a constant rate")
    with np.errstate(all="raise"):
        assert_close(warmup_cosine([0, 1, 3], 5, 1), [1, 1, 0.5], "a warmup of one step")
        assert_close(warmup_cosine([0, 2], 4), [1, 0.5], "no warmup")
    assert_number_kinds(lambda t: warmup_cosine(t, 400, 300), [0, 255, 7])


def test_warmup_cosine_refuses():
    """A warmup that is negative or takes all steps, and a floor that is no share, are refused."""
    assert_refuses_values(lambda warmup: warmup_cosine(0, 10, warmup), "warmup", -1, 10, 11)
    assert_refuses_values(lambda floor: warmup_cosine(0, 10, floor=floor), "floor", -0.1, 1.1, np.nan)


# --- line search ----------------------------------------------------------------------------------------------------


def test_wolfe_line_search_by_hand():
    """On (x - 3)² it doubles from 1 to 4, where the loss has risen again, and the cubic between 2 and 4 names 3."""
    found, steps = along(parabola, curvature=0.1)
    assert_close(steps, [1, 2, 4, 3], "the trials")
    line = lambda x: (-float(x[0]), np.array([-0.5]))  # noqa: E731
    assert_close(wolfe_line_search(line, np.zeros(1), np.ones(1), 0.0, np.array([-1.0])).step, 1, "by default from 1")
    assert_close([found.step, found.value, found.gradient[0], found.slope], [3, 0, 0, 0], "what came back")


def test_wolfe_line_search_comes_back():
    """A first trial of 5 is lower, but climbs: the minimum lies behind it. One of 10 is too high."""
    assert_close(along(parabola, 5.0, curvature=0.1)[1], [5, 3], "from a trial that is lower and climbs")
    assert_close(along(parabola, 10.0, curvature=0.1)[1], [10, 3], "from a trial that is higher")


def test_wolfe_line_search_takes_the_first_that_will_do():
    """The full step is taken, after one evaluation, where it holds both conditions. So Newton stays quadratic."""
    found, steps = along(parabola, 2.9)
    assert_close([found.step, *steps], [2.9, 2.9])
    assert_close([found.value, found.slope], [0.01, -0.2], "value and slope are those of the step")
    assert_close(along(parabola)[0].step, 1.0, "by default nine tenths of the slope may stay")
    assert_close(along(told((0, -1), (-0.00011, 0)))[1], [1.0], "by default a ten-thousandth of the slope must be won")
    assert along(told((0, -1), (-0.00009, 0), (-0.5, 0)))[1] != [1.0], "less than a ten-thousandth was won at 1"


def test_wolfe_conditions_include_their_bounds():
    """At most is at most: a loss of exactly value + decrease · step · slope will do, and so will the largest slope."""
    settings = {"decrease": 0.25, "curvature": 0.5}
    found, _ = along(told((8, -4), (6, -2)), 2.0, **settings)
    assert_close([found.step, found.value, found.slope], [2, 6, -2], "both exactly at their bounds, falling")
    assert_close(along(told((8, -4), (6, 2)), 2.0, **settings)[0].slope, 2, "both exactly at their bounds, rising")
    _, steps = along(told((8, -4), (6.01, -2), (7, 0)), 2.0, **settings)
    assert 0 < steps[1] < 2, f"6.01 is not low enough at a step of 2, so the next is shorter, got {steps[1]}"


def test_wolfe_line_search_keeps_the_lowest_as_its_end():
    """A trial no lower than the last is a bound, the lowest an end; its slope says on which side the minimum lies."""
    _, steps = along(told((0, -10), (-1, -9.5), (-1, -9.5), (-1.5, -1)))
    assert 1 < steps[2] < 2, f"at 2 the loss was no lower than at 1: the next trial lies between, got {steps[2]}"
    _, steps = along(told((0, -10), (9, 5), (-2, -9.5), (-3, 0)), 4.0)
    assert steps[1] < steps[2] < 4, f"at {steps[1]} it still falls: the next trial lies beyond, got {steps[2]}"
    _, steps = along(told((0, -10), (9, 5), (-2, 9.5), (-3, 0)), 4.0)
    assert 0 < steps[2] < steps[1], f"at {steps[1]} it rises: the next trial lies before, got {steps[2]}"
    _, steps = along(told((0, -1), (9, 5), (-0.2, 0.95), (-0.3, 0)), 0.5)
    assert 0 < steps[2] < steps[1], f"at {steps[1]} it rises, if little: the next trial lies before, got {steps[2]}"
    _, steps = along(told((0, -10), (-2, 9.5), (-3, 9.5), (-4, 0)), 4.0)
    assert 0 < steps[2] < steps[1], f"at {steps[1]} it rises again: the next trial lies before, got {steps[2]}"
    _, steps = along(told((0, -10), (-2, 9.5), (-3, -9.5), (-4, 0)), 4.0)
    assert steps[1] < steps[2] < 4, f"at {steps[1]} it falls towards 4: the next trial lies between, got {steps[2]}"


@pytest.mark.parametrize("name", ["rosenbrock", "himmelblau", "saddle"])
def test_wolfe_line_search_holds_the_conditions(name, rng):
    """From random points, along directions that lead down, both conditions hold at what comes back."""
    loss = SURFACES[name].loss
    for step, curvature in ((1e-3, 0.9), (1.0, 0.1), (50.0, 0.4)):
        x = rng.normal(size=2)
        value, gradient = loss(x)
        direction = -gradient + 0.3 * np.linalg.norm(gradient) * rng.uniform(-1, 1, 2)
        found, slope = (
            wolfe_line_search(loss, x, direction, value, gradient, step, 0.01, curvature),
            gradient @ direction,
        )
        there = loss(x + found.step * direction)
        assert_close([found.value, *found.gradient], [there[0], *there[1]], "value and gradient are those at the step")
        assert_close(found.slope, there[1] @ direction, "the slope is that at the step")
        assert there[0] <= value + 0.01 * found.step * slope, f"from {x}, first trial {step}: it is not low enough"
        assert abs(found.slope) <= -curvature * slope, f"from {x}, first trial {step}: it is still too steep"


def test_wolfe_line_search_steps_back_from_no_number():
    """Beyond 1 the loss x⁴ - log(1 - x) - 3x is not a number. That is too high."""
    with np.errstate(all="ignore"):
        barrier = lambda x: (x**4 - np.log(1 - x) - 3 * x, 4 * x**3 + 1 / (1 - x) - 3)  # noqa: E731
        found, _ = along(barrier, 9.0, curvature=0.2)
    assert 0 < found.step < 1
    assert abs(found.slope) <= 0.4, f"the slope at {found.step} is {found.slope}"


def test_wolfe_line_search_gives_up():
    """After `most` trials it returns the lowest that was low enough, and the start where none was."""
    found, steps = along(lambda x: (-x, -1.0), most=6)
    assert_close(steps, [1, 2, 4, 8, 16, 32], "a loss that falls for ever is followed by doubling")
    assert_close([found.step, found.value], [32, -32], "and the last is the lowest")
    cliff = lambda x: (-x if x <= 1 else 5.0, -1.0)  # noqa: E731
    assert_close([along(cliff)[0].step, along(cliff)[0].value], [1, -1], "no step beyond a cliff at 1 holds them")
    found, steps = along(lambda x: (7 + x, -1.0))
    assert_close([found.step, found.value, found.slope], [0, 7, -1], "a loss that rises leaves you at the start")
    assert len(steps) == 25, f"by default it tries 25 steps, got {len(steps)}"


def test_wolfe_line_search_refuses():
    """A direction that does not lead down, and conditions that contradict each other, are refused."""
    assert_refuses(lambda: along(lambda x: (x, 1.0)), "direction", 1.0)
    assert_refuses(lambda: along(lambda x: (x, 0.0)), "direction", 0.0)
    assert_refuses_values(lambda value: along(parabola, curvature=value), "curvature", 1e-5, 1.0)
    assert_refuses_values(lambda value: along(parabola, decrease=value), "decrease", 0.0, 0.95)


# --- Newton ---------------------------------------------------------------------------------------------------------


def test_newton_direction_by_hand():
    """For the Hessian ((2, 1), (1, 3)) and the gradient (1, -2) it is (-1, 1), since H (1, -1) = (1, -2)."""
    assert_close(newton_direction([1, -2], [[2, 1], [1, 3]]), [-1, 1])


def test_newton_needs_one_step(rng):
    """From anywhere on a bowl one step leads to its bottom, however steep the bowl is in some directions."""
    matrix, bottom, start = bowl(rng, 5), rng.normal(size=5), rng.normal(size=5)
    assert_close(start + newton_direction(matrix @ (start - bottom), matrix), bottom)


def test_newton_turns_around_where_it_bends_down(rng):
    """Curvatures 2 and -4 count as 2 and 4, in any axes: the step descends along both."""
    Q = rotation(rng, 2)
    assert_close(newton_direction([2, 3], [[2, 0], [0, -4]]), [-1, -0.75], "axes along the coordinates")
    assert_close(newton_direction(Q @ [2, 3], Q @ np.diag([2, -4]) @ Q.T), Q @ [-1, -0.75], "turned axes")


def test_newton_bounds_small_curvatures():
    """No curvature counts as less than `least` of the largest size; without any, the gradient decides."""
    assert_close(newton_direction([4, 3], [[8, 0], [0, 1]], 0.25), [-0.5, -1.5], "1 counts as a quarter of 8")
    assert_close(newton_direction([4, 3], [[-8, 0], [0, 1e-9]], 0.25), [-0.5, -1.5], "the largest size is negative")
    assert_close(newton_direction([2, 3], [[5, 0], [0, 0]]), [-0.4, -3 / 5e-8], "by default 1e-8 of it")
    assert_close(newton_direction([2, -3], np.zeros((2, 2))), [-2, 3], "a plane")
    assert_unchanged(newton_direction, np.array([2.0, 3.0]), np.zeros((2, 2)), own_result=True)
    assert_number_kinds(newton_direction, [3.0, 1.0], [[2.0, 1.0], [1.0, 3.0]])


def test_newton_direction_refuses():
    """A Hessian that is not symmetric, not finite or of another size is refused."""
    for wrong, number in (([[1.0, 2.0], [3.0, 4.0]], 3.0), ([[1.0, np.nan], [np.nan, 1.0]], np.nan), ([[7.0]], 7.0)):
        assert_refuses(lambda h=wrong: newton_direction([1.0, 2.0], h), "hessian", number)


# --- L-BFGS ---------------------------------------------------------------------------------------------------------


def test_lbfgs_direction_by_hand():
    """With s = (1, 2) and y = (3, 1), H begins as 1/2 and the gradient (3, 1) is y itself: the direction is -s."""
    assert_close(lbfgs_direction([3, 1], [[1, 2]], [[3, 1]]), [-1, -2], "H y = s")
    assert_close(
        lbfgs_direction([1, -3], [[1, 2]], [[3, 1]]),
        [0, 5],
        "first loop: (4, -2), halved: (2, -1), second loop: (0, -5)",
    )


def test_lbfgs_is_dense_bfgs(rng):
    """It is BFGS written out: H = (1 - s yᵀ/yᵀs) H (1 - y sᵀ/yᵀs) + s sᵀ/yᵀs, oldest pair first."""
    matrix, g = bowl(rng, 4), rng.normal(size=4)
    steps = rng.normal(size=(3, 4))
    changes = steps @ matrix
    H = np.eye(4) * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y in zip(steps, changes, strict=True):
        left = np.eye(4) - np.outer(s, y) / (y @ s)
        H = left @ H @ left.T + np.outer(s, s) / (y @ s)
    assert_close(lbfgs_direction(g, steps, changes), -H @ g)
    assert_close(lbfgs_direction(changes[-1], steps, changes), -steps[-1], "the newest pair has H y = s")
    assert_unchanged(lbfgs_direction, g, steps, changes, own_result=True)


def test_lbfgs_is_newton_once_it_knows_every_axis(rng):
    """After as many conjugate steps as there are dimensions, it leads to the bottom of the bowl, as Newton does."""
    matrix, g = bowl(rng, 4), rng.normal(size=4)
    axes = np.linalg.eigh(matrix)[1].T * [[1.0], [-2.0], [0.5], [3.0]]
    assert_close(lbfgs_direction(g, axes, axes @ matrix), newton_direction(g, matrix))


def test_lbfgs_without_pairs():
    """Without a pair the direction is -gradient, of new memory."""
    for none in ([], np.zeros((0, 2))):
        assert_unchanged(lambda g, p=none: lbfgs_direction(g, p, p), np.array([2.0, -3.0]), own_result=True)
        assert_close(lbfgs_direction([2, -3], none, none), [-2, 3])


def test_lbfgs_direction_refuses():
    """A pair along which the surface bends down is refused, and so are shapes that do not fit."""
    assert_refuses(lambda: lbfgs_direction([1, 1], [[1, 1], [1, 2]], [[1, 1], [4, -3]]), "changes", -2.0)
    assert_refuses(lambda: lbfgs_direction([1, 1], [[1, 0]], [[0, 1]]), "changes", 0.0)
    assert_refuses(lambda: lbfgs_direction([1, 1], [[1, 0, 0]], [[1, 0, 0]]), "steps", (1, 3))


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_minimize_finds_the_minima():
    """L-BFGS and Newton both find a minimum of each surface to eight digits, and Newton a bowl's in two evaluations."""
    for name, surface in SURFACES.items():
        for hessian in (None, surface.hessian):
            end = minimize(surface.loss, [-0.7, 0.4], hessian)
            method = "Newton" if hessian else "L-BFGS"
            assert_close(surface.loss(end)[0], surface.least, f"{method} on {name}", atol=1e-12)
    track = Track(SURFACES["quadratic"].loss)
    minimize(track, [-0.7, 0.4], SURFACES["quadratic"].hessian)
    assert track.reaches(1e-20) == 2


def test_surfaces_have_their_derivatives(rng):
    """Gradients and Hessians are those of central differences."""
    for name, surface in SURFACES.items():
        x = rng.normal(size=2)
        assert_close(surface.loss(x)[1], numerical_gradient(lambda p, s=surface: s.loss(p)[0], x), name, rtol=1e-5)
        rows = [numerical_gradient(lambda p, s=surface, i=i: s.loss(p)[1][i], x) for i in range(2)]
        assert_close(surface.hessian(x), rows, name, rtol=1e-5, atol=1e-6)


def test_rmsprop_and_rates_that_change():
    """RMSProp divides by the root of its mean square; a rate may be a function of the step; a target ends the run."""
    point, square = rmsprop_step([1.0], [2.0], np.array([8.0]), 0.1, decay=0.75, epsilon=0.0)
    assert_close([point[0], square[0]], [1 - 0.2 / np.sqrt(7), 7])
    ones = lambda x: (float(x[0]), np.ones(1))  # noqa: E731
    assert_close(descend(ones, [0.0], momentum_step, lambda t: t + 1.0, 4, momentum=0.0), [-10.0])
    assert_close(descend(ones, [0.0], momentum_step, 1.0, 9, target=-3.0, momentum=0.0), [-3.0])
