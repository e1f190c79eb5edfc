"""Checks of reinforcement."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from groundup.checking import (
    assert_close,
    assert_leading_axes,
    assert_number_kinds,
    assert_order_free,
    assert_refuses,
    assert_refuses_values,
    assert_unchanged,
    numerical_gradient,
)
from groundup.stack.classical.reinforcement import (
    MDP,
    action_values,
    discounted_returns,
    gridworld,
    play,
    policy_values,
    q_learning,
    q_learning_step,
    reinforce_gradient,
    simulator,
    softmax_policy,
    ucb_arm,
    value_iteration,
)

# State 0: action 0 stays and pays 1; action 1 pays 5 and leads to state 1 or, as often, to the end, state 2.
# State 1: action 0 pays 2 and leads to state 0; action 1 stays for nothing.
TRANSITIONS = np.array([[[1, 0, 0], [0, 0.5, 0.5]], [[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]], dtype=float)
REWARDS = np.array([[[1, 0, 0], [0, 5, 5]], [[2, 0, 0], [0, 0, 0]], [[0, 0, 9], [0, 0, 9]]], dtype=float)
SMALL = MDP(TRANSITIONS, REWARDS, np.array([False, False, True]), 0.5)
BOOK = ["...G", ".#.X", "S..."]


def draw(rng, states=4, actions=3, discount=0.8):
    """A random process whose last state is terminal, with rewards that differ by the next state."""
    transitions = rng.dirichlet(np.ones(states) / 2, (states, actions))
    return MDP(transitions, rng.normal(size=transitions.shape), np.arange(states) == states - 1, discount)


# --- the upper confidence bound -------------------------------------------------------------------------------------


def test_ucb_arm_by_hand():
    """Means 0.6, 0.8, 0 after 10, 5, 1 pulls: bounds 1.34, 1.85, 2.35; at exploration 0.5 they are 0.97, 1.33, 1.18."""
    assert ucb_arm([10, 5, 1], [6, 4, 0]) == 2, "exploration 2: the arm that is hardly known"
    assert ucb_arm([10, 5, 1], [6, 4, 0], exploration=0.5) == 1, "exploration 0.5: the highest mean again"
    assert ucb_arm([10, 5, 1], [9, 1, 0], exploration=0) == 0, "exploration 0: the highest mean"
    assert ucb_arm([10, 5], [6, 1.2]) == 0, "unless given, exploration is 2: bounds 1.34 and 1.28"
    assert ucb_arm([10, 5], [6, 1.6]) == 1, "bounds 1.34 and 1.36"
    assert {type(ucb_arm(pulls, [0, 1])) for pulls in ([1, 2], [0, 1])} == {int}, "an arm is an int of Python"


def test_ucb_arm_is_the_formula(rng):
    """It is the argmax of mean + √(exploration · ln t / pulls) for any counts."""
    for exploration in [0.1, 1.0, 2.0, 5.0] * 15:
        pulls = rng.integers(1, 30, 6)
        totals = rng.random(6) * pulls
        bounds = [totals[k] / pulls[k] + (exploration * np.log(sum(pulls)) / pulls[k]) ** 0.5 for k in range(6)]
        assert ucb_arm(pulls, totals, None, exploration) == bounds.index(max(bounds)), f"{pulls=} {totals=}"


def test_an_arm_never_pulled_comes_first():
    """However good the others are, an arm without a pull is next, the lowest number first, and no 0 divides."""
    with np.errstate(all="raise"):
        assert ucb_arm([50, 0, 3, 0], [50, 0, 3, 0]) == 1
        assert ucb_arm([1, 0], [1, 0]) == 1
        assert ucb_arm([0, 0], [0, 0]) == 0


def test_ucb_arm_takes_the_lowest_of_equals():
    """Of arms with equal bounds the lowest number is chosen."""
    assert ucb_arm([1, 4, 4], [0, 3, 3], exploration=0) == 1


def test_ucb_keeps_its_bound(rng):
    """The regret stays below the theorem's: 8 Σ ln n / gap + (1 + π²/3) Σ gaps."""
    chances, rounds = np.array([0.1, 0.4, 0.9]), 400
    gaps = np.array([0.8, 0.5])
    bound = 8 * (np.log(rounds) / gaps).sum() + (1 + np.pi**2 / 3) * gaps.sum()
    regret = play(ucb_arm, chances, rounds, rng)[-1]
    assert 1.3 <= regret < bound / 2, f"regret {regret:.1f}, bound {bound:.1f}; trying each arm once costs 1.3"


def test_ucb_arm_leaves_its_counts_alone():
    """Counts are not changed, and may be lists or integers."""
    assert_unchanged(ucb_arm, np.array([3.0, 2.0]), np.array([1.0, 2.0]))
    assert_number_kinds(ucb_arm, [5, 3, 7], [1, 2, 3])


def test_ucb_arm_refuses_what_are_no_counts():
    """Unequal shapes, no arm, a count below 0, and an exploration below 0 or infinite are refused."""
    assert_refuses(lambda: ucb_arm([1, 2], [1]), (2,), (1,))
    assert_refuses(lambda: ucb_arm([], []), "pulls", (0,))
    assert_refuses(lambda: ucb_arm([1, -2], [1, 1]), "pulls", -2)
    assert_refuses_values(lambda value: ucb_arm([1, 1], [0, 1], None, value), "exploration", -1, np.inf, np.nan)


# --- Bellman's backup -----------------------------------------------------------------------------------------------


def test_action_values_by_hand():
    """With values 4 and 6: staying is worth 1 + 4/2, leaving 5 + (6 + 0)/2/2; in state 1, 2 + 4/2 and 6/2."""
    assert_close(action_values(SMALL, [4, 6, 100]), [[3, 6.5], [4, 3], [0, 0]], "terminal states are worth 0")


def test_action_values_are_the_sum(rng):
    """It is Σ p · (r + discount · v), state by state and action by action."""
    mdp, values = draw(rng), rng.normal(size=4)
    expected = np.zeros((4, 3))
    for s, a, t in itertools.product(range(3), range(3), range(4)):
        expected[s, a] += mdp.transitions[s, a, t] * (mdp.rewards[s, a, t] + 0.8 * values[t] * (t < 3))
    assert_close(action_values(mdp, values), expected)


def test_the_value_of_a_terminal_state_is_not_looked_at(rng):
    """Whatever `values` says of a terminal state, it counts as 0, even where it says infinity."""
    mdp, values = draw(rng), rng.normal(size=4)
    for other in (0.0, 1e6, np.inf):
        changed = np.append(values[:3], other)
        assert_close(action_values(mdp, changed), action_values(mdp, values), f"a terminal value of {other}")


@given(st.lists(st.floats(-50, 50), min_size=6, max_size=6))
def test_a_backup_is_a_contraction(numbers):
    """Backing two sets of values up brings them nearer to each other, by the discount at least."""
    first, second = np.array(numbers[:3]), np.array(numbers[3:])
    apart = np.abs(action_values(SMALL, first) - action_values(SMALL, second)).max()
    assert apart <= 0.5 * np.abs(first - second)[:2].max() + 1e-9, f"{first} and {second}"


def test_action_values_leave_the_process_alone():
    """Neither the process nor the values are changed, and values may be of any kind of number."""
    assert_unchanged(action_values, SMALL, np.array([1.0, 2.0, 3.0]))
    assert_number_kinds(lambda values: action_values(SMALL, values), [4, 6, 1])


@pytest.mark.parametrize("call", [lambda mdp: action_values(mdp, [0, 0, 0]), value_iteration])
def test_what_is_no_process_is_refused(call):
    """Values of another shape, probabilities that do not sum to 1, and a discount of 1 are refused."""
    assert_refuses(lambda: action_values(SMALL, [1, 2]), "values", (2,), message="three states, two values")
    assert_refuses(lambda: call(SMALL._replace(transitions=TRANSITIONS * 2)), "transitions", 2)
    assert_refuses(lambda: call(SMALL._replace(rewards=REWARDS[0])), "rewards", (2, 3))
    assert_refuses_values(lambda value: call(SMALL._replace(discount=value)), "discount", 1.0, -0.5, np.nan)


# --- value iteration ------------------------------------------------------------------------------------------------


def test_value_iteration_is_the_books():
    """Russell and Norvig's world of 4 by 3 cells, undiscounted: 0.705 at the start, 0.812, 0.868, 0.918 above."""
    solution = value_iteration(gridworld(BOOK, slip=0.2, step_reward=-0.04, discount=1 - 1e-6), 1e-3)
    expected = [0.812, 0.868, 0.918, 0, 0.762, 0, 0.660, 0, 0.705, 0.655, 0.611, 0.388]
    assert_close(solution.values, expected, "values, row by row", rtol=0, atol=1e-3)
    assert solution.policy[[0, 1, 2, 4, 6, 8, 9, 10, 11]].tolist() == [1, 1, 1, 0, 0, 0, 3, 3, 3], "the book's arrows"


def test_value_iteration_is_the_linear_program(rng):
    """The optimal values are the least that no action exceeds: a linear program, solved by SciPy."""
    mdp = draw(rng)
    going = mdp.transitions[:3, :, :3].reshape(9, 3)
    paid = (mdp.transitions * mdp.rewards).sum(axis=-1)[:3].ravel()
    program = linprog(np.ones(3), 0.8 * going - np.repeat(np.eye(3), 3, axis=0), -paid, bounds=(None, None))
    assert_close(value_iteration(mdp).values, np.append(program.x, 0), rtol=1e-6, atol=1e-6)


def test_no_policy_is_better(rng):
    """Of all 27 policies none has a higher value anywhere, and the greedy policy has these values."""
    mdp = draw(rng)
    solution = value_iteration(mdp)
    assert_close(policy_values(mdp, solution.policy), solution.values, "the policy's own values", atol=1e-6)
    for actions in itertools.product(range(3), repeat=3):
        theirs = policy_values(mdp, [*actions, 0])
        assert (theirs <= solution.values + 1e-6).all(), f"the policy {actions} has the values {theirs}"


def test_sweeps_stop_at_the_bound():
    """A state that pays 1 for ever at discount ½: 1, 1.5, 1.75, … The changes are the bounds, and 1/4 is enough."""
    forever = MDP(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.array([False]), 0.5)
    solution = value_iteration(forever, 0.25)
    assert (solution.values[0], solution.sweeps) == (1.75, 3), f"got {solution}"
    costs = value_iteration(forever._replace(rewards=-forever.rewards), 0.25)
    assert (costs.values[0], costs.sweeps) == (-1.75, 3), f"a state that costs 1 for ever: got {costs}"
    twice = value_iteration(forever._replace(discount=0.75), 0.5)
    assert_close(twice.values[0], 4 * (1 - 0.75**8), "discount 3/4: 3 · 0.75ⁿ⁻¹ is at most 1/2 from n = 8 on")


def test_values_are_within_the_tolerance(rng):
    """No value is further from the optimum than the tolerance, at a high discount as well."""
    mdp = draw(rng, discount=0.99)
    exact = value_iteration(mdp, 1e-10).values
    for tolerance in (1.0, 0.1, 0.001):
        apart = np.abs(value_iteration(mdp, tolerance).values - exact).max()
        assert apart <= tolerance, f"tolerance {tolerance}, and a value is {apart} off"


def test_without_foresight_one_sweep_is_enough():
    """At discount 0 the values are the highest rewards of one step, after one sweep."""
    solution = value_iteration(SMALL._replace(discount=0.0))
    assert_close(solution.values, [5, 2, 0])
    assert solution.sweeps == 1, f"one sweep is exact, got {solution.sweeps}"


def test_equal_actions_give_the_lowest():
    """Of equally good actions the policy has the lowest number, also in a terminal state."""
    idle = MDP(np.ones((2, 3, 2)) / 2, np.zeros((2, 3, 2)), np.array([False, True]), 0.9)
    assert value_iteration(idle).policy.tolist() == [0, 0]


def test_tolerance_is_above_zero():
    """A tolerance of 0 or below is refused."""
    assert_refuses_values(lambda value: value_iteration(SMALL, value), "tolerance", 0, -1e-3, np.nan)


# --- Q-learning -----------------------------------------------------------------------------------------------------


def test_q_learning_step_by_hand():
    """From 1, with reward 2 and 6 as the best of what follows at discount ½: the target is 5, half the error is 2."""
    table = np.array([[1.0, 7.0], [6.0, 3.0]])
    error = q_learning_step(table, 0, 0, 2.0, 1, False, 0.5, 0.5)
    assert (error, type(error)) == (4.0, float), f"it returns the error, a float of Python, got {error!r}"
    assert_close(table, [[3, 7], [6, 3]], "one entry has changed, in place")


def test_the_end_is_worth_nothing():
    """Where the episode has ended, the target is the reward alone, whatever the table says of the next state."""
    table = np.array([[1.0, 7.0], [6.0, 3.0]])
    assert q_learning_step(table, 0, 1, 2.0, 1, True, 1.0, 0.5) == -5.0
    assert_close(table, [[1, 2], [6, 3]])


def test_a_rate_of_zero_changes_nothing():
    """The error is that before the change, and a rate of 0 leaves the table as it was."""
    table = np.array([[1.0, 7.0], [6.0, 3.0]])
    assert q_learning_step(table, 1, 0, 0.0, 1, False, 0.0, 1.0) == 0.0
    assert q_learning_step(table, 1, 1, 1.0, 0, False, 0.0, 1.0) == 5.0
    assert_close(table, [[1, 7], [6, 3]])


def test_the_optimum_is_where_errors_cancel(rng):
    """At the optimal action values, the mean error over the next states is 0 for each action."""
    mdp = draw(rng)
    best = action_values(mdp, value_iteration(mdp, 1e-12).values)
    for s, a in itertools.product(range(3), range(3)):
        errors = [q_learning_step(best.copy(), s, a, mdp.rewards[s, a, t], t, t == 3, 0.1, 0.8) for t in range(4)]
        assert_close(mdp.transitions[s, a] @ errors, 0.0, f"state {s}, action {a}", atol=1e-8)


def test_q_learning_finds_the_way(rng):
    """In a corridor without luck, the learnt policy goes right, and the values are those of value iteration."""
    mdp = gridworld(["S..G"], slip=0.0, step_reward=0.0, discount=0.5)
    table = q_learning(simulator(mdp), 4, 4, start=0, episodes=60, rng=rng, discount=0.5, epsilon=0.3, power=0.1)
    assert_close(table[:3].max(axis=1), [0.25, 0.5, 1], "0.5², 0.5 and 1", atol=0.01)
    assert table[:3].argmax(axis=1).tolist() == [1, 1, 1], "right, three times"


def test_q_learning_step_refuses_other_shares():
    """A rate or a discount that is not from 0 to 1 is refused, and the table is left as it was."""
    table = np.ones((2, 2))
    assert_refuses_values(lambda v: q_learning_step(table, 0, 0, 1.0, 1, False, v, 0.5), "rate", -0.1, 1.5, np.nan)
    assert_refuses_values(lambda v: q_learning_step(table, 0, 0, 1.0, 1, False, 0.5, v), "discount", -0.1, 1.5)
    assert_close(table, np.ones((2, 2)))


# --- the policy gradient --------------------------------------------------------------------------------------------


def test_discounted_returns_by_hand():
    """Rewards 1, 0, 4 at discount ½: 4 at the end, 2 before it, 1 + 1 at the start."""
    assert_close(discounted_returns([1, 0, 4], 0.5), [2, 2, 4])
    assert_close(discounted_returns([1, 0, 4], 0.0), [1, 0, 4], "discount 0: the rewards")
    assert_close(discounted_returns([1, 0, 4], 1.0), [5, 4, 4], "discount 1: the sums of what is left")


def test_discounted_returns_are_the_sum(rng):
    """Each is Σ discountᵏ · the reward k steps later, and axes in front are episodes of their own."""
    rewards = rng.normal(size=(3, 7))
    powers = np.array([[0.9 ** (u - t) if u >= t else 0.0 for u in range(7)] for t in range(7)])
    assert_close(discounted_returns(rewards, 0.9), rewards @ powers.T)
    assert_leading_axes(lambda array: discounted_returns(array, 0.9), rewards)
    assert_close(discounted_returns([], 0.9), np.empty(0), "no step, no return")


def test_discounted_returns_leave_the_rewards_alone(rng):
    """The rewards are not changed, whole numbers are not rounded, and a number or another discount is refused."""
    assert_unchanged(lambda rewards: discounted_returns(rewards, 0.9), rng.normal(size=5), own_result=True)
    assert_number_kinds(lambda rewards: discounted_returns(rewards, 0.9), [3, 1, 4, 1, 5])
    assert_refuses(lambda: discounted_returns(3.0, 0.9), "rewards", 3)
    assert_refuses_values(lambda value: discounted_returns([1.0], value), "discount", -0.1, 1.1, np.nan)


def test_reinforce_gradient_by_hand():
    """Equal logits, action 1 of three with weight 3: its logit gains 3 · ⅔, the two others lose 3 · ⅓ each."""
    assert_close(reinforce_gradient(np.zeros((2, 3)), [1], [1], [3.0]), [[0, 0, 0], [-1, 2, -1]])
    assert_close(reinforce_gradient(np.zeros((1, 2)), [0, 0, 0], [0, 0, 1], [1, 1, 1]), [[0.5, -0.5]], "it is a sum")


def test_reinforce_gradient_is_the_slope(rng):
    """It is the numerical gradient of Σ weight · ln p, for steps of any shape, in any order."""
    logits, weights = rng.normal(size=(4, 3)), rng.normal(size=(5, 6))
    states, actions = rng.integers(0, 4, (5, 6)), rng.integers(0, 3, (5, 6))

    def total(table):
        return (weights * np.log(softmax_policy(table)[states, actions])).sum()

    assert_close(reinforce_gradient(logits, states, actions, weights), numerical_gradient(total, logits), atol=1e-6)
    assert_order_free(lambda *steps: reinforce_gradient(logits, *steps), states, actions, weights)
    assert_unchanged(reinforce_gradient, logits, states, actions, weights)
    none = np.empty(0, dtype=int)
    assert_close(reinforce_gradient(logits, none, none, np.empty(0)), np.zeros((4, 3)), "no steps")


def test_its_mean_is_the_gradient_of_the_value(rng):
    """Over all ways of two steps, weighed by their probability, the mean is the slope of the policy's value."""
    transitions = np.zeros((5, 2, 5))  # 0 to 1 or 2, by luck and by choice; from there to the end, 4
    transitions[0, 0, 1:3], transitions[0, 1, 1:3] = [0.7, 0.3], [0.2, 0.8]
    transitions[1:, :, 4] = 1
    mdp = MDP(transitions, rng.normal(size=(5, 2, 5)), np.arange(5) == 4, 0.9)
    logits, mean = rng.normal(size=(5, 2)), np.zeros((5, 2))
    policy = softmax_policy(logits)
    for first, middle, second in itertools.product(range(2), (1, 2), range(2)):
        chance = policy[0, first] * transitions[0, first, middle] * policy[middle, second]
        returns = discounted_returns([mdp.rewards[0, first, middle], mdp.rewards[middle, second, 4]], 0.9)
        weights = returns * [1, 0.9] - [0.3, -0.7]  # baselines change nothing in the mean
        mean += chance * reinforce_gradient(logits, [0, middle], [first, second], weights)
    slope = numerical_gradient(lambda table: policy_values(mdp, softmax_policy(table))[0], logits)
    assert_close(mean, slope, atol=1e-6)


def test_reinforce_gradient_refuses_what_is_not_in_the_table():
    """Unequal shapes, and a state or an action that the table does not have, are refused."""
    logits = np.zeros((2, 3))
    assert_refuses(lambda: reinforce_gradient(logits, [0, 1], [0, 1], [1.0]), "weights", (2,), (1,))
    assert_refuses_values(lambda v: reinforce_gradient(logits, [v], [0], [1.0]), "states", 2, -1)
    assert_refuses_values(lambda v: reinforce_gradient(logits, [0], [v], [1.0]), "actions", 3, -1)
