"""Labs of instruction tuning: a small model learns to answer, and to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from groundup.stack.generative.instruction_tuning import Example


@dataclass(frozen=True)
class AnswersConfig:
    """Settings of the answers lab.

    Attributes:
        seed: seed of the split, of the initial weights and of the batches.
        length: tokens of a row; a token is a byte or a special token.
        dim: size of a token's vector.
        heads: attentions in each block.
        layers: blocks.
        rows: packed rows in one step.
        steps: steps of Adam.
        learning_rate: their size at the peak.
        isolate: whether packed examples are kept from seeing each other.
        train_stop: whether the stop token trains.
        shuffle_labels: permute the tokens of every answer, which leaves only their frequencies to learn.
    """

    seed: int = 0
    length: int = 192
    dim: int = 48
    heads: int = 4
    layers: int = 1
    rows: int = 4
    steps: int = 120
    learning_rate: float = 1e-2
    isolate: bool = True
    train_stop: bool = True
    shuffle_labels: bool = False


@lab(
    title="A model that answers, and stops",
    question="Does a small model learn to answer from 700 chats, to end its answers, and to keep packed chats apart?",
    data=["instructions"],
    presets={
        "smoke": {},
        "laptop": {"dim": 128, "layers": 4, "length": 512, "steps": 2000, "rows": 8, "learning_rate": 2e-3},
        "full": {
            "dim": 256,
            "heads": 8,
            "layers": 6,
            "length": 512,
            "steps": 10_000,
            "rows": 16,
            "learning_rate": 1e-3,
        },
    },
    expectations=[
        expect(
            "loss", beats_baseline_by=0.3, lower_is_better=True, why="Answers follow patterns, not frequencies alone."
        ),
        expect("stop", at_least=0.3, why="At the end of an unseen answer the model must expect the stop token."),
        expect("leak", at_most=1e-3, why="A chat must have the same logits packed behind another as alone."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"isolate": False}, {"train_stop": False}, {"shuffle_labels": True}],
)
def answers(config: AnswersConfig, record: Recorder) -> None:
    """Train a byte-level transformer of the size of a thumb on real chats, packed.

    70 % of the chats train, the rest judge: nats for each token of their answers (baseline: the frequencies of the
    tokens in training answers), and the probability of the stop token where an answer ends. `leak` is the largest
    change of a logit of a chat when another stands before it in its row.
    """
    import torch

    from groundup.data import load
    from groundup.stack.generative.instruction_tuning import GROUNDUP, IGNORE, encode_chat, pack, packed_mask, sft_step

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    specials = {text: 256 + number for number, text in enumerate(GROUNDUP.specials)}
    stop = specials[GROUNDUP.stop]
    table = load("instructions")
    chats = []
    for instruction, given, output in zip(table["instruction"], table["input"], table["output"], strict=True):
        messages = [
            {"role": "user", "content": f"{instruction}\n{given}".strip()},
            {"role": "assistant", "content": str(output)},
        ]
        example = encode_chat(messages, GROUNDUP, lambda text: list(text.encode()), specials)
        if len(example.tokens) <= config.length:
            chats.append(example)
    order = rng.permutation(len(chats))
    cut = int(0.7 * len(order))
    train, test = ([chats[number] for number in part] for part in (order[:cut], order[cut:]))
    counts = 1 + np.bincount([t for chat in train for t in _answer(chat)], minlength=256 + len(specials))
    taught = [_spoiled(chat, config, stop, rng) for chat in train]

    model: Any = _model(config, 256 + len(specials))
    optimizer = torch.optim.Adam(model.parameters())
    for step in record.progress(range(config.steps), label="steps"):
        chosen = [taught[number] for number in rng.permutation(len(taught))[: 3 * config.rows]]
        batch = pack(chosen, config.length, padding=stop)
        if not config.isolate:
            batch = batch._replace(segments=torch.zeros_like(batch.segments))
        warm = min(1.0, 10 * (step + 1) / config.steps) * (1 - step / config.steps)
        optimizer.param_groups[0]["lr"] = warm * config.learning_rate
        record.metric("loss", sft_step(model, [batch], optimizer), step=step)

    losses, stops = [], []
    with torch.no_grad():
        for begin in range(0, len(test), 32):
            batch = pack(test[begin : begin + 32], config.length, padding=stop)
            logits = model(batch.tokens, batch.positions, packed_mask(batch.segments))[:, :-1].log_softmax(-1)
            kept = batch.labels[:, 1:] != IGNORE
            targets = batch.labels[:, 1:][kept]
            scores = logits[kept].gather(1, targets[:, None])[:, 0]
            losses += (-scores).tolist()
            stops += scores[targets == stop].exp().tolist()
        pair = pack(sorted(test, key=lambda chat: len(chat.tokens))[:2], config.length, padding=stop)
        segments = pair.segments if config.isolate else torch.zeros_like(pair.segments)
        alone = pack(sorted(test, key=lambda chat: len(chat.tokens))[1:2], config.length, padding=stop)
        packed = model(pair.tokens, pair.positions, packed_mask(segments))[pair.segments == 1]
        single = model(alone.tokens, alone.positions, packed_mask(alone.segments))[alone.segments == 0]
    whole = pack(train, config.length, padding=stop)
    note = (
        f"{len(train)} chats in {len(whole.tokens)} rows; padding is {float((whole.segments < 0).float().mean()):.1%}."
    )
    record.note(note)
    frequencies = -np.log(counts / counts.sum())
    record.baseline(
        "loss", np.mean([frequencies[t] for chat in test for t in _answer(chat)]), "frequencies of the tokens"
    )
    record.result("loss", np.mean(losses))
    record.baseline("stop", np.exp(-frequencies[stop]), "its frequency")
    record.result("stop", np.mean(stops))
    record.result("leak", (packed - single).abs().max())


def _answer(chat: Example) -> list[int]:
    return [token for token, mark in zip(*chat, strict=True) if mark]


def _spoiled(chat: Example, config: AnswersConfig, stop: int, rng: np.random.Generator) -> Example:
    """The chat as it trains: whole, unless a sabotage is on."""
    tokens, marks = list(chat.tokens), list(chat.trains)
    if config.shuffle_labels:
        places = [place for place, mark in enumerate(marks) if mark]
        for place, token in zip(places, rng.permutation([tokens[place] for place in places]), strict=True):
            tokens[place] = int(token)
    if not config.train_stop:
        marks = [mark and token != stop for token, mark in zip(tokens, marks, strict=True)]
    return chat._replace(tokens=tokens, trains=marks)


def _model(config: AnswersConfig, vocabulary: int) -> Any:
    from torch import Tensor, nn

    from groundup.stack.deep.attention import EncoderBlock

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(vocabulary, config.dim)
            self.places = nn.Embedding(config.length, config.dim)
            self.blocks = nn.ModuleList(EncoderBlock(config.dim, config.heads) for _ in range(config.layers))
            self.norm, self.out = nn.LayerNorm(config.dim), nn.Linear(config.dim, vocabulary)

        def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
            hidden = self.tokens(tokens) + self.places(positions)
            for block in self.blocks:
                hidden = block(hidden, mask)
            return self.out(self.norm(hidden))

    return Model()
