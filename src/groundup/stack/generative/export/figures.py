"""Explorables of export: what a file is made of, the order of rows, and damage."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import plotly.graph_objects as go
import torch
from torch import Tensor

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, PINK, RED, headline
from groundup.stack.generative.export import gguf_tensors, pack_value, permute_heads, read_gguf, store, write_gguf
from groundup.stack.generative.gpt import GPT, Config, rope

torch.set_num_threads(1)  # matrices this small are slower on two


@figure("What a file is made of")
def parts(
    kind: Literal["F32", "F16", "Q8_0", "Q4_0"] = "Q8_0",
    width: Annotated[int, Range(64, 256, step=64)] = 128,
    vocabulary: Annotated[int, Range(512, 8192, step=512)] = 2048,
) -> go.Figure:
    """Kilobytes of the tensors of a model with four layers, by what they belong to.

    Raise the vocabulary: in a small model the embedding is most of the file. Raise the width: layers grow with its
    square, and the embedding does not. Norms stay float32 in every format, and are too few to be seen.
    """
    torch.manual_seed(0)
    sizes = {"embedding": 0, "attention": 0, "feed-forward": 0, "norms": 0}
    with torch.no_grad():
        tensors = gguf_tensors(GPT(Config(vocabulary, 4, 4, width, 64)), kind)
    for name, tensor in tensors.items():
        group = "norms" if "norm" in name else "attention" if "attn" in name else "feed-forward"
        sizes["embedding" if name.startswith("token") else group] += len(tensor.data)
    plot = go.Figure()
    for (name, size), colour in zip(sizes.items(), (BLUE, ORANGE, GREEN, GREY), strict=True):
        plot.add_bar(x=[name], y=[size / 1000], name=name, marker_color=colour)
    total = sum(sizes.values())
    headline(plot, f"{total / 1000:,.0f} kB, of which the embedding is {sizes['embedding'] / total:.0%}")
    plot.update_xaxes(title="part of the model")
    plot.update_yaxes(title="size in the file, kB", rangemode="tozero")
    plot.update_layout(showlegend=False)
    return plot


def _neighbours(rows: Tensor, positions: Tensor) -> Tensor:
    """RoPE of llama.cpp's "llama": neighbours turn as a pair."""
    pairs = torch.view_as_complex(rows.unflatten(-1, (-1, 2)).contiguous())
    half = pairs.shape[-1]
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


@figure("The order of rows")
def order(
    permuted: bool = False,
    dim: Annotated[int, Range(4, 64, step=4)] = 16,
    distance: Annotated[int, Range(8, 64, step=8)] = 32,
) -> go.Figure:
    """The score of one query with one key, as many tokens before it, in our order of rows and in llama.cpp's.

    llama.cpp turns neighbouring rows as pairs. With our rows it gets the same score at distance 0, where nothing turns,
    and another one at each further token. Permute the rows: both lines are one.
    """
    generator = torch.Generator().manual_seed(3)
    query, key = torch.randn(dim, generator=generator), torch.randn(dim, generator=generator)
    places = torch.arange(distance + 1)
    ours = rope(key.expand(distance + 1, -1), -places, 10_000.0) @ query
    if permuted:
        query, key = (permute_heads(vector[:, None], 1)[:, 0] for vector in (query, key))
    theirs = _neighbours(key.expand(distance + 1, -1), -places.float()) @ query
    plot = go.Figure()
    dash: dict[str, Any] = {"color": ORANGE, "dash": "dash"}
    plot.add_scatter(x=places.tolist(), y=ours.tolist(), name="ours", mode="lines", line_color=BLUE)
    plot.add_scatter(x=places.tolist(), y=theirs.tolist(), name="llama.cpp's", mode="lines", line=dash)
    headline(plot, f"largest difference of scores: {float((ours - theirs).abs().max()):.2g}")
    plot.update_xaxes(title="distance, tokens")
    plot.update_yaxes(title="score, query · key")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@lru_cache(maxsize=1)
def _small() -> tuple[bytes, dict[str, int]]:
    """A small file, and where each part of it ends."""
    metadata = {"general.architecture": "llama", "llama.block_count": 1, "tokenizer.ggml.tokens": ["a", "b"]}
    tensors = {name: store(torch.ones(2, 16), "F16") for name in ("token_embd.weight", "output.weight")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.gguf"
        write_gguf(path, metadata, tensors)
        data = path.read_bytes()
    values = sum(len(pack_value(key)[1]) + 4 + len(pack_value(value)[1]) for key, value in metadata.items())
    infos = sum(len(pack_value(name)[1]) + 4 + 16 + 12 for name in tensors)
    return data, {"counts": 24, "metadata": 24 + values, "infos": 24 + values + infos, "data": len(data)}


@figure("A damaged file")
def damage(
    place: Annotated[int, Range(0, 415)] = 12,
    how: Literal["cut here", "this byte becomes 255"] = "this byte becomes 255",
) -> go.Figure:
    """A file of 416 bytes, damaged at the place that you choose, and what the reader says.

    Walk through the counts at the beginning: a length of billions must not cost memory. Then change bytes of the data:
    the file is sound, and the weights are wrong. Only a checksum beside the file shows that.
    """
    data, ends = _small()
    place = min(place, len(data) - 1)
    broken = data[:place] if how == "cut here" else data[:place] + b"\xff" + data[place + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.gguf"
        path.write_bytes(broken)
        try:
            read_gguf(path)
            reason = "it is read as a sound file"
        except ValueError as error:
            reason = str(error).split(": ", 1)[1].split(". Fetch")[0]
    plot, begin = go.Figure(), 0
    for (name, end), colour in zip(ends.items(), (PINK, ORANGE, GREEN, BLUE), strict=True):
        plot.add_bar(x=[end - begin], y=["file"], base=[begin], name=name, orientation="h", marker_color=colour)
        begin = end
    plot.add_scatter(
        x=[place], y=["file"], name="damage", mode="markers", marker={"color": RED, "symbol": "x", "size": 16}
    )
    headline(plot, reason if len(reason) < 90 else reason[:88] + "…")
    plot.update_xaxes(title="place in the file, bytes")
    plot.update_yaxes(title="", showticklabels=False)
    plot.update_layout(barmode="overlay", legend=LEGEND_BELOW)
    return plot
