"""Explorables of RLHF: what clipping leaves of a gain, how advantages travel back, and what a group says."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.rlhf import clipped_gains, gae, group_advantages


@figure("What clipping leaves of a gain")
def clipping(
    advantage: Annotated[float, Range(-2, 2, step=0.1)] = 1.0,
    clip: Annotated[float, Range(0.05, 0.5, step=0.05)] = 0.2,
) -> go.Figure:
    """The gain of one token against its ratio new / old: as it is, and as PPO counts it.

    With a positive advantage the gain is flat above 1 + clip: nothing draws the token further. With a negative one it
    is flat below 1 - clip, and falls without end where the token became likelier: a wrong step is undone.
    """
    ratios = torch.linspace(0.05, 2.5, 99)
    new, old = ratios.log()[:, None], torch.zeros(99, 1)
    mask = torch.ones(99, 1, dtype=torch.bool)
    gains = clipped_gains(new, old, torch.full((99, 1), advantage), mask, clip)[:, 0]
    plot = go.Figure()
    dashed = {"color": GREY, "dash": "dash"}
    plot.add_scatter(x=ratios.tolist(), y=(ratios * advantage).tolist(), name="ratio · advantage", line=dashed)
    plot.add_scatter(x=ratios.tolist(), y=gains.tolist(), name="as PPO counts it", line={"color": BLUE, "width": 3})
    edge = 1 + clip if advantage > 0 else 1 - clip
    headline(plot, "nothing to learn" if advantage == 0 else f"flat beyond a ratio of {edge:.2f}")
    plot.update_xaxes(title="ratio, new / old")
    plot.update_yaxes(title="gain", range=[-5.5, 5.5])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("How a reward travels back")
def travelling(
    lam: Annotated[float, Range(0, 1, step=0.05)] = 0.95,
    gamma: Annotated[float, Range(0.5, 1, step=0.05)] = 1.0,
    critic: Annotated[float, Range(0, 1, step=0.1)] = 0.0,
) -> go.Figure:
    """An answer of 12 tokens with a reward of 1 on its last: the advantage of each token.

    The critic expects the same at every token. Lower lam: the early tokens hear nothing of the reward, because the
    critic is trusted and does not know better. At lam 1 all hear it, with all the noise of what happened in between.
    """
    rewards = torch.zeros(1, 12)
    rewards[0, -1] = 1.0
    mask = torch.ones(1, 12, dtype=torch.bool)
    advantages, returns = gae(rewards, torch.full((1, 12), critic), mask, gamma, lam)
    places = list(range(1, 13))
    plot = go.Figure()
    plot.add_bar(x=places, y=advantages[0].tolist(), name="advantage", marker_color=ORANGE)
    line = {"color": GREEN}
    plot.add_scatter(x=places, y=returns[0].tolist(), name="return: the critic's target", line=line)
    headline(
        plot, f"the first token hears {float(advantages[0, 0] / max(float(advantages[0, -1]), 1e-9)):.0%} of the last"
    )
    plot.update_xaxes(title="token")
    plot.update_yaxes(title="advantage", range=[-0.6, 1.2])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What a group says")
def groups(
    group: Annotated[int, Range(2, 16)] = 8,
    chance: Annotated[float, Range(0.02, 0.98, step=0.02)] = 0.3,
) -> go.Figure:
    """Two hundred prompts, each answered by a group that is right with this probability: advantages, and wasted groups.

    Groups that are all right or all wrong teach nothing. Make the prompts very easy or very hard, and most groups are
    wasted; larger groups waste fewer. A rare success has a large advantage.
    """
    rng = np.random.default_rng(0)
    scores = torch.from_numpy((rng.random((200, group)) < chance).astype(float))
    advantages = group_advantages(scores)
    wasted = float((advantages == 0).all(dim=1).double().mean())
    plot = go.Figure()
    for name, right, colour in (("right answers", 1.0, BLUE), ("wrong answers", 0.0, ORANGE)):
        values = advantages[scores == right]
        plot.add_histogram(
            x=values.tolist(), name=name, marker_color=colour, xbins={"start": -4, "end": 4, "size": 0.2}
        )
    headline(plot, f"{wasted:.0%} of the groups teach nothing")
    plot.update_xaxes(title="advantage", range=[-4, 4])
    plot.update_yaxes(title="answers")
    plot.update_layout(legend=LEGEND_BELOW, barmode="stack")
    return plot
