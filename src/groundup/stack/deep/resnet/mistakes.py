# pyright: basic
"""Ways to get ResNet wrong, and right ways that differ."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from groundup.anatomy import mistake, variant


@mistake("projection", edit=("1, stride, bias=False", "1, bias=False"))
def forgets_the_stride():
    """Your projection keeps the size, and the block halves it. The 1 × 1 convolution needs the block's stride."""


@mistake("projection", edit=(", bias=False", ""))
def keeps_a_bias():
    """Your convolution has a bias, which the batch norm takes away again, and which torchvision's weights lack."""


@mistake("projection", edit=("stride == 1 and channels == outputs", "channels == outputs"))
def looks_at_channels_only():
    """You project where channels differ. A stride alone changes the size as well, and needs a projection too."""


@mistake("projection", edit=(", nn.BatchNorm2d(outputs))", ")"))
def leaves_the_norm_out():
    """Your projection is a bare convolution. Every convolution of these networks is followed by a batch norm."""


@mistake(
    "BasicBlock.forward",
    edit=("torch.relu(self.bn2(self.conv2(hidden)) + shortcut)", "torch.relu(self.bn2(self.conv2(hidden))) + shortcut"),
)
def adds_after_the_relu():
    """You rectify the residual and add then: a block can only ever add. Add first, and rectify the sum."""


@mistake(
    "BasicBlock.forward",
    edit=("torch.relu(self.bn2(self.conv2(hidden)) + shortcut)", "self.bn2(self.conv2(hidden)) + shortcut"),
)
def leaves_the_last_relu_out():
    """You return the sum as it is. A ReLU follows the addition."""


@mistake("BasicBlock.forward", edit=("torch.relu(self.bn1(self.conv1(images)))", "self.bn1(self.conv1(images))"))
def leaves_the_inner_relu_out():
    """There is no ReLU between your two layers, so that both together are linear, as one would be."""


@mistake(
    "BasicBlock.forward",
    edit=("torch.relu(self.bn2(self.conv2(hidden)) + shortcut)", "torch.relu(self.bn2(self.conv2(hidden)))"),
)
def has_no_shortcut():
    """You compute the shortcut and never add it: that is a plain network, whose gradients have no way round."""


@mistake("stage", edit=("width * kind.expansion, width) for", "width * kind.expansion, width, stride) for"))
def strides_in_every_block():
    """Each of your blocks has the stride, so that maps shrink at every block. Only the first halves them."""


@mistake("stage", edit=("kind(channels, width, stride)", "kind(channels, width)"))
def never_strides():
    """You drop the stride. The first block of a stage has it."""


@mistake("stage", edit=("kind(width * kind.expansion, width)", "kind(width, width)"))
def forgets_the_expansion():
    """Your later blocks take `width` channels, and a bottleneck gives four times as many: `width * kind.expansion`."""


@mistake("stage", edit=("range(depth - 1)", "range(depth)"))
def builds_a_block_too_many():
    """You build `depth` blocks after the first. The first counts."""


@mistake("release")
def goes_by_the_beginning_of_names(network, parts):
    """You go by how names begin, so "layer1" releases "layer10" too, and an unknown part passes. Ask named_modules."""
    for name, weight in network.named_parameters():
        weight.requires_grad_(any(name.startswith(part) for part in parts))


@mistake(
    "release",
    edit=(
        "weight.requires_grad_(id(weight) in chosen)",
        "weight.requires_grad = weight.requires_grad or id(weight) in chosen",
    ),
)
def never_freezes():
    """You release parts and freeze nothing. Whatever is not named must get no gradient."""


@mistake(
    "release",
    edit=(
        "weight.requires_grad_(id(weight) in chosen)",
        "weight.requires_grad = weight.requires_grad and id(weight) in chosen",
    ),
)
def never_thaws():
    """You freeze what is not named and leave the rest as it was: a part frozen before stays frozen. Set it to True."""


@mistake("training_mode", edit=("module.eval()", "continue"))
def trains_frozen_batch_norms():
    """You put all into training mode: frozen batch norms take the batch's statistics and move their averages."""


@mistake("training_mode", edit=(" and not any(weight.requires_grad for weight in module.parameters())", ""))
def holds_every_batch_norm():
    """You hold all batch norms in eval mode, also those that are trained. Look whether a weight requires a gradient."""


@mistake("training_mode", edit=("network.train()", "pass"))
def never_trains():
    """You only put frozen batch norms into eval mode. First the whole network goes into training mode."""


@mistake("rate_groups", edit=("enumerate(reversed(network.parts))", "enumerate(network.parts)"))
def favours_the_input():
    """You count steps from the input, so that the stem learns fastest. The head has the full rate."""


@mistake("rate_groups", edit=("decay**steps", "decay ** len(groups)"))
def counts_trained_parts_only():
    """You count groups, so that a frozen part raises the rates of the parts before it. Count parts."""


@variant("BasicBlock.forward")
def residual_first(self, images):
    """The residual first, added in place to a tensor that is the block's own."""
    residual = self.bn2(self.conv2(self.bn1(self.conv1(images)).clamp(min=0)))
    residual += self.downsample(images) if self.downsample else images
    return nn.functional.relu(residual)


@variant("release")
def by_dotted_names(network, parts):
    """All frozen first, then each part thawed."""
    modules = dict(network.named_modules())
    unknown = set(parts) - set(modules)
    if unknown:
        raise ValueError(f"parts: there is no {unknown}")
    network.requires_grad_(False)
    for part in parts:
        modules[part].requires_grad_(True)


@variant("training_mode")
def sets_each_mode(network):
    """Each module gets its mode once."""
    for module in network.modules():
        held = isinstance(module, _BatchNorm) and all(not weight.requires_grad for weight in module.parameters())
        module.training = not held


@variant("rate_groups")
def multiplies_on_the_way(network, rate, decay):
    """From the head on, the rate is multiplied by the decay part by part."""
    if torch.isnan(torch.tensor(rate)) or rate <= 0:
        raise ValueError(f"rate: {rate}")
    if not 0 < decay <= 1:
        raise ValueError(f"decay: {decay}")
    groups = []
    for names in network.parts[::-1]:
        weights = [w for name in names for w in getattr(network, name).parameters() if w.requires_grad]
        if weights:
            groups.insert(0, {"params": weights, "lr": rate, "name": names[-1]})
        rate = rate * decay
    return groups
