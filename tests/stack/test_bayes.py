"""`bedrock/bayes`: simulation-based calibration, closed forms, and a posterior that SciPy integrates."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from groundup.stack.bedrock.bayes import (
    Beta,
    Chain,
    Gamma,
    NormalMean,
    calibration_ranks,
    effective_sample_size,
    expected_loss,
    hamiltonian,
    metropolis,
    probability_above,
    split_r_hat,
    update,
)

PULL = np.array([-1.2, 0.4])


def uniform(ranks, draws):
    """The p-value of ranks 0 … draws being equally probable."""
    return stats.chisquare(np.bincount(ranks, minlength=draws + 1)).pvalue


@pytest.mark.parametrize("kind", ["beta", "gamma", "normal"])
def test_conjugate_posteriors_are_calibrated(kind):
    prior: Any = {"beta": Beta(3, 7), "gamma": Gamma(4, 2), "normal": NormalMean(1, 3)}[kind]
    simulate = {
        "beta": lambda rate, r: r.binomial(12, rate),
        "gamma": lambda rate, r: r.poisson(5 * rate),
        "normal": lambda mean, r: r.normal(mean, 2, 4),
    }[kind]

    def posterior(data, r):
        after = {
            "beta": lambda: prior.update(data, 12 - data),
            "gamma": lambda: prior.update(data, 5),
            "normal": lambda: prior.update(data, 2),
        }[kind]()
        return after.sample(19, r)

    ranks = calibration_ranks(lambda r: prior.sample(1, r)[0], simulate, posterior, 4_000, np.random.default_rng(1))
    assert uniform(ranks, 19) > 1e-4


def test_calibration_sees_a_posterior_that_is_too_sure():
    posterior = lambda x, r: NormalMean(0, 1).update(x, 1.0).sample(19, r) * 0.7  # noqa: E731
    simulate = lambda mean, r: r.normal(mean, 1, 2)  # noqa: E731
    ranks = calibration_ranks(lambda r: r.normal(), simulate, posterior, 2_000, np.random.default_rng(2))
    assert uniform(ranks, 19) < 1e-9


def sampled(name, log_density, gradient, start, steps, rng) -> Chain:
    if name == "metropolis":
        return metropolis(log_density, start, steps * 6, 0.9, rng)
    return hamiltonian(log_density, gradient, start, steps, 0.4, 4, rng)


@pytest.mark.parametrize("name", ["metropolis", "hamiltonian"])
def test_samplers_are_calibrated(name):
    """Of a Poisson rate whose logarithm is normal, without a closed form: the last draws of nine chains rank alike."""

    def posterior(count, r):
        log_density = lambda x: (count * x - np.exp(np.minimum(x, 50)) - x**2 / 2).sum(axis=-1)  # noqa: E731
        gradient = lambda x: count - np.exp(np.minimum(x, 50)) - x  # noqa: E731
        start = r.normal(math.log(count + 0.5), 0.5, (9, 1))
        return sampled(name, log_density, gradient, start, 25, r).draws[-1, :, 0]

    simulate = lambda truth, r: r.poisson(math.exp(truth))  # noqa: E731
    ranks = calibration_ranks(lambda r: r.normal(), simulate, posterior, 500, np.random.default_rng(3))
    assert uniform(ranks, 9) > 1e-4


@pytest.mark.parametrize("name", ["metropolis", "hamiltonian"])
def test_samplers_find_the_posterior_of_a_logistic_regression(name):
    """Mean and deviation of both coefficients are those of a numerical integral over the plane."""
    rng = np.random.default_rng(4)
    X = np.column_stack([np.ones(30), rng.normal(size=30)])
    y = (rng.random(30) < special.expit(X @ PULL)).astype(float)
    log_density = lambda w: (y * (w @ X.T) - np.logaddexp(0, w @ X.T)).sum(axis=-1) - (w**2).sum(axis=-1) / 8  # noqa: E731
    gradient = lambda w: (y - special.expit(w @ X.T)) @ X - w / 4  # noqa: E731
    grid = np.linspace(-6, 6, 241)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    shares = update(np.ones(len(points)), log_density(points))
    mean = shares @ points
    std = np.sqrt(shares @ (points - mean) ** 2)
    draws = sampled(name, log_density, gradient, rng.normal(size=(50, 2)), 400, rng).draws[100:]
    for k in range(2):
        assert split_r_hat(draws[..., k]) < 1.02
        error = std[k] / math.sqrt(effective_sample_size(draws[..., k]))
        assert abs(draws[..., k].mean() - mean[k]) < 5 * error
        assert draws[..., k].std() == pytest.approx(std[k], rel=0.06)


@pytest.mark.parametrize(
    ("first", "second"), [((1, 1), (1, 1)), ((3, 5), (8, 2)), ((120, 900), (140, 880)), ((0.5, 0.5), (2, 9))]
)
def test_the_loss_of_a_choice_is_an_integral(first, second):
    ours, theirs = Beta(*first), Beta(*second)
    p, q = stats.beta(*first), stats.beta(*second)
    loss = integrate.quad(lambda x: p.cdf(x) * q.sf(x), 0, 1, epsabs=1e-12, limit=400)[0]
    assert expected_loss(ours, theirs) == pytest.approx(loss, rel=1e-4, abs=1e-7)
    rng = np.random.default_rng(5)
    drawn = np.mean(p.rvs(200_000, random_state=rng) > q.rvs(200_000, random_state=rng))
    assert probability_above(ours, theirs) == pytest.approx(drawn, abs=5 * 0.5 / math.sqrt(200_000))


@pytest.mark.parametrize("known", [(1, 9), (30, 70), (300, 700), (30_000, 70_000), (3e6, 7e6)])
def test_a_belief_about_anything_is_compared_with_a_sharp_one(known):
    """A uniform rate is above another with the mean of 1 - the other, however much is known of that one."""
    anything, sharp = Beta(1, 1), Beta(*known)
    assert probability_above(anything, sharp) == pytest.approx(1 - sharp.mean, abs=1e-8)
    assert probability_above(sharp, anything) == pytest.approx(sharp.mean, abs=1e-8)
    loss = sharp.mean**2 / 2 + sharp.mean * (1 - sharp.mean) / (sharp.a + sharp.b + 1) / 2  # E x² / 2
    assert expected_loss(anything, sharp) == pytest.approx(loss, abs=1e-8)


def test_effective_sample_size_is_that_of_independent_draws():
    rng = np.random.default_rng(6)
    sizes = [effective_sample_size(rng.normal(size=(1_000, 4))) for _ in range(20)]
    assert np.mean(sizes) == pytest.approx(4_000, rel=0.05)
    assert split_r_hat(rng.normal(size=(1_000, 4))) == pytest.approx(1, abs=0.01)


def test_a_trend_in_one_chain_shows():
    """Both halves of a chain are compared, so one that is still on its way is seen without another beside it."""
    rng = np.random.default_rng(7)
    assert split_r_hat(rng.normal(size=(400, 1)) + np.linspace(0, 3, 400)[:, None]) > 1.2
