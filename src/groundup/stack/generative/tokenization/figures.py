"""Explorables of tokenization: merges one by one, what a vocabulary is worth, and what it costs other languages."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.tokenization import (
    GPT2_PATTERN,
    GPT4_PATTERN,
    Tokenizer,
    count_pretokens,
    train,
)

WORDS = ["low", "lower", "lowest", "newest", "widest", "slow", "show", "unshown"]
LINES = [f"2026-01-07 14:{n % 60:02}:{n * 7 % 60:02} ERROR pod web-{n % 9} failed to pull image" for n in range(400)]
SENTENCES = {
    "English": "The pod is not ready, and nobody knows why.",
    "German": "Der Pod ist nicht bereit, und niemand weiß, warum.",
    "French": "Le pod n'est pas prêt, et personne ne sait pourquoi.",
    "Polish": "Pod nie jest gotowy i nikt nie wie dlaczego.",
    "Greek": "Το pod δεν είναι έτοιμο και κανείς δεν ξέρει γιατί.",
    "Russian": "Под не готов, и никто не знает почему.",
    "Chinese": "这个容器还没有准备好,没有人知道为什么。",
}


@figure("Merge by merge")
def merges(
    steps: Annotated[int, Range(0, 24)] = 6,
    favourite: Annotated[int, Range(1, 20)] = 5,
) -> go.Figure:
    """Eight words as tokens, after so many merges. `newest` occurs as often as `favourite` says, the others once.

    Step by step, letters that are often neighbours become one token. Make `newest` commoner: its letters join first.
    """
    counts = {word.encode(): favourite if word == "newest" else 1 for word in WORDS}
    learned = train(counts, steps)
    vocabulary = {bytes([value]): value for value in range(256)}
    for left, right in learned:
        vocabulary.setdefault(left + right, len(vocabulary))
    tokenizer = Tokenizer(vocabulary)
    plot = go.Figure()
    total = 0
    for word in reversed(WORDS):
        for place, number in enumerate(tokenizer.encode(word)):
            token = tokenizer.decode([number])
            total += 1
            colour = COLOURS[place % len(COLOURS)]
            bar = {"x": [len(token)], "y": [word], "text": [token], "marker_color": colour, "hoverinfo": "skip"}
            plot.add_bar(**bar, orientation="h", textposition="inside", insidetextanchor="middle", showlegend=False)
    last = " + ".join(part.decode() for part in learned[-1]) if learned else "none"
    headline(plot, f"{total} tokens, the last merge: {last}")
    plot.update_layout(barmode="stack", margin_t=60)
    plot.update_xaxes(title="letters")
    plot.update_yaxes(title="word")
    return plot


@figure("What a larger vocabulary is worth")
def sizes(
    judged: Literal["plays", "log"] = "plays",
    split: Literal["GPT-2", "GPT-4"] = "GPT-4",
) -> go.Figure:
    """Bytes a token, by the size of the vocabulary, learned from Shakespeare's plays or from a log.

    Each doubling adds less. A vocabulary pays on the kind of text that it was learned from: choose the log.
    """
    plays, log = _texts()
    text = {"plays": plays[-8_000:], "log": log[-8_000:]}[judged]
    plot = go.Figure()
    for name, training, colour in (("plays", plays[:-8_000], BLUE), ("log", log[:-8_000], ORANGE)):
        tokens = _tokens(training, split)
        counts = [min(256 + 2**power, len(tokens)) for power in range(0, 11)]
        values = []
        for count in counts:
            vocabulary = {token: number for number, token in enumerate(tokens[:count])}
            pattern = GPT2_PATTERN if split == "GPT-2" else GPT4_PATTERN
            values.append(len(text.encode()) / len(Tokenizer(vocabulary, pattern=pattern).encode(text)))
        line = {"color": colour, "width": 3, "dash": "solid" if name == judged else "dot"}
        plot.add_scatter(x=counts, y=values, mode="lines+markers", line=line, name=f"learned from: {name}")
    plot.update_xaxes(title="ids in the vocabulary")
    plot.update_yaxes(title="bytes a token", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@lru_cache
def _texts() -> tuple[str, str]:
    from groundup.data import load

    return (load("tiny_shakespeare").text or "")[:40_000], "\n".join(LINES)


@lru_cache
def _tokens(text: str, split: str) -> list[bytes]:
    counts = count_pretokens([text], pattern=GPT2_PATTERN if split == "GPT-2" else GPT4_PATTERN)
    return list(dict.fromkeys([*(bytes([value]) for value in range(256)), *(a + b for a, b in train(counts, 1000))]))


@figure("The same sentence in seven languages")
def languages(
    size: Annotated[int, Range(256, 1024, step=64)] = 768,
    unit: Literal["tokens", "tokens a character"] = "tokens",
) -> go.Figure:
    """How many tokens one sentence takes, by a vocabulary that was learned from English plays.

    At 256 ids a token is a byte: an alphabet of two bytes a letter pays twice, Chinese three times. Merges help the
    language that they were learned from, and hardly any other.
    """
    tokens = _tokens(_texts()[0][:30_000], "GPT-4")[:size]
    tokenizer = Tokenizer({token: number for number, token in enumerate(tokens)})
    counts = {name: len(tokenizer.encode(sentence)) for name, sentence in SENTENCES.items()}
    values = [count / (len(SENTENCES[name]) if unit != "tokens" else 1) for name, count in counts.items()]
    colours = [BLUE if name == "English" else GREY for name in counts]
    plot = go.Figure(go.Bar(x=values, y=list(counts), orientation="h", marker_color=colours))
    headline(plot, f"English {counts['English']} tokens, Russian {counts['Russian']}")
    plot.update_layout(margin_t=60)
    plot.update_xaxes(title=unit)
    plot.update_yaxes(title="language", autorange="reversed")
    return plot
