"""Checks of resnet."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_rows_alone, assert_unchanged
from groundup.stack.deep.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    projection,
    rate_groups,
    release,
    resnet18,
    resnet50,
    stage,
    training_mode,
)

torch.set_num_threads(1)  # pictures this small are slower on two
SHAPES = pytest.mark.parametrize(("channels", "width", "stride"), [(4, 4, 1), (4, 6, 1), (4, 4, 2), (3, 5, 2)])


def normal(rng, *shape):
    """A float32 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape)).float()


def lived(module, rng):
    """The module in eval mode, with batch norms that have gammas, betas and statistics of their own."""
    for norm in module.modules():
        if hasattr(norm, "running_mean"):
            for values in (norm.weight.data, norm.running_var):
                values.copy_(normal(rng, len(values)).abs() + 0.5)
            for values in (norm.bias.data, norm.running_mean):
                values.copy_(normal(rng, len(values)))
    return module.eval()


def by_hand(module, name, images, stride=1, padding=0):
    """Convolution `conv…` and batch norm `bn…` of that number in eval mode, by torch.nn.functional."""
    weights = module.state_dict()
    conv, norm = (f"conv{name}", f"bn{name}") if name else ("downsample.0", "downsample.1")
    maps = functional.conv2d(images, weights[f"{conv}.weight"], None, stride, padding)
    parts = [weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return functional.batch_norm(maps, *parts, training=False)


def tiny(depths=(1, 1, 1), **settings):
    """A network of few weights, with three stages and two classes."""
    torch.manual_seed(0)
    return ResNet("basic", depths, **{"classes": 2, "width": 2, "channels": 1, "small": True, **settings})


def seeded(*sizes) -> Any:
    """A stage whose weights are the same each time."""
    torch.manual_seed(0)
    return stage(*sizes)


def trained(network):
    """Names of the weights that are trained."""
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


# --- the shortcut ---------------------------------------------------------------------------------------------------


def test_a_shortcut_that_fits_needs_nothing():
    """With the same channels and a stride of 1 the input is added as it is: projection gives None."""
    assert projection(4, 4, 1) is None


@pytest.mark.parametrize(("channels", "outputs", "stride"), [(4, 6, 1), (6, 4, 1), (4, 4, 2), (4, 8, 3)])
def test_a_shortcut_that_does_not_fit_is_projected(channels, outputs, stride):
    """Other channels, or a stride alone, need a 1 × 1 convolution without bias, and a batch norm."""
    module = projection(channels, outputs, stride)
    assert isinstance(module, nn.Sequential), f"expected a Sequential, got {module!r}"
    shapes = {name: tuple(weight.shape) for name, weight in module.named_parameters()}
    expected = {"0.weight": (outputs, channels, 1, 1), "1.weight": (outputs,), "1.bias": (outputs,)}
    assert shapes == expected, f"expected weights {expected}, got {shapes}"
    assert isinstance(module[1], nn.BatchNorm2d), f"the second is a batch norm, got {module[1]!r}"


def test_a_projection_takes_every_second_pixel(rng):
    """At a stride of 2 it is a matrix on the channels of every second pixel, from the first on; then the batch norm."""
    module: Any = projection(3, 5, 2)
    images = normal(rng, 2, 3, 6, 5)
    matrix = module[0].weight[:, :, 0, 0]
    expected = module[1].eval()(torch.einsum("oc,bchw->bohw", matrix, images[:, :, ::2, ::2]))
    assert_close(module(images), expected, rtol=1e-4, atol=1e-6)


# --- blocks ---------------------------------------------------------------------------------------------------------


def test_a_block_by_hand():
    """Its layers are 2x and 3x, in the kernel's middle: 7x comes out, and 0 where x is below 0."""
    block = BasicBlock(1, 1).eval()
    for factor, convolution in ((2.0, block.conv1), (3.0, block.conv2)):
        convolution.weight.data.zero_()[0, 0, 1, 1] = factor
    images = torch.tensor([[[[1.0, -1.0], [0.5, 0.0]]]])
    assert_close(block(images), [[[[7.0, 0.0], [3.5, 0.0]]]], rtol=1e-4, atol=1e-6)


def test_a_block_adds_before_the_last_relu():
    """A residual of -1 everywhere pulls 3 down to 2 and 0.5 down to 0: the sum is rectified, not the residual."""
    block = BasicBlock(1, 1).eval()
    block.bn2.weight.data.zero_()
    block.bn2.bias.data.fill_(-1.0)
    assert_close(block(torch.tensor([[[[3.0, 0.5]]]])), [[[[2.0, 0.0]]]])


@SHAPES
def test_a_basic_block_is_its_layers(channels, width, stride, rng):
    """In eval mode it is relu(bn2(conv2(relu(bn1(conv1 x)))) + shortcut), layer by layer with PyTorch's functions."""
    block, images = lived(BasicBlock(channels, width, stride), rng), normal(rng, 2, channels, 6, 7)
    residual = by_hand(block, 2, by_hand(block, 1, images, stride, 1).relu(), 1, 1)
    plain = (channels, stride) == (width, 1)
    shortcut = images if plain else by_hand(block, None, images, stride)
    assert_close(block(images), (residual + shortcut).relu(), rtol=1e-4, atol=1e-5)


@SHAPES
def test_a_bottleneck_is_its_layers(channels, width, stride, rng):
    """The same for 1 × 1, 3 × 3 with the stride, 1 × 1; the result has four times the width."""
    block, images = lived(Bottleneck(channels, width, stride), rng), normal(rng, 2, channels, 6, 7)
    hidden = by_hand(block, 2, by_hand(block, 1, images).relu(), stride, 1).relu()
    expected = (by_hand(block, 3, hidden) + by_hand(block, None, images, stride)).relu()
    assert expected.shape[1] == 4 * width, f"{expected.shape}"
    assert_close(block(images), expected, rtol=1e-4, atol=1e-5)


def test_a_gradient_goes_round_the_residual():
    """Where the residual is 0 the block is relu(x), and the gradient of its sum is 1 in every positive pixel."""
    block = BasicBlock(1, 1)
    block.bn2.weight.data.zero_()
    images = torch.tensor([[[[2.0, -3.0], [0.5, 4.0]]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(block(images).sum(), images)
    assert_close(gradient, [[[[1.0, 0.0], [1.0, 1.0]]]])


def test_a_block_leaves_its_input_alone(rng):
    """The input stays as it was, and in eval mode each picture is by itself."""
    for block in (BasicBlock(3, 3).eval(), BasicBlock(3, 4, 2).eval()):
        assert_unchanged(block, normal(rng, 2, 3, 6, 6))
        assert_rows_alone(
            lambda images, block=block: block(images).detach(), normal(rng, 3, 3, 6, 6), rtol=1e-4, atol=1e-6
        )


# --- stages and networks --------------------------------------------------------------------------------------------


def test_a_stage_by_hand():
    """Three basic blocks from 4 channels to 6 at stride 2: the first changes channels and size, the others nothing."""
    blocks = seeded("basic", 4, 6, 3, 2)
    found = [
        (type(b), b.conv1.in_channels, b.conv1.out_channels, b.conv1.stride[0], b.downsample is None) for b in blocks
    ]
    assert found == [(BasicBlock, 4, 6, 2, False), (BasicBlock, 6, 6, 1, True), (BasicBlock, 6, 6, 1, True)], f"{found}"


def test_a_stage_of_bottlenecks_by_hand():
    """Bottlenecks give 4 · 5 = 20 channels and take them; the first projects even at stride 1, as 4 is not 20."""
    blocks = seeded("bottleneck", 4, 5, 2, 1)
    found = [(type(b), b.conv1.in_channels, b.conv2.out_channels, b.downsample is None) for b in blocks]
    assert found == [(Bottleneck, 4, 5, False), (Bottleneck, 20, 5, True)], f"{found}"


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_stage_has_its_depth_and_its_stride(depth, rng):
    """It has `depth` blocks in a Sequential, and a stride of 2 halves 8 pixels to 4, however many blocks there are."""
    blocks = seeded("basic", 2, 3, depth, 2).eval()
    found = type(blocks), len(blocks), tuple(blocks(normal(rng, 1, 2, 8, 8)).shape)
    assert found == (nn.Sequential, depth, (1, 3, 4, 4)), f"{found}"


def test_a_stage_refuses_no_blocks():
    """A depth below 1 and an unknown block are refused."""
    assert_refuses(lambda: seeded("plain", 2, 2, 1, 1), "block", "plain")
    assert_refuses_values(lambda depth: seeded("basic", 2, 2, depth, 1), "depth", 0, -1)


@pytest.mark.parametrize(("build", "count"), [(resnet18, 11_689_512), (resnet50, 25_557_032)])
def test_networks_have_as_many_weights_as_torchvisions(build, count):
    """ResNet-18 has 11,689,512 weights and ResNet-50 25,557,032, as torchvision's documentation counts."""
    assert sum(weight.numel() for weight in build().parameters()) == count


def test_names_are_torchvisions():
    """Where a stage changes the shape, its first block has these names and shapes; the second has no downsample."""
    names = {name: tuple(w.shape) for name, w in resnet18(width=4).named_parameters() if name.startswith("layer2.")}
    first = {"conv1.weight": (8, 4, 3, 3), "bn1.weight": (8,), "bn1.bias": (8,), "conv2.weight": (8, 8, 3, 3)}
    first |= {"bn2.weight": (8,), "bn2.bias": (8,), "downsample.0.weight": (8, 4, 1, 1)}
    first |= {"downsample.1.weight": (8,), "downsample.1.bias": (8,)}
    second = {name: shape for name, shape in first.items() if not name.startswith("downsample")}
    expected = {f"layer2.0.{name}": shape for name, shape in first.items()}
    expected |= {f"layer2.1.{name}": (8, 8, 3, 3) if len(shape) == 4 else shape for name, shape in second.items()}
    assert names == expected, f"differing: {sorted(set(names.items()) ^ set(expected.items()))}"


def test_maps_halve_and_double(rng):
    """A picture of 64 pixels has 16 after the stem, then 16, 8, 4 and 2; a small stem keeps all of them."""
    network = resnet18(classes=3, width=2).eval()
    sizes = []
    for name in ("maxpool", "layer1", "layer2", "layer3", "layer4"):
        network.get_submodule(name).register_forward_hook(lambda _, __, maps: sizes.append(tuple(maps.shape[1:3])))
    images = normal(rng, 2, 3, 64, 64)
    assert tuple(network(images).shape) == (2, 3), "a logit for each of three classes"
    assert sizes == [(2, 16), (2, 16), (4, 8), (8, 4), (16, 2)], f"{sizes}"
    assert tuple(network.features(images).shape) == (2, 16), "the average of the last maps"
    assert_close(network.fc(network.features(images)), network(images), "the head reads the features")
    small = tiny().eval()
    assert tuple(small.maxpool(small.conv1(normal(rng, 1, 1, 8, 8))).shape) == (1, 2, 8, 8), (
        "the small stem keeps the size"
    )


# --- freeze, and release --------------------------------------------------------------------------------------------


def test_release_by_hand():
    """First the head alone; then layer3 with all its blocks, and the head; then nothing."""
    network = tiny()
    release(network, ["fc"])
    assert trained(network) == {"fc.weight", "fc.bias"}, f"after ['fc']: {sorted(trained(network))}"
    release(network, ["layer3", "fc"])
    expected = {name for name, _ in network.named_parameters() if name.split(".")[0] in ("layer3", "fc")}
    assert trained(network) == expected, f"after ['layer3', 'fc']: {sorted(trained(network))}"
    release(network, [])
    assert not trained(network), f"after []: {sorted(trained(network))}"


def test_release_freezes_what_was_released_before():
    """Each call says all: layer1 is frozen again when the head alone is named, and thawed when it is named again."""
    network = tiny()
    for parts in (["layer1"], ["fc"], ["layer1"]):
        release(network, parts)
        found = {name.split(".")[0] for name in trained(network)}
        assert found == set(parts), f"after {parts}: {sorted(found)}"


def test_names_of_parts_are_whole_names():
    """A part inside a part is found by its dotted name, and "layer1" is not "layer10"."""
    network = nn.ModuleDict({"layer1": nn.Linear(2, 2), "layer10": nn.Linear(2, 2)})
    release(network, ["layer1"])
    assert trained(network) == {"layer1.weight", "layer1.bias"}, f"{sorted(trained(network))}"
    deep = tiny((2, 1, 1))
    release(deep, ["layer1.1"])
    assert trained(deep) == {name for name, _ in deep.named_parameters() if name.startswith("layer1.1.")}


def test_release_refuses_an_unknown_part():
    """A name that is no module is refused, also after good ones, and nothing has been changed then."""
    network = tiny()
    release(network, ["fc"])
    for parts in (["layer9"], ["layer1", "head"]):
        assert_refuses(lambda parts=parts: release(network, parts), "parts", parts[-1])
        assert trained(network) == {"fc.weight", "fc.bias"}, f"after {parts}: {sorted(trained(network))}"


# --- training mode --------------------------------------------------------------------------------------------------


def test_a_frozen_batch_norm_gives_what_it_gave(rng):
    """With only the head trained, features of a batch in training mode are those of eval mode, and no buffer moves."""
    network = lived(tiny(), rng)
    images = normal(rng, 4, 1, 8, 8)
    expected, before = network.features(images), {k: v.clone() for k, v in network.state_dict().items()}
    release(network, ["fc"])
    training_mode(network)
    assert_close(network.features(images), expected, "features")
    for name, value in network.state_dict().items():
        assert_close(value, before[name], name)


def test_what_is_trained_is_in_training_mode():
    """Batch norms of a released part train, frozen ones do not; all other modules are in training mode."""
    network = tiny()
    release(network.eval(), ["layer3", "fc"])
    training_mode(network)
    for name, module in network.named_modules():
        frozen = isinstance(module, nn.BatchNorm2d) and not name.startswith("layer3")
        assert module.training != frozen, f"{name or 'the network'}: training is {module.training}"


def test_one_trained_weight_is_enough():
    """A batch norm whose beta is trained while gamma is frozen is in training mode; so is one whose gamma is."""
    for trained_part, frozen_part in (("weight", "bias"), ("bias", "weight")):
        norm = nn.Sequential(nn.BatchNorm2d(2)).eval()
        norm[0].get_parameter(frozen_part).requires_grad_(False)
        training_mode(norm)
        assert norm[0].training, f"its {trained_part} is trained"


def test_a_released_batch_norm_trains_again():
    """Release a part after it was frozen, and its batch norms are back in training mode."""
    network = tiny()
    for parts, expected in ((["fc"], False), (["layer1"], True), ([], False)):
        release(network, parts)
        training_mode(network)
        assert network.get_submodule("layer1.0.bn1").training is expected, f"after release of {parts}"


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_batch_norms_of_any_dimension_are_held(norm):
    """A frozen batch norm is left in eval mode whatever its dimension, and alone; dropout is not."""
    network = nn.ModuleList([norm(3), nn.Dropout(), nn.Linear(3, 3)]).requires_grad_(False)
    training_mode(network)
    assert [part.training for part in network] == [False, True, True], "batch norm, dropout, linear; all frozen"
    alone = norm(3).requires_grad_(False)
    training_mode(alone)
    assert not alone.training, "the network is a frozen batch norm itself"


# --- learning rates -------------------------------------------------------------------------------------------------


def test_rate_groups_by_hand():
    """Head 0.8, then halved at each part towards the input: 0.4, 0.2, 0.1, and 0.05 for conv1 with bn1."""
    groups = rate_groups(tiny(), 0.8, 0.5)
    assert [group["name"] for group in groups] == ["bn1", "layer1", "layer2", "layer3", "fc"], f"{groups}"
    assert_close([group["lr"] for group in groups], [0.05, 0.1, 0.2, 0.4, 0.8])
    assert len(groups[0]["params"]) == 3, "the kernel of conv1, gamma and beta of bn1"


def test_a_frozen_part_has_no_group_and_changes_no_rate():
    """With layer2 and bn1 frozen, layer1 keeps 0.1 and conv1 0.05; a group holds trained weights only."""
    network = tiny()
    release(network, ["conv1", "layer1", "layer3", "fc"])
    groups = rate_groups(network, 0.8, 0.5)
    assert [group["name"] for group in groups] == ["bn1", "layer1", "layer3", "fc"], f"{groups}"
    assert_close([group["lr"] for group in groups], [0.05, 0.1, 0.4, 0.8])
    assert len(groups[0]["params"]) == 1, "conv1's kernel alone"


def test_rate_groups_refuses():
    """A rate that is not above 0, and a decay that is not above 0 or is above 1, are refused."""
    network = tiny()
    assert_refuses_values(lambda rate: rate_groups(network, rate, 0.5), "rate", 0.0, -0.1, float("nan"))
    assert_refuses_values(lambda decay: rate_groups(network, 0.1, decay), "decay", 0.0, -0.5, 1.01, float("nan"))
    assert len(rate_groups(network, 1e-9, 1.0)) == 5, "these are fine"
