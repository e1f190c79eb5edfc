# pyright: basic
"""Ways to get probability wrong, and right ways that differ."""

import numpy as np
from scipy import special

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.probability.probability import _sample


@mistake("Normal.log_density", edit=(" - np.log(self.std)", ""))
def forgets_the_width():
    """You left log(std) out: a narrow bell must be higher, or its area is not 1."""


@mistake(
    "Normal.log_density",
    edit=(
        "return -0.5 * z**2 - np.log(self.std) - 0.5 * np.log(2 * np.pi)",
        "with np.errstate(all='ignore'):\n        return np.log(np.exp(-0.5 * z**2) / (self.std * np.sqrt(2 * np.pi)))",
    ),
)
def takes_the_logarithm_of_the_density():
    """You take the logarithm of the density. Far out the density is 0 to a computer: take the logarithm on paper."""


@mistake("Normal.log_density", edit=("/ self.std", "/ self.std**2"))
def divides_by_the_variance():
    """You divide the distance by the variance. A standard score is (x - mean) / std; only its square has std²."""


@mistake("Normal.log_density", edit=("-0.5 * z**2", "-(z**2)"))
def forgets_the_half():
    """You forgot the factor 1/2 before z²: two deviations away the logarithm is 2 lower, not 4."""


@mistake("Poisson.log_mass", edit=("special.gammaln(counts + 1)", "special.gammaln(np.maximum(counts, 1))"))
def takes_the_factorial_of_one_less():
    """Your factorial is that of k - 1: log(k!) is gammaln(k + 1), since Γ(n) = (n - 1)!."""


@mistake("Poisson.log_mass", edit=(" & (counts == np.floor(counts))", ""))
def counts_halves():
    """You give half an error a probability. Counts are whole numbers; anything else has probability 0."""


@mistake("Poisson.log_mass", edit=("np.log(self.rate) - self.rate -", "np.log(self.rate) -"))
def forgets_the_rate():
    """You left `- rate` out, so the probabilities of all counts do not sum to 1."""


@mistake("Exponential.sample", edit=("/ self.rate", "* self.rate"))
def multiplies_by_the_rate():
    """You multiply by the rate. Twice the events in a unit of time means half the waiting: divide."""


@mistake("Exponential.sample", edit=("np.log1p(-rng.random(size))", "np.log(rng.random(size))"))
def takes_the_logarithm_of_zero():
    """You take log(u), and u may be 0: an infinite wait, once in 2⁵³ draws. 1 - u is never 0."""


@mistake("Exponential.sample", edit=("-np.log1p(", "np.log1p("))
def waits_backwards():
    """Your waiting times are negative: log(1 - u) is, so the formula begins with a minus."""


@mistake("box_muller", edit=("np.sqrt(-2 * np.log1p(-rng.random(half)))", "-2 * np.log1p(-rng.random(half))"))
def forgets_the_root():
    """You use the squared radius: half of its square is exponential, so the radius needs a root."""


@mistake("box_muller", edit=("2 * np.pi * rng", "np.pi * rng"))
def turns_half_a_circle():
    """Your angles cover half of the circle, so one coordinate is never negative. The whole circle is 2π."""


@mistake("box_muller", edit=("(size + 1) // 2", "size // 2"))
def loses_the_odd_one():
    """You draw size // 2 pairs, which for an odd size is one number short. Round up, then cut."""


@mistake("box_muller", edit=("-2 * np.log1p", "-np.log1p"))
def halves_the_squared_radius():
    """Your radius is too small by √2: half of the squared radius is exponential, so the square is -2 log(1 - u)."""


@mistake("rejection_sample", edit=(" - log_proposal(points)", ""))
def ignores_the_proposal():
    """You accept by the target alone. Where the proposal is dense, many points arrive: divide by its density."""


@mistake("rejection_sample", edit=("kept[:missing]", "kept"))
def returns_too_many():
    """You return all that was accepted in the last batch. Asked for are exactly `size` draws."""


@mistake("rejection_sample", edit=("(excess := log_ratio.max()) > ROUNDING", "(excess := 0.0) > 0"))
def trusts_the_bound():
    """You do not notice a ratio above 1: there the draws cannot be dense enough, and follow another distribution."""


@mistake("Gamma.fit")
def matches_moments(cls, values):
    """You match mean and variance. That is the method of moments: another estimate, and less likely than the summit."""
    sample = _sample(values, "values", 0.0)
    if sample.min() == 0 or np.ptp(sample) == 0:
        raise ValueError(f"values must be above 0 and differ, got {sample.min()} to {sample.max()}.")
    shape = sample.mean() ** 2 / sample.var()
    return cls(float(shape), float(sample.mean() / shape))


@mistake("Gamma.fit", edit=("range(NEWTON_STEPS)", "range(0)"))
def stays_at_the_start():
    """You return the starting value, which is good to two digits only. Newton's steps do the rest."""


@mistake("Gamma.fit", edit=("float(sample.mean() / shape)", "float(shape / sample.mean())"))
def returns_the_rate_for_the_scale():
    """You return shape / mean, which is the rate. The scale is its inverse, mean / shape."""


@variant("Poisson.log_mass")
def by_xlogy(self, k):
    """SciPy's x log(y), and impossible counts masked afterwards."""
    counts = np.array(k, dtype=float)
    wrong = (counts < 0) | (counts != np.floor(counts)) | np.isinf(counts)
    safe = np.where(wrong, 1, counts)
    mass = np.array(special.xlogy(safe, self.rate) - self.rate - special.gammaln(safe + 1))
    mass[wrong] = -np.inf
    return mass


@variant("box_muller")
def by_complex_numbers(size, rng):
    """A point of the plane as a complex number."""
    half = -(-size // 2)
    radius = np.sqrt(-2 * np.log(1 - rng.random(half)))
    points = radius * np.exp(2j * np.pi * rng.random(half))
    return np.append(points.real, points.imag)[:size]


@variant("rejection_sample")
def batch_by_batch(log_target, proposal, log_proposal, log_bound, size, rng):
    """Batches of one size, put together at the end."""
    accepted = np.empty(0)
    while len(accepted) < size:
        x = proposal(1000, rng)
        ratio = log_target(x) - log_proposal(x) - log_bound
        if np.any(ratio > 1e-9):
            raise ValueError(f"log_bound={log_bound} is too low: raise it by {ratio.max()}")
        accepted = np.append(accepted, x[rng.random(1000) < np.exp(ratio)])
    return accepted[:size]


@variant("Gamma.fit")
def by_bisection(cls, values):
    """The root between two bounds, in the logarithm of the shape."""
    sample = _sample(values, "values", 0.0)
    if sample.min() == 0 or np.ptp(sample) == 0:
        raise ValueError(f"values must be above 0 and differ, got {sample.min()} to {sample.max()}.")
    gap = np.log(sample.mean()) - np.log(sample).mean()
    low, high = np.log(0.4 / gap), np.log(1.1 / gap)
    for _ in range(200):
        middle = (low + high) / 2
        shape = np.exp(middle)
        low, high = (middle, high) if np.log(shape) - special.digamma(shape) > gap else (low, middle)
    return cls(float(np.exp(low)), float(sample.mean() / np.exp(low)))
