"""Residual networks, and how a trained one is moved to another task.

    network = resnet18()
    network.load_state_dict(torch.load("resnet18-f37072fd.pth"))  # names and shapes are torchvision's
    new_head(network, classes=2)
    release(network, ["fc"])                    # first the head alone, then ["layer4", "fc"]
    optimizer = torch.optim.AdamW(rate_groups(network, 1e-3, decay=0.3))
    training_mode(network)                      # before each epoch, in place of network.train()

Blocks are those of He, Zhang, Ren and Sun (2016), https://arxiv.org/abs/1512.03385. The stride of a bottleneck is in
its 3 × 3 layer, and weights have the names and shapes of torchvision, https://github.com/pytorch/vision. Last gammas of
zero are from Goyal et al. (2017), https://arxiv.org/abs/1706.02677, learning rates that fall towards the input from
Howard and Ruder (2018), https://arxiv.org/abs/1801.06146.

Not covered: grouped and dilated convolution, pre-activation, squeeze and excitation, stochastic depth.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Images = Float[Tensor, "batch channels height width"]


# --- residual blocks ------------------------------------------------------------------------------------------------


def projection(channels: int, outputs: int, stride: int) -> nn.Sequential | None:
    """Return what brings the shortcut to the block's result: nothing, where it has the right shape already.

    Args:
        channels: of the block's input.
        outputs: channels of the block's result.
        stride: of the block.

    Returns:
        None where the channels stay and the stride is 1: the input is then added as it is. Else a 1 × 1 convolution
        with the stride and without bias, and a batch norm, in a Sequential.
    """
    if stride == 1 and channels == outputs:
        return None
    return nn.Sequential(nn.Conv2d(channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3 × 3 layers and a shortcut around both.

    Args:
        channels: of the input.
        width: channels of both layers, and of the result.
        stride: of the first layer.
    """

    expansion: ClassVar[int] = 1

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = projection(channels, width, stride)

    def forward(self, images: Images) -> Tensor:
        """Return relu(residual + shortcut).

        The residual is conv1, bn1, ReLU, conv2, bn2. The shortcut is the input, or `downsample` of it where there is
        one. The input stays as it was.
        """
        shortcut = images if self.downsample is None else self.downsample(images)
        hidden = torch.relu(self.bn1(self.conv1(images)))
        return torch.relu(self.bn2(self.conv2(hidden)) + shortcut)


class Bottleneck(nn.Module):
    """A 1 × 1 layer that narrows, a 3 × 3 layer, a 1 × 1 layer that widens fourfold, and a shortcut around all three.

    Args:
        channels: of the input.
        width: channels of the first two layers; the result has four times as many.
        stride: of the 3 × 3 layer.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = projection(channels, outputs, stride)

    def forward(self, images: Images) -> Tensor:
        """Return relu(residual + shortcut), as `BasicBlock` does; the residual has a ReLU after bn1 and after bn2."""
        shortcut = images if self.downsample is None else self.downsample(images)
        hidden = torch.relu(self.bn1(self.conv1(images)))
        hidden = torch.relu(self.bn2(self.conv2(hidden)))
        return torch.relu(self.bn3(self.conv3(hidden)) + shortcut)


Block = Literal["basic", "bottleneck"]
BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def stage(block: Block, channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """Return `depth` blocks in a row.

    Args:
        block: "basic" or "bottleneck", the name in `BLOCKS` of the kind of block.
        channels: of the input.
        width: of each block; a result has `width` times the kind's `expansion` channels.
        depth: number of blocks, at least 1.
        stride: of the first block; the others have 1.

    Raises:
        ValueError: the block is unknown, or the depth is below 1.
    """
    kind = _kind(block)
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}. A stage without a block is left out.")
    rest = [kind(width * kind.expansion, width) for _ in range(depth - 1)]
    return nn.Sequential(kind(channels, width, stride), *rest)


# --- the network ----------------------------------------------------------------------------------------------------


class ResNet(nn.Module):
    """A stem, stages of blocks, the average over the last map, and a linear head; weights are named as torchvision's.

    Convolutions begin with He's normal weights. The last gamma of each block, that of the batch norm before the
    addition, begins at 0 (unless `zero_gamma` is False), so that each block begins as its shortcut.

    Args:
        block: "basic" or "bottleneck".
        depths: blocks in each stage; a stage is twice as wide as the one before, and all but the first halve the maps.
        classes: how many logits come out.
        channels: of the pictures.
        width: of the first stage, and channels of the stem.
        small: a stem for small pictures, 3 × 3 at stride 1, in place of 7 × 7 at stride 2 and pooling by 2.
        zero_gamma: whether last gammas begin at 0.
    """

    def __init__(
        self,
        block: Block,
        depths: Sequence[int],
        classes: int = 1000,
        channels: int = 3,
        width: int = 64,
        small: bool = False,
        zero_gamma: bool = True,
    ) -> None:
        super().__init__()
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        before = width
        for number, depth in enumerate(depths):
            wide = width << number
            self.add_module(f"layer{number + 1}", stage(block, before, wide, depth, 1 if number == 0 else 2))
            before = wide * _kind(block).expansion
        self.fc = nn.Linear(before, classes)
        self.parts = [["conv1", "bn1"], *([f"layer{number + 1}"] for number in range(len(depths))), ["fc"]]
        _begin(self, zero_gamma)

    def features(self, images: Images) -> Float[Tensor, "batch features"]:
        """Return the average of the last maps: the vector that describes a picture."""
        maps = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for (name,) in self.parts[1:-1]:
            maps = self.get_submodule(name)(maps)
        return maps.mean(dim=(2, 3))

    def forward(self, images: Images) -> Float[Tensor, "batch classes"]:
        """Return a logit for each class."""
        return self.fc(self.features(images))


def resnet18(classes: int = 1000, **settings: Any) -> ResNet:
    """Return the network of 18 layers with weights: basic blocks, 2 in each of four stages."""
    return ResNet("basic", (2, 2, 2, 2), classes, **settings)


def resnet34(classes: int = 1000, **settings: Any) -> ResNet:
    """Return the network of 34 layers with weights: basic blocks, 3, 4, 6 and 3."""
    return ResNet("basic", (3, 4, 6, 3), classes, **settings)


def resnet50(classes: int = 1000, **settings: Any) -> ResNet:
    """Return the network of 50 layers with weights: bottlenecks, 3, 4, 6 and 3."""
    return ResNet("bottleneck", (3, 4, 6, 3), classes, **settings)


# --- moving a trained network ---------------------------------------------------------------------------------------


def new_head(network: ResNet, classes: int) -> None:
    """Put a fresh linear head of so many classes in the place of the old one, on the old one's device."""
    old = network.fc
    network.fc = nn.Linear(old.in_features, classes, device=old.weight.device, dtype=old.weight.dtype)


def release(network: nn.Module, parts: Sequence[str]) -> None:
    """Train the weights of the named parts, and freeze all others.

    Args:
        network: any module; its parameters' `requires_grad` is set, to True or to False.
        parts: names of modules in it, as "fc", "layer4" or "layer4.1"; none freezes all.

    Raises:
        ValueError: a part is no module of the network; nothing has been changed then.
    """
    known = dict(network.named_modules())
    for part in parts:
        if part not in known:
            raise ValueError(f"parts must be names of modules, got {part!r}. See network.named_modules().")
    chosen = {id(weight) for part in parts for weight in known[part].parameters()}
    for weight in network.parameters():
        weight.requires_grad_(id(weight) in chosen)


def training_mode(network: nn.Module) -> None:
    """Put the network into training mode, but leave every batch norm in eval mode of whose weights none is trained.

    In training mode a batch norm takes the batch's statistics and moves its running averages, whether or not its gamma
    and beta are frozen. A frozen layer must do neither: it has to give what it gave when its weights were learned.
    """
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not any(weight.requires_grad for weight in module.parameters()):
            module.eval()


def rate_groups(network: ResNet, rate: float, decay: float) -> list[dict[str, Any]]:
    """Return groups for an optimizer: the head has the learning rate, each part before it `decay` times the next's.

    Args:
        network: its parts, from input to head, are those of `network.parts`: conv1 with bn1, layer1 to the last, fc.
        rate: learning rate of the head, above 0.
        decay: above 0, at most 1; at 1 all parts have the same rate.

    Returns:
        A group for each part with weights that are trained, in the order of the parts: `params`, `lr`, and `name`, the
        part's last module. A frozen part has no group; the parts before it have the rates that they would have anyway.

    Raises:
        ValueError: the rate or the decay is out of its range.
    """
    if not rate > 0:
        raise ValueError(f"rate must be above 0, got {rate}.")
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be above 0 and at most 1, got {decay}. Take 1 for equal rates.")
    groups = []
    for steps, names in enumerate(reversed(network.parts)):
        weights = [weight for name in names for weight in network.get_submodule(name).parameters()]
        trained = [weight for weight in weights if weight.requires_grad]
        if trained:
            groups.append({"params": trained, "lr": rate * decay**steps, "name": names[-1]})
    return groups[::-1]


def _kind(block: str) -> type[BasicBlock] | type[Bottleneck]:
    """The class of a kind of block; refuses unknown names."""
    if block not in BLOCKS:
        raise ValueError(f"block must be 'basic' or 'bottleneck', got {block!r}.")
    return BLOCKS[block]


def _begin(network: ResNet, zero_gamma: bool) -> None:
    """He's weights for the convolutions; last gammas at 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif zero_gamma and isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif zero_gamma and isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
