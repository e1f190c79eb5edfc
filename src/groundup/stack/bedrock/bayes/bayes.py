"""Bayesian inference: what you believed, what you saw, and what you believe now.

    update(prior, log_likelihood)                           # Bayes' rule for hypotheses that can be listed
    Beta(2, 38).update(successes=3, failures=17)            # a rate, in closed form
    probability_above(new, old)                             # is the new one better?
    expected_loss(new, old)                                 # what you lose, in the mean, if you choose it and it is not
    hamiltonian(log_density, gradient, start, ...)          # draws, where there is no closed form
    split_r_hat(chain.draws[..., 0])                        # have the chains found the same distribution?

Positions have the shape (..., d): any number of chains at once, each with d coordinates. A log-density maps them to
(...), up to a constant; a gradient to (..., d).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

LogDensity = Callable[[np.ndarray], np.ndarray]
Gradient = Callable[[np.ndarray], np.ndarray]
ROUNDING = 1e-9  # 0.55 of 100 draws are 55, not 55.00000000000001
NODES, WEIGHTS = np.polynomial.legendre.leggauss(100)  # for integrals over the levels of a distribution …
LEVELS, WEIGHTS = (1 + NODES) ** 2 * (2 - NODES) / 4, 0.75 * (1 - NODES**2) * WEIGHTS  # … dense where quantiles run off

# --- Bayes' rule and closed forms -----------------------------------------------------------------------------------


def update(prior: ArrayLike, log_likelihood: ArrayLike) -> np.ndarray:
    """Return the posterior of hypotheses along the last axis: prior times likelihood, over their sum (Bayes, 1763).

    The prior holds weights from 0 on, of which only shares matter. The likelihood of each hypothesis comes as a natural
    logarithm, up to a constant: that of a thousand data is no float. Shapes (..., n) broadcast; the result sums to 1.
    Weights of 0 raise no warning.

    Raises:
        ValueError: a weight below 0 or not finite, a logarithm that is NaN or +inf, or data that no hypothesis allows.
    """
    weights, logs = _weights(prior), _logs(log_likelihood)
    with np.errstate(divide="ignore"):
        joint = np.log(weights) + logs
    highest = joint.max(axis=-1, keepdims=True)
    _possible(highest)
    posterior = np.exp(joint - highest)
    return posterior / posterior.sum(axis=-1, keepdims=True)


class Belief:
    """What the three conjugate beliefs share; each has its `quantile`."""

    quantile: Callable[..., np.ndarray]

    def interval(self, mass: float = 0.9) -> tuple[float, float]:
        """Return the ends of the credible interval that leaves as much belief below as above."""
        _share(mass=mass)
        low, high = self.quantile(np.array([(1 - mass) / 2, (1 + mass) / 2]))
        return float(low), float(high)

    def sample(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw values of shape (size,) by inverting the cumulative distribution."""
        return self.quantile(rng.random(size))


@dataclass(frozen=True)
class Beta(Belief):
    """Belief about a rate between 0 and 1, as if `a` successes and `b` failures had been seen.

    Attributes:
        a: weight of successes, above 0.
        b: weight of failures, above 0.
    """

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        _positive(a=self.a, b=self.b)

    @property
    def mean(self) -> float:
        """The mean rate."""
        return self.a / (self.a + self.b)

    def update(self, successes: float, failures: float) -> "Beta":
        """Return the belief after so many successes and failures."""
        _counts(0, successes=successes, failures=failures)
        return Beta(self.a + successes, self.b + failures)

    def quantile(self, level: ArrayLike) -> np.ndarray:
        """Return the rates below which the belief has these shares, of the shape of level."""
        return special.betaincinv(self.a, self.b, level)


@dataclass(frozen=True)
class Gamma(Belief):
    """Belief about events in a unit of time, as if `shape` events had been seen in `rate` units.

    Attributes:
        shape: weight of events, above 0.
        rate: weight of time, above 0.
    """

    shape: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        _positive(shape=self.shape, rate=self.rate)

    @property
    def mean(self) -> float:
        """The mean number of events in a unit of time."""
        return self.shape / self.rate

    def update(self, events: float, time: float = 1.0) -> "Gamma":
        """Return the belief after so many events in so much time."""
        _counts(0, events=events, time=time)
        return Gamma(self.shape + events, self.rate + time)

    def quantile(self, level: ArrayLike) -> np.ndarray:
        """Return the rates below which the belief has these shares, of the shape of level."""
        return special.gammaincinv(self.shape, level) / self.rate


@dataclass(frozen=True)
class NormalMean(Belief):
    """Belief about the mean of values whose noise is known.

    Attributes:
        mean: the middle of the belief.
        std: its standard deviation, above 0.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        _positive(std=self.std)

    def update(self, values: ArrayLike, noise: float) -> "NormalMean":
        """Return the belief after values of any shape, each the mean plus normal noise of this deviation.

        Precisions, one over squared deviations, add up: 1/std² of the belief and 1/noise² of each value. The new mean
        is the old one and the values, weighed by precision. No value changes nothing.

        Raises:
            ValueError: a value that is not finite, or a noise that is not above 0.
        """
        sample = _finite(values, "values")
        _positive(noise=noise)
        belief, value = (1 / self.std) ** 2, (1 / noise) ** 2
        precision = belief + sample.size * value
        mean = self.mean + value * (sample - self.mean).sum() / precision
        return NormalMean(float(mean), float(1 / math.sqrt(precision)))

    def quantile(self, level: ArrayLike) -> np.ndarray:
        """Return the means below which the belief has these shares, of the shape of level."""
        return self.mean + self.std * special.ndtri(level)


def probability_above(first: Beta, second: Beta) -> float:
    """Return the probability that the first rate is above the second, to about eight digits for weights from 0.5 on."""
    if second.a + second.b > first.a + first.b:  # along levels of the broad belief the sharp one would be a jump
        return 1 - probability_above(second, first)
    below = special.betainc(second.a, second.b, first.quantile(LEVELS))
    return float((WEIGHTS * below).sum())


def expected_loss(chosen: Beta, other: Beta) -> float:
    """Return the mean of max(other - chosen, 0): the rate that you lose by choosing wrongly."""
    gain = other.mean * probability_above(Beta(other.a + 1, other.b), chosen)
    return max(gain - chosen.mean * (1 - probability_above(Beta(chosen.a + 1, chosen.b), other)), 0.0)


def shortest_interval(draws: ArrayLike, mass: float = 0.9) -> tuple[float, float]:
    """Return the ends of the shortest interval that holds at least a share `mass` of the draws, of any shape.

    Both ends are draws and belong to it. Of equally short ones it is the lowest. It is the interval of highest density
    where the density has one peak; of two peaks it shows one, or both with the gap between.

    Raises:
        ValueError: no draw, one that is not finite, or a mass that is not between 0 and 1.
    """
    ordered = np.sort(_finite(draws, "draws"), axis=None)
    _counts(1, **{"size of draws": ordered.size})
    _share(mass=mass)
    inside = math.ceil(mass * ordered.size - ROUNDING)
    widths = ordered[inside - 1 :] - ordered[: ordered.size - inside + 1]
    low = int(widths.argmin())
    return float(ordered[low]), float(ordered[low + inside - 1])


# --- draws ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Draws of one or more chains, in order, of shape (steps, ..., d), and the share of proposals that was accepted."""

    draws: np.ndarray
    accepted: float


def metropolis(
    log_density: LogDensity, start: ArrayLike, steps: int, scale: ArrayLike, rng: np.random.Generator
) -> Chain:
    """Draw by a random walk (Metropolis and others, 1953).

    Each step proposes the position plus normal noise of deviation `scale` (a number, or one for each coordinate). It
    accepts with probability min(1, density there / density here), each chain for itself. A chain that refuses stays,
    and its position counts once more. A log-density of NaN or -inf is refused. The start is no draw.

    Raises:
        ValueError: steps below 1, a scale that is not above 0, or a start without a finite log-density.
    """
    position, here = _start(start, log_density)
    _counts(1, steps=steps)
    width, accepted = _scale(scale), 0
    draws = np.empty((steps, *position.shape))
    for step in range(steps):
        proposal = position + width * rng.normal(size=position.shape)
        there = log_density(proposal)
        accept = -rng.exponential(size=here.shape) < there - here  # the logarithm of a uniform number
        position = np.where(accept[..., None], proposal, position)
        here = np.where(accept, there, here)
        draws[step], accepted = position, accepted + accept.mean()
    return Chain(draws, float(accepted / steps))


def leapfrog(
    gradient: Gradient, position: np.ndarray, momentum: np.ndarray, step_size: float, leaps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Move positions and momenta, of shape (..., d), along the density's hills, and return where they are.

    A leap is half a step of the momentum (step_size / 2 times the gradient), a whole step of the position (step_size
    times the momentum) and half a step of the momentum. The halves between leaps are taken together, so that `leaps`
    leaps ask for leaps + 1 gradients. Turned round, the way leads back; volumes stay; the energy errs by step_size².
    """
    momentum = momentum + step_size / 2 * gradient(position)
    for _ in range(leaps - 1):
        position = position + step_size * momentum
        momentum = momentum + step_size * gradient(position)
    position = position + step_size * momentum
    return position, momentum + step_size / 2 * gradient(position)


def hamiltonian(
    log_density: LogDensity,
    gradient: Gradient,
    start: ArrayLike,
    steps: int,
    step_size: float,
    leaps: int,
    rng: np.random.Generator,
) -> Chain:
    """Draw by motion (Duane and others, 1987; Neal, 2011): each step gives a random push and follows the density.

    A step draws a new standard normal momentum, moves by `leapfrog`, and accepts with probability min(1, exp(H)), where
    H is the gain in log-density - momentum² / 2. Without errors of motion it would accept always. A chain that refuses
    stays, and its position counts once more. A way that ends in NaN or infinities is refused,
    without a warning. The start is no draw.

    Raises:
        ValueError: steps or leaps below 1, a step_size that is not above 0, or a start without a finite log-density.
    """
    position, here = _start(start, log_density)
    _counts(1, steps=steps, leaps=leaps)
    _positive(step_size=step_size)
    draws, accepted = np.empty((steps, *position.shape)), 0
    for step in range(steps):
        push = rng.normal(size=position.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            proposal, momentum = leapfrog(gradient, position, push, step_size, leaps)
            there = log_density(proposal)
            gain = there - here - ((momentum**2).sum(axis=-1) - (push**2).sum(axis=-1)) / 2
        accept = -rng.exponential(size=here.shape) < gain
        position = np.where(accept[..., None], proposal, position)
        here = np.where(accept, there, here)
        draws[step], accepted = position, accepted + accept.mean()
    return Chain(draws, float(accepted / steps))


def split_r_hat(draws: ArrayLike) -> float:
    """Return by what factor chains, of shape (steps, chains), spread more together than each half of one by itself.

    Above about 1.01 they have not found the same distribution (Vehtari and others, 2021; without their ranks).
    """
    halves = _chains(draws)
    n = halves.shape[0]
    within, between = halves.var(axis=0, ddof=1).mean(), halves.mean(axis=0).var(ddof=1)
    return float(np.sqrt((n - 1) / n + between / within)) if within > 0 else math.inf


def effective_sample_size(draws: ArrayLike) -> float:
    """Return how many independent draws know the mean as well as chains of shape (steps, chains) (Geyer, 1992).

    Correlations with later draws are summed as long as the sums of neighbouring pairs stay above 0, and never rise.
    """
    halves = _chains(draws)
    n, chains = halves.shape
    centred = halves - halves.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n, axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, axis=0)[:n].mean(axis=1) / n
    within = covariance[0] * n / (n - 1)
    total = within * (n - 1) / n + halves.mean(axis=0).var(ddof=1)
    if total == 0:
        return math.nan
    correlation = 1 - (within - covariance * n / (n - 1)) / total
    pairs = correlation[: n - n % 2].reshape(-1, 2).sum(axis=1)
    kept = np.minimum.accumulate(pairs)[: int(np.argmax(pairs < 0)) if (pairs < 0).any() else None]
    return float(n * chains / max(2 * kept.sum() - 1, 1 / math.log10(n * chains)))


def calibration_ranks(
    prior: Callable[[np.random.Generator], float],
    simulate: Callable[[float, np.random.Generator], Any],
    posterior: Callable[[Any, np.random.Generator], np.ndarray],
    times: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return ranks of true values among posterior draws, of shape (times,) (Talts and others, 2018).

    A truth is drawn from the prior, data from the truth, and independent draws from the posterior of the data. If all
    three are right, ranks are uniform on 0 … draws: a valley in the middle shows a posterior that is too sure.
    """
    ranks = np.empty(times, dtype=int)
    for k in range(times):
        truth = prior(rng)
        ranks[k] = (posterior(simulate(truth, rng), rng) < truth).sum()
    return ranks


# --- refusals and plumbing ------------------------------------------------------------------------------------------


def _positive(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a finite number above 0, got {value}.")


def _counts(least: int, **parameters: float) -> None:
    for name, value in parameters.items():
        if not least <= value < math.inf:
            raise ValueError(f"{name} must be a finite number of at least {least}, got {value}.")


def _share(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}.")


def _finite(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    wrong = array[~np.isfinite(array)]
    if wrong.size:
        raise ValueError(f"{name} must be finite numbers, got {wrong[0]}.")
    return array


def _weights(prior: ArrayLike) -> np.ndarray:
    array = _finite(prior, "prior")
    if (array < 0).any():
        raise ValueError(f"prior must hold weights from 0 on, got {array.min()}.")
    return array


def _logs(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    wrong = array[~(array < math.inf)]
    if wrong.size:
        raise ValueError(f"log_likelihood must hold logarithms below inf, got {wrong[0]}.")
    return array


def _possible(highest: np.ndarray) -> None:
    if (highest == -math.inf).any():
        raise ValueError(
            "log_likelihood and prior must leave a hypothesis possible, got -inf or 0 for all: widen the prior."
        )


def _start(start: ArrayLike, log_density: LogDensity) -> tuple[np.ndarray, np.ndarray]:
    position = _finite(start, "start")
    if position.ndim == 0:
        raise ValueError(f"start must have the shape (..., d), got the single number {position}.")
    here = np.asarray(log_density(position), dtype=float)
    if here.shape != position.shape[:-1]:
        raise ValueError(f"log_density must map {position.shape} to {position.shape[:-1]}, got {here.shape}.")
    if not np.isfinite(here).all():
        raise ValueError(f"start must have a finite log-density, got {here[~np.isfinite(here)][0]}: start elsewhere.")
    return position, here


def _scale(scale: ArrayLike) -> np.ndarray:
    width = _finite(scale, "scale")
    if not (width > 0).all():
        raise ValueError(f"scale must be above 0, got {width.min()}.")
    return width


def _chains(draws: ArrayLike) -> np.ndarray:
    """Both halves of each chain, of shape (steps / 2, 2 chains)."""
    array = _finite(draws, "draws")
    if array.ndim != 2 or array.shape[0] < 4:
        raise ValueError(f"draws must have the shape (steps, chains) with 4 steps or more, got {array.shape}.")
    half = array.shape[0] // 2
    return np.concatenate([array[:half], array[-half:]], axis=1)
