"""Explorables of attention: a soft lookup, its scale, masks, positions, a head made by hand and one that learns."""

import math
from typing import Annotated, Any, Literal

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor, nn

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.deep.attention import MultiHeadAttention, attend, causal_mask, positional_encoding

WEIGHTS = {"colorscale": "Cividis", "cmin": 0, "cmax": 1, "colorbar": {"title": "weight", "thickness": 12}}
LETTERS = "abcdefghijklmnopqrstuvwxyz"

torch.set_num_threads(1)  # matrices this small are slower on two


@figure("Ask vaguely, ask sharply")
def lookup(
    angle: Annotated[int, Range(0, 355, step=5)] = 70, length: Annotated[float, Range(0.0, 20.0, step=0.5)] = 4.0
) -> go.Figure:
    """Turn the query among five keys. Its dot product with each key becomes a weight, and what comes back is the mean
    of the values by these weights. A short query asks vaguely and gets nearly the plain mean, 21; a long one asks
    sharply and gets the value of the nearest key, as a dictionary would.
    """
    keys = _on_circle(torch.tensor([20.0, 80, 150, 215, 300]))
    values = torch.tensor([[10.0], [40], [5], [30], [20]])
    query = length * _on_circle(torch.tensor([float(angle)]))
    output, weights = attend(query, keys, values)
    plot = make_subplots(2, 1, row_heights=[0.58, 0.42], vertical_spacing=0.06)
    for number, ((x, y), weight) in enumerate(zip(keys.tolist(), weights[0].tolist(), strict=True), start=1):
        plot.add_scatter(
            x=[0, x],
            y=[0, y],
            mode="lines",
            line={"color": BLUE, "width": 2 + 14 * weight},
            hovertemplate=f"key {number}: weight {weight:.2f}<extra></extra>",
            row=1,
            col=1,
        )
        plot.add_annotation(x=1.2 * x, y=1.2 * y, text=f"key {number}", showarrow=False, row=1, col=1)
    reach = length / (length + 2)  # drawn shorter than it is, so that it stays in the picture
    (x, y) = (reach * _on_circle(torch.tensor(float(angle)))).tolist()
    tip = {"symbol": ["circle", "arrow"], "size": [1, 15 if length else 1], "angleref": "previous", "color": ORANGE}
    plot.add_scatter(
        x=[0, x],
        y=[0, y],
        mode="lines+markers",
        marker=tip,
        line={"color": ORANGE, "width": 4},
        hovertemplate=f"query of length {length:g}<extra></extra>",
        row=1,
        col=1,
    )
    plot.add_bar(
        y=[f"key {k} → {value:g}" for k, value in enumerate(values[:, 0].tolist(), start=1)],
        x=weights[0].tolist(),
        orientation="h",
        marker_color=BLUE,
        hovertemplate="weight %{x:.3f}<extra></extra>",
        row=2,
        col=1,
    )
    plot.update_xaxes(visible=False, range=[-1.5, 1.5], row=1, col=1)
    plot.update_yaxes(visible=False, range=[-1.35, 1.35], scaleanchor="x", row=1, col=1)
    plot.update_xaxes(title="weight", range=[0, 1], row=2, col=1)
    plot.update_yaxes(autorange="reversed", row=2, col=1)
    headline(plot, f"output: {output.item():.1f}")
    plot.update_layout(showlegend=False, margin_t=40, height=480)
    return plot


def _on_circle(degrees: Tensor) -> Tensor:
    radians = degrees.deg2rad()
    return torch.stack((radians.cos(), radians.sin()), dim=-1)


@figure("Undivided, by the root, by the dimension")
def scale(
    show: Literal["largest weight", "entropy", "slope of the softmax"] = "largest weight",
    keys: Annotated[int, Range(2, 128, log=True)] = 16,
) -> go.Figure:
    """Queries and keys of normal random numbers, in more and more dimensions; the mean over 256 queries. Undivided
    scores grow until one key takes all the weight and the softmax has no slope left to learn by. Divided by d they
    shrink, until all keys weigh the same. Divided by the root of d nothing changes with the dimension.
    """
    dims = [2**power for power in range(11)]
    lines: dict[str, list[float]] = {}
    for name, factor in (
        ("undivided", math.sqrt),
        ("divided by √d", lambda d: 1.0),
        ("divided by d", lambda d: d**-0.5),
    ):
        lines[name] = []
        for dim in dims:
            draw = torch.Generator().manual_seed(dim)
            queries = torch.randn(16, 16, dim, generator=draw)  # 16 sets of keys, with 16 queries each
            found = torch.randn(16, keys, dim, generator=draw)
            # `attend` divides by the root; the factor says what the scores are to be divided by in its place.
            weights = attend(factor(dim) * queries, found, found[..., :1])[1]
            lines[name].append(float(_measure(show, weights)))
    plot = go.Figure()
    uniform = {"largest weight": 1 / keys, "entropy": math.log(keys), "slope of the softmax": 1 - 1 / keys}[show]
    plot.add_hline(y=uniform, line={"color": GREY, "dash": "dot"})
    beside = -9 if show == "largest weight" else 9  # on the side where no line runs
    note = {"text": "all keys alike", "showarrow": False, "xanchor": "left", "font_color": GREY}
    plot.add_annotation(x=0, y=uniform, yshift=beside, **note)
    for (name, values), colour, dash in zip(lines.items(), (RED, BLUE, ORANGE), ("dash", "solid", "dot"), strict=True):
        plot.add_scatter(
            x=dims, y=values, name=name, mode="lines+markers", line={"color": colour, "dash": dash, "width": 3}
        )
    top = 1.12 * (math.log(keys) if show == "entropy" else 1.0)
    unit = {"entropy": "entropy of the weights (nats)", "slope of the softmax": "slope: sum of p (1 − p)"}
    plot.update_xaxes(type="log", title="dimension d of queries and keys", tickvals=dims[::2])
    plot.update_yaxes(title=unit.get(show, show), range=[-0.08 * top, top])
    plot.update_layout(legend=LEGEND_BELOW, height=400)
    return plot


def _measure(show: str, weights: Tensor) -> Tensor:
    """How concentrated each row of weights is, on average."""
    match show:
        case "largest weight":
            return weights.amax(dim=-1).mean()
        case "entropy":
            return torch.special.entr(weights).sum(dim=-1).mean()
        case _:
            return (weights * (1 - weights)).sum(dim=-1).mean()


@figure("Who may look at whom")
def masks(
    mask: Literal["none", "causal", "padding", "causal and padding"] = "causal",
    tokens: Annotated[int, Range(2, 12)] = 8,
    query: Annotated[int, Range(0, 11)] = 4,
) -> go.Figure:
    """Above, the weights of random tokens that attend to one another; cells without colour are masked and exactly 0.
    Below, the proof: the size of the gradient of one output (the row that is framed) in each input. Where the row has
    no colour the gradient is exactly 0: nothing can have leaked. Only the token that asks always counts, as the query,
    even where it is padding and may not be looked at.
    """
    query = min(query, tokens - 1)
    inputs = torch.randn(tokens, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    padding = torch.arange(tokens) >= tokens - max(1, tokens // 4)
    allowed = torch.ones(tokens, tokens, dtype=torch.bool)
    if "causal" in mask:
        allowed &= causal_mask(tokens)
    if "padding" in mask:
        allowed &= ~padding
    output, weights = attend(inputs, inputs, inputs, allowed)
    (gradient,) = torch.autograd.grad(output[query].norm(), inputs)
    sizes = gradient.norm(dim=-1)
    plot = make_subplots(2, 1, row_heights=[0.68, 0.32], vertical_spacing=0.16, shared_xaxes=True)
    shown = weights.detach().masked_fill(~allowed, math.nan).tolist()
    plot.add_heatmap(
        z=shown,
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
        hovertemplate="query %{y}, key %{x}: weight %{z:.3f}<extra></extra>",
        row=1,
        col=1,
    )
    frame = {"x0": -0.5, "x1": tokens - 0.5, "y0": query - 0.5, "y1": query + 0.5}
    plot.add_shape(type="rect", **frame, line={"color": RED, "width": 3}, row=1, col=1)
    colours = [RED if size > 0 else GREY for size in sizes.tolist()]
    plot.add_bar(
        x=list(range(tokens)),
        y=sizes.tolist(),
        marker_color=colours,
        hovertemplate="token %{x}: gradient %{y:.3g}<extra></extra>",
        row=2,
        col=1,
    )
    for token in range(tokens):
        if sizes[token] == 0:
            plot.add_annotation(x=token, y=0, text="0", showarrow=False, yshift=9, font_color=GREY, row=2, col=1)
    plot.update_xaxes(dtick=1, range=[-0.5, tokens - 0.5])
    plot.update_xaxes(
        title="key (token that is looked at)", showgrid=False, zeroline=False, showticklabels=True, row=1, col=1
    )
    plot.update_xaxes(title="input token", row=2, col=1)
    plot.update_yaxes(
        dtick=1,
        range=[tokens - 0.5, -0.5],
        title="query (token that looks)",
        showgrid=False,
        zeroline=False,
        row=1,
        col=1,
    )
    plot.update_yaxes(title="gradient", rangemode="tozero", row=2, col=1)
    bar = {**WEIGHTS["colorbar"], "len": 0.66, "y": 1, "yanchor": "top"}
    plot.update_layout(coloraxis={**WEIGHTS, "colorbar": bar}, showlegend=False, height=560)
    return plot


@figure("How positions tell themselves apart")
def positions(
    show: Literal["by distance", "all pairs", "the encoding"] = "by distance",
    dim: Annotated[int, Range(2, 128, step=2)] = 64,
    tokens: Annotated[int, Range(8, 128)] = 64,
) -> go.Figure:
    """Every position is a row of sines and cosines: a clock whose first hand moves by one radian a token and whose last
    one hardly moves. The cosine of two such rows depends only on how far apart they are: the three lines, from three
    different positions, lie on one another. With few dimensions, distant positions look alike by chance.
    """
    encoding = positional_encoding(tokens, dim)
    # Every row has the same length, the root of dim / 2, so this is the cosine.
    similarity = (encoding @ encoding.T / (dim / 2)).numpy()
    plot = go.Figure()
    if show == "by distance":
        starts = [0, tokens // 4, tokens // 2]
        for start, colour, dash, width in zip(
            starts, (BLUE, ORANGE, GREEN), ("solid", "solid", "dot"), (10, 5, 2), strict=True
        ):
            line = {"color": colour, "dash": dash, "width": width}
            plot.add_scatter(y=similarity[start, start:], mode="lines", name=f"from position {start}", line=line)
        plot.update_xaxes(title="distance (tokens)")
        plot.update_yaxes(title="cosine of the two encodings", range=[min(-0.1, 1.05 * similarity.min()), 1.08])
        plot.update_layout(legend=LEGEND_BELOW, height=400)
        return plot
    values = similarity if show == "all pairs" else encoding.numpy()
    plot.add_heatmap(
        z=values,
        zmin=-1,
        zmax=1,
        colorscale=DIVERGING,
        colorbar={"title": "cosine" if show == "all pairs" else "value", "thickness": 12},
        hovertemplate="row %{y}, column %{x}: %{z:.2f}<extra></extra>",
    )
    plot.update_xaxes(title="position (tokens)" if show == "all pairs" else "column (even: sine, odd: cosine)")
    plot.update_yaxes(title="position (tokens)", autorange="reversed")
    plot.update_layout(height=400)
    return plot


@figure("A head made by hand")
def by_hand(
    task: Literal["reverse", "copy", "previous", "next"] = "reverse",
    word: Literal["attention", "kubernetes", "groundup"] = "attention",
    sharpness: Annotated[float, Range(0.0, 20.0, step=0.5)] = 10.0,
    dim: Annotated[int, Range(2, 64, step=2)] = 32,
) -> go.Figure:
    """Nothing is learned here. The keys are the positional encodings of the letters, the values are the letters, and
    the queries are the encodings times one matrix that turns each clock hand: by the angle of one token for `previous`
    and `next`, mirrored for `reverse`. The largest weight in each row says which letter is written, at the left. Make
    the queries shorter, or take away dimensions, and it begins to misread.
    """
    length = len(word)
    encoding = positional_encoding(length, dim)
    letters = nn.functional.one_hot(torch.tensor([LETTERS.index(letter) for letter in word]), 26).float()
    queries = sharpness * encoding @ _turn(task, length, dim)
    output, weights = attend(queries, encoding, letters)
    written = "".join(LETTERS[best] for best in output.argmax(dim=-1).tolist())
    plot = _letter_map(weights[None], word, written)
    plot.update_layout(height=430, margin_t=40)
    headline(plot, f"{task}: {word} → {written}")
    return plot


def _turn(task: str, length: int, dim: int) -> Tensor:
    """The matrix that takes the encoding of position t to that of the position which the task wants looked at.

    Each pair of columns (sin a, cos a) with a = t·w is turned to t - 1 or t + 1, or reflected to length - 1 - t.
    """
    frequencies = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    shift = {"reverse": length - 1, "copy": 0, "previous": -1, "next": 1}[task]
    sin, cos = (shift * frequencies).sin(), (shift * frequencies).cos()
    # sin(c ± a) = sin c cos a ± cos c sin a, and cos(c ± a) = cos c cos a ∓ sin c sin a.
    sign = -1.0 if task == "reverse" else 1.0
    pairs = torch.stack((torch.stack((sign * cos, -sign * sin), -1), torch.stack((sin, cos), -1)), dim=-2)
    return torch.block_diag(*pairs)


@figure("A head that learns to reverse")
def learning(
    steps: Annotated[int, Range(0, 200, step=10)] = 120,
    word: Literal["log", "alert", "groundup"] = "groundup",
    heads: Literal[1, 2] = 1,
    positions: bool = True,
) -> go.Figure:
    """One layer of attention, trained from nothing while you wait, on random strings as long as the word: each output
    place asks with its position, and must name the letter of the mirrored place. Above, where it looks when it reads
    the word; below, how many letters of fresh strings it gets right. Without positions all places ask the same
    question, and the best guess is a letter that occurs.
    """
    torch.manual_seed(0)
    dim, longest = 32, 200
    encoding = positional_encoding(len(word), dim) * positions
    embedding, layer, out = nn.Embedding(26, dim), MultiHeadAttention(dim, heads), nn.Linear(dim, 26)
    parameters = [*embedding.parameters(), *layer.parameters(), *out.parameters()]

    def read(strings: Tensor) -> tuple[Tensor, Tensor]:
        output, weights = layer(encoding.expand(len(strings), -1, -1), embedding(strings) + encoding)
        return out(output), weights

    def accuracy() -> float:
        with torch.no_grad():
            return (read(fresh)[0].argmax(dim=-1) == fresh.flip(1)).float().mean().item()

    fresh = torch.randint(26, (200, len(word)))
    curve = [accuracy()]
    for step in range(steps):
        strings = torch.randint(26, (32, len(word)))
        loss = nn.functional.cross_entropy(read(strings)[0].flatten(0, 1), strings.flip(1).flatten())
        gradients = torch.autograd.grad(loss, parameters)
        rate = 0.01 * (1 - step / longest)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                # The sign alone, as Adam does at first: an optimizer of PyTorch would take seconds to import.
                parameter -= rate * gradient.sign()
        if (step + 1) % 10 == 0:
            curve.append(accuracy())
    with torch.no_grad():
        logits, weights = read(torch.tensor([[LETTERS.index(letter) for letter in word]]))
    written = "".join(LETTERS[best] for best in logits[0].argmax(dim=-1).tolist())
    plot = _letter_map(weights[0], word, written, below=True)
    plot.add_scatter(
        x=list(range(0, steps + 1, 10)),
        y=curve,
        mode="lines+markers",
        line={"color": GREEN, "width": 3},
        hovertemplate="step %{x}: %{y:.0%}<extra></extra>",
        row=2,
        col=1,
    )
    plot.update_xaxes(title="step", range=[-5, longest + 5], row=2, col=1)
    plot.update_yaxes(title="letters right", tickformat=".0%", range=[-0.04, 1.08], row=2, col=1)
    plot.update_layout(showlegend=False, height=600, margin_t=40)
    headline(plot, f"step {steps}: {word} → {written}")
    return plot


def _letter_map(heads: Tensor, word: str, written: str, *, below: bool = False) -> go.Figure:
    """Heat maps of weights, one for each head, with the letters read and written; `below` leaves a row for a curve."""
    count = len(heads)
    specs: list[list[Any]] = [[{}] * count] + [[{"colspan": count}, *[None] * (count - 1)]] * below
    plot = make_subplots(
        1 + below,
        count,
        specs=specs,
        row_heights=[0.66, 0.34] if below else None,
        vertical_spacing=0.17 if below else 0,
        horizontal_spacing=0.06,
        shared_yaxes=not below,
    )
    places = list(range(len(word)))
    for column, weights in enumerate(heads, start=1):
        plot.add_heatmap(
            z=weights.tolist(),
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            hovertemplate="place %{y} looks at place %{x}: %{z:.2f}<extra></extra>",
            row=1,
            col=column,
        )
        title = "letter read" if count == 1 else f"head {column}"
        plot.update_xaxes(tickvals=places, ticktext=list(word), tickangle=0, title=title, row=1, col=column)
        plot.update_yaxes(tickvals=places, ticktext=list(written), showticklabels=column == 1, row=1, col=column)
    plot.update_xaxes(showgrid=False, zeroline=False, row=1)
    plot.update_yaxes(showgrid=False, zeroline=False, autorange="reversed", row=1)
    plot.update_yaxes(title="letter written", row=1, col=1)
    bar = {**WEIGHTS["colorbar"], **({"len": 0.66, "y": 1, "yanchor": "top"} if below else {})}
    plot.update_layout(coloraxis={**WEIGHTS, "colorbar": bar})
    return plot
