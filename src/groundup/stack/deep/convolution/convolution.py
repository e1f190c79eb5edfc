"""Networks that look through small windows: convolution, pooling, and how much of a picture a unit sees.

    network = small_cnn(channels=(3, 16, 32), size=32, classes=10)
    logits = network(images)
    maps = feature_maps(network, images)

"Convolution" is that of deep learning: the kernel is laid on the picture as it is, where mathematics turns it over
first. Layouts and names are those of PyTorch: pictures are (batch, channels, height, width), kernels (filters,
channels, height, width), and a `Conv2d` loads the weights of a torch.nn.Conv2d. Windows as columns of a matrix are from
Chellapilla, Puri and Simard (2006), https://inria.hal.science/inria-00112631, receptive fields as computed by Araujo,
Norris and Sim (2019), https://distill.pub/2019/computing-receptive-fields/.

Not covered: dilated, grouped and transposed convolution; stride or padding that differ between height and width;
padding in pooling.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

Images = Float[Tensor, "batch channels height width"]
Kernels = Float[Tensor, "filters channels rows columns"]
Pooling = Literal["max", "average"]


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Return how many places a window has along one axis.

    Args:
        size: of the picture.
        kernel: of the window, at least 1.
        stride: pixels from one place to the next, at least 1.
        padding: pixels put around the picture on either side, at least 0.

    Raises:
        ValueError: an argument is out of its range, or the window is larger than the padded picture.
    """
    for name, value, least in (("kernel", kernel, 1), ("stride", stride, 1), ("padding", padding, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
    if kernel > size + 2 * padding:
        raise ValueError(
            f"kernel must not be larger than the padded picture, {size + 2 * padding}, got {kernel}. Pad more."
        )
    return (size + 2 * padding - kernel) // stride + 1


# --- convolution ----------------------------------------------------------------------------------------------------


def conv2d_loops(
    images: Images, kernels: Kernels, bias: Float[Tensor, " filters"], stride: int = 1, padding: int = 0
) -> Float[Tensor, "batch filters places_down places_across"]:
    """Slide each kernel over each picture: at each place, multiply entry by entry, add up, add the filter's bias.

    Args:
        images: the pictures; `padding` zeros are put around each.
        kernels: one for each filter, with as many channels as the pictures.
        bias: a number for each filter.
        stride: pixels from one place to the next.
        padding: zeros around a picture, on all four sides.

    Raises:
        ValueError: channels differ, or `output_size` refuses a size.
    """
    down, across = _places(images, kernels, stride, padding)
    filters, _, height, width = kernels.shape
    padded = _pad(images, padding)
    output = images.new_zeros(len(images), filters, down, across)
    for row in range(down):
        for column in range(across):
            top, left = row * stride, column * stride
            window = padded[:, :, top : top + height, left : left + width]
            for number in range(filters):
                output[:, number, row, column] = (window * kernels[number]).sum(dim=(1, 2, 3)) + bias[number]
    return output


def im2col(
    images: Images, size: tuple[int, int], stride: int = 1, padding: int = 0
) -> Float[Tensor, "batch patch places"]:
    """Return what a window sees at each place, as the columns of a matrix.

    Args:
        images: the pictures.
        size: height and width of the window.
        stride: pixels from one place to the next.
        padding: zeros around a picture.

    Returns:
        A column for each place, row by row from the upper left. A column holds the window's pixels: the first channel
        row by row, then the next channel.

    Raises:
        ValueError: `output_size` refuses a size.
    """
    for extent, window in zip(images.shape[2:], size, strict=True):
        output_size(extent, window, stride, padding)
    windows = _pad(images, padding).unfold(2, size[0], stride).unfold(3, size[1], stride)  # (B, C, down, across, h, w)
    return windows.permute(0, 1, 4, 5, 2, 3).flatten(4, 5).flatten(1, 3)


def col2im(
    columns: Float[Tensor, "batch patch places"],
    shape: Sequence[int],
    size: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
) -> Images:
    """Put columns back to where `im2col` took them, adding where windows overlap: its transpose, not its inverse.

    Args:
        columns: in the layout of `im2col`.
        shape: of the pictures.
        size: height and width of the window.
        stride: pixels from one place to the next.
        padding: zeros around a picture, which are cut off again.

    Raises:
        ValueError: `output_size` refuses a size.
    """
    batch, channels, height, width = shape
    sizes = zip(shape[2:], size, strict=True)
    down, across = (output_size(extent, window, stride, padding) for extent, window in sizes)
    parts = columns.reshape(batch, channels, *size, down, across)
    padded = columns.new_zeros(batch, channels, height + 2 * padding, width + 2 * padding)
    for row in range(size[0]):
        for column in range(size[1]):
            rows = slice(row, row + stride * down, stride)
            padded[:, :, rows, column : column + stride * across : stride] += parts[:, :, row, column]
    return padded[:, :, padding : padding + height, padding : padding + width]


def conv2d(
    images: Images, kernels: Kernels, bias: Float[Tensor, " filters"], stride: int = 1, padding: int = 0
) -> Float[Tensor, "batch filters places_down places_across"]:
    """Do what `conv2d_loops` does, and refuse what it refuses, by a product of matrices: kernels times columns."""
    down, across = _places(images, kernels, stride, padding)
    columns = im2col(images, (kernels.shape[2], kernels.shape[3]), stride, padding)
    products = kernels.flatten(1) @ columns + bias[:, None]  # (B, filters, places)
    return products.unflatten(2, (down, across))


def conv2d_backward(
    gradient: Float[Tensor, "batch filters places_down places_across"],
    images: Images,
    kernels: Kernels,
    stride: int = 1,
    padding: int = 0,
) -> tuple[Images, Kernels, Float[Tensor, " filters"]]:
    """Return the gradients of the loss in the pictures, the kernels and the bias, given that in the output.

    Every place of the window used the same kernel, so the kernel's gradient is a sum over places and pictures. A pixel
    was seen from several places, so its gradient is a sum over those.

    Pictures, kernels, stride and padding are those that went into `conv2d`, the gradient is that of its output.
    """
    size = (kernels.shape[2], kernels.shape[3])
    products = gradient.flatten(2)  # (B, filters, places)
    columns = im2col(images, size, stride, padding)
    d_kernels = (products @ columns.transpose(1, 2)).sum(dim=0).reshape(kernels.shape)
    d_images = col2im(kernels.flatten(1).T @ products, images.shape, size, stride, padding)
    return d_images, d_kernels, products.sum(dim=(0, 2))


# --- pooling --------------------------------------------------------------------------------------------------------


def pool2d(
    images: Images, size: int, stride: int | None = None, kind: Pooling = "max"
) -> Float[Tensor, "batch channels places_down places_across"]:
    """Summarise each window of each channel by its maximum or its average.

    Args:
        images: the pictures; rows and columns that fill no window are left out.
        size: height and width of the window.
        stride: pixels from one place to the next; None is `size`, so that windows lie side by side.
        kind: "max" or "average".

    Raises:
        ValueError: the kind is unknown, or `output_size` refuses a size.
    """
    if kind not in ("max", "average"):
        raise ValueError(f"kind must be 'max' or 'average', got {kind!r}.")
    step = size if stride is None else stride
    for extent in images.shape[2:]:
        output_size(extent, size, step)
    windows = images.unfold(2, size, step).unfold(3, size, step).flatten(4)  # (B, C, down, across, size · size)
    return windows.max(dim=4).values if kind == "max" else windows.mean(dim=4)


# --- layers and networks --------------------------------------------------------------------------------------------


class _Convolution(torch.autograd.Function):
    """`conv2d` for autograd, with `conv2d_backward` as its gradient."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernels: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, kernels)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(images, kernels, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, kernels = ctx.saved_tensors
        return (*conv2d_backward(gradients[0], images, kernels, ctx.stride, ctx.padding), None, None)


class Conv2d(nn.Module):
    """A layer of filters with square kernels; its gradients are those of `conv2d_backward`.

    Args:
        channels: of the pictures.
        filters: how many kernels.
        kernel: height and width of each.
        stride: pixels from one place to the next.
        padding: zeros around a picture.

    Raises:
        ValueError: a size is below 1, or the padding below 0.
    """

    def __init__(self, channels: int, filters: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        sizes = (("channels", channels, 1), ("filters", filters, 1), ("kernel", kernel, 1))
        for name, value, least in (*sizes, ("stride", stride, 1), ("padding", padding, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        self.window = Window(kernel, stride, padding)
        bound = (channels * kernel * kernel) ** -0.5
        self.weight = nn.Parameter(torch.empty(filters, channels, kernel, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(filters).uniform_(-bound, bound))

    def forward(self, images: Images) -> Tensor:
        """Return a map for each filter."""
        result: Any = _Convolution.apply(images, self.weight, self.bias, self.window.stride, self.window.padding)
        return result


class Pool2d(nn.Module):
    """A layer of `pool2d` with windows that lie side by side.

    Args:
        size: height and width of the window.
        kind: "max" or "average".
    """

    def __init__(self, size: int, kind: Pooling = "max") -> None:
        super().__init__()
        self.window = Window(size, size)
        self.kind: Pooling = kind

    def forward(self, images: Images) -> Tensor:
        """Return the summaries."""
        return pool2d(images, self.window.kernel, kind=self.kind)


def small_cnn(channels: Sequence[int], size: int, classes: int, pooling: Pooling = "max") -> nn.Sequential:
    """Build the standard network: 3 × 3 filters, ReLU and pooling by 2, again and again, then a linear layer.

    Args:
        channels: of the pictures, then of each layer of filters.
        size: height and width of the pictures; each layer halves them.
        classes: how many logits come out.
        pooling: "max" or "average".

    Raises:
        ValueError: the pictures are too small to be halved that often.
    """
    depth = len(channels) - 1
    if size >> depth == 0:
        raise ValueError(f"size must be at least {1 << depth} for {depth} layers, got {size}. Take fewer layers.")
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [Conv2d(before, after, 3, padding=1), nn.ReLU(), Pool2d(2, pooling)]
    side = size >> depth
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side * side, classes))


@torch.no_grad()
def feature_maps(network: nn.Sequential, images: Images) -> list[Tensor]:
    """Return the outputs of all layers that give maps, first layer first: what the filters respond to."""
    maps: list[Tensor] = []
    for layer in network:
        images = layer(images)
        if images.ndim == 4:
            maps.append(images)
    return maps


# --- how much a unit sees -------------------------------------------------------------------------------------------


class Window(NamedTuple):
    """The window of a layer: its size, how far it moves, and the padding."""

    kernel: int
    stride: int = 1
    padding: int = 0


class Field(NamedTuple):
    """The pixels that units of a layer see along one axis: unit i those from `start + i * jump`, `size` of them."""

    size: int
    jump: int
    start: int


def receptive_field(windows: Sequence[Window]) -> list[Field]:
    """Return the receptive field of the units of each layer, first layer first.

    Args:
        windows: of the layers, in their order; a layer that works pixel by pixel, as ReLU does, has none.

    Returns:
        For each layer how many pixels a unit sees, how many lie between the fields of neighbours, and the first pixel
        of the first unit's field; it is negative where the field begins in the padding.
    """
    size, jump, start = 1, 1, 0
    fields = []
    for window in windows:
        size += (window.kernel - 1) * jump
        start -= window.padding * jump
        jump *= window.stride
        fields.append(Field(size, jump, start))
    return fields


def _places(images: Tensor, kernels: Tensor, stride: int, padding: int) -> tuple[int, int]:
    """How many places there are down and across; refuses what cannot be."""
    if images.shape[1] != kernels.shape[1]:
        raise ValueError(f"kernels must have the pictures' {images.shape[1]} channels, got {kernels.shape[1]}.")
    (height, width), (rows, columns) = images.shape[2:], kernels.shape[2:]
    return output_size(height, rows, stride, padding), output_size(width, columns, stride, padding)


def _pad(images: Tensor, padding: int) -> Tensor:
    """Zeros around each picture."""
    return nn.functional.pad(images, (padding, padding, padding, padding))
