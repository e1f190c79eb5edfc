# pyright: basic
"""How attention goes wrong in practice, and other ways of getting it right."""

import math

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.deep.attention.attention import _check_shapes, attend, masked_softmax

# causal_mask


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


@mistake("causal_mask", edit=("()", "(diagonal=-1)"))
def blind_to_itself():
    """Your tokens do not see themselves: the diagonal is False. The first token is then left with nothing to look
    at. Position t may look at all keys up to and including t.
    """


@mistake("causal_mask", edit=("()", "(diagonal=1)"))
def sees_one_ahead():
    """Your tokens see one token ahead: the diagonal above the main one is True as well. Trained like this, a
    model reads the answer off its own input, and has nothing to read when it writes. Query t sees the keys up to
    t.
    """


@mistake("causal_mask")
def adds_minus_infinity(tokens):
    """You made a mask of numbers to be added to the scores (0 and -inf). It is a common form, but here a mask is
    boolean: True where the query may look.
    """
    return torch.full((tokens, tokens), -math.inf).triu(diagonal=1)


@mistake("causal_mask", edit=("torch.ones(tokens, tokens, dtype=torch.bool)", "torch.ones(tokens, tokens)"))
def numbers_for_truth():
    """Your mask has the right triangle, but of the numbers 0 and 1 and not of truth values: `~mask` and
    `masked_fill` need dtype=torch.bool.
    """


@variant("causal_mask")
def compares_positions(tokens):
    """Positions compared."""
    positions = torch.arange(tokens)
    return positions[:, None] >= positions[None, :]


# masked_softmax


@mistake("masked_softmax")
def overflows(scores, mask=None):
    """You take exp of the raw scores: in float32 it overflows from 89 on, and inf / inf is NaN. Subtract each row's
    largest score first; the weights stay the same, because softmax only knows differences.
    """
    exponentials = scores.exp()
    if mask is not None:
        exponentials = exponentials.masked_fill(~mask, 0.0)
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials / total.masked_fill(total == 0, 1.0)


@mistake("masked_softmax")
def one_peak_for_all(scores, mask=None):
    """You subtract the largest score of the whole tensor. A row whose scores are all far below it then underflows
    to 0 / 0. Subtract each row's own largest score: `amax(dim=-1, keepdim=True)`.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    exponentials = (scores - scores.detach().max().clamp_min(-1e38)).exp()
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials / total.masked_fill(total == 0, 1.0)


@mistake("masked_softmax")
def normalises_over_queries(scores, mask=None):
    """Your softmax runs over the queries (`dim=-2`): columns sum to 1. Each query shares out its weight over the
    keys, so every row must sum to 1: `dim=-1`.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-2).nan_to_num(0.0)


@mistake("masked_softmax")
def masks_after_softmax(scores, mask=None):
    """You set the masked weights to 0 after the softmax, so what is left no longer sums to 1, and a masked key
    still takes weight from the others. Mask the scores, with -inf, before.
    """
    weights = torch.softmax(scores, dim=-1)
    return weights if mask is None else weights.masked_fill(~mask, 0.0)


@mistake("masked_softmax", edit=("~mask", "mask"))
def masks_what_is_allowed():
    """You hide the keys where the mask is True. True means "may look": fill the scores where `~mask`."""


@mistake("masked_softmax")
def hides_with_a_large_number(scores, mask=None):
    """You fill masked scores with a large negative number and not with -inf. In a row that is masked everywhere,
    all scores are then equal and softmax makes a mean of what must not be seen. Half precision cannot even hold
    -1e9.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return torch.softmax(scores, dim=-1)


@mistake("masked_softmax")
def nan_where_all_is_masked(scores, mask=None):
    """In a row that is masked everywhere, your softmax computes -inf - (-inf), which is NaN; one such row makes NaN
    of the whole model. Decide what it should be (zeros), and do not divide by a sum of 0.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=-1)


@mistake("masked_softmax")
def hides_with_zero(scores, mask=None):
    """You set masked scores to 0, but a score of 0 is an ordinary score: exp(0) is 1, and the masked keys get
    weight. Only -inf becomes 0.
    """
    if mask is not None:
        scores = scores * mask
    return torch.softmax(scores, dim=-1)


@mistake("masked_softmax")
def forgets_the_mask(scores, mask=None):
    """Your softmax never looks at the mask, so that every query sees every key."""
    return torch.softmax(scores, dim=-1)


@mistake("masked_softmax")
def renormalises_afterwards(scores, mask=None):
    """You take the softmax over all keys, set the masked weights to 0 and divide by what is left. Where a masked
    score is far larger than the others, these have underflowed to 0 before you divide. Mask the scores, with
    -inf, before.
    """
    weights = torch.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights * mask
        total = weights.sum(dim=-1, keepdim=True)
        weights = weights / total.masked_fill(total == 0, 1.0)
    return weights


@mistake("masked_softmax")
def adds_the_mask(scores, mask=None):
    """You add the mask to the scores, where True counts as 1 and False as 0: a masked key only weighs e times less. To
    be added, a mask would have to be 0 and -inf; a boolean one is for `masked_fill`.
    """
    if mask is not None:
        scores = scores + mask
    return torch.softmax(scores, dim=-1)


@mistake("masked_softmax")
def adds_a_tiny_number_below(scores, mask=None):
    """You add a tiny number to the sum so as not to divide by 0. Half precision rounds it to 0, and a row that is
    masked everywhere is NaN there. Say what you mean: where the sum is 0, divide by 1.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    peak = scores.detach().amax(dim=-1, keepdim=True)
    exponentials = (scores - peak.masked_fill(peak == -math.inf, 0.0)).exp()
    return exponentials / (exponentials.sum(dim=-1, keepdim=True) + 1e-9)


@mistake("masked_softmax")
def cuts_scores_off(scores, mask=None):
    """You cut the scores off so that exp cannot overflow. Scores beyond the limit all become equal, although they were
    not. Shift them: subtract each row's largest score, which changes no weight.
    """
    exponentials = scores.clamp(-80, 80).exp()
    if mask is not None:
        exponentials = exponentials.masked_fill(~mask, 0.0)
    total = exponentials.sum(dim=-1, keepdim=True)
    return exponentials / total.masked_fill(total == 0, 1.0)


@mistake("masked_softmax")
def subtracts_the_logarithm(scores, mask=None):
    """You take exp(scores - logsumexp(scores)). On paper that is softmax; but next to a large score the logarithm
    of the sum is rounded away, and the weights no longer sum to 1. Subtract the largest score, then divide by the
    sum.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    logarithm = scores.logsumexp(dim=-1, keepdim=True)
    return (scores - logarithm.masked_fill(logarithm == -math.inf, 0.0)).exp()


@mistake("masked_softmax")
def always_float32(scores, mask=None):
    """Your weights are float32 whatever the scores were. Computing in float32 is fine; cast back to `scores.dtype`, or
    the next matrix product refuses to multiply them by the values.
    """
    wide = scores.float() if mask is None else scores.float().masked_fill(~mask, -math.inf)
    weights = torch.softmax(wide, dim=-1)
    return weights if mask is None else weights.masked_fill(~mask, 0.0)


@mistake("masked_softmax")
def masks_in_place(scores, mask=None):
    """You fill the scores in place (`masked_fill_`), so that the caller's tensor is ruined. Use `masked_fill`,
    without the underscore.
    """
    if mask is not None:
        scores.masked_fill_(~mask, -math.inf)
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


@variant("masked_softmax")
def softmax_then_zeros(scores, mask=None):
    """The library's softmax, with NaN-free rows."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    empty = ~mask.any(dim=-1, keepdim=True)
    hidden = ~mask & ~empty
    return torch.softmax(scores.masked_fill(hidden, -math.inf), dim=-1).masked_fill(~mask, 0.0)


@variant("masked_softmax")
def in_double_precision(scores, mask=None):
    """Computed in float64 by `where`, cast back at the end."""
    wide = scores.double()
    if mask is not None:
        wide = torch.where(mask, wide, torch.full_like(wide, -1e300))
    exponentials = torch.exp(wide - wide.max(dim=-1, keepdim=True).values)
    if mask is not None:
        exponentials = exponentials * mask
    total = exponentials.sum(dim=-1, keepdim=True)
    return (exponentials / torch.where(total > 0, total, torch.ones_like(total))).to(scores.dtype)


# attend


@mistake("attend", edit=(" / math.sqrt(queries.shape[-1])", ""))
def forgets_to_scale():
    """You did not divide the scores by sqrt(dim). Their variance grows with dim, softmax then puts all weight on
    one key, and its gradient vanishes.
    """


@mistake("attend", edit=("math.sqrt(queries.shape[-1])", "queries.shape[-1]"))
def divides_by_dim():
    """You divide the scores by dim and not by its square root. The standard deviation of a dot product grows with
    sqrt(dim); divided by dim, the scores shrink to nothing and all keys get the same weight.
    """


@mistake("attend", edit=("queries.shape[-1])", "keys.shape[-2])"))
def scales_by_the_number_of_keys():
    """You divide by the square root of the number of keys. What makes a dot product large is the number of its
    terms: the size of the last axis of queries and keys.
    """


@mistake("attend", edit=("queries.shape[-1])", "values.shape[-1])"))
def scales_by_the_values():
    """You divide by the square root of the values' dimension. The values have no part in the dot product: it is the
    last axis of queries and keys that counts, and the values' may differ.
    """


@mistake(
    "attend",
    edit=[(" / math.sqrt(queries.shape[-1])", ""), (", mask)  #", ", mask) / math.sqrt(queries.shape[-1])  #")],
)
def scales_the_weights():
    """You divide by sqrt(dim) after the softmax: rows sum to 1 / sqrt(dim), and the softmax has seen the unscaled
    scores. Divide the scores.
    """


@mistake("attend", edit=("@ values.to", "@ keys.to"))
def fetches_keys():
    """You average the keys. Keys are what is searched; what is fetched by the weights is the values."""


@mistake("attend", edit=("(-2, -1), mask)", "(-2, -1))"))
def drops_the_mask():
    """You do not hand the mask on to `masked_softmax`: every query sees every key, the future included."""


@mistake("attend")
def scales_in_place(queries, keys, values, mask=None, dropout=0.0):
    """You scale the queries in place (`/=`), which changes the caller's tensor, and autograd refuses it for a leaf.
    Write `queries / math.sqrt(…)`.
    """
    _check_shapes(queries, keys, values, mask)
    exact = torch.promote_types(queries.dtype, torch.float32)
    queries /= math.sqrt(queries.shape[-1])
    weights = masked_softmax(queries.to(exact) @ keys.to(exact).transpose(-2, -1), mask)
    output = nn.functional.dropout(weights, dropout) @ values.to(exact)
    return output.to(queries.dtype), weights.to(queries.dtype)


@mistake(
    "attend",
    edit=(
        "output = nn.functional.dropout(weights, dropout) @",
        "weights = nn.functional.dropout(weights, dropout)\n    output = weights @",
    ),
)
def returns_dropped_weights():
    """You return the weights after dropout. The output uses those; what is returned for looking at is the weights
    before, whose rows sum to 1.
    """


@mistake("attend", edit=("nn.functional.dropout(weights, dropout)", "weights"))
def never_drops():
    """You do not use `dropout`: nothing is ever dropped. Apply `nn.functional.dropout` to the weights before they
    meet the values.
    """


@mistake(
    "attend",
    edit=(
        "nn.functional.dropout(weights, dropout) @ values.to(exact)",
        "nn.functional.dropout(weights @ values.to(exact), dropout)",
    ),
)
def drops_the_output():
    """You drop entries of the output. What is to be dropped is weights, before they meet the values: a query then does
    without some of its keys.
    """


@mistake(
    "attend",
    edit=(
        "nn.functional.dropout(weights, dropout) @ values.to(exact)",
        "weights @ nn.functional.dropout(values.to(exact), dropout)",
    ),
)
def drops_the_values():
    """You drop entries of the values, for all queries at once. Drop weights: each query does without keys of its
    own.
    """


@mistake(
    "attend",
    edit=[
        (
            "masked_softmax(scaled @ keys.to(exact).transpose(-2, -1), mask)",
            "masked_softmax(nn.functional.dropout(scaled @ keys.to(exact).transpose(-2, -1), dropout), mask)",
        ),
        ("nn.functional.dropout(weights, dropout) @", "weights @"),
    ],
)
def drops_the_scores():
    """You drop scores before the softmax. A score of 0 is an ordinary score, so that its key is not dropped at all.
    Apply dropout to the weights.
    """


@mistake("attend", edit=("/ math.sqrt", "* math.sqrt"))
def multiplies_by_the_root():
    """You multiply the scores by sqrt(dim). They are too large already: divide."""


@mistake("attend", edit=(".transpose(-2, -1)", ".transpose(0, 1)"))
def transposes_the_first_axes():
    """You transpose the first two axes of the keys. With a batch (and heads) in front, the tokens and the dimension are
    the last two: `keys.transpose(-2, -1)`.
    """


@mistake(
    "attend",
    edit=("output.to(queries.dtype), weights.to(queries.dtype)", "weights.to(queries.dtype), output.to(queries.dtype)"),
)
def weights_first():
    """You return the weights before the output. The order is the output, then the weights."""


@mistake("attend", edit=("_check_shapes(queries, keys, values, mask)", "pass"))
def checks_nothing():
    """You left out `_check_shapes(queries, keys, values, mask)`, the first line: shapes that disagree now end in an
    error of matrix multiplication that names nothing, or in no error at all.
    """


@mistake(
    "attend", edit=("return output.to(queries.dtype), weights.to(queries.dtype)", "return output.to(queries.dtype)")
)
def output_only():
    """You return the output alone. Two things are asked for: the output and the weights, in this order."""


@mistake("attend")
def multiplies_in_half_precision(queries, keys, values, mask=None, dropout=0.0):
    """You multiply in half precision. A score beyond 65,504 is infinite in float16, and the softmax of that is NaN;
    bfloat16 keeps three digits of a score, so that 1,000 and 1,003 become one. Compute in float32, from the queries to
    the output, and cast both results back at the end.
    """
    _check_shapes(queries, keys, values, mask)
    weights = masked_softmax(queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1]), mask)
    return nn.functional.dropout(weights, dropout) @ values, weights


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


@variant("attend")
def in_three_axes(queries, keys, values, mask=None, dropout=0.0):
    """All leading axes made one, for `baddbmm` and `bmm`."""
    _check_shapes(queries, keys, values, mask)
    *batch, tokens, dim = queries.shape
    count, value_dim = values.shape[-2:]
    q, k, v = queries.reshape(-1, tokens, dim), keys.reshape(-1, count, dim), values.reshape(-1, count, value_dim)
    if queries.dtype.itemsize < 4:
        q, k, v = q.float(), k.float(), v.float()
    scores = torch.baddbmm(q.new_zeros(()), q, k.transpose(1, 2), beta=0, alpha=dim**-0.5).reshape(
        *batch, tokens, count
    )
    weights = masked_softmax(scores, mask)
    used = nn.Dropout(dropout)(weights).reshape(-1, tokens, count)
    return torch.bmm(used, v).reshape(*batch, tokens, value_dim).type_as(queries), weights.type_as(queries)


# MultiHeadAttention.split_heads and merge_heads


@mistake("MultiHeadAttention.split_heads")
def views_without_transposing(self, inputs):
    """You reshaped (batch, tokens, dim) to (batch, heads, tokens, head_dim) directly. The shape is right, but the
    numbers are not: a head gets whole vectors of some tokens. Split the last axis first, then swap tokens and
    heads.
    """
    batch, tokens, dim = inputs.shape
    return inputs.reshape(batch, self.heads, tokens, dim // self.heads)


@mistake("MultiHeadAttention.split_heads", edit=("self.heads, -1)).transpose(", "-1, self.heads)).permute(0, 3, "))
def deals_dimensions_like_cards():
    """Your head h gets the dimensions h, h + heads, h + 2·heads, …: the last axis was split into (head_dim, heads).
    Each head gets a contiguous piece: split it into (heads, head_dim).
    """


@mistake("MultiHeadAttention.split_heads", edit=(").transpose(1, 2", ""))
def leaves_heads_behind_tokens():
    """You split the vectors but left the axes as (batch, tokens, heads, head_dim). Attention would then run over
    the heads of one token. Swap tokens and heads.
    """


@mistake("MultiHeadAttention.split_heads", edit=[("2", "1"), ("(1", "(0"), ("(0", "(1, 2).flatten(0")])
def folds_heads_into_the_batch():
    """You folded the heads into the batch: (batch · heads, tokens, head_dim). Heads have an axis of their own here,
    the second.
    """


@mistake("MultiHeadAttention.split_heads", edit=("transpose(1, 2", "permute(0, 2, 3, 1"))
def leaves_tokens_last():
    """Your tokens are the last axis: (batch, heads, head_dim, tokens). Only the keys are transposed like this, and that
    is the work of `attend`. Every head has a row for each token: (batch, heads, tokens, head_dim).
    """


@variant("MultiHeadAttention.split_heads")
def stacks_slices(self, inputs):
    """Slices, stacked."""
    return torch.stack(inputs.chunk(self.heads, dim=-1), dim=1)


@mistake("MultiHeadAttention.merge_heads")
def merges_without_transposing(self, inputs):
    """You reshaped the heads away without swapping heads and tokens back, so that pieces of different tokens end up
    in one vector. Transpose first.
    """
    batch, heads, tokens, head_dim = inputs.shape
    return inputs.reshape(batch, tokens, heads * head_dim)


@mistake("MultiHeadAttention.merge_heads", edit=("inputs.transpose(1, 2)", "inputs.permute(0, 2, 3, 1)"))
def interleaves_heads():
    """You interleaved the heads: the first dimension of every head, then the second of every head, … A head's piece
    must stay together, head 0 first.
    """


@mistake("MultiHeadAttention.merge_heads")
def views_what_is_not_contiguous(self, inputs):
    """`view` cannot change the shape of a transposed tensor, because its numbers no longer lie in that order in
    memory. Use `reshape` or `flatten`, which copy when they must.
    """
    batch, heads, tokens, head_dim = inputs.shape
    return inputs.transpose(1, 2).view(batch, tokens, heads * head_dim)


@mistake("MultiHeadAttention.merge_heads", edit=("transpose(1, 2).flatten(2", "mean(dim=1).repeat(1, 1, self.heads"))
def averages_heads():
    """You averaged the heads. Each has found something else: lay their pieces end to end, and let the output
    projection mix them.
    """


@variant("MultiHeadAttention.merge_heads")
def concatenates_heads(self, inputs):
    """The heads one by one, concatenated."""
    return torch.cat([inputs[:, head] for head in range(self.heads)], dim=-1)


# MultiHeadAttention.forward


@mistake("MultiHeadAttention.forward")
def forgets_the_output_projection(self, inputs, context, mask=None):
    """You return the merged heads without the last projection, `self.out`. Without it the heads never mix."""
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.merge_heads(output), weights


@mistake("MultiHeadAttention.forward")
def drops_in_evaluation_too(self, inputs, context, mask=None):
    """You drop weights in evaluation mode as well, so that answers are random. A function knows no mode: give
    `attend` `self.dropout` only `if self.training`, and 0 otherwise.
    """
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout)
    return self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def drops_in_evaluation_only(self, inputs, context, mask=None):
    """Your dropout is the wrong way round: on in evaluation, off in training. `self.training` is True while
    training.
    """
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, 0.0 if self.training else self.dropout)
    return self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def forgets_dropout(self, inputs, context, mask=None):
    """Your layer never drops: `self.dropout` is not handed to `attend`, in training either."""
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    output, weights = attend(queries, keys, values, None if mask is None else mask.unsqueeze(-3))
    return self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def looks_at_itself(self, inputs, context, mask=None):
    """You take keys and values from `inputs`, so that it is always self-attention and `context` is never read."""
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(inputs)), self.split_heads(self.value(inputs))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def asks_from_the_context(self, inputs, context, mask=None):
    """You swapped the roles: queries come from `context`, keys and values from `inputs`. It is `inputs` that asks."""
    queries = self.split_heads(self.query(context))
    keys, values = self.split_heads(self.key(inputs)), self.split_heads(self.value(inputs))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.out(self.merge_heads(output)), weights


@mistake(
    "MultiHeadAttention.forward",
    edit=[("if mask is not None:\n        mask =", "mask = None if mask is None else"), ("self.value", "self.key")],
)
def reuses_the_key_projection():
    """You project the values by `self.key`. What a token is found by and what it has to say are different things,
    with different weights: use `self.value`.
    """


@mistake("MultiHeadAttention.forward")
def ignores_the_mask(self, inputs, context, mask=None):
    """You never hand the mask to `attend`: the future and the padding stay visible."""
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    output, weights = attend(queries, keys, values, None, self.dropout if self.training else 0.0)
    return self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def mask_without_an_axis_for_heads(self, inputs, context, mask=None):
    """Your mask of shape (batch, queries, keys) meets weights of shape (batch, heads, queries, keys), and its batch
    falls on the heads. Give it an axis for the heads: `mask.unsqueeze(-3)`.
    """
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def one_big_head(self, inputs, context, mask=None):
    """You never split the heads: one attention over all of `dim`, and weights without an axis for heads."""
    output, weights = attend(
        self.query(inputs), self.key(context), self.value(context), mask, self.dropout if self.training else 0.0
    )
    return self.out(output), weights


@mistake("MultiHeadAttention.forward")
def splits_before_projecting(self, inputs, context, mask=None):
    """You leave out the projections of queries, keys and values: every head compares raw pieces of the vectors, and
    three of the four weight matrices get no gradient.
    """
    queries, keys, values = self.split_heads(inputs), self.split_heads(context), self.split_heads(context)
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.out(self.merge_heads(output)), weights


@mistake(
    "MultiHeadAttention.forward",
    edit=[
        ("if mask is not None:\n        mask =", "mask = None if mask is None else"),
        ("    keys", "    queries = queries / math.sqrt(queries.shape[-1])\n    keys"),
    ],
)
def scales_again():
    """You divide the queries by the root of the head's dimension, and `attend` divides the scores by it once
    more. It is done there; here it would be twice.
    """


@mistake("MultiHeadAttention.forward")
def scales_by_the_whole_dimension(self, inputs, context, mask=None):
    """You scale by the root of `dim`. Each dot product sums over one head only: it is the head's dimension, dim /
    heads, that counts, and `attend` takes it from the shape.
    """
    queries = self.split_heads(self.query(inputs)) / math.sqrt(self.heads)
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def averages_the_weights(self, inputs, context, mask=None):
    """You average the weights over the heads, as `nn.MultiheadAttention` does unless told otherwise. Here each head's
    weights are returned: (batch, heads, queries, keys).
    """
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.out(self.merge_heads(output)), weights.mean(dim=1)


@mistake("MultiHeadAttention.forward")
def drops_after_the_projection(self, inputs, context, mask=None):
    """You apply dropout to the output. That is the work of the block around this layer; here `attend` drops weights, at
    the rate that it is given.
    """
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    output, weights = attend(queries, keys, values, None if mask is None else mask.unsqueeze(-3))
    return nn.functional.dropout(self.out(self.merge_heads(output)), self.dropout, self.training), weights


@mistake(
    "MultiHeadAttention.forward",
    edit=("context))\n    if mask is not None:\n        mask =", "inputs))\n    mask = None if mask is None else"),
)
def fetches_from_the_inputs():
    """You take the keys from `context` and the values from `inputs`. A key is found in order to fetch its own value:
    both come from `context`.
    """


@mistake("MultiHeadAttention.forward")
def adds_the_inputs(self, inputs, context, mask=None):
    """You add the inputs to the output. The residual connection belongs to the block around this layer, which would add
    them a second time.
    """
    queries = self.split_heads(self.query(inputs))
    keys, values = self.split_heads(self.key(context)), self.split_heads(self.value(context))
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return inputs + self.out(self.merge_heads(output)), weights


@mistake("MultiHeadAttention.forward")
def forgets_the_biases(self, inputs, context, mask=None):
    """You multiply by the weights of the linear layers and leave their biases out. Call the layer:
    `self.query(inputs)`.
    """
    queries = self.split_heads(inputs @ self.query.weight.T)
    keys, values = self.split_heads(context @ self.key.weight.T), self.split_heads(context @ self.value.weight.T)
    mask = None if mask is None else mask.unsqueeze(-3)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    return self.merge_heads(output) @ self.out.weight.T, weights


@mistake("MultiHeadAttention.forward")
def gives_masks_to_other_sequences(self, inputs, context, mask=None):
    """You fold the heads into the batch and `repeat` the masks: 0, 1, 0, 1. The folded batch has all heads of
    sequence 0 first, then all of sequence 1, and needs 0, 0, 1, 1 (`repeat_interleave`). Simpler: an axis of 1
    for the heads.
    """
    projected = self.query(inputs), self.key(context), self.value(context)
    queries, keys, values = (self.split_heads(tensor).flatten(0, 1) for tensor in projected)
    if mask is not None and mask.dim() == 3:
        mask = mask.expand(len(inputs), -1, -1).repeat(self.heads, 1, 1)
    output, weights = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
    output, weights = (tensor.unflatten(0, (-1, self.heads)) for tensor in (output, weights))
    return self.out(self.merge_heads(output)), weights


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


@variant("MultiHeadAttention.forward")
def one_fused_projection(self, inputs, context, mask=None):
    """Keys and values by one matrix product, and the whole of attention by einsum."""
    weight, bias = torch.cat((self.key.weight, self.value.weight)), torch.cat((self.key.bias, self.value.bias))
    keys, values = nn.functional.linear(context, weight, bias).unflatten(-1, (2, self.heads, -1)).unbind(2)
    queries = self.query(inputs).unflatten(-1, (self.heads, -1))
    scores = torch.einsum("bqhd,bkhd->bhqk", queries, keys) / math.sqrt(queries.shape[-1])
    weights = masked_softmax(scores, None if mask is None else mask.unsqueeze(-3))
    used = nn.functional.dropout(weights, self.dropout, self.training)
    return self.out(torch.einsum("bhqk,bkhd->bqhd", used, values).flatten(2)), weights


# SelfAttention.forward


@mistake("SelfAttention.forward", edit=("self.attention(inputs, inputs, mask)", "self.attention(inputs, inputs)"))
def hides_nothing():
    """You do not hand the mask on: a decoder would see the future, and everybody the padding."""


@mistake("SelfAttention.forward", edit=("mask)", "mask)[0]"))
def keeps_the_weights():
    """You return the output alone. The weights are wanted as well: return both, as `self.attention` does."""


@variant("SelfAttention.forward")
def by_name(self, inputs, mask=None):
    """The arguments by name."""
    output, weights = self.attention(inputs=inputs, context=inputs, mask=mask)
    return output, weights


# positional_encoding


@mistake("positional_encoding")
def sines_then_cosines(tokens, dim):
    """You laid all sines before all cosines. Some models do, but section 3.5 interleaves them: columns 0, 2, 4, …
    are sines, columns 1, 3, 5, … cosines.
    """
    frequencies = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    angles = torch.arange(tokens)[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[:, :dim]


@mistake("positional_encoding")
def a_frequency_for_every_column(tokens, dim):
    """You gave every column a frequency of its own, 10000^(-column/dim). A sine and its cosine share one: with
    `torch.arange(0, dim, 2)`, columns 2i and 2i + 1 both have 10000^(-2i/dim).
    """
    frequencies = 10_000.0 ** (-torch.arange(dim) / dim)
    angles = torch.arange(tokens)[:, None] * frequencies
    return torch.where(torch.arange(dim) % 2 == 0, angles.sin(), angles.cos())


@mistake("positional_encoding", edit=("torch.arange(0, dim, 2)", "torch.arange((dim + 1) // 2)"))
def half_the_exponent():
    """Your exponent is i/dim, where i counts the pairs. It is 2i/dim: the frequencies must run from 1 to nearly
    1/10000, and yours stop at 1/100.
    """


@mistake("positional_encoding", edit=("-torch.arange(0, dim, 2)", "-2 * torch.arange(0, dim, 2)"))
def doubles_the_exponent():
    """Your exponent is doubled: `torch.arange(0, dim, 2)` counts 0, 2, 4, …, so that it is 2i already, and you multiply
    it by 2 again. The frequencies then fall to 1 / 10000 in the middle and go on falling.
    """


@mistake("positional_encoding", edit=(":, :dim", "None, :, :dim"))
def adds_a_batch_axis():
    """You return (1, tokens, dim). The table is (tokens, dim); added to a batch, it broadcasts by itself."""


@mistake("positional_encoding")
def reaches_the_last_frequency(tokens, dim):
    """Your frequencies run from 1 to exactly 1/10000, because you divide by the number of pairs less one. Some programs
    do; section 3.5 divides by dim, and stops just before.
    """
    pairs = (dim + 1) // 2
    frequencies = 10_000.0 ** (-torch.arange(pairs) / max(pairs - 1, 1))
    angles = torch.arange(tokens)[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :dim]


@mistake("positional_encoding", edit=("torch.arange(0, dim, 2)", "torch.arange(0, dim, 2, dtype=torch.float64)"))
def returns_double_precision():
    """Your encoding is float64. Computing in it is fine; but added to float32 embeddings it makes everything after it
    float64, twice the memory. Cast at the end.
    """


@mistake("positional_encoding", edit=[("angles.cos", "angles.sin"), ("(angles.sin", "(angles.cos")])
def cosines_first():
    """You put the cosine before the sine. Even columns are sines: position 0 reads 0, 1, 0, 1 and so on."""


@mistake("positional_encoding", edit=("torch.arange(tokens)", "torch.arange(1, tokens + 1)"))
def counts_from_one():
    """Your positions start at 1. They start at 0, where every sine is 0 and every cosine 1."""


@mistake("positional_encoding", edit=[("frequencies  ", "wavelengths  "), ("(-", "("), ("frequencies", "wavelengths")])
def multiplies_by_the_wavelength():
    """You multiply the position by 10000^(2i/dim) and do not divide by it: the angles race where they should crawl."""


@mistake("positional_encoding")
def needs_an_even_dimension(tokens, dim):
    """With an odd dim there is one sine more than there are cosines, and your cosines do not fit their columns. Cut
    the last one off.
    """
    frequencies = 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
    angles = torch.arange(tokens)[:, None] * frequencies
    encoding = torch.zeros(tokens, dim)
    encoding[:, 0::2] = angles.sin()
    encoding[:, 1::2] = angles.cos()
    return encoding


@variant("positional_encoding")
def column_by_column(tokens, dim):
    """The formula, a column at a time, by logarithms."""
    encoding = torch.empty(tokens, dim)
    positions = torch.arange(tokens, dtype=torch.float64)
    for column in range(dim):
        angles = positions * math.exp(-math.log(10_000.0) * (column - column % 2) / dim)
        encoding[:, column] = torch.cos(angles) if column % 2 else torch.sin(angles)
    return encoding


@variant("positional_encoding")
def cosines_as_shifted_sines(tokens, dim):
    """Sines only: a cosine is a sine a quarter turn ahead."""
    column = torch.arange(dim)
    angles = torch.arange(tokens).double()[:, None] * 10_000.0 ** (-(column - column % 2).double() / dim)
    return torch.sin(angles + column % 2 * math.pi / 2).float()


# Transformer.generate


@mistake(
    "Transformer.generate",
    edit=(
        "logits, _ = self.decode(written, memory, source)\n"
        "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
        "best = self.decode(written, memory, source)[0][:, 0].argmax(dim=-1).masked_fill(ended, self.padding",
    ),
)
def reads_the_first_position():
    """You take the logits of the first position. Position t predicts the token after t, so the next token is in the
    last: `logits[:, -1]`.
    """


@mistake("Transformer.generate")
def shows_the_last_token_only(self, source, start, end, limit):
    """You show the decoder only the token written last. It keeps no memory between calls: it must see everything
    written so far, or it does not even know where it is.
    """
    memory = self.encode(source)
    last = torch.full((len(source), 1), start, device=source.device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    written = last[:, :0]
    for _ in range(limit):
        best = self.decode(last, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding)
        last = best[:, None]
        written = torch.cat((written, last), dim=1)
        ended = ended | (best == end)
        if ended.all():
            break
    return written


@mistake(
    "Transformer.generate",
    edit=[
        ("written[:, 1:]", "written"),
        (
            "logits, _ = self.decode(written, memory, source)\n"
            "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
            "best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding",
        ),
    ],
)
def keeps_the_start():
    """You return the start token as well. It only sets the decoder going: leave out the first column."""


@mistake(
    "Transformer.generate",
    edit=(
        "logits, _ = self.decode(written, memory, source)\n"
        "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
        "best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1",
    ),
)
def writes_on_after_the_end():
    """A sequence that has ended goes on being written while others are not finished. Remember which have ended, and
    give them padding.
    """


@mistake(
    "Transformer.generate",
    edit=[
        ("ended.all", "ended.any"),
        (
            "logits, _ = self.decode(written, memory, source)\n"
            "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
            "best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding",
        ),
    ],
)
def stops_with_the_first():
    """You stop as soon as one sequence has ended, and cut the others off. Go on until all have: `ended.all()`."""


@mistake(
    "Transformer.generate",
    edit=[
        ("ended | (best == end)", "best == end"),
        (
            "logits, _ = self.decode(written, memory, source)\n"
            "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
            "best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding",
        ),
    ],
)
def stops_only_if_all_end_together():
    """You look only at the tokens of this step: sequences that end at different steps never end together. Remember
    the ones that have ended: `ended = ended | (best == end)`.
    """


@mistake("Transformer.generate")
def never_stops(self, source, start, end, limit):
    """You always write `limit` tokens. When every sequence has ended there is nothing left to write: stop."""
    memory = self.encode(source)
    written = torch.full((len(source), 1), start, device=source.device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    for _ in range(limit):
        best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding)
        written = torch.cat((written, best[:, None]), dim=1)
        ended = ended | (best == end)
    return written[:, 1:]


@mistake("Transformer.generate")
def throws_the_end_away(self, source, start, end, limit):
    """You leave the end token out. It is returned: without it nobody can tell a sequence that has ended from one that
    was cut off by the limit.
    """
    memory = self.encode(source)
    written = torch.full((len(source), 1), start, device=source.device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    for _ in range(limit):
        best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1)
        ended = ended | (best == end)
        if ended.all():
            break
        written = torch.cat((written, best.masked_fill(ended, self.padding)[:, None]), dim=1)
    return written[:, 1:]


@mistake("Transformer.generate")
def hides_the_end(self, source, start, end, limit):
    """You write padding in place of the end token itself, because you mark a sequence as ended before you write. Only
    what stands behind the end is padding.
    """
    memory = self.encode(source)
    written = torch.full((len(source), 1), start, device=source.device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    for _ in range(limit):
        best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1)
        ended = ended | (best == end)
        written = torch.cat((written, best.masked_fill(ended, self.padding)[:, None]), dim=1)
        if ended.all():
            break
    return written[:, 1:]


@mistake(
    "Transformer.generate",
    edit=(
        "logits, _ = self.decode(written, memory, source)\n"
        "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
        "best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, end",
    ),
)
def repeats_the_end():
    """You fill a sequence that has ended up with its end token. Behind the end there is padding: `self.padding`."""


@mistake("Transformer.generate")
def counts_the_start(self, source, start, end, limit):
    """You count the start token as written, and stop one token too soon. `limit` is how many tokens you add to it."""
    memory = self.encode(source)
    written = torch.full((len(source), 1), start, device=source.device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    while written.shape[1] < limit:
        best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding)
        written = torch.cat((written, best[:, None]), dim=1)
        ended = ended | (best == end)
        if ended.all():
            break
    return written[:, 1:]


@mistake(
    "Transformer.generate",
    edit=[
        ("end)", "self.padding)"),
        ("ended |", "ended | (best == end) |"),
        (
            "logits, _ = self.decode(written, memory, source)\n"
            "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
            "best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding",
        ),
    ],
)
def padding_ends_too():
    """You take a padding token for an end. The model may choose it like any other token; only `end` ends."""


@mistake("Transformer.generate")
def start_may_end(self, source, start, end, limit):
    """You look for the end among all tokens, the start included. Where one token is both, as in GPT-2, nothing is ever
    written. Look only at what you wrote.
    """
    memory = self.encode(source)
    written = torch.full((len(source), 1), start, device=source.device)
    for _ in range(limit):
        ended = (written == end).any(dim=1)
        if ended.all():
            break
        best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding)
        written = torch.cat((written, best[:, None]), dim=1)
    return written[:, 1:]


@mistake("Transformer.generate")
def stays_on_the_processor(self, source, start, end, limit):
    """You make a tensor without saying where. It lands on the processor, and with a model on a GPU the next operation
    refuses to mix the two. Say `device=source.device`.
    """
    memory = self.encode(source)
    written = torch.full((len(source), 1), start)
    ended = torch.zeros(len(source), dtype=torch.bool)
    for _ in range(limit):
        best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding)
        written = torch.cat((written, best[:, None]), dim=1)
        ended = ended | (best == end)
        if ended.all():
            break
    return written[:, 1:]


@mistake(
    "Transformer.generate",
    edit=[
        (
            "logits, _ = self.decode(written, memory, source)\n"
            "        best = logits[:, -1].argmax(dim=-1).masked_fill(ended, self.padding)  # (batch,",
            "best = self.decode(written, memory, source)[0][:, -1].argmax(dim=-1).masked_fill(ended, self.padding",
        ),
        ("    memory", "    self.eval()\n    memory"),
    ],
)
def changes_the_mode():
    """You call `self.eval()` and leave it at that. A model in the middle of its training would go on without
    dropout and nobody would notice: the mode is the caller's business.
    """


@mistake("Transformer.generate")
def samples(self, source, start, end, limit):
    """You draw the next token at random by its probability. Greedy decoding always takes the most probable:
    `argmax`.
    """
    memory = self.encode(source)
    written = torch.full((len(source), 1), start, device=source.device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    generator = torch.Generator().manual_seed(0)
    for _ in range(limit):
        probabilities = self.decode(written, memory, source)[0][:, -1].softmax(dim=-1)
        drawn = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        best = drawn.masked_fill(ended, self.padding)
        written = torch.cat((written, best[:, None]), dim=1)
        ended = ended | (best == end)
        if ended.all():
            break
    return written[:, 1:]


@variant("Transformer.generate")
def by_whole_forward_passes(self, source, start, end, limit):
    """No memory kept: the whole model at every step; rows that have ended are found by looking back."""
    written = source.new_full((len(source), 1), start)
    while written.shape[1] <= limit:
        ended = (written[:, 1:] == end).any(dim=1)
        if ended.all() and len(source):
            break
        best = self(source, written)[:, -1].argmax(dim=-1)
        best[ended] = self.padding
        written = torch.cat([written, best.unsqueeze(1)], dim=1)
    return written[:, 1:]


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
