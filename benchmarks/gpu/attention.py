"""`deep/attention` on a CUDA GPU, beside PyTorch's own: time, peak memory, and how far the results differ.

    uv run python -m benchmarks.gpu.attention

Attention itself against `scaled_dot_product_attention`, under the causal mask; then training steps of our `Transformer`
against PyTorch's layers with the same weights. Prints one table and writes JSON. About two minutes. Exit code 3 where
there is no CUDA.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measure import machine
from groundup.stack.deep.attention import (
    DecoderBlock,
    EncoderBlock,
    Transformer,
    attend,
    causal_mask,
)

DEVICE = "cuda"
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
HEADS, HEAD_DIM = 16, 64
TOKENS = (256, 1024, 4096, 8192)  # with as many sequences as make 8,192 tokens together
WARM_UP, REPEATS = 2, 10
# Dense bfloat16 and float32, in 10¹² operations a second, from NVIDIA's data sheets.
PEAKS = {"H100": {"bfloat16": 989.4, "float32": 66.9}, "H200": {"bfloat16": 989.4, "float32": 66.9}}


@dataclass(frozen=True)
class Row:
    """One thing done by both.

    Attributes:
        what: what was done, on what.
        dtype: in which precision.
        ours_ms: milliseconds of ours; None where it did not fit into memory.
        peer_ms: milliseconds of PyTorch's.
        ours_mib: what ours took at its peak, beyond what was there before.
        peer_mib: the same of PyTorch's.
        difference: the largest difference between the two results.
        tokens: tokens that one run processes.
        flops: the arithmetic that the model asks for, by `training_flops`; None where it is not counted.
    """

    what: str
    dtype: str
    ours_ms: float | None
    peer_ms: float | None
    ours_mib: float | None
    peer_mib: float | None
    difference: float | None
    tokens: int
    flops: float | None = None


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.attention")
    parser.add_argument(
        "--json", type=Path, default=Path(".benchmarks/gpu-attention.json"), help="default: %(default)s"
    )
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("benchmarks.gpu.attention needs a CUDA GPU, and PyTorch sees none here: nothing was measured.")
        return 3
    about = {**machine(), "gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}
    rows: list[Row] = []
    with Console(stderr=True).status("Measuring") as status:
        for row in chain(attention_rows(), training_rows()):
            rows.append(row)
            status.update(f"Measured {row.what}, {row.dtype}")
    console = Console()
    console.width = max(console.width, 0 if console.is_terminal else 160)  # a file has no edge
    console.print(table(rows, f"{about['gpu']}, PyTorch {about['torch']}, CUDA {about['cuda']}"))
    for row in rows:
        if row.flops is not None:
            print(training_line(row, str(about["gpu"])))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": about, "rows": [asdict(row) for row in rows]}
    given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"As JSON: {given.json}")
    return 0


def table(rows: list[Row], title: str) -> Table:
    """The rows, ours beside PyTorch's."""
    made = Table(title=title, box=None, padding=(0, 2), title_justify="left")
    for heading in ("what", "dtype", "ours", "torch", "ours ÷ torch", "our peak", "torch's peak", "difference"):
        made.add_column(heading, justify="left" if heading in ("what", "dtype") else "right")
    for row in rows:
        ratio = "" if row.ours_ms is None or row.peer_ms is None else f"{row.ours_ms / row.peer_ms:.1f} ×"
        times = [_shown(value, "ms") for value in (row.ours_ms, row.peer_ms)]
        sizes = [_shown(value, "MiB") for value in (row.ours_mib, row.peer_mib)]
        difference = "" if row.difference is None else f"{row.difference:.1e}"
        made.add_row(row.what, row.dtype, *times, ratio, *sizes, difference)
    return made


def training_line(row: Row, gpu: str) -> str:
    """Tokens a second, and the share of the GPU's peak that does the model's own arithmetic (MFU), of both."""
    parts = []
    for name, milliseconds in (("ours", row.ours_ms), ("torch", row.peer_ms)):
        if milliseconds is None or row.flops is None:
            continue
        rate = row.flops / milliseconds * 1e3
        peak = next((peaks[row.dtype] * 1e12 for word, peaks in PEAKS.items() if word in gpu), None)
        share = f", MFU {rate / peak:.1%}" if peak else ""
        parts.append(f"{name} {row.tokens / milliseconds * 1e3:,.0f} tokens/s, {rate / 1e12:.1f} TFLOP/s{share}")
    return f"  {row.what}, {row.dtype}: {'; '.join(parts)}"


def _shown(value: float | None, unit: str) -> str:
    return "out of memory" if value is None else f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


# --- attention -----------------------------------------------------------------------------------------------


def attention_rows() -> Iterator[Row]:
    """Causal attention at several lengths: forward alone, and forward and backward."""
    for tokens in TOKENS:
        for name, dtype in DTYPES.items():
            batch = max(1, TOKENS[-1] // tokens)
            generator = torch.Generator(DEVICE).manual_seed(0)
            shape = (batch, HEADS, tokens, HEAD_DIM)
            q, k, v, slope = (torch.randn(shape, generator=generator, device=DEVICE, dtype=dtype) for _ in range(4))
            mask = causal_mask(tokens).to(DEVICE)

            def ours(q: Tensor = q, k: Tensor = k, v: Tensor = v, mask: Tensor = mask) -> Tensor:
                return attend(q, k, v, mask)[0]

            def peer(q: Tensor = q, k: Tensor = k, v: Tensor = v) -> Tensor:
                return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

            what = f"attention, {batch} × {HEADS} heads × {tokens:,} tokens × {HEAD_DIM}"
            with torch.no_grad():
                yield _compare(f"{what}, forward", name, ours, peer, batch * tokens)
            inputs = [tensor.requires_grad_() for tensor in (q, k, v)]

            def both_ways(run: Callable[[], Tensor], inputs: list[Tensor] = inputs, slope: Tensor = slope) -> Tensor:
                return torch.cat(torch.autograd.grad(run(), inputs, slope))

            yield _compare(
                f"{what}, and backward",
                name,
                lambda ours=ours, both_ways=both_ways: both_ways(ours),
                lambda peer=peer, both_ways=both_ways: both_ways(peer),
                batch * tokens,
            )


# --- training ------------------------------------------------------------------------------------------------


def training_rows() -> Iterator[Row]:
    """One step of training an encoder-decoder: forward, loss, backward, AdamW. The difference is that of the logits."""
    batch, tokens, vocabulary = 32, 256, 1000
    for name, dtype in DTYPES.items():
        torch.manual_seed(0)
        ours = Transformer(vocabulary, dim=512, heads=8, layers=6, max_tokens=tokens)
        peer = Peer(ours)
        source, target = (torch.randint(1, vocabulary, (batch, tokens), device=DEVICE) for _ in range(2))
        row = _compare(
            f"training step, {batch} × {tokens} tokens, 512 wide, 6 + 6 layers",
            name,
            _step(ours.to(DEVICE), source, target, dtype),
            _step(peer.to(DEVICE), source, target, dtype),
            2 * batch * tokens,
        )
        yield replace(row, flops=training_flops(batch, tokens, dim=512, layers=6, vocabulary=vocabulary))


def training_flops(batch: int, tokens: int, *, dim: int, layers: int, vocabulary: int) -> float:
    """The operations of one step's matrix products, forward and backward, with as many source as target tokens.

    A weight takes part in one multiplication and one addition for each token forward, and in twice as many backward:
    6 for each weight and token (Kaplan et al., 2020, section 2.1). Scores and weighted means of attention add
    12 · tokens² · dim for each sequence and attention; that a causal mask hides half of them is not taken off.
    """
    encoder, decoder = 12 * dim**2, 16 * dim**2  # attention has 4 · dim² weights, the feed-forward network 8 · dim²
    weights = layers * (encoder + decoder) + dim * vocabulary
    attentions = 3 * layers
    return batch * (6.0 * weights * tokens + 12.0 * attentions * tokens**2 * dim)


def _step(model: nn.Module, source: Tensor, target: Tensor, dtype: torch.dtype) -> Callable[[], Tensor]:
    """A step of training, which returns its logits; bfloat16 is by autocast."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    wanted = target.roll(-1, dims=1)

    def step() -> Tensor:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = model(source, target)
            loss = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return logits.detach()

    return step


class Peer(nn.Module):
    """Our `Transformer` with PyTorch's layers in the place of its blocks: the same weights, the same masks."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        dim, first = model.embedding.embedding_dim, model.encoder[0]
        assert isinstance(first, EncoderBlock)
        settings: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        settings |= {"d_model": dim, "nhead": first.self_attention.attention.heads, "dim_feedforward": 4 * dim}
        self.encoder = nn.ModuleList(nn.TransformerEncoderLayer(**settings) for _ in model.encoder)
        self.decoder = nn.ModuleList(nn.TransformerDecoderLayer(**settings) for _ in model.decoder)
        for layer, block in zip((*self.encoder, *self.decoder), (*model.encoder, *model.decoder), strict=True):
            _fill(layer, block)
        self.rest = copy.deepcopy(model)
        self.rest.encoder, self.rest.decoder = nn.ModuleList(), nn.ModuleList()

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the logits."""
        padding, future = source == self.rest.padding, ~causal_mask(target.shape[1]).to(target.device)
        memory = self.rest.embed(source)
        for layer in self.encoder:
            memory = layer(memory, src_key_padding_mask=padding)
        memory, hidden = self.rest.norms[0](memory), self.rest.embed(target)
        for layer in self.decoder:
            hidden = layer(hidden, memory, tgt_mask=future, memory_key_padding_mask=padding, tgt_is_causal=True)
        return self.rest.out(self.rest.norms[1](hidden))


def _fill(layer: Any, block: Any) -> None:
    """Give a layer of PyTorch's the weights of our block."""
    pairs = [(layer.linear1, block.feed_forward[0]), (layer.linear2, block.feed_forward[2])]
    pairs += [(getattr(layer, f"norm{number}"), norm) for number, norm in enumerate(block.norms, start=1)]
    attentions = [(layer.self_attn, block.self_attention.attention)]
    if isinstance(block, DecoderBlock):
        attentions.append((layer.multihead_attn, block.cross_attention))
    for theirs, ours in attentions:
        pairs.append((theirs.out_proj, ours.out))
        projections = (ours.query, ours.key, ours.value)
        theirs.in_proj_weight.data = torch.cat([projection.weight.data for projection in projections])
        theirs.in_proj_bias.data = torch.cat([projection.bias.data for projection in projections])
    for theirs, ours in pairs:
        theirs.load_state_dict(ours.state_dict())


# --- measuring -----------------------------------------------------------------------------------------------


def _compare(what: str, dtype: str, ours: Callable[[], Tensor], peer: Callable[[], Tensor], tokens: int) -> Row:
    """Both, first for their results and their memory, then for their time, in turn."""
    (mine, our_mib), (theirs, peer_mib) = _first_run(ours), _first_run(peer)
    difference = None if mine is None or theirs is None else (mine.float() - theirs.float()).abs().max().item()
    del mine, theirs
    our_times: list[float] = []
    peer_times: list[float] = []
    for _ in range(WARM_UP + REPEATS):
        for run, mib, times in ((ours, our_mib, our_times), (peer, peer_mib, peer_times)):
            if mib is not None:
                times.append(_milliseconds(run))
    our_ms, peer_ms = (statistics.median(times[WARM_UP:]) if times else None for times in (our_times, peer_times))
    return Row(what, dtype, our_ms, peer_ms, our_mib, peer_mib, difference, tokens)


def _first_run(run: Callable[[], Tensor]) -> tuple[Tensor | None, float | None]:
    """The result and the peak of memory in MiB beyond what is there; None and None where it does not fit."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    try:
        result = run()
        torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        return None, None
    return result, (torch.cuda.max_memory_allocated() - before) / 2**20


def _milliseconds(run: Callable[[], Tensor]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


if __name__ == "__main__":
    sys.exit(main())
