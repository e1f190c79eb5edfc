"""The lab of convolution: a network on CIFAR-10, its feature maps, and pictures whose pixels are shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class CifarConfig:
    """Settings of the CIFAR-10 lab.

    Attributes:
        seed: seed of the pictures that are drawn, the initial weights, the batches and the shuffle of pixels.
        pictures: how many to learn from.
        judged: how many of the tests' part judge.
        side: height and width to which pictures are averaged; 32 leaves them as they are.
        filters: filters of the first layer; each further layer has twice as many.
        layers: layers of filters, each followed by pooling.
        epochs: passes over the pictures.
        batch: pictures in a step.
        learning_rate: of Adam.
        shuffle_labels: permute the labels of the pictures, which leaves nothing to learn.
    """

    seed: int = 0
    pictures: int = 2000
    judged: int = 2000
    side: int = 16
    filters: int = 12
    layers: int = 2
    epochs: int = 4
    batch: int = 50
    learning_rate: float = 5e-3
    shuffle_labels: bool = False


@lab(
    title="CIFAR-10: what filters see",
    question="Does a network of small windows beat one of all pixels, and is it nearness that helps it?",
    data=["cifar10"],
    presets={
        "smoke": {},
        "laptop": {"pictures": 5000, "side": 32, "filters": 16, "layers": 3, "epochs": 10, "learning_rate": 2e-3},
        "full": {
            "pictures": 50_000,
            "judged": 10_000,
            "side": 32,
            "filters": 32,
            "layers": 3,
            "epochs": 20,
            "learning_rate": 1e-3,
        },
    },
    expectations=[
        expect("accuracy", beats_baseline_by=0.04, why="Neighbours belong together, and a filter looks at them."),
        expect("lost", at_least=0.05, why="Where all pictures are shuffled alike, neighbours mean nothing any more."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def cifar(config: CifarConfig, record: Recorder) -> None:
    """Train the standard network on photographs of ten classes, and judge on pictures of the tests' part.

    The baseline is a linear layer on all pixels, trained on the same pictures. The network is then trained anew on
    pictures whose pixels are all permuted in one way: every pixel is still there, and only the neighbourhoods are lost.
    """
    import torch

    from groundup.data import load
    from groundup.stack.deep.convolution import Conv2d, Pool2d, feature_maps, receptive_field, small_cnn

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    data = load("cifar10")
    learned = rng.permutation(np.flatnonzero(~data["test"]))[: config.pictures]
    judged = rng.permutation(np.flatnonzero(data["test"]))[: config.judged]
    X, X_judged = (_pictures(data["pixels"][rows], config.side) for rows in (learned, judged))
    labels, y_judged = data["label"][learned], torch.from_numpy(data["label"][judged])
    y = torch.from_numpy(rng.permutation(labels) if config.shuffle_labels else labels)
    order = torch.from_numpy(rng.permutation(config.side**2))
    channels = (3, *(config.filters << layer for layer in range(config.layers)))

    parts = (X, y, X_judged, y_judged)
    shuffled, shuffled_judged = (part.flatten(2)[:, :, order].reshape(part.shape) for part in (X, X_judged))
    network = small_cnn(channels, config.side, 10)
    plans = {
        "pixels": (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * config.side**2, 10)), 0.2, parts),
        "filters": (network, 1.0, parts),
        "filters, shuffled": (small_cnn(channels, config.side, 10), 1.0, (shuffled, y, shuffled_judged, y_judged)),
    }
    results = {}
    for name in record.progress(list(plans), label="networks"):
        model, slower, task = plans[name]
        optimizer = torch.optim.Adam(model.parameters(), lr=slower * config.learning_rate)
        results[name], losses = _train(model, optimizer, task, config)
        for epoch, loss in enumerate(losses, 1):
            record.metric(f"training loss, {name}", loss, step=epoch)
    record.baseline("accuracy", results["pixels"], "a linear layer on all pixels")
    record.result("accuracy", results["filters"])
    record.result("lost", results["filters"] - results["filters, shuffled"])
    record.table("networks", [{"network": name, "accuracy": round(value, 3)} for name, value in results.items()])

    fields = receptive_field([layer.window for layer in network if isinstance(layer, Conv2d | Pool2d)])
    rows = [{"layer": number, "pixels": field.size, "apart": field.jump} for number, field in enumerate(fields, 1)]
    record.table("receptive fields", rows)
    record.figure("feature maps", _maps_figure(X_judged[:1], feature_maps(network, X_judged[:1])))


def _pictures(pixels: np.ndarray, side: int) -> Any:
    """Pixels from -1 to 1, channels first, averaged to a smaller side."""
    import torch

    from groundup.stack.deep.convolution import pool2d

    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pool2d(images, images.shape[2] // side, kind="average")


def _train(network: Any, optimizer: Any, task: tuple[Any, ...], config: CifarConfig) -> tuple[float, list[float]]:
    """Train; return the accuracy on the judged pictures, and the mean loss of each epoch."""
    import torch

    X, y, X_judged, y_judged = task
    means = []
    for _ in range(config.epochs):
        losses = []
        for rows in torch.randperm(len(X)).split(config.batch):
            loss = torch.nn.functional.cross_entropy(network(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(float(np.mean(losses)))
    with torch.no_grad():
        predicted = torch.cat([network(part).argmax(dim=1) for part in X_judged.split(500)])
    return float((predicted == y_judged).float().mean()), means


def _maps_figure(picture: Any, maps: list[Any]) -> Any:
    """The picture, and below it six maps of each layer of filters, after its ReLU."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    layers = maps[1::3]
    figure = make_subplots(rows=len(layers) + 1, cols=6, vertical_spacing=0.03, horizontal_spacing=0.02)
    colours = ((picture[0].permute(1, 2, 0) + 1) * 127.5).byte().numpy()
    figure.add_trace(go.Image(z=colours), row=1, col=1)
    for row, layer in enumerate(layers, 2):
        for column in range(6):
            shown = layer[0, column].flip(0).numpy()
            figure.add_trace(go.Heatmap(z=shown, colorscale="Greys", showscale=False), row=row, col=column + 1)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(height=140 * (len(layers) + 1))
    return figure
