"""Probability by computer: densities, samplers, maximum likelihood, and how many errors are too many.

    errors = Poisson.fit(counts)                    # the rate that makes the counts most probable
    errors.at_least(12)                             # how often as many as 12 come by chance
    alert_threshold(errors.rate, 0.001)             # the count that chance reaches once in a thousand windows
    box_muller(1_000, rng)                          # normal numbers from uniform ones

Densities are logarithms: a product of a thousand probabilities is 0 to a computer, the sum of their logarithms is not.
Every function takes arrays of any shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

LogDensity = Callable[[np.ndarray], np.ndarray]
NEWTON_STEPS = 5
BATCH = 1024  # proposals drawn at a time
ROUNDING = 1e-9  # by which a logarithm may exceed a bound that holds


def _positive(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be a finite number above 0, got {value}.")


def _sample(values: ArrayLike, name: str, least: float) -> np.ndarray:
    """The values as a flat array of finite floats of at least `least`."""
    array = np.asarray(values, dtype=float).ravel()
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one value, got shape {np.shape(values)}.")
    wrong = array[~(np.isfinite(array) & (array >= least))]
    if wrong.size:
        raise ValueError(f"{name} must hold finite numbers of at least {least}, got {wrong[0]}.")
    return array


# --- distributions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Normal:
    """The bell: what sums of many small independent things tend to.

    Attributes:
        mean: the middle.
        std: the standard deviation, above 0.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        _positive(std=self.std)

    def log_density(self, x: ArrayLike) -> np.ndarray:
        """Return -(x - mean)² / (2 std²) - log(std √(2π)), of the shape of x.

        It stays finite where the density itself has underflowed to 0.
        """
        z = (np.asarray(x, dtype=float) - self.mean) / self.std
        return -0.5 * z**2 - np.log(self.std) - 0.5 * np.log(2 * np.pi)

    def at_most(self, x: ArrayLike) -> np.ndarray:
        """Return P(X ≤ x), the cumulative distribution, of the shape of x."""
        return special.ndtr((np.asarray(x, dtype=float) - self.mean) / self.std)

    @classmethod
    def fit(cls, values: ArrayLike) -> Self:
        """Return the normal distribution under which the values are most probable: their mean and deviation.

        Raises:
            ValueError: no value, a value that is not finite, or values that are all equal.
        """
        sample = _sample(values, "values", -np.inf)
        if np.ptp(sample) == 0:
            raise ValueError(f"values must differ for a standard deviation above 0, got {sample[0]} only.")
        return cls(float(sample.mean()), float(sample.std()))


@dataclass(frozen=True)
class Exponential:
    """Waiting times of events that do not remember when the last one was.

    Attributes:
        rate: events in a unit of time, above 0.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        _positive(rate=self.rate)

    def log_density(self, x: ArrayLike) -> np.ndarray:
        """Return log(rate) - rate x, and -inf below 0, of the shape of x."""
        times = np.asarray(x, dtype=float)
        return np.where(times < 0, -np.inf, np.log(self.rate) - self.rate * times)

    def sample(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw waiting times of shape (size,) by inverting the cumulative distribution.

        A uniform u in [0, 1) becomes the x at which P(X ≤ x) = 1 - exp(-rate x) is u. Every result is finite.
        """
        return -np.log1p(-rng.random(size)) / self.rate

    @classmethod
    def fit(cls, values: ArrayLike) -> Self:
        """Return the most probable rate, one over the mean. Raises ValueError for values below 0 or a mean of 0."""
        return cls(1 / float(_positive_mean(_sample(values, "values", 0.0))))


@dataclass(frozen=True)
class Poisson:
    """Counts of rare independent events in a window: errors in a minute.

    Attributes:
        rate: the mean count, above 0; the variance is the same number.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        _positive(rate=self.rate)

    def log_mass(self, k: ArrayLike) -> np.ndarray:
        """Return k log(rate) - rate - log(k!), of the shape of k; -inf where k is no whole number of at least 0.

        The factorial is taken as log Γ(k + 1): 171! is beyond the largest float.
        """
        counts = np.asarray(k, dtype=float)
        possible = (counts >= 0) & (counts < np.inf) & (counts == np.floor(counts))
        counts = np.where(possible, counts, 0.0)  # infinity less infinity would be NaN
        return np.where(possible, counts * np.log(self.rate) - self.rate - special.gammaln(counts + 1), -np.inf)

    def at_least(self, k: ArrayLike) -> np.ndarray:
        """Return P(X ≥ k), of the shape of k: how often chance alone brings as many."""
        counts = np.ceil(np.asarray(k, dtype=float))
        return np.where(counts <= 0, 1.0, special.gammainc(np.maximum(counts, 1.0), self.rate))

    @classmethod
    def fit(cls, counts: ArrayLike) -> Self:
        """Return the most probable rate, the mean count. Raises ValueError for counts below 0 or a mean of 0."""
        return cls(float(_positive_mean(_sample(counts, "counts", 0.0))))


def _positive_mean(sample: np.ndarray) -> np.floating:
    if sample.max() == 0:
        raise ValueError("the mean must be above 0, got 0.0: no event was seen, so no rate is most probable.")
    return sample.mean()


@dataclass(frozen=True)
class Gamma:
    """Positive quantities with a tail: latencies, sizes, rates that differ from host to host.

    Attributes:
        shape: above 0; 1 is the exponential distribution, large is nearly normal.
        scale: above 0; the mean is shape · scale.
    """

    shape: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        _positive(shape=self.shape, scale=self.scale)

    def log_density(self, x: ArrayLike) -> np.ndarray:
        """Return (shape - 1) log x - x / scale - log Γ(shape) - shape log(scale), and -inf at or below 0."""
        values = np.asarray(x, dtype=float)
        inside = np.where(values > 0, values, 1.0)
        density = (self.shape - 1) * np.log(inside) - inside / self.scale
        return np.where(values > 0, density - special.gammaln(self.shape) - self.shape * np.log(self.scale), -np.inf)

    @classmethod
    def fit(cls, values: ArrayLike) -> Self:
        """Return the gamma distribution under which the values are most probable.

        Where the slope of the log-likelihood is 0, log(shape) - ψ(shape) = log(mean) - mean(log) and scale = mean /
        shape (ψ is the digamma function). Newton's method runs on 1 / shape, from a start within two percent; each step
        doubles the right digits (Minka, Estimating a Gamma distribution, 2002).

        Args:
            values: numbers above 0, not all equal, of any shape.

        Returns:
            The distribution, its shape and scale Python's floats, not NumPy's.

        Raises:
            ValueError: no value, a value that is not finite and above 0, or values that are all equal.
        """
        sample = _sample(values, "values", 0.0)
        if sample.min() == 0 or np.ptp(sample) == 0:
            raise ValueError(f"values must be above 0 and differ, got {sample.min()} to {sample.max()}.")
        gap = np.log(sample.mean()) - np.log(sample).mean()
        shape = _start(gap)
        for _ in range(NEWTON_STEPS):
            slope = np.log(shape) - special.digamma(shape) - gap
            curve = 1 / shape - special.polygamma(1, shape)
            shape = 1 / (1 / shape + slope / (shape**2 * curve))
        return cls(float(shape), float(sample.mean() / shape))


def _start(gap: float) -> float:
    """A shape within two percent of the root of log(shape) - ψ(shape) = gap, for any gap above 0 (Minka, 2002)."""
    return (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)


# --- samplers -------------------------------------------------------------------------------------------------------


def box_muller(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw standard normal numbers of shape (size,) from uniform ones (Box and Muller, 1958).

    A point of the plane with two normal coordinates has a uniform angle, and half of its squared radius is
    exponential. Each pair of uniforms so gives a pair of normals; of an odd number the last is dropped.
    """
    half = (size + 1) // 2
    radius = np.sqrt(-2 * np.log1p(-rng.random(half)))
    angle = 2 * np.pi * rng.random(half)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size]


def rejection_sample(
    log_target: LogDensity,
    proposal: Callable[[int, np.random.Generator], np.ndarray],
    log_proposal: LogDensity,
    log_bound: float,
    size: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw from a density that can only be computed, by accepting proposals (von Neumann, 1951).

    A proposal x is accepted with probability target(x) / (bound · proposal(x)). The target need not be normalised.

    Args:
        log_target: logarithm of the target, up to a constant.
        proposal: draws as many points as asked for: `proposal(count, rng)`, of shape (count,).
        log_proposal: logarithm of the proposal's density.
        log_bound: logarithm of a bound with target ≤ bound · proposal everywhere.
        size: how many to draw.
        rng: draws.

    Returns:
        Accepted points of shape (size,).

    Raises:
        ValueError: at one of the proposals drawn the bound does not hold, by more than `ROUNDING`, so that the draws
            would be of another distribution.
    """
    accepted: list[np.ndarray] = []
    missing = size
    while missing > 0:
        points = proposal(BATCH, rng)
        log_ratio = log_target(points) - log_proposal(points) - log_bound
        if (excess := log_ratio.max()) > ROUNDING:
            raise ValueError(f"log_bound={log_bound} is too low, by {excess:.3g} at one of the proposals: raise it.")
        kept = points[np.log1p(-rng.random(BATCH)) < log_ratio]
        accepted.append(kept[:missing])
        missing -= len(accepted[-1])
    return np.concatenate(accepted) if accepted else np.empty(0)


# --- sums, and what is too many -------------------------------------------------------------------------------------


def standardised_means(draw: Callable[[int], np.ndarray], mean: float, std: float, n: int, repeats: int) -> np.ndarray:
    """Return √n (mean of n draws - mean) / std, `repeats` times: normal for large n, whatever is drawn.

    This is the central limit theorem. `draw(count)` gives independent draws of shape (count,).
    """
    _positive(std=std, n=n, repeats=repeats)
    samples = draw(n * repeats).reshape(repeats, n)
    return np.sqrt(n) * (samples.mean(axis=1) - mean) / std


def alert_threshold(rate: float, false_alarm: float) -> int:
    """Return the smallest count that a Poisson variable of this rate reaches with at most this probability.

    Raises:
        ValueError: the rate is not above 0, or the probability not between 0 and 1.
    """
    if not 0 < false_alarm < 1:
        raise ValueError(f"false_alarm must be a probability between 0 and 1, got {false_alarm}.")
    errors = Poisson(rate)
    low, high = 0, 1
    while errors.at_least(high) > false_alarm:
        low, high = high, 2 * high
    while high - low > 1:  # at_least falls with k: chance reaches `low` too often, and `high` seldom enough
        middle = (low + high) // 2
        low, high = (middle, high) if errors.at_least(middle) > false_alarm else (low, middle)
    return high
