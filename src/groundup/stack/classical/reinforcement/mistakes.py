# pyright: basic
"""Ways to get reinforcement wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.reinforcement.reinforcement import (
    Solution,
    _arms,
    _checked,
    _shares,
    _steps,
    _values,
    action_values,
    softmax_policy,
)


@mistake("ucb_arm", edit=("exploration * np.log(pulls.sum()) / pulls)", "exploration / pulls)"))
def forgets_the_logarithm():
    """Your bonus does not grow with the rounds, so an unlucky arm is never tried again. ln t brings it back."""


@mistake("ucb_arm", edit=("exploration * np.log(pulls.sum()) / pulls)", "exploration * np.log(pulls) / pulls.sum())"))
def swaps_the_two_counts():
    """You swapped the counts: the bonus is ln of all pulls, divided by the arm's own. Few pulls must make it large."""


@mistake("ucb_arm", edit=("np.argmax(totals / pulls +", "np.argmax(totals +"))
def adds_the_bonus_to_the_sum():
    """You add the bonus to the sum of the rewards, which grows with every pull. The mean is what an arm is worth."""


@mistake(
    "ucb_arm",
    edit=(
        "    if (pulls == 0).any():\n        return int(np.argmax(pulls == 0))\n",
        "    pulls = np.maximum(pulls, 1)\n",
    ),
)
def counts_none_as_one():
    """You count an arm without a pull as pulled once, for nothing. Nothing is known of it: it comes first."""


@mistake("action_values", edit=("mdp.discount * np.where", "np.where"))
def forgets_the_discount():
    """You count the next state's value in full. It comes one step later: multiply it by the discount."""


@mistake("action_values", edit=("np.where(mdp.terminal, 0.0, values)", "values"))
def believes_in_life_after_the_end():
    """You use the value given for a terminal state. The episode is over there: it is 0."""


@mistake(
    "action_values",
    edit=("mdp.rewards + mdp.discount * np.where", "mdp.discount * mdp.rewards + mdp.discount * np.where"),
)
def discounts_the_reward():
    """You discount the reward of this very step. Only what comes after it is discounted."""


@mistake("value_iteration", edit=(".max() * mdp.discount / (1 - mdp.discount)", ".max()"))
def takes_the_change_for_the_error():
    """You stop when values change little. Much may follow: up to discount / (1 - discount) times the last change."""


@mistake("value_iteration", edit=("action_values(mdp, values).max(axis=1)", "action_values(mdp, values).mean(axis=1)"))
def averages_over_the_actions():
    """You average over the actions: those are the values of a policy that acts at random. The best action is taken."""


@mistake(
    "value_iteration",
    edit=(".argmax(axis=1), sweeps", ".shape[1] - 1 - action_values(mdp, values)[:, ::-1].argmax(axis=1), sweeps"),
)
def takes_the_last_of_equals():
    """Of equally good actions you return the highest number. The lowest is asked for."""


@mistake("q_learning_step", edit=("reward if ended else reward +", "reward +"))
def goes_on_after_the_end():
    """You add the next state's value after the end as well. Nothing follows there: the target is the reward."""


@mistake("q_learning_step", edit=("table[following].max()", "table[following, action]"))
def takes_the_same_action_again():
    """You look up the action just taken in the next state. Q-learning supposes the best action there: the maximum."""


@mistake("q_learning_step", edit=("+= rate * error", "= rate * error"))
def forgets_what_it_knew():
    """You replace the entry by rate · error. The entry moves by it: what was learnt before stays."""


@mistake("q_learning_step", edit=("+= rate * error", "-= rate * error"))
def moves_away_from_the_target():
    """You move the entry away from its target. The error is target minus entry, so it is added."""


@mistake("discounted_returns")
def discounts_from_the_start(rewards, discount):
    """You discount by the steps since the start of the episode. Each return is seen from its own step."""
    _shares(discount=discount)
    returns = np.array(rewards, dtype=float)
    if returns.ndim == 0:
        raise ValueError(f"rewards must have the shape (..., n_steps), got the number {returns}.")
    faded = returns * discount ** np.arange(returns.shape[-1])
    return np.cumsum(faded[..., ::-1], axis=-1)[..., ::-1]


@mistake("discounted_returns", edit=("range(returns.shape[-1] - 1)[::-1]", "range(returns.shape[-1] - 1)"))
def goes_forwards():
    """You go forwards, so each step sees only one reward ahead. Go backwards: the next step's return must be ready."""


@mistake(
    "reinforce_gradient",
    edit=("np.add.at(gradient, (states, actions), weights)", "gradient[states, actions] += weights"),
)
def loses_what_repeats():
    """You index with repeats, and NumPy keeps only the last of them. A sum over steps needs `np.add.at`."""


@mistake("reinforce_gradient", edit=("gradient - total[:, None] * softmax_policy(logits)", "gradient"))
def forgets_the_other_actions():
    """You raise the action's logit and leave the others. ln p also falls with the logit of every action, by p."""


@mistake("reinforce_gradient", edit=("np.bincount(states, weights,", "np.bincount(states,"))
def weighs_only_what_was_done():
    """You take p from the row once a step, whatever its weight. Both parts of the gradient carry the weight."""


@variant("ucb_arm")
def by_a_loop(pulls, totals, rng=None, exploration=2.0):
    """Arm by arm."""
    pulls, totals = _arms(pulls, totals)
    if not 0 <= exploration < np.inf:
        raise ValueError(f"exploration must be a finite number of at least 0, got {exploration}.")
    best, bound = 0, -np.inf
    for arm, (count, total) in enumerate(zip(pulls, totals, strict=True)):
        if count == 0:
            return arm
        height = total / count + (exploration * np.log(pulls.sum()) / count) ** 0.5
        if height > bound:
            best, bound = arm, height
    return best


@variant("action_values")
def by_matrix_products(mdp, values):
    """The expected reward and the expected value apart."""
    values = np.where(mdp.terminal, 0.0, _values(mdp, values))
    expected = np.einsum("sat,sat->sa", mdp.transitions, mdp.rewards) + mdp.discount * mdp.transitions @ values
    return expected * ~mdp.terminal[:, None]


@variant("value_iteration")
def with_the_table(mdp, tolerance=1e-8):
    """It keeps the action values, and tests the bound at the end of a sweep."""
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}.")
    values, sweeps = np.zeros(len(_checked(mdp).terminal)), 0
    while True:
        before, values, sweeps = values, action_values(mdp, values).max(axis=1), sweeps + 1
        if np.abs(values - before).max() * mdp.discount <= tolerance * (1 - mdp.discount):
            return Solution(values, np.argmax(action_values(mdp, values), axis=1), sweeps)


@variant("discounted_returns")
def by_a_matrix(rewards, discount):
    """A triangle of powers of the discount."""
    _shares(discount=discount)
    rewards = np.asarray(rewards, dtype=float)
    if rewards.ndim == 0:
        raise ValueError(f"rewards must have the shape (..., n_steps), got the number {rewards}.")
    ahead = np.arange(rewards.shape[-1]) - np.arange(rewards.shape[-1])[:, None]
    return rewards @ np.where(ahead >= 0, float(discount) ** np.maximum(ahead, 0), 0.0).T


@variant("reinforce_gradient")
def step_by_step(logits, states, actions, weights):
    """One step after the other, as in the formula."""
    logits, states, actions, weights = _steps(logits, states, actions, weights)
    gradient, policy = np.zeros_like(logits), softmax_policy(logits)
    for state, action, weight in zip(states, actions, weights, strict=True):
        gradient[state] -= weight * policy[state]
        gradient[state, action] += weight
    return gradient
