"""Checks of Bayesian inference."""

import math
from functools import partial
from typing import Any

import numpy as np
from scipy import integrate, stats

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_leading_axes,
    assert_number_kinds,
    assert_order_free,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
)
from groundup.stack.bedrock.bayes import (
    Beta,
    Gamma,
    NormalMean,
    calibration_ranks,
    effective_sample_size,
    expected_loss,
    hamiltonian,
    leapfrog,
    metropolis,
    probability_above,
    shortest_interval,
    split_r_hat,
    update,
)

PRIOR, LOGS = np.array([0.5, 0.3, 0.2]), np.log([0.1, 0.2, 0.7])
exactly = partial(assert_close, rtol=1e-11, atol=1e-12)


def unused():
    """A generator for calls whose draws do not matter."""
    return np.random.default_rng(0)


def normal(x):
    """The log-density of independent standard normal coordinates."""
    return -(x**2).sum(axis=-1) / 2


def downhill(x):
    """Its gradient."""
    return -x


def waiting(x):
    """The log-density of a waiting time: -x above 0, and impossible below."""
    return np.where(x[..., 0] > 0, -x[..., 0], -np.inf)


def beta_density(x, a, b):
    """SciPy's density of a beta distribution."""
    law: Any = stats.beta(a, b)
    return law.pdf(x)


def assert_mean(values, mean, message):
    """The mean of independent values is the expected one, within five standard errors."""
    error = np.std(values) / math.sqrt(np.size(values))
    assert abs(np.mean(values) - mean) < 5 * error, f"{message}: {np.mean(values):.4f}, not {mean:.4f} ± {error:.4f}"


# --- Bayes' rule ----------------------------------------------------------------------------------------------------


def test_update_by_hand():
    """Of 1,000 hosts 10 are broken into. A detector rings for 9 of them and for 99 others: 9 of 108 rings are true."""
    exactly(update([0.01, 0.99], np.log([0.9, 0.1])), [9 / 108, 99 / 108])


def test_update_of_many_data():
    """A thousand data have a likelihood that no float holds. Only differences of logarithms matter."""
    for common in (0.0, -5_000.0, 800.0):
        exactly(update(PRIOR, LOGS + common), np.array([5, 6, 14]) / 25, f"plus {common}")


def test_update_step_by_step(rng):
    """Yesterday's posterior is today's prior: data in two parts, in either order, or at once."""
    first, second = rng.normal(size=(2, 3))
    at_once = update(PRIOR, first + second)
    exactly(update(update(PRIOR, first), second), at_once, "first, then second")
    exactly(update(update(PRIOR, second), first), at_once, "second, then first")


def test_update_of_the_impossible():
    """What the prior or the data rule out stays ruled out, and without data the prior stays."""
    with np.errstate(divide="raise"):
        exactly(update([0.5, 0.5, 0.0], [-1.0, -np.inf, 5.0]), [1, 0, 0])
    exactly(update([2, 6], [-3.0, -3.0]), [0.25, 0.75], "weights need not sum to 1")
    exactly(update([0.7, 0.2, 0.1], [0, 0, 0]), [0.7, 0.2, 0.1], "no data")


def test_update_on_a_grid_is_a_beta():
    """A grid of rates with a flat prior has SciPy's beta posterior."""
    rates = (np.arange(1_000) + 0.5) / 1_000
    posterior = update(np.ones(1_000), 7 * np.log(rates) + 23 * np.log1p(-rates))
    assert_close(posterior, beta_density(rates, 8, 24) / 1_000, rtol=1e-3, atol=1e-7)


def test_update_keeps_its_manners(rng):
    """Any axes in front, broadcasting, lists and integers; what is given stays as it is."""
    assert_leading_axes(lambda logs: update(PRIOR, logs), rng.normal(size=(4, 3)))
    assert_shape(update(rng.random((4, 1, 3)), LOGS + np.zeros((5, 1))), (4, 5, 3), "(4, 1, 3) and (5, 3)")
    assert_number_kinds(update, [1, 2, 5], [0, 1, 3])
    assert_unchanged(update, PRIOR, LOGS)


def test_update_refuses():
    """Weights below 0, what is not finite, and data that nobody allows are refused."""
    assert_refuses_nonfinite(lambda prior: update(prior, LOGS), PRIOR, "prior")
    assert_refuses(lambda: update([0.5, -0.5], [0.0, 0.0]), "prior", -0.5)
    assert_refuses_values(lambda value: update([0.5, 0.5], [0.0, value]), "log_likelihood", np.nan, np.inf)
    assert_refuses(lambda: update([[1, 0], [0, 1]], [-np.inf, 0.0]), "log_likelihood", message="nothing is possible")


# --- a normal mean --------------------------------------------------------------------------------------------------


def test_normal_mean_by_hand():
    """Belief 10 ± 2 and values 14, 16 with noise 4: precisions 4/16 and 2/16, so the mean is 10 + 5/3."""
    belief = NormalMean(10.0, 2.0).update([14, 16], 4.0)
    exactly([belief.mean, belief.std], [10 + 5 / 3, math.sqrt(16 / 6)])


def test_normal_mean_is_bayes_rule_on_a_grid(rng):
    """It is prior times likelihood, integrated numerically."""
    values, grid = rng.normal(3, 2, 5), np.linspace(-10, 15, 4_001)
    logs = -(((values[:, None] - grid) / 1.5) ** 2).sum(axis=0) / 2
    shares = update(np.exp(-(((grid - 1) / 3) ** 2) / 2), logs)
    belief = NormalMean(1.0, 3.0).update(values, 1.5)
    mean = shares @ grid
    assert_close([belief.mean, belief.std], [mean, np.sqrt(shares @ (grid - mean) ** 2)], rtol=1e-6)


def test_normal_mean_in_parts(rng):
    """One value at a time, in any order and shape, leads to the same belief; no value changes nothing."""
    values, at_once = rng.normal(5, 1, (2, 3)), lambda x: NormalMean(1, 2).update(x, 0.7)
    belief = NormalMean(1, 2)
    for value in values.ravel():
        belief = belief.update(value, 0.7)
    exactly([belief.mean, belief.std], [at_once(values).mean, at_once(values).std])
    assert_order_free(lambda x: at_once(x).mean, values.ravel())
    exactly([NormalMean(1, 2).update([], 0.7).mean, NormalMean(1, 2).update([], 0.7).std], [1, 2], "no value")


def test_normal_mean_at_its_ends():
    """A wide belief becomes the mean of the values, and a narrow one stays."""
    wide, narrow = (NormalMean(0.0, std).update([4, 6], 1.0) for std in (1e100, 1e-100))
    exactly([wide.mean, wide.std], [5, math.sqrt(0.5)], "wide")
    exactly(narrow.mean, 0, "narrow")


def test_normal_mean_keeps_its_manners():
    """Lists, integers and float32 will do, values stay as they are, and what is not finite is refused."""
    assert_number_kinds(lambda x: NormalMean(1, 2).update(x, 1).mean, [1, 5, 3])
    assert_unchanged(lambda x: NormalMean(1, 2).update(x, 1).mean, np.array([1.0, 2.0]))
    assert_refuses_nonfinite(lambda x: NormalMean().update(x, 1), np.array([1.0, 2.0]), "values")
    assert_refuses_values(lambda noise: NormalMean().update([1], noise), "noise", 0.0, -1.0, np.nan, np.inf)


def test_normal_mean_is_calibrated(rng):
    """Truths drawn from the prior rank uniformly among draws from the posterior (simulation-based calibration)."""
    simulate = lambda truth, r: r.normal(truth, 2.0, 3)  # noqa: E731
    posterior = lambda values, r: NormalMean(5, 1.5).update(values, 2.0).sample(9, r)  # noqa: E731
    ranks = calibration_ranks(lambda r: r.normal(5, 1.5), simulate, posterior, 1_000, rng)
    counts = np.bincount(ranks, minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-5, f"ranks 0 to 9 came {counts} times, not 100 each"


# --- the shortest interval ------------------------------------------------------------------------------------------


def test_shortest_interval_by_hand():
    """Of 0, 4, 5, 6, 7 and 20 four lie between 4 and 7: that is 0.6 of six, and no shorter interval holds as many."""
    exactly(shortest_interval([20, 4, 6, 0, 5, 7], 0.6), [4, 7])
    exactly(shortest_interval([20, 4, 6, 0, 5, 7], 0.7), [0, 7], "five of six")


def test_shortest_interval_counts_exactly():
    """0.55 of 100 draws are 55, whatever the product of floats is; of equally short intervals it is the lowest."""
    for mass, inside in ((0.55, 55), (0.07, 7), (0.29, 29), (0.551, 56), (0.001, 1), (0.999, 100)):
        exactly(shortest_interval(np.arange(100.0), mass), [0, inside - 1], f"mass {mass}")
    exactly(shortest_interval(np.arange(100.0)), [0, 89], "nine tenths are the default")


def test_shortest_interval_has_the_highest_density():
    """Of an exponential distribution it begins at the start, and both ends of a beta's have one density."""
    levels = (np.arange(20_000) + 0.5) / 20_000
    assert_close(shortest_interval(-np.log1p(-levels), 0.8), [0, -np.log(0.2)], rtol=1e-3, atol=1e-4)
    law: Any = stats.beta(3, 9)
    low, high = shortest_interval(law.ppf(levels))
    assert_close(law.pdf(low), law.pdf(high), rtol=0.05)
    assert high - low < law.ppf(0.95) - law.ppf(0.05), "it must be shorter than the middle interval"


def test_shortest_interval_keeps_its_manners(rng):
    """Draws of any shape, in any order, stay as they are; none, and what is not finite, is refused."""
    x = rng.gamma(2, 1, (6, 4))
    exactly(shortest_interval(x), shortest_interval(np.sort(x, axis=None)))
    assert_order_free(lambda draws: shortest_interval(draws)[0], x.ravel())
    assert_unchanged(shortest_interval, x)
    assert_number_kinds(shortest_interval, [5, 1, 2, 9])
    exactly(shortest_interval([3.0]), [3, 3], "one draw")
    assert_refuses_nonfinite(shortest_interval, x, "draws")
    assert_refuses(lambda: shortest_interval([]), "draws", 0)
    assert_refuses_values(lambda mass: shortest_interval(x, mass), "mass", 0.0, 1.0, 90, np.nan)


# --- Metropolis -----------------------------------------------------------------------------------------------------


def test_metropolis_keeps_what_it_draws_from(rng):
    """Chains that begin in the distribution stay in it: waiting times keep their mean of 1 and their square of 2."""
    start = rng.exponential(size=(30_000, 1))
    draws = metropolis(lambda x: waiting(x) + 50, start, 3, 2.0, rng).draws  # a constant does not matter
    for step, x in enumerate(draws, 1):
        assert_mean(x, 1.0, f"mean after step {step}")
        assert_mean(x**2, 2.0, f"square after step {step}")


def test_metropolis_finds_the_distribution(rng):
    """From far away, chains come to the normal distribution with scales of their own for each coordinate."""
    mean, std = np.array([3.0, -1.0]), np.array([0.1, 5.0])
    chain = metropolis(lambda x: normal((x - mean) / std), np.zeros((3_000, 2)) + mean + std, 60, 2 * std, rng)
    for k in range(2):
        assert_mean(chain.draws[-1, :, k], mean[k], f"coordinate {k}")
        assert_mean((chain.draws[-1, :, k] - mean[k]) ** 2, std[k] ** 2, f"squared deviation of coordinate {k}")


def test_metropolis_stays_where_it_refuses(rng):
    """A walk that may go nowhere draws its start each time, and accepts nothing; on a plain it accepts everything."""
    start = np.array([[1.0, 2.0], [3.0, 4.0]])
    island = lambda x: np.where((x == start).all(axis=-1), 0.0, -np.inf)  # noqa: E731
    chain = metropolis(island, start, 4, 1.0, rng)
    exactly(chain.draws, np.broadcast_to(start, (4, 2, 2)), "draws")
    exactly(chain.accepted, 0, "accepted")
    plain = metropolis(lambda x: np.zeros(x.shape[:-1]), start, 200, 0.5, rng)
    exactly(plain.accepted, 1, "accepted on a plain")
    steps = np.diff(np.concatenate([start[None], plain.draws]), axis=0)
    assert_mean(steps**2, 0.25, "squared step of scale 0.5")
    assert_mean(steps, 0.0, "step")


def test_metropolis_refuses_nan(rng):
    """A place whose log-density is NaN is not entered."""
    chain = metropolis(lambda x: np.where(x[..., 0] > 0, np.nan, 0.0), np.full((50, 1), -0.1), 20, 1.0, rng)
    assert (chain.draws <= 0).all(), "a chain entered a place without a log-density"


def test_metropolis_chains_are_their_own(rng):
    """Each chain decides for itself: a refused one stands still beside one that moves."""
    draws = metropolis(normal, np.zeros((200, 1)), 1, 3.0, rng).draws[0, :, 0]
    assert 20 < (draws == 0).sum() < 180, f"of 200 chains {(draws == 0).sum()} stayed"


def test_metropolis_accepted_is_the_share_that_moved(rng):
    """The share accepted is that of steps on which a position changed, whatever the shape."""
    for shape in ((1,), (40, 2), (3, 2, 1)):
        start = np.zeros(shape)
        chain = metropolis(normal, start, 30, 1.5, rng)
        assert_shape(chain.draws, (30, *shape), f"draws from {shape}")
        moved = (np.diff(np.concatenate([start[None], chain.draws]), axis=0) != 0).all(axis=-1)
        exactly(chain.accepted, moved.mean(), f"accepted from {shape}")


# --- Hamiltonian ----------------------------------------------------------------------------------------------------


def test_leapfrog_by_hand():
    """From 1 at rest in a normal density, a leap of size 1: momentum -1/2, position 1/2, momentum -3/4."""
    found = leapfrog(downhill, np.array([1.0]), np.array([0.0]), 1.0, 1)
    exactly(np.concatenate(found), [0.5, -0.75], "one leap")
    exactly(
        np.concatenate(leapfrog(downhill, *found, 1.0, 1)),
        np.concatenate(leapfrog(downhill, np.ones(1), np.zeros(1), 1.0, 2)),
        "two leaps, or one and one",
    )


def test_leapfrog_leads_back(rng):
    """With the momentum turned round it comes back to where it began, on any hills."""
    gradient = lambda x: np.cos(x) - x**3  # noqa: E731
    q, p = rng.normal(size=(2, 5, 3))
    there, fast = leapfrog(gradient, q, p, 0.2, 17)
    back, slow = leapfrog(gradient, there, -fast, 0.2, 17)
    assert_close(np.stack([back, -slow]), np.stack([q, p]), rtol=1e-9, atol=1e-9)


def test_leapfrog_keeps_volumes():
    """Its Jacobian has the determinant 1."""
    gradient = lambda x: np.cos(x) - x**3  # noqa: E731
    move = lambda z: np.concatenate(leapfrog(gradient, z[:2], z[2:], 0.3, 4))  # noqa: E731
    z, h = np.array([0.3, -0.8, 0.5, 1.1]), 1e-5
    jacobian = np.array([(move(z + h * e) - move(z - h * e)) / (2 * h) for e in np.eye(4)])
    assert_close(np.linalg.det(jacobian), 1.0, rtol=1e-7)


def test_leapfrog_errs_by_the_square_of_the_step():
    """Half the step over the same way: a quarter of the error in energy, within a tenth."""
    q, p = np.array([1.3, -0.4]), np.array([0.2, 0.9])
    energy = lambda q, p: float((q**4 / 4 + p**2 / 2).sum())  # noqa: E731
    errors = []
    for leaps in (20, 40):
        there, fast = leapfrog(lambda x: -(x**3), q, p, 2.0 / leaps, leaps)
        errors.append(abs(energy(there, fast) - energy(q, p)))
    assert_close(errors[0] / errors[1], 4.0, rtol=0.1)


def test_leapfrog_asks_for_few_gradients():
    """Ten leaps need eleven gradients, and change nothing that was given."""
    asked: list[np.ndarray] = []
    leapfrog(lambda x: asked.append(x) or -x, np.ones(2), np.ones(2), 0.1, 10)
    assert len(asked) == 11, f"10 leaps asked for {len(asked)} gradients"
    for leaps in (1, 3):
        assert_unchanged(lambda q, p, n=leaps: leapfrog(downhill, q, p, 0.1, n)[0], np.ones(2), np.ones(2))


def test_hamiltonian_keeps_what_it_draws_from(rng):
    """Chains that begin in a normal distribution stay in it, though big leaps err: mean, square and fourth power."""
    start = rng.normal(size=(10_000, 2))
    chain = hamiltonian(lambda x: normal(x) + 50, downhill, start, 3, 1.4, 3, rng)  # a constant does not matter
    for step, x in enumerate(chain.draws, 1):
        for power, mean in ((1, 0.0), (2, 1.0), (4, 3.0)):
            assert_mean(x**power, mean, f"power {power} after step {step}")


def test_hamiltonian_pays_for_errors(rng):
    """Leaps that are exact are accepted; those beyond the limit of 2 deviations are not, and a chain then stays."""
    start = rng.normal(size=(100, 3))
    assert hamiltonian(normal, downhill, start, 5, 1e-3, 5, rng).accepted > 0.99, "small leaps are nearly exact"
    with np.errstate(over="raise", invalid="raise"):
        wild = hamiltonian(normal, downhill, start, 2, 4.0, 800, rng)
    exactly(wild.accepted, 0, "leaps that run away, beyond what a float holds")
    exactly(wild.draws, np.broadcast_to(start, (2, 100, 3)), "a chain that refuses stays")


def test_hamiltonian_gives_new_pushes(rng):
    """On a plain a step of one leap moves by step_size times a standard normal push, each time another."""
    chain = hamiltonian(lambda x: np.zeros(x.shape[:-1]), np.zeros_like, np.zeros((40, 2)), 50, 0.5, 2, rng)
    steps = np.diff(chain.draws, axis=0, prepend=np.zeros((1, 40, 2)))
    assert_mean(steps, 0.0, "push")
    assert_mean(steps**2, 1.0, "squared way of two leaps of 0.5")
    exactly(chain.accepted, 1, "accepted on a plain")


def test_hamiltonian_crosses_where_a_walk_creeps(rng):
    """In a valley ten times as long as wide, few steps from its end suffice for the long way, each chain by itself."""
    std = np.array([1.0, 10.0])
    chain = hamiltonian(lambda x: normal(x / std), lambda x: -x / std**2, np.ones((2_000, 2)) * std, 6, 0.7, 20, rng)
    assert_shape(chain.draws, (6, 2_000, 2), "draws")
    for k in range(2):
        assert_mean((chain.draws[-1, :, k] / std[k]) ** 2, 1.0, f"squared deviation of coordinate {k}")


def test_samplers_keep_their_manners():
    """They draw from the generator given, leave the start alone, and refuse what makes no chain."""
    walk = lambda start, r=None, **k: metropolis(normal, start, **{"steps": 3, "scale": 1.0, **k}, rng=r or unused())  # noqa: E731
    settings = {"steps": 3, "step_size": 0.3, "leaps": 2}
    motion = lambda start, r=None, **k: hamiltonian(normal, downhill, start, **{**settings, **k}, rng=r or unused())  # noqa: E731
    for call in (walk, motion):
        assert_draws_from(lambda r, f=call: f(np.ones((3, 2)), r).draws)
        assert_unchanged(lambda x, f=call: f(x).draws, np.ones((3, 2)), own_result=True)
        assert_refuses_nonfinite(call, np.ones((3, 2)), "start")
        assert_shape(call(np.ones((3, 2)), steps=1).draws, (1, 3, 2), "one step")
        assert_refuses_values(lambda n, f=call: f(np.ones((3, 2)), steps=n), "steps", 0, -1)
    assert_refuses(lambda: metropolis(waiting, [[-1.0]], 3, 1.0, unused()), "start", -np.inf)
    assert_refuses(lambda: hamiltonian(waiting, downhill, [[-1.0]], 3, 1.0, 2, unused()), "start", -np.inf)
    assert_refuses_values(lambda s: walk([1.0], scale=s), "scale", 0.0, -1.0, np.nan)
    assert_refuses_values(lambda s: motion([1.0], step_size=s), "step_size", 0.0, -1.0, np.nan)
    assert_refuses_values(lambda n: motion([1.0], leaps=n), "leaps", 0, -2)
    assert_shape(motion([1.0], leaps=1).draws, (3, 1), "one leap")


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_beliefs_are_scipys():
    """Beta and gamma beliefs after data have SciPy's intervals, and the loss of a choice is SciPy's integral."""
    exactly(Beta(2, 38).update(3, 17).interval(0.8), stats.beta(5, 55).ppf([0.1, 0.9]), "Beta")
    exactly(Gamma(2, 1).update(7, 3).interval(0.8), stats.gamma(9, scale=1 / 4).ppf([0.1, 0.9]), "Gamma")
    first, second = Beta(12, 90), Beta(9, 80)
    p, q = (stats.beta(x.a, x.b) for x in (first, second))
    above = integrate.quad(lambda x: beta_density(x, first.a, first.b) * q.cdf(x), 0, 1)[0]
    loss = integrate.quad(lambda x: p.cdf(x) * q.sf(x), 0, 1)[0]
    found = [probability_above(first, second), expected_loss(first, second)]
    assert_close(found, [above, loss], "probability and loss", rtol=1e-5, atol=1e-8)


def test_diagnostics_know_an_autoregression(rng):
    """Draws that keep the share r of the last are worth (1 - r) / (1 + r) of independent ones; r_hat tells arrival."""
    x = np.zeros((4_000, 4))
    for step in range(1, 4_000):
        x[step] = 0.6 * x[step - 1] + rng.normal(size=4)
    assert_close(effective_sample_size(x), 16_000 * 0.4 / 1.6, rtol=0.2)
    assert split_r_hat(x) < 1.02, f"four chains of one distribution have {split_r_hat(x)}"
    assert split_r_hat(x + np.array([0, 0, 0, 3])) > 1.3, "a chain lies elsewhere"
