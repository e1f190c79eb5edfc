"""Explorables of reinforcement: the regret of bandits, values that spread through a grid, and learning curves."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.classical.reinforcement import (
    action_values,
    epsilon_greedy_arm,
    gridworld,
    play,
    policy_values,
    q_learning,
    reinforce,
    simulator,
    softmax_policy,
    thompson_arm,
    ucb_arm,
    value_iteration,
)

RUNS, ROUNDS = 8, 800
CELLS = ["......", ".#....", "S.XX.G"]
START = 12


@figure("What exploring costs")
def regret(
    gap: Annotated[float, Range(0.02, 0.5, step=0.02)] = 0.2,
    epsilon: Annotated[float, Range(0, 1, step=0.02)] = 0.1,
    exploration: Annotated[float, Range(0, 4, step=0.1)] = 2.0,
) -> go.Figure:
    """Mean regret of 8 runs with four arms. The best pays with probability 0.6, the others less by the gap.

    Set epsilon to 0 and it may stay with a worse arm for ever. A share of 0.1 goes on paying for its tries. The bounds
    pay for them at the beginning.
    """
    chances = np.array([0.6 - gap, 0.6 - gap, 0.6, 0.6 - gap])
    rules = {
        "ε-greedy": (lambda pulls, totals, rng: epsilon_greedy_arm(pulls, totals, rng, epsilon), ORANGE),
        "upper confidence bound": (lambda pulls, totals, rng: ucb_arm(pulls, totals, rng, exploration), BLUE),
        "Thompson sampling": (thompson_arm, GREEN),
    }
    plot, last = go.Figure(), []
    for name, (choose, colour) in rules.items():
        runs = [play(choose, chances, ROUNDS, np.random.default_rng(seed)) for seed in range(RUNS)]
        mean = np.mean(runs, axis=0)
        plot.add_scatter(x=np.arange(1, ROUNDS + 1), y=mean, name=name, line_color=colour)
        last.append(f"{name} {mean[-1]:.0f}")
    blind = gap * 0.75 * np.arange(1, ROUNDS + 1)
    dashed = {"color": GREY, "dash": "dash"}
    plot.add_scatter(x=np.arange(1, ROUNDS + 1), y=blind, name="all arms in turn", line=dashed)
    headline(plot, f"regret after {ROUNDS} rounds: " + ", ".join(last))
    plot.update_xaxes(title="rounds")
    plot.update_yaxes(title="regret: payments missed", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Values spread from the goal")
def sweeps(
    sweeps: Annotated[int, Range(0, 40)] = 6,
    slip: Annotated[float, Range(0, 0.8, step=0.05)] = 0.2,
    step_reward: Annotated[float, Range(-2, 0, step=0.02)] = -0.04,
) -> go.Figure:
    """Value iteration on a grid, one sweep after the other. The goal pays 1, a pit takes 1.

    Values reach one cell further with each sweep. Let moves slip more, and the arrows beside the pits point away from
    them. Make a step dear, and the shortest way to any end is best, even into a pit.
    """
    world = gridworld(CELLS, slip, step_reward)
    values = np.zeros(len(world.terminal))
    for _ in range(sweeps):
        values = action_values(world, values).max(axis=1)
    letters = np.array([list(row) for row in CELLS])
    arrows = np.array(list("↑→↓←"))[action_values(world, values).argmax(axis=1)].reshape(letters.shape)
    shown = np.where(letters == "#", np.nan, values.reshape(letters.shape))
    shown = np.where(letters == "G", 1.0, np.where(letters == "X", -1.0, shown))
    signs = {"#": "wall", "G": "goal", "X": "pit"}
    texts = [
        [signs.get(letter, f"{arrow}<br>{value:.2f}") for letter, arrow, value in zip(*line, strict=True)]
        for line in zip(letters, arrows, values.reshape(letters.shape), strict=True)
    ]
    plot = go.Figure(
        go.Heatmap(z=shown, text=texts, texttemplate="%{text}", colorscale=DIVERGING, zmin=-1, zmax=1, xgap=3, ygap=3)
    )
    best = value_iteration(world).values
    headline(plot, f"the start is worth {values[START]:.2f} now, {best[START]:.2f} in the end")
    plot.update_xaxes(title="column of the grid", showgrid=False, dtick=1, zeroline=False)
    plot.update_yaxes(title="row of the grid", showgrid=False, dtick=1, autorange="reversed", zeroline=False)
    return plot


@figure("Learning with and without the model")
def learning(
    slip: Annotated[float, Range(0, 0.6, step=0.05)] = 0.2,
    epsilon: Annotated[float, Range(0, 1, step=0.05)] = 0.3,
    rate: Annotated[float, Range(0.1, 30, step=0.1, log=True)] = 3.0,
) -> go.Figure:
    """What the learnt policies are worth at the start of the grid, exactly, after more and more episodes.

    The dashed line is dynamic programming, which needs no episode because it knows the grid. Four runs each; the line
    is their mean. Raise the rate of the policy gradient until some runs settle on a policy that never arrives.
    """
    world = gridworld(CELLS, slip)
    best = float(value_iteration(world).values[START])
    episodes = [16, 48, 160, 480, 960]
    worth = {"Q-learning": np.empty((4, len(episodes))), "policy gradient": np.empty((4, len(episodes)))}
    for seed in range(4):
        for column, count in enumerate(episodes):
            rng = np.random.default_rng(seed)
            table = q_learning(
                simulator(world),
                len(world.terminal),
                4,
                start=START,
                episodes=count,
                rng=rng,
                epsilon=epsilon,
                steps=50,
            )
            worth["Q-learning"][seed, column] = policy_values(world, table.argmax(axis=1))[START]
            logits = reinforce(world, start=START, updates=count // 16, episodes=16, steps=40, rng=rng, rate=rate)
            worth["policy gradient"][seed, column] = policy_values(world, softmax_policy(logits))[START]
    plot = go.Figure()
    for (name, values), colour in zip(worth.items(), (BLUE, ORANGE), strict=True):
        plot.add_scatter(x=episodes, y=values.mean(axis=0), name=name, line_color=colour)
        spots = {"color": colour, "size": 6, "opacity": 0.5}
        plot.add_scatter(x=episodes * 4, y=values.ravel(), mode="markers", marker=spots, showlegend=False)
    dashed = {"color": GREEN, "dash": "dash"}
    plot.add_scatter(x=[episodes[0], episodes[-1]], y=[best, best], mode="lines", line=dashed, name="optimum")
    ends = ", ".join(f"{name} {values[:, -1].mean():.2f}" for name, values in worth.items())
    headline(plot, f"after {episodes[-1]} episodes: {ends}, optimum {best:.2f}")
    plot.update_xaxes(title="episodes", type="log", tickvals=episodes)
    plot.update_yaxes(title="value of the start")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
