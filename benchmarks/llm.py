"""A language model's training step beside nanoGPT's shape in plain modules, and its decoding beside transformers.

Training: 6 layers, 6 heads, 384 wide, windows of 256 tokens, batches of 12, in float32 and under bfloat16 autocast, not
compiled. The peer is written here as nanoGPT is (fused queries, keys and values; torch's loss, AdamW and clipping), and
gets our weights: it gives the same logits. Decoding: one text, greedy, with the cache, at GPT-2's shape of 124 million
weights, drawn at random, which transformers has as well, and llama.cpp where xllamacpp is there; on the processor.
Training is on a GPU where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import Figure, side_by_side
from groundup.stack.generative.decoding import generate
from groundup.stack.generative.gpt import (
    GPT,
    AdamW,
    Config,
    clip_gradients,
    cross_entropy,
    decay_groups,
    from_hugging_face,
)

SHAPE = Config(
    65, layers=6, heads=6, width=384, context=256, norm="layer", positions="learned", feed_forward="gelu", tied=True
)
BATCH = 12


def run(smoke: bool = False) -> Iterator[Figure]:
    """Tokens a second of a training step in both precisions, then of decoding."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield from training(device, steps=1 if smoke else 5, repeats=1 if smoke else 7)
    yield from decoding(count=8 if smoke else 128, repeats=1 if smoke else 7)


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


def training(device: torch.device, steps: int, repeats: int) -> Iterator[Figure]:
    """Tokens a second of whole training steps: forward, backward, clipping and AdamW."""
    torch.manual_seed(0)
    tokens = torch.randint(SHAPE.vocabulary, (BATCH, SHAPE.context + 1), device=device)
    count = steps * BATCH * SHAPE.context
    for name, half in (("float32", False), ("bfloat16", True)):
        ours = GPT(SHAPE).to(device)
        theirs = nano_of(ours).to(device)
        if not half:
            gap = float((ours(tokens[:, :-1]) - theirs(tokens[:, :-1])).detach().abs().max())
            yield Figure("training: largest difference of the logits", gap, "points", 1e-4, None, "nanoGPT's shape")
        torches = torch.optim.AdamW(decay_groups(theirs, 0.1), lr=1e-3, betas=(0.9, 0.95))
        mine = stepping(
            ours, AdamW(decay_groups(ours, 0.1), lr=1e-3, betas=(0.9, 0.95)), cross_entropy,
            lambda model=ours: clip_gradients(model.parameters(), 1.0), tokens, steps, half,
        )  # fmt: skip
        peer = stepping(
            theirs, torches, lambda logits, goal: nn.functional.cross_entropy(logits.flatten(0, 1), goal.flatten()),
            lambda model=theirs: nn.utils.clip_grad_norm_(model.parameters(), 1.0), tokens, steps, half,
        )  # fmt: skip
        a, b = side_by_side(mine, peer, repeats)
        yield Figure(f"training step, {name}", count / a, "tokens/s", None, count / b, "nanoGPT's shape", repeats)


def stepping(
    model: nn.Module, optimizer: Any, loss_of: Callable[..., Tensor], clip: Callable[[], Any], tokens: Tensor,
    steps: int, half: bool,
) -> Callable[[], None]:  # fmt: skip
    """A call that takes `steps` training steps; it ends when the last loss is known."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:]

    def call() -> None:
        loss = torch.zeros(())
        for _ in range(steps):
            with torch.autocast(tokens.device.type, torch.bfloat16) if half else nullcontext():
                loss = loss_of(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            clip()
            optimizer.step()
        loss.item()

    return call


def decoding(count: int, repeats: int) -> Iterator[Figure]:
    """Tokens a second of one text at GPT-2's shape, batch 1, greedy, beside transformers."""
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(eos_token_id=None, bos_token_id=None, pad_token_id=0)
    theirs: Any = transformers.GPT2LMHeadModel(config).eval()
    ours = from_hugging_face(theirs.state_dict(), config).eval()
    prompt = torch.randint(config.vocab_size, (32,)).tolist()
    ids = torch.tensor([prompt])

    def mine() -> list[int]:
        return [step[0] or 0 for step in generate(ours, [prompt], count)]

    def peer() -> list[int]:
        made = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
        return made[0, len(prompt) :].tolist()

    yield from beside("transformers", mine, peer, repeats)
    if find_spec("xllamacpp") is None or find_spec("gguf") is None:
        return
    with TemporaryDirectory() as folder:
        write_gguf(Path(folder) / "model.gguf", theirs.state_dict(), config)
        yield from beside("llama.cpp", mine, llama(Path(folder) / "model.gguf", prompt, count), repeats)


def beside(name: str, mine: Callable[[], list[int]], peer: Callable[[], list[int]], repeats: int) -> Iterator[Figure]:
    """Whether both write the same, and tokens a second of both."""
    ours, theirs = mine(), peer()
    same = sum(x == y for x, y in zip(ours, theirs, strict=True)) / len(ours)
    yield Figure(f"decoding, GPT-2's shape: the tokens of {name}", same, "share", 0.99)
    a, b = side_by_side(mine, peer, repeats)
    yield Figure("decoding, GPT-2's shape, batch 1", len(ours) / a, "tokens/s", None, len(ours) / b, name, repeats)


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


def write_gguf(path: Path, state: Mapping[str, Tensor], config: Any) -> None:
    """Write GPT-2's weights for llama.cpp, with a vocabulary of made-up words: the prompt is given as numbers."""
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
                writer.add_tensor(f"{theirs}.{part}", turned.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
