"""Checks of probability."""

from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_number_kinds,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
)
from groundup.stack.bedrock.probability import (
    Exponential,
    Gamma,
    Normal,
    Poisson,
    alert_threshold,
    box_muller,
    rejection_sample,
    standardised_means,
)

DRAWS = 20_000
ALMOST_NEVER = 1e-6  # a right sampler fails a test of its distribution once in a million seeds


class _Told:
    """A generator whose uniform numbers all have one height."""

    def __init__(self, height: float) -> None:
        self.height, self.drawn = height, 0

    def random(self, size: Any = None) -> Any:
        self.drawn += 1 if size is None else int(np.prod(size))
        return np.full(() if size is None else size, self.height)[()]

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Any = None) -> Any:
        return low + (high - low) * self.random(size)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this generator has uniform numbers only, rng.random or rng.uniform, and no {name}")


def told(height: float) -> Any:
    """A generator of this uniform number."""
    return _Told(height)


def assert_distributed(sample, distribution, message):
    """The sample is one of the distribution, by a test of Kolmogorov and Smirnov."""
    distance, p = stats.kstest(sample, distribution.cdf)
    assert p > ALMOST_NEVER, f"{message}: the distance to its cumulative distribution is {distance:.3f} (p = {p:.1e})"


# --- densities ------------------------------------------------------------------------------------------------------


def test_normal_log_density_by_hand():
    """At the mean it is -log(std √(2π)); two deviations away it is 2 lower."""
    bell = Normal(mean=10, std=4)
    peak = -np.log(4) - np.log(2 * np.pi) / 2
    assert_close(bell.log_density([10, 18, 2]), [peak, peak - 2, peak - 2])
    far = Normal(mean=1e9).log_density([1e9, 1e9 + 2])
    assert_close(far, np.array([0, -2]) - np.log(2 * np.pi) / 2, "at a mean of 10⁹: subtract before you square")


def test_normal_log_density_is_scipys(rng):
    """It is SciPy's, for numbers of any shape."""
    x = rng.normal(scale=5, size=(3, 4))
    assert_close(Normal(-1, 2.5).log_density(x), stats.norm.logpdf(x, -1, 2.5))
    assert_shape(Normal().log_density(0.5), (), "a number has the shape ()")


def test_normal_log_density_survives_far_away():
    """A hundred deviations out the density is 0 to a computer; its logarithm is about -5,000."""
    assert_close(Normal().log_density(100.0), -5000 - np.log(2 * np.pi) / 2)


def test_normal_density_has_area_one():
    """The density integrates to 1, however narrow."""
    for std in (0.01, 1.0, 30.0):
        narrow = Normal(2, std)
        area = integrate.quad(lambda x, d=narrow: float(np.exp(d.log_density(x))), 2 - 9 * std, 2 + 9 * std)[0]
        assert_close(area, 1, f"the area under the density with std={std}", rtol=1e-6)


def test_poisson_log_mass_by_hand():
    """At a rate of 2 errors a minute, none has probability exp(-2), three has 8/6 exp(-2)."""
    assert_close(Poisson(2.0).log_mass([0, 3]), [-2, np.log(8 / 6) - 2])


def test_poisson_log_mass_is_scipys():
    """It is SciPy's from 0 to counts whose factorial no float holds, however small the rate."""
    counts = np.array([0, 1, 7, 50, 170, 171, 1000])
    for rate in (1e-12, 0.1, 3.0, 200.0):
        assert_close(Poisson(rate).log_mass(counts), stats.poisson.logpmf(counts, rate), f"rate={rate}")
    for shape in ((), (2, 3)):
        assert_shape(Poisson().log_mass(np.ones(shape)), shape, f"counts of shape {shape}")


def test_poisson_counts_are_whole():
    """Half an error, minus one and nearly three have probability 0, -inf, without a warning; so has infinity."""
    impossible = [-1, 0.5, -0.5, 3 - 1e-6]
    assert_close(Poisson(2.0).log_mass(impossible), [-np.inf] * 4, f"counts {impossible}")
    with np.errstate(invalid="ignore"):
        assert_close(Poisson(2.0).log_mass(np.inf), -np.inf, "infinitely many")


def test_poisson_masses_sum_to_one():
    """All counts together have probability 1."""
    assert_close(np.exp(Poisson(4.2).log_mass(np.arange(60))).sum(), 1.0)


@pytest.mark.parametrize("log_density", [Normal(1, 2).log_density, Poisson(3).log_mass])
def test_densities_take_any_numbers(log_density):
    """Lists, integers and float32 will do, and what is given stays as it is."""
    assert_number_kinds(log_density, [0.0, 3.0, 1.0, 255.0])
    assert_unchanged(log_density, np.array([-1.0, 2.0, 0.5]))


# --- samplers -------------------------------------------------------------------------------------------------------


def test_exponential_sample_by_hand():
    """U = 1/2 becomes the median, log(2) / rate; u = 0 becomes 0."""
    assert_close(Exponential(4.0).sample(1, told(0.5)), [np.log(2) / 4], "u = 0.5")
    assert_close(Exponential(4.0).sample(1, told(0.0)), [0.0], "u = 0")


def test_exponential_sample_is_always_finite():
    """The smallest and the largest u that a generator can give make finite times."""
    for u in (0.0, 1 - 2**-53):
        with np.errstate(divide="ignore"):
            time = Exponential().sample(1, told(u))[0]
        assert np.isfinite(time), f"u = {u} became {time}: which of log(u) and log(1 - u) is finite at both ends?"


def test_exponential_sample_has_its_distribution(rng):
    """20,000 waiting times have the exponential distribution of their rate."""
    for rate in (0.2, 5.0):
        times = Exponential(rate).sample(DRAWS, rng)
        assert_shape(times, (DRAWS,))
        assert_distributed(times, stats.expon(scale=1 / rate), f"rate={rate}")


def test_box_muller_by_hand():
    """Uniforms of 1/4 make a quarter turn at radius √(2 log 4/3): one number is 0. Of 7/8, both are √(log 8) from 0."""
    for u, distances in ((1 / 4, [0, np.sqrt(2 * np.log(4 / 3))]), (7 / 8, [np.sqrt(np.log(8))] * 2)):
        numbers = np.sort(np.abs(box_muller(2, told(u))))  # in whatever order angle and radius are drawn
        assert_close(numbers, distances, f"both uniforms are {u}: the distances from 0, sorted", atol=1e-12)
    uniforms = told(0.5)
    box_muller(10, uniforms)
    assert uniforms.drawn == 10, f"ten numbers take five pairs of uniforms: 10, and you drew {uniforms.drawn}"


def test_box_muller_is_normal(rng):
    """20,000 numbers are standard normal, and both of a pair are."""
    numbers = box_muller(DRAWS, rng)
    assert_distributed(numbers, stats.norm, "all numbers")
    assert_distributed(np.concatenate([numbers[:5000], numbers[-5000:]]), stats.norm, "the two ends")


def test_box_muller_gives_independent_numbers(rng):
    """Neither the numbers nor their squares are correlated with those that came of the same pair."""
    first, second = box_muller(2 * DRAWS, rng).reshape(2, -1)
    for power in (1, 2):
        r = np.corrcoef(first**power, second**power)[0, 1]
        assert abs(r) < 6 / np.sqrt(DRAWS), f"correlation of the two halves, to the power {power}: {r:.3f}"


@pytest.mark.parametrize("size", [0, 1, 2, 7])
def test_samplers_draw_as_many_as_asked(size, rng):
    """An odd number, one and none are numbers, too."""
    assert_shape(box_muller(size, rng), (size,), f"box_muller({size}, rng)")
    assert_shape(Exponential().sample(size, rng), (size,), f"Exponential().sample({size}, rng)")
    assert_shape(triangle(size, rng), (size,), f"rejection_sample with size={size}")


def triangle(size, rng, constant=0.0):
    """Draws of the density 2x on [0, 1], from uniform proposals; the constant is that of the target and the bound."""
    log_target = lambda x: np.log(x) + constant  # noqa: E731
    return rejection_sample(log_target, lambda n, r: 1 - r.random(n), np.zeros_like, constant, size, rng)


def test_rejection_sample_has_the_target_distribution(rng):
    """Of uniform proposals those are kept that follow the density 2x."""
    assert_distributed(triangle(DRAWS, rng), stats.triang(1, 0, 1), "the triangle 2x on [0, 1]")
    for constant in (-2000.0, 2000.0):  # either is lost in exp(log_target)
        sample = triangle(1000, rng, constant)
        assert_distributed(sample, stats.triang(1, 0, 1), f"log_target and log_bound with {constant:g} added")


def test_rejection_sample_divides_by_the_proposal(rng):
    """A half-normal target under exponential proposals, which are dense where the target is: the ratio decides."""
    wait = Exponential(1.0)
    sample = rejection_sample(Normal().log_density, wait.sample, wait.log_density, 0.0, DRAWS, rng)
    assert_distributed(sample, stats.halfnorm, "the positive half of the normal distribution")


def test_rejection_sample_refuses_a_bound_that_does_not_hold(rng):
    """Where target > bound · proposal the draws would be wrong: the bound is refused."""
    wait = Exponential(1.0)
    call = lambda: rejection_sample(Normal().log_density, wait.sample, wait.log_density, -2.0, 500, rng)  # noqa: E731
    assert_refuses(call, "log_bound", -2.0)
    last = lambda n, r: np.append(np.zeros(n - 1), 1.0)  # noqa: E731
    call = lambda: rejection_sample(lambda x: 3 * x, last, np.zeros_like, 0.0, 1, rng)  # noqa: E731
    assert_refuses(call, "bound", message="one draw, and the bound breaks at the last proposal of each batch")


def test_rejection_sample_allows_for_rounding(rng):
    """A target that equals bound · proposal keeps every point, though logarithms round to either side."""
    log_target, log_proposal = lambda x: np.log(0.1 * x), lambda x: np.log(x)
    sample = rejection_sample(log_target, lambda n, r: 1 - r.random(n), log_proposal, np.log(0.1), 3000, rng)
    assert_shape(sample, (3000,))


def test_rejection_sample_draws_a_height_for_each_proposal(rng):
    """Where all batches have the same points, they do not keep the same ones: each point has a height of its own."""
    batches = []

    def places(count, rng):
        batches.append(count)
        return np.arange(float(count))

    sample = rejection_sample(lambda x: np.full(x.shape, np.log(0.5)), places, np.zeros_like, 0.0, DRAWS, rng)
    kept = [int(np.sum(sample == place)) for place in range(10)]
    assert len(batches) < 3 or any(0 < times < len(batches) - 1 for times in kept), (
        f"in {len(batches)} batches the first ten points were kept {kept} times, at a chance of one half"
    )


def test_rejection_sample_goes_on_until_it_has_all(rng):
    """A bound that lets one proposal in 100,000 through takes half a million of them for five draws."""
    drawn = 0

    def proposal(count, rng):
        nonlocal drawn
        drawn += count
        assert drawn < 5_000_000, "five million proposals, fifty of them within the bound, and no end"
        return rng.random(count)

    assert_shape(rejection_sample(np.zeros_like, proposal, np.zeros_like, np.log(1e5), 5, rng), (5,))


@pytest.mark.parametrize(
    "draw", [lambda r: box_muller(5, r), lambda r: Exponential().sample(5, r), lambda r: triangle(5, r)]
)
def test_samplers_draw_from_the_generator_given(draw):
    """The generator given decides every draw."""
    assert_draws_from(draw)


# --- maximum likelihood ---------------------------------------------------------------------------------------------


def test_gamma_fit_is_scipys(rng):
    """It is SciPy's fit with the location held at 0."""
    for shape, scale in ((0.4, 3.0), (2.0, 0.5), (60.0, 10.0)):
        values = rng.gamma(shape, scale, 300)
        expected = stats.gamma.fit(values, floc=0)
        ours = Gamma.fit(values)
        assert_close([ours.shape, ours.scale], [expected[0], expected[2]], f"shape {shape}, scale {scale}", rtol=1e-5)


def test_gamma_fit_stands_on_the_summit(rng):
    """At the fitted parameters the log-likelihood has no slope, to the last digits, and every step away goes down."""
    for shape in (0.05, 1.0, 40.0):
        values = rng.gamma(shape, 2.0, 200)
        best = Gamma.fit(values)
        gap = np.log(values.mean()) - np.log(values).mean()
        assert_close(np.log(best.shape) - special.digamma(best.shape), gap, f"log(shape) - ψ(shape), shape {shape}")
    values = rng.gamma(3.0, 2.0, 200)
    best = Gamma.fit(values)
    top = best.log_density(values).sum()
    for factor in (0.999, 1.001):
        for other in (Gamma(best.shape * factor, best.scale), Gamma(best.shape, best.scale * factor)):
            assert other.log_density(values).sum() < top, f"{other} is more probable than your {best}"


def test_gamma_fit_keeps_the_mean_and_scales_along(rng):
    """The fitted mean is the sample's; values in other units change the scale alone."""
    values = rng.gamma(1.5, 4.0, (20, 5))
    fit, larger = Gamma.fit(values), Gamma.fit(1000 * values)
    assert_close(fit.shape * fit.scale, values.mean(), "shape · scale is the mean", rtol=1e-9)
    assert_close([larger.shape, larger.scale], [fit.shape, 1000 * fit.scale], "values times 1,000", rtol=1e-6)
    assert_unchanged(lambda v: Gamma.fit(v).shape, values)
    assert {type(fit.shape), type(fit.scale)} == {float}, f"parameters are floats of Python, got {fit}"


def test_gamma_fit_of_values_that_hardly_differ(rng):
    """Values within a millionth of each other have a shape of about 10¹²."""
    values = 5 + 5e-6 * rng.normal(size=2000)
    assert_close(Gamma.fit(values).shape, values.mean() ** 2 / values.var(), rtol=1e-2)


def test_gamma_fit_refuses_what_has_no_summit():
    """Values of 0 or below, that are all equal, not finite, or none are refused."""
    assert_refuses_values(lambda x: Gamma.fit([1.0, x]), "values", -2.0, 0.0, np.nan, np.inf)
    assert_refuses(lambda: Gamma.fit([3.0, 3.0]), "values", 3.0)
    assert_refuses(lambda: Gamma.fit([0.1] * 3), "values", 0.1, message="0.1 three times, whose computed std is 1e-17")
    assert_refuses(lambda: Gamma.fit([]), "values", message="no value")


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_other_fits_are_the_means(rng):
    """A rate is fitted by the mean, a bell by mean and deviation."""
    assert_close(Poisson.fit([2, 0, 4]).rate, 2.0, "Poisson.fit([2, 0, 4])")
    assert_close(Exponential.fit([1.0, 3.0]).rate, 0.5, "Exponential.fit([1, 3])")
    bell = Normal.fit([1.0, 3.0])
    assert_close([bell.mean, bell.std], [2, 1], "Normal.fit([1, 3])")
    assert_refuses(lambda: Poisson.fit([0, 0]), 0.0, message="no event: no rate is most probable")
    assert_refuses(lambda: Normal.fit([2.0, 2.0]), 2.0, message="one value has no deviation")


def test_tails_are_scipys(rng):
    """Cumulative distributions and tails are SciPy's."""
    x = rng.normal(size=20) * 3
    assert_close(Normal(1, 2).at_most(x), stats.norm(1, 2).cdf(x), "Normal.at_most")
    counts = np.array([-1, 0, 1, 5, 40])
    assert_close(Poisson(4.5).at_least(counts), stats.poisson(4.5).sf(counts - 1), "Poisson.at_least")
    assert_close(Gamma(2, 3).log_density([-1, 0.5, 4]), stats.gamma.logpdf([-1, 0.5, 4], 2, scale=3), "Gamma")


def test_alert_threshold_is_the_smallest():
    """Chance reaches it seldom enough, and reaches one less too often."""
    for rate in (0.01, 2.0, 350.0):
        k = alert_threshold(rate, 0.001)
        assert stats.poisson(rate).sf(k - 1) <= 0.001 < stats.poisson(rate).sf(k - 2), f"rate={rate}: {k}"
    assert_refuses_values(lambda p: alert_threshold(2.0, p), "false_alarm", 0.0, 1.0, np.nan)


def test_means_of_many_are_normal(rng):
    """Means of 400 waiting times, standardised, are normal."""
    means = standardised_means(lambda n: Exponential(3.0).sample(n, rng), 1 / 3, 1 / 3, 400, 2000)
    assert_distributed(means, stats.norm, "2,000 standardised means")
