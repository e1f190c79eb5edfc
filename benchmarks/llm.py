"""A language model's training step beside nanoGPT's shape in plain modules, and its decoding beside transformers.

Training: 6 layers, 6 heads, 384 wide, windows of 256 tokens, batches of 12, in float32 and under bfloat16 autocast,
each as it is and compiled. The peer is written here as nanoGPT is (fused queries, keys and values; torch's loss, AdamW
and clipping), and gets our weights: it gives the same logits, and after the same steps the same loss. Decoding: one
text, greedy, with the cache, at GPT-2's shape of 124 million weights, drawn at random, which transformers has as well,
and llama.cpp where xllamacpp is there; ours and llama.cpp in 8 and in 4 bits (Q8_0 and Q4_0), too. The tokenizer: 512
tokens of tiny Shakespeare.

A figure is the best of several calls, made in turn with the peer's, in seconds of the processor on the CPU (other
programs do not count, and threads add up), and of the clock on a GPU.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.measure import Figure, seconds
from groundup.stack.generative.decoding import generate
from groundup.stack.generative.gpt import (
    GPT,
    AdamW,
    Config,
    batches,
    clip_gradients,
    cross_entropy,
    decay_groups,
    from_hugging_face,
)
from groundup.stack.generative.quantization import quantize_model
from groundup.systems.language_model.blocks import keep_in_blocks
from groundup.systems.language_model.evaluation import text_loss
from groundup.systems.language_model.speaking import on
from groundup.systems.language_model.training import Precise

SHAPE = Config(
    65, layers=6, heads=6, width=384, context=256, norm="layer", positions="learned", feed_forward="gelu", tied=True
)
BATCH = 12
NANO_LOSS = 1.886
"""Held-out loss of nanoGPT's setting for a CPU after 2,000 steps on Shakespeare: 4 layers, 4 heads, 128 wide."""
KINDS = ("F32", "q8_0", "q4_0")
"""Formats of the weights that are decoded from."""


def run(smoke: bool = False) -> Iterator[Figure]:
    """Tokens a second of a training step in both precisions, then of decoding; seconds of a tokenizer's training."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield from training(device, steps=1, repeats=1 if smoke else 5, compiled=not smoke)
    yield from learning(device, steps=100 if smoke else 2000)
    yield from decoding(count=8 if smoke else 64, repeats=1 if smoke else 3)
    yield from tokenizing(repeats=1, size=20_000 if smoke else None)


def fastest(calls: Mapping[str, Callable[[], Any]], repeats: int, device: str = "cpu") -> dict[str, float]:
    """The least seconds of each call. They are made in turn, after one of each for warmth."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    for call in calls.values():
        call()
    times = [{name: seconds(call, clock) for name, call in calls.items()} for _ in range(repeats)]
    return {name: min(each[name] for each in times) for name in calls}


class Nano(nn.Module):
    """nanoGPT's model in plain modules of PyTorch, without dropout and biases."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(NanoBlock(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of each token's successor."""
        hidden = self.embedding(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            hidden = block(hidden)
        return nn.functional.linear(self.norm(hidden), self.embedding.weight)


class NanoBlock(nn.Module):
    """Attention with one product for queries, keys and values, and a feed-forward layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.second_norm = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.entry, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The tokens' new vectors."""
        parts = self.entry(self.norm(inputs)).chunk(3, dim=-1)
        queries, keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        looked = nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        inputs = inputs + self.out(looked.transpose(1, 2).flatten(2))
        return inputs + self.down(nn.functional.gelu(self.up(self.second_norm(inputs)), approximate="tanh"))


def nano_of(model: GPT) -> Nano:
    """The peer with the weights of ours."""
    made, ours = Nano(model.config), model.state_dict()
    names = {"norm": "attention_norm", "second_norm": "feed_forward_norm", "out": "attention.out"}
    names |= {"up": "feed_forward.up", "down": "feed_forward.down"}
    state = {name: ours[name] for name in ("embedding.weight", "places.weight", "norm.weight")}
    for layer in range(model.config.layers):
        block = f"blocks.{layer}"
        state |= {f"{block}.{theirs}.weight": ours[f"{block}.{name}.weight"] for theirs, name in names.items()}
        parts = [ours[f"{block}.attention.{part}.weight"] for part in ("query", "key", "value")]
        state[f"{block}.entry.weight"] = torch.cat(parts)
    made.load_state_dict(state)
    return made


def training(device: torch.device, steps: int, repeats: int, compiled: bool) -> Iterator[Figure]:
    """Tokens a second of whole training steps: forward, backward, clipping and AdamW."""
    torch.manual_seed(0)
    tokens = torch.randint(SHAPE.vocabulary, (BATCH, SHAPE.context + 1), device=device)
    count = steps * BATCH * SHAPE.context
    for precision in ("float32", "bfloat16"):
        ours = GPT(SHAPE).to(device)
        theirs = nano_of(ours).to(device)
        if precision == "float32":
            gap = float((Precise(ours, precision)(tokens[:, :-1]) - theirs(tokens[:, :-1])).detach().abs().max())
            yield Figure("training: largest difference of the logits", gap, "points", 1e-4, None, "nanoGPT's shape")
        calls: dict[str, Callable[[], float]] = {}
        for way in ("", ", compiled") if compiled else ("",):
            model, peer = copy.deepcopy(ours), copy.deepcopy(theirs)
            torches = torch.optim.AdamW(decay_groups(peer, 0.1), lr=1e-3, betas=(0.9, 0.95))
            calls[f"ours{way}"] = stepping(
                Precise(model, precision, bool(way)), AdamW(decay_groups(model, 0.1), lr=1e-3, betas=(0.9, 0.95)),
                cross_entropy, lambda model=model: clip_gradients(model.parameters(), 1.0), tokens, steps, False,
            )  # fmt: skip
            calls[f"peer{way}"] = stepping(
                cast(nn.Module, torch.compile(peer)) if way else peer, torches,
                lambda logits, goal: nn.functional.cross_entropy(logits.flatten(0, 1), goal.flatten()),
                lambda peer=peer: nn.utils.clip_grad_norm_(peer.parameters(), 1.0), tokens, steps,
                precision == "bfloat16",
            )  # fmt: skip
        best = fastest(calls, repeats, device.type)
        peer_best = min(value for name, value in best.items() if name.startswith("peer"))
        for way in ("", ", compiled") if compiled else ("",):
            yield Figure(
                f"training step, {precision}{way}", count / best[f"ours{way}"], "tokens/s", None,
                count / best[f"peer{way}"], "nanoGPT's shape", repeats,
            )  # fmt: skip
        fast = min(value for name, value in best.items() if name.startswith("ours"))
        yield Figure(f"training step, {precision}: our best to the peer's best", peer_best / fast, "×", 1.15)
        losses = {name: call() for name, call in calls.items()}
        apart = abs(losses["ours"] - losses["peer"])
        yield Figure(f"training, {precision}: the losses after {repeats + 1} calls differ by", apart, "nats", 0.01)


def stepping(
    model: nn.Module, optimizer: Any, loss_of: Callable[..., Tensor], clip: Callable[[], Any], tokens: Tensor,
    steps: int, half: bool,
) -> Callable[[], float]:  # fmt: skip
    """A call that takes `steps` training steps and returns the last loss."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]

    def call() -> float:
        loss = torch.zeros(())
        for _ in range(steps):
            with torch.autocast(tokens.device.type, torch.bfloat16) if half else nullcontext():
                loss = loss_of(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            clip()
            optimizer.step()
        return loss.item()

    return call


def learning(device: torch.device, steps: int, every: int = 100) -> Iterator[Figure]:
    """Seconds until held-out Shakespeare has the loss that nanoGPT's setting for a CPU reaches in 2,000 steps.

    Ours is a Llama of the same layers, width, batches, learning rate and decay. The peer's seconds are those of its
    steps, some of which are taken in between, times 2,000; nothing else of its run is counted.
    """
    from groundup.data import load

    clock = time.process_time if device.type == "cpu" else time.perf_counter
    text = load("tiny_shakespeare").text
    letters = {letter: number for number, letter in enumerate(sorted(set(text)))}
    tokens = torch.tensor([letters[letter] for letter in text])
    train, held_out = tokens.split(len(text) * 9 // 10)[:2]
    torch.manual_seed(0)
    config = Config(len(letters), layers=4, heads=4, width=128, context=64)
    peers = replace(config, norm="layer", positions="learned", feed_forward="gelu", hidden=512)
    model, peer = GPT(config).to(device), nano_of(GPT(peers)).to(device)
    rows = batches(train, BATCH, config.context, torch.Generator().manual_seed(0))
    optimizer, precise = AdamW(decay_groups(model, 0.1), lr=1e-3, betas=(0.9, 0.99)), Precise(model, "float32")
    peer_step = stepping(
        peer, torch.optim.AdamW(decay_groups(peer, 0.1), lr=1e-3, betas=(0.9, 0.99)),
        lambda logits, goal: nn.functional.cross_entropy(logits.flatten(0, 1), goal.flatten()),
        lambda: nn.utils.clip_grad_norm_(peer.parameters(), 1.0), torch.cat(next(rows), dim=1)[:, :65].to(device),
        every // 10, False,
    )  # fmt: skip

    def take(step: int) -> None:
        rate = 1e-3 * (step + 1) / 100 if step < 100 else 1e-4 + 4.5e-4 * (1 + math.cos(math.pi * step / 2000))
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs, targets = (part.to(device) for part in next(rows))
        optimizer.zero_grad()
        cross_entropy(precise(inputs), targets).backward()
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()

    spent, reached, loss, peers_steps = 0.0, math.inf, math.inf, [math.inf]
    peer_step()
    for begin in range(0, steps, every):
        spent += seconds(lambda begin=begin: [take(step) for step in range(begin, begin + every)], clock)
        peers_steps.append(seconds(peer_step, clock) / (every // 10))
        loss = text_loss(model, held_out.int(), config.context, device.type)
        reached = min(reached, spent) if loss <= NANO_LOSS else reached
    what = "4 layers, 128 wide, on Shakespeare"
    yield Figure(f"{what}: held-out loss after {steps} steps", loss, "nats", None if steps < 2000 else NANO_LOSS)
    ours_step, peers_step = spent / steps, statistics.median(peers_steps[1:])
    yield Figure(f"{what}: a step", ours_step, "s", None, peers_step, "nanoGPT's shape", steps)
    if reached < math.inf:
        yield Figure(
            f"{what}: until {NANO_LOSS}", reached, "s", None, 2000 * peers_step, "2,000 steps of nanoGPT's shape"
        )


def decoding(count: int, repeats: int) -> Iterator[Figure]:
    """Tokens a second of one text at GPT-2's shape, batch 1, greedy, beside transformers and llama.cpp."""
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(eos_token_id=None, bos_token_id=None, pad_token_id=0)
    theirs: Any = transformers.GPT2LMHeadModel(config).eval()
    ours = from_hugging_face(theirs.state_dict(), config).eval()
    prompt = torch.randint(config.vocab_size, (32,)).tolist()
    ids = torch.tensor([prompt])

    def writing(model: nn.Module) -> Callable[[], list[int]]:
        call = on(model, "cpu")
        return lambda: [step[0] or 0 for step in generate(call, [prompt], count)]

    def peer() -> list[int]:
        made = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
        return made[0, len(prompt) :].tolist()

    calls = {"ours": writing(ours), "transformers": peer}
    for kind in KINDS[1:]:
        small = copy.deepcopy(ours)
        quantize_model(small, kind)  # pyright: ignore[reportArgumentType]
        keep_in_blocks(small)
        calls[kind] = writing(small)
    with TemporaryDirectory() as folder:
        if find_spec("xllamacpp") is not None and find_spec("gguf") is not None:
            for kind in KINDS:
                path = Path(folder) / f"{kind}.gguf"
                write_gguf(path, theirs.state_dict(), config, kind)
                calls["llama.cpp" if kind == "F32" else f"llama.cpp, {kind}"] = llama(path, prompt, count)
        mine = calls["ours"]()
        for name in ("transformers", "llama.cpp"):
            if name in calls:
                same = sum(x == y for x, y in zip(mine, calls[name](), strict=True)) / count
                yield Figure(f"decoding, GPT-2's shape: the tokens of {name}", same, "share", 0.99)
        best = fastest(calls, repeats)
    what = "decoding, GPT-2's shape, batch 1"
    yield Figure(what, count / best["ours"], "tokens/s", None, count / best["transformers"], "transformers", repeats)
    yield Figure(f"{what}: ours to transformers", best["transformers"] / best["ours"], "×", 1.4)
    if "llama.cpp" in best:
        yield Figure(what, count / best["ours"], "tokens/s", None, count / best["llama.cpp"], "llama.cpp", repeats)
    for kind, bar in zip(KINDS[1:], (2.5, 3.0), strict=True):
        theirs_too = best.get(f"llama.cpp, {kind}")
        yield Figure(
            f"{what}, {kind}", count / best[kind], "tokens/s", None, theirs_too and count / theirs_too,
            f"llama.cpp, {kind}", repeats,
        )  # fmt: skip
        yield Figure(f"{what}, {kind}: to our float32", best["ours"] / best[kind], "×", bar)


def tokenizing(repeats: int, size: int | None) -> Iterator[Figure]:
    """Seconds of training byte-level BPE to 512 tokens, beside Hugging Face's tokenizers."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from groundup.data import load
    from groundup.stack.generative.tokenization import train_tokenizer

    text = load("tiny_shakespeare").text[:size]

    def peer() -> None:
        made: Any = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        letters = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=512, initial_alphabet=letters, show_progress=False)  # pyright: ignore
        made.train_from_iterator([text], trainer)

    best = fastest({"ours": lambda: train_tokenizer([text], 512), "peer": peer}, repeats)
    what = f"BPE to 512 tokens on {len(text.encode()) / 1e6:.2g} MB"
    yield Figure(what, best["ours"], "s", 2.0, best["peer"], "tokenizers", repeats)


def llama(path: Path, prompt: list[int], count: int) -> Callable[[], list[int]]:
    """A call that makes llama.cpp continue a prompt, greedily, on as many threads as PyTorch has, in float32."""
    xllamacpp: Any = import_module("xllamacpp")  # its types name nothing of what it has
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(path), 1024, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    params.warmup, params.verbosity = False, -1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)
    asked = {"prompt": prompt, "max_tokens": count, "temperature": 0.0, "ignore_eos": True, "cache_prompt": False}

    def call() -> list[int]:
        answer: Any = server.handle_completions(asked)
        return [int(word) for word in answer["choices"][0]["text"].split("w")[1:]]  # "w7w12": see write_gguf

    return call


def write_gguf(path: Path, state: Mapping[str, Tensor], config: Any, kind: str) -> None:
    """Write GPT-2's weights for llama.cpp, with a vocabulary of made-up words: the prompt is given as numbers.

    In every kind but F32, the embedding, which is the last layer, too, is in Q8_0, as it is in ours.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"w{number}" for number in range(config.vocab_size)])
    writer.add_token_types([1] * config.vocab_size)
    writer.add_token_merges(["w 0"])
    writer.add_eos_token_id(0)
    names = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
    for layer in range(config.n_layer):
        parts = {"ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output"}
        parts |= {"mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
        names |= {f"h.{layer}.{ours}": f"blk.{layer}.{theirs}" for ours, theirs in parts.items()}
    for ours, theirs in names.items():
        for part in ("weight", "bias"):
            if (weight := state.get(f"transformer.{ours}.{part}")) is not None:
                turned = weight.T if weight.ndim == 2 and ".c_" in ours else weight  # Conv1D is a matrix turned over
                numbers = turned.contiguous().numpy()
                if kind == "F32" or weight.ndim < 2 or ours == "wpe":
                    writer.add_tensor(f"{theirs}.{part}", numbers)
                else:
                    packed = gguf.GGMLQuantizationType["Q8_0" if ours == "wte" else kind.upper()]
                    writer.add_tensor(f"{theirs}.{part}", gguf.quants.quantize(numbers, packed), raw_dtype=packed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
