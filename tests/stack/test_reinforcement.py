"""`classical/reinforcement`: policy iteration as a second oracle, long runs of bandits, and what a baseline is for."""

from __future__ import annotations

import numpy as np
import pytest

from groundup.stack.classical.reinforcement import (
    MDP,
    action_values,
    discounted_returns,
    epsilon_greedy_arm,
    gridworld,
    play,
    policy_values,
    q_learning,
    reinforce_gradient,
    rollouts,
    simulator,
    softmax_policy,
    thompson_arm,
    ucb_arm,
    value_iteration,
)


def test_value_iteration_ends_where_policy_iteration_does():
    rng = np.random.default_rng(0)
    transitions = rng.dirichlet(np.full(30, 0.1), (30, 5))
    mdp = MDP(transitions, rng.normal(size=transitions.shape), np.arange(30) < 2, 0.95)
    policy = np.zeros(30, dtype=int)
    for _ in range(50):
        values = policy_values(mdp, policy)
        policy = action_values(mdp, values).argmax(axis=1)
    np.testing.assert_allclose(value_iteration(mdp).values, policy_values(mdp, policy), atol=1e-7)


def test_q_learning_comes_near_the_optimum_of_a_slippery_grid():
    world = gridworld(["...G", ".#.X", "S..."])
    best = value_iteration(world).values[8]
    table = q_learning(simulator(world), 12, 4, start=8, episodes=2_000, rng=np.random.default_rng(0), epsilon=0.3)
    assert policy_values(world, table.argmax(axis=1))[8] > best - 0.02


@pytest.mark.parametrize("choose", [ucb_arm, thompson_arm])
def test_regret_grows_ever_more_slowly(choose):
    regret = np.mean([play(choose, [0.2, 0.8], 3_000, np.random.default_rng(seed)) for seed in range(4)], axis=0)
    assert regret[2999] - regret[1499] < 0.5 * regret[1499]


def test_a_fixed_share_of_tries_pays_for_ever():
    rng = np.random.default_rng(0)
    regret = play(lambda pulls, totals, rng: epsilon_greedy_arm(pulls, totals, rng, 0.2), [0.2, 0.8], 3_000, rng)
    assert regret[2999] - regret[1999] == pytest.approx(1000 * 0.2 * 0.3, rel=0.35)


def test_a_baseline_calms_the_gradient_and_keeps_its_mean():
    world, rng = gridworld(["...G", ".#.X", "S..."]), np.random.default_rng(0)
    logits = np.zeros((12, 4))
    values = policy_values(world, softmax_policy(logits))
    batch = rollouts(world, softmax_policy(logits), 8, 4_000, 40, rng)
    returns = discounted_returns(batch.rewards, world.discount)
    gradients = []
    for baseline in (0.0, values[batch.states]):
        weights = np.where(batch.active, world.discount ** np.arange(40) * (returns - baseline), 0.0)
        rows = zip(batch.states, batch.actions, weights, strict=True)
        gradients.append(np.array([reinforce_gradient(logits, *row) for row in rows]))
    plain, calm = gradients
    assert calm.var(axis=0).sum() < 0.7 * plain.var(axis=0).sum()
    error = np.sqrt((calm - plain).var(axis=0).max() / len(plain))
    np.testing.assert_allclose(calm.mean(axis=0), plain.mean(axis=0), atol=5 * error)


def test_rollouts_stop_at_the_end():
    world = gridworld(["S.G"], slip=0.0)
    right = np.eye(4)[np.full(3, 1)]
    batch = rollouts(world, right, 0, 2, 5, np.random.default_rng(0))
    assert batch.states.tolist() == [[0, 1, 2, 2, 2]] * 2
    assert batch.active.tolist() == [[True, True, False, False, False]] * 2
    np.testing.assert_allclose(batch.rewards, [[-0.04, 0.96, 0, 0, 0]] * 2)


def test_a_world_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"slip must be from 0 to 1, got 1\.5"):
        gridworld(["S.G"], slip=1.5)
    with pytest.raises(ValueError, match=r"discount must be from 0 to below 1, got 1\.0"):
        gridworld(["S.G"], discount=1.0)
