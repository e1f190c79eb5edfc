"""ResNet: residual blocks, torchvision's layout of weights, and moving a trained network to another task."""

from groundup.stack.deep.resnet.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    new_head,
    projection,
    rate_groups,
    release,
    resnet18,
    resnet34,
    resnet50,
    stage,
    training_mode,
)

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "new_head",
    "projection",
    "rate_groups",
    "release",
    "resnet18",
    "resnet34",
    "resnet50",
    "stage",
    "training_mode",
]
