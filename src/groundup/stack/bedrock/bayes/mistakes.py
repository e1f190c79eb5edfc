# pyright: basic
"""Ways to get Bayesian inference wrong, and right ways that differ."""

import math

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.bayes.bayes import (
    ROUNDING,
    Chain,
    NormalMean,
    _counts,
    _finite,
    _logs,
    _positive,
    _possible,
    _scale,
    _share,
    _start,
    _weights,
)


@mistake("update", edit=("posterior = np.exp(joint - highest)", "posterior = np.exp(joint)"))
def underflows():
    """You leave the logarithms too early: the likelihood of many data is 0 to a float. Subtract the highest first."""


@mistake("update", edit=("joint = np.log(weights) + logs", "joint = np.log((weights > 0) * 1.0) + logs"))
def forgets_the_prior():
    """You return the likelihood, scaled. Of many healthy hosts a few ring by chance: the prior counts them."""


@mistake("update", edit=("posterior.sum(axis=-1, keepdims=True)", "posterior.sum()"))
def scales_all_at_once():
    """You divide by the sum of everything. Each row of hypotheses is a posterior of its own, along the last axis."""


@mistake("update", edit=("return posterior / posterior.sum(axis=-1, keepdims=True)", "return posterior"))
def leaves_out_the_evidence():
    """You do not divide by the sum, so the posterior is none: the best hypothesis always has 1."""


@mistake("NormalMean.update", edit=("precision = belief + sample.size * value", "precision = belief + value"))
def counts_one_value():
    """You add the precision of a single value. Each value knows as much: n of them know n times as much."""


@mistake("NormalMean.update")
def weighs_by_deviations(self, values, noise):
    """You weigh by one over the deviation. Precision is one over the *squared* deviation: squares add up."""
    sample = _finite(values, "values").ravel()
    _positive(noise=noise)
    belief, value = 1 / self.std, 1 / noise
    precision = belief + sample.size * value
    mean = self.mean + value * (sample - self.mean).sum() / precision
    return NormalMean(float(mean), float(1 / precision))


@mistake("NormalMean.update", edit=("1 / math.sqrt(precision)", "math.sqrt(1 / precision + noise**2)"))
def predicts_a_value():
    """You return the deviation of the next value. The belief is about the mean, which has no noise."""


@mistake("NormalMean.update")
def adds_variances(self, values, noise):
    """You add variances, so data make the belief wider. Knowledge adds up: take one over the variance."""
    sample = _finite(values, "values").ravel()
    _positive(noise=noise)
    if sample.size == 0:
        return self
    own, theirs = self.std**2, noise**2 / sample.size
    mean = (self.mean * theirs + sample.mean() * own) / (own + theirs)
    return NormalMean(float(mean), float(math.sqrt(own + theirs)))


@mistake("shortest_interval")
def takes_the_middle(draws, mass=0.9):
    """You leave as many draws below as above. That is the middle interval: of a skewed posterior another is shorter."""
    ordered = np.sort(_finite(draws, "draws"), axis=None)
    _counts(1, **{"size of draws": ordered.size})
    _share(mass=mass)
    inside = math.ceil(mass * ordered.size - ROUNDING)
    low = (ordered.size - inside) // 2
    return float(ordered[low]), float(ordered[low + inside - 1])


@mistake("shortest_interval", edit=("math.ceil(mass * ordered.size - ROUNDING)", "math.ceil(mass * ordered.size)"))
def trusts_the_product():
    """You round up a product of floats: 0.55 · 100 is 55.00000000000001, and becomes 56. Allow for the rounding."""


@mistake("shortest_interval", edit=('np.sort(_finite(draws, "draws"), axis=None)', '_finite(draws, "draws").ravel()'))
def forgets_to_sort():
    """You take neighbours in time. Sort first: an interval holds neighbours in size."""


@mistake("metropolis", edit=("there - here", "np.exp(there) - np.exp(here)"))
def subtracts_densities():
    """You compare with a difference of densities. The ratio counts: a difference of *logarithms*."""


@mistake("metropolis", edit=("-rng.exponential(size=here.shape) < there - here", "there > here"))
def only_climbs():
    """You take steps up alone. That finds the peak and stays. A step down is taken with the ratio as probability."""


@mistake("metropolis", edit=("-rng.exponential(size=here.shape)", "-rng.exponential()"))
def tosses_one_coin():
    """You draw one random number for all chains, so they accept together. Each chain needs its own."""


@mistake("metropolis")
def repeats_until_it_moves(log_density, start, steps, scale, rng):
    """You propose again until a step is taken. A refused step must draw the old position once more."""
    position, here = _start(start, log_density)
    _counts(1, steps=steps)
    width, draws = _scale(scale), np.empty((steps, *position.shape))
    for step in range(steps):
        waits = np.ones(here.shape, dtype=bool)
        for _ in range(60):
            proposal = position + width * rng.normal(size=position.shape)
            there = np.asarray(log_density(proposal))
            accept = waits & (-rng.exponential(size=here.shape) < there - here)
            position, here = np.where(accept[..., None], proposal, position), np.where(accept, there, here)
            waits &= ~accept
        draws[step] = position
    return Chain(draws, 1.0)


@mistake(
    "leapfrog",
    edit=(
        "momentum = momentum + step_size / 2 * gradient(position)\n",
        "momentum = momentum + step_size * gradient(position)\n",
    ),
)
def begins_with_a_whole_step():
    """Your first step of the momentum is a whole one. With half a step at both ends the way back is the same way."""


@mistake("leapfrog")
def moves_both_at_once(gradient, position, momentum, step_size, leaps):
    """You move both from the same place: Euler's way spirals outwards, and does not lead back. Move them in turn."""
    for _ in range(leaps):
        position, momentum = position + step_size * momentum, momentum + step_size * gradient(position)
    return position, momentum


@mistake("hamiltonian", edit=("- ((momentum**2).sum(axis=-1) - (push**2).sum(axis=-1)) / 2", ""))
def ignores_the_momentum():
    """You accept by the densities alone. The momentum belongs to the energy: less half the gain of its square."""


@mistake("hamiltonian", edit=("-rng.exponential(size=here.shape) < gain", "gain > -np.inf"))
def accepts_every_way():
    """You accept every way. Leaps err, and the accept step is what pays for the error."""


@mistake(
    "hamiltonian",
    edit=("push = rng.normal(size=position.shape)", "push = rng.normal(size=position.shape) if step == 0 else push"),
)
def pushes_once():
    """You draw the momentum once. Each step needs a new one, or the chain circles at one height for ever."""


@variant("update")
def by_logaddexp(prior, log_likelihood):
    """The sum in logarithms as well."""
    with np.errstate(divide="ignore"):
        joint = np.log(_weights(prior)) + _logs(log_likelihood)
    _possible(np.max(joint, axis=-1))
    return np.exp(joint - np.logaddexp.reduce(joint, axis=-1, keepdims=True))


@variant("NormalMean.update")
def one_value_after_the_other(self, values, noise):
    """The old mean and the value, weighed, for each value in turn."""
    _positive(noise=noise)
    mean, precision = self.mean, self.std**-2
    for value in _finite(values, "values").flat:
        precision += noise**-2
        mean += (value - mean) * noise**-2 / precision
    return NormalMean(float(mean), precision**-0.5)


@variant("metropolis")
def by_uniform_numbers(log_density, start, steps, scale, rng):
    """Ratios against uniform numbers, drawn first, and positions changed in place."""
    position, here = _start(start, log_density)
    _counts(1, steps=steps)
    position, here, draws, moved = position.copy(), here.copy(), [], []
    for _ in range(steps):
        u = 1 - rng.random(here.shape)
        proposal = rng.normal(position, _scale(scale))
        there = np.array(log_density(proposal))
        accept = np.log(u) < there - here
        position[accept], here[accept] = proposal[accept], there[accept]
        draws.append(position.copy())
        moved.append(np.mean(accept))
    return Chain(np.array(draws), float(np.mean(moved)))


@variant("leapfrog")
def by_final_correction(gradient, position, momentum, step_size, leaps):
    """Whole steps of both, and half a step of the momentum given back."""
    slope = gradient(position)
    momentum = momentum + step_size / 2 * slope
    for _ in range(leaps):
        position = position + step_size * momentum
        slope = gradient(position)
        momentum = momentum + step_size * slope
    return position, momentum - step_size / 2 * slope
