"""Optimization: rules that step along gradients, directions that know curvature, a line search, and surfaces.

    surface = quadratic(100)                                  # a valley, 100 times as steep one way as the other
    descend(surface.loss, start, adam_step, 0.1, steps=500)   # a rule: here Adam at a learning rate of 0.1
    minimize(surface.loss, start)                             # L-BFGS with a Wolfe line search
    minimize(surface.loss, start, surface.hessian)            # Newton, safeguarded where the surface bends down

A loss takes a point of shape (n,) and returns its value and its gradient. Each call counts as one evaluation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
Hessian = Callable[[np.ndarray], np.ndarray]
Rule = Callable[..., tuple[np.ndarray, Any]]  # (point, gradient, memory, rate) -> the next point, memory
Rate = float | Callable[[int], Any]
Memory = np.ndarray | None
Moments = tuple[np.ndarray, np.ndarray, int]  # running means of the gradient and of its square, and the steps so far
LEAST_CURVATURE = 1e-10  # s·y / y·y, in units of 1 / curvature, below which L-BFGS drops a pair


def momentum_step(
    point: ArrayLike, gradient: ArrayLike, velocity: Memory, rate: float, momentum: float = 0.9, nesterov: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Take one step of gradient descent with momentum; with a momentum of 0, it is plain gradient descent.

    The velocity becomes momentum · velocity + gradient. The step is -rate times the velocity, or, with `nesterov`,
    times gradient + momentum · velocity: the velocity if the same gradient came again (Sutskever and others, 2013).
    This is PyTorch's form: the learning rate is no part of the velocity.

    Returns the next point and velocity, which the next call takes; the first takes None. All have the point's shape.
    Raises ValueError for shapes that differ, a rate below 0, and a momentum that is not in [0, 1).
    """
    point, gradient = _pair(point, gradient, rate, momentum=momentum)
    velocity = gradient.copy() if velocity is None else momentum * velocity + gradient
    step = gradient + momentum * velocity if nesterov else velocity
    return point - rate * step, velocity


def rmsprop_step(
    point: ArrayLike, gradient: ArrayLike, square: Memory, rate: float, decay: float = 0.99, epsilon: float = 1e-8
) -> tuple[np.ndarray, np.ndarray]:
    """Divide each gradient by the root of its running mean square (Tieleman and Hinton, 2012).

    It takes and returns what `momentum_step` does, with the mean square instead of the velocity.
    """
    point, gradient = _pair(point, gradient, rate, decay=decay)
    square = decay * (0.0 if square is None else square) + (1 - decay) * gradient**2
    return point - rate * gradient / (np.sqrt(square) + epsilon), square


def adam_step(
    point: ArrayLike,
    gradient: ArrayLike,
    moments: Moments | None,
    rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[np.ndarray, Moments]:
    """Take one step of Adam (Kingma and Ba, 2015).

    A mean becomes beta · mean + (1 - beta) · new. Begun at 0, it is too small by the factor 1 - betaᵗ after t steps, by
    which it is divided here. The step is -rate · mean / (√square + epsilon), of corrected means.

    Returns the next point and moments, not corrected, which the next call takes; the first takes None.
    Raises ValueError for shapes that differ, a rate below 0, and a beta that is not in [0, 1).
    """
    point, gradient = _pair(point, gradient, rate, beta1=beta1, beta2=beta2)
    mean, square, count = moments or (np.zeros_like(gradient), np.zeros_like(gradient), 0)
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    count += 1
    size = np.sqrt(square / (1 - beta2**count)) + epsilon
    return point - rate * mean / (1 - beta1**count) / size, (mean, square, count)


def warmup_cosine(step: ArrayLike, steps: int, warmup: int = 0, floor: float = 0.0) -> np.ndarray:
    """Return the factor of the learning rate: up a line, then down half a cosine (Loshchilov and Hutter, 2017).

    Step t, counted from 0, has the factor (t + 1) / warmup while t < warmup. From there half a wave of a cosine leads
    from 1, at t = warmup, to `floor`, at t = steps. Later steps keep the floor. Factors have the shape of `step`.

    Raises ValueError for a warmup below 0 or not below `steps`, and a floor that is not from 0 to 1.
    """
    if not (0 <= warmup < steps and 0 <= floor <= 1):
        raise ValueError(f"0 ≤ warmup < steps and 0 ≤ floor ≤ 1 must hold, got {warmup=}, {steps=}, {floor=}.")
    t = np.asarray(step, dtype=float)
    progress = np.minimum((t - warmup) / (steps - warmup), 1)
    wave = floor + (1 - floor) * (1 + np.cos(np.pi * progress)) / 2
    return np.where(t < warmup, (t + 1) / max(warmup, 1), wave)


class Trial(NamedTuple):
    """A point on a line: how far along the direction, and the loss, its gradient and its slope there."""

    step: float
    value: float
    gradient: np.ndarray
    slope: float


def wolfe_line_search(
    loss: Loss,
    point: np.ndarray,
    direction: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float = 1.0,
    decrease: float = 1e-4,
    curvature: float = 0.9,
    most: int = 25,
) -> Trial:
    """Find a step along a direction that holds the strong Wolfe conditions (Nocedal and Wright, algorithms 3.5, 3.6).

    Let slope be gradient · direction at the point. The loss at a step must be at most value + decrease · step · slope,
    and the size of its slope at most curvature · |slope|.

    The first trial is `step`. A step too short is doubled until one is known that is too long. From there `_between`
    names the next trial, between the lowest that holds the first condition and the bound on its other side. A loss that
    is not a number is too high.

    Returns the first trial that holds both conditions; if none of `most` did, the lowest that holds the first; if none
    did, the start, with a step of 0. The loss is called once a trial.
    Raises ValueError if the direction does not lead downhill, or not 0 < decrease < curvature < 1.
    """
    slope = _slope_downhill(gradient, direction, decrease, curvature)
    low, beyond = Trial(0.0, value, gradient, slope), Trial(np.inf, np.inf, gradient, slope)
    for _ in range(most):
        trial_value, trial_gradient = loss(point + step * direction)
        trial = Trial(step, trial_value, trial_gradient, float(trial_gradient @ direction))
        if not trial.value <= value + decrease * step * slope or trial.value >= low.value:
            beyond = trial
        elif abs(trial.slope) <= -curvature * slope:
            return trial
        else:
            if trial.slope * (beyond.step - low.step) >= 0:  # it rises on the way to the bound: the minimum is behind
                beyond = low
            low = trial
        step = _between(low, beyond)
    return low


def _between(a: Trial, b: Trial) -> float:
    """The minimum of the cubic through both trials, kept a tenth away from each; the middle where there is none."""
    if b.step == np.inf:
        return 2 * a.step
    with np.errstate(all="ignore"):
        chord = a.slope + b.slope - 3 * np.divide(a.value - b.value, a.step - b.step)
        root = np.copysign(np.sqrt(chord**2 - a.slope * b.slope), b.step - a.step)
        share = 1 - (b.slope + root - chord) / (b.slope - a.slope + 2 * root)
    return a.step + (b.step - a.step) * float(np.clip(share, 0.1, 0.9) if np.isfinite(share) else 0.5)


def newton_direction(gradient: ArrayLike, hessian: ArrayLike, least: float = 1e-8) -> np.ndarray:
    """Return the step to the bottom of the bowl, and downhill where the surface is no bowl.

    Newton's step solves hessian · step = -gradient, and climbs along eigenvectors with a negative curvature. Here
    each eigenvalue counts by its size, which turns those parts around (saddle-free Newton, Dauphin and others, 2014),
    and as no less than `least` of the largest size. A surface without curvature gives -gradient.

    Raises ValueError for a Hessian that is not symmetric, finite and of shape (n, n), where the gradient has (n,).
    """
    gradient, hessian = _symmetric(gradient, hessian)
    eigenvalues, vectors = np.linalg.eigh(hessian)
    sizes = np.abs(eigenvalues)
    if sizes.max() == 0:
        return -gradient
    return -vectors @ (vectors.T @ gradient / np.maximum(sizes, least * sizes.max()))


def lbfgs_direction(gradient: ArrayLike, steps: ArrayLike, changes: ArrayLike) -> np.ndarray:
    """Return -H · gradient, with H the inverse Hessian of BFGS, without writing H down (Nocedal, 1980).

    H begins as the identity times s·y / y·y of the newest pair, and each pair, oldest first, changes it so that
    H · y = s. Two loops over the pairs do so on the gradient (Nocedal and Wright, algorithm 7.4).

    Steps are s, and changes y, by what each step changed the gradient: both of shape (pairs, n), oldest first.
    Without any pair, the direction is -gradient.
    Raises ValueError for shapes that do not fit, and a pair with s·y ≤ 0, along which the surface bends down.
    """
    gradient, steps, changes = _pairs(gradient, steps, changes)
    if len(steps) == 0:
        return -gradient
    bends = (steps * changes).sum(axis=1)  # s·y
    rest, shares = gradient.copy(), np.empty(len(steps))
    for i in range(len(steps))[::-1]:
        shares[i] = steps[i] @ rest / bends[i]
        rest -= shares[i] * changes[i]
    rest *= bends[-1] / (changes[-1] ** 2).sum()
    for i in range(len(steps)):
        rest += (shares[i] - changes[i] @ rest / bends[i]) * steps[i]
    return -rest


class Track:
    """A loss that remembers where it was called: `points` and `values`, one for each evaluation."""

    def __init__(self, loss: Loss) -> None:
        self.loss, self.points, self.values = loss, [], []

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate, and remember."""
        value, gradient = self.loss(point)
        self.points.append(point)
        self.values.append(value)
        return value, gradient

    def reaches(self, value: float) -> int | None:
        """Return the evaluations until the loss was at most `value`, None where it never was."""
        return next((count for count, known in enumerate(self.values, 1) if known <= value), None)


def descend(
    loss: Loss, start: ArrayLike, rule: Rule, rate: Rate, steps: int, target: float = -np.inf, **settings: Any
) -> np.ndarray:
    """Apply a rule `steps` times, or until the loss is at most `target` or no number, and return the last point.

    The rate is a number, or a function of the step, counted from 0. The settings go to the rule.
    """
    point, memory = np.array(start, dtype=float), None
    for step in range(steps):
        value, gradient = loss(point)
        if value <= target or not np.isfinite(value):
            break
        point, memory = rule(point, gradient, memory, float(rate(step) if callable(rate) else rate), **settings)
    return point


def minimize(
    loss: Loss,
    start: ArrayLike,
    hessian: Hessian | None = None,
    memory: int = 10,
    tolerance: float = 1e-8,
    most: int = 200,
) -> np.ndarray:
    """Descend by Newton's method, or by L-BFGS where no Hessian is given, and return the last point.

    It stops where no entry of the gradient is larger than the tolerance, after `most` line searches, or after one that
    finds no way down. L-BFGS remembers `memory` pairs; with 0 it is steepest descent.
    """
    point, pairs = np.array(start, dtype=float), []
    value, gradient = loss(point)
    for _ in range(most):
        if np.abs(gradient).max() <= tolerance:
            break
        s, y = np.array(pairs).reshape(len(pairs), 2, len(point)).swapaxes(0, 1)
        direction = newton_direction(gradient, hessian(point)) if hessian else lbfgs_direction(gradient, s, y)
        first = 1.0 if hessian or pairs else min(1.0, 1 / float(np.abs(gradient).sum()))
        found = wolfe_line_search(loss, point, direction, value, gradient, first)
        step, change = found.step * direction, found.gradient - gradient
        if not step.any():
            break
        if memory and step @ change > LEAST_CURVATURE * (change @ change):
            pairs = [*pairs, (step, change)][-memory:]
        point, value, gradient = point + step, found.value, found.gradient
    return point


class Surface(NamedTuple):
    """A loss, its Hessian, and its smallest value."""

    loss: Loss
    hessian: Hessian
    least: float


def quadratic(condition: float, dimensions: int = 2) -> Surface:
    """Return ½ Σ hᵢ xᵢ², with curvatures h from 1 to `condition`, in equal ratios."""
    h = np.geomspace(1, condition, dimensions)
    return Surface(lambda x: (float(x @ (h * x)) / 2, h * x), lambda x: np.diag(h), 0.0)


def rosenbrock() -> Surface:
    """Return (1 - x)² + 100 (y - x²)²: a curved valley, whose floor falls gently to (1, 1)."""
    return _squares(lambda x, y: ([1 - x, 10 * (y - x**2)], [[-1, 0], [-20 * x, 10]]), [[0, 0], [-20, 0]])


def himmelblau() -> Surface:
    """Return (x² + y - 11)² + (x + y² - 7)²: four minima, one of them at (3, 2), and a hill between."""
    return _squares(lambda x, y: ([x**2 + y - 11, x + y**2 - 7], [[2 * x, 1], [1, 2 * y]]), [[2, 0], [0, 2]])


def _squares(terms: Callable[..., tuple[list, list]], bends: list[list[float]]) -> Surface:
    """A sum of squares, by its terms with their Jacobian, and the diagonals of the terms' Hessians, here constant."""

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        r, jacobian = map(np.array, terms(*point))
        return float(r @ r), 2 * r @ jacobian

    def hessian(point: np.ndarray) -> np.ndarray:
        r, jacobian = map(np.array, terms(*point))
        return 2 * (jacobian.T @ jacobian + np.diag(r @ np.array(bends)))

    return Surface(loss, hessian, 0.0)


def saddle() -> Surface:
    """Return x²/2 - y²/2 + y⁴/4: a saddle at (0, 0) between the minima (0, 1) and (0, -1)."""
    return Surface(
        lambda p: (float(p[0] ** 2 - p[1] ** 2 + p[1] ** 4 / 2) / 2, np.array([p[0], p[1] ** 3 - p[1]])),
        lambda p: np.diag([1.0, 3 * p[1] ** 2 - 1]),
        -0.25,
    )


# --- refusals -------------------------------------------------------------------------------------------------------


def _pair(point: ArrayLike, gradient: ArrayLike, rate: float, **shares: float) -> tuple[np.ndarray, np.ndarray]:
    if np.shape(point) != np.shape(gradient):
        raise ValueError(f"gradient must have the point's shape {np.shape(point)}, got {np.shape(gradient)}.")
    if not 0 <= rate < np.inf:
        raise ValueError(f"rate must be a finite number of at least 0, got {rate}.")
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {share}.")
    return np.asarray(point, dtype=float), np.asarray(gradient, dtype=float)


def _slope_downhill(gradient: np.ndarray, direction: np.ndarray, decrease: float, curvature: float) -> float:
    if not 0 < decrease < curvature < 1:
        raise ValueError(f"decrease and curvature must hold 0 < decrease < curvature < 1, got {decrease}, {curvature}.")
    slope = float(gradient @ direction)
    if not slope < 0:
        raise ValueError(f"direction must lead downhill, but gradient · direction is {slope}. Try -gradient.")
    return slope


def _symmetric(gradient: ArrayLike, hessian: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    g, matrix = np.asarray(gradient, dtype=float), np.asarray(hessian, dtype=float)
    if matrix.shape != (g.size, g.size) or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        raise ValueError(f"hessian must be symmetric, finite and of shape {(g.size, g.size)}, got {matrix.tolist()}.")
    return g, matrix


def _pairs(gradient: ArrayLike, steps: ArrayLike, changes: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g, s, y = (np.asarray(array, dtype=float) for array in (gradient, steps, changes))
    if s.shape != y.shape or (s.size and s.shape[1:] != g.shape):
        raise ValueError(f"steps and changes must have the shape (pairs, {g.size}), got {s.shape} and {y.shape}.")
    if s.size and not (bends := (s * y).sum(axis=1)).min() > 0:
        raise ValueError(f"changes must have step · change > 0 in each pair, got {bends.min()}. Drop that pair.")
    return g, s, y
