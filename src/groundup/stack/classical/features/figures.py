"""Explorables of features: words by weight, columns by scale, and words that meet when they are hashed."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.features import Imputer, Standardizer, TfidfVectorizer, code, hash_words

LINES = [
    "the pod started on the node",
    "the pod is ready",
    "the node is ready",
    "the pod failed to start",
    "timeout while the pod pulled the image",
    "the pod is ready again",
    "the node reported disk pressure",
    "timeout timeout the node is not ready",
]


@figure("Which words tell?")
def weights(
    line: Annotated[int, Range(1, 8)] = 8,
    least: Annotated[int, Range(1, 4)] = 1,
) -> go.Figure:
    """The TF-IDF weights of one of eight log lines, learned from all eight.

    `the` is in every line and weighs least; `timeout`, twice here and seldom elsewhere, weighs most. Raise `least`:
    rare words lose their columns.
    """
    model = TfidfVectorizer(least).fit(LINES)
    row = model.transform([LINES[line - 1]]).toarray()[0]
    names = np.array(list(model.vocabulary_))
    order = [place for place in np.argsort(row) if row[place] > 0]
    plot = go.Figure(go.Bar(x=row[order], y=names[order], orientation="h", marker_color=BLUE))
    headline(plot, f"“{LINES[line - 1]}”")
    plot.update_layout(margin_t=60)
    plot.update_xaxes(title="weight (the row has length 1)", range=[0, 1])
    plot.update_yaxes(title="word")
    return plot


@figure("Columns of different size")
def scales(
    preparation: Literal["as it came", "filled", "filled and standardised"] = "as it came",
    strategy: Literal["median", "mean"] = "median",
    gaps: Annotated[float, Range(0, 0.5, step=0.05)] = 0.2,
) -> go.Figure:
    """Latency in ms against errors a minute of 200 pods; crosses had a gap in their latency.

    As they came, only latency matters to any distance: its numbers are a thousand times as large. The mean follows
    the long tail of latencies, the median does not.
    """
    rng = np.random.default_rng(4)
    X = np.column_stack([np.exp(rng.normal(5, 1, 200)), rng.poisson(2, 200)]).astype(float)
    missing = rng.random(200) < gaps
    X[missing, 0] = np.nan
    if preparation != "as it came":
        X = Imputer(strategy).fit(X).transform(X)
    if preparation == "filled and standardised":
        X = Standardizer().fit(X).transform(X)
    plot = go.Figure()
    for gap, colour, symbol, name in ((False, BLUE, "circle", "measured"), (True, RED, "x", "was a gap")):
        shown = missing == gap
        dots = {"color": colour, "symbol": symbol, "size": 7, "opacity": 0.7}
        plot.add_scatter(x=X[shown, 0], y=X[shown, 1], mode="markers", marker=dots, name=name)
    known = X[~np.isnan(X).any(axis=1)]
    headline(plot, f"deviations {known[:, 0].std():.3g} and {known[:, 1].std():.3g}")
    unit = " (deviations)" if "standardised" in preparation else ""
    plot.update_xaxes(title=f"latency{unit or ' (ms)'}")
    plot.update_yaxes(title=f"errors{unit or ' a minute'}")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Words that meet")
def hashing(
    columns: Annotated[int, Range(8, 512, step=8)] = 64,
    vocabulary: Annotated[int, Range(10, 500, step=10)] = 100,
) -> go.Figure:
    """How many words of a vocabulary fall on each hashed column, and the scalar product of texts that share no word.

    More columns than words do not keep words apart: with as many columns as words, about a third of the columns stay
    empty. With signs (blue) the products of unrelated texts scatter around 0; without (orange), they are all positive.
    """
    names = [f"word{number}" for number in range(vocabulary)]
    load = np.bincount([code(name) % columns for name in names], minlength=columns)
    products, unsigned = [], []
    for number in range(150):
        rows = [hash_words([f"{side}{number}.{k}" for k in range(12)], columns) for side in "ab"]
        plain = [
            np.bincount([code(f"{side}{number}.{k}") % columns for k in range(12)], minlength=columns) for side in "ab"
        ]
        products.append(float(rows[0] @ rows[1]))
        unsigned.append(float(plain[0] @ plain[1]))
    plot = go.Figure()
    for values, colour, name in ((products, BLUE, "with signs"), (unsigned, ORANGE, "without signs")):
        plot.add_histogram(x=values, name=name, marker_color=colour, opacity=0.65, xbins_size=1)
    plot.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    headline(plot, f"{np.mean(load == 0):.0%} of the columns empty, at most {load.max()} words in one")
    plot.update_xaxes(title="scalar product of two texts without a common word")
    plot.update_yaxes(title="pairs of texts")
    plot.update_layout(barmode="overlay", legend=LEGEND_BELOW)
    return plot
