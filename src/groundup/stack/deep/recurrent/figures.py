"""Explorables of recurrent networks: gradients through time, what gates do to a cell, and temperature."""

from __future__ import annotations

from typing import Annotated, Literal

import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.recurrent import Recurrent, Weights, generate, gradient_norms, lstm_cell

torch.set_num_threads(1)  # matrices this small are slower on two


@figure("How much is left of a gradient")
def vanishing(
    kind: Literal["rnn", "lstm", "gru"] = "rnn",
    scale: Annotated[float, Range(0.2, 4, step=0.1)] = 1.0,
    bias: Annotated[float, Range(-2, 6, step=0.5)] = 0.0,
) -> go.Figure:
    """The gradient of the last state in the input of each of 40 steps, for a network with 32 units as it begins.

    Scale the hidden weights of the RNN: below about 1.7 the gradient vanishes, far above it explodes or drowns in the
    tanh. Then take the LSTM or the GRU and raise the bias of the gate that keeps: the gradient reaches further back.
    """
    torch.manual_seed(0)
    model = Recurrent(kind, 8, 32)
    with torch.no_grad():
        model.weights(0).hidden.mul_(scale)
        if kind != "rnn":
            model.weights(0).input_bias[32:64] += bias  # the forget gate of an LSTM, the update gate of a GRU
    norms = gradient_norms(model, torch.randn(4, 40, 8))
    back = list(range(-39, 1))
    plot = go.Figure(go.Scatter(x=back, y=norms.tolist(), mode="lines+markers", line_color=BLUE))
    headline(plot, f"20 steps back {float(norms[-21] / norms[-1]):.1e} of the gradient is left")
    plot.update_xaxes(title="steps back")
    plot.update_yaxes(title="gradient in the input (log)", type="log", range=[-14, 3])
    return plot


@figure("What gates do to a cell")
def gates(
    keep: Annotated[float, Range(0, 1, step=0.02)] = 0.9,
    take: Annotated[float, Range(0, 1, step=0.05)] = 0.8,
    show: Annotated[float, Range(0, 1, step=0.05)] = 1.0,
) -> go.Figure:
    """One cell of an LSTM with gates that you hold: the input is 1 for three steps and 0 afterwards.

    The forget gate decides how long the cell remembers: at 0.9 half is gone after 7 steps, at 1 nothing ever is. The
    input gate decides how much comes in, the output gate how much is shown.
    """
    rows = torch.tensor([[0.0], [0.0], [2.0], [0.0]])
    biases = torch.logit(torch.tensor([take, keep, 0.5, show]), eps=1e-4)
    weights = Weights(rows, torch.zeros(4, 1), biases, torch.zeros(4))
    hidden, cell = torch.zeros(1, 1), torch.zeros(1, 1)
    inputs, cells, shown = [], [], []
    for step in range(30):
        value = 1.0 if step < 3 else 0.0
        hidden, cell = lstm_cell(torch.tensor([[value]]), hidden, cell, weights)
        inputs.append(value)
        cells.append(cell.item())
        shown.append(hidden.item())
    plot = go.Figure()
    for name, values, colour in (("input", inputs, GREY), ("cell", cells, BLUE), ("shown", shown, ORANGE)):
        plot.add_scatter(x=list(range(30)), y=values, name=name, mode="lines+markers", line_color=colour)
    headline(plot, f"after 27 steps without input the cell holds {cells[-1]:.2f} of {max(cells):.2f}")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="value", range=[-0.1, 3.1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Temperature")
def temperature(
    temperature: Annotated[float, Range(0.1, 3, step=0.1)] = 1.0,
    draws: Annotated[int, Range(20, 300, step=20)] = 100,
) -> go.Figure:
    """Which letter comes after "th": the probabilities at a temperature, and the shares of as many draws.

    Near 0 one letter takes all, and text loops. Above 1 the unlikely ones come up, and words fall apart.
    """
    letters = ["e", "a", "i", "o", "r", "y"]
    logits = torch.tensor([0.62, 0.15, 0.1, 0.08, 0.03, 0.02]).log()
    generator = torch.Generator().manual_seed(0)

    class Fixed(torch.nn.Module):
        def forward(self, tokens: torch.Tensor, state: None) -> tuple[torch.Tensor, None]:
            return logits.expand(1, tokens.shape[1], -1), None

    drawn = generate(Fixed(), torch.tensor([0]), draws, temperature, generator)
    shares = drawn.bincount(minlength=len(letters)) / draws
    plot = go.Figure()
    plot.add_bar(x=letters, y=(logits / temperature).softmax(0).tolist(), name="probability", marker_color=BLUE)
    plot.add_bar(x=letters, y=shares.tolist(), name="drawn", marker_color=GREEN)
    headline(plot, f"the likeliest letter: {float((logits / temperature).softmax(0).max()):.0%}")
    plot.update_xaxes(title="next letter")
    plot.update_yaxes(title="share", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
