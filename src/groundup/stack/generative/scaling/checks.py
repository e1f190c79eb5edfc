"""Checks of scaling."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from groundup.checking import assert_close, assert_refuses, assert_refuses_values
from groundup.stack.generative.gpt import GPT, AdamW, Config, cross_entropy
from groundup.stack.generative.scaling import (
    GB,
    MODELS,
    LossScaler,
    average_gradients,
    count_flops,
    count_parameters,
    longest_context,
    saved_activations,
    shard,
    training_memory,
    utilization,
)

TINY = Config(11, 2, 4, 8, 16, kv_heads=2, hidden=12, tied=False)
# As many shapes as a config has switches; sizes differ from one another, so that none can stand for another.
BASE = Config(61, 2, 6, 48, 32, kv_heads=3, hidden=70)
SHAPES = {
    "as it is": BASE,
    "three layers": replace(BASE, layers=3),
    "untied": replace(BASE, tied=False),
    "one kv head": replace(BASE, kv_heads=1),
    "LayerNorm": replace(BASE, norm="layer"),
    "GELU": replace(BASE, feed_forward="gelu"),
    "learned": replace(BASE, positions="learned"),
    "biases": replace(BASE, bias=True, qkv_bias=True),
    "qkv biases": replace(BASE, qkv_bias=True),
    "GPT-2": replace(BASE, norm="layer", positions="learned", feed_forward="gelu", bias=True, qkv_bias=True),
}
shapes = pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)


def tokens(config, batch, length):
    """Random tokens and targets."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(config.vocabulary, (2, batch, length), generator=generator)


def kept(config, batch, length, mixed):
    """Bytes that autograd keeps for the backward pass, each memory once, weights and their copies not included."""
    model = GPT(config)
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    sizes = {tuple(weight.shape[::-1]) for weight in model.parameters() if weight.ndim == 2}
    seen, alive = {}, []

    def pack(x):
        storage = x.untyped_storage()
        copy = mixed and tuple(x.shape) in sizes
        if storage.data_ptr() not in own and not copy:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(x)
        return x

    inputs, targets = tokens(config, batch, length)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits = model(inputs)
        cross_entropy(logits.float(), targets.clone())
    return sum(seen.values())


# --- weights --------------------------------------------------------------------------------------------------------


def test_count_parameters_by_hand():
    """Width 8, keys and values of 4, hidden 12, 11 tokens, 2 blocks: 88, 2 · 192, 2 · 288, 5 · 8 and 88."""
    expected = {"embedding": 88, "attention": 384, "feed_forward": 576, "norms": 40, "head": 88}
    assert count_parameters(TINY) == expected


@shapes
def test_count_parameters_is_what_a_built_model_has(config):
    """The parts are those of a model that is built."""
    words = {"embedding.": "embedding", "places.": "embedding", "norm": "norms", "attention.": "attention"}
    words |= {"feed_forward.": "feed_forward", "head.": "head"}
    counts = dict.fromkeys(words.values(), 0)
    for name, weight in GPT(config).named_parameters():
        part = next(part for word, part in words.items() if word in name)
        counts[part] += weight.numel()
    assert count_parameters(config) == counts


def test_count_parameters_gives_published_totals():
    """The totals are those that the models' publishers give."""
    published = {
        "GPT-2": 124_439_808,
        "SmolLM2 135M": 134_515_008,
        "Qwen2.5 0.5B": 494_032_768,
        "Llama 3.2 1B": 1_235_814_400,
        "Mistral 7B v0.3": 7_248_023_552,
        "Qwen2.5 7B": 7_615_616_512,
        "Llama 3.1 8B": 8_030_261_248,
    }
    for name, total in published.items():
        assert sum(count_parameters(MODELS[name]).values()) == total, f"{name} has {total:,} weights"


# --- operations -----------------------------------------------------------------------------------------------------


def test_count_flops_by_hand():
    """3 · 5 tokens, each 2 · 480 weights in blocks, 88 in the last layer, 160 for pairs: 2 · 15 · 1208, times 3."""
    assert count_flops(TINY, 3, 5, backward=False) == 36_240
    assert count_flops(TINY, 3, 5) == 108_720, "a backward pass is two forward passes, and counts unless left out"


@shapes
def test_count_flops_is_what_a_forward_pass_multiplies(config, monkeypatch):
    """Each product that the model asks PyTorch for, counted as it happens, two operations a multiplication."""
    counted, linear, attend = [], nn.functional.linear, nn.functional.scaled_dot_product_attention

    def counts_linear(inputs, weight, bias=None):
        counted.append(2 * inputs.numel() * weight.shape[0])
        return linear(inputs, weight, bias)

    def counts_attention(queries, keys, *rest, **more):
        counted.append(2 * 2 * queries.numel() * keys.shape[2])
        return attend(queries, keys, *rest, **more)

    monkeypatch.setattr(nn.functional, "linear", counts_linear)
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", counts_attention)
    GPT(config)(tokens(config, 3, 20)[0])
    assert count_flops(config, 3, 20, backward=False) == sum(counted)


def test_count_flops_grows_with_the_square_of_the_context():
    """Twice the tokens cost twice the matrices and four times the pairs."""
    more = count_flops(BASE, 1, 40, backward=False) - 2 * count_flops(BASE, 1, 20, backward=False)
    assert more == 2 * 2 * (2 * 2 * 20 * 20 * 48), "2 layers, 2 products, 2 operations, 20 · 20 pairs, width 48, twice"


def test_count_flops_is_about_six_for_each_weight():
    """At 128 tokens Llama's 7.5 billion weights behind its embedding take 6 operations a token each, and 1 % more."""
    config = MODELS["Llama 3.1 8B"]
    weights = sum(count_parameters(config).values()) - count_parameters(config)["embedding"]
    assert_close(count_flops(config, 1, 128) / 128, 6 * weights, "6 N a token", rtol=0.01)


# --- memory ---------------------------------------------------------------------------------------------------------


def test_saved_activations_by_hand():
    """15 tokens: a block keeps 136 + 4 · (52 + 48) + 16 bytes, what follows 164; in mixed precision 400 and 148."""
    assert saved_activations(TINY, 3, 5) == 15 * (2 * 552 + 164) == 19_020
    assert saved_activations(TINY, 3, 5, "mixed") == 15 * (2 * 400 + 148) == 14_220


@shapes
@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_saved_activations_are_what_autograd_keeps(config, precision):
    """They are the bytes that autograd keeps, to 1 %."""
    counted = saved_activations(config, 3, 20, precision)
    assert_close(counted, kept(config, 3, 20, precision == "mixed"), "batch 3, tokens 20", rtol=0.01)


def test_saved_activations_are_proportional_to_tokens():
    """Twice the batch or twice the tokens keep twice as much: no matrix of scores is kept."""
    for batch, length in ((2, 20), (1, 40)):
        assert saved_activations(BASE, batch, length) == 2 * saved_activations(BASE, 1, 20)


@pytest.mark.parametrize("tied", [True, False])
def test_training_memory_is_sixteen_bytes_a_weight(tied):
    """Weights 4, gradients 4, AdamW's state 8, as they lie in memory; mixed precision adds 2 for a matrix's weight."""
    config = replace(BASE, tied=tied)
    model, (inputs, targets) = GPT(config), tokens(config, 3, 20)
    optimizer = AdamW(model.parameters())
    cross_entropy(model(inputs), targets).backward()
    optimizer.step()
    memory = training_memory(config, 3, 20)
    assert memory["weights"] == sum(weight.nbytes for weight in model.parameters())
    assert memory["gradients"] == sum(weight.grad.nbytes for weight in model.parameters() if weight.grad is not None)
    assert memory["optimizer"] == sum(state["m"].nbytes + state["v"].nbytes for state in optimizer.state.values())
    assert memory["activations"] == saved_activations(config, 3, 20)
    mixed = training_memory(config, 3, 20, "mixed")
    products = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embedding" not in name]
    last = 61 * 48 if tied else 0
    assert mixed["weights"] - memory["weights"] == 2 * (sum(weight.numel() for weight in products) + last)


def test_longest_context_by_hand():
    """1,176 weights in a byte each, 32 bytes of cache a token: 255 bytes beside them hold 7 tokens."""
    assert longest_context(TINY, 1176 + 255, weight_bits=8) == 7
    assert longest_context(TINY, 1176 + 256, weight_bits=8) == 8, "8 · 32 bytes hold exactly 8"
    assert longest_context(TINY, 1176 + 255, weight_bits=8, reserve=40) == 6, "40 bytes must stay free"
    assert longest_context(TINY, 1176 + 255, weight_bits=8, batch=2) == 3, "two sequences share"
    assert longest_context(TINY, 1176 + 255, weight_bits=8, cache_bits=8) == 15, "a cache in 8 bits holds twice as much"
    assert longest_context(TINY, 2352 + 255) == 7, "16 bits unless you say otherwise"


def test_longest_context_ends_at_the_models_own():
    """With much memory it is the model's context; without enough for the weights it is 0."""
    assert longest_context(TINY, 1e6) == 16
    assert longest_context(TINY, 1000) == 0
    assert longest_context(TINY, 2352) == 0, "weights alone leave no token"


def test_longest_context_in_eight_gigabytes():
    """Llama 3.1 8B does not fit in 16 bits, and has 11,314 tokens in 4.5 bits with 2 GB left free for adapters."""
    config = MODELS["Llama 3.1 8B"]
    assert longest_context(config, 8 * GB) == 0
    assert longest_context(config, 8 * GB, weight_bits=4.5, reserve=2 * GB) == 11_314


def test_longest_context_refuses_no_bits():
    """Bits and batch are above 0."""
    for name in ("weight_bits", "cache_bits", "batch"):
        assert_refuses_values(lambda value, name=name: longest_context(TINY, 1e6, **{name: value}), name, 0, -4)


def test_utilization_by_hand():
    """3e12 operations in 2 seconds, of 6e12 a second that the device could do: a quarter."""
    assert_close(utilization(3e12, 2.0, 6e12), 0.25)
    assert_refuses_values(lambda seconds: utilization(1.0, seconds, 1.0), "seconds", 0, -1.0)
    assert_refuses_values(lambda peak: utilization(1.0, 1.0, peak), "peak", 0, -1.0)


# --- half precision -------------------------------------------------------------------------------------------------


class Recorder:
    """An optimizer that keeps what gradients it saw."""

    def __init__(self, *parameters):
        self.parameters, self.seen = parameters, []

    def step(self):
        """Keep copies."""
        self.seen.append([None if p.grad is None else p.grad.tolist() for p in self.parameters])


def weights(*gradients):
    """Parameters of two numbers with these gradients."""
    made = []
    for gradient in gradients:
        made.append(nn.Parameter(torch.ones(2)))
        made[-1].grad = None if gradient is None else torch.tensor(gradient)
    return made


def test_loss_scaler_by_hand():
    """Scaled by 8, the loss 3 is 24; gradients 16 and -8 reach the optimizer as 2 and -1."""
    scaler = LossScaler(scale=8.0)
    assert_close(scaler.scale_loss(torch.tensor(3.0)), 24.0, "loss · scale")
    parameters = weights([16.0, -8.0], None, [4.0, 0.0])
    optimizer = Recorder(*parameters)
    assert scaler.step(optimizer, iter(parameters)) is True, "it did step"
    assert optimizer.seen == [[[2.0, -1.0], None, [0.5, 0.0]]], "each gradient divided by the scale, once"
    assert scaler.scale == 8.0, "one good step of 2000 leaves the scale"


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("place", [0, 1])
def test_loss_scaler_skips_what_overflows(bad, place):
    """One infinite or undefined number, in whichever parameter, and nothing moves; the scale is halved."""
    gradients = [[1.0, 2.0], [3.0, 4.0]]
    gradients[place][1] = bad
    parameters = weights(*gradients)
    optimizer, scaler = Recorder(*parameters), LossScaler(scale=8.0)
    assert scaler.step(optimizer, parameters) is False, "it did not step"
    assert optimizer.seen == [], "the optimizer must not be called"
    assert scaler.scale == 4.0, f"the scale is 8 / 2, not {scaler.scale}"


def test_loss_scaler_grows_after_good_steps_in_a_row():
    """With interval 3 and factor 4: good, bad, then three good ones in a row make it grow, and three more again."""
    scaler = LossScaler(scale=64.0, factor=4.0, interval=3)
    scales = []
    for good in (True, True, False, True, True, True, True, True, True, True):
        parameters = weights([1.0 if good else math.inf, 0.0])
        scaler.step(Recorder(*parameters), parameters)
        scales.append(scaler.scale)
    assert scales == [64, 64, 16, 16, 16, 64, 64, 64, 256, 256]


def test_loss_scaler_keeps_small_gradients_alive():
    """A gradient of 2^-26 is 0 in float16; with a loss scaled by 2^16 it arrives whole."""
    for scale, expected in ((1.0, 0.0), (2.0**16, 2.0**-26)):
        weight, scaler = nn.Parameter(torch.ones(1)), LossScaler(scale)
        half = weight.half() * 2.0**-13
        scaler.scale_loss(half.float() * 2.0**-13).backward()
        scaler.step(Recorder(weight), [weight])
        assert_close(weight.grad, [expected], f"with a loss scaled by {scale}", rtol=1e-6, atol=0)


def test_loss_scaler_steps_as_float32_does(rng):
    """With AdamW behind it, three steps are those of unscaled gradients."""
    plain, scaled = (nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    optimizers, scaler = [AdamW([plain], lr=0.1), AdamW([scaled], lr=0.1)], LossScaler(scale=1024.0, interval=2)
    for _ in range(3):
        inputs = torch.from_numpy(rng.standard_normal((5, 3))).float()
        for weight, optimizer in zip((plain, scaled), optimizers, strict=True):
            optimizer.zero_grad()
            loss = (inputs @ weight).square().mean()
            (scaler.scale_loss(loss) if weight is scaled else loss).backward()
        optimizers[0].step()
        scaler.step(optimizers[1], [scaled])
    assert_close(scaled, plain, "weights after three steps", rtol=1e-5)
    assert scaler.scale == 2048, "two good steps in a row, then one"


def test_loss_scaler_refuses_what_cannot_scale():
    """A scale of 0, a factor of 1 and an interval of 0 are refused."""
    assert_refuses_values(lambda scale: LossScaler(scale=scale), "scale", 0, -2.0)
    assert_refuses_values(lambda factor: LossScaler(factor=factor), "factor", 1, 0.5)
    assert_refuses_values(lambda interval: LossScaler(interval=interval), "interval", 0, -1)


# --- several workers ------------------------------------------------------------------------------------------------


def together(*workers):
    """Average over workers as `all_reduce` would: first every message is read, then each gets the sum."""
    messages = []

    def read(message):
        messages.append(message.clone())

    for parameters in workers:
        copies = weights(*[None if p.grad is None else p.grad.tolist() for p in parameters])
        for copy, parameter in zip(copies, parameters, strict=True):
            copy.data = parameter.data.clone()
        average_gradients(copies, len(workers), read)
    assert len(messages) == len(workers), "each worker sends one message for all its parameters together"
    total = torch.stack(messages).sum(dim=0)
    for parameters in workers:
        average_gradients(iter(parameters), len(workers), lambda message: message.copy_(total))


def test_average_gradients_by_hand():
    """Of gradients 1 and 5, and of (2, 4) and (0, 8), every worker gets 3, and (1, 6)."""
    first, second = weights([1.0, 1.0], [2.0, 4.0]), weights([5.0, 5.0], [0.0, 8.0])
    together(first, second)
    for worker in (first, second):
        assert_close(worker[0].grad, [3.0, 3.0], "(1 + 5) / 2")
        assert_close(worker[1].grad, [1.0, 6.0], "(2 + 0) / 2 and (4 + 8) / 2")
        assert_close(worker[0], [1.0, 1.0], "weights must stay as they are")


def test_average_gradients_counts_a_missing_one_as_zeros():
    """A parameter that only one of three workers reached has a third of its gradient everywhere."""
    workers = [weights(None, [3.0, 6.0]), weights([9.0, 3.0], [3.0, 0.0]), weights(None, [0.0, 0.0])]
    together(*workers)
    for worker in workers:
        assert_close(worker[0].grad, [3.0, 1.0], "(0 + 9 + 0) / 3")
        assert_close(worker[1].grad, [2.0, 2.0], "(3 + 3 + 0) / 3")


def test_average_gradients_of_shards_is_the_gradient_of_the_batch():
    """Three workers with two of six rows each: their mean is the gradient of one worker with all six."""
    config, (inputs, targets) = TINY, tokens(TINY, 6, 5)
    torch.manual_seed(0)
    whole = GPT(config)
    cross_entropy(whole(inputs), targets).backward()
    sums, worker = [], GPT(config)
    worker.load_state_dict(whole.state_dict())
    for rank in range(3):
        worker.zero_grad()
        cross_entropy(worker(shard(inputs, rank, 3)), shard(targets, rank, 3)).backward()
        average_gradients(worker.parameters(), 3, lambda message: sums.append(message.clone()))
    average_gradients(worker.parameters(), 3, lambda message: message.copy_(torch.stack(sums).sum(dim=0)))
    for (name, one), many in zip(whole.named_parameters(), worker.parameters(), strict=True):
        assert many.grad is not None, f"{name} must have a gradient"
        assert many.shape == many.grad.shape, f"{name}: a gradient has the shape of its parameter"
        assert_close(many.grad, one.grad, name, rtol=1e-4, atol=1e-6)


def test_shard_deals_every_row_once():
    """Worker 1 of 3 gets rows 1 and 4 of six; seven rows, and a worker 3 of 3, are refused."""
    rows = torch.arange(6)
    assert shard(rows, 1, 3).tolist() == [1, 4]
    assert sorted(torch.cat([shard(rows, rank, 3) for rank in range(3)]).tolist()) == list(range(6))
    assert_refuses(lambda: shard(torch.arange(7), 0, 3), "rows", 7)
    assert_refuses_values(lambda rank: shard(rows, rank, 3), "rank", 3, -1)
