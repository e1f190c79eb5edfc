"""A/B testing: who sees which variant, for how long, and what may be said afterwards, or before.

    assign("user-17", "checkout-2")                     # 0 or 1, the same for ever
    visitors_needed(0.10, 0.11)                         # of each variant, to see 11 percent against 10
    two_proportions(Arm(2_000, 200), Arm(2_000, 240))   # one look, at the end
    always_valid(differences, errors, scale=0.01)       # p-values that you may watch
    cuped(old, new, old_before, new_before)             # the same values with less noise
    decide(a, b, Beta(60, 540), accepted=0.001)         # ship, keep, or go on
    Experiment("checkout-2", 0.10, 0.11).report(looks)  # all of it, as Markdown

Visitors are taken as independent of each other: assign what can be, a user and not a request.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from groundup.stack.bedrock.bayes import Beta, expected_loss, probability_above

MISMATCH = 0.001  # p-value below which the sizes of the arms are held for a fault of the assignment

# --- before ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arm:
    """What is counted of one variant.

    Attributes:
        visitors: who saw it, at least 1.
        conversions: who did what was hoped for, at most all visitors.
    """

    visitors: int
    conversions: int

    def __post_init__(self) -> None:
        _at_least(1, visitors=self.visitors)
        if not 0 <= self.conversions <= self.visitors:
            raise ValueError(f"conversions must lie between 0 and visitors={self.visitors}, got {self.conversions}.")

    @property
    def rate(self) -> float:
        """The share of visitors who converted."""
        return self.conversions / self.visitors


def assign(user: str, experiment: str, shares: Sequence[float] = (0.5, 0.5)) -> int:
    """Return the number of the variant that the user sees: the same on every machine, and another in other experiments.

    The first 8 bytes of SHA-256 of "experiment/user" in UTF-8, the largest first, over 2⁶⁴ are a number u in [0, 1).
    The variant is the first whose cumulative share exceeds u. Shares are scaled to sum to 1.

    Raises:
        ValueError: an experiment that is empty or holds a "/", or shares that are below 0, not finite, or all 0.
    """
    _name(experiment)
    digest = hashlib.sha256(f"{experiment}/{user}".encode()).digest()
    u = int.from_bytes(digest[:8], "big") / 2**64
    ends = np.cumsum(_shares(shares))
    return int(np.searchsorted(ends[:-1], u, side="right"))


def visitors_needed(base: float, other: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Return how many visitors of *each* variant a two-sided test needs to tell the rate `other` from `base`.

    With z the normal quantiles of 1 - alpha / 2 and of the power, m the mean of both rates, and v(p) = p (1 - p), it is
    (z_alpha √(2 v(m)) + z_power √(v(base) + v(other)))² / (other - base)², rounded up (Fleiss, Levin and Paik, 2003).

    Raises:
        ValueError: a rate, power or alpha that is not between 0 and 1, or rates that are equal.
    """
    _between(base=base, other=other, power=power, alpha=alpha)
    _unequal(base, other)
    middle = (base + other) / 2
    null = special.ndtri(1 - alpha / 2) * math.sqrt(2 * middle * (1 - middle))
    real = special.ndtri(power) * math.sqrt(base * (1 - base) + other * (1 - other))
    return math.ceil(((null + real) / (other - base)) ** 2)


def sample_ratio(visitors: Sequence[int], shares: Sequence[float] | None = None) -> float:
    """Return the p-value of the arms' sizes, all shares above 0: below 0.001 assignment or counting is broken."""
    counts = np.asarray(visitors, dtype=float)
    expected = counts.sum() * _shares(shares or [1] * counts.size)
    if not expected.min() > 0:
        raise ValueError(f"shares must give each arm some visitors, got {expected.tolist()}. Leave empty arms out.")
    return float(special.chdtrc(counts.size - 1, ((counts - expected) ** 2 / expected).sum()))


# --- one look -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A difference of rates, its standard error, and the p-value of a test at one look that was planned."""

    difference: float
    error: float
    p_value: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of the confidence interval of the difference, for one look."""
        _between(confidence=confidence)
        reach = self.error * float(special.ndtri((1 + confidence) / 2))
        return self.difference - reach, self.difference + reach


def two_proportions(a: Arm, b: Arm) -> Comparison:
    """Compare two rates, b - a, by the normal distribution, at one look that was planned.

    If nothing differs both have one rate, so the test's standard error is √(r (1 - r) (1/n_a + 1/n_b)) with the pooled
    rate r. The `error` of the difference is not pooled: √(r_a (1 - r_a) / n_a + r_b (1 - r_b) / n_b). Where nobody or
    everybody converted the p-value is 1.
    """
    pooled = (a.conversions + b.conversions) / (a.visitors + b.visitors)
    null = math.sqrt(pooled * (1 - pooled) * (1 / a.visitors + 1 / b.visitors))
    error = math.sqrt(a.rate * (1 - a.rate) / a.visitors + b.rate * (1 - b.rate) / b.visitors)
    difference = b.rate - a.rate
    p_value = 2 * special.ndtr(-abs(difference) / null) if null > 0 else 1.0
    return Comparison(difference, error, float(p_value))


def cuped(a: ArrayLike, b: ArrayLike, before_a: ArrayLike, before_b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return both samples less what the past explains (Deng and others, 2013), of shapes (n_a,) and (n_b,).

    `before_a` and `before_b` hold a number known of each visitor before the experiment, of which the variant can have
    changed nothing. The slope is Σ dx dy / Σ dx², with dx and dy the distances from the mean of the visitor's own
    *arm*, summed over both arms. It is 0 where the past does not vary within an arm. Each value loses slope times
    (x - mean of all x). So the difference of means is that of a regression on variant and past.

    Raises:
        ValueError: an empty sample, one of other than one axis, values that are not finite, or pasts of other length.
    """
    ys = [_sample(a, "a"), _sample(b, "b")]
    xs = [_alongside(before_a, "before_a", ys[0]), _alongside(before_b, "before_b", ys[1])]
    dx = np.concatenate([x - x.mean() for x in xs])
    dy = np.concatenate([y - y.mean() for y in ys])
    squares = (dx**2).sum()
    slope = (dx * dy).sum() / squares if squares > 0 else 0.0
    middle = np.concatenate(xs).mean()
    return ys[0] - slope * (xs[0] - middle), ys[1] - slope * (xs[1] - middle)


# --- many looks -----------------------------------------------------------------------------------------------------


def always_valid(estimates: ArrayLike, errors: ArrayLike, scale: float) -> np.ndarray:
    """Return p-values of looks in order, of shape (..., looks), valid whenever you stop (Johari and others, 2017).

    Each look has an estimate of the difference so far and its standard error. With V = error² and T = scale², the
    evidence against no difference is the likelihood ratio √(V / (V + T)) exp(T estimate² / (2 V (V + T))): the mean
    over true differences that are normal with deviation `scale`. If nothing differs, it ever reaches 1/alpha with
    probability alpha at most. The p-value is one over the largest evidence so far, at most 1. It never rises.

    Raises:
        ValueError: an estimate that is not finite, errors or a scale that are not above 0, or shapes that differ.
    """
    _positive(scale=scale)
    d, e = _looks(estimates, errors)
    variance, typical = e**2, scale**2
    evidence = np.log(variance / (variance + typical)) / 2 + typical * d**2 / (2 * variance * (variance + typical))
    return np.exp(-np.maximum(np.maximum.accumulate(evidence, axis=-1), 0.0))


def confidence_sequence(
    estimates: ArrayLike, errors: ArrayLike, scale: float, alpha: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends, at each look, of intervals that *all* hold the difference with probability 1 - alpha."""
    _positive(scale=scale)
    _between(alpha=alpha)
    d, e = _looks(estimates, errors)
    total = e**2 + scale**2
    reach = e / scale * np.sqrt(total * (np.log(total / e**2) - 2 * math.log(alpha)))
    return d - reach, d + reach


def differences(looks: Sequence[tuple[Arm, Arm]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the difference of rates, b - a, and its standard error at each look; the counts are those so far.

    A conversion and a failure are added to each arm for the error alone, so that it is never 0.
    """
    counts = np.array([[arm.visitors, arm.conversions] for look in looks for arm in look], dtype=float)
    visitors, conversions = counts.reshape(-1, 2, 2).transpose(2, 1, 0)
    rates, careful = conversions / visitors, (conversions + 1) / (visitors + 2)
    return rates[1] - rates[0], np.sqrt((careful * (1 - careful) / visitors).sum(axis=0))


# --- a decision, and a report ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """The choice ("a", "b" or "continue"), the probability that b is better, and the expected losses."""

    choice: str
    b_is_better: float
    loss_a: float
    loss_b: float


def decide(a: Arm, b: Arm, prior: Beta, accepted: float) -> Decision:
    """Choose the variant whose expected loss is smaller, if it is at most `accepted`; else go on.

    Both rates have the same prior and are independent. A loss is the rate that is lost, in the mean, by choosing a
    variant that is not the better one (`expected_loss`). Equal losses choose a, the old one.

    Raises:
        ValueError: `accepted` is not a finite number above 0.
    """
    _positive(accepted=accepted)
    old, new = (prior.update(arm.conversions, arm.visitors - arm.conversions) for arm in (a, b))
    loss_a, loss_b = expected_loss(old, new), expected_loss(new, old)
    choice = "b" if loss_b < loss_a else "a"
    return Decision(
        choice if min(loss_a, loss_b) <= accepted else "continue", probability_above(new, old), loss_a, loss_b
    )


@dataclass(frozen=True)
class Experiment:
    """An experiment as it was planned, before anybody looked.

    Attributes:
        name: by which users are assigned.
        base: the rate of the old variant, as far as is known.
        other: the rate of the new one that would be worth it.
        power: probability of seeing such a difference.
        alpha: probability of seeing one if there is none.
        prior: belief about a rate, for the decision.
    """

    name: str
    base: float
    other: float
    power: float = 0.8
    alpha: float = 0.05
    prior: Beta = field(default_factory=Beta)

    @property
    def visitors(self) -> int:
        """The visitors of each variant that a single look at the end needs."""
        return visitors_needed(self.base, self.other, self.power, self.alpha)

    def report(self, looks: Sequence[tuple[Arm, Arm]]) -> str:
        """Return a report in Markdown after looks at arms (a, b), with all counts so far at each.

        A mismatch of the arms' sizes comes first and ends the report: nothing else can then be believed.
        """
        _at_least(1, looks=len(looks))
        a, b = looks[-1]
        lines = [f"# {self.name}", "", "| variant | visitors | conversions | rate |", "|---|--:|--:|--:|"]
        for n, arm in (("a", a), ("b", b)):
            lines.append(f"| {n} | {arm.visitors:,} | {arm.conversions:,} | {arm.rate:.4f} |")
        mismatch = sample_ratio([a.visitors, b.visitors])
        if mismatch < MISMATCH:
            sizes = f"the sizes differ more than chance allows (p = {mismatch:.1e})"
            return "\n".join([*lines, "", f"**Stop:** {sizes}. Mend assignment or counting; nothing below would hold."])
        estimates, errors = differences(looks)
        scale = abs(self.other - self.base)
        p = always_valid(estimates, errors, scale)[-1]
        low, high = (ends[-1] for ends in confidence_sequence(estimates, errors, scale, self.alpha))
        compared, decision = two_proportions(a, b), decide(a, b, self.prior, scale / 10)
        planned = min(a.visitors, b.visitors) >= self.visitors
        single = f"p = {compared.p_value:.4f}" if planned else f"not before {self.visitors:,} visitors of each variant"
        verdict = "b differs" if p <= self.alpha else "no difference shown so far"
        losses = f"losses a {decision.loss_a:.5f}, b {decision.loss_b:.5f}"
        return "\n".join(
            [
                *lines,
                "",
                f"- **At any time:** {verdict}; p = {p:.4f}, difference between {low:+.4f} and {high:+.4f}.",
                f"- **At the planned size:** {single}.",
                f"- **Decision:** {decision.choice}; P(b better) = {decision.b_is_better:.3f}, {losses}.",
                f"- **Sizes:** p = {mismatch:.3f}.",
            ]
        )


# --- refusals and plumbing ------------------------------------------------------------------------------------------


def _between(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}.")


def _positive(**parameters: float) -> None:
    for name, value in parameters.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a finite number above 0, got {value}.")


def _at_least(least: int, **parameters: int) -> None:
    for name, value in parameters.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")


def _unequal(base: float, other: float) -> None:
    if base == other:
        raise ValueError(f"other must differ from base: no size tells {other} from {base}.")


def _name(experiment: str) -> None:
    if not experiment or "/" in experiment:
        raise ValueError(f'experiment must be a name without "/", got {experiment!r}.')


def _shares(shares: Sequence[float]) -> np.ndarray:
    array = np.asarray(shares, dtype=float)
    if array.ndim != 1 or not ((array >= 0) & (array < math.inf)).all() or not array.sum() > 0:
        raise ValueError(f"shares must be finite numbers from 0 on, not all 0, got {list(shares)}.")
    return array / array.sum()


def _finite(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    wrong = array[~np.isfinite(array)]
    if wrong.size:
        raise ValueError(f"{name} must be finite numbers, got {wrong[0]}.")
    return array


def _sample(values: ArrayLike, name: str) -> np.ndarray:
    array = _finite(values, name)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must hold one or more numbers along one axis, got shape {array.shape}.")
    return array


def _alongside(values: ArrayLike, name: str, sample: np.ndarray) -> np.ndarray:
    array = _sample(values, name)
    if array.shape != sample.shape:
        raise ValueError(f"{name} must have a number for each of {sample.size} visitors, got shape {array.shape}.")
    return array


def _looks(estimates: ArrayLike, errors: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    d, e = _finite(estimates, "estimates"), _finite(errors, "errors")
    if d.shape != e.shape or d.ndim == 0:
        raise ValueError(f"estimates and errors must have one shape (..., looks), got {d.shape} and {e.shape}.")
    if not (e > 0).all():
        raise ValueError(f"errors must be above 0, got {e.min()}.")
    return d, e
