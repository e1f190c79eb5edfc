"""Explorables of ingestion: where a text is cut, what size and overlap cost, and what a change of a file touches."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREEN, GREY, LEGEND_ABOVE, ORANGE, PINK, RED, SKY, headline
from groundup.stack.retrieval.ingestion import Document, changes, chunk, parse_markdown, pieces

RUNBOOK = """# Checkout fails

Customers see error 502. The gateway has no healthy backend.

## First look

Ask for the pods. If one restarts again and again, read its last words before anything else.

```sh
kubectl get pods -n shop
kubectl logs -n shop deploy/checkout --previous

kubectl describe pod -n shop -l app=checkout
```

- OOMKilled: raise the memory limit.
- CrashLoopBackOff: look for the first error, not for the last one.
- ImagePullBackOff: the registry or its password.

## When to call

After fifteen minutes without a cause, call the owner of the service. Say what you have seen, and what you have tried.
"""


def _lane(plot: go.Figure, start: int, end: int, lane: int, colour: str, name: str, text: str) -> None:
    """A bar over the characters of the document; what it stands for when one points at it."""
    shown = text if len(text) < 160 else f"{text[:150]} …"
    plot.add_bar(
        x=[end - start], base=[start], y=[name], orientation="h", marker_color=colour, showlegend=False, width=0.7,
        opacity=0.85 if lane % 2 else 0.6, marker_line={"width": 1, "color": colour},
        hovertemplate=f"{start}–{end}<br>{shown.replace(chr(10), '<br>')}<extra></extra>",
    )  # fmt: skip


@figure("A runbook in chunks")
def chunks(
    size: Annotated[int, Range(40, 400, step=10)] = 160,
    overlap: Annotated[int, Range(0, 30, step=5)] = 0,
    structure: bool = True,
) -> go.Figure:
    """Every bar is a chunk, over the characters that it holds; point at one to read it.

    With its structure, no chunk crosses a heading (the dotted lines), and the code (the grey band) is torn only where
    it is longer than a chunk. Without, the same text is cut as one stretch.
    """
    parsed = parse_markdown("runbook.md", RUNBOOK)
    document = parsed if structure else Document("runbook.md", RUNBOOK)
    made = chunk(document, length=len, size=size, overlap=min(overlap, size - 1))
    plot = go.Figure()
    for number, one in enumerate(made):
        name = f"row {number % 3 + 1}"
        _lane(plot, one.start, one.end, number, COLOURS[number % len(COLOURS)], name, one.text)
    for section in parsed.sections[1:]:
        plot.add_vline(x=section.start, line={"color": GREY, "dash": "dot"})
    for start, end in parsed.whole:
        plot.add_vrect(x0=start, x1=end, fillcolor=GREY, opacity=0.2, line_width=0)
    headline(plot, f"{len(made)} chunks")
    plot.update_xaxes(title="position in the text (characters)", range=[0, len(RUNBOOK)])
    plot.update_yaxes(title="", showticklabels=False)
    plot.update_layout(barmode="overlay", height=300, margin={"t": 40})
    return plot


@figure("Where a text is cut")
def levels(size: Annotated[int, Range(5, 320, step=5)] = 120) -> go.Figure:
    """How long the pieces are, when the text of a runbook is cut only as finely as the size asks for.

    Make the size smaller: paragraphs give way to sentences, then to items and lines, then to words. Pieces stay where
    they fit, so that a smaller size changes only those above the line.
    """
    found = pieces(RUNBOOK, 0, len(RUNBOOK), lambda start, end: len(RUNBOOK[start:end].strip()) <= size)
    lengths = [len(RUNBOOK[start:end].strip()) for start, end in found]
    plot = go.Figure()
    plot.add_bar(
        x=[(start + end) / 2 for start, end in found], y=lengths, width=[end - start for start, end in found],
        marker={"color": BLUE, "line": {"width": 1, "color": SKY}}, name="pieces",
        customdata=[RUNBOOK[start:end].strip().replace("\n", "<br>")[:200] for start, end in found],
        hovertemplate="%{y} characters<br>%{customdata}<extra></extra>",
    )  # fmt: skip
    plot.add_hline(y=size, line={"color": RED, "dash": "dash"})
    plot.update_xaxes(title="position in the text (characters)")
    plot.update_yaxes(title="length of the piece (characters)", rangemode="tozero")
    plot.update_layout(showlegend=False)
    return plot


@figure("What the overlap costs")
def overlap_cost(size: Annotated[int, Range(100, 400, step=20)] = 200) -> go.Figure:
    """How much more text is stored and embedded as the overlap grows, and how many neighbours share a sentence.

    The text is the runbook four times over. Sharing is in whole sentences, so that nothing happens until the overlap
    has room for one; what it costs rises faster than what it gives.
    """
    text = "\n".join(RUNBOOK for _ in range(4))
    document = Document("runbooks.md", text)
    overlaps = list(range(0, size // 2 + 1, max(1, size // 20)))
    stored, sharing = [], []
    for overlap in overlaps:
        made = chunk(document, length=len, size=size, overlap=overlap)
        stored.append(100 * sum(len(one.text) for one in made) / len(text))
        pairs = list(pairwise(made))
        sharing.append(100 * sum(a.end > b.start for a, b in pairs) / max(1, len(pairs)))
    plot = go.Figure()
    plot.add_scatter(x=overlaps, y=stored, name="stored, % of the text", line_color=RED, mode="lines+markers")
    plot.add_scatter(x=overlaps, y=sharing, name="neighbours that share, %", line_color=BLUE, mode="lines+markers")
    plot.update_xaxes(title="overlap (characters)")
    plot.update_yaxes(title="per cent", rangemode="tozero")
    plot.update_layout(legend=LEGEND_ABOVE)
    return plot


EDITS = {
    "add a line on top": lambda text: "Last tried in March.\n\n" + text,
    "change one word": lambda text: text.replace("fifteen", "ten"),
    "remove a section": lambda text: text[: text.index("## When")],
    "repeat a section": lambda text: text + "\n" + text[text.index("## When") :],
    "nothing": lambda text: text,
}


@figure("What a change of the file touches")
def edit(
    what: Literal["add a line on top", "change one word", "remove a section", "repeat a section", "nothing"] = (
        "add a line on top"
    ),
    ids: Literal["from the content", "from the position"] = "from the content",
) -> go.Figure:
    """How many chunks have to be embedded, only told where they stand now, removed, or left alone after an edit.

    With ids from the position, a line on top makes every chunk a new one. Embedding is what costs.
    """
    versions = []
    for text in (RUNBOOK, EDITS[what](RUNBOOK)):
        made = chunk(parse_markdown("runbook.md", text), length=len, size=140, overlap=0)
        versions.append(
            {
                one.id if ids == "from the content" else f"{one.start}": {"start": one.start, "text": one.text}
                for one in made
            }
        )
    old, new = versions
    todo = changes(old, new)
    # Under an id from the position, another text needs a new vector, which is not an update of metadata.
    embedded = len(todo.add) + sum(old[name]["text"] != new[name]["text"] for name in todo.update)
    told = len(todo.update) + len(todo.add) - embedded
    counts = [embedded, told, len(todo.remove), len(new) - embedded - told]
    plot = go.Figure()
    names = ["embedded", "told their place", "removed", "left alone"]
    plot.add_bar(x=names, y=counts, marker_color=[RED, ORANGE, PINK, GREEN], text=counts, textposition="outside")
    plot.update_xaxes(title="what happens to a chunk")
    plot.update_yaxes(title="chunks", range=[0, max(counts) * 1.2 + 1])
    return plot
