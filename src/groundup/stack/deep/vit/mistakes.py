# pyright: basic
"""Ways to get the vision transformer wrong, and right ways that differ."""

import torch
from torch import nn

from groundup.anatomy import mistake, variant


@mistake("patchify", edit=("permute(0, 2, 4, 1, 3, 5)", "permute(0, 2, 4, 3, 5, 1)"))
def puts_channels_last():
    """In your rows the channels of a pixel stand together. A patch holds its first channel whole, then the next."""


@mistake("patchify", edit=("permute(0, 2, 4, 1, 3, 5)", "permute(0, 4, 2, 1, 3, 5)"))
def walks_down_first():
    """Your patches go down first. They go row by row from the upper left, as the maps of a convolution flatten."""


@mistake(
    "patchify",
    edit=(
        "images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))",
        "images.unflatten(3, (patch, -1)).transpose(3, 4).unflatten(2, (patch, -1)).transpose(2, 3)",
    ),
)
def takes_every_nth_pixel():
    """Your patches are combs: every n-th pixel. A patch is a square of neighbours: the pixel is the inner axis."""


@mistake("sine_positions", edit=("for axis in (x, y)", "for axis in (x, x)"))
def forgets_the_rows():
    """Both halves tell the column, so two places of one column look alike. The second half tells the row."""


@mistake("sine_positions", edit=("(dim // 4 - 1)", "(dim // 4)"))
def stops_before_the_longest_wave():
    """Your frequencies end before 1 / temperature. The exponents go from 0 to 1: divide by n - 1."""


@mistake("sine_positions", edit=("for axis in (x, y)", "for axis in (y, x)"))
def rows_first():
    """Your first half tells the row. The column comes first, then the row."""


@mistake("resize_positions", edit=("positions[1:].T.unflatten(1, old)", "positions[1:].reshape(-1, *old)"))
def mixes_numbers_and_places():
    """You reshape (patches, dim) to (dim, rows, columns), which mixes them up. Transpose first."""


@mistake(
    "resize_positions",
    edit=(
        "torch.cat((positions[:1], stretched[0].flatten(1).T))",
        "torch.cat((stretched[0].flatten(1).T[:1], stretched[0].flatten(1).T))",
    ),
)
def loses_the_class_token():
    """The class token got the position of a patch. It stands outside of the grid, and keeps its own."""


@mistake("resize_positions", edit=('mode="bicubic", align_corners=False', 'mode="nearest"'))
def repeats_the_nearest():
    """You repeat the nearest position, so neighbours get the same one. Interpolate bicubically."""


@mistake(
    "EncoderBlock.forward",
    edit=("looked, weights = self.attention(self.norms[0](hidden))", "looked, weights = self.attention(hidden)"),
)
def attends_without_the_norm():
    """Attention reads the raw input. Each branch begins with its norm."""


@mistake("EncoderBlock.forward")
def normalises_afterwards(self, hidden):
    """You normalise the sums (post-norm). Here the norms are on the branches, and the skip stays clean: pre-norm."""
    looked, weights = self.attention(hidden)
    hidden = self.norms[0](hidden + self.dropout(looked))
    return self.norms[1](hidden + self.dropout(self.dense(hidden))), weights


@mistake(
    "EncoderBlock.forward",
    edit=(
        "return hidden + self.dropout(self.dense(self.norms[1](hidden))), weights",
        "return self.dropout(self.dense(self.norms[1](hidden))), weights",
    ),
)
def cuts_the_second_skip():
    """The dense layers replace what came in. They are a branch: add them to it."""


@mistake("VisionTransformer.embed", edit=("torch.cat((token, patches), dim=1)", "torch.cat((patches, token), dim=1)"))
def puts_the_class_token_last():
    """Your class token is the last. It comes first: `forward` reads it there, and its position is the first."""


@mistake("VisionTransformer.embed", edit=(" + positions)", ")"))
def adds_no_positions():
    """You never add the positions, so the picture is a bag of patches. Add them to the tokens."""


@mistake(
    "VisionTransformer.embed",
    edit=("positions = resize_positions(self.positions, (self.side, self.side), grid)", "positions = self.positions"),
)
def knows_one_size_only():
    """You add the positions as they are, which fit pictures of one size. Resize them to the grid of these pictures."""


@mistake("rollout", edit=("(layer + identity) / 2 @ flow", "layer @ flow"))
def forgets_the_skip():
    """You multiply the weights alone. Half of a token goes past attention by the skip connection: add the identity."""


@mistake("rollout", edit=("(layer + identity) / 2 @ flow", "flow @ ((layer + identity) / 2)"))
def multiplies_from_the_right():
    """Your first layer stands on the left. The last layer mixes what the earlier ones made: it stands on the left."""


@mistake("rollout", edit=("weights.mean(dim=2)", "weights.amax(dim=2)"))
def takes_the_strongest_head():
    """You take the maximum over the heads, so shares no longer sum to 1. Take their mean."""


@variant("patchify")
def by_windows(images, patch):
    """Cuts windows by `Tensor.unfold`."""
    height, width = images.shape[2:]
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patch must divide the picture's {height} × {width} pixels, got {patch}. Resize or pad it.")
    windows = images.unfold(2, patch, patch).unfold(3, patch, patch)
    return torch.einsum("bcyxij->byxcij", windows).flatten(3).flatten(1, 2)


@variant("sine_positions")
def by_powers(down, across, dim, temperature=10_000.0):
    """Builds the columns once and the rows once, and repeats them."""
    if dim % 4 or dim < 8:
        raise ValueError(f"dim must be a multiple of 4, at least 8, got {dim}: sine and cosine of column and of row.")
    steps = torch.linspace(0, 1, dim // 4, dtype=torch.float64)
    waves = [torch.outer(torch.arange(count).double(), temperature**-steps) for count in (across, down)]
    x, y = (torch.cat((wave.sin(), wave.cos()), dim=1).float() for wave in waves)
    return torch.cat((x.repeat(down, 1), y.repeat_interleave(across, dim=0)), dim=1)


@variant("resize_positions")
def by_axes_that_move(positions, old, new):
    """Brings the numbers to the front by permute, and back."""
    if len(positions) != 1 + old[0] * old[1]:
        raise ValueError(f"positions must be 1 + {old[0]} · {old[1]} for the old grid, got {len(positions)}.")
    if new == old:
        return positions
    grid = positions[1:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    back = nn.functional.interpolate(grid, size=new, mode="bicubic").permute(0, 2, 3, 1)
    return torch.cat((positions[:1], back.reshape(new[0] * new[1], -1)))


@variant("rollout")
def by_one_product(weights):
    """Makes all layers first, and multiplies them at the end."""
    layers = weights.mean(dim=2) / 2 + torch.eye(weights.shape[-1], dtype=weights.dtype) / 2
    result = layers[0]
    for layer in layers[1:]:
        result = torch.einsum("bij,bjk->bik", layer, result)
    return result
