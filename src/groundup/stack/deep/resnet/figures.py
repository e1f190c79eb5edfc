"""Explorables of resnet: gradients that go round, where the weights lie, and who learns how fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import plotly.graph_objects as go
import torch
from torch import nn

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.resnet import BasicBlock, ResNet, rate_groups, release, resnet18, resnet34, resnet50

torch.set_num_threads(1)  # pictures this small are slower on two

BUILD = {"18": resnet18, "34": resnet34, "50": resnet50}
NAMES = ["stem", "layer1", "layer2", "layer3", "layer4", "head"]


def _counter(work: dict[str, int], part: str) -> Callable[..., None]:
    """A hook that adds a layer's multiplications for a picture of 224 pixels, from its output for one of 32."""

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        (weight, *_rest) = layer.parameters()
        places = output[0, 0].numel() * 49 if output.ndim == 4 else 1
        work[part] += weight.numel() * places

    return count


class _Plain(BasicBlock):
    """A block whose shortcut is left out."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(images))))))


@figure("A gradient on its way back")
def way_back(
    blocks: Annotated[int, Range(2, 24)] = 16,
    norms: bool = False,
    seed: Annotated[int, Range(0, 9)] = 0,
) -> go.Figure:
    """How large the gradient is that arrives at each block, as a share of that at the last. The network is untrained.

    Without shortcuts each block passes on a part, and parts of parts soon are nothing. With them the gradient goes
    round every block. Switch batch norms on: now a plain network's gradient grows towards the input, and less with
    shortcuts.
    """
    plot = go.Figure()
    ends = {}
    for name, kind, colour in (("with shortcuts", BasicBlock, BLUE), ("plain", _Plain, ORANGE)):
        torch.manual_seed(seed)
        layers = [kind(4, 4) for _ in range(blocks)]
        if not norms:
            for layer in layers:
                layer.add_module("bn1", nn.Identity())
                layer.add_module("bn2", nn.Identity())
        hidden = torch.rand(4, 4, 8, 8, requires_grad=True)
        passed = [hidden]
        for layer in layers:
            passed.append(layer(passed[-1]))
        gradients = torch.autograd.grad(passed[-1].mean(), passed[1:])
        sizes = [float(part.norm()) for part in gradients]
        shares = [max(size / sizes[-1], 1e-18) for size in sizes]
        ends[name] = shares[0]
        plot.add_scatter(x=list(range(1, blocks + 1)), y=shares, name=name, mode="lines+markers", line_color=colour)
    headline(plot, f"at block 1 arrives {ends['with shortcuts']:.2g} with shortcuts, {ends['plain']:.2g} without")
    plot.update_xaxes(title="block, from the input")
    plot.update_yaxes(title="gradient, as a share of the last block's (log)", type="log", exponentformat="power")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Where the weights lie")
def weights(
    layers: Literal["18", "34", "50"] = "18",
    width: Annotated[int, Range(8, 64, step=8)] = 32,
    classes: Annotated[int, Range(2, 1000)] = 1000,
) -> go.Figure:
    """Weights of each part, in blue, and multiplications for a picture of 224 pixels, in green, as shares of the whole.

    A stage is twice as wide as the one before, so its blocks have four times the weights, on maps of a quarter of the
    pixels: weights pile up at the end, and work is the same in each stage. torchvision's width is 64.
    """
    network = BUILD[layers](classes, width=width).eval()
    counts, work = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0)
    for part, modules in zip(NAMES, network.parts, strict=True):
        for module in (inner for name in modules for inner in network.get_submodule(name).modules()):
            counts[part] += sum(weight.numel() for weight in module.parameters(recurse=False))
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(_counter(work, part))
    with torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))  # maps of 224 pixels have 7 times the side
    plot = go.Figure()
    for name, values, colour in (("weights", counts, BLUE), ("multiplications", work, GREEN)):
        whole = sum(values.values())
        plot.add_bar(x=NAMES, y=[values[part] / whole for part in NAMES], name=name, marker_color=colour)
    millions, billions = sum(counts.values()) / 1e6, sum(work.values()) / 1e9
    headline(plot, f"{millions:.2f} million weights, {billions:.2f} · 10⁹ multiplications")
    plot.update_xaxes(title="part")
    plot.update_yaxes(title="share of the whole", tickformat=".0%")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Who learns, and how fast")
def rates(
    released: Annotated[int, Range(0, 6)] = 2,
    decay: Annotated[float, Range(0.1, 1.0, step=0.05)] = 0.3,
) -> go.Figure:
    """The learning rate of each part of a network, when the head has 0.001. Grey parts are frozen.

    Begin with the head alone: 1 part released. Release layer 4 as well. With all six released, move the decay: early
    filters, which fit any picture, then change little, and late ones much. At 1 all learn alike.
    """
    network = ResNet("basic", (1, 1, 1, 1), 2, width=2)
    named = [name for part in network.parts[::-1][:released] for name in part]
    everything = [part[-1] for part in network.parts]
    full = {group["name"]: group["lr"] for group in rate_groups(network, 1e-3, decay)}
    release(network, named)
    groups = {group["name"]: group["lr"] for group in rate_groups(network, 1e-3, decay)}
    plot = go.Figure()
    colours = [BLUE if name in groups else GREY for name in everything]
    plot.add_bar(x=NAMES, y=[full[name] for name in everything], marker_color=colours, showlegend=False)
    plot.update_xaxes(title="part, from input to head")
    plot.update_yaxes(
        title="learning rate (log); grey would be, if released", type="log", range=[-8.2, -2.8], exponentformat="power"
    )
    slowest = min(groups.values(), default=0.0)
    headline(plot, f"{len(groups)} of 6 parts learn, the slowest at {slowest:.2g}")
    return plot
