"""Experiments with the transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.stack.deep.attention import Transformer

PADDING, START, END, FIRST_LETTER = range(4)
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class ReversalConfig:
    """Settings of the reversal lab.

    Attributes:
        seed: seed of the strings, of the initial weights and of the batches.
        strings: how many different strings are trained on.
        held_out: how many other strings are kept for the test.
        letters: size of the alphabet, at most 26.
        shortest: length of the shortest string.
        longest: length of the longest string.
        dim: size of a token's vector.
        heads: attentions in each layer; it divides dim.
        layers: blocks in the encoder, and as many in the decoder.
        batch: strings in one step.
        steps: how many steps of Adam.
        learning_rate: its step size at the peak; it rises over the first tenth and then falls to 0.
        positions: whether tokens know where they stand.
        shuffle_labels: permute the targets of each batch, which leaves nothing to learn but their lengths.
    """

    seed: int = 0
    strings: int = 4000
    held_out: int = 500
    letters: int = 8
    shortest: int = 3
    longest: int = 6
    dim: int = 32
    heads: int = 2
    layers: int = 1
    batch: int = 64
    steps: int = 350
    learning_rate: float = 7e-3
    positions: bool = True
    shuffle_labels: bool = False


@lab(
    title="Strings reversed",
    question="Can attention learn to read a string backwards, from examples alone?",
    data=["random strings"],
    presets={
        "smoke": {"letters": 8, "longest": 6, "steps": 350},
        "laptop": {"letters": 26, "longest": 10, "strings": 20_000, "dim": 64, "heads": 4, "steps": 3000},
        "full": {
            "letters": 26,
            "longest": 20,
            "strings": 100_000,
            "dim": 128,
            "heads": 4,
            "layers": 2,
            "steps": 3000,
            "learning_rate": 2e-3,
        },
    },
    expectations=[
        expect(
            "exact_match", at_least=0.9, why="Reversal has no noise: a model that has found the rule makes no errors."
        ),
        expect("exact_match", beats_baseline_by=0.8, why="Only palindromes come out right by copying."),
        expect("letter_accuracy", at_least=0.95, why="A wrong letter or length spoils a string; few may be wrong."),
        expect("letter_accuracy", beats_baseline_by=0.5, why="Middle letters come out right by copying."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}, {"positions": False}],
)
def reversal(config: ReversalConfig, record: Recorder) -> None:
    """Train an encoder-decoder from scratch to reverse strings, and read its attention.

    The strings are random and all different. Those held out were never trained on: a model that remembers strings and
    has not found the rule fails here. A string counts only if it is written without any error and ended in time.
    The baseline copies the string as it is. Strings longer than any in training are tried too, but not judged.
    """
    import torch

    torch.set_num_threads(1)  # matrices this small are slower on two
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    train, test = draw_strings(config, rng)
    record.table("data", [_summary("trained on", train), _summary("held out", test)])
    model = build(config)
    fit(model, config, train, record)
    model.eval()
    written = write(model, test, config.longest)
    targets = [text[::-1] for text in test]
    record.result("exact_match", exact_match(written, targets))
    record.baseline("exact_match", exact_match(test, targets), "the string as it is: right for palindromes")
    record.result("letter_accuracy", letter_accuracy(written, targets))
    record.baseline("letter_accuracy", letter_accuracy(test, targets), "the string as it is")
    record.table(
        "held-out strings",
        [
            {"string": text, "written": answer, "right": answer == target}
            for text, answer, target in list(zip(test, written, targets, strict=True))[:12]
        ],
    )
    _record_longer(model, config, rng, record)
    _record_attention(model, test, record)


def draw_strings(config: ReversalConfig, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Draw different strings, lengths evenly, and split them: no held-out string is among those trained on."""
    seen: dict[str, None] = {}
    while len(seen) < config.strings + config.held_out:
        seen[random_string(config, int(rng.integers(config.shortest, config.longest + 1)), rng)] = None
    # In the order of drawing the short strings, of which there are few, would gather at the front.
    strings = [str(text) for text in rng.permutation(list(seen))]
    return strings[config.held_out :], strings[: config.held_out]


def random_string(config: ReversalConfig, length: int, rng: np.random.Generator) -> str:
    """Letters drawn evenly from the first of the alphabet."""
    return "".join(ALPHABET[k] for k in rng.integers(config.letters, size=length))


def build(config: ReversalConfig) -> Transformer:
    """The model, with its positions wiped out if they are switched off."""
    from groundup.stack.deep.attention import Transformer

    model = Transformer(
        FIRST_LETTER + config.letters, config.dim, config.heads, config.layers, max_tokens=config.longest + 8
    )
    if not config.positions:
        model.positions.zero_()
    return model


def fit(model: Transformer, config: ReversalConfig, strings: list[str], record: Recorder) -> None:
    """Minimise the cross-entropy of each next token, given the source and the true tokens before it."""
    import torch
    from torch.nn.functional import cross_entropy

    source, target = (
        tokens(strings, config.longest),
        tokens([text[::-1] for text in strings], config.longest, ends=True),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98))
    warm = config.steps / 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (config.steps - step) / (config.steps - warm))
    )
    losses: list[float] = []
    for step in record.progress(range(config.steps), total=config.steps, label="steps"):
        chosen = torch.randint(len(strings), (config.batch,))
        wanted = target[chosen]
        if config.shuffle_labels:
            wanted = wanted[torch.randperm(config.batch)]
        logits = model(source[chosen], wanted[:, :-1])
        loss = cross_entropy(logits.flatten(0, 1), wanted[:, 1:].flatten(), ignore_index=PADDING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % max(1, config.steps // 50) == 0:
            record.metric("loss", float(np.mean(losses)), step=step + 1)
            losses.clear()


def tokens(strings: list[str], longest: int, *, ends: bool = False) -> Tensor:
    """Strings as rows of integers, filled up with padding; with `ends`, between a start and an end."""
    import torch

    rows = [[FIRST_LETTER + ALPHABET.index(letter) for letter in text] for text in strings]
    if ends:
        rows = [[START, *row, END] for row in rows]
    width = longest + 2 * ends
    return torch.tensor([row + [PADDING] * (width - len(row)) for row in rows])


def write(model: Transformer, strings: list[str], longest: int) -> list[str]:
    """What the model makes of each string: the letters up to the end, or all that it wrote if it never ended.

    A token that is not a letter is written as a question mark, so that it counts as an error.
    """
    answers = []
    for row in model.generate(tokens(strings, longest), START, END, longest + 1).tolist():
        ended = row.index(END) if END in row else len(row)
        answers.append("".join(ALPHABET[t - FIRST_LETTER] if t >= FIRST_LETTER else "?" for t in row[:ended]))
    return answers


def exact_match(written: list[str], targets: list[str]) -> float:
    """Share of strings without any error."""
    return float(np.mean([answer == target for answer, target in zip(written, targets, strict=True)]))


def letter_accuracy(written: list[str], targets: list[str]) -> float:
    """Share of places with the right letter; a letter missing or too many is a wrong place."""
    right = places = 0
    for answer, target in zip(written, targets, strict=True):
        right += sum(a == b for a, b in zip(answer, target, strict=False))
        places += max(len(answer), len(target))
    return right / places


def _summary(name: str, strings: list[str]) -> dict[str, Any]:
    lengths = [len(text) for text in strings]
    return {
        "strings": name,
        "how many": len(strings),
        "shortest": min(lengths),
        "longest": max(lengths),
        "palindromes": sum(text == text[::-1] for text in strings),
    }


def _record_longer(model: Transformer, config: ReversalConfig, rng: np.random.Generator, record: Recorder) -> None:
    """Strings longer than any in training: was it the rule that was learned, or the rule for these lengths?"""
    rows = []
    for length in range(config.longest + 1, config.longest + 5):
        strings = [random_string(config, length, rng) for _ in range(100)]
        written, targets = write(model, strings, length), [text[::-1] for text in strings]
        scores = {"exact match": exact_match(written, targets), "letters": letter_accuracy(written, targets)}
        rows.append({"length": length, **{name: round(score, 3) for name, score in scores.items()}})
    record.table("longer than in training", rows)
    record.result("exact_match_one_longer", rows[0]["exact match"])


def _record_attention(model: Transformer, strings: list[str], record: Recorder) -> None:
    """How the last layer's heads look at the source while the model reads out the first of the longest strings."""
    import torch

    text = max(strings, key=len)
    source, target = tokens([text], len(text)), tokens([text[::-1]], len(text), ends=True)[:, :-1]
    with torch.no_grad():
        maps = model.decode(target, model.encode(source), source)[1]
    heads = maps[-1, 0].numpy()  # (heads, target, source)
    mirrored = [heads[:, t, len(text) - 1 - t] for t in range(len(text))]
    record.result("attention_on_mirrored_letter", float(np.mean(mirrored, axis=0).max()))
    record.baseline("attention_on_mirrored_letter", 1 / len(text), "the same attention for every letter")
    record.figure("cross-attention", _attention_figure(heads, list(text), [*text[::-1], "end"]))


def _attention_figure(heads: np.ndarray, read: list[str], written: list[str]) -> Any:
    from plotly.subplots import make_subplots

    titles = [f"head {head + 1}" for head in range(len(heads))]
    figure = make_subplots(1, len(heads), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.04)
    for column, weights in enumerate(heads, start=1):
        figure.add_heatmap(z=weights, coloraxis="coloraxis", xgap=1, ygap=1, row=1, col=column)
        places = list(range(len(read)))
        figure.update_xaxes(tickvals=places, ticktext=read, title="letter read", row=1, col=column)
    figure.update_yaxes(tickvals=list(range(len(written))), ticktext=written, autorange="reversed")
    figure.update_yaxes(title="letter to write", col=1)
    figure.update_layout(coloraxis={"colorscale": "Cividis", "cmin": 0, "cmax": 1, "colorbar": {"title": "weight"}})
    return figure
