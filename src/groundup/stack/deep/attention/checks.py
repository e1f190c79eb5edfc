"""Checks of attention: cases computed by hand, PyTorch's own attention as the reference, and what must always hold."""

import copy
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from groundup.checking import assert_close, assert_refuses, assert_shape
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


def multi_head(rng: np.random.Generator, dim: int, heads: int, dropout: float = 0.0) -> MultiHeadAttention:
    """A float64 layer in evaluation mode, its weights and biases drawn from `rng`."""
    layer = MultiHeadAttention(dim, heads, dropout).double()
    for parameter in layer.parameters():
        parameter.data = normal(rng, *parameter.shape) / 2
    return layer.eval()


def small_transformer(rng: np.random.Generator, padding: int = PADDING, layers: int = 1) -> Transformer:
    """A transformer of seven tokens in evaluation mode, its weights drawn from `rng`."""
    model = Transformer(7, dim=8, heads=2, layers=layers, dropout=0.1, max_tokens=12, padding=padding).double()
    for parameter in model.parameters():
        parameter.data = normal(rng, *parameter.shape) / 2
    return model.eval()


# The causal mask.


def test_causal_mask_by_hand() -> None:
    """Of three tokens, the first sees itself, the second sees two, the third sees all."""
    mask = causal_mask(3)
    expected = [[True, False, False], [True, True, False], [True, True, True]]
    assert_close(mask, expected, "causal_mask(3): row = query, column = key, True where the query may look")


def test_causal_mask_is_boolean() -> None:
    """The mask says yes or no; it is not a tensor of numbers to be added."""
    mask = causal_mask(2)
    assert isinstance(mask, Tensor), f"causal_mask(2) must be a tensor, got {type(mask).__name__}"
    assert mask.dtype == torch.bool, f"causal_mask(2) must have dtype torch.bool, got {mask.dtype}"


def test_causal_mask_counts() -> None:
    """Query t sees t + 1 keys, in masks of every size, also of one token or none."""
    for tokens in (0, 1, 6, 300):
        mask = causal_mask(tokens)
        assert_shape(mask, (tokens, tokens), f"causal_mask({tokens}) is square")
        seen = torch.arange(1, tokens + 1)
        assert_close(mask.sum(1), seen, f"causal_mask({tokens}): how many keys each query sees")
        assert_close(mask.sum(0), seen.flip(0), f"causal_mask({tokens}): by how many queries each key is seen")


# Softmax under a mask.


def test_masked_softmax_by_hand() -> None:
    """Scores 0 and ln 3 give weights 1/4 and 3/4."""
    weights = masked_softmax(torch.tensor([[0.0, math.log(3.0)]]))
    assert_close(weights, [[0.25, 0.75]], "masked_softmax([[0, ln 3]]) is e^0 : e^(ln 3) = 1 : 3", **FLOAT32)


def test_masked_softmax_with_a_mask_by_hand() -> None:
    """What is masked gets exactly 0, and the rest share the whole weight."""
    scores = torch.tensor([[0.0, 5.0, math.log(3.0)]])
    weights = masked_softmax(scores, torch.tensor([[True, False, True]]))
    assert_close(weights, [[0.25, 0.0, 0.75]], "masked_softmax([[0, 5, ln 3]]) with the 5 masked", **FLOAT32)
    assert weights[0, 1] == 0, f"a masked key must get exactly 0, got {weights[0, 1].item()}"


def test_masked_softmax_agrees_with_torch(rng: np.random.Generator) -> None:
    """Without a mask it is torch.softmax over the last axis."""
    scores = 3 * normal(rng, 2, 3, 4, 5)
    assert_close(masked_softmax(scores), torch.softmax(scores, -1), "masked_softmax(scores) of shape (2, 3, 4, 5)")


def test_masked_softmax_row_without_keys_is_zero() -> None:
    """A query that may look at nothing gets zeros: not NaN, and not a mean of what it must not see."""
    mask = torch.tensor([[True, True], [False, False]])
    weights = masked_softmax(torch.tensor([[1.0, 1.0], [2.0, 3.0]]), mask)
    assert_close(weights, [[0.5, 0.5], [0.0, 0.0]], "masked_softmax when the second query may look at no key")


def test_masked_softmax_row_without_keys_has_zero_gradient() -> None:
    """A row without keys sends back gradient 0, not NaN, which would spread to every parameter."""
    scores = torch.tensor([[1.0, 2.0], [2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    weights = masked_softmax(scores, torch.tensor([[True, True], [False, False]]))
    (weights * torch.tensor([[1.0, 0.0], [1.0, 2.0]])).sum().backward()
    p = 1 / (1 + math.e)
    message = "the gradient of masked_softmax's first weight (p(1-p), -p(1-p)); nothing from the row without keys"
    assert_close(scores.grad, [[p * (1 - p), -p * (1 - p)], [0, 0]], message)


def test_masked_softmax_survives_large_scores() -> None:
    """Large scores of either sign overflow nothing."""
    for size in (1e2, 1e4, 1e30):
        scores = torch.tensor([[size, 0.0], [-size, -size], [0.0, -size]])
        expected = [[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]
        message = f"masked_softmax([[s, 0], [-s, -s], [0, -s]]) with s = {size:g}"
        assert_close(masked_softmax(scores), expected, message, **FLOAT32)


def test_masked_softmax_knows_differences_only() -> None:
    """Scores a million away from 0 keep their differences: they are shifted, not cut off at some largest value."""
    for shift in (-1e6, -1e3, 1e3, 1e6):
        scores = torch.tensor([[0.0, math.log(3.0), 0.0]], dtype=torch.float64) + shift
        weights = masked_softmax(scores, torch.tensor([[True, True, False]]))
        message = f"masked_softmax([[s, s + ln 3, s]]) with s = {shift:g} and the last key masked"
        assert_close(weights, [[0.25, 0.75, 0.0]], message, rtol=1e-6)


def test_masked_softmax_ignores_a_large_masked_score() -> None:
    """However large a masked score, it changes nothing in its row."""
    scores = torch.tensor([[0.0, math.log(3.0), 500.0], [0.0, 0.0, -1e30]])
    mask = torch.tensor([[True, True, False], [False, False, True]])
    message = "masked_softmax with a masked score of 500; and with only -1e30 left to look at"
    assert_close(masked_softmax(scores, mask), [[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]], message, **FLOAT32)


def test_masked_softmax_rows_far_apart() -> None:
    """Each row is judged by its own largest score: a row of large scores does not drown a row of small ones."""
    weights = masked_softmax(torch.tensor([[1000.0, 1000.0], [0.0, 0.0]]))
    assert_close(weights, [[0.5, 0.5], [0.5, 0.5]], "masked_softmax([[1000, 1000], [0, 0]])")


MASKS = torch.tensor(list(itertools.product([True, False], repeat=3)))  # all eight of three keys


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_masked_softmax_invariants(score: float, shift: float) -> None:
    """Rows sum to 1 (0 if all is masked), weights keep the order of scores, and a shift of all scores does nothing."""
    row = torch.tensor([score, 0.0, shift], dtype=torch.float64)
    weights, shifted = masked_softmax(row.expand(8, 3), MASKS), masked_softmax((row + shift).expand(8, 3), MASKS)
    case = f"masked_softmax of eight rows {row.tolist()}, each with another mask"
    assert_close(weights.sum(1), [1.0] * 7 + [0.0], f"{case}: the sum of each row, of which the last sees nothing")
    assert_close(weights[~MASKS], np.zeros(12), f"{case}: the weights of masked keys", atol=0)
    assert_close(shifted, weights, f"{case}, with {shift} added to all scores", atol=1e-12)
    order = row.argsort()
    ordered, seen = weights[:, order].numpy(), MASKS[:, order].numpy()
    rising = all((np.diff(kept[look]) >= 0).all() for kept, look in zip(ordered, seen, strict=True))
    assert rising, f"{case}: a larger score must not get a smaller weight, got {weights.tolist()}"


def test_masked_softmax_broadcasts_its_mask(rng: np.random.Generator) -> None:
    """One row of a mask serves all queries, one matrix all batches, one column all keys."""
    scores = normal(rng, 2, 3, 4)
    for shape in [(4,), (1, 4), (3, 4), (3, 1), (2, 1, 4), (1, 3, 4)]:
        mask = torch.from_numpy(rng.random(shape) < 0.6)
        expected = masked_softmax(scores, mask.expand(2, 3, 4).clone())
        assert_close(masked_softmax(scores, mask), expected, f"masked_softmax with a mask of shape {shape}")
        full = scores.masked_fill(~mask, -math.inf).softmax(-1).nan_to_num(0.0)
        assert_close(expected, full, f"masked_softmax with a mask of shape {shape} stretched to (2, 3, 4)")


def test_masked_softmax_keeps_the_dtype() -> None:
    """Half precision stays half precision; its masks do not overflow, and its rows without keys are zeros as well."""
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        scores = torch.tensor([[1.0, 1.0, 9.0], [1.0, 1.0, 9.0]], dtype=dtype)
        weights = masked_softmax(scores, torch.tensor([[True, True, False], [False, False, False]]))
        assert weights.dtype == dtype, f"masked_softmax of {dtype} must be {dtype}, got {weights.dtype}"
        message = f"masked_softmax([[1, 1, 9], [1, 1, 9]]) of {dtype}, masked: the first row's 9, the whole second row"
        assert_close(weights.double(), [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], message, rtol=2 * torch.finfo(dtype).eps)


def test_masked_softmax_leaves_its_inputs_alone(rng: np.random.Generator) -> None:
    """Neither scores nor mask are changed."""
    scores, mask = normal(rng, 2, 3), torch.tensor([[True, False, True], [False, False, False]])
    before = scores.clone(), mask.clone()
    masked_softmax(scores, mask)
    masked_softmax(scores)
    assert_close(scores, before[0], "the scores after masked_softmax must be what they were", atol=0)
    assert_close(mask, before[1], "the mask after masked_softmax must be what it was", atol=0)


# Scaled dot-product attention.


def test_attend_by_hand() -> None:
    """Two tokens of four dimensions: scores are 2 ln 3 / sqrt(4) = ln 3 against 0, so weights are 3 : 1."""
    queries = torch.tensor([[math.log(3.0), 0, 0, 0], [0, 0, 0, 0]])
    keys = torch.tensor([[2.0, 1, 0, 0], [0, 0, 1, 5]])
    values = torch.tensor([[8.0], [4.0]])
    output, weights = attend(queries, keys, values)
    message = "attend: q1·k1 = 2 ln 3 and q1·k2 = 0; divided by sqrt(4) and through softmax, the "
    assert_close(weights, [[0.75, 0.25], [0.5, 0.5]], message + "weights", **FLOAT32)
    assert_close(output, [[7.0], [6.0]], message + "output, 0.75·8 + 0.25·4", **FLOAT32)


@pytest.mark.parametrize("masked", [False, True])
def test_attend_agrees_with_torch(rng: np.random.Generator, masked: bool) -> None:
    """PyTorch's own attention says the same, for all lengths, sizes of values and leading axes."""
    sizes: list[tuple[tuple[int, ...], int, int, int, int]] = [
        ((2, 3), 4, 4, 8, 8),
        ((2,), 3, 5, 2, 7),
        ((), 5, 2, 3, 1),
        ((1, 1), 1, 1, 1, 1),
    ]
    for batch, queries, keys, dim, value_dim in sizes:
        q, k = normal(rng, *batch, queries, dim), normal(rng, *batch, keys, dim)
        v = normal(rng, *batch, keys, value_dim)
        mask = torch.from_numpy(rng.random((*batch, queries, keys)) < 0.6) if masked else None
        if mask is not None:
            mask[..., 0] = True
        output, weights = attend(q, k, v, mask)
        expected = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        case = f"attend with queries {tuple(q.shape)}, keys {tuple(k.shape)}, values {tuple(v.shape)}, mask: {masked}"
        assert_close(output, expected, case)
        assert_shape(weights, (*batch, queries, keys), f"{case}: the weights")
        assert_close(weights @ v, expected, f"{case}: the weights, multiplied by the values")
        assert_close(weights.sum(-1), torch.ones(*batch, queries), f"{case}: the sum of each query's weights")


def test_attend_permuted_keys(rng: np.random.Generator) -> None:
    """Keys and values are a set: in another order, they give the same output and the weights in that order."""
    q, k, v = normal(rng, 3, 4), normal(rng, 5, 4), normal(rng, 5, 2)
    order = torch.from_numpy(rng.permutation(5))
    output, weights = attend(q, k, v)
    shuffled, shuffled_weights = attend(q, k[order], v[order])
    assert_close(shuffled, output, "attend with keys and values in another order: the output")
    assert_close(shuffled_weights, weights[:, order], "attend with keys and values in another order: the weights")


def test_attend_is_equivariant_without_positions(rng: np.random.Generator) -> None:
    """Tokens in another order attend to one another just the same: attention alone knows no order."""
    x, order = normal(rng, 5, 4), torch.from_numpy(rng.permutation(5))
    assert_close(attend(x[order], x[order], x[order])[0], attend(x, x, x)[0][order], "attend(x, x, x), x shuffled")


def test_attend_shifted_keys(rng: np.random.Generator) -> None:
    """One vector added to all keys adds a constant to each query's scores, which changes nothing."""
    q, k, v = normal(rng, 3, 4), normal(rng, 5, 4), normal(rng, 5, 2)
    assert_close(attend(q, k + normal(rng, 4), v)[0], attend(q, k, v)[0], "attend, one vector added to all keys")


def test_attend_score_variance_does_not_grow(rng: np.random.Generator) -> None:
    """Scores of random vectors have variance 1 in 4 dimensions and in 400: that is what sqrt(dim) is for."""
    for dim in (4, 400):
        _, weights = attend(normal(rng, 120, dim), normal(rng, 60, dim), torch.zeros(60, 1, dtype=torch.float64))
        variance = weights.log().var(dim=-1).mean().item()
        assert 0.6 < variance < 1.6, f"scores of normal vectors with dim={dim} must have variance 1, got {variance:.3g}"


def test_attend_is_causal(rng: np.random.Generator) -> None:
    """Under the causal mask, the output at t stays the same when the tokens after t change, whatever they become."""
    x = normal(rng, 2, 6, 4)
    changed = x.clone()
    changed[:, 3:] = 1e3 * normal(rng, 2, 3, 4)
    before, after = attend(x, x, x, causal_mask(6))[0], attend(changed, changed, changed, causal_mask(6))[0]
    assert_close(
        after[:, :3], before[:, :3], "attend under causal_mask: the first 3 outputs, tokens 3 to 5 changed", atol=0
    )
    assert not torch.allclose(after[:, 3:], before[:, 3:]), "attend: tokens must see themselves and those before them"


def test_attend_has_no_gradient_to_the_future(rng: np.random.Generator) -> None:
    """The output at t has a gradient of exactly 0 to all later tokens, and not 0 to the others."""
    x = normal(rng, 5, 4).requires_grad_()
    attend(x, x, x, causal_mask(5))[0][2].sum().backward()
    assert x.grad is not None, "attend must let gradients through: were the inputs detached?"
    assert (x.grad[3:] == 0).all(), "the output at 2 must have gradient exactly 0 to tokens 3 and 4"
    assert (x.grad[:3] != 0).any(dim=1).all(), "the output at 2 must have a gradient to each of tokens 0, 1 and 2"


def test_attend_gradients_agree_with_torch(rng: np.random.Generator) -> None:
    """The gradients to queries, keys and values are those of PyTorch's attention."""
    shapes, mask = [(3, 4), (5, 4), (5, 2)], torch.from_numpy(rng.random((3, 5)) < 0.7)
    mask[:, 0] = True
    ours = [normal(rng, *shape).requires_grad_() for shape in shapes]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    slope = normal(rng, 3, 2)
    q, k, v = ours
    (attend(q, k, v, mask)[0] * slope).sum().backward()
    (nn.functional.scaled_dot_product_attention(*theirs, attn_mask=mask) * slope).sum().backward()
    for name, mine, reference in zip(("queries", "keys", "values"), ours, theirs, strict=True):
        assert mine.grad is not None, f"no gradient reached the {name}"
        assert_close(mine.grad, reference.grad, f"the gradient of attend to its {name}")


def test_attend_gradient_through_the_weights(rng: np.random.Generator) -> None:
    """The returned weights carry gradients as well: a loss may be put on them."""
    q, k = normal(rng, 3, 4).requires_grad_(), normal(rng, 5, 4).requires_grad_()
    expected = torch.autograd.grad((torch.softmax(q @ k.T / 2, -1) ** 2).sum(), (q, k))
    weights = attend(q, k, normal(rng, 5, 2))[1]
    assert weights.requires_grad, "the weights that attend returns must not be detached"
    for name, got, want in zip(
        ("queries", "keys"), torch.autograd.grad((weights**2).sum(), (q, k)), expected, strict=True
    ):
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


def test_attend_survives_large_scores() -> None:
    """Vectors of length 10,000 make weights of 0 and 1, not NaN."""
    x = torch.tensor([[1e4, 0.0], [0.0, 1e4]])
    output, weights = attend(x, x, torch.tensor([[1.0], [2.0]]))
    assert_close(weights, [[1.0, 0.0], [0.0, 1.0]], "attend: the weights of scores as large as 7e7")
    assert_close(output, [[1.0], [2.0]], "attend: the output with scores as large as 7e7")


def test_attend_broadcasts_its_mask(rng: np.random.Generator) -> None:
    """A mask with fewer axes, or axes of one, serves all batches, heads and queries."""
    q, k, v = normal(rng, 2, 3, 4, 5), normal(rng, 2, 3, 6, 5), normal(rng, 2, 3, 6, 2)
    for shape in [(6,), (4, 6), (1, 6), (2, 1, 1, 6), (3, 4, 6), (2, 1, 4, 6)]:
        mask = torch.from_numpy(rng.random(shape) < 0.6)
        mask[..., 0] = True
        expected = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.expand(2, 3, 4, 6))
        assert_close(
            attend(q, k, v, mask)[0], expected, f"attend with a mask of shape {shape} for weights (2, 3, 4, 6)"
        )


def test_attend_keeps_the_dtype(rng: np.random.Generator) -> None:
    """Output and weights have the dtype of the queries, also in half precision."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        q, k, v = normal(rng, 3, 4, dtype=dtype), normal(rng, 5, 4, dtype=dtype), normal(rng, 5, 2, dtype=dtype)
        output, weights = attend(q, k, v, torch.ones(3, 5, dtype=torch.bool))
        assert output.dtype == weights.dtype == dtype, f"attend of {dtype} gave {output.dtype} and {weights.dtype}"
        expected = nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
        assert_close(output.double(), expected, f"attend of {dtype}", rtol=8 * torch.finfo(dtype).eps, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_attend_of_half_precision_by_hand(dtype: torch.dtype) -> None:
    """Scaled scores of 393,218 and 393,217, beyond what half precision holds, differ by 1: weights are e : 1."""
    queries = torch.tensor([[512.0, 512.0, 512.0, 1.0]], dtype=dtype)
    keys = torch.tensor([[512.0, 512.0, 512.0, 4.0], [512.0, 512.0, 512.0, 2.0]], dtype=dtype)
    output, weights = attend(queries, keys, torch.tensor([[1.0], [0.0]], dtype=dtype))
    assert output.dtype == weights.dtype == dtype, f"attend of {dtype} gave {output.dtype} and {weights.dtype}"
    share = math.e / (1 + math.e)
    message = f"attend of {dtype}, scores of half a million that differ by 1: float32 tells them apart; the "
    assert_close(weights.double(), [[share, 1 - share]], message + "weights", rtol=2 * torch.finfo(dtype).eps)
    assert_close(output.double(), [[share]], message + "output", rtol=2 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_attend_of_half_precision_agrees_with_torch(rng: np.random.Generator, dtype: torch.dtype) -> None:
    """With queries and keys of up to 400, PyTorch's own attention of half precision says the same."""
    q, k = (100 * normal(rng, 2, count, 8, dtype=dtype) for count in (4, 5))
    v = normal(rng, 2, 5, 8, dtype=dtype)
    output, _ = attend(q, k, v)
    expected = nn.functional.scaled_dot_product_attention(q, k, v)
    assert_close(output.double(), expected.double(), f"attend of {dtype}", atol=8 * torch.finfo(dtype).eps)


def test_attend_takes_any_layout(rng: np.random.Generator) -> None:
    """Tensors that are not contiguous do as well."""
    q, k, v = (normal(rng, 4, 3, 2).transpose(0, 1) for _ in range(3))
    expected, _ = attend(q.contiguous(), k.contiguous(), v.contiguous())
    assert_close(attend(q, k, v)[0], expected, "attend with transposed (not contiguous) inputs")


def test_attend_leaves_its_inputs_alone(rng: np.random.Generator) -> None:
    """Queries, keys, values and mask are what they were."""
    mask = torch.ones(3, 5, dtype=torch.bool).tril()
    inputs = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 2, 5, 2), mask
    before = [tensor.clone() for tensor in inputs]
    attend(*inputs)
    for name, tensor, old in zip(("queries", "keys", "values", "mask"), inputs, before, strict=True):
        assert_close(tensor, old, f"attend must not change its {name}", atol=0)


def test_attend_dropout(rng: np.random.Generator) -> None:
    """Dropout drops that share of the weights and scales the others up; the returned weights are from before."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    q, k = normal(rng, 40, 3), normal(rng, 50, 3)
    output, weights = attend(q, k, torch.eye(50, dtype=torch.float64), dropout=0.2)  # the output is the weights used
    assert_close(weights, attend(q, k, k)[1], "attend with dropout=0.2: the weights returned, from before dropout")
    share = (output == 0).double().mean().item()
    assert 0.15 < share < 0.25, f"attend with dropout=0.2 must drop a fifth of the weights, dropped {share:.0%}"
    kept = output != 0
    message = "attend with dropout=0.2: the weights that remain are divided by 0.8, so that the mean stays"
    assert_close(output[kept], weights[kept] / 0.8, message)


def test_attend_drops_single_weights(rng: np.random.Generator) -> None:
    """What is dropped is one key for one query: not a key for all queries, nor an entry of the output."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    q, k = normal(rng, 40, 3), normal(rng, 50, 3)
    output, _ = attend(q, k, torch.eye(50, dtype=torch.float64), dropout=0.5)  # the output is the weights used
    lost = (output == 0).double()
    assert lost.mean(0).max() < 0.95, "attend with dropout=0.5: a key is lost to all queries; drop weights, not values"
    assert lost.mean(1).max() < 0.95, "attend with dropout=0.5: a query has lost all its keys; drop single weights"
    output, _ = attend(q, k, torch.ones(50, 2, dtype=torch.float64), dropout=0.5)
    message = (
        "attend with dropout=0.5 and values of ones: both columns add the same weights up; drop those, not outputs"
    )
    assert_close(output[:, 0], output[:, 1], message)


def test_attend_without_dropout_is_deterministic(rng: np.random.Generator) -> None:
    """Nothing is dropped unless asked for, even while gradients are on."""
    q, k = normal(rng, 20, 3), normal(rng, 30, 3)
    output, weights = attend(q, k, torch.eye(30, dtype=torch.float64))
    assert_close(output, weights, "attend without dropout, values = identity: the output is the weights")


def test_attend_refuses_shapes_that_disagree() -> None:
    """Shapes that do not fit are refused (`_check_shapes` does it, if it is called)."""
    cases: list[tuple[tuple[tuple[int, ...], ...], tuple[Any, ...], str]] = [
        (((3, 4), (3, 5), (3, 5)), (4, 5), "queries of 4 numbers and keys of 5"),
        (((3, 4), (5, 4), (3, 4)), (5, 3), "5 keys and 3 values"),
        (((3, 4), (0, 4), (0, 4)), (0,), "no key at all"),
        (((2, 3, 4), (5, 3, 4), (5, 3, 4)), ((2,), (5,)), "a batch of 2 queries and a batch of 5 keys"),
    ]
    for shapes, named, message in cases:
        q, k, v = (torch.ones(shape) for shape in shapes)
        assert_refuses(lambda q=q, k=k, v=v: attend(q, k, v), *named, message=f"attend: {message}")


def test_attend_refuses_masks_that_do_not_fit() -> None:
    """A mask of numbers, or of a wrong shape, is refused (`_check_shapes` does it, if it is called)."""
    x = torch.ones(2, 3, 4)
    with pytest.raises(TypeError):
        attend(x, x, x, torch.zeros(3, 3))
    for shape in ((3, 2), (1, 2, 3, 3)):
        mask = torch.ones(shape, dtype=torch.bool)
        message = f"attend: a mask of shape {shape} where the weights have (2, 3, 3)"
        assert_refuses(lambda mask=mask: attend(x, x, x, mask), shape, message=message)


# Several heads.


def test_split_heads_by_hand() -> None:
    """Head 0 gets the first piece of every token, head 1 the second."""
    inputs = torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]])
    expected = [[[[1, 2], [5, 6], [9, 10]], [[3, 4], [7, 8], [11, 12]]]]
    message = "split_heads of 3 tokens with dim 4 into 2 heads: (batch, heads, tokens, head_dim)"
    assert_close(MultiHeadAttention(4, 2).split_heads(inputs), expected, message)


def test_merge_heads_by_hand() -> None:
    """A token's pieces lie end to end again, head 0 first."""
    inputs = torch.tensor([[[[1, 2], [5, 6], [9, 10]], [[3, 4], [7, 8], [11, 12]]]])
    expected = [[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]]
    assert_close(
        MultiHeadAttention(4, 2).merge_heads(inputs), expected, "merge_heads of 2 heads, 3 tokens, 2 dimensions"
    )


def test_split_and_merge_heads(rng: np.random.Generator) -> None:
    """Head h of split_heads is the h-th slice of the vectors, and merge_heads undoes it."""
    for batch, tokens, heads, head_dim in ((2, 3, 4, 5), (1, 1, 1, 1), (3, 2, 1, 4), (2, 4, 6, 1)):
        layer, inputs = MultiHeadAttention(heads * head_dim, heads), normal(rng, batch, tokens, heads * head_dim)
        split = layer.split_heads(inputs)
        case = f"{tuple(inputs.shape)} into {heads} heads"
        assert_shape(split, (batch, heads, tokens, head_dim), f"split_heads of {case}")
        for head in range(heads):
            piece = inputs[:, :, head * head_dim : (head + 1) * head_dim]
            assert_close(split[:, head], piece, f"split_heads of {case}: head {head}", atol=0)
        message = f"merge_heads(split_heads(inputs)) is inputs, {case} and back"
        assert_close(layer.merge_heads(split.clone()), inputs, message, atol=0)


def test_split_and_merge_heads_of_any_layout(rng: np.random.Generator) -> None:
    """Tensors that are not contiguous are split and merged as well."""
    layer, inputs = MultiHeadAttention(6, 2), normal(rng, 3, 2, 6).transpose(0, 1)
    expected = inputs.contiguous().reshape(2, 3, 2, 3).permute(0, 2, 1, 3)
    assert_close(layer.split_heads(inputs), expected, "split_heads of inputs that are not contiguous", atol=0)
    heads = normal(rng, 2, 4, 3, 3).permute(0, 2, 1, 3)  # (2, 3, 4, 3), not contiguous
    expected = torch.cat([heads[:, h] for h in range(3)], dim=-1)
    assert_close(MultiHeadAttention(9, 3).merge_heads(heads), expected, "merge_heads of heads not contiguous", atol=0)


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
    layer = multi_head(rng, dim, heads)
    inputs, context = normal(rng, batch, queries, dim), normal(rng, batch, keys, dim)
    mask = torch.from_numpy(rng.random((batch, queries, keys)) < 0.6)
    mask[..., 0] = True
    reference = reference_of(layer, dim)
    for allowed in (None, mask, mask[0]):
        hidden = None if allowed is None else (~allowed).expand(batch, -1, -1).repeat_interleave(heads, dim=0)
        expected, expected_weights = reference(inputs, context, context, attn_mask=hidden, average_attn_weights=False)
        output, weights = layer(inputs, context, allowed)
        shape = None if allowed is None else tuple(allowed.shape)
        case = f"MultiHeadAttention({dim}, {heads}) on {tuple(inputs.shape)} and {tuple(context.shape)}, mask {shape}"
        assert_close(weights, expected_weights, f"{case}: the weights")
        assert_close(output, expected, f"{case}: the output")


def test_multi_head_mask_for_each_sequence(rng: np.random.Generator) -> None:
    """A mask of shape (batch, 1, keys) hides the padding of each sequence from all its queries and heads."""
    layer = multi_head(rng, 6, 2)
    inputs, context = normal(rng, 2, 3, 6), normal(rng, 2, 4, 6)
    mask = torch.tensor([[[True, True, False, False]], [[True, True, True, True]]])
    output, weights = layer(inputs, context, mask)
    alone = layer(inputs[:1], context[:1, :2])[0]
    assert_close(
        output[:1], alone, "MultiHeadAttention: a sequence with masked padding and the same one without padding"
    )
    assert_close(weights[0, :, :, 2:], torch.zeros(2, 3, 2), "MultiHeadAttention: the weights of padding", atol=0)


def test_multi_head_query_without_keys(rng: np.random.Generator) -> None:
    """A query with everything masked gets what `out` makes of zeros, its bias."""
    layer = multi_head(rng, 4, 2)
    output, _ = layer(normal(rng, 1, 1, 4), normal(rng, 1, 3, 4), torch.zeros(1, 3, dtype=torch.bool))
    assert_close(output[0, 0], layer.out.bias, "MultiHeadAttention with all keys masked: the bias of `out`")


def test_multi_head_drops_in_training_only(rng: np.random.Generator) -> None:
    """Weights are dropped in training, and never in evaluation."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    layer, x = multi_head(rng, 6, 2, dropout=0.5), normal(rng, 2, 5, 6)
    plain = multi_head(rng, 6, 2)
    plain.load_state_dict(layer.state_dict())
    expected, expected_weights = plain(x, x)
    layer.train()
    first, second = layer(x, x)[0], layer(x, x)[0]
    assert not torch.allclose(first, second), "with dropout=0.5 in training mode, two calls must differ: what dropped?"
    assert_close(layer(x, x)[1], expected_weights, "MultiHeadAttention in training: the weights from before dropout")
    assert_close(plain.train()(x, x)[0], expected, "MultiHeadAttention with dropout=0 in training mode")
    layer.eval()
    assert_close(layer(x, x)[0], expected, "MultiHeadAttention with dropout=0.5 after eval(): nothing is dropped")


def test_multi_head_drops_weights_with_the_given_probability(rng: np.random.Generator) -> None:
    """`dropout` is the share of weights dropped, in each head by itself; nothing else is dropped."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    layer, x = MultiHeadAttention(4, 2, dropout=0.75).double(), normal(rng, 64, 4, 4)
    # Every value is 1 and `out` changes nothing, so that an output is the sum of the weights that remained.
    layer.value.weight.data, layer.value.bias.data = torch.zeros(4, 4).double(), torch.ones(4).double()
    layer.out.weight.data, layer.out.bias.data = torch.eye(4).double(), torch.zeros(4).double()
    output = layer(x, x)[0]
    share = (output == 0).double().mean().item()
    assert 0.23 < share < 0.41, f"4 weights dropped with p=0.75 each leave 0.75^4 = 32% of outputs 0, got {share:.0%}"
    message = (
        "MultiHeadAttention with dropout=0.75 and values of ones: both dimensions of head 0, which drops weights only"
    )
    assert_close(output[..., 0], output[..., 1], message)
    assert not torch.allclose(output[..., 0], output[..., 2]), "each head must drop weights of its own"


def test_multi_head_gradients_flow_everywhere(rng: np.random.Generator) -> None:
    """Every projection receives a gradient that is finite and not 0 (a bias of keys shifts scores, so its own is 0)."""
    layer = multi_head(rng, 6, 2)
    inputs, context = normal(rng, 2, 3, 6).requires_grad_(), normal(rng, 2, 4, 6).requires_grad_()
    (layer(inputs, context)[0] * normal(rng, 2, 3, 6)).sum().backward()
    for name, tensor in [*layer.named_parameters(), ("inputs", inputs), ("context", context)]:
        assert tensor.grad is not None, f"no gradient reached {name}: is it used?"
        assert tensor.grad.isfinite().all(), f"the gradient of {name} must be finite"
        if name != "key.bias":
            assert tensor.grad.abs().max() > 1e-9, f"the gradient of {name} must not be 0: is it used?"


def test_multi_head_leaves_its_inputs_alone(rng: np.random.Generator) -> None:
    """Inputs, context and mask are what they were."""
    layer, tensors = multi_head(rng, 4, 2), [normal(rng, 2, 3, 4), normal(rng, 2, 3, 4), causal_mask(3)]
    before = [tensor.clone() for tensor in tensors]
    layer(*tensors)
    for name, tensor, old in zip(("inputs", "context", "mask"), tensors, before, strict=True):
        assert tensor.shape == old.shape, f"MultiHeadAttention changed the shape of its {name} to {tuple(tensor.shape)}"
        assert_close(tensor, old, f"MultiHeadAttention must not change its {name}", atol=0)


def test_multi_head_refuses_heads_that_do_not_divide() -> None:
    """Heads that do not divide dim are refused."""
    for dim, heads in ((8, 3), (8, 0), (8, -2), (2, 4)):
        message = f"MultiHeadAttention(dim={dim}, heads={heads})"
        assert_refuses(lambda dim=dim, heads=heads: MultiHeadAttention(dim, heads), heads, message=message)


def test_self_attention_agrees_with_torch(rng: np.random.Generator) -> None:
    """Queries, keys and values of self-attention all come from one sequence, with and without a mask."""
    layer, x = SelfAttention(6, 3), normal(rng, 2, 4, 6)
    layer.attention = multi_head(rng, 6, 3)
    reference = reference_of(layer.attention, 6)
    for allowed in (None, causal_mask(4)):
        hidden = None if allowed is None else ~allowed
        expected, expected_weights = reference(x, x, x, attn_mask=hidden, average_attn_weights=False)
        output, weights = layer(x, allowed)
        case = "SelfAttention(6, 3) " + ("without a mask" if allowed is None else "under the causal mask")
        assert_close(weights, expected_weights, f"{case}: the weights")
        assert_close(output, expected, f"{case}: the output")


# Positions.


def test_positional_encoding_by_hand() -> None:
    """With 4 dimensions the angles are position and position / 100."""
    expected = [[0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]]
    assert_close(
        positional_encoding(2, 4), expected, "positional_encoding(2, 4): sin t, cos t, sin t/100, cos t/100", **FLOAT32
    )


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


def test_positional_encoding_similarity_depends_on_distance() -> None:
    """The dot product of two positions depends on their distance only, and is largest at distance 0."""
    similarity = positional_encoding(12, 32).double() @ positional_encoding(12, 32).double().T
    for distance in range(5):
        diagonal = similarity.diagonal(distance)
        message = f"PE(t)·PE(t + {distance}) is the same for every t"
        assert_close(diagonal, diagonal[0].expand(len(diagonal)), message, rtol=1e-4, atol=1e-4)
    assert_close(
        similarity.diagonal(), torch.full((12,), 16.0), "PE(t)·PE(t) is dim / 2: sin² + cos² for each pair", rtol=1e-4
    )


# The encoder-decoder. Its blocks are given; they work if your parts do, and `generate` is yours.


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


def test_transformer_is_causal(rng: np.random.Generator) -> None:
    """The logits at t do not depend on the target after t."""
    model = small_transformer(rng)
    source, target = torch.tensor([[3, 4, 5, 6]]), torch.tensor([[START, 3, 4, 5]])
    changed = torch.tensor([[START, 3, 6, 6]])
    before, after = model(source, target), model(source, changed)
    assert_close(
        after[:, :2], before[:, :2], "Transformer: the first 2 logits, target tokens 2 and 3 changed", atol=1e-12
    )
    assert not torch.allclose(after[:, 2:], before[:, 2:]), "Transformer: the logits must depend on the target"


def test_transformer_ignores_padding(rng: np.random.Generator) -> None:
    """Padding behind a source, or more of it, changes no logit, whichever token it is."""
    model, target, short = small_transformer(rng), torch.tensor([[START, 3, 4]]), torch.tensor([[3, 4, 5]])
    for padding in (PADDING, 6):
        model.padding = padding
        padded = torch.tensor([[3, 4, 5, padding, padding]])
        message = f"Transformer with padding={padding}: a source with padding and without"
        assert_close(model(padded, target), model(short, target), message)


def test_transformer_knows_order(rng: np.random.Generator) -> None:
    """Positions make the order of the source matter."""
    model, target = small_transformer(rng), torch.tensor([[START]])
    forwards, backwards = model(torch.tensor([[3, 4, 5]]), target), model(torch.tensor([[5, 4, 3]]), target)
    assert not torch.allclose(forwards, backwards), "Transformer: 3 4 5 and 5 4 3 must not look the same"


def test_transformer_trains_every_parameter(rng: np.random.Generator) -> None:
    """Every parameter of the transformer receives a finite gradient, also beside a row of nothing but padding."""
    model = small_transformer(rng)
    source, target = torch.tensor([[3, 4, 5], [PADDING] * 3]), torch.tensor([[START, 5, 4], [START, 3, 3]])
    (model(source, target) * normal(rng, 2, 3, 7)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"no gradient reached {name}"
        assert parameter.grad.isfinite().all(), f"the gradient of {name} must be finite"
        if not name.endswith("key.bias"):
            assert parameter.grad.abs().max() > 0, f"the gradient of {name} must not be 0"


def test_transformer_maps(rng: np.random.Generator) -> None:
    """Decoding also tells how each layer and head looked at the source."""
    model, source, target = (
        small_transformer(rng, layers=2),
        torch.tensor([[3, 4, PADDING]]),
        torch.tensor([[START, 3]]),
    )
    logits, maps = model.decode(target, model.encode(source), source)
    assert_shape(logits, (1, 2, 7), "Transformer.decode: the logits")
    assert_shape(maps, (2, 1, 2, 2, 3), "Transformer.decode: the maps (layers, batch, heads, target, source)")
    assert_close(maps.sum(-1), torch.ones(2, 1, 2, 2), "Transformer.decode: the sum of each row of the maps")


def test_transformer_refuses_long_sequences(rng: np.random.Generator) -> None:
    """A sequence with more tokens than positions is refused."""
    model = small_transformer(rng)
    assert_refuses(lambda: model.encode(torch.ones(1, 13, dtype=torch.long)), 13)


class Scripted(Transformer):
    """A transformer that would write `script` one token after another, and keeps what it was shown and has read.

    At a position that it was not asked about, it votes for `decoy`: only the last position counts.
    """

    def __init__(self, script: list[list[int]], decoy: int = 3) -> None:
        super().__init__(vocabulary=10, dim=4, heads=1, layers=0)
        self.script, self.decoy, self.shown = torch.tensor(script), decoy, list[Tensor]()
        self.read = list[tuple[Tensor, Tensor]]()

    def encode(self, source: Tensor) -> Tensor:
        """Return the embeddings as they are."""
        return self.embedding(source)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits that vote for the script."""
        self.shown.append(target.clone())
        self.read.append((memory, source))
        votes = torch.full_like(target, self.decoy, dtype=torch.long)
        votes[:, -1] = self.script[:, target.shape[1] - 1]
        maps = memory.new_zeros(1, len(target), 1, target.shape[1], source.shape[1])
        return nn.functional.one_hot(votes, 10) * 0.5 - 1.0, maps


def test_generate_by_hand() -> None:
    """It writes the most probable token at the last position, step by step, and leaves the start out."""
    model = Scripted([[5, 6, 7, 8]])
    written = model.generate(torch.tensor([[4, 4]]), START, END, 4)
    assert_close(written, [[5, 6, 7, 8]], "generate when the model votes for 5, 6, 7, 8 in turn", atol=0)


def test_generate_shows_everything_written_so_far() -> None:
    """The decoder is shown the start token and all that was written, one token more at each step."""
    model = Scripted([[5, 6, 7, 8]])
    model.generate(torch.tensor([[4, 4]]), START, END, 3)
    shown = [tokens.tolist() for tokens in model.shown]
    expected = [[[START]], [[START, 5]], [[START, 5, 6]]]
    assert shown == expected, f"generate must show the decoder {expected}, step by step, but showed {shown}"


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
    written = model.generate(torch.tensor([[4], [4]]), START, END, 6)
    message = "generate: the first sequence ends after 2 tokens, the second after 4, of at most 6"
    assert_close(written, [[5, END, PADDING, PADDING], [6, 6, 6, END]], message, atol=0)


def test_generate_ends_at_once_or_never() -> None:
    """A model that ends at once writes the end only; one that never ends is stopped by the limit."""
    assert_close(Scripted([[END, 5]]).generate(torch.tensor([[4]]), START, END, 2), [[END]], "generate: ends at once")
    assert_close(Scripted([[5, 5, 5]]).generate(torch.tensor([[4]]), START, END, 2), [[5, 5]], "generate: limit=2")
    nothing = Scripted([[5]]).generate(torch.tensor([[4]]), START, END, 0)
    assert_shape(nothing, (1, 0), "generate with limit=0 writes nothing")


def test_generate_fills_with_the_models_padding() -> None:
    """What stands behind the end is the padding of the model, whichever token that is."""
    model = Scripted([[END, 7, 7], [5, 6, END]])
    model.padding = 9
    written = model.generate(torch.tensor([[4], [4]]), START, END, 3)
    assert_close(written, [[END, 9, 9], [5, 6, END]], "generate with padding=9", atol=0)


def test_generate_uses_start_and_end_as_given() -> None:
    """The tokens that start and end a sequence are those that were given."""
    model = Scripted([[2, 1, 8, 5, 5]])
    written = model.generate(torch.tensor([[4]]), start=7, end=8, limit=5)
    assert_close(
        written, [[2, 1, 8]], "generate with start=7 and end=8, when the model votes for 2, 1, 8, 5, 5", atol=0
    )
    assert model.shown[0].tolist() == [[7]], (
        f"generate with start=7 must begin with 7, began with {model.shown[0].tolist()}"
    )


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
