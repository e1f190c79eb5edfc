"""A decoder-only transformer as open models are built, and the loop that trains it.

One class is Llama (Touvron et al., 2023, https://arxiv.org/abs/2302.13971), Qwen2 or GPT-2, as its `Config` says: RoPE
or learned positions, RMSNorm or LayerNorm, SwiGLU or GELU, and heads that share keys and values or do not. A published
checkpoint loads by `from_hugging_face` and gives the same logits.

Everywhere, a mask is boolean and True means "this query may look at this key".

Not here: writing text (unit decoding), dropout, RoPE stretched beyond the context it was trained with, several devices.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Cache(Protocol):
    """The keys and values of earlier tokens, of every layer."""

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append new (batch, kv_heads, tokens, head_dim) to a layer's, and return all of that layer so far."""
        ...


@dataclass(frozen=True)
class Config:
    """What a model is made of; `kv_heads` and `qkv_bias` follow `heads` and `bias` unless given.

    Args:
        vocabulary: how many tokens there are; a token is a whole number below it.
        layers: blocks, one after the other.
        heads: attentions of a block; they divide `width`.
        width: size of a token's vector.
        context: the most tokens of one sequence.
        kv_heads: heads that have keys and values of their own; they divide `heads`.
        hidden: inner size of the feed-forward layer; 4 widths by default, with SwiGLU 8/3 (a multiple of 8).
        norm: "rms" or "layer".
        positions: "rope" or "learned".
        feed_forward: "swiglu" or "gelu" (the tanh form, which is GPT-2's).
        tied: whether the last layer is the embedding, turned over.
        bias: whether linear layers and LayerNorm have one (RMSNorm and the last layer never do).
        qkv_bias: the same for queries, keys and values alone.
        rope_base: the slowest pair turns by about 1 / rope_base radians a token.
        epsilon: what the norms add to a variance.

    Raises:
        ValueError: a size below 1, heads that do not divide, a word that is not listed.
    """

    vocabulary: int
    layers: int
    heads: int
    width: int
    context: int
    kv_heads: int | None = None
    hidden: int | None = None
    norm: Literal["rms", "layer"] = "rms"
    positions: Literal["rope", "learned"] = "rope"
    feed_forward: Literal["swiglu", "gelu"] = "swiglu"
    tied: bool = True
    bias: bool = False
    qkv_bias: bool | None = None
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        default = 4 * self.width if self.feed_forward == "gelu" else 8 * math.ceil(self.width / 3)
        for name, value in (("kv_heads", self.heads), ("hidden", default), ("qkv_bias", self.bias)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("vocabulary", "layers", "heads", "width", "context", "kv_heads", "hidden", "rope_base", "epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}: nothing could be built of it.")
        words = {"norm": ("rms", "layer"), "positions": ("rope", "learned"), "feed_forward": ("swiglu", "gelu")}
        for name, allowed in words.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}: choose one of these.")
        if self.width % self.heads:
            raise ValueError(
                f"heads must divide width={self.width}, got {self.heads}: a head has width / heads numbers."
            )
        if self.heads % self.groups:
            raise ValueError(
                f"kv_heads must divide heads={self.heads}, got {self.kv_heads}: each serves as many heads."
            )
        if self.positions == "rope" and self.head_dim % 2:
            raise ValueError(
                f"heads must leave an even width / heads for RoPE, got {self.width} / {self.heads} = {self.head_dim}: "
                "RoPE turns pairs of numbers. Take another number of heads."
            )

    @property
    def head_dim(self) -> int:
        """Size of one head's queries, keys and values."""
        return self.width // self.heads

    @property
    def groups(self) -> int:
        """How many heads have keys and values of their own: `kv_heads`, which is never None once this is built."""
        return self.kv_heads or self.heads


def rope(x: Float[Tensor, "*batch dim"], positions: Int[Tensor, "*#batch"], base: float) -> Float[Tensor, "*batch dim"]:
    """Turn pairs of numbers by angles that grow with the position: Su et al., https://arxiv.org/abs/2104.09864.

    Number i is paired with number i + dim / 2, as in Hugging Face's checkpoints (the paper pairs neighbours). Pair i
    turns by position · base^(-2i / dim). Angles are computed in float32, whatever the type of x.

    Args:
        x: queries or keys; `dim` is even.
        positions: where each stands; broadcasts to x without its last axis.
        base: the larger, the slower the last pairs turn.
    """
    half = x.shape[-1] // 2
    speeds = base ** (-torch.arange(half, device=x.device) / half)  # float32
    angles = positions[..., None] * speeds  # (*batch, dim / 2)
    cosines, sines = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)


class RMSNorm(nn.Module):
    """Divide by the root of the mean square: Zhang and Sennrich, https://arxiv.org/abs/1910.07467."""

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, inputs: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Return weight · inputs / √(mean of squares + epsilon), with the root taken in float32 at least."""
        wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        scaled = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.epsilon)
        return self.weight * scaled.to(inputs.dtype)


class SwiGLU(nn.Module):
    """Two layers, of which one opens and closes the other: Shazeer, https://arxiv.org/abs/2002.05202."""

    def __init__(self, width: int, hidden: int, bias: bool = False) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias)
        self.up = nn.Linear(width, hidden, bias)
        self.down = nn.Linear(hidden, width, bias)

    def forward(self, inputs: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Return down(silu(gate x) · up x), where silu(z) = z · sigmoid(z)."""
        return self.down(nn.functional.silu(self.gate(inputs)) * self.up(inputs))


class GELU(nn.Module):
    """The feed-forward layer of GPT-2: up, GELU in its tanh form, down."""

    def __init__(self, width: int, hidden: int, bias: bool = False) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias)
        self.down = nn.Linear(hidden, width, bias)

    def forward(self, inputs: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Return down(gelu(up x))."""
        return self.down(nn.functional.gelu(self.up(inputs), approximate="tanh"))


class GroupedQueryAttention(nn.Module):
    """Causal self-attention whose heads share keys and values: Ainslie et al., https://arxiv.org/abs/2305.13245."""

    def __init__(self, config: Config, layer: int = 0) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        shared, bias = config.groups * config.head_dim, bool(config.qkv_bias)
        self.query = nn.Linear(config.width, config.width, bias)
        self.key = nn.Linear(config.width, shared, bias)
        self.value = nn.Linear(config.width, shared, bias)
        self.out = nn.Linear(config.width, config.width, config.bias)

    def forward(
        self,
        inputs: Float[Tensor, "batch queries width"],
        positions: Int[Tensor, "batch queries"],
        mask: Bool[Tensor, "#batch 1 queries keys"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """Let each token look at itself and at what came before it.

        Heads are laid end to end in a token's vector. Head h uses the keys and values of head
        h // (heads / kv_heads). Queries and keys are turned by RoPE if the config says so, before the cache gets them.

        Args:
            inputs: the tokens' vectors.
            positions: where each token stands.
            mask: True where a query may look at a key, cached keys first. None: the queries are the newest tokens, and
                each sees all keys up to its own.
            cache: gets the new keys and values, and gives all of them.
        """
        config = self.config
        queries, keys, values = (
            project(inputs).unflatten(-1, (-1, config.head_dim)).transpose(1, 2)  # (batch, heads, tokens, head_dim)
            for project in (self.query, self.key, self.value)
        )
        if config.positions == "rope":
            queries = rope(queries, positions[:, None], config.rope_base)
            keys = rope(keys, positions[:, None], config.rope_base)
        if cache is not None:
            keys, values = cache.extend(self.layer, keys, values)
        new, total = inputs.shape[1], keys.shape[2]
        causal = mask is None and new > 1  # a single newest token may look at everything
        if causal and total > new:  # is_causal would count the queries from the first key, and not from the last
            mask = torch.ones(new, total, dtype=torch.bool, device=inputs.device).tril(total - new)
        looked = nn.functional.scaled_dot_product_attention(
            queries, keys, values, mask, is_causal=causal and total == new, enable_gqa=True
        )
        return self.out(looked.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then a feed-forward layer; each reads normed inputs and is added to what came in."""

    def __init__(self, config: Config, layer: int = 0) -> None:
        super().__init__()
        hidden = config.hidden or 0
        self.attention_norm, self.feed_forward_norm = _norm(config), _norm(config)
        self.attention = GroupedQueryAttention(config, layer)
        layer_type = SwiGLU if config.feed_forward == "swiglu" else GELU
        self.feed_forward = layer_type(config.width, hidden, config.bias)

    def forward(
        self, inputs: Tensor, positions: Tensor, mask: Tensor | None = None, cache: Cache | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the new vectors of the tokens; the arguments are those of the attention."""
        hidden = inputs + self.attention(self.attention_norm(inputs), positions, mask, cache)
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))


class GPT(nn.Module):
    """The model: embed, every block in turn, norm, and a score for each token that may come next."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Embedding(config.context, config.width) if config.positions == "learned" else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = _norm(config)
        self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw linear weights with deviation √(2 / (in + out)); what adds to the stream is divided by √(2 · layers).

        An embedding has deviation 1, or GPT-2's 0.02 where it is the last layer, too: logits then begin near 0.
        """
        for name, parameter in self.named_parameters():
            if "embedding" in name or "places" in name:
                nn.init.normal_(parameter, std=0.02 if self.head is None else 1.0)
            elif parameter.ndim == 2:
                adds = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
                std = math.sqrt(2 / sum(parameter.shape))
                nn.init.normal_(parameter, std=std / math.sqrt(2 * self.config.layers) if adds else std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self,
        tokens: Int[Tensor, "batch tokens"],
        positions: Int[Tensor, "batch tokens"] | None = None,
        mask: Bool[Tensor, "#batch 1 tokens keys"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "batch tokens vocabulary"]:
        """Return the logits of the successor of each token; mask and cache are those of the attention.

        Args:
            tokens: a batch of sequences, or with a cache the next tokens of each.
            positions: where each token stands, 0, 1, 2, … unless given. Give them with a cache, which need not know.
            mask: None is causal.
            cache: keys and values of the tokens before.

        Raises:
            ValueError: more tokens than `context`, a cache without positions, or with one a token beyond `context`.
        """
        if tokens.shape[1] > self.config.context:
            raise ValueError(
                f"tokens must be at most context={self.config.context} long, got {tokens.shape[1]}: "
                "cut the sequence, or build the model with a larger context."
            )
        if positions is None:
            if cache is not None:
                raise ValueError("positions must be given with a cache, got None: say where the new tokens stand.")
            positions = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        elif cache is not None and (last := int(positions.max())) >= self.config.context:
            # RoPE would turn to angles that no training has seen, and say nothing.
            raise ValueError(
                f"positions must be below context={self.config.context}, got {last}: with those in the cache the "
                "sequence is longer than the model was built for. Write fewer tokens, or cut the prompt."
            )
        hidden = self.embedding(tokens)
        if self.places is not None:
            hidden = hidden + self.places(positions)
        for block in self.blocks:
            hidden = block(hidden, positions, mask, cache)
        head = self.embedding if self.head is None else self.head
        return nn.functional.linear(self.norm(hidden), head.weight)


def cross_entropy(logits: Float[Tensor, "*batch vocabulary"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """Mean of -log softmax(logits)[target] in nats, safe for logits of any size."""
    chosen = logits.gather(-1, targets[..., None]).squeeze(-1)
    return (logits.logsumexp(dim=-1) - chosen).mean()


class AdamW:
    """Adam with decay apart from the gradient: Loshchilov and Hutter, https://arxiv.org/abs/1711.05101.

    It is used, saved and loaded as optimizers of PyTorch are, whose base class takes seconds to import.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        groups = list(params)
        if not groups or not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        self.param_groups: list[dict[str, Any]] = [
            settings | group | {"params": list(group["params"])} for group in groups
        ]
        self.state: dict[Tensor, dict[str, Any]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Take one step: decay by lr · weight_decay, then lr · m̂ / (√v̂ + eps), of parameters with a gradient.

        m and v are moving means of the gradient and of its square; the hat divides by 1 - beta^step, since both began
        at 0. `self.state[parameter]` keeps "step", "m" and "v".
        """
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter not in self.state:
                    zeros = torch.zeros_like(parameter)
                    self.state[parameter] = {"step": 0, "m": zeros, "v": zeros.clone()}
                state = self.state[parameter]
                state["step"] += 1
                state["m"].lerp_(parameter.grad, 1 - first)
                state["v"].lerp_(parameter.grad.square(), 1 - second)
                mean = state["m"] / (1 - first ** state["step"])
                root = (state["v"] / (1 - second ** state["step"])).sqrt()
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(group["lr"] * mean / (root + group["eps"]))

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state, parameters as their numbers; the tensors are those that a step changes."""
        numbers = {parameter: number for number, parameter in enumerate(self._parameters())}
        groups = [group | {"params": [numbers[each] for each in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[each]: kept for each, kept in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over settings and state of an optimizer of as many parameters in the same order."""
        parameters = self._parameters()
        for group, saved in zip(self.param_groups, state["param_groups"], strict=True):
            group.update(saved | {"params": group["params"]})
        self.state = {parameters[number]: copy.deepcopy(kept) for number, kept in state["state"].items()}

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW: matrices decay, norms and biases (one axis) do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def cosine_schedule(step: int, warmup: int, total: int, peak: float, floor: float) -> float:
    """Learning rate: straight from 0 to `peak` at step `warmup`, half a cosine to `floor` at `total`, then `floor`."""
    if step < warmup:
        return peak * step / warmup
    if step >= total:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Scale all gradients, in place, by limit / (norm + 1e-6) if their joint norm exceeds `limit`.

    Returns:
        The norm before: the root of the sum of squares over all parameters that have a gradient.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    if norm > limit:
        for gradient in gradients:
            gradient.mul_(limit / (norm + 1e-6))
    return norm


def batches(
    tokens: Any, batch: int, context: int, generator: torch.Generator
) -> Iterator[tuple[Int[Tensor, "batch context"], Int[Tensor, "batch context"]]]:
    """Yield inputs and targets without end: windows from even random starts, and the same moved on by one token.

    Args:
        tokens: a one-dimensional array of whole numbers, a memory map too.
        batch: windows at once.
        context: tokens of a window; at least one more must exist.
        generator: decides the starts.
    """
    if len(tokens) <= context:
        raise ValueError(f"context must be below {len(tokens)}, the number of tokens, got {context}: shorten it.")
    while True:
        starts = torch.randint(len(tokens) - context, (batch,), generator=generator).tolist()
        rows = torch.stack([torch.as_tensor(tokens[start : start + context + 1]).long() for start in starts])
        yield rows[:, :-1], rows[:, 1:]


def train(
    model: GPT,
    tokens: Any,
    *,
    steps: int,
    batch: int,
    peak: float,
    warmup: int = 0,
    floor: float = 0.0,
    weight_decay: float = 0.1,
    limit: float = 1.0,
    seed: int = 0,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Train in place on windows as long as the model's context; return the loss of each step.

    `progress(step, loss)` is called after each step, counted from 1. `seed` decides the windows.
    """
    optimizer = AdamW(decay_groups(model, weight_decay), betas=(0.9, 0.95))
    device = model.embedding.weight.device
    rows = batches(tokens, batch, model.config.context, torch.Generator().manual_seed(seed))
    losses = []
    for step, (inputs, targets) in zip(range(1, steps + 1), rows, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = cosine_schedule(step, warmup, steps, peak, floor)
        loss = cross_entropy(model(inputs.to(device)), targets.to(device))
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(model.parameters(), limit)
        optimizer.step()
        losses.append(loss.item())
        progress(step, losses[-1])
    return losses


# Hugging Face's names, with a dot in front, part by part.
RENAMED = {
    ".model.": ".",
    ".transformer.": ".",
    ".embed_tokens.": ".embedding.",
    ".wte.": ".embedding.",
    ".wpe.": ".places.",
    ".layers.": ".blocks.",
    ".h.": ".blocks.",
    ".self_attn.q_proj.": ".attention.query.",
    ".self_attn.k_proj.": ".attention.key.",
    ".self_attn.v_proj.": ".attention.value.",
    ".self_attn.o_proj.": ".attention.out.",
    ".attn.c_proj.": ".attention.out.",
    ".mlp.gate_proj.": ".feed_forward.gate.",
    ".mlp.up_proj.": ".feed_forward.up.",
    ".mlp.c_fc.": ".feed_forward.up.",
    ".mlp.down_proj.": ".feed_forward.down.",
    ".mlp.c_proj.": ".feed_forward.down.",
    ".input_layernorm.": ".attention_norm.",
    ".ln_1.": ".attention_norm.",
    ".post_attention_layernorm.": ".feed_forward_norm.",
    ".ln_2.": ".feed_forward_norm.",
    ".ln_f.": ".norm.",
    ".lm_head.": ".head.",
}


def from_hugging_face(state: Mapping[str, Tensor], hf_config: Any) -> GPT:
    """Build the model of a published checkpoint of Llama, Qwen2 or GPT-2, in the type of its weights.

    Args:
        state: the tensors of its safetensors files, or `model.state_dict()` of transformers.
        hf_config: its config.json as a dict, or a config of transformers.

    Raises:
        ValueError: another architecture, or a feature of it that is not built here.
        RuntimeError: a tensor is missing, too many, or of another shape.
    """
    given = dict(hf_config if isinstance(hf_config, Mapping) else hf_config.to_dict())
    config = _config(given)
    ours: dict[str, Tensor] = {}
    for name, weight in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")):
            continue  # constants that old checkpoints hold
        name = f".{name}"
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        if given["model_type"] == "gpt2" and weight.ndim == 2 and ".blocks." in name:
            weight = weight.T  # GPT-2's Conv1D is a linear layer with its matrix turned over
        parts = ("query", "key", "value") if ".attn.c_attn." in name else ("",)
        for part, piece in zip(parts, weight.chunk(len(parts)), strict=True):
            ours[name[1:].replace("attn.c_attn", f"attention.{part}")] = piece
    if config.tied:
        ours.pop("head.weight", None)
    with torch.device("meta"):
        model = GPT(config)
    model.to(ours["embedding.weight"].dtype).to_empty(device="cpu").load_state_dict(ours)
    return model


def _config(given: Mapping[str, Any]) -> Config:
    """Read a config.json, and refuse what would silently give other logits."""
    kind = given.get("model_type")
    turned = given.get("rope_parameters") or given.get("rope_scaling") or {}
    unsupported = {
        "model_type": kind not in ("llama", "qwen2", "gpt2"),
        "rope_scaling": turned.get("rope_type", turned.get("type", "default")) != "default",
        "use_sliding_window": given.get("use_sliding_window"),
        "attention_bias": given.get("attention_bias"),
        "mlp_bias": given.get("mlp_bias"),
        "hidden_act": given.get("hidden_act", "silu") != "silu",
        "activation_function": given.get("activation_function", "gelu_new") != "gelu_new",
        "scale_attn_by_inverse_layer_idx": given.get("scale_attn_by_inverse_layer_idx"),
        "head_dim": given.get("head_dim") and given["head_dim"] * given["num_attention_heads"] != given["hidden_size"],
    }
    if wrong := [name for name, is_wrong in unsupported.items() if is_wrong]:
        raise ValueError(
            f"hf_config: {wrong[0]}={given.get(wrong[0])!r} is not built here: "
            "load a plain Llama, Qwen2 or GPT-2, without scaled RoPE, sliding windows or biases of its own."
        )
    if kind == "gpt2":
        return Config(
            given["vocab_size"],
            given["n_layer"],
            given["n_head"],
            given["n_embd"],
            given["n_positions"],
            hidden=given.get("n_inner"),
            norm="layer",
            positions="learned",
            feed_forward="gelu",
            bias=True,
            tied=given.get("tie_word_embeddings", True),
            epsilon=given["layer_norm_epsilon"],
        )
    return Config(
        given["vocab_size"],
        given["num_hidden_layers"],
        given["num_attention_heads"],
        given["hidden_size"],
        given["max_position_embeddings"],
        given.get("num_key_value_heads"),
        given["intermediate_size"],
        tied=given.get("tie_word_embeddings", False),
        qkv_bias=kind == "qwen2",
        epsilon=given["rms_norm_eps"],
        rope_base=turned.get("rope_theta", given.get("rope_theta", 10_000.0)),
    )


def _norm(config: Config) -> nn.Module:
    if config.norm == "rms":
        return RMSNorm(config.width, config.epsilon)
    return nn.LayerNorm(config.width, config.epsilon, bias=config.bias)
