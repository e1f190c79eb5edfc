"""Checks of LoRA."""

import math
import re
from typing import Any

import pytest
import torch
from torch import nn

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_shape, module_conventions
from groundup.stack.generative.lora import (
    LoRALinear,
    QuantizedLinear,
    adapter_state,
    add_lora,
    dequantize,
    load_adapter,
    merge_lora,
    quantize,
)


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def linear(rng, inputs, outputs, bias=True):
    """A float64 layer with weights from `rng`."""
    layer = nn.Linear(inputs, outputs, bias).double()
    layer.load_state_dict({name: normal(rng, *value.shape) for name, value in layer.state_dict().items()})
    return layer


def trained(rng, base, rank=2, alpha=6.0):
    """An adapter that has left its start: B is not 0."""
    layer = LoRALinear(base, rank, alpha)
    for part in (layer.lora_A, layer.lora_B):
        part.weight.data = normal(rng, *part.weight.shape)
    return layer


class Block(nn.Module):
    """Two blocks of named layers, as models have them."""

    def __init__(self, rng):
        super().__init__()
        self.embed = nn.Embedding(5, 4).double()
        pairs = [{"query": linear(rng, 4, 4), "big_query": linear(rng, 4, 4, bias=False)} for _ in range(2)]
        self.blocks: Any = nn.ModuleList(map(nn.ModuleDict, pairs))
        self.query: Any = linear(rng, 4, 3)

    def forward(self, tokens):
        """Embed, then every layer in turn."""
        hidden = self.embed(tokens)
        for block in self.blocks:
            hidden = torch.tanh(block["big_query"](torch.tanh(block["query"](hidden))))
        return self.query(hidden)


TOKENS = torch.tensor([[0, 1, 2], [4, 3, 0]])

# --- a base in four bits --------------------------------------------------------------------------------------------


def test_quantize_by_hand():
    """A row [0.7, -0.33, 0, 14, 2, -5] in groups of 3: scales 0.1 and 2, codes 7, -3, 0 and 7, 1, -2."""
    codes, scales = quantize(torch.tensor([[0.7, -0.33, 0.0, 14.0, 2.0, -5.0]]), group=3)
    assert_close(scales, [[0.1, 2.0]], "the largest magnitude of each group, divided by 7", rtol=1e-6)
    assert_close(codes, [[7, -3, 0, 7, 1, -2]], "weights / scale, to the nearest whole number")
    assert codes.dtype == torch.int8, f"codes are int8, not {codes.dtype}"
    assert_close(dequantize(codes, scales), [[0.7, -0.3, 0.0, 14.0, 2.0, -4.0]], "code · scale", rtol=1e-6)
    assert_shape(quantize(torch.ones(1, 64))[1], (1, 2), "32 weights share a scale unless you say otherwise")
    codes, scales = quantize(torch.tensor([[0.0, 0.0, 7.0, 0.0]]), group=2)
    assert_close(codes, [[0, 0, 7, 0]], "a group of zeros has codes 0")
    assert_close(scales, [[0.0, 1.0]], "a group of zeros has scale 0")


@pytest.mark.parametrize("group", [1, 2, 4, 8])
def test_quantize_errs_by_half_a_step(group, rng):
    """No weight moves by more than half the scale of its group, which uses its 15 levels to the end."""
    weight = normal(rng, 5, 8) * torch.logspace(-3, 3, 5, dtype=torch.float64)[:, None]
    codes, scales = quantize(weight, group)
    assert_shape(scales, (5, 8 // group), f"a scale for each {group} weights of a row")
    step = scales.repeat_interleave(group, dim=1)
    error = (dequantize(codes, scales) - weight).abs()
    assert (error <= step / 2 + 1e-12).all(), f"the largest error is {(error / step).max():.3f} of a scale"
    assert_close(codes.unflatten(1, (-1, group)).abs().amax(dim=2), torch.full((5, 8 // group), 7), "the largest code")


def test_quantize_keeps_the_weight_and_needs_no_gradient(rng):
    """The weight stays as it was, and the scales carry no gradient: the base is frozen."""
    layer = linear(rng, 4, 3)
    before = layer.weight.detach().clone()
    _, scales = quantize(layer.weight, group=2)
    assert not scales.requires_grad, "the scales carry a gradient: detach the weight"
    assert_close(layer.weight, before, "the weight given must stay as it is")
    assert scales.dtype == torch.float64, f"float64 weights have float64 scales, not {scales.dtype}"


def test_quantize_refuses_what_it_cannot_group():
    """A group that does not divide the row, or of no weight, and a weight that is not finite are refused."""
    assert_refuses_values(lambda group: quantize(torch.ones(2, 6), group), "group", 4, 0, -3, 12)
    for value in (math.nan, math.inf):
        assert_refuses(lambda value=value: quantize(torch.tensor([[1.0, value]]), 2), "weight", value)


def test_quantized_linear_computes_with_the_rounded_weights(rng):
    """It is a linear layer with the weights that its codes stand for, and has no parameter that could train."""
    layer, inputs = linear(rng, 6, 3), normal(rng, 4, 6)
    quantized = QuantizedLinear(layer, group=3)
    weight = dequantize(*quantize(layer.weight, 3))
    assert_close(quantized(inputs), inputs @ weight.T + layer.bias, "W x + b with rounded W and exact b")
    assert not list(quantized.parameters()), "a quantised layer has buffers, no parameters"


# --- one adapter ----------------------------------------------------------------------------------------------------


def test_an_adapter_by_hand():
    """W = [1 2], A = [3 4], B = [5], alpha / rank = 2: of x = (1, 1) it makes 3 + 2 · 5 · 7 = 73."""
    base = nn.Linear(2, 1, bias=False)
    base.weight.data = torch.tensor([[1.0, 2.0]])
    layer = LoRALinear(base, rank=1, alpha=2.0)
    layer.lora_A.weight.data, layer.lora_B.weight.data = torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0]])
    assert_close(layer(torch.tensor([1.0, 1.0])), [73.0], "W x + (alpha / rank) B A x")
    assert_close(layer.merged().weight, [[31.0, 42.0]], "W + (alpha / rank) B A = [1 + 2·5·3, 2 + 2·5·4]")


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device"]))  # it imports SymPy
def test_it_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""

    def make():
        layer = LoRALinear(nn.Linear(6, 4), rank=2, alpha=3.0, dropout=0.2)
        nn.init.normal_(layer.lora_B.weight)
        return layer

    convention(make, normal(rng, 3, 2, 6).float())


def test_it_begins_as_the_base(rng):
    """Before the first step it gives what the base gives, to the last bit."""
    base, inputs = linear(rng, 6, 4), normal(rng, 5, 6)
    expected = base(inputs)
    assert torch.equal(LoRALinear(base, 3, 12.0)(inputs), expected), "a fresh adapter must add exactly 0"


def test_it_begins_with_a_gradient(rng):
    """At the start B has a gradient, so that training can begin: A is not 0."""
    layer = LoRALinear(linear(rng, 6, 4), 3, 12.0)
    layer(normal(rng, 5, 6)).square().sum().backward()
    gradient = layer.lora_B.weight.grad
    assert gradient is not None, "B must train"
    assert gradient.abs().amin() > 0, "no entry of B's gradient is 0: A is drawn at random"


def test_reset_adapter_draws_as_linear_layers_do():
    """A is drawn evenly within ±1 / sqrt(in); a new draw differs; B is 0 again."""
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(400, 50), 40, 1.0)
    first = layer.lora_A.weight.detach().clone()
    nn.init.ones_(layer.lora_B.weight)
    layer.reset_adapter()
    weight = layer.lora_A.weight.detach()
    assert (weight != first).any(), "a new draw differs from the first"
    assert_close(layer.lora_B.weight, torch.zeros(50, 40), "B after reset_adapter")
    assert_close([weight.max(), weight.min()], [0.05, -0.05], "16,000 draws within ±1 / sqrt(400)", rtol=1e-2)
    assert_close(weight.std(), 0.1 / math.sqrt(12), "even draws between -0.05 and 0.05", rtol=2e-2)


def test_alpha_over_rank_counts_once(rng):
    """Twice the alpha doubles what the adapter adds; the same B and A in a larger rank, padded by 0, add less."""
    base, inputs = linear(rng, 6, 4), normal(rng, 5, 6)
    layer = trained(rng, base, rank=2, alpha=6.0)
    added = layer(inputs) - base(inputs)
    layer.alpha = 12.0
    assert_close(layer(inputs) - base(inputs), 2 * added, "alpha 12 against alpha 6")
    wide = LoRALinear(base, rank=4, alpha=6.0)
    wide.lora_A.weight.data = torch.cat([layer.lora_A.weight.data, torch.zeros(2, 6)])
    wide.lora_B.weight.data = torch.cat([layer.lora_B.weight.data, torch.zeros(4, 2)], dim=1)
    assert_close(wide(inputs) - base(inputs), added / 2, "rank 4 against rank 2, the same B A")


def test_dropout_is_the_adapters_own(rng):
    """In training an input of the adapter may drop; the base sees all inputs, and nothing drops in eval mode."""
    base, inputs = linear(rng, 40, 4), normal(rng, 3, 40)
    layer = LoRALinear(base, 2, 2.0, dropout=0.5)
    assert_close(layer(inputs), base(inputs), "with B = 0 dropout must change nothing")
    layer.lora_B.weight.data = normal(rng, 4, 2)
    assert (layer(inputs) != layer(inputs)).any(), "in training two passes differ"
    assert_close(layer.eval()(inputs), layer.merged()(inputs), "in eval mode nothing drops")


@pytest.mark.parametrize("bias", [True, False])
def test_merged_equals_unmerged(bias, rng):
    """The merged layer gives the same outputs to 1e-6, with a bias or without one, in float32 too."""
    layer, inputs = trained(rng, linear(rng, 7, 5, bias)), normal(rng, 3, 2, 7)
    merged = layer.merged()
    assert type(merged) is nn.Linear, f"merged() gives a plain nn.Linear, not {type(merged).__name__}"
    assert_close(merged(inputs), layer(inputs), "merged against adapter beside base", rtol=1e-9)
    layer, inputs = layer.float(), inputs.float() / 10
    assert_close(layer.merged()(inputs), layer(inputs), "the same in float32", rtol=1e-4, atol=1e-5)


def test_merged_is_a_copy(rng):
    """Merging changes neither base nor adapter, a second merge gives the same, and the new layer can train."""
    layer = trained(rng, linear(rng, 4, 3))
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    first = layer.merged()
    assert_close(layer.merged().weight, first.weight, "a second merge adds the same once")
    first.weight.data, first.bias.data = first.weight.data.zero_(), first.bias.data.zero_()
    for name, value in layer.state_dict().items():
        assert_close(value, before[name], f"{name} must stay as it was, also when the merged layer changes")
    assert first.weight.requires_grad, "the merged layer trains"
    assert first.weight.is_leaf, "the merged weight is a parameter of its own, without a history"


def test_merged_is_onto_what_the_adapter_saw(rng):
    """Beside a 4-bit base the adapter saw rounded weights: the merge adds to these, and outputs stay the same."""
    original = linear(rng, 8, 4)
    layer, inputs = trained(rng, QuantizedLinear(original, group=4)), normal(rng, 3, 8)
    assert_close(layer.merged()(inputs), layer(inputs), "merged against unmerged, on a base of 4 bits", rtol=1e-9)
    update = layer.merged().weight - dequantize(*quantize(original.weight, 4))
    assert_close(update, 3 * layer.lora_B.weight @ layer.lora_A.weight, "what the merge added, alpha / rank = 3")


def test_an_adapter_refuses_what_cannot_be():
    """Rank, alpha and dropout out of range are refused."""
    base = nn.Linear(6, 4)
    assert_refuses_values(lambda rank: LoRALinear(base, rank, 1.0), "rank", 0, 5, -1)
    assert_refuses_values(lambda alpha: LoRALinear(base, 2, alpha), "alpha", 0, -1.0)
    assert_refuses_values(lambda p: LoRALinear(base, 2, 1.0, p), "dropout", 1.0, -0.1)


# --- a whole model --------------------------------------------------------------------------------------------------


def test_add_lora_names_what_it_adapts(rng):
    """The target `query` is the last word of a name: not of big_query, and at any depth."""
    model = Block(rng)
    assert list(add_lora(model, ["query"], 2, 4.0)) == ["blocks.0.query", "blocks.1.query", "query"]
    assert isinstance(model.query, LoRALinear), "`query` itself matches"
    assert isinstance(model.blocks[0]["big_query"], nn.Linear), "big_query is another name"
    names = ["blocks.0.big_query", "blocks.1.query", "blocks.1.big_query"]
    assert list(add_lora(Block(rng), ["blocks.1.query", "big_query"], 2, 4.0)) == names, "in the order of the model"
    assert (model.query.rank, model.query.alpha) == (2, 4.0), "rank and alpha reach the layers"


def test_only_adapters_train(rng):
    """Every parameter that trains is an adapter's; embedding, base and layers without an adapter are frozen."""
    model = Block(rng)
    add_lora(model, ["query"], 2, 4.0)
    training = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    expected = [f"{name}query.lora_{part}.weight" for name in ("blocks.0.", "blocks.1.", "") for part in "AB"]
    assert training == expected, f"these train: {training}"
    model(TOKENS).square().sum().backward()
    reached = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert reached == expected, f"these have a gradient: {reached}"


def test_add_lora_begins_as_the_model(rng):
    """A model with fresh adapters gives what it gave, in the mode that it was in."""
    model = Block(rng).eval()
    expected = model(TOKENS)
    add_lora(model, ["query", "big_query"], 3, 6.0, dropout=0.3)
    assert_close(model(TOKENS), expected)
    assert not model.query.training, "a model in eval mode gets adapters in eval mode"
    assert model.query.dropout.p == 0.3, "dropout reaches the layers"


def test_add_lora_on_four_bits(rng):
    """With `group` the adapted layers, and no others, become 4-bit codes; the merge keeps their outputs."""
    model = Block(rng)
    add_lora(model, ["query"], 2, 4.0, group=2)
    assert isinstance(model.query.base_layer, QuantizedLinear), "the adapted layers are quantised"
    assert_shape(model.query.base_layer.scales, (3, 2), "a scale for each 2 of 4 weights")
    assert isinstance(model.blocks[0]["big_query"], nn.Linear), "other layers keep their weights"
    model.query.lora_B.weight.data = normal(rng, 3, 2)
    expected = model(TOKENS)
    assert_close(merge_lora(model)(TOKENS), expected, "merged against unmerged")


def test_add_lora_refuses_and_changes_nothing(rng):
    """A target that matches no layer, or no linear one, is refused, and the model stays as it was."""
    model = Block(rng)
    assert_refuses(lambda: add_lora(model, ["query", "value"], 2, 4.0), "value", "blocks.0.big_query")
    assert_refuses(lambda: add_lora(model, ["uery"], 2, 4.0), "uery", message="a part of a word is no name")
    assert_refuses(lambda: add_lora(model, ["query", "embed"], 2, 4.0), "embed", "Embedding")
    assert_refuses(lambda: add_lora(nn.ReLU(), ["query"], 2, 4.0), "query", "none")
    assert all(parameter.requires_grad for parameter in model.parameters()), "a refused call froze a parameter"
    assert not any(isinstance(module, LoRALinear) for module in model.modules()), "a refused call put an adapter on"
    add_lora(model, ["query"], 2, 4.0)
    assert_refuses(lambda: add_lora(model, ["query"], 2, 4.0), "query", "LoRALinear", message="twice")


def test_adapter_state_has_pefts_names(rng):
    """Only adapters, under the names that peft saves: base_model.model.…lora_A.weight."""
    model = Block(rng)
    add_lora(model, ["blocks.0.query", "big_query"], 2, 4.0)
    state = adapter_state(model)
    layers = ["blocks.0.query", "blocks.0.big_query", "blocks.1.big_query"]
    expected = [f"base_model.model.{name}.lora_{part}.weight" for name in layers for part in "AB"]
    assert list(state) == expected, f"the names are {list(state)}"
    assert_close(state[expected[0]], model.blocks[0]["query"].lora_A.weight, "lora_A is A")
    assert_close(state[expected[1]], model.blocks[0]["query"].lora_B.weight, "lora_B is B")


def test_adapter_state_is_a_copy(rng):
    """Training after the save does not change what was saved, and nothing in it has a gradient."""
    model = Block(rng)
    add_lora(model, ["query"], 2, 4.0)
    state = adapter_state(model)
    assert not any(value.requires_grad for value in state.values()), "what is saved has no gradient"
    saved = {name: value.clone() for name, value in state.items()}
    for parameter in model.parameters():
        parameter.data += 1
    for name, value in state.items():
        assert_close(value, saved[name], f"{name} must stay as it was saved")
    assert adapter_state(Block(rng)) == {}, "a model without adapters has none to save"


def test_load_adapter_brings_the_outputs(rng):
    """The adapters of one model, loaded into another with the same base, make it give the same."""
    model, twin = Block(rng), Block(rng)
    twin.load_state_dict(model.state_dict())
    for each in (model, twin):
        add_lora(each, ["query"], 2, 4.0)
    model.query.lora_B.weight.data = normal(rng, 3, 2)
    load_adapter(twin, adapter_state(model))
    assert_close(twin(TOKENS), model(TOKENS), "after load_adapter both give the same")
    name, weight = next(iter(adapter_state(model).items()))
    assert_refuses(lambda: load_adapter(twin, {name: weight}), "state", r"lora_B", message="weights are missing")
    wrong = {**adapter_state(model), name: torch.zeros(3, 4)}
    assert_refuses(lambda: load_adapter(twin, wrong), re.escape(name), (2, 4), (3, 4), message="another rank")


def test_merge_lora_gives_plain_layers(rng):
    """After the merge no adapter is left, and outputs and names of parameters are as before the adapters came."""
    model = Block(rng)
    names = list(model.state_dict())
    add_lora(model, ["query", "big_query"], 2, 4.0)
    for _, value in model.named_parameters():
        value.data = normal(rng, *value.shape)
    expected = model(TOKENS)
    assert merge_lora(model) is model, "merge_lora returns the model"
    assert_close(model(TOKENS), expected, "merged against unmerged", rtol=1e-9)
    assert list(model.state_dict()) == names, "the parameters have their old names"
