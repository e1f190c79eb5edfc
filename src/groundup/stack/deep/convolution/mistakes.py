# pyright: basic
"""Ways to get convolution wrong, and right ways that differ."""

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.deep.convolution.convolution import Field, _pad, _places, im2col, output_size


@mistake("conv2d_loops", edit=("(window * kernels[number])", "(window * kernels[number].flip(1, 2))"))
def turns_the_kernel_over():
    """You turn the kernel over, as mathematics does. Deep learning lays it on the picture as it is."""


@mistake("conv2d_loops", edit=("top, left = row * stride, column * stride", "top, left = row, column"))
def forgets_the_stride():
    """You move the window by one pixel always. Place number i begins at i · stride."""


@mistake("conv2d_loops", edit=(" + bias[number]", ""))
def leaves_the_bias_out():
    """You never add the bias: each filter has one number that is added in every place."""


@mistake("conv2d_loops", edit=("padded = _pad(images, padding)", "padded = _pad(images, 0)"))
def never_pads():
    """You slide over the bare picture. Put `padding` zeros around it first."""


@mistake("im2col", edit=("permute(0, 1, 4, 5, 2, 3)", "permute(0, 4, 5, 1, 2, 3)"))
def puts_channels_last():
    """In your columns the channels of a pixel stand together. A column holds the whole first channel, then the next."""


@mistake("im2col", edit=("permute(0, 1, 4, 5, 2, 3)", "permute(0, 1, 5, 4, 2, 3)"))
def reads_windows_by_columns():
    """You read each window column by column. It is read row by row, as kernels are when they are flattened."""


@mistake("im2col", edit=("permute(0, 1, 4, 5, 2, 3)", "permute(0, 1, 4, 5, 3, 2)"))
def walks_down_first():
    """Your places go down first. They go row by row from the upper left, so that the product unflattens to a map."""


@mistake("conv2d", edit=("unflatten(2, (down, across))", "unflatten(2, (across, down)).transpose(2, 3)"))
def unflattens_the_wrong_way():
    """You unflatten places as if they went down first. Rows come first: `unflatten(2, (down, across))`."""


@mistake("conv2d", edit=("kernels.flatten(1) @ columns", "kernels.transpose(2, 3).flatten(1) @ columns"))
def flattens_kernels_by_columns():
    """You flatten each kernel column by column, and the windows row by row: entries meet the wrong pixels."""


@mistake("conv2d", edit=(" + bias[:, None]", " + bias.mean()"))
def one_bias_for_all():
    """You add the same number to every filter. Each filter has its own bias."""


@mistake(
    "conv2d_backward",
    edit=(".transpose(1, 2)).sum(dim=0)", ".transpose(1, 2)).mean(dim=0)"),
)
def averages_over_the_batch():
    """You average kernel gradients over the pictures. The chain rule adds: the mean is in the loss already."""


@mistake(
    "conv2d_backward",
    edit=(
        "d_images = col2im(kernels.flatten(1).T @ products, images.shape, size, stride, padding)",
        "d_images = torch.zeros_like(images)",
    ),
)
def stops_at_the_pictures():
    """You return no gradient in the pictures. The layers below learn from it: put the columns' gradient back."""


@mistake("conv2d_backward", edit=("products.sum(dim=(0, 2))", "products.sum(dim=0).mean(dim=1)"))
def averages_the_bias_over_places():
    """You average the bias gradient over places. The bias was added in each of them: add up."""


@mistake("conv2d_backward")
def lets_the_last_window_win(gradient, images, kernels, stride=1, padding=0):
    """You write each window's gradient over the one before. A pixel seen from several places gets the sum of all."""
    size = (kernels.shape[2], kernels.shape[3])
    products = gradient.flatten(2)
    columns = im2col(images, size, stride, padding)
    back = (kernels.flatten(1).T @ products).reshape(len(images), images.shape[1], *size, *gradient.shape[2:])
    padded = torch.zeros_like(_pad(images, padding))
    for row in range(gradient.shape[2]):
        for column in range(gradient.shape[3]):
            top, left = row * stride, column * stride
            padded[:, :, top : top + size[0], left : left + size[1]] = back[..., row, column]
    height, width = images.shape[2:]
    d_images = padded[:, :, padding : padding + height, padding : padding + width]
    return d_images, (products @ columns.transpose(1, 2)).sum(0).reshape(kernels.shape), products.sum((0, 2))


@mistake("pool2d", edit=("step = size if stride is None else stride", "step = 1 if stride is None else stride"))
def overlaps_by_default():
    """Without a stride you move by one pixel. Pooling windows lie side by side unless a stride is given."""


@mistake("pool2d", edit=("windows.max(dim=4).values", "windows.relu().max(dim=4).values"))
def begins_the_maximum_at_zero():
    """Your maximum begins at 0, so negative pixels never win. The maximum of -1 and -2 is -1."""


@mistake("pool2d", edit=("windows.max(dim=4).values", "windows.amax(dim=(1, 4))[:, None].expand(windows.shape[:4])"))
def pools_over_channels():
    """You take the maximum over the channels as well. Each channel is pooled by itself."""


@mistake("receptive_field", edit=("(window.kernel - 1) * jump", "window.kernel - 1"))
def forgets_the_jump():
    """You add the kernel's pixels as if the layer read the picture. Its inputs lie `jump` pixels apart."""


@mistake(
    "receptive_field",
    edit=(
        "        size += (window.kernel - 1) * jump\n",
        "        size += (window.kernel - 1) * jump * window.stride\n",
    ),
)
def counts_its_own_stride():
    """You count a layer's stride in its own window. The stride sets the layer's outputs apart, not its inputs."""


@mistake("receptive_field", edit=("window.padding * jump", "window.padding"))
def pads_by_single_pixels():
    """You count a layer's padding as pixels of the picture. Each of its zeros stands for `jump` pixels."""


@variant("conv2d_loops")
def over_the_kernel(images, kernels, bias, stride=1, padding=0):
    """Loops over the kernel's entries, each adding a shifted picture."""
    down, across = _places(images, kernels, stride, padding)
    padded = _pad(images, padding)
    output = bias[:, None, None].repeat(len(images), 1, down, across)
    for row in range(kernels.shape[2]):
        for column in range(kernels.shape[3]):
            part = padded[:, :, row : row + stride * down : stride, column : column + stride * across : stride]
            output = output + torch.einsum("bchw,oc->bohw", part, kernels[:, :, row, column])
    return output


@variant("im2col")
def window_by_window(images, size, stride=1, padding=0):
    """Cuts one window after the other."""
    down = output_size(images.shape[2], size[0], stride, padding)
    across = output_size(images.shape[3], size[1], stride, padding)
    padded, columns = nn.functional.pad(images, (padding,) * 4), []
    for place in range(down * across):
        top, left = place // across * stride, place % across * stride
        columns.append(padded[:, :, top : top + size[0], left : left + size[1]].flatten(1))
    return torch.stack(columns, dim=2)


@variant("conv2d_backward")
def by_autograd_of_the_columns(gradient, images, kernels, stride=1, padding=0):
    """A kernel's gradient by einsum; a picture's by adding window after window."""
    (height, width), (rows, columns) = images.shape[2:], kernels.shape[2:]
    padded = torch.zeros_like(_pad(images, padding))
    d_kernels = torch.zeros_like(kernels)
    source = _pad(images, padding)
    for row in range(gradient.shape[2]):
        for column in range(gradient.shape[3]):
            window = (..., slice(row * stride, row * stride + rows), slice(column * stride, column * stride + columns))
            here = gradient[:, :, row, column]
            d_kernels += torch.einsum("bo,bchw->ochw", here, source[window])
            padded[window] += torch.einsum("bo,ochw->bchw", here, kernels)
    d_images = padded[:, :, padding : padding + height, padding : padding + width]
    return d_images, d_kernels, gradient.sum((0, 2, 3))


@variant("receptive_field")
def from_the_end(windows):
    """Goes back from one unit through the layers below."""
    fields = []
    for depth in range(1, len(windows) + 1):
        first, last, jump = 0, 0, 1
        for kernel, stride, padding in reversed(windows[:depth]):
            first, last = first * stride - padding, last * stride - padding + kernel - 1
            jump *= stride
        fields.append(Field(last - first + 1, jump, first))
    return fields
