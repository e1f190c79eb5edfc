"""Labs of recurrent networks: Shakespeare by characters, vanishing gradients, and loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab

COLOURS = {"rnn": ORANGE, "lstm": BLUE, "gru": GREEN}


@dataclass(frozen=True)
class ShakespeareConfig:
    """Settings of the Shakespeare lab.

    Attributes:
        seed: seed of the initial weights, the streams and the draws.
        hidden: size of the state.
        streams: streams of text that train side by side.
        window: predictions in a window of truncated backpropagation.
        windows: windows, and so steps of Adam, for each network.
        learning_rate: their size.
        written: characters that each network writes from each prompt.
        shuffle_labels: permute the text, which leaves only its frequencies to learn.
    """

    seed: int = 0
    hidden: int = 64
    streams: int = 32
    window: int = 24
    windows: int = 120
    learning_rate: float = 1e-2
    written: int = 240
    shuffle_labels: bool = False


@lab(
    title="Shakespeare, one character after the other",
    question="How well do RNN, LSTM and GRU predict a play, how far do gradients reach, and where does text loop?",
    data=["tiny_shakespeare"],
    presets={
        "smoke": {},
        "laptop": {"hidden": 256, "window": 64, "windows": 2000, "learning_rate": 3e-3},
        "full": {"hidden": 512, "streams": 64, "window": 128, "windows": 20_000, "learning_rate": 1e-3},
    },
    expectations=[
        expect("loss_rnn", beats_baseline_by=0.6, lower_is_better=True, why="Letters depend on those before them."),
        expect("loss_lstm", beats_baseline_by=0.6, lower_is_better=True, why="Letters depend on those before them."),
        expect("loss_gru", beats_baseline_by=0.6, lower_is_better=True, why="Letters depend on those before them."),
        expect("vanished", at_most=0.01, why="Of an RNN at its start, 20 steps back next to no gradient is left."),
        expect("greedy_loops", at_least=0.5, why="The likeliest text runs into a loop."),
        expect("drawn_loops", at_most=0.2, why="Text that is drawn does not."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def shakespeare(config: ShakespeareConfig, record: Recorder) -> None:
    """Train three networks on the first 90 % of the plays, and judge on the rest, in nats a character.

    The baseline is the frequencies of the characters. Gradients are those of the last state in the input of each step,
    at the start and after training, as shares of the last step's. Each network then goes on from five prompts, by the
    likeliest character and by drawing; a text loops if it ends in three turns of the same.
    """
    import plotly.graph_objects as go
    import torch

    from groundup.data import load
    from groundup.stack.deep.recurrent import CharModel, generate, gradient_norms, repetition, train_on_windows

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    letters, text = np.unique(list(load("tiny_shakespeare").text), return_inverse=True)
    text = rng.permutation(text) if config.shuffle_labels else text
    cut = int(0.9 * len(text))
    span = config.window * config.windows + 1
    starts = rng.integers(max(cut - span, 1), size=config.streams)
    streams = torch.from_numpy(np.stack([np.resize(text[start:cut], span) for start in starts]))
    judged = torch.from_numpy(text[cut : cut + 16_000]).reshape(16, -1)
    counts = np.bincount(text[:cut], minlength=len(letters)) + 1
    frequencies = float(-np.log(counts / counts.sum())[judged[:, 1:].numpy()].mean())

    rows, plot, greedy, drawn = [], go.Figure(), [], []
    for kind in record.progress(COLOURS, label="networks"):
        model = CharModel(kind, len(letters), 16, config.hidden)  # pyright: ignore[reportArgumentType]
        reading = model.embedding(judged[:, :40])
        start = _shares(gradient_norms(model.recurrent, reading))
        optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        losses, _ = train_on_windows(model, streams, config.window, optimizer)
        for step in range(0, len(losses), 10):
            record.metric(f"loss_{kind}", losses[step], step=step)
        with torch.no_grad():
            logits, _ = model(judged[:, :-1])
        loss = float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), judged[:, 1:].flatten()))
        trained = _shares(gradient_norms(model.recurrent, model.embedding(judged[:, :40])))
        texts: dict[str, list[Any]] = {"greedy": [], "drawn": []}
        for row in range(5):
            prompt = judged[row, :20]
            texts["greedy"].append(generate(model, prompt, config.written, temperature=0).tolist())
            generator = torch.Generator().manual_seed(config.seed + row)
            texts["drawn"].append(generate(model, prompt, config.written, generator=generator).tolist())
        loops = [repetition(tokens) for tokens in texts["greedy"]]
        greedy += [loop is not None for loop in loops]
        drawn += [repetition(tokens) is not None for tokens in texts["drawn"]]
        record.baseline(f"loss_{kind}", frequencies, "the frequencies of the characters")
        record.result(f"loss_{kind}", loss)
        first = next((loop for loop in loops if loop), None)
        rows.append(
            {
                "network": kind,
                "loss": round(loss, 3),
                "gradient 20 back, at the start": f"{start[-21]:.1e}",
                "after training": f"{trained[-21]:.1e}",
                "loops from": first[0] if first else "-",
                "period": first[1] if first else "-",
                "writes": "".join(letters[texts["drawn"][0][:60]]),
            }
        )
        if kind == "rnn":
            record.result("vanished", start[-21])
        back = list(range(-len(trained) + 1, 1))
        line = {"color": COLOURS[kind]}
        plot.add_scatter(x=back, y=start, name=f"{kind}, start", line={**line, "dash": "dot"})
        plot.add_scatter(x=back, y=trained, name=f"{kind}, trained", line=line)
    record.table("networks", rows)
    plot.update_xaxes(title="steps back")
    plot.update_yaxes(title="gradient, as a share of the last step's", type="log")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("gradients through time", plot)
    record.result("greedy_loops", np.mean(greedy))
    record.result("drawn_loops", np.mean(drawn))


def _shares(norms: Any) -> np.ndarray:
    """Gradients as shares of the last step's."""
    values = norms.detach().numpy()
    return values / values[-1]
