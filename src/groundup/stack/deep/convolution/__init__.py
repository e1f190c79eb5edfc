"""Convolution: windows that slide over a picture, by loops and by one matrix product, with the gradients by hand."""

from groundup.stack.deep.convolution.convolution import (
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

__all__ = [
    "Conv2d",
    "Field",
    "Pool2d",
    "Window",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv2d_loops",
    "feature_maps",
    "im2col",
    "output_size",
    "pool2d",
    "receptive_field",
    "small_cnn",
]
