# pyright: basic
"""How attention goes wrong in practice, and other ways of getting it right."""

import math

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.deep.attention.attention import _check_shapes, attend, masked_softmax


@mistake("causal_mask", edit=("tril", "triu"))
def sees_the_future():
    """Your mask is the upper triangle: every token sees itself and the future, and is blind to the past. Rows are
    queries and columns are keys, so the past of query t is columns 0 to t: the lower triangle.
    """


@mistake("causal_mask", edit=("tril(", "triu(diagonal=1"))
def true_means_hidden():
    """Your mask is True where a query may *not* look. That is the convention of `nn.MultiheadAttention`; here, as
    in PyTorch's functional attention, True means "may look". Invert it.
    """


@variant("causal_mask")
def compares_positions(tokens):
    """Positions compared."""
    positions = torch.arange(tokens)
    return positions[:, None] >= positions[None, :]


@mistake("masked_softmax", edit=("(scores - peak.masked_fill(peak == -math.inf, 0.0)).exp()", "scores.exp()"))
def overflows():
    """You take exp of the raw scores: in float32 it overflows from 89 on, and inf / inf is NaN. Subtract each row's
    largest score first; the weights stay the same, because softmax only knows differences.
    """


@mistake("masked_softmax")
def masks_after_softmax(scores, mask=None):
    """You set the masked weights to 0 after the softmax, so what is left no longer sums to 1, and a masked key
    still takes weight from the others. Mask the scores, with -inf, before.
    """
    weights = torch.softmax(scores, dim=-1)
    return weights if mask is None else weights.masked_fill(~mask, 0.0)


@mistake("masked_softmax", edit=("(~mask, -math.inf)", "(~mask, -1e9)"))
def hides_with_a_large_number():
    """You fill masked scores with a large negative number and not with -inf. Where a whole row is masked, softmax then
    makes a mean of what must not be seen, and half precision cannot even hold -1e9.
    """


@mistake("masked_softmax", edit=[(".masked_fill(peak == -math.inf, 0.0)", ""), (".masked_fill(total == 0, 1.0)", "")])
def nan_where_all_is_masked():
    """In a row that is masked everywhere, your softmax computes -inf - (-inf), which is NaN; one such row makes NaN
    of the whole model. Decide what it should be (zeros), and do not divide by a sum of 0.
    """


@variant("masked_softmax")
def softmax_then_zeros(scores, mask=None):
    """The library's softmax, with NaN-free rows."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    empty = ~mask.any(dim=-1, keepdim=True)
    hidden = ~mask & ~empty
    return torch.softmax(scores.masked_fill(hidden, -math.inf), dim=-1).masked_fill(~mask, 0.0)


@mistake("attend", edit=(" / math.sqrt(queries.shape[-1])", ""))
def forgets_to_scale():
    """You did not divide the scores by sqrt(dim). Their variance grows with dim, softmax then puts all weight on
    one key, and its gradient vanishes.
    """


@mistake("attend", edit=("(-2, -1), mask)", "(-2, -1))"))
def drops_the_mask():
    """You do not hand the mask on to `masked_softmax`: every query sees every key, the future included."""


@mistake("attend", edit=("torch.promote_types(queries.dtype, torch.float32)", "queries.dtype"))
def multiplies_in_half_precision():
    """You multiply in half precision. A score beyond 65,504 is infinite in float16, and the softmax of that is NaN;
    bfloat16 keeps three digits of a score, so that 1,000 and 1,003 become one. Compute in float32, from the queries to
    the output, and cast both results back at the end.
    """


@variant("attend")
def scales_both_sides(queries, keys, values, mask=None, dropout=0.0):
    """The square root divided fairly, and the sums written with einsum."""
    _check_shapes(queries, keys, values, mask)
    dtype, root = queries.dtype, queries.shape[-1] ** 0.25
    if dtype in (torch.float16, torch.bfloat16):
        queries, keys, values = queries.float(), keys.float(), values.float()
    scores = torch.einsum("...qd,...kd->...qk", queries / root, keys / root)
    weights = masked_softmax(scores, mask)
    used = torch.nn.functional.dropout(weights, p=dropout, training=True)
    return torch.einsum("...qk,...kv->...qv", used, values).to(dtype), weights.to(dtype)


@mistake(
    "MultiHeadAttention.split_heads",
    edit=(
        "inputs.unflatten(-1, (self.heads, -1)).transpose(1, 2)",
        "inputs.reshape(len(inputs), self.heads, inputs.shape[1], -1)",
    ),
)
def views_without_transposing():
    """You reshaped (batch, tokens, dim) to (batch, heads, tokens, head_dim) directly, so that a head gets whole vectors
    of some tokens. Split the last axis first, then swap tokens and heads.
    """


@mistake(
    "MultiHeadAttention.merge_heads",
    edit=("inputs.transpose(1, 2).flatten(2)", "inputs.reshape(len(inputs), inputs.shape[2], -1)"),
)
def merges_without_transposing():
    """You reshaped the heads away without swapping heads and tokens back, so that pieces of different tokens end up
    in one vector. Transpose first.
    """


@mistake("MultiHeadAttention.forward", edit=("self.dropout if self.training else 0.0", "self.dropout"))
def drops_in_evaluation_too():
    """You drop weights in evaluation mode as well, so that answers are random. A function knows no mode: give
    `attend` `self.dropout` only `if self.training`, and 0 otherwise.
    """


@mistake(
    "MultiHeadAttention.forward",
    edit=(
        "self.key(context)), self.split_heads(self.value(context))",
        "self.key(inputs)), self.split_heads(self.value(inputs))",
    ),
)
def looks_at_itself():
    """You take keys and values from `inputs`, so that it is always self-attention and `context` is never read."""


@mistake("MultiHeadAttention.forward", edit=("mask.unsqueeze(-3)", "mask"))
def mask_without_an_axis_for_heads():
    """Your mask of shape (batch, queries, keys) meets weights of shape (batch, heads, queries, keys), and its batch
    falls on the heads. Give it an axis for the heads: `mask.unsqueeze(-3)`.
    """


@variant("MultiHeadAttention.forward")
def head_by_head(self, inputs, context, mask=None):
    """A loop over the heads, as the paper writes it."""
    rate = self.dropout if self.training else 0.0
    pieces = [
        projected.chunk(self.heads, dim=-1)
        for projected in (self.query(inputs), self.key(context), self.value(context))
    ]
    found = [attend(q, k, v, mask, rate) for q, k, v in zip(*pieces, strict=True)]
    return self.out(torch.cat([output for output, _ in found], dim=-1)), torch.stack([w for _, w in found], dim=1)


@mistake("SelfAttention.forward", edit=("self.attention(inputs, inputs, mask)", "self.attention(inputs, inputs)"))
def hides_nothing():
    """You do not hand the mask on: a decoder would see the future, and everybody the padding."""


@mistake("positional_encoding", edit=[("torch.stack", "torch.cat"), (".flatten(1)", "")])
def sines_then_cosines():
    """You laid all sines before all cosines. Some models do, but section 3.5 interleaves them: columns 0, 2, 4, …
    are sines, columns 1, 3, 5, … cosines.
    """


@variant("positional_encoding")
def cosines_as_shifted_sines(tokens, dim):
    """Sines only: a cosine is a sine a quarter turn ahead."""
    column = torch.arange(dim)
    angles = torch.arange(tokens).double()[:, None] * 10_000.0 ** (-(column - column % 2).double() / dim)
    return torch.sin(angles + column % 2 * math.pi / 2).float()


@mistake("Transformer.generate", edit=("self.decode(written,", "self.decode(written[:, -1:],"))
def shows_the_last_token_only():
    """You show the decoder only the token written last. It keeps no memory between calls: it must see everything
    written so far, or it does not even know where it is.
    """


@mistake("Transformer.generate", edit=(".masked_fill(ended, self.padding)", ""))
def writes_on_after_the_end():
    """A sequence that has ended goes on being written while others are not finished. Remember which have ended, and
    give them padding.
    """


@mistake("Transformer.generate", edit=("ended.all()", "ended.any()"))
def stops_with_the_first():
    """You stop as soon as one sequence has ended, and cut the others off. Go on until all have: `ended.all()`."""


@variant("Transformer.generate")
def into_a_table_of_padding(self, source, start, end, limit):
    """A table of padding, filled column by column for the rows that are still alive; argmax of probabilities."""
    memory = self.encode(source)
    table = source.new_full((len(source), limit + 1), self.padding)
    table[:, 0] = start
    alive, length = source.new_ones(len(source), dtype=torch.bool), 0
    while length < limit and alive.any():
        logits, _ = self.decode(table[:, : length + 1], memory, source)
        best = logits[:, -1].softmax(dim=-1).max(dim=-1).indices
        length += 1
        table[alive, length] = best[alive]
        alive = alive & (best != end)
    return table[:, 1 : length + 1]
