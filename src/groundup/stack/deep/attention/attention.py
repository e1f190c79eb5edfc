"""Attention and the transformer that is made of it.

Scaled dot-product attention, several heads of it, sinusoidal positions, and an encoder-decoder that turns one
sequence into another: Vaswani et al., "Attention Is All You Need" (2017), https://arxiv.org/abs/1706.03762, whose
sections and equations are cited below. One thing differs from the paper: each sub-layer normalises its input and not
its output ("pre-norm": Xiong et al., 2020, https://arxiv.org/abs/2002.04745), which trains without a long warm-up.

Everywhere, a mask is boolean and True means "this query may look at this key".

Not here: a cache of keys and values for generation, beam search, weights shared between embedding and output.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def causal_mask(tokens: int) -> Bool[Tensor, "tokens tokens"]:
    """The mask under which a token sees itself and what came before it, and nothing that comes after."""
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()


def masked_softmax(
    scores: Float[Tensor, "*batch queries keys"], mask: Bool[Tensor, "*#batch #queries #keys"] | None = None
) -> Float[Tensor, "*batch queries keys"]:
    """Softmax over the keys that the mask allows; the others get exactly 0.

    Scores of any finite size are safe. A query that may look at no key gets zeros, so that a row of padding gives zeros
    and not NaN, which would spread to every parameter at the next step.

    Args:
        scores: how well each key fits each query.
        mask: True where a query may look at a key; broadcasts to `scores`. None allows everything.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    # Only differences between scores matter, so the largest may be moved to 0, where exp cannot overflow.
    peak = scores.detach().amax(dim=-1, keepdim=True)
    exponentials = (scores - peak.masked_fill(peak == -math.inf, 0.0)).exp()
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials / total.masked_fill(total == 0, 1.0)


def attend(
    queries: Float[Tensor, "*batch queries dim"],
    keys: Float[Tensor, "*batch keys dim"],
    values: Float[Tensor, "*batch keys value_dim"],
    mask: Bool[Tensor, "*#batch #queries #keys"] | None = None,
    dropout: float = 0.0,
) -> tuple[Float[Tensor, "*batch queries value_dim"], Float[Tensor, "*batch queries keys"]]:
    """Scaled dot-product attention: every query's mean of the values, weighted by how well their keys fit (eq. 1).

    Half precision is computed in float32, as by PyTorch, and rounded at the end: float16 ends at 65,504, and bfloat16
    keeps three digits of a score. The queries are scaled before the product, so that only scores that are too large
    themselves overflow. Not covered: autocast, which makes the product one of half precision again.

    Args:
        queries: what is looked for.
        keys: what each value is found by.
        values: what is fetched; `value_dim` may differ from `dim`.
        mask: True where a query may look at a key; broadcasts to the weights. None allows everything.
        dropout: probability with which a weight is dropped (the rest grow to make up for it); give 0 outside training.

    Returns:
        The output and the weights, as they were before dropout: each row sums to 1, or to 0 if all of it is masked.
        Both have the dtype of the queries.

    Raises:
        ValueError: the shapes do not fit together.
        TypeError: the mask is not boolean.
    """
    _check_shapes(queries, keys, values, mask)
    exact = torch.promote_types(queries.dtype, torch.float32)
    scaled = queries.to(exact) / math.sqrt(queries.shape[-1])
    weights = masked_softmax(scaled @ keys.to(exact).transpose(-2, -1), mask)  # (*batch, queries, keys)
    output = nn.functional.dropout(weights, dropout) @ values.to(exact)
    return output.to(queries.dtype), weights.to(queries.dtype)


def _check_shapes(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> None:
    """Raise ValueError or TypeError unless the arguments of `attend` fit together."""
    if queries.shape[-1] != keys.shape[-1]:
        raise ValueError(
            f"queries and keys must have the same last dimension, got {queries.shape[-1]} and {keys.shape[-1]}: "
            "project them to one size, or their dot product does not exist."
        )
    if keys.shape[-2] != values.shape[-2] or keys.shape[-2] == 0:
        raise ValueError(
            f"keys and values must have the same number of tokens, at least 1, got {keys.shape[-2]} and "
            f"{values.shape[-2]}: every key stands for one value."
        )
    leading = [tuple(tensor.shape[:-2]) for tensor in (queries, keys, values)]
    if len(set(leading)) > 1:
        raise ValueError(
            f"queries, keys and values must agree in the axes before their last two, got {leading}: "
            "all three have the same batch (and heads). Expand what is shared."
        )
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"mask must be boolean, True where a query may look, got {mask.dtype}: write mask != 0.")
    weights = (*leading[0], queries.shape[-2], keys.shape[-2])
    if mask is not None and not _broadcasts(tuple(mask.shape), weights):
        raise ValueError(
            f"mask of shape {tuple(mask.shape)} must broadcast to {weights}, the shape of the weights: "
            "its last two axes are queries and keys."
        )


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of `shape` can be stretched to `to`."""
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(size in (1, wanted) for size, wanted in pairs)


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own subspace of `dim / heads` dimensions (section 3.2.2).

    Args:
        dim: size of a token's vector, in and out.
        heads: how many attentions; it divides `dim`.
        dropout: probability with which a weight is dropped in training.

    Raises:
        ValueError: `heads` does not divide `dim`.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"heads must divide dim={dim}, got heads={heads}: every head gets dim / heads dimensions.")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def split_heads(self, inputs: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch heads tokens head_dim"]:
        """Cut each vector into `heads` pieces: head h has the h-th piece of every token."""
        return inputs.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (batch, heads, tokens, head_dim)

    def merge_heads(self, inputs: Float[Tensor, "batch heads tokens head_dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Lay the heads' pieces end to end again: undoes `split_heads`."""
        return inputs.transpose(1, 2).flatten(2)  # (batch, tokens, dim)

    def forward(
        self,
        inputs: Float[Tensor, "batch queries dim"],
        context: Float[Tensor, "batch keys dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
    ) -> tuple[Float[Tensor, "batch queries dim"], Float[Tensor, "batch heads queries keys"]]:
        """Let every token of `inputs` look at the tokens of `context`.

        Args:
            inputs: where the queries come from.
            context: where the keys and the values come from.
            mask: True where a query may look at a key, for every head. (queries, keys) will do for a whole batch.

        Returns:
            The output, and the weights of each head before dropout.
        """
        queries = self.split_heads(self.query(inputs))  # (batch, heads, queries, head_dim)
        keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
        if mask is not None:
            mask = mask.unsqueeze(-3)  # (batch, 1, queries, keys): one mask for all heads
        output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
        return self.out(self.merge_heads(output)), weights


class SelfAttention(nn.Module):
    """Multi-head attention in which a sequence looks at itself. The arguments are those of `MultiHeadAttention`."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(dim, heads, dropout)

    def forward(
        self, inputs: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "#batch #tokens tokens"] | None = None
    ) -> tuple[Float[Tensor, "batch tokens dim"], Float[Tensor, "batch heads tokens tokens"]]:
        """Let every token look at all tokens of its own sequence that the mask allows."""
        return self.attention(inputs, inputs, mask)


def positional_encoding(tokens: int, dim: int) -> Float[Tensor, "tokens dim"]:
    """Sines and cosines that tell the positions apart, as attention itself cannot (section 3.5).

    Column 2i is sin(position / 10000^(2i/dim)), column 2i + 1 the cosine of the same angle; positions count from 0.
    With an odd `dim` the last sine has no cosine.
    """
    frequencies = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    angles = torch.arange(tokens)[:, None] * frequencies  # (tokens, pairs)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :dim]  # (tokens, dim)


def feed_forward(dim: int, hidden: int) -> nn.Sequential:
    """Two dense layers, applied to every token on its own (section 3.3)."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))


class EncoderBlock(nn.Module):
    """Self-attention, then a feed-forward layer; each is added to what came in."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.self_attention = SelfAttention(dim, heads, dropout)
        self.feed_forward = feed_forward(dim, 4 * dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, inputs: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "#batch #tokens tokens"] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the new vectors of the tokens."""
        looked, _ = self.self_attention(self.norms[0](inputs), mask)
        hidden = inputs + self.dropout(looked)
        return hidden + self.dropout(self.feed_forward(self.norms[1](hidden)))


class DecoderBlock(nn.Module):
    """Causal self-attention, then attention to the encoder's output, then a feed-forward layer."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.self_attention = SelfAttention(dim, heads, dropout)
        self.cross_attention = MultiHeadAttention(dim, heads, dropout)
        self.feed_forward = feed_forward(dim, 4 * dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        inputs: Float[Tensor, "batch target dim"],
        memory: Float[Tensor, "batch source dim"],
        memory_mask: Bool[Tensor, "#batch #target source"] | None = None,
    ) -> tuple[Float[Tensor, "batch target dim"], Float[Tensor, "batch heads target source"]]:
        """Return the new vectors of the target's tokens, and how they looked at the memory."""
        past = causal_mask(inputs.shape[1]).to(inputs.device)
        looked, _ = self.self_attention(self.norms[0](inputs), past)
        hidden = inputs + self.dropout(looked)
        looked, weights = self.cross_attention(self.norms[1](hidden), memory, memory_mask)
        hidden = hidden + self.dropout(looked)
        return hidden + self.dropout(self.feed_forward(self.norms[2](hidden))), weights


class Transformer(nn.Module):
    """An encoder-decoder that maps one sequence of tokens to another, over one vocabulary.

    Args:
        vocabulary: how many tokens there are; a token is an integer below it.
        dim: size of a token's vector.
        heads: attentions in each layer; it divides `dim`.
        layers: blocks in the encoder, and as many in the decoder.
        dropout: probability of dropping a weight or an activation in training.
        max_tokens: length of the longest sequence.
        padding: the token that fills up short sequences; nobody looks at it in the source.
    """

    positions: Tensor

    def __init__(
        self,
        vocabulary: int,
        dim: int,
        heads: int,
        layers: int,
        dropout: float = 0.0,
        max_tokens: int = 256,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.padding = padding
        # PyTorch draws embeddings with variance 1, so they need not be scaled by sqrt(dim) as in section 3.4.
        self.embedding = nn.Embedding(vocabulary, dim)
        self.register_buffer("positions", positional_encoding(max_tokens, dim), persistent=False)
        self.encoder = nn.ModuleList(EncoderBlock(dim, heads, dropout) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderBlock(dim, heads, dropout) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(dim, vocabulary)

    def embed(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens dim"]:
        """What a token is, plus where it stands. Raises ValueError when there are more tokens than positions."""
        if tokens.shape[1] > len(self.positions):
            raise ValueError(
                f"tokens must be at most max_tokens={len(self.positions)} long, got {tokens.shape[1]}: "
                "cut the sequence, or build the model with a larger max_tokens."
            )
        return self.dropout(self.embedding(tokens) + self.positions[: tokens.shape[1]])

    def encode(self, source: Int[Tensor, "batch source"]) -> Float[Tensor, "batch source dim"]:
        """Read the source: one vector for each of its tokens, each aware of the others."""
        hidden = self.embed(source)
        for block in self.encoder:
            hidden = block(hidden, self._source_mask(source))
        return self.norms[0](hidden)

    def decode(
        self,
        target: Int[Tensor, "batch target"],
        memory: Float[Tensor, "batch source dim"],
        source: Int[Tensor, "batch source"],
    ) -> tuple[Float[Tensor, "batch target vocabulary"], Float[Tensor, "layers batch heads target source"]]:
        """Score every token of the vocabulary as the successor of each target token.

        Args:
            target: what has been written so far. Padding at its end needs no mask: no earlier token can see it.
            memory: what `encode` made of the source.
            source: the source, which says where `memory` is padding.

        Returns:
            The scores (logits), and how each layer of the decoder looked at the source.
        """
        hidden, maps = self.embed(target), []
        for block in self.decoder:
            hidden, weights = block(hidden, memory, self._source_mask(source))
            maps.append(weights)
        return self.out(self.norms[1](hidden)), torch.stack(maps)

    def forward(
        self, source: Int[Tensor, "batch source"], target: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocabulary"]:
        """Return the logits of the successor of each target token: all positions at once, as training needs them."""
        return self.decode(target, self.encode(source), source)[0]

    @torch.no_grad()
    def generate(
        self, source: Int[Tensor, "batch source"], start: int, end: int, limit: int
    ) -> Int[Tensor, "batch written"]:
        """Greedy decoding: write the most probable token, append it, and ask again, on the device of the source.

        The model's mode is left as it is: call `eval()` before.

        Args:
            source: the sequences to transform.
            start: the token from which writing starts; it is not in what is returned.
            end: the token that ends a sequence; it is returned. Behind it a sequence is filled up with padding.
            limit: the most tokens to write. Writing stops sooner when every sequence has ended.
        """
        memory = self.encode(source)
        written = torch.full((len(source), 1), start, device=source.device)
        ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
        for _ in range(limit):
            logits, _ = self.decode(written, memory, source)
            best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,)
            written = torch.cat((written, best[:, None]), dim=1)
            ended = ended | (best == end)
            if ended.all():
                break
        return written[:, 1:]

    def _source_mask(self, source: Int[Tensor, "batch source"]) -> Bool[Tensor, "batch 1 source"]:
        return (source != self.padding)[:, None, :]
