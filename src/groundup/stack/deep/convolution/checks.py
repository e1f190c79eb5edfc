"""Checks of convolution."""

from itertools import product
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
from groundup.stack.deep.convolution import (
    Conv2d,
    Field,
    Pool2d,
    Window,
    col2im,
    conv2d,
    conv2d_backward,
    conv2d_loops,
    feature_maps,
    im2col,
    output_size,
    pool2d,
    receptive_field,
    small_cnn,
)

torch.set_num_threads(1)  # pictures this small are slower on two
BOTH = pytest.mark.parametrize("convolve", [conv2d_loops, conv2d])
SETTINGS = pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)])
SQUARE = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
"""The picture 1 2 3 / 4 5 6 / 7 8 9."""


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def pictures(rng):
    """Two pictures of three channels, 7 high and 6 wide; four kernels, 3 high and 2 wide; four biases."""
    return normal(rng, 2, 3, 7, 6), normal(rng, 4, 3, 3, 2), normal(rng, 4)


# --- convolution ----------------------------------------------------------------------------------------------------


def test_output_size_by_hand():
    """A window of 3 has 3 places in 5 pixels, 2 at a stride of 2, 5 with a border of 1; of 4 at stride 2, 3 of 9."""
    assert [output_size(5, 3), output_size(5, 3, 2), output_size(5, 3, 1, 1), output_size(9, 4, 2)] == [3, 2, 5, 3]


@BOTH
def test_a_convolution_by_hand(convolve):
    """The kernel 1 0 / 0 -1 on 1 2 3 / 4 5 6 / 7 8 9 gives 1 - 5 = -4 everywhere; with the bias 10, 6."""
    kernel = torch.tensor([[[[1.0, 0.0], [0.0, -1.0]]]])
    assert_close(convolve(SQUARE, kernel, torch.tensor([10.0])), torch.full((1, 1, 2, 2), 6.0))


@BOTH
def test_the_kernel_is_not_turned_over(convolve):
    """A kernel with a 1 in its upper left corner gives the picture's upper left part: 1 2 / 4 5."""
    kernel = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert_close(convolve(SQUARE, kernel, torch.zeros(1)), [[[[1.0, 2.0], [4.0, 5.0]]]])


@BOTH
def test_stride_and_padding_by_hand(convolve):
    """With a border of zeros and a stride of 2, windows of 2 begin at the border: of ones they sum to 1, 5 / 11, 28."""
    result = convolve(SQUARE, torch.ones(1, 1, 2, 2), torch.zeros(1), stride=2, padding=1)
    assert_close(result, [[[[1.0, 2.0 + 3.0], [4.0 + 7.0, 5.0 + 6.0 + 8.0 + 9.0]]]])


@BOTH
def test_channels_are_added_up(convolve):
    """Two channels, each with its own part of the kernel: 1 · 2 + 10 · 3 = 32, in each of two filters its own."""
    images = torch.tensor([1.0, 10.0]).reshape(1, 2, 1, 1)
    kernels = torch.tensor([[2.0, 3.0], [5.0, -1.0]]).reshape(2, 2, 1, 1)
    assert_close(convolve(images, kernels, torch.tensor([0.0, 100.0])), torch.tensor([32.0, 95.0]).reshape(1, 2, 1, 1))


@BOTH
@SETTINGS
def test_a_convolution_is_pytorchs(convolve, stride, padding, rng):
    """It is that of torch.nn.functional.conv2d, for pictures and kernels that are not square."""
    images, kernels, bias = pictures(rng)
    expected = functional.conv2d(images, kernels, bias, stride, padding)
    assert_close(convolve(images, kernels, bias, stride, padding), expected, f"stride {stride}, padding {padding}")


@BOTH
def test_a_shift_of_the_picture_shifts_the_result(convolve, rng):
    """Move the picture by a column and the result moves by a column."""
    images, kernels, bias = pictures(rng)
    moved = convolve(images.roll(1, dims=3), kernels, bias)
    assert_close(moved[..., 1:], convolve(images, kernels, bias)[..., :-1], "all columns but the first")


@BOTH
def test_each_picture_is_by_itself(convolve, rng):
    """A picture gives the same alone, in any batch, and an empty batch gives nothing."""
    images, kernels, bias = pictures(rng)
    assert_rows_alone(lambda batch: convolve(batch, kernels, bias, 2, 1), images)


@BOTH
def test_a_convolution_keeps_dtype_and_arguments(convolve, rng):
    """float32 gives float32, float64 float64, and the arguments stay as they were."""
    assert_dtype_kept(convolve, *pictures(rng))
    assert_unchanged(convolve, *pictures(rng))


@BOTH
def test_a_convolution_refuses(convolve, rng):
    """Other channels, a window larger than the picture, a stride of 0 and a negative padding are refused."""
    images, kernels, bias = pictures(rng)
    assert_refuses(lambda: convolve(images[:, :2], kernels, bias), "channels", 2, 3)
    assert_refuses(lambda: convolve(images[:, :, :2], kernels, bias), "kernel", 3)
    assert_refuses_values(lambda stride: convolve(images, kernels, bias, stride), "stride", 0, -1)
    assert_refuses_values(lambda padding: convolve(images, kernels, bias, 1, padding), "padding", -1)


# --- windows as columns ---------------------------------------------------------------------------------------------


def test_im2col_by_hand():
    """Windows of 2 in 1 2 3 / 4 5 6 / 7 8 9 are the columns 1 2 4 5, 2 3 5 6, 4 5 7 8, 5 6 8 9."""
    columns = [[1.0, 2.0, 4.0, 5.0], [2.0, 3.0, 5.0, 6.0], [4.0, 5.0, 7.0, 8.0], [5.0, 6.0, 8.0, 9.0]]
    assert_close(im2col(SQUARE, (2, 2)), torch.tensor(columns).T[None])


@SETTINGS
def test_im2col_is_pytorchs(stride, padding, rng):
    """It is torch.nn.functional.unfold, for windows that are not square and several channels."""
    images = normal(rng, 2, 3, 7, 6)
    expected = functional.unfold(images, (3, 2), stride=stride, padding=padding)
    assert_close(im2col(images, (3, 2), stride, padding), expected, f"stride {stride}, padding {padding}")


def test_im2col_of_the_whole_picture(rng):
    """A window as large as the picture has one place, and its column is the picture."""
    images = normal(rng, 2, 3, 4, 5)
    assert_close(im2col(images, (4, 5)), images.reshape(2, 60, 1))


@SETTINGS
def test_col2im_is_the_transpose(stride, padding, rng):
    """For any columns, their product with im2col(x) is that of col2im(columns) with x: so gradients go back by it."""
    images = normal(rng, 2, 3, 7, 6)
    columns = im2col(images, (3, 2), stride, padding)
    others = normal(rng, *columns.shape)
    back = col2im(others, images.shape, (3, 2), stride, padding)
    assert_close((back * images).sum(), (others * columns).sum(), f"stride {stride}, padding {padding}")


def test_im2col_refuses(rng):
    """A window larger than the picture and a stride of 0 are refused."""
    images = normal(rng, 1, 1, 4, 5)
    assert_refuses(lambda: im2col(images, (5, 2)), "kernel", 5)
    assert_refuses(lambda: im2col(images, (2, 6)), "kernel", 6)
    assert_refuses_values(lambda stride: im2col(images, (2, 2), stride), "stride", 0)


# --- gradients ------------------------------------------------------------------------------------------------------


def test_conv2d_backward_by_hand():
    """With ones everywhere and a gradient of ones, a pixel counts its windows, a kernel's entry its places."""
    d_images, d_kernels, d_bias = conv2d_backward(torch.ones(1, 1, 2, 2), SQUARE, torch.ones(1, 1, 2, 2))
    assert_close(d_images, [[[[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]]], "how many windows see each pixel")
    assert_close(d_kernels, [[[[12.0, 16.0], [24.0, 28.0]]]], "the sum of what each entry was laid on: 1 + 2 + 4 + 5")
    assert_close(d_bias, [4.0], "the bias was added in four places")


@SETTINGS
def test_conv2d_backward_is_autograds(stride, padding, rng):
    """All three gradients are those of autograd through torch.nn.functional.conv2d."""
    images, kernels, bias = (part.requires_grad_() for part in pictures(rng))
    output = functional.conv2d(images, kernels, bias, stride, padding)
    gradient = normal(rng, *output.shape)
    expected = torch.autograd.grad((output * gradient).sum(), (images, kernels, bias))
    result = conv2d_backward(gradient, images.detach(), kernels.detach(), stride, padding)
    for name, ours, theirs in zip(("pictures", "kernels", "bias"), result, expected, strict=True):
        assert_close(ours, theirs, f"the gradient in the {name}, stride {stride}, padding {padding}")


def test_conv2d_backward_adds_over_the_batch(rng):
    """The kernel's gradient of two pictures is the sum of both."""
    images, kernels, _ = pictures(rng)
    gradient = normal(rng, 2, 4, 5, 5)
    whole = conv2d_backward(gradient, images, kernels)
    first, second = (conv2d_backward(gradient[i : i + 1], images[i : i + 1], kernels) for i in range(2))
    assert_close(whole[1], first[1] + second[1], "kernels")
    assert_close(whole[2], first[2] + second[2], "bias")
    assert_close(whole[0], torch.cat([first[0], second[0]]), "pictures")


# --- pooling --------------------------------------------------------------------------------------------------------


def test_pool2d_by_hand():
    """Windows of 2 side by side in 1 2 3 / 4 5 6 / 7 8 9: one fits. Its maximum is 5, its average 3."""
    assert_close(pool2d(SQUARE, 2), [[[[5.0]]]], "the maximum, which is the default")
    assert_close(pool2d(SQUARE, 2, kind="average"), [[[[3.0]]]], "the average")
    assert_close(pool2d(SQUARE, 2, stride=1), [[[[5.0, 6.0], [8.0, 9.0]]]], "at a stride of 1 windows overlap")


@pytest.mark.parametrize(("size", "stride"), [(2, None), (3, None), (3, 2), (2, 1), (1, 2)])
def test_pooling_is_pytorchs(size, stride, rng):
    """Results and gradients are those of torch.nn.functional's max_pool2d and avg_pool2d."""
    images = normal(rng, 2, 3, 7, 6).requires_grad_()
    kinds: list[Any] = [("max", functional.max_pool2d), ("average", functional.avg_pool2d)]
    for kind, theirs in kinds:
        ours, expected = pool2d(images, size, stride, kind), theirs(images, size, stride)
        assert_close(ours, expected, f"{kind}, size {size}, stride {stride}")
        weights = normal(rng, *expected.shape)
        first, second = (torch.autograd.grad((part * weights).sum(), images)[0] for part in (ours, expected))
        assert_close(first, second, f"the gradient, {kind}")


def test_pooling_is_channel_by_channel(rng):
    """A channel is pooled as it is alone, a picture too."""
    images = normal(rng, 3, 2, 6, 5)
    assert_close(pool2d(images, 2)[:, 1:], pool2d(images[:, 1:], 2), "the second channel alone")
    assert_rows_alone(lambda batch: pool2d(batch, 2), images)


def test_maxima_below_zero():
    """The maximum of negative pixels is negative."""
    assert_close(pool2d(-SQUARE, 3), [[[[-1.0]]]])


def test_pooling_refuses():
    """An unknown kind, a size of 0, a window larger than the picture and a stride of 0 are refused."""
    assert_refuses_values(lambda kind: pool2d(SQUARE, 2, None, kind), "kind", "mean", "Max")
    assert_refuses(lambda: pool2d(SQUARE[:, :, :1], 2), "kernel", 2)
    assert_refuses(lambda: pool2d(SQUARE[..., :1], 2), "kernel", 2)
    assert_refuses(lambda: pool2d(SQUARE, 0), "kernel", 0)
    assert_refuses(lambda: pool2d(SQUARE, 2, 0), "stride", 0)


# --- layers and networks --------------------------------------------------------------------------------------------


@SETTINGS
def test_the_layer_is_pytorchs(stride, padding, rng):
    """With the weights of a torch.nn.Conv2d, outputs and all gradients are its own."""
    theirs = nn.Conv2d(3, 4, 3, stride, padding).double()
    ours = Conv2d(3, 4, 3, stride, padding).double()
    ours.load_state_dict(theirs.state_dict())
    images = normal(rng, 2, 3, 7, 6).requires_grad_()
    assert_close(ours(images), theirs(images), "outputs")
    for layer in (ours, theirs):
        layer(images).square().sum().backward()
    for (name, part), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close(part.grad, other.grad, f"the gradient of the {name}")


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device", "takes_any_leading_axes"]))
def test_the_layer_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""
    convention(lambda: Conv2d(3, 4, 3, padding=1), normal(rng, 3, 3, 6, 5).float())


def test_the_layer_refuses():
    """Sizes below 1 and a negative padding are refused."""
    good = {"channels": 2, "filters": 2, "kernel": 2, "stride": 2, "padding": 2}
    for name in good:
        bad = (-1,) if name == "padding" else (0, -1)
        assert_refuses_values(lambda value, name=name: Conv2d(**{**good, name: value}), name, *bad)


def test_the_standard_network(rng):
    """Three layers of 3 × 3 filters halve a picture of 12 to 6, 3 and 1; maps and logits have those sizes."""
    network = small_cnn((3, 4, 5, 6), 12, 10)
    images = normal(rng, 2, 3, 12, 12).float()
    maps = feature_maps(network, images)
    sides = [(part.shape[1], part.shape[2]) for part in maps]
    assert sides == [(4, 12), (4, 12), (4, 6), (5, 6), (5, 6), (5, 3), (6, 3), (6, 3), (6, 1)], f"{sides}"
    assert_close(network[10](network[9](maps[-1])), network(images), "the last maps give the logits", rtol=1e-5)
    assert not maps[0].requires_grad, "maps are for looking at, without a gradient"
    assert_refuses(lambda: small_cnn((3, 4, 5, 6), 7, 10), "size", 7)


# --- how much a unit sees -------------------------------------------------------------------------------------------


def test_receptive_field_by_hand():
    """Two 3 × 3 layers see 5 pixels; a pooling by 2 makes that 6, its units 2 apart; the next 3 × 3 layer sees 10."""
    fields = receptive_field([Window(3, 1, 1), Window(3, 1, 1), Window(2, 2), Window(3, 1, 1)])
    assert [tuple(field) for field in fields] == [(3, 1, -1), (5, 1, -2), (6, 2, -2), (10, 2, -4)], f"{fields}"
    assert isinstance(fields[0], Field), f"each is a Field, got {type(fields[0]).__name__}"
    assert receptive_field([]) == [], "no layer has no field"


def test_receptive_field_is_where_gradients_arrive():
    """The pixels in which a unit has a gradient are those from start + i · jump on, `size` of them."""
    for first, second in product([Window(3, 2, 1), Window(4, 1, 0), Window(5, 3, 1)], [Window(3, 1, 2), Window(2, 2)]):
        row = torch.zeros(1, 1, 40, 40, requires_grad=True)
        hidden = row
        for window in (first, second):
            kernels = torch.ones(1, 1, window.kernel, window.kernel)
            hidden = functional.conv2d(hidden, kernels, None, window.stride, window.padding)
        field = receptive_field([first, second])[-1]
        for unit in (0, 2):
            (gradient,) = torch.autograd.grad(hidden[0, 0, unit, 3], row, retain_graph=True)
            touched = gradient[0, 0].sum(dim=1).nonzero().flatten().tolist()
            begin = field.start + unit * field.jump
            expected = [pixel for pixel in range(begin, begin + field.size) if pixel >= 0]
            assert touched == expected, f"unit {unit} after {first} and {second}: expected {expected}, got {touched}"


def test_pooling_layers_tell_their_window():
    """Layers keep their windows, so that fields can be computed from a network."""
    network = small_cnn((1, 2, 3), 8, 10)
    windows = [layer.window for layer in network if isinstance(layer, Conv2d | Pool2d)]
    assert receptive_field(windows)[-1].size == 10, "3, then 4, then 8, then 10 pixels"
