"""Reinforcement learning in tables: bandits, dynamic programming, Q-learning and the policy gradient.

    play(ucb_arm, [0.2, 0.5], rounds=1000, rng=rng)       # the regret of a bandit, round by round
    world = gridworld(["...G", ".#.X", "S..."])           # a Markov decision process
    value_iteration(world).policy                         # knows the process: dynamic programming
    q_learning(simulator(world), 12, 4, start=8, episodes=500, rng=rng)   # only tries it
    reinforce(world, start=8, updates=100, rng=rng)       # climbs the expected return of a random policy

States, actions and arms are numbers from 0 up. A table of action values has the shape (n_states, n_actions).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Choose = Callable[[np.ndarray, np.ndarray, np.random.Generator], int]  # (pulls, totals, rng) -> arm
Step = Callable[
    [int, int, np.random.Generator], tuple[int, float, bool]
]  # (state, action, rng) -> (next, reward, ended)


class MDP(NamedTuple):
    """A finite Markov decision process.

    Attributes:
        transitions: probabilities of shape (n_states, n_actions, n_states): from a state, by an action, to a state.
        rewards: of the same shape: what each of these transitions pays.
        terminal: booleans of shape (n_states,): where the episode has ended. The value of such a state is 0.
        discount: from 0 to below 1: the worth now of a reward of 1 in the next step.
    """

    transitions: np.ndarray
    rewards: np.ndarray
    terminal: np.ndarray
    discount: float


class Solution(NamedTuple):
    """Values of shape (n_states,), the actions of the greedy policy, of the same shape, and the sweeps it took."""

    values: np.ndarray
    policy: np.ndarray
    sweeps: int


class Batch(NamedTuple):
    """Episodes side by side, each array of shape (n_episodes, n_steps). `active` is False after an episode's end."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    active: np.ndarray


# --- bandits --------------------------------------------------------------------------------------------------------


def ucb_arm(pulls: ArrayLike, totals: ArrayLike, rng: Any = None, exploration: float = 2.0) -> int:
    """Choose the arm with the highest upper confidence bound, mean + √(exploration · ln t / pulls).

    t is the number of all pulls so far. With the default this is UCB1 (Auer, Cesa-Bianchi and Fischer, 2002), for
    rewards from 0 to 1. An arm that was never pulled comes first, and nothing is divided by 0. Of equals the lowest
    number is chosen.

    Args:
        pulls: how often each arm was pulled, of shape (n_arms,).
        totals: the sum of the rewards of each arm, of the same shape.
        rng: not used; it is there because every way to choose takes one.
        exploration: at least 0; with 0 the highest mean is chosen.

    Raises:
        ValueError: the shapes differ, there is no arm, a count is below 0, or exploration is not finite or below 0.
    """
    pulls, totals = _arms(pulls, totals)
    if not 0 <= exploration < np.inf:
        raise ValueError(f"exploration must be a finite number of at least 0, got {exploration}. UCB1 takes 2.")
    if (pulls == 0).any():
        return int(np.argmax(pulls == 0))
    return int(np.argmax(totals / pulls + np.sqrt(exploration * np.log(pulls.sum()) / pulls)))


def epsilon_greedy_arm(pulls: ArrayLike, totals: ArrayLike, rng: np.random.Generator, epsilon: float = 0.1) -> int:
    """Choose any arm with probability epsilon, and else the highest mean. An arm never pulled counts as the best."""
    pulls, totals = _arms(pulls, totals)
    if rng.random() < epsilon:
        return int(rng.integers(len(pulls)))
    return int(np.argmax(np.where(pulls > 0, totals / np.maximum(pulls, 1), np.inf)))


def thompson_arm(pulls: ArrayLike, totals: ArrayLike, rng: np.random.Generator) -> int:
    """Draw each arm's mean from its posterior, Beta(1 + hits, 1 + misses), and choose the highest (Thompson, 1933)."""
    pulls, totals = _arms(pulls, totals)
    return int(np.argmax(rng.beta(1 + totals, 1 + pulls - totals)))


def play(choose: Choose, chances: ArrayLike, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Play arms that pay 1 with their chance and 0 else, and return the regret up to each round, of shape (rounds,).

    The regret adds up the highest chance minus the chance of the chosen arm: luck does not count.
    """
    chances = np.asarray(chances, dtype=float)
    pulls, totals, chosen = np.zeros(len(chances)), np.zeros(len(chances)), np.empty(rounds, dtype=int)
    for number, luck in enumerate(rng.random(rounds)):
        arm = chosen[number] = choose(pulls, totals, rng)
        pulls[arm] += 1
        totals[arm] += luck < chances[arm]
    return np.cumsum(chances.max() - chances[chosen])


# --- dynamic programming --------------------------------------------------------------------------------------------


def action_values(mdp: MDP, values: ArrayLike) -> np.ndarray:
    """Return what each action is worth if the next state is worth `values`: Bellman's backup.

    It is the sum over the next states of probability · (reward + discount · value). A terminal state has the value 0,
    whatever `values` says, and so have all its actions.

    Returns an array of shape (n_states, n_actions). Raises ValueError for values that are not of shape (n_states,), and
    for a process that is none.
    """
    values = _values(mdp, values)
    worth = mdp.rewards + mdp.discount * np.where(mdp.terminal, 0.0, values)
    return np.where(mdp.terminal[:, None], 0.0, (mdp.transitions * worth).sum(axis=-1))


def value_iteration(mdp: MDP, tolerance: float = 1e-8) -> Solution:
    """Back values up, from 0 on, until none is further than the tolerance from the optimum (Bellman, 1957).

    A sweep sets each value to the highest of the state's action values, which brings all nearer to the optimum by the
    factor `discount`. So if the last sweep changed no value by more than c, none is further from the optimum than
    c · discount / (1 - discount).

    Returns the values of the first sweep for which this bound is at most the tolerance, the policy that is greedy for
    them (of equal actions the lowest number), and the number of sweeps.
    Raises ValueError for a tolerance that is not above 0, and for a process that is none.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}. The values approach the optimum for ever.")
    values, sweeps, bound = np.zeros(len(_checked(mdp).terminal)), 0, np.inf
    while bound > tolerance:
        updated = action_values(mdp, values).max(axis=1)
        bound = np.abs(updated - values).max() * mdp.discount / (1 - mdp.discount)
        values, sweeps = updated, sweeps + 1
    return Solution(values, action_values(mdp, values).argmax(axis=1), sweeps)


def policy_values(mdp: MDP, policy: ArrayLike) -> np.ndarray:
    """Return the value of each state under a policy, exactly: the solution of (I - discount · P) · values = rewards.

    The policy is an action for each state, of shape (n_states,), or probabilities of shape (n_states, n_actions).
    """
    chances = np.asarray(policy)
    if chances.ndim == 1:
        chances = np.eye(_checked(mdp).transitions.shape[1])[chances]
    going = np.where(mdp.terminal[:, None], 0.0, np.einsum("sa,sat->st", chances, mdp.transitions))
    paid = np.where(mdp.terminal, 0.0, np.einsum("sa,sat,sat->s", chances, mdp.transitions, mdp.rewards))
    return np.linalg.solve(np.eye(len(paid)) - mdp.discount * going, paid)


# --- learning values from experience --------------------------------------------------------------------------------


def simulator(mdp: MDP) -> Step:
    """Return a function that takes one step of the process: (state, action, rng) to (next state, reward, ended)."""
    edges = _checked(mdp).transitions.cumsum(axis=-1)
    edges[..., -1] = np.inf  # rounding must leave no gap above the last

    def step(state: int, action: int, rng: np.random.Generator) -> tuple[int, float, bool]:
        following = int(edges[state, action].searchsorted(rng.random(), side="right"))
        return following, float(mdp.rewards[state, action, following]), bool(mdp.terminal[following])

    return step


def q_learning_step(
    table: np.ndarray, state: int, action: int, reward: float, following: int, ended: bool, rate: float, discount: float
) -> float:
    """Move one entry of the table towards reward + discount · (the best of the next state's) (Watkins, 1989).

    The entry of state and action changes, in place, by rate · error, where the error is that target minus the entry.
    If the episode has ended, the target is the reward alone.

    Args:
        table: action values of shape (n_states, n_actions), of floats.
        state: where the step began.
        action: which was taken there.
        reward: what it paid.
        following: the state it led to.
        ended: whether that state is terminal.
        rate: which share of the error is corrected, from 0 to 1.
        discount: worth of a reward in the next step, from 0 to 1.

    Returns:
        The error before the change, a float of Python.

    Raises:
        ValueError: the rate or the discount is not from 0 to 1.
    """
    _shares(rate=rate, discount=discount)
    target = reward if ended else reward + discount * table[following].max()
    error = target - table[state, action]
    table[state, action] += rate * error
    return float(error)


def q_learning(
    step: Step,
    n_states: int,
    n_actions: int,
    *,
    start: int,
    episodes: int,
    rng: np.random.Generator,
    discount: float = 0.95,
    epsilon: float = 0.1,
    power: float = 0.7,
    steps: int = 100,
) -> np.ndarray:
    """Learn action values by trying: act greedily but for a share epsilon, and correct the table after each step.

    The rate of an entry's n-th correction is n^-power; above ½ and up to 1 the table converges where every action is
    tried for ever (Even-Dar and Mansour, 2003). An episode begins at `start` and has at most `steps` steps; an episode
    that is cut off there is not one that has ended.

    Returns the table, of shape (n_states, n_actions), which began with 0.
    """
    _shares(epsilon=epsilon, power=power)
    table, visits = np.zeros((n_states, n_actions)), np.zeros((n_states, n_actions))
    for _ in range(episodes):
        state = start
        explores, others = rng.random(steps) < epsilon, rng.integers(n_actions, size=steps)
        for explore, other in zip(explores.tolist(), others.tolist(), strict=True):
            action = other if explore else int(table[state].argmax())
            following, reward, ended = step(state, action, rng)
            visits[state, action] += 1
            q_learning_step(table, state, action, reward, following, ended, visits[state, action] ** -power, discount)
            if ended:
                break
            state = following
    return table


# --- learning a policy from experience ------------------------------------------------------------------------------


def discounted_returns(rewards: ArrayLike, discount: float) -> np.ndarray:
    """Return what each step of an episode still brings: its reward, plus discount times the return of the next step.

    Args:
        rewards: of shape (..., n_steps).
        discount: from 0 to 1.

    Returns:
        Floats of the same shape.

    Raises:
        ValueError: the discount is not from 0 to 1, or the rewards have no axis.
    """
    _shares(discount=discount)
    returns = np.array(rewards, dtype=float)
    if returns.ndim == 0:
        raise ValueError(f"rewards must have the shape (..., n_steps), got the number {returns}. Wrap it in a list.")
    for number in range(returns.shape[-1] - 1)[::-1]:
        returns[..., number] += discount * returns[..., number + 1]
    return returns


def softmax_policy(logits: ArrayLike) -> np.ndarray:
    """Return the actions' probabilities, exp(logit) / Σ exp(logits), of the logits' shape (n_states, n_actions)."""
    logits = np.asarray(logits, dtype=float)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def reinforce_gradient(logits: ArrayLike, states: ArrayLike, actions: ArrayLike, weights: ArrayLike) -> np.ndarray:
    """Return the gradient of Σ weight · ln(probability of the action in its state), by the logits (Williams, 1992).

    The probabilities are the softmax of the state's logits, so that a step with weight w adds w · (1 - p) to the logit
    of its action and takes w · p from that of each other, with p their own probabilities.

    Args:
        logits: of shape (n_states, n_actions).
        states: of steps that were taken, integers of any shape.
        actions: which were taken there, of the same shape.
        weights: how much better than expected each turned out, of the same shape.

    Returns:
        An array of the logits' shape; a sum over the steps, 0 for a state that does not occur.

    Raises:
        ValueError: the shapes differ, or a state or an action is not in the table.
    """
    logits, states, actions, weights = _steps(logits, states, actions, weights)
    gradient = np.zeros_like(logits)
    np.add.at(gradient, (states, actions), weights)
    total = np.bincount(states, weights, minlength=len(logits))
    return gradient - total[:, None] * softmax_policy(logits)


def rollouts(mdp: MDP, policy: np.ndarray, start: int, episodes: int, steps: int, rng: np.random.Generator) -> Batch:
    """Play episodes of at most `steps` steps side by side, by a policy of probabilities (n_states, n_actions)."""
    choices, edges = policy.cumsum(axis=-1), mdp.transitions.cumsum(axis=-1)
    choices[..., -1] = edges[..., -1] = np.inf
    here, rows = np.full(episodes, start), []
    for _ in range(steps):
        actions = (choices[here] <= rng.random((episodes, 1))).sum(axis=1)
        following = (edges[here, actions] <= rng.random((episodes, 1))).sum(axis=1)
        active = ~mdp.terminal[here]
        rows.append((here, actions, np.where(active, mdp.rewards[here, actions, following], 0.0), active))
        here = np.where(active, following, here)
    return Batch(*(np.stack(column, axis=1) for column in zip(*rows, strict=True)))


def reinforce(
    mdp: MDP,
    *,
    start: int,
    updates: int,
    rng: np.random.Generator,
    rate: float = 1.0,
    episodes: int = 32,
    steps: int = 50,
    baseline: bool = True,
) -> np.ndarray:
    """Climb the expected return from `start` by its sampled gradient, and return the logits (n_states, n_actions).

    A step's weight is discountᵗ times its return minus the state's baseline: the mean of the returns that earlier
    batches had there. A baseline that does not depend on the action changes the gradient's noise, not its mean.
    """
    logits = np.zeros(_checked(mdp).transitions.shape[:2])
    sums, counts = np.zeros(len(logits)), np.zeros(len(logits))
    fade = mdp.discount ** np.arange(steps)
    for _ in range(updates):
        batch = rollouts(mdp, softmax_policy(logits), start, episodes, steps, rng)
        returns = discounted_returns(batch.rewards, mdp.discount)
        expected = sums / np.maximum(counts, 1) if baseline else np.zeros(len(logits))
        weights = np.where(batch.active, fade * (returns - expected[batch.states]), 0.0)
        logits = logits + rate * reinforce_gradient(logits, batch.states, batch.actions, weights) / episodes
        seen = batch.states[batch.active]
        sums = 0.9 * sums + np.bincount(seen, returns[batch.active], minlength=len(logits))
        counts = 0.9 * counts + np.bincount(seen, minlength=len(logits))
    return logits


# --- a world to learn in --------------------------------------------------------------------------------------------


def gridworld(rows: Sequence[str], slip: float = 0.2, step_reward: float = -0.04, discount: float = 0.95) -> MDP:
    """Return a grid of cells, numbered row by row, with the actions up, right, down and left.

    A map holds `.` for a free cell, `#` for a wall, `G` for the goal, which pays 1, and `X` for a pit, which takes 1.
    Both end the episode. Any other letter is a free cell. With probability `slip` a move goes to one of its two sides
    instead, half to each; a move into a wall or off the grid stays where it is. Each step pays `step_reward` as well.
    """
    _shares(slip=slip)
    cells = np.array([list(row) for row in rows])
    height, width = cells.shape
    flat = cells.ravel()
    terminal = np.isin(flat, ["G", "X", "#"])
    transitions = np.zeros((flat.size, 4, flat.size))
    for cell in range(flat.size):
        reached = []
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1)):
            row, column = cell // width + down, cell % width + right
            blocked = not (0 <= row < height and 0 <= column < width) or cells[row, column] == "#"
            reached.append(cell if blocked or terminal[cell] else row * width + column)
        for action in range(4):
            for turn, chance in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                transitions[cell, action, reached[(action + turn) % 4]] += chance
    pays = np.where(flat == "G", 1.0, np.where(flat == "X", -1.0, 0.0)) + step_reward
    rewards = np.where(terminal[:, None, None], 0.0, np.broadcast_to(pays, transitions.shape))
    return _checked(MDP(transitions, rewards, terminal, discount))


# --- refusals -------------------------------------------------------------------------------------------------------


def _arms(pulls: ArrayLike, totals: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    counts, sums = np.asarray(pulls, dtype=float), np.asarray(totals, dtype=float)
    if counts.ndim != 1 or counts.shape != sums.shape or not counts.size:
        raise ValueError(f"pulls and totals must both be of shape (n_arms,), got {counts.shape} and {sums.shape}.")
    if not counts.min() >= 0:
        raise ValueError(f"pulls must be counts of at least 0, got {counts.min()}.")
    return counts, sums


def _shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}.")


def _checked(mdp: MDP) -> MDP:
    shape, sums = np.shape(mdp.transitions), np.sum(mdp.transitions, axis=-1)
    if len(shape) != 3 or shape[0] != shape[2] or np.shape(mdp.rewards) != shape or len(mdp.terminal) != shape[0]:
        raise ValueError(
            f"transitions and rewards must be of shape (n_states, n_actions, n_states), got {shape} and "
            f"{np.shape(mdp.rewards)}, for {len(mdp.terminal)} states in terminal."
        )
    if not np.allclose(sums, 1) or np.min(mdp.transitions) < 0:
        worst = np.ravel(sums)[np.abs(sums - 1).argmax()]
        raise ValueError(f"transitions must be probabilities that sum to 1 for each action, got a sum of {worst}.")
    if not 0 <= mdp.discount < 1:
        raise ValueError(
            f"discount must be from 0 to below 1, got {mdp.discount}. Without end, returns need not be finite."
        )
    return mdp


def _values(mdp: MDP, values: ArrayLike) -> np.ndarray:
    numbers = np.asarray(values, dtype=float)
    if numbers.shape != (len(_checked(mdp).terminal),):
        raise ValueError(f"values must be of shape ({len(mdp.terminal)},), one for each state, got {numbers.shape}.")
    return numbers


def _steps(logits: ArrayLike, states: ArrayLike, actions: ArrayLike, weights: ArrayLike) -> tuple[np.ndarray, ...]:
    """The logits, and the steps as flat arrays."""
    table, worth = np.asarray(logits, dtype=float), np.asarray(weights, dtype=float)
    where, which = np.asarray(states), np.asarray(actions)
    if not where.shape == which.shape == worth.shape:
        raise ValueError(
            f"states, actions, weights must have one shape, got {where.shape}, {which.shape}, {worth.shape}."
        )
    for name, numbers, count in (("states", where, table.shape[0]), ("actions", which, table.shape[1])):
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < count):
            wrong = numbers.min() if numbers.min() < 0 else numbers.max()
            raise ValueError(f"{name} must be from 0 to {count - 1}, the table's, got {wrong}.")
    return table, where.ravel().astype(int), which.ravel().astype(int), worth.ravel()
