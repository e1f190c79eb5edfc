"""Checks of attention: cases computed by hand, PyTorch's own attention as the reference, and what must always hold."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from groundup.checking import assert_close, assert_refuses, assert_shape, assert_unchanged, module_conventions
from groundup.stack.deep.attention import (
    MultiHeadAttention,
    SelfAttention,
    Transformer,
    attend,
    causal_mask,
    masked_softmax,
    positional_encoding,
)

FLOAT32 = {"rtol": 1e-4, "atol": 1e-6}
PADDING, START, END = 0, 1, 2


def normal(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape)).to(dtype)


def drawn(module: Any, rng: np.random.Generator) -> Any:
    """The module in float64 and evaluation mode, its weights and biases drawn from `rng`."""
    for parameter in module.double().parameters():
        parameter.data = normal(rng, *parameter.shape) / 2
    return module.eval()


def some_mask(rng: np.random.Generator, *shape: int) -> Tensor:
    """A random mask under which every query may look at the first key."""
    mask = torch.from_numpy(rng.random(shape) < 0.6)
    mask[..., 0] = True
    return mask


# The causal mask.


def test_causal_mask_by_hand() -> None:
    """Row = query, column = key, True where the query may look: of three tokens, the first sees itself alone."""
    mask = causal_mask(3)
    assert_close(mask, [[True, False, False], [True, True, False], [True, True, True]])
    assert mask.dtype == torch.bool, f"causal_mask says yes or no, in dtype torch.bool; got {mask.dtype}"


def test_causal_mask_counts() -> None:
    """Query t sees t + 1 keys, in masks of every size, also of one token or none."""
    for tokens in (0, 1, 6, 300):
        mask, seen = causal_mask(tokens), torch.arange(1, tokens + 1)
        assert_shape(mask, (tokens, tokens), f"causal_mask({tokens}) is square")
        assert_close(mask.sum(1), seen, f"causal_mask({tokens}): how many keys each query sees")
        assert_close(mask.sum(0), seen.flip(0), f"causal_mask({tokens}): by how many queries each key is seen")


# Softmax under a mask.


def test_masked_softmax_by_hand() -> None:
    """Scores 0 and ln 3 give weights 1/4 and 3/4; what is masked gets exactly 0."""
    weights = masked_softmax(torch.tensor([[0.0, 5.0, math.log(3.0)]]), torch.tensor([[True, False, True]]))
    assert_close(weights, [[0.25, 0.0, 0.75]], "masked_softmax([[0, 5, ln 3]]) with the 5 masked", **FLOAT32)
    assert weights[0, 1] == 0, f"a masked key must get exactly 0, got {weights[0, 1].item()}"
    weights = masked_softmax(torch.tensor([[0.0, math.log(3.0)]]))
    assert_close(weights, [[0.25, 0.75]], "masked_softmax([[0, ln 3]]) is e^0 : e^(ln 3) = 1 : 3", **FLOAT32)


def test_masked_softmax_agrees_with_torch(rng: np.random.Generator) -> None:
    """It is torch.softmax over the last axis; one row of a mask serves all queries, one matrix all batches."""
    scores = 3 * normal(rng, 2, 3, 4)
    assert_close(masked_softmax(scores), scores.softmax(-1), "masked_softmax(scores) of shape (2, 3, 4)")
    for shape in [(4,), (1, 4), (3, 4), (3, 1), (2, 1, 4), (1, 3, 4), (2, 3, 4)]:
        mask = torch.from_numpy(rng.random(shape) < 0.6)
        expected = scores.masked_fill(~mask, -math.inf).softmax(-1).nan_to_num(0.0)
        assert_close(masked_softmax(scores, mask), expected, f"masked_softmax with a mask of shape {shape}")


def test_masked_softmax_row_without_keys_is_zero() -> None:
    """A query that may look at nothing gets zeros and sends back gradient 0: not NaN, which would spread."""
    scores = torch.tensor([[1.0, 2.0], [2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    weights, p = masked_softmax(scores, torch.tensor([[True, True], [False, False]])), 1 / (1 + math.e)
    assert_close(weights, [[p, 1 - p], [0.0, 0.0]], "masked_softmax when the second query may look at no key")
    (weights * torch.tensor([[1.0, 0.0], [1.0, 2.0]])).sum().backward()
    message = "the gradient of masked_softmax's first weight (p(1-p), -p(1-p)); nothing from the row without keys"
    assert_close(scores.grad, [[p * (1 - p), -p * (1 - p)], [0, 0]], message)


def test_masked_softmax_of_any_finite_scores() -> None:
    """Only differences count, within a row and among the keys that are seen: large scores overflow nothing."""
    for size in (1e2, 1e4, 1e30):
        scores = torch.tensor([[size, 0.0], [-size, -size], [0.0, -size], [0.0, 0.0]])
        message = f"masked_softmax([[s, 0], [-s, -s], [0, -s], [0, 0]]) with s = {size:g}"
        assert_close(masked_softmax(scores), [[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5]], message, **FLOAT32)
    for shift in (-1e6, -1e3, 1e3, 1e6):
        scores = torch.tensor([[0.0, math.log(3.0), 500.0]], dtype=torch.float64) + shift
        weights = masked_softmax(scores, torch.tensor([[True, True, False]]))
        message = f"masked_softmax([[s, s + ln 3, s + 500]]) with s = {shift:g} and the last key masked"
        assert_close(weights, [[0.25, 0.75, 0.0]], message, rtol=1e-6)
    only = masked_softmax(torch.tensor([[0.0, 0.0, -1e30]]), torch.tensor([[False, False, True]]))
    assert_close(only, [[0.0, 0.0, 1.0]], "masked_softmax with only a score of -1e30 left to look at")


def test_masked_softmax_keeps_the_dtype() -> None:
    """Half precision stays half precision; its masks do not overflow, and its rows without keys are zeros as well."""
    for dtype in (torch.float32, torch.float64, torch.float16):
        scores = torch.tensor([[1.0, 1.0, 9.0], [1.0, 1.0, 9.0]], dtype=dtype)
        weights = masked_softmax(scores, torch.tensor([[True, True, False], [False, False, False]]))
        assert weights.dtype == dtype, f"masked_softmax of {dtype} must be {dtype}, got {weights.dtype}"
        message = f"masked_softmax([[1, 1, 9], [1, 1, 9]]) of {dtype}, masked: the first row's 9, the whole second row"
        assert_close(weights.double(), [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], message, rtol=2 * torch.finfo(dtype).eps)


# Scaled dot-product attention.


def test_attend_by_hand() -> None:
    """Two tokens of four dimensions: scores are 2 ln 3 / sqrt(4) = ln 3 against 0, so weights are 3 : 1."""
    queries = torch.tensor([[math.log(3.0), 0, 0, 0], [0, 0, 0, 0]])
    keys = torch.tensor([[2.0, 1, 0, 0], [0, 0, 1, 5]])
    output, weights = attend(queries, keys, torch.tensor([[8.0], [4.0]]))
    message = "attend: q1·k1 = 2 ln 3 and q1·k2 = 0; divided by sqrt(4) and through softmax, the "
    assert_close(weights, [[0.75, 0.25], [0.5, 0.5]], message + "weights", **FLOAT32)
    assert_close(output, [[7.0], [6.0]], message + "output, 0.75·8 + 0.25·4", **FLOAT32)


def test_attend_agrees_with_torch(rng: np.random.Generator) -> None:
    """PyTorch's own attention says the same, for all lengths, sizes of values, leading axes, masks and layouts."""
    every: list[Any] = [None, (6,), (4, 6), (1, 6), (2, 1, 1, 6), (3, 4, 6), (2, 1, 4, 6), (2, 3, 4, 6)]
    sizes: list[tuple[tuple[int, ...], int, int, int, int, list[Any]]] = [
        ((2, 3), 4, 6, 5, 2, every),
        ((2,), 3, 5, 2, 7, [None, (2, 3, 5)]),
        ((), 5, 2, 3, 1, [None, (5, 2)]),
        ((1, 1), 1, 1, 1, 1, [None, (1, 1)]),
    ]
    for batch, queries, keys, dim, value_dim, masks in sizes:
        sides = (queries, dim), (keys, dim), (keys, value_dim)
        q, k, v = (normal(rng, *batch, size, tokens).transpose(-2, -1) for tokens, size in sides)  # not contiguous
        for shape in masks:
            mask = None if shape is None else some_mask(rng, *shape)
            output, weights = attend(q, k, v, mask)
            full = None if mask is None else mask.expand(*batch, queries, keys)
            expected = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=full)
            case = f"attend with queries {tuple(q.shape)}, keys {tuple(k.shape)}, values {tuple(v.shape)}, mask {shape}"
            assert_close(output, expected, case)
            assert_shape(weights, (*batch, queries, keys), f"{case}: the weights")
            assert_close(weights @ v, expected, f"{case}: the weights, multiplied by the values")
            assert_close(weights.sum(-1), torch.ones(*batch, queries), f"{case}: the sum of each query's weights")


def test_attend_is_causal(rng: np.random.Generator) -> None:
    """Under the causal mask, the output at t has gradient exactly 0 to all later tokens, and not 0 to the others."""
    x = normal(rng, 5, 4).requires_grad_()
    attend(x, x, x, causal_mask(5))[0][2].sum().backward()
    assert x.grad is not None, "attend must let gradients through: were the inputs detached?"
    assert (x.grad[3:] == 0).all(), "the output at 2 must have gradient exactly 0 to tokens 3 and 4"
    assert (x.grad[:3] != 0).any(dim=1).all(), "the output at 2 must have a gradient to each of tokens 0, 1 and 2"


def test_attend_gradients_agree_with_torch(rng: np.random.Generator) -> None:
    """The gradients to queries, keys and values are those of PyTorch; the returned weights carry gradients as well."""
    q, k, v = (normal(rng, *shape).requires_grad_() for shape in [(3, 4), (5, 4), (5, 2)])
    mask, slope = some_mask(rng, 3, 5), normal(rng, 3, 2)
    output, weights = attend(q, k, v, mask)
    expected = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    wanted = torch.autograd.grad((expected * slope).sum(), (q, k, v))
    for name, got, want in zip("qkv", torch.autograd.grad((output * slope).sum(), (q, k, v)), wanted, strict=True):
        assert_close(got, want, f"the gradient of attend to its {name}")
    assert weights.requires_grad, "the weights that attend returns must not be detached"
    wanted = torch.autograd.grad((torch.softmax(q @ k.T / 2, -1) ** 2).sum(), (q, k))
    for name, got, want in zip("qk", torch.autograd.grad((attend(q, k, v)[1] ** 2).sum(), (q, k)), wanted, strict=True):
        assert_close(got, want, f"the gradient of attend's weights to its {name}")


def test_attend_query_without_keys_gives_zeros(rng: np.random.Generator) -> None:
    """A query that may look at nothing gets an output of zeros, and the gradients of the others stay finite."""
    q, k, v = (normal(rng, 2, 3).requires_grad_() for _ in range(3))
    output, weights = attend(q, k, v, torch.tensor([[False, False], [True, True]]))
    assert_close(output[0], torch.zeros(3), "attend: the output of a query all of whose keys are masked", atol=0)
    assert_close(weights[0], torch.zeros(2), "attend: the weights of a query all of whose keys are masked", atol=0)
    output.sum().backward()
    for name, tensor in (("queries", q), ("keys", k), ("values", v)):
        assert tensor.grad is not None, f"no gradient reached the {name}"
        assert tensor.grad.isfinite().all(), f"a fully masked query must not make the {name}' gradient NaN"


def assert_half_precision(dtype: torch.dtype, rng: np.random.Generator) -> None:
    """Fail unless `attend` computes half precision in float32: by hand, and as PyTorch does."""
    queries = torch.tensor([[512.0, 512.0, 512.0, 1.0]], dtype=dtype)
    keys = torch.tensor([[512.0, 512.0, 512.0, 4.0], [512.0, 512.0, 512.0, 2.0]], dtype=dtype)
    output, weights = attend(queries, keys, torch.tensor([[1.0], [0.0]], dtype=dtype))
    assert output.dtype == weights.dtype == dtype, f"attend of {dtype} gave {output.dtype} and {weights.dtype}"
    share, close = math.e / (1 + math.e), {"rtol": 2 * torch.finfo(dtype).eps}
    message = f"attend of {dtype}, scores of half a million that differ by 1: float32 tells them apart; the "
    assert_close(weights.double(), [[share, 1 - share]], message + "weights", **close)
    assert_close(output.double(), [[share]], message + "output", **close)
    q, k = (100 * normal(rng, 2, count, 8, dtype=dtype) for count in (4, 5))
    v, atol = normal(rng, 2, 5, 8, dtype=dtype), 8 * torch.finfo(dtype).eps
    expected = nn.functional.scaled_dot_product_attention(q, k, v)
    assert_close(attend(q, k, v)[0].double(), expected.double(), f"attend of {dtype}, as PyTorch's", atol=atol)


def test_attend_of_float16(rng: np.random.Generator) -> None:
    """Scaled scores of 393,218 and 393,217, beyond what float16 holds, differ by 1: weights are e : 1."""
    assert_half_precision(torch.float16, rng)


def test_attend_leaves_its_inputs_alone(rng: np.random.Generator) -> None:
    """Queries, keys, values, scores and mask are what they were."""
    assert_unchanged(masked_softmax, normal(rng, 2, 3), torch.tensor([[True, False, True], [False, False, False]]))
    assert_unchanged(attend, normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 2, 5, 2), some_mask(rng, 3, 5))


def test_attend_dropout(rng: np.random.Generator) -> None:
    """It drops single weights, a key for one query, and scales the others up; the returned weights are from before."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    q, k = normal(rng, 40, 3), normal(rng, 50, 3)
    output, weights = attend(q, k, torch.eye(50, dtype=torch.float64), dropout=0.2)  # the output is the weights used
    assert_close(weights, attend(q, k, k)[1], "attend with dropout=0.2: the weights returned, from before dropout")
    share, kept = (output == 0).double(), output != 0
    assert 0.15 < share.mean() < 0.25, f"dropout=0.2 must drop a fifth of the weights, dropped {share.mean():.0%}"
    assert share.mean(0).max() < 0.95, "attend with dropout=0.2: a key is lost to all queries; drop weights, not values"
    message = "attend with dropout=0.2: the weights that remain are divided by 0.8, so that the mean stays"
    assert_close(output[kept], weights[kept] / 0.8, message)
    output, _ = attend(q, k, torch.ones(50, 2, dtype=torch.float64), dropout=0.5)
    message = (
        "attend with dropout=0.5 and values of ones: both columns add up the same weights; drop those, not outputs"
    )
    assert_close(output[:, 0], output[:, 1], message)


def test_attend_refuses_what_does_not_fit() -> None:
    """Shapes that disagree and a mask of numbers are refused (`_check_shapes` does it, if it is called)."""
    cases: list[tuple[tuple[tuple[int, ...], ...], tuple[int, ...] | None, tuple[Any, ...]]] = [
        (((3, 4), (3, 5), (3, 5)), None, (4, 5)),
        (((3, 4), (5, 4), (3, 4)), None, (5, 3)),
        (((3, 4), (0, 4), (0, 4)), None, (0,)),
        (((2, 3, 4), (5, 3, 4), (5, 3, 4)), None, ((2,), (5,))),
        (((2, 3, 4), (2, 3, 4), (2, 3, 4)), (3, 2), ((3, 2),)),
        (((2, 3, 4), (2, 3, 4), (2, 3, 4)), (1, 2, 3, 3), ((1, 2, 3, 3),)),
    ]
    for shapes, size, named in cases:
        q, k, v = (torch.ones(shape) for shape in shapes)
        mask = None if size is None else torch.ones(size, dtype=torch.bool)
        message = f"attend: queries, keys, values of shapes {shapes}, mask {size}"
        assert_refuses(lambda arguments=(q, k, v, mask): attend(*arguments), *named, message=message)
    with pytest.raises(TypeError):
        attend(torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 4), torch.zeros(3, 3))


# Several heads.


def test_split_heads_by_hand() -> None:
    """Head 0 gets the first piece of every token, head 1 the second: (batch, heads, tokens, head_dim)."""
    inputs = torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]])
    expected = [[[[1, 2], [5, 6], [9, 10]], [[3, 4], [7, 8], [11, 12]]]]
    assert_close(MultiHeadAttention(4, 2).split_heads(inputs), expected, "split_heads of 3 tokens into 2 heads")


def test_merge_heads_by_hand() -> None:
    """A token's pieces lie end to end again, head 0 first."""
    inputs = torch.tensor([[[[1, 2], [5, 6], [9, 10]], [[3, 4], [7, 8], [11, 12]]]])
    expected = [[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]]
    assert_close(MultiHeadAttention(4, 2).merge_heads(inputs), expected, "merge_heads of 2 heads, 3 tokens")


def test_split_and_merge_heads(rng: np.random.Generator) -> None:
    """Head h of split_heads is the h-th slice of the vectors, in any layout, and merge_heads undoes it."""
    for batch, tokens, heads, head_dim in ((2, 3, 4, 5), (1, 1, 1, 1), (3, 2, 1, 4), (2, 4, 6, 1)):
        layer, inputs = MultiHeadAttention(heads * head_dim, heads), normal(rng, tokens, batch, heads * head_dim)
        inputs = inputs.transpose(0, 1)  # not contiguous
        split, case = layer.split_heads(inputs), f"{tuple(inputs.shape)} into {heads} heads"
        assert_shape(split, (batch, heads, tokens, head_dim), f"split_heads of {case}")
        for head in range(heads):
            piece = inputs[:, :, head * head_dim : (head + 1) * head_dim]
            assert_close(split[:, head], piece, f"split_heads of {case}: head {head}", atol=0)
        message = f"merge_heads(split_heads(inputs)) is inputs, {case} and back"
        assert_close(layer.merge_heads(split.clone()), inputs, message, atol=0)


def reference_of(layer: MultiHeadAttention, dim: int) -> nn.MultiheadAttention:
    """PyTorch's layer with the same weights."""
    reference = nn.MultiheadAttention(dim, layer.heads, batch_first=True).double().eval()
    projections = (layer.query, layer.key, layer.value)
    reference.in_proj_weight.data = torch.cat([projection.weight.data for projection in projections])
    reference.in_proj_bias.data = torch.cat([projection.bias.data for projection in projections])
    reference.out_proj.load_state_dict(layer.out.state_dict())
    return reference


@pytest.mark.parametrize(
    ("batch", "queries", "keys", "dim", "heads"), [(2, 3, 5, 8, 4), (1, 4, 4, 6, 1), (3, 1, 2, 4, 4)]
)
def test_multi_head_agrees_with_torch(
    rng: np.random.Generator, batch: int, queries: int, keys: int, dim: int, heads: int
) -> None:
    """nn.MultiheadAttention with the same weights gives the same (but in its masks, True means hidden)."""
    layer = drawn(MultiHeadAttention(dim, heads), rng)
    inputs, context, reference = (
        normal(rng, batch, queries, dim),
        normal(rng, batch, keys, dim),
        reference_of(layer, dim),
    )
    mask = some_mask(rng, batch, queries, keys)
    for allowed in (None, mask, mask[0], mask[:, :1]):
        hidden = None if allowed is None else (~allowed).expand(batch, queries, -1).repeat_interleave(heads, dim=0)
        expected, expected_weights = reference(inputs, context, context, attn_mask=hidden, average_attn_weights=False)
        output, weights = layer(inputs, context, allowed)
        shape = None if allowed is None else tuple(allowed.shape)
        case = f"MultiHeadAttention({dim}, {heads}) on {tuple(inputs.shape)} and {tuple(context.shape)}, mask {shape}"
        assert_close(weights, expected_weights, f"{case}: the weights")
        assert_close(output, expected, f"{case}: the output")
    blind, _ = layer(inputs, context, torch.zeros(queries, keys, dtype=torch.bool))
    message = f"MultiHeadAttention({dim}, {heads}) with all keys masked: what `out` makes of zeros, its bias"
    assert_close(blind, layer.out.bias.expand(batch, queries, -1), message)


# Every parameter of the whole transformer is checked below. That about devices imports SymPy.
LEFT_OUT = ["takes_any_leading_axes", "its_gradient_reaches_every_parameter", "follows_the_device"]


@pytest.mark.parametrize("convention", module_conventions(without=LEFT_OUT))
def test_multi_head_is_a_module(rng: np.random.Generator, convention: Any) -> None:
    """It keeps PyTorch's conventions."""
    inputs, context = normal(rng, 2, 3, 4, dtype=torch.float32), normal(rng, 2, 5, 4, dtype=torch.float32)
    convention(lambda: MultiHeadAttention(4, 2, dropout=0.5), inputs, context, some_mask(rng, 2, 3, 5))


def test_multi_head_drops_weights_in_training(rng: np.random.Generator) -> None:
    """In training, that share of the weights is dropped, in each head by itself, and nothing else."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    layer, x = MultiHeadAttention(4, 2, dropout=0.75).double(), normal(rng, 64, 4, 4)
    # Every value is 1 and `out` changes nothing, so that an output is the sum of the weights that remained.
    layer.value.weight.data, layer.value.bias.data = torch.zeros(4, 4).double(), torch.ones(4).double()
    layer.out.weight.data, layer.out.bias.data = torch.eye(4).double(), torch.zeros(4).double()
    output, weights = layer(x, x)
    share = (output == 0).double().mean().item()
    assert 0.23 < share < 0.41, f"4 weights dropped with p=0.75 each leave 0.75^4 = 32% of outputs 0, got {share:.0%}"
    message = (
        "MultiHeadAttention with dropout=0.75, values of ones: both dimensions of head 0, which drops weights only"
    )
    assert_close(output[..., 0], output[..., 1], message)
    assert not torch.allclose(output[..., 0], output[..., 2]), "each head must drop weights of its own"
    assert_close(weights, layer.eval()(x, x)[1], "MultiHeadAttention in training: the weights, from before dropout")


def test_self_attention_agrees_with_torch(rng: np.random.Generator) -> None:
    """Queries, keys and values of self-attention all come from one sequence, with and without a mask."""
    layer, x = drawn(SelfAttention(6, 3), rng), normal(rng, 2, 4, 6)
    for allowed in (None, causal_mask(4)):
        hidden = None if allowed is None else ~allowed
        expected, weights = reference_of(layer.attention, 6)(x, x, x, attn_mask=hidden, average_attn_weights=False)
        case = "SelfAttention(6, 3) " + ("without a mask" if allowed is None else "under the causal mask")
        output, ours = layer(x, allowed)
        assert_close(ours, weights, f"{case}: the weights")
        assert_close(output, expected, f"{case}: the output")


# Positions.


def test_positional_encoding_by_hand() -> None:
    """With 4 dimensions the angles are t and t / 100: sin t, cos t, sin t/100, cos t/100."""
    expected = [[0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]]
    assert_close(positional_encoding(2, 4), expected, "positional_encoding(2, 4)", **FLOAT32)


def test_positional_encoding_agrees_with_the_formula() -> None:
    """Every entry is the formula of the paper, also with an odd dimension, whose last sine has no cosine."""
    for tokens, dim in ((50, 16), (7, 1), (7, 2), (9, 5), (1, 6), (0, 4), (1000, 6)):
        position, column = np.arange(tokens)[:, None], np.arange(dim)
        angles = position / 10_000 ** (2 * (column // 2) / dim)
        expected = np.where(column % 2, np.cos(angles), np.sin(angles))
        encoding = positional_encoding(tokens, dim)
        # An angle of 1000 in float32 is known to about 6e-5.
        assert_close(encoding, expected, f"positional_encoding({tokens}, {dim})", rtol=1e-4, atol=1e-5 + 1e-6 * tokens)
        assert encoding.dtype == torch.float32, f"positional_encoding must be float32, got {encoding.dtype}"
        assert not encoding.requires_grad, "positional_encoding is constant: it must not ask for a gradient"


# The encoder-decoder. Its blocks are given; they work if your parts do, and `generate` is yours.


def small_transformer(rng: np.random.Generator, layers: int = 1) -> Transformer:
    """A transformer of seven tokens in evaluation mode, its weights drawn from `rng`."""
    return drawn(Transformer(7, dim=8, heads=2, layers=layers, dropout=0.1, max_tokens=12, padding=PADDING), rng)


def copy_block(block: Any, reference: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer) -> None:
    """Give PyTorch's layer of an encoder or decoder the weights of ours."""
    reference.self_attn = reference_of(block.self_attention.attention, 8)
    if isinstance(reference, nn.TransformerDecoderLayer):
        reference.multihead_attn = reference_of(block.cross_attention, 8)
    reference.linear1.load_state_dict(block.feed_forward[0].state_dict())
    reference.linear2.load_state_dict(block.feed_forward[2].state_dict())
    for number, norm in enumerate(block.norms, start=1):
        getattr(reference, f"norm{number}").load_state_dict(norm.state_dict())


def test_transformer_agrees_with_torch(rng: np.random.Generator) -> None:
    """PyTorch's own layers (pre-norm), with the same weights and in the same order, give the same logits."""
    model = small_transformer(rng, layers=2)
    source = torch.tensor([[3, 4, 5, 6], [6, 5, PADDING, PADDING]])
    target = torch.tensor([[START, 3, 4], [START, 6, 5]])
    # PyTorch wants a mask for each head of each sequence; its argument for padding imports a computer algebra system.
    padding = (source == PADDING).repeat_interleave(2, dim=0)[:, None]
    settings: Any = {
        "dim_feedforward": 32,
        "dropout": 0.0,
        "batch_first": True,
        "norm_first": True,
        "dtype": torch.float64,
    }
    memory = model.embedding(source) + model.positions[:4]
    for block in model.encoder:
        layer = nn.TransformerEncoderLayer(8, 2, **settings)
        copy_block(block, layer)
        memory = layer(memory, src_mask=padding.expand(-1, 4, -1))
    memory = model.norms[0](memory)
    assert_close(model.encode(source), memory, "Transformer.encode: what each token of the source has become")
    hidden, future = model.embedding(target) + model.positions[:3], torch.ones(3, 3, dtype=torch.bool).triu(1)
    for block in model.decoder:
        layer = nn.TransformerDecoderLayer(8, 2, **settings)
        copy_block(block, layer)
        hidden = layer(hidden, memory, tgt_mask=future, memory_mask=padding.expand(-1, 3, -1))
    assert_close(model(source, target), model.out(model.norms[1](hidden)), "Transformer: the logits")


def test_transformer_trains_every_parameter(rng: np.random.Generator) -> None:
    """Every parameter of the transformer receives a finite gradient, also beside a row of nothing but padding."""
    model = small_transformer(rng)
    source, target = torch.tensor([[3, 4, 5], [PADDING] * 3]), torch.tensor([[START, 5, 4], [START, 3, 3]])
    (model(source, target) * normal(rng, 2, 3, 7)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"no gradient reached {name}"
        assert parameter.grad.isfinite().all(), f"the gradient of {name} must be finite"
        if not name.endswith("key.bias"):  # a bias of keys shifts all scores of a query
            assert parameter.grad.abs().max() > 1e-9, f"the gradient of {name} must not be 0: is it used?"


class Scripted(Transformer):
    """A transformer that would write `script` one token after another, and keeps what it was shown and has read.

    At a position that it was not asked about, it votes for another token: only the last position counts.
    """

    def __init__(self, script: list[list[int]], padding: int = PADDING) -> None:
        super().__init__(vocabulary=10, dim=4, heads=1, layers=0, padding=padding)
        self.script, self.shown, self.read = (
            torch.tensor(script),
            list[list[list[int]]](),
            list[tuple[Tensor, Tensor]](),
        )

    def encode(self, source: Tensor) -> Tensor:
        """Return the embeddings as they are."""
        return self.embedding(source)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits that vote for the script."""
        self.shown.append(target.tolist())
        self.read.append((memory, source))
        votes = torch.full_like(target, 3, dtype=torch.long)
        votes[:, -1] = self.script[:, target.shape[1] - 1]
        maps = memory.new_zeros(1, len(target), 1, target.shape[1], source.shape[1])
        return nn.functional.one_hot(votes, 10) * 0.5 - 1.0, maps


def test_generate_by_hand() -> None:
    """It appends the most probable token at the last position, shows the decoder all so far, leaves the start out."""
    model = Scripted([[5, 6, 7, 8]])
    written = model.generate(torch.tensor([[4, 4]]), START, END, 3)
    assert_close(written, [[5, 6, 7]], "generate when the model votes for 5, 6, 7, 8 in turn, limit=3", atol=0)
    expected = [[[START]], [[START, 5]], [[START, 5, 6]]]
    assert model.shown == expected, f"generate must show the decoder {expected}, but showed {model.shown}"
    assert_shape(model.generate(torch.tensor([[4]]), START, END, 0), (1, 0), "generate with limit=0 writes nothing")


def test_generate_reads_the_source() -> None:
    """At each step the decoder is given what `encode` made of the whole source, and the source itself."""
    model, source = Scripted([[5, 6], [7, 8]]), torch.tensor([[4, 5], [6, PADDING]])
    model.generate(source, START, END, 2)
    for memory, read in model.read:
        assert_close(read, source, "generate: the source that the decoder is given", atol=0)
        assert_close(memory, model.encode(source), "generate: the memory that the decoder is given", **FLOAT32)


def test_generate_ends() -> None:
    """Writing stops when every sequence has ended; the end is kept, and behind it there is padding."""
    model = Scripted([[5, END, 7, 7, 7, 7], [6, 6, 6, END, 7, 7]])
    message = "generate: the first sequence ends after 2 tokens, the second after 4, of at most 6"
    written = model.generate(torch.tensor([[4], [4]]), START, END, 6)
    assert_close(written, [[5, END, PADDING, PADDING], [6, 6, 6, END]], message, atol=0)
    assert_close(Scripted([[END, 5]]).generate(torch.tensor([[4]]), START, END, 2), [[END]], "generate: ends at once")


def test_generate_uses_the_tokens_as_given() -> None:
    """Start and end are those that were given; what stands behind the end is the padding of the model."""
    model = Scripted([[2, 8, 7, 5], [2, 1, 8, 5]], padding=9)
    written = model.generate(torch.tensor([[4], [4]]), start=7, end=8, limit=4)
    message = "generate with start=7, end=8, padding=9, when the model votes for 2, 8, 7, 5 and for 2, 1, 8, 5"
    assert_close(written, [[2, 8, 9], [2, 1, 8]], message, atol=0)
    assert model.shown[0] == [[7], [7]], f"generate with start=7 must begin with 7, began with {model.shown[0]}"


def test_generate_ends_with_the_end_only() -> None:
    """A padding token that the model chose is a token like others, and a start that equals the end does not end."""
    written = Scripted([[PADDING, 5, END, 7]]).generate(torch.tensor([[4]]), START, END, 4)
    assert_close(written, [[PADDING, 5, END]], "generate when the model votes for padding, 5, end", atol=0)
    written = Scripted([[5, END, 7]]).generate(torch.tensor([[4]]), start=END, end=END, limit=3)
    assert_close(written, [[5, END]], "generate with one token for start and end, as GPT-2 has", atol=0)


class OtherDevice(TorchFunctionMode):
    """Tensors that are made without `device=…` land on a device without memory, as if the rest were on a GPU.

    Single numbers may stay where they are: PyTorch lets them meet tensors of any device.
    """

    makers = (torch.full, torch.zeros, torch.ones, torch.empty, torch.arange, torch.tensor)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what is asked, elsewhere."""
        made = func(*args, **(kwargs or {}))
        return made.to("meta") if func in self.makers and "device" not in (kwargs or {}) and made.dim() else made


def test_generate_works_where_the_source_is() -> None:
    """Every tensor that is made is made on the device of the source."""
    model, source = Scripted([[5, END], [6, 7]]), torch.tensor([[4], [4]])
    try:
        with OtherDevice():
            written = model.generate(source, START, END, 2)
    except (RuntimeError, NotImplementedError) as error:
        pytest.fail(f"generate: a tensor was made without device=source.device, which fails on a GPU\n  {error}")
    assert_close(written, [[5, END], [6, 7]], "generate when another device is the default", atol=0)


def test_generate_agrees_with_forward(rng: np.random.Generator) -> None:
    """Every token written is the most probable one, given the source and all before it."""
    model, source = small_transformer(rng), torch.tensor([[3, 4, 5], [6, 3, PADDING], [4, 4, 4]])
    written = model.generate(source, START, END, 6)
    assert not written.is_floating_point(), f"generate must return integers, got {written.dtype}"
    target = torch.cat((torch.full((3, 1), START), written), dim=1)
    best = model(source, target[:, :-1]).argmax(-1)
    for row, (tokens, votes) in enumerate(zip(written.tolist(), best.tolist(), strict=True)):
        length = tokens.index(END) + 1 if END in tokens else len(tokens)
        message = f"generate, sequence {row}: the tokens written, and the most probable ones at each position"
        assert_close(tokens[:length], votes[:length], message, atol=0)


def test_generate_leaves_the_model_alone(rng: np.random.Generator) -> None:
    """Neither the model's mode, its parameters, nor the source change, and no gradient is kept."""
    model, source = small_transformer(rng), torch.tensor([[3, 4, 5]])
    before, kept = copy.deepcopy(model.state_dict()), source.clone()
    written = model.generate(source, START, END, 3)
    assert not written.requires_grad, "generate must not track gradients"
    assert not model.training, "generate must not switch the model to training mode"
    model.train().generate(source, START, END, 1)
    assert model.training, "generate must not leave a model that was training in evaluation mode: that is the caller's"
    assert_close(source, kept, "generate must not change the source", atol=0)
    for name, value in model.state_dict().items():
        assert_close(value, before[name], f"generate must not change {name}", atol=0)


# NumPy has no bfloat16, so the grader cannot compare what it sees of this call: it is last, and no diagnosis needs it.


def test_attend_of_bfloat16(rng: np.random.Generator) -> None:
    """Scaled scores of 393,218 and 393,217, which are one number in bfloat16, differ by 1: weights are e : 1."""
    assert_half_precision(torch.bfloat16, rng)
    scores, mask = torch.tensor([[1.0, 1.0, 9.0]], dtype=torch.bfloat16), torch.tensor([[True, True, False]])
    weights = masked_softmax(scores, mask)
    assert weights.dtype == torch.bfloat16, f"masked_softmax of bfloat16 must be bfloat16, got {weights.dtype}"
    assert_close(weights.double(), [[0.5, 0.5, 0.0]], "masked_softmax([[1, 1, 9]]) of bfloat16, the 9 masked")
