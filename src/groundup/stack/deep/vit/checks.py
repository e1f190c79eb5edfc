"""Checks of the vision transformer."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from groundup.checking import (
    assert_close,
    assert_dtype_kept,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_unchanged,
    module_conventions,
)
from groundup.stack.deep.vit import (
    EncoderBlock,
    PatchEmbedding,
    VisionTransformer,
    attention_distance,
    parameters,
    patchify,
    resize_positions,
    rollout,
    sine_positions,
    unpatchify,
)

torch.set_num_threads(1)  # pictures this small are slower on two


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def model_of(positions: Any = "learned", dropout=0.0, layers=2):
    """A small model in float64, for pictures of 6 × 6 pixels in patches of 2."""
    torch.manual_seed(1)
    return VisionTransformer(6, 2, 8, layers, 2, 5, positions=positions, dropout=dropout).double()


# --- patches --------------------------------------------------------------------------------------------------------


def test_patchify_by_hand():
    """The picture 0 1 2 3 / 4 5 6 7 has the patches 0 1 4 5 and 2 3 6 7; a picture below it adds two more."""
    assert_close(patchify(torch.arange(8.0).reshape(1, 1, 2, 4), 2), [[[0.0, 1, 4, 5], [2, 3, 6, 7]]])
    tall = patchify(torch.arange(16.0).reshape(1, 1, 4, 4), 2)
    assert_close(tall, [[[0.0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]], "row by row")


def test_patchify_is_pytorchs_unfold(rng):
    """It is torch.nn.functional.unfold with windows side by side, for several channels and oblong pictures."""
    images = normal(rng, 2, 3, 6, 9)
    assert_close(patchify(images, 3), functional.unfold(images, 3, stride=3).transpose(1, 2))


def test_unpatchify_undoes_it(rng):
    """Patches put back give the picture."""
    images = normal(rng, 2, 3, 4, 6)
    assert_close(unpatchify(patchify(images, 2), 2, 4, 6), images)


def test_patches_of_one_pixel_and_of_the_whole(rng):
    """Patches of one pixel are the pixels row by row; a patch of the whole picture is the picture."""
    images = normal(rng, 2, 3, 4, 4)
    assert_close(patchify(images, 1), images.flatten(2).transpose(1, 2))
    assert_close(patchify(images, 4), images.reshape(2, 1, 48))


def test_patchify_owes(rng):
    """Each picture is by itself, the dtype is kept, and the picture stays as it was."""
    images = normal(rng, 3, 2, 4, 6)
    assert_rows_alone(lambda batch: patchify(batch, 2), images)
    assert_dtype_kept(lambda batch: patchify(batch, 2), images)
    assert_unchanged(patchify, images, 2)


def test_patchify_refuses(rng):
    """A patch that does not divide the height or the width is refused, and one below 1."""
    assert_refuses_values(lambda patch: patchify(normal(rng, 1, 1, 4, 6), patch), "patch", 3, 4, 0, -2)


def test_both_ways_to_embed_are_one(rng):
    """Cutting and one product of matrices gives what a convolution with large steps gives."""
    layer = PatchEmbedding(3, 2, 5).double()
    images = normal(rng, 2, 3, 4, 6)
    assert layer(images).shape == (2, 6, 5), "a vector of 5 for each of 2 · 3 patches"
    assert_close(layer(images), layer.by_convolution(images))


# --- positions ------------------------------------------------------------------------------------------------------


def test_sine_positions_by_hand():
    """With 8 numbers the frequencies are 1 and 1 / 10,000: row 1, column 2 has the waves of 2, and then those of 1."""
    values = sine_positions(2, 3, 8)
    expected = [wave(x * f) for x in (2, 1) for wave in (math.sin, math.cos) for f in (1, 1e-4)]
    assert values.shape == (6, 8), "a vector for each of 2 · 3 places"
    assert_close(values[5], torch.tensor(expected), "row 1, column 2 is the sixth place", rtol=1e-5)
    assert_close(values[0], torch.tensor([0.0, 0, 1, 1, 0, 0, 1, 1]), "the first place")


def test_sine_positions_are_the_papers():
    """They are those of Beyer and others for any grid, size and temperature, entry by entry."""
    for down, across, dim, temperature in ((2, 3, 12, 100.0), (3, 1, 16, 10_000.0), (1, 2, 8, 7.0)):
        values = sine_positions(down, across, dim, temperature)
        count = dim // 4
        for row in range(down):
            for column in range(across):
                powers = [temperature ** (k / (count - 1)) for k in range(count)]
                waves = [w(x / power) for x in (column, row) for w in (math.sin, math.cos) for power in powers]
                got, place = values[row * across + column], f"row {row}, column {column} of {dim} numbers"
                assert_close(got, torch.tensor(waves), place, rtol=1e-4, atol=1e-6)


def test_places_are_told_apart():
    """No two places of a large grid have the same vector, and all have the same length."""
    values = sine_positions(14, 14, 32)
    assert float(torch.pdist(values).min()) > 0.1, "two places look alike"
    assert_close(values.norm(dim=1), torch.full((196,), 4.0), rtol=1e-5)


def test_sine_positions_refuse():
    """A size that is no multiple of 4, or below 8, is refused."""
    assert_refuses_values(lambda dim: sine_positions(2, 2, dim), "dim", 4, 6, 10, 18, 0)


def test_resize_keeps_what_is_constant(rng):
    """Positions that are the same everywhere stay so, and the class token keeps its own."""
    positions = torch.cat((normal(rng, 1, 6), normal(rng, 1, 6).expand(9, 6)))
    resized = resize_positions(positions, (3, 3), (5, 4))
    assert resized.shape == (21, 6), f"1 + 5 · 4 positions, got {tuple(resized.shape)}"
    assert_close(resized[0], positions[0], "the class token")
    assert_close(resized[1:], positions[1].expand(20, 6), "the patches")


def test_resize_by_hand():
    """A row 0 1 2 3 4 5 resized to two has its columns 1 and 4; resized to three it has 2.5 in the middle."""
    ramp = torch.cat((torch.zeros(1), torch.arange(6.0).repeat(6)))[:, None]
    assert_close(resize_positions(ramp, (6, 6), (6, 2))[1:3, 0], torch.tensor([1.0, 4.0]), "two columns")
    assert_close(resize_positions(ramp, (6, 6), (6, 3))[2, 0], torch.tensor(2.5), "three columns")


def test_resize_is_dimension_by_dimension(rng):
    """Each number is stretched by itself as PyTorch stretches a picture bicubically, from a grid that is no square."""
    positions = normal(rng, 1 + 6, 4)
    resized = resize_positions(positions, (2, 3), (4, 5))
    for number in range(4):
        picture = positions[1:, number].reshape(1, 1, 2, 3)
        expected = functional.interpolate(picture, (4, 5), mode="bicubic").flatten()
        assert_close(resized[1:, number], expected, f"number {number}")
    assert_unchanged(resize_positions, positions, (2, 3), (4, 5))
    assert_dtype_kept(lambda table: resize_positions(table, (2, 3), (4, 5)), positions)


def test_resize_to_the_same_grid_and_refusals(rng):
    """The same grid gives the same positions, to the last bit; another number of positions is refused."""
    positions = normal(rng, 7, 4)
    assert torch.equal(resize_positions(positions, (2, 3), (2, 3)), positions)
    assert resize_positions(positions, (2, 3), (3, 2)).shape == (7, 4)
    assert not torch.equal(resize_positions(positions, (2, 3), (3, 2)), positions), "3 · 2 is another grid"
    assert_refuses(lambda: resize_positions(positions[1:], (2, 3), (4, 4)), "positions", 6)
    assert_refuses(lambda: resize_positions(positions, (2, 2), (4, 4)), "positions", 7)


# --- the model ------------------------------------------------------------------------------------------------------


def loaded(block, dim, heads):
    """PyTorch's encoder layer with the weights of ours."""
    theirs = nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).double()
    attention = block.attention.attention
    parts = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.self_attn.out_proj.load_state_dict(attention.out.state_dict())
    for ours, name in ((block.norms[0], "norm1"), (block.norms[1], "norm2")):
        getattr(theirs, name).load_state_dict(ours.state_dict())
    theirs.linear1.load_state_dict(block.dense[0].state_dict())
    theirs.linear2.load_state_dict(block.dense[2].state_dict())
    return theirs


def scrambled(module, rng):
    """The module with random numbers in all its parameters, those of its norms as well."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * normal(rng, *parameter.shape))
    return module


def test_the_block_is_pytorchs(rng):
    """With the same weights it is torch.nn.TransformerEncoderLayer, normalising first, with GELU."""
    block = scrambled(EncoderBlock(8, 2).double(), rng)
    hidden = normal(rng, 3, 5, 8)
    output, weights = block(hidden)
    assert_close(output, loaded(block, 8, 2)(hidden), rtol=1e-6)
    assert weights.shape == (3, 2, 5, 5), f"(batch, heads, tokens, tokens), got {tuple(weights.shape)}"
    assert_close(weights.sum(dim=-1), torch.ones(3, 2, 5), "what a token looks at sums to 1")


def test_the_block_hands_its_input_on(rng):
    """Where attention and dense layers give 0, what comes in goes out: the norms are on the branches only."""
    block = EncoderBlock(8, 2).double()
    layers: Any = (block.attention.attention.out, block.dense[2])
    for layer in layers:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    hidden = 5 + normal(rng, 2, 4, 8)
    assert_close(block(hidden)[0], hidden)


def test_the_block_returns_the_weights_of_its_own_attention(rng):
    """The weights are those of attention to the normalised input."""
    block = scrambled(EncoderBlock(8, 2).double(), rng)
    hidden = normal(rng, 2, 4, 8)
    assert_close(block(hidden)[1], block.attention(block.norms[0](hidden))[1])


def test_both_branches_are_dropped_in_training(rng):
    """With a dropout of 1, training hands the input on; in eval nothing is dropped."""
    block = EncoderBlock(8, 2, dropout=1.0).double()
    hidden = normal(rng, 2, 4, 8)
    assert_close(block(hidden)[0], hidden, "in training")
    difference = (block.eval()(hidden)[0] - hidden).detach().abs().max()
    assert float(difference) > 1e-3, "in eval the branches count"


def test_embed_by_hand(rng):
    """The class token comes first; each token has its position added."""
    model, images = model_of(), normal(rng, 2, 3, 6, 6)
    tokens = model.embed(images)
    assert tokens.shape == (2, 10, 8), f"1 + 9 tokens of 8 numbers, got {tuple(tokens.shape)}"
    first = (model.class_token + model.positions[0]).expand(2, 8)
    assert_close(tokens[:, 0], first, "the class token")
    assert_close(tokens[:, 1:], model.patches(images) + model.positions[1:], "the patches")


def test_embed_takes_another_resolution(rng):
    """A larger picture, no square, has more patches: its positions are resized from 3 · 3 to its own grid."""
    model, images = model_of(), normal(rng, 2, 3, 10, 8)
    expected = resize_positions(model.positions, (3, 3), (5, 4))
    assert_close(model.embed(images)[:, 1:], model.patches(images) + expected[1:])
    assert model(images).shape == (2, 5)
    assert_refuses(lambda: model(normal(rng, 1, 3, 7, 6)), "patch", 2)


def test_embed_drops_in_training_only(rng):
    """Dropout is on the tokens with their positions, in training only."""
    model, images = model_of(dropout=0.5), normal(rng, 2, 3, 6, 6)
    torch.manual_seed(3)
    zeros = float((model.embed(images) == 0).double().mean())
    assert 0.35 < zeros < 0.65, f"about half should be dropped, got {zeros:.2f}"
    assert not (model.eval().embed(images) == 0).any(), "in eval nothing is dropped"


def test_positions_of_each_kind():
    """Sines are fixed and leave the class token alone, "none" is zeros, and only learned positions are learned."""
    assert_close(model_of("sines").positions[1:], sine_positions(3, 3, 8).double())
    assert_close(model_of("sines").positions[0], torch.zeros(8), "the class token has none")
    assert_close(model_of("none").positions, torch.zeros(10, 8))
    learned = {kind: "positions" in dict(model_of(kind).named_parameters()) for kind in ("learned", "sines", "none")}
    assert learned == {"learned": True, "sines": False, "none": False}, f"{learned}"


def test_without_positions_the_order_does_not_matter(rng):
    """Shuffle the patches: without positions the logits stay, with positions they change."""
    images = normal(rng, 2, 3, 6, 6)
    order = torch.tensor([4, 0, 8, 2, 6, 1, 7, 3, 5])
    shuffled = unpatchify(patchify(images, 2)[:, order], 2, 6, 6)
    bag = model_of("none")
    assert_close(bag(shuffled), bag(images), "without positions")
    difference = (model_of("sines")(shuffled) - model_of("sines")(images)).detach().abs().max()
    assert float(difference) > 1e-3, "positions tell the order"


def test_logits_are_of_the_class_token(rng):
    """The logits are the head's, of the class token after the last norm; attention is that of each layer."""
    model, images = model_of(), normal(rng, 2, 3, 6, 6)
    hidden, maps = model.encode(images)
    assert_close(model(images), model.head(hidden[:, 0]))
    assert maps.shape == (2, 2, 2, 10, 10), f"(layers, batch, heads, tokens, tokens), got {tuple(maps.shape)}"
    assert_close(model.attention(images), maps)
    tokens = model.embed(images)
    for block in model.blocks:
        tokens = block(tokens)[0]
    assert_close(hidden, model.norm(tokens), "block after block")


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device", "takes_any_leading_axes"]))
def test_the_model_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""
    convention(lambda: VisionTransformer(4, 2, 8, 1, 2, 3), normal(rng, 3, 3, 4, 4).float())


def test_the_model_refuses():
    """A patch that does not divide the size, heads that do not divide dim, and unknown positions are refused."""
    assert_refuses(lambda: VisionTransformer(7, 2, 8, 1, 2, 3), "patch", 2, 7)
    assert_refuses(lambda: VisionTransformer(4, 2, 8, 1, 3, 3), "heads", 3)
    assert_refuses_values(lambda kind: VisionTransformer(4, 2, 8, 1, 2, 3, positions=kind), "positions", "sine", "")


def test_parameters_are_counted():
    """The count is that of the model, with 3 channels unless given; ViT-Base on 224 pixels has 86.6 million."""
    model = VisionTransformer(6, 2, 8, 2, 2, 5)
    assert parameters(2, 8, 2, 5, 3) == sum(part.numel() for part in model.parameters())
    model = VisionTransformer(8, 4, 12, 1, 3, 7, 1)
    assert parameters(4, 12, 1, 7, 2, 1) == sum(part.numel() for part in model.parameters())
    assert round(parameters(16, 768, 12, 1000, 14) / 1e6, 1) == 86.6


# --- looking inside -------------------------------------------------------------------------------------------------


def test_rollout_by_hand():
    """Two tokens, two layers: (A₂ + 1) / 2 times (A₁ + 1) / 2, the last layer on the left, heads averaged."""
    first = torch.tensor(
        [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]
    )  # two heads: the mean is 1 / 2 everywhere
    second = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]).expand(2, 2, 2)
    result = rollout(torch.stack((first, second))[:, None])
    assert_close(result, [[[0.5, 0.5], [0.25, 0.75]]])


def test_rollout_keeps_shares(rng):
    """Each row sums to 1; tokens that look at themselves only keep all that they had; pictures are by themselves."""
    weights = normal(rng, 3, 4, 2, 5, 5).softmax(dim=-1)
    result = rollout(weights)
    assert result.shape == (4, 5, 5), f"(batch, tokens, tokens), got {tuple(result.shape)}"
    assert_close(result.sum(dim=-1), torch.ones(4, 5))
    assert_close(rollout(weights[:, 2:3]), result[2:3], "the third picture alone")
    assert_close(rollout(torch.eye(5).expand(3, 4, 2, 5, 5)), torch.eye(5).expand(4, 5, 5))
    assert_unchanged(rollout, weights)
    assert_dtype_kept(rollout, weights)


def test_rollout_of_one_layer(rng):
    """One layer hands on half of what a token had, and half of what it looked at."""
    weights = normal(rng, 1, 2, 3, 4, 4).softmax(dim=-1)
    assert_close(rollout(weights), weights[0].mean(dim=1) / 2 + torch.eye(4) / 2)


def test_attention_distance_by_hand():
    """Four patches in a square: the upper left looks at its diagonal neighbour, all others at themselves."""
    weights = torch.eye(5).repeat(1, 1, 2, 1, 1)
    weights[0, 0, 1, 1] = torch.tensor([0.5, 0.0, 0.0, 0.0, 0.5])  # half of it goes to the class token
    assert_close(attention_distance(weights, 2), torch.tensor([[0.0, 2**0.5 / 4]]))
