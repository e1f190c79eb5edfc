"""Labs of reinforcement: replicas of a service through the day, and three ways to learn a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, COLOURS, GREEN, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.reinforcement import (
    MDP,
    gridworld,
    policy_values,
    q_learning,
    reinforce,
    simulator,
    softmax_policy,
    value_iteration,
)

LOAD = np.array([1, 1, 1, 7, 7, 5, 7, 2])  # mean load in each three hours of the day, in replicas
MOST = 9  # replicas
USUAL = 8.0  # added to each reward: that changes no choice where nothing ends, and the table begins near its values
CLIFFS = {"narrow": ["......", ".#....", "S.XX.G"], "wide": ["........", ".#......", "S.XXXX.G"]}


@dataclass(frozen=True)
class AllocationConfig:
    """Settings of the allocation lab.

    Attributes:
        seed: seed of the load and of the tries.
        days: simulated days to learn from.
        foresight: the discount that the learner uses; at 0 it looks at the next three hours only.
        epsilon: share of the decisions that are tries.
        miss: what a unit of load without a replica costs, in replicas.
    """

    seed: int = 0
    days: int = 8_000
    foresight: float = 0.9
    epsilon: float = 0.3
    miss: float = 4.0


@lab(
    title="Replicas through the day",
    question="Can a service learn by trying how many replicas it needs, and when to start them?",
    presets={"smoke": {}, "laptop": {"days": 40_000}, "full": {"days": 400_000}},
    expectations=[
        expect("cost", beats_baseline_by=0.3, lower_is_better=True, why="Looking ahead must beat the best plain rule."),
        expect("above_the_optimum", at_most=0.05, why="Dynamic programming knows the load; learning must come near."),
    ],
    sabotage=[{"foresight": 0.0}, {"days": 30}],
)
def allocation(config: AllocationConfig, record: Recorder) -> None:
    """Add or remove one replica every three hours, under a load that follows the day, with noise.

    The learner sees the time, its replicas and what each step cost. Dynamic programming is given the load's
    distribution. A plain rule goes to the mean load of the present hours and some more, how many more being chosen for
    it. Costs are exact: replicas and expected misses over a day, once the days repeat.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    mdp = _service(config.miss)

    def step(state: int, action: int, rng: np.random.Generator) -> tuple[int, float, bool]:
        following = int(_move(state, action))
        load, replicas = rng.poisson(LOAD[following // MOST]), following % MOST + 1
        return following, USUAL - float(replicas + config.miss * max(load - replicas, 0)), False

    table = q_learning(  # episodes are cut off after ten days, and go on from night
        step,
        len(mdp.terminal),
        3,
        start=0,
        episodes=config.days // 10,
        steps=10 * len(LOAD),
        rng=rng,
        discount=config.foresight,
        epsilon=config.epsilon,
    )
    slots, replicas = np.divmod(np.arange(len(mdp.terminal)), MOST)
    wanted = {"fixed": lambda more: np.full(len(slots), more), "plain": lambda more: LOAD[slots] + more}
    rules = [np.sign(want(more) - replicas - 1) + 1 for want in wanted.values() for more in range(9)]
    plain = min(rules, key=lambda rule: _day(mdp, rule)[0])
    policies = {"plain rule": plain, "learnt": table.argmax(axis=1), "optimum": value_iteration(mdp).policy}
    days = {name: _day(mdp, policy) for name, policy in policies.items()}
    record.table("a day", [{"policy": name, "cost of three hours": cost} for name, (cost, _) in days.items()])
    plot = go.Figure(
        go.Bar(x=np.arange(len(LOAD)) * 3, y=LOAD, name="mean load", marker_color=COLOURS[-2], opacity=0.5)
    )
    for (name, (_, counts)), colour in zip(days.items(), (ORANGE, BLUE, GREEN), strict=True):
        plot.add_scatter(x=np.arange(len(LOAD)) * 3, y=counts, name=name, line={"color": colour, "shape": "hvh"})
    plot.update_xaxes(title="hour of the day")
    plot.update_yaxes(title="replicas")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("replicas through the day", plot)
    record.baseline("cost", days["plain rule"][0], "the best fixed number or plain rule")
    record.result("cost", days["learnt"][0])
    record.baseline("above_the_optimum", days["plain rule"][0] / days["optimum"][0] - 1, "the plain rule")
    record.result("above_the_optimum", days["learnt"][0] / days["optimum"][0] - 1)


def _move(state: np.ndarray | int, action: np.ndarray | int) -> np.ndarray:
    """The state three hours later: slot times MOST, plus replicas less 1."""
    slot, replicas = np.divmod(state, MOST)
    return (slot + 1) % len(LOAD) * MOST + np.clip(replicas + action - 1, 0, MOST - 1)


def _service(miss: float) -> MDP:
    """The process that the learner only tries: its rewards are the expected costs under a Poisson load."""
    states, loads = np.arange(len(LOAD) * MOST), np.arange(40)
    chances = np.exp(-LOAD)[:, None] * LOAD[:, None] ** loads.astype(float) / [math.factorial(k) for k in loads]
    slots, replicas = np.divmod(states, MOST)
    misses = (chances[slots] * np.maximum(loads - replicas[:, None] - 1, 0)).sum(axis=1)
    transitions = np.zeros((len(states), 3, len(states)))
    for action in range(3):
        transitions[states, action, _move(states, action)] = 1
    rewards = np.broadcast_to(-(replicas + 1 + miss * misses), transitions.shape)
    return MDP(transitions, rewards, np.zeros(len(states), dtype=bool), 0.9)


def _day(mdp: MDP, policy: np.ndarray) -> tuple[float, list[int]]:
    """The mean cost of three hours, and the replicas in each, over the last of thirty days."""
    state, costs, counts = 0, [], []
    for _ in range(30 * len(LOAD)):
        action = policy[state]
        following = int(_move(state, action))
        costs.append(-mdp.rewards[state, action, following])
        counts.append((following // MOST, following % MOST + 1))
        state = following
    return float(np.mean(costs[-len(LOAD) :])), [count for _, count in sorted(counts[-len(LOAD) :])]


@dataclass(frozen=True)
class GridConfig:
    """Settings of the grid lab.

    Attributes:
        seed: seed of the tries.
        episodes: episodes that Q-learning plays, and about as many the policy gradient.
        cliff: four pits along the bottom are wide, two are narrow.
        slip: probability that a move goes to a side.
        foresight: the discount that Q-learning uses; the world's is 0.95.
        rate: learning rate of the policy gradient.
    """

    seed: int = 0
    episodes: int = 4_000
    cliff: Literal["narrow", "wide"] = "narrow"
    slip: float = 0.2
    foresight: float = 0.95
    rate: float = 3.0


@lab(
    title="Along the cliff",
    question="How near do Q-learning and the policy gradient come to the optimum that dynamic programming computes?",
    presets={"smoke": {}, "laptop": {"episodes": 10_000}, "full": {"episodes": 100_000}},
    expectations=[
        expect("q_learning", beats_baseline_by=0.5, why="It must have learnt to reach the goal."),
        expect("q_learning_lost", at_most=0.1, why="A table that has seen everything is nearly optimal."),
        expect("policy_gradient_lost", at_most=0.2, why="A random policy climbs, and keeps some randomness."),
    ],
    sabotage=[{"foresight": 0.0}, {"rate": 0.0}],
)
def cliff(config: GridConfig, record: Recorder) -> None:
    """Learn a grid with a cliff from the start, and compute exactly what the learnt policies are worth there.

    The share that is lost is the distance to the optimum, over the distance from a random walk to the optimum.
    """
    cells = CLIFFS[config.cliff]
    world, rng = gridworld(cells, config.slip), np.random.default_rng(config.seed)
    size, start = len(world.terminal), 2 * len(cells[0])
    table = q_learning(
        simulator(world),
        size,
        4,
        start=start,
        episodes=config.episodes,
        rng=rng,
        discount=config.foresight,
        epsilon=0.3,
    )
    logits = reinforce(world, start=start, updates=config.episodes // 16, episodes=16, rng=rng, rate=config.rate)
    policies = {"q_learning": table.argmax(axis=1), "policy_gradient": softmax_policy(logits)}
    best = float(value_iteration(world).values[start])
    chance = float(policy_values(world, np.full((size, 4), 0.25))[start])
    rows = [{"policy": "a random walk", "value": chance}, {"policy": "dynamic programming", "value": best}]
    for name, policy in policies.items():
        value = float(policy_values(world, policy)[start])
        rows.append({"policy": name, "value": value})
        record.baseline(name, chance, "a random walk")
        record.result(name, value)
        record.baseline(f"{name}_lost", 1.0, "a random walk")
        record.result(f"{name}_lost", (best - value) / (best - chance))
    record.table("value of the start", rows)
