"""Checks of GPT."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from groundup.checking import (
    assert_close,
    assert_dtype_kept,
    assert_leading_axes,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    module_conventions,
)
from groundup.stack.generative.gpt import (
    GPT,
    AdamW,
    Config,
    GroupedQueryAttention,
    RMSNorm,
    SwiGLU,
    batches,
    clip_gradients,
    cosine_schedule,
    cross_entropy,
    decay_groups,
    rope,
    train,
)

SMALL: dict[str, Any] = {"vocabulary": 11, "layers": 2, "heads": 6, "width": 24, "context": 9}


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def drawn(rng, module):
    """The module in float64, every weight drawn from `rng`, and in eval mode."""
    module = module.double().eval()
    module.load_state_dict({name: normal(rng, *value.shape) for name, value in module.state_dict().items()})
    return module


class Cache:
    """Keys and values of each layer, kept as they come, and what was last given."""

    def __init__(self):
        self.kept = {}

    def extend(self, layer, keys, values):
        """Append, and return all so far."""
        self.given = (layer, keys, values)
        if layer in self.kept:
            keys, values = (torch.cat(pair, dim=2) for pair in zip(self.kept[layer], (keys, values), strict=True))
        self.kept[layer] = keys, values
        return keys, values


# --- rope -----------------------------------------------------------------------------------------------------------


def test_rope_by_hand():
    """At position 2 with base 100 the pair (1, 3) turns by 2 radians and the pair (2, 4) by 2 / 10."""
    expected = [
        math.cos(2) - 3 * math.sin(2),
        2 * math.cos(0.2) - 4 * math.sin(0.2),
        3 * math.cos(2) + math.sin(2),
        4 * math.cos(0.2) + 2 * math.sin(0.2),
    ]
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    assert_close(rope(x, torch.tensor(2), 100.0), expected, "number i is paired with number i + dim / 2", rtol=1e-6)


@pytest.mark.parametrize("base", [7.0, 10_000.0])
def test_rope_is_a_product_of_complex_numbers(base, rng):
    """Pair i is a complex number, times exp(i · position · base^(-2i / dim))."""
    x, positions = normal(rng, 2, 3, 5, 6), torch.from_numpy(rng.integers(0, 50, (2, 1, 5)))
    pairs = torch.complex(x[..., :3], x[..., 3:])
    angles = positions[..., None] * torch.tensor([1.0, base ** (-1 / 3), base ** (-2 / 3)], dtype=torch.float64)
    turned = pairs * torch.exp(1j * angles)
    expected = torch.cat((turned.real, turned.imag), dim=-1)
    assert_close(rope(x, positions, base), expected, "batch 2, heads 3, tokens 5, dim 6", rtol=1e-5, atol=1e-5)
    assert_close(rope(x, torch.zeros(2, 1, 5, dtype=torch.long), base), x, "position 0 turns nothing")


def test_rope_makes_products_depend_on_distances(rng):
    """Query at 9 times key at 4 is query at 105 times key at 100, and no length changes."""
    query, key = normal(rng, 8), normal(rng, 8)

    def product(here, there):
        return rope(query, torch.tensor(here), 50.0) @ rope(key, torch.tensor(there), 50.0)

    assert_close(product(105, 100), product(9, 4), "both moved on by 96", rtol=1e-4, atol=1e-5)
    assert abs(product(9, 4) - product(4, 9)) > 1e-6, "turned round it is another distance"
    assert_close(rope(query, torch.tensor(33), 50.0).norm(), query.norm(), "a turn keeps the length", rtol=1e-6)


def test_rope_keeps_types_and_its_argument(rng):
    """float64 and float32 stay; in bfloat16 position 1001 is still exact, as angles are computed in float32."""
    positions = torch.arange(1001, 1006)
    x = normal(rng, 5, 6)
    for kind in (torch.float64, torch.float32, torch.bfloat16):
        turned = rope(x.to(kind), positions, 10.0)
        assert turned.dtype == kind, f"{kind} in, {turned.dtype} out"
        assert_close(turned.double(), rope(x, positions, 10.0), f"in {kind}", rtol=0, atol=0.05)
    assert_unchanged(lambda x: rope(x, positions, 10.0), x)


# --- RMSNorm --------------------------------------------------------------------------------------------------------


def test_rms_norm_by_hand():
    """The mean square of (3, 4, 0, 5) is 12.5; with epsilon 3.5 the root is 4."""
    norm = RMSNorm(4, epsilon=3.5)
    norm.weight.data = torch.tensor([1.0, 2.0, 3.0, -4.0])
    assert_close(norm.forward(torch.tensor([3.0, 4.0, 0.0, 5.0])), [0.75, 2.0, 0.0, -5.0], "weight · x / √(12.5 + 3.5)")


def test_rms_norm_is_pytorchs(rng):
    """It is torch.nn.functional.rms_norm, for any axes in front, and shifts nothing."""
    norm, inputs = drawn(rng, RMSNorm(5, epsilon=0.3)), normal(rng, 3, 2, 5) + 4
    expected = nn.functional.rms_norm(inputs, (5,), norm.weight, 0.3)
    assert_close(norm.forward(inputs), expected, "inputs with a mean of 4")
    assert_leading_axes(norm.forward, inputs)


def test_rms_norm_takes_the_root_in_float32():
    """In float16 the square of 300 is infinite: 300 and 400 still come out as 300 / 353.6 and 400 / 353.6."""
    norm = RMSNorm(2).half()
    outputs = norm.forward(torch.tensor([300.0, 400.0], dtype=torch.float16))
    assert outputs.dtype == torch.float16, f"float16 in, {outputs.dtype} out"
    assert_close(outputs.float(), [300 / 353.5534, 400 / 353.5534], "300 and 400", rtol=2e-3)
    assert_dtype_kept(lambda x: RMSNorm(2).to(x.dtype).forward(x), torch.tensor([[3.0, 4.0]]))


# --- SwiGLU ---------------------------------------------------------------------------------------------------------


def test_swiglu_by_hand():
    """Gate 2x, up 3x, down 5: of x = 1 it makes 5 · 2 · sigmoid(2) · 3."""
    layer = SwiGLU(1, 1)
    for part, value in ((layer.gate, 2.0), (layer.up, 3.0), (layer.down, 5.0)):
        nn.init.constant_(part.weight, value)
    assert_close(layer.forward(torch.tensor([1.0])), [30 / (1 + math.exp(-2))], "down(silu(gate x) · up x)", rtol=1e-6)


def test_swiglu_is_its_formula(rng):
    """down(silu(gate x) · up x), biases included, for any axes in front."""
    layer, inputs = drawn(rng, SwiGLU(3, 7, bias=True)), normal(rng, 2, 5, 3)
    gate, up = (inputs @ part.weight.T + part.bias for part in (layer.gate, layer.up))
    expected = (gate / (1 + torch.exp(-gate)) * up) @ layer.down.weight.T + layer.down.bias
    assert_close(layer.forward(inputs), expected, "width 3, hidden 7")
    assert_leading_axes(layer.forward, inputs)


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device"]))  # it imports SymPy
def test_rms_norm_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""
    convention(lambda: RMSNorm(6), normal(rng, 3, 2, 6).float())


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device"]))  # it imports SymPy
def test_swiglu_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""
    convention(lambda: SwiGLU(6, 10), normal(rng, 3, 2, 6).float())


# --- attention ------------------------------------------------------------------------------------------------------


def slowly(layer, inputs, positions, may_look):
    """The same attention, one head of one query at a time."""
    config = layer.config
    size, shared = config.head_dim, config.heads // config.kv_heads
    outputs = torch.zeros_like(inputs)
    for b in range(inputs.shape[0]):
        queries, keys, values = (part(inputs[b]) for part in (layer.query, layer.key, layer.value))
        for head in range(config.heads):
            own, other = (slice(h * size, (h + 1) * size) for h in (head, head // shared))
            query, key = queries[:, own], keys[:, other]
            if config.positions == "rope":
                query, key = (rope(x, positions[b], config.rope_base) for x in (query, key))
            for t in range(inputs.shape[1]):
                seen = [s for s in range(inputs.shape[1]) if may_look(b, t, s)]
                weights = torch.softmax(key[seen] @ query[t] / math.sqrt(size), dim=0)
                outputs[b, t, own] = weights @ values[seen][:, other]
    return layer.out(outputs)


def attention(rng, kv_heads=3, layer=0, **changes):
    """An attention with random weights, and inputs and positions for it."""
    config = Config(**(SMALL | {"kv_heads": kv_heads, "rope_base": 20.0} | changes))
    made = drawn(rng, GroupedQueryAttention(config, layer))
    return made, normal(rng, 2, 5, 24), torch.tensor([[0, 1, 2, 3, 4], [2, 3, 5, 7, 8]])


@pytest.mark.parametrize("positions", ["rope", "learned"])
@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
def test_attention_is_attention_head_by_head(kv_heads, positions, rng):
    """Head h of 6 looks with the keys and values of head h // (6 / kv_heads), at its own token and the past."""
    layer, inputs, places = attention(rng, kv_heads, positions=positions, bias=True)
    expected = slowly(layer, inputs, places, lambda b, t, s: s <= t)
    message = "batch 2, heads 6, tokens 5; learned positions are not the attention's affair"
    assert_close(layer.forward(inputs, places), expected, message, rtol=1e-5, atol=1e-5)


def test_attention_sees_no_future(rng):
    """Changing token 3 of 5 changes nothing before it, and something from it on."""
    layer, inputs, places = attention(rng)
    changed = inputs.clone()
    changed[:, 3] += 1
    before, after = layer.forward(inputs, places), layer.forward(changed, places)
    assert_close(after[:, :3], before[:, :3], "tokens 0 to 2 must not see token 3")
    assert (after[:, 3:] - before[:, 3:]).abs().amax(dim=2).amin() > 1e-6, "tokens 3 and 4 must see token 3"


def test_attention_obeys_the_mask(rng):
    """A mask replaces causality: True lets a query look, in each sequence of the batch by itself."""
    layer, inputs, places = attention(rng)
    mask = torch.from_numpy(rng.random((2, 1, 5, 5)) < 0.5) | torch.eye(5, dtype=torch.bool)
    expected = slowly(layer, inputs, places, lambda b, t, s: mask[b, 0, t, s])
    assert_close(layer.forward(inputs, places, mask), expected, "a random mask", rtol=1e-5, atol=1e-5)
    everything = slowly(layer, inputs, places, lambda b, t, s: True)
    mask = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    assert_close(
        layer.forward(inputs, places, mask), everything, "a mask of True shows the future too", rtol=1e-5, atol=1e-5
    )


def test_attention_knows_distances_only(rng):
    """All positions moved on by 13 change nothing; a gap of 6 between two tokens does."""
    layer, inputs, _ = attention(rng)
    places = torch.arange(5).expand(2, 5)
    outputs = layer.forward(inputs, places)
    assert_close(layer.forward(inputs, places + 13), outputs, "RoPE is relative", rtol=1e-4, atol=1e-5)
    gap = layer.forward(inputs, places + torch.tensor([0, 0, 6, 6, 6]))
    assert_close(gap[:, :2], outputs[:, :2], "before the gap")
    assert (gap[:, 2:] - outputs[:, 2:]).abs().amax(dim=2).amin() > 1e-6, "after the gap distances are others"


@pytest.mark.parametrize("pieces", [(5,), (3, 2), (1, 1, 3), (1, 4), (4, 1), (2, 2, 1)])
def test_attention_in_pieces_is_attention_at_once(pieces, rng):
    """Tokens that come in pieces, with a cache, see what they would have seen at once."""
    layer, inputs, places = attention(rng)
    cache, outputs = Cache(), []
    for new, where in zip(inputs.split(pieces, dim=1), places.split(pieces, dim=1), strict=True):
        outputs.append(layer.forward(new, where, cache=cache))
    message = f"pieces of {pieces} tokens"
    assert_close(torch.cat(outputs, dim=1), layer.forward(inputs, places), message, rtol=1e-5, atol=1e-5)


def test_attention_gives_the_cache_what_it_needs(rng):
    """The cache gets the layer's number, turned keys and plain values, of kv_heads heads: not one for each query."""
    layer, inputs, places = attention(rng, kv_heads=2, layer=7)
    cache = Cache()
    layer.forward(inputs, places, cache=cache)
    number, keys, values = cache.given
    assert number == 7, f"the layer is 7, not {number}"
    expected = layer.key(inputs).view(2, 5, 2, 4).transpose(1, 2)
    assert_shape(keys, (2, 2, 5, 4), "(batch, kv_heads, tokens, head_dim)")
    assert_close(keys, rope(expected, places[:, None], 20.0), "keys, turned", rtol=1e-5, atol=1e-5)
    assert_close(values, layer.value(inputs).view(2, 5, 2, 4).transpose(1, 2), "values, as they are")


def test_attention_takes_a_mask_over_the_cache(rng):
    """With 3 tokens cached and 2 new, a mask of (batch, 1, 2, 5) says what each new token sees."""
    layer, inputs, places = attention(rng)
    whole = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 1, 5, 5).clone()
    whole[1, 0, :, 1] = torch.tensor([False, True, False, False, False])
    cache = Cache()
    layer.forward(inputs[:, :3], places[:, :3], cache=cache)
    outputs = layer.forward(inputs[:, 3:], places[:, 3:], whole[:, :, 3:], cache)
    expected = slowly(layer, inputs, places, lambda b, t, s: whole[b, 0, t, s])
    assert_close(outputs, expected[:, 3:], "cached keys first, then the new ones", rtol=1e-5, atol=1e-5)


# --- the model ------------------------------------------------------------------------------------------------------


def test_gpt_adds_each_layer_to_the_stream(rng):
    """Embedding, plus attention of the normed, plus feed-forward of the normed; then norm and last layer."""
    model: Any = drawn(rng, GPT(Config(**SMALL, kv_heads=2, tied=False)))
    tokens = torch.from_numpy(rng.integers(0, 11, (3, 7)))
    hidden, places = model.embedding(tokens), torch.arange(7).expand(3, 7)
    for block in model.blocks:
        hidden = hidden + block.attention(block.attention_norm(hidden), places)
        hidden = hidden + block.feed_forward(block.feed_forward_norm(hidden))
    assert_close(model(tokens), model.head(model.norm(hidden)), "batch 3, tokens 7", rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("positions", ["rope", "learned"])
def test_gpt_in_pieces_is_gpt_at_once(positions, rng):
    """With a cache of all layers and the positions given, tokens may come in pieces."""
    model = drawn(rng, GPT(Config(**SMALL, kv_heads=2, norm="layer", feed_forward="gelu", positions=positions)))
    tokens, cache, outputs = torch.from_numpy(rng.integers(0, 11, (2, 7))), Cache(), []
    for places in torch.arange(7).split((4, 1, 2)):
        outputs.append(model(tokens[:, places], positions=places.expand(2, -1), cache=cache))
    assert_close(torch.cat(outputs, dim=1), model(tokens), "4, 1 and 2 tokens", rtol=1e-4, atol=1e-4)
    assert_refuses(lambda: model(tokens, cache=Cache()), "positions", "None")


@pytest.mark.parametrize("positions", ["rope", "learned"])
def test_gpt_ends_at_its_context_with_a_cache_too(positions):
    """Behind 8 cached tokens of a context of 9 there is room for one: of two the second would stand at place 9."""
    model, cache = GPT(Config(**SMALL, positions=positions)), Cache()
    tokens, places = torch.zeros(2, 10, dtype=torch.long), torch.arange(10).expand(2, -1)
    model(tokens[:, :8], places[:, :8], cache=cache)
    assert_refuses(lambda: model(tokens[:, 8:], places[:, 8:], cache=cache), "positions", 9)
    assert model(tokens[:, 8:9], places[:, 8:9], cache=cache).shape == (2, 1, 11)  # the refusal has cached nothing


def test_gpt_has_as_many_weights_as_its_config_says():
    """Width 24, 2 kv heads of 4, hidden 64 and 11 tokens: 264 embedded, 2 · 6,096 in blocks, 24 in the last norm."""
    block = 2 * 24 * 24 + 2 * 24 * 8 + 3 * 24 * 64 + 2 * 24
    for tied, last in ((True, 0), (False, 264)):
        model = GPT(Config(**SMALL, kv_heads=2, tied=tied))
        assert sum(weight.numel() for weight in model.parameters()) == 264 + 2 * block + 24 + last


def test_config_refuses_what_cannot_be_built():
    """Sizes below 1, heads that do not divide, odd heads under RoPE, unknown words and too long a text are refused."""
    for name in ("vocabulary", "layers", "heads", "width", "context", "kv_heads", "hidden", "rope_base"):
        assert_refuses_values(lambda value, name=name: Config(**(SMALL | {name: value})), name, 0, -1)
    assert_refuses_values(lambda heads: Config(**(SMALL | {"heads": heads})), "heads", 5, 7)
    assert_refuses_values(lambda heads: Config(**(SMALL | {"heads": heads})), "heads", 8, 24)
    assert_refuses_values(lambda kv_heads: Config(**SMALL, kv_heads=kv_heads), "kv_heads", 4, 12)
    for name in ("norm", "positions", "feed_forward"):
        assert_refuses_values(lambda value, name=name: Config(**SMALL, **{name: value}), name, "none", None)
    assert_refuses(lambda: GPT(Config(**SMALL))(torch.zeros(1, 10, dtype=torch.long)), "tokens", 10)


# --- training -------------------------------------------------------------------------------------------------------


def weight(*values):
    """A parameter with these values."""
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def test_adamw_by_hand():
    """From 1 with gradients 0.5 and -1, lr 0.1 and decay 0.2: 0.98 - 0.1 = 0.88, then 0.899011."""
    parameter = weight(1.0)
    optimizer = AdamW([parameter], lr=0.1, weight_decay=0.2)
    for gradient, expected in ((0.5, 0.88), (-1.0, 0.8990105)):
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        assert_close(parameter, [expected], f"after the gradient {gradient}", rtol=1e-6)


@pytest.mark.parametrize("eps", [1e-8, 0.5])
def test_adamw_is_its_formula(eps, rng):
    """Six steps of two groups, each by its own decay, and the learning rate changes on the way."""
    parameters = [nn.Parameter(normal(rng, 3, 2)), nn.Parameter(normal(rng, 4))]
    groups = [{"params": parameters[:1], "weight_decay": 0.3}, {"params": parameters[1:]}]
    optimizer = AdamW(groups, betas=(0.7, 0.9), eps=eps, weight_decay=0.1)
    expected, m, v = [p.detach().clone() for p in parameters], [torch.tensor(0.0)] * 2, [torch.tensor(0.0)] * 2
    for step in range(1, 7):
        for i, (parameter, decay) in enumerate(zip(parameters, (0.3, 0.1), strict=True)):
            gradient = normal(rng, *parameter.shape)
            parameter.grad = gradient.clone()
            optimizer.param_groups[i]["lr"] = lr = 0.05 * (step + i)
            m[i], v[i] = 0.7 * m[i] + 0.3 * gradient, 0.9 * v[i] + 0.1 * gradient**2
            change = m[i] / (1 - 0.7**step) / ((v[i] / (1 - 0.9**step)).sqrt() + eps)
            expected[i] = expected[i] - lr * decay * expected[i] - lr * change
        optimizer.step()
        for parameter, other in zip(parameters, expected, strict=True):
            assert_close(parameter, other, f"step {step}", rtol=1e-9)


def test_adamw_decays_by_the_learning_rate_alone():
    """With a gradient of 0 a weight shrinks by lr · weight_decay a step, whatever the moments are."""
    parameter = weight(2.0, -3.0)
    optimizer = AdamW([parameter], lr=0.1, weight_decay=0.5)
    for _ in range(2):
        parameter.grad = torch.zeros(2, dtype=torch.float64)
        optimizer.step()
    assert_close(parameter, [2 * 0.95**2, -3 * 0.95**2], "two steps of decay")


def test_adamw_leaves_alone_what_has_no_gradient():
    """A parameter without a gradient neither moves nor decays, and those after it still do; gradients stay."""
    frozen, trained = weight(2.0), weight(2.0)
    trained.grad = torch.ones(1, dtype=torch.float64)
    AdamW([frozen, trained], lr=0.1, weight_decay=0.5).step()
    assert_close(frozen, [2.0], "no gradient, no step")
    assert_close(trained, [1.8], "the one after it: 2 · 0.95 - 0.1")
    assert_close(trained.grad, [1.0], "the gradient must stay as it was")


def test_adamw_goes_on_from_its_state(rng):
    """Saved and loaded into another optimizer, it takes the next step as if nothing had happened."""
    parameter = weight(1.0, 2.0)
    optimizer = AdamW([parameter], lr=0.1)
    gradients = normal(rng, 4, 2)
    for gradient in gradients[:3]:
        parameter.grad = gradient.clone()
        optimizer.step()
    twin = nn.Parameter(parameter.detach().clone())
    resumed = AdamW([twin], lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, stepper in ((parameter, optimizer), (twin, resumed)):
        each.grad = gradients[3].clone()
        stepper.step()
    assert_close(twin, parameter, "the fourth step")


def test_clip_gradients_by_hand():
    """Gradients 3 and (0, 4) have the joint norm 5: with the limit 2 they become 1.2 and (0, 1.6)."""
    first, second, none = weight(1.0), weight(1.0, 1.0), weight(7.0)
    first.grad, second.grad = (torch.tensor(g, dtype=torch.float64) for g in ([3.0], [0.0, 4.0]))
    norm = clip_gradients(iter([first, none, second]), 2.0)
    assert_close(norm, 5.0, "the norm before, over all parameters together", rtol=1e-9)
    assert_close(first.grad, [1.2], "3 · 2 / 5", rtol=1e-5)
    assert_close(second.grad, [0.0, 1.6], "4 · 2 / 5", rtol=1e-5)
    assert none.grad is None, "a parameter without a gradient still has none"


def test_clip_gradients_leaves_short_ones():
    """A norm of 5 stays exactly as it is with the limits 5 and 100: clipping never makes gradients longer."""
    for limit in (5.0, 100.0):
        parameter = weight(1.0, 1.0)
        parameter.grad = torch.tensor([3.0, -4.0], dtype=torch.float64)
        assert_close(clip_gradients([parameter], limit), 5.0, f"the norm, limit {limit}")
        assert parameter.grad.tolist() == [3.0, -4.0], f"limit {limit} left {parameter.grad.tolist()}"
    assert clip_gradients([weight(1.0)], 1.0) == 0, "without any gradient the norm is 0"


def test_clip_gradients_is_pytorchs(rng):
    """It is torch.nn.utils.clip_grad_norm_, epsilon of 1e-6 included."""
    ours, theirs = ([weight(0.0), weight(0.0)] for _ in range(2))
    for mine, other in zip(ours, theirs, strict=True):
        mine.grad = normal(rng, 1) * 1e-3
        other.grad = mine.grad.clone()
    assert_close(clip_gradients(ours, 1e-5), nn.utils.clip_grad_norm_(theirs, 1e-5), "the norm", rtol=1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine.grad, other.grad, "norms as small as the epsilon", rtol=1e-9, atol=0)


def test_cosine_schedule_by_hand():
    """Warm-up 4, total 12, peak 8, floor 2: 0, 4, 8 at steps 0, 2, 4; 5 half-way down; 2 at the end and after it."""
    rates = [cosine_schedule(step, 4, 12, 8.0, 2.0) for step in (0, 2, 4, 6, 8, 12, 50)]
    assert_close(rates, [0, 4, 8, 5 + 3 * math.cos(math.pi / 4), 5, 2, 2])
    assert_close(cosine_schedule(0, 0, 1, 8.0, 2.0), 8.0, "without a warm-up it begins at the peak")


def test_cross_entropy_is_pytorchs(rng):
    """It is torch.nn.functional.cross_entropy over all tokens, also of logits near 1000."""
    logits, targets = 1000 * normal(rng, 2, 3, 5), torch.from_numpy(rng.integers(0, 5, (2, 3)))
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert_close(cross_entropy(logits, targets), expected)


def test_batches_are_windows_moved_on_by_one(rng):
    """Of 0, 1, 2, … each row counts on from its start, targets are one more, and every start comes up."""
    rows = batches(torch.arange(10), 50, 7, torch.Generator().manual_seed(int(rng.integers(1000))))
    inputs, targets = next(rows)
    assert_shape(inputs, (50, 7), "(batch, context)")
    assert_close(inputs, inputs[:, :1] + torch.arange(7), "a window")
    assert_close(targets, inputs + 1, "the token that follows each")
    assert set(inputs[:, 0].tolist()) == {0, 1, 2}, "starts 0, 1 and 2 leave room for 7 tokens and a target"
    assert_refuses_values(lambda context: next(batches(range(10), 1, context, torch.Generator())), "context", 10, 11)


def test_only_matrices_decay():
    """Embedding and linear weights are in the group that decays; norms and biases are in the other."""
    model = GPT(Config(**SMALL, bias=True))
    decaying, others = decay_groups(model, 0.1)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all(weight.ndim == 2 for weight in decaying["params"])
    assert all(weight.ndim == 1 for weight in others["params"])
    assert len(decaying["params"]) + len(others["params"]) == len(list(model.parameters()))


def test_training_learns_and_repeats_itself():
    """On 0, 1, 2, 0, 1, 2, … the loss falls from about log 3 to a tenth; the seed decides all of it."""
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        model = GPT(Config(3, 1, 2, 8, 6))
        runs.append(train(model, torch.arange(60) % 3, steps=40, batch=4, peak=0.03, warmup=5, seed=1))
    assert runs[0] == runs[1], "two runs of one seed differ"
    assert_close(runs[0][0], math.log(3), "the first loss", rtol=0.1)
    assert runs[0][-1] < 0.11, f"the last loss is {runs[0][-1]:.3f}"
