"""Explorables of information: a wrong belief, the two directions of a divergence, and what chance tells."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.bedrock.information import (
    count_pairs,
    cross_entropy,
    entropy,
    expected_information,
    kl_divergence,
    mutual_information,
)


@figure("The price of a wrong belief")
def belief(
    truth: Annotated[float, Range(0.01, 0.99, step=0.01)] = 0.1,
    believed: Annotated[float, Range(0.01, 0.99, step=0.01)] = 0.5,
) -> go.Figure:
    """Bits for each line where a share of the lines are alerts and a model believes in another share.

    Cross-entropy touches entropy where the belief is right. The gap between the curves is the Kullback–Leibler
    divergence. Where alerts are rare, believing in too few costs more than believing in as many too many.
    """
    shares = np.linspace(0.005, 0.995, 199)
    pairs = np.stack([shares, 1 - shares], axis=-1)
    p, q = np.array([truth, 1 - truth]), np.array([believed, 1 - believed])
    plot = go.Figure(go.Scatter(x=shares, y=cross_entropy(p, pairs), line_color=ORANGE, name="cross-entropy"))
    own = float(entropy(p))
    plot.add_scatter(x=[0, 1], y=[own, own], mode="lines", line={"color": BLUE, "dash": "dash"}, name="entropy")
    plot.add_scatter(x=[believed, believed], y=[own, float(cross_entropy(p, q))], line_color=RED, name="divergence")
    plot.add_vline(x=truth, line={"color": GREY, "dash": "dot"})
    headline(plot, f"{own:.2f} bits of entropy and {float(kl_divergence(p, q)):.2f} of divergence")
    plot.update_xaxes(title="believed share of alerts", range=[0, 1])
    plot.update_yaxes(title="bits for each line", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Which way round?")
def directions(
    distance: Annotated[float, Range(0, 6, step=0.25)] = 4.0,
    weight: Annotated[float, Range(0.05, 0.95, step=0.05)] = 0.65,
    direction: Literal["KL(truth, model)", "KL(model, truth)"] = "KL(truth, model)",
) -> go.Figure:
    """The normal distribution that lies nearest to two humps, in either direction of the divergence.

    The first direction punishes a model that rules out what occurs: it covers both humps. The second punishes a model
    that allows what does not occur: it settles on one hump. Maximum likelihood takes the first.
    """
    x = np.linspace(-8, 8, 161)
    bell = lambda mean, std: np.exp(-(((x - mean) / std) ** 2) / 2) / std + 1e-300  # noqa: E731
    share = lambda y: y / y.sum(axis=-1, keepdims=True)  # noqa: E731
    truth = share(weight * bell(-distance / 2, 0.8) + (1 - weight) * bell(distance / 2, 0.8))
    settings = [(mean, std) for mean in np.linspace(-4, 4, 65) for std in np.linspace(0.5, 4, 36)]
    models = share(np.array([bell(mean, std) for mean, std in settings]))
    forwards = direction == "KL(truth, model)"
    divergences = kl_divergence(truth, models) if forwards else kl_divergence(models, truth)
    best = int(divergences.argmin())
    plot = go.Figure(go.Scatter(x=x, y=truth * 10, line_color=BLUE, name="truth", fill="tozeroy"))
    plot.add_scatter(x=x, y=models[best] * 10, line={"color": ORANGE, "width": 3}, name="nearest normal distribution")
    mean, std = settings[best]
    headline(plot, f"mean {mean:.1f}, deviation {std:.1f}: {float(divergences[best]):.2f} bits away")
    plot.update_xaxes(title="value")
    plot.update_yaxes(title="density")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("How much does chance tell?")
def chance(
    values: Annotated[int, Range(2, 400, log=True)] = 60,
    lines: Annotated[int, Range(20, 2_000, step=20)] = 400,
    related: Annotated[float, Range(0, 1, step=0.05)] = 0.0,
) -> go.Figure:
    """Information about an alert in a feature of so many values, in 40 random logs, and what chance alone would give.

    With no related lines there is nothing to tell, and the histogram lies about the red line, not about 0. More values
    push it up to the entropy of the alert, more lines pull it down. The excess is what lies to the right of the line.
    """
    rng, told, expected = np.random.default_rng(3), [], []
    for _ in range(40):
        feature = rng.integers(values, size=lines)
        alert = np.where(rng.random(lines) < related, feature % 5 == 0, rng.random(lines) < 0.2)
        table = count_pairs(feature, alert)
        told.append(mutual_information(table))
        expected.append(expected_information(table))
    plot = go.Figure(go.Histogram(x=told, nbinsx=25, marker_color=BLUE, name="as counted"))
    plot.add_vline(x=float(np.mean(expected)), line={"color": RED, "width": 3})
    plot.add_vline(x=float(entropy([0.2, 0.8])), line={"color": GREEN, "dash": "dash"})
    headline(plot, f"{np.mean(told):.3f} bits told, {np.mean(expected):.3f} of them by chance")
    plot.update_xaxes(title="information about the alert (bits); dashed: all that there is", range=[0, 0.85])
    plot.update_yaxes(title="logs")
    return plot
