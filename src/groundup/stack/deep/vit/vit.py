"""The vision transformer: a picture as a sequence of patches, read by an encoder.

    model = VisionTransformer(size=32, patch=4, dim=64, layers=4, heads=4, classes=10)
    logits = model(images)
    weights = model.attention(images)
    where = rollout(weights)

The model is that of Dosovitskiy et al. (2020), https://arxiv.org/abs/2010.11929, and computes what transformers'
ViTForImageClassification does with its weights. Positions by sines are those of Beyer, Zhai and Kolesnikov (2022),
https://arxiv.org/abs/2205.01580, and rollout is from Abnar and Zuidema (2020), https://arxiv.org/abs/2005.00928.

Axes: `batch`; `channels`, `height` and `width` of pictures; `patches`; `tokens`, which are the patches after the class
token; `dim`, the size of a token's vector; `heads` and `layers`.

Not covered: training on other pictures first, distillation, windows of attention, relative positions.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.stack.deep.attention import SelfAttention

Images = Float[Tensor, "batch channels height width"]
Positions = Literal["learned", "sines", "none"]


# --- patches --------------------------------------------------------------------------------------------------------


def patchify(images: Images, patch: int) -> Float[Tensor, "batch patches pixels"]:
    """Cut pictures into squares side by side, each a row of its pixels.

    Args:
        images: the pictures.
        patch: height and width of a square.

    Returns:
        The squares row by row from the upper left. A square's pixels are its first channel row by row, then the next
        channel: the order of a kernel of `torch.nn.Conv2d`.

    Raises:
        ValueError: `patch` does not divide height and width.
    """
    height, width = images.shape[2:]
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patch must divide the picture's {height} × {width} pixels, got {patch}. Resize or pad it.")
    tiles = images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # (B, C, down, patch, across, patch)
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpatchify(patches: Float[Tensor, "batch patches pixels"], patch: int, height: int, width: int) -> Images:
    """Put squares back into pictures of the given height and width: undoes `patchify`."""
    grid = patches.unflatten(2, (-1, patch, patch)).unflatten(1, (height // patch, width // patch))
    return grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)  # (B, C, height, width)


class PatchEmbedding(nn.Module):
    """A vector for each patch: a linear layer of its pixels, or, what is the same, a convolution with large steps.

    Args:
        channels: of the pictures.
        patch: height and width of a patch.
        dim: size of the vectors.
    """

    def __init__(self, channels: int, patch: int, dim: int) -> None:
        super().__init__()
        self.patch = patch
        layer = nn.Conv2d(channels, dim, patch, stride=patch)
        self.weight, self.bias = layer.weight, layer.bias  # (dim, channels, patch, patch) and (dim)

    def forward(self, images: Images) -> Float[Tensor, "batch patches dim"]:
        """Return the vectors, by cutting and one product of matrices; `patchify` refuses other sizes."""
        return nn.functional.linear(patchify(images, self.patch), self.weight.flatten(1), self.bias)

    def by_convolution(self, images: Images) -> Float[Tensor, "batch patches dim"]:
        """Return the same vectors, by sliding each filter with a stride of its own size."""
        maps = nn.functional.conv2d(images, self.weight, self.bias, stride=self.patch)  # (B, dim, down, across)
        return maps.flatten(2).transpose(1, 2)


# --- positions ------------------------------------------------------------------------------------------------------


def sine_positions(down: int, across: int, dim: int, temperature: float = 10_000.0) -> Float[Tensor, "patches dim"]:
    """Return a fixed vector for each place of a grid, row by row: half of it tells the column, half the row.

    With n = dim / 4 frequencies temperature^(-k / (n - 1)), k from 0 to n - 1, the vector of column x and row y is
    sin(x · frequencies), cos(x · frequencies), sin(y · frequencies), cos(y · frequencies).

    Args:
        down: rows of the grid.
        across: columns of the grid.
        dim: size of the vectors, a multiple of 4, at least 8.
        temperature: the longest wave is this many times the shortest.

    Raises:
        ValueError: `dim` is no multiple of 4, or below 8.
    """
    if dim % 4 or dim < 8:
        raise ValueError(f"dim must be a multiple of 4, at least 8, got {dim}: sine and cosine of column and of row.")
    frequencies = temperature ** (-torch.arange(dim // 4) / (dim // 4 - 1))
    y, x = torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij")
    angles = [axis.flatten()[:, None] * frequencies for axis in (x, y)]  # two of (patches, dim / 4)
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)


def resize_positions(
    positions: Float[Tensor, "tokens dim"], old: tuple[int, int], new: tuple[int, int]
) -> Float[Tensor, "other_tokens dim"]:
    """Stretch the positions of a grid to another grid by bicubic interpolation; the class token's stays as it is.

    Args:
        positions: of the class token, then of the patches row by row.
        old: rows and columns of the grid that they are for.
        new: rows and columns of the grid that is wanted.

    Raises:
        ValueError: there are not 1 + rows · columns positions.
    """
    if len(positions) != 1 + old[0] * old[1]:
        raise ValueError(f"positions must be 1 + {old[0]} · {old[1]} for the old grid, got {len(positions)}.")
    if new == old:
        return positions
    grid = positions[1:].T.unflatten(1, old)[None]  # (1, dim, rows, columns)
    stretched = nn.functional.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat((positions[:1], stretched[0].flatten(1).T))


# --- the model ------------------------------------------------------------------------------------------------------


class EncoderBlock(nn.Module):
    """Attention, then two dense layers with GELU; each reads a normalised input, and is added to what came in.

    Args:
        dim: size of a token's vector.
        heads: of attention; they divide `dim`.
        dropout: probability of dropping what is added, in training.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-6) for _ in range(2))
        self.attention = SelfAttention(dim, heads)
        self.dense = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: Float[Tensor, "batch tokens dim"]
    ) -> tuple[Float[Tensor, "batch tokens dim"], Float[Tensor, "batch heads tokens tokens"]]:
        """Return the new vectors, and the weights of attention."""
        looked, weights = self.attention(self.norms[0](hidden))
        hidden = hidden + self.dropout(looked)
        return hidden + self.dropout(self.dense(self.norms[1](hidden))), weights


class VisionTransformer(nn.Module):
    """Patches, a class token and positions, through encoder blocks; the class token's vector gives the logits.

    Args:
        size: height and width of the pictures.
        patch: height and width of a patch; it divides `size`.
        dim: size of a token's vector.
        layers: encoder blocks.
        heads: of attention in each; they divide `dim`.
        classes: how many logits come out.
        channels: of the pictures.
        positions: "learned", fixed "sines", or "none".
        dropout: probability of dropping what a block adds, in training.

    Raises:
        ValueError: `patch` does not divide `size`, `heads` not `dim`, or `positions` is unknown.
    """

    positions: Tensor

    def __init__(
        self,
        size: int,
        patch: int,
        dim: int,
        layers: int,
        heads: int,
        classes: int,
        channels: int = 3,
        positions: Positions = "learned",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if size % patch:
            raise ValueError(f"patch must divide size={size}, got {patch}. Resize the pictures.")
        if positions not in ("learned", "sines", "none"):
            raise ValueError(f"positions must be 'learned', 'sines' or 'none', got {positions!r}.")
        self.side = size // patch
        self.patches = PatchEmbedding(channels, patch, dim)
        self.class_token = nn.Parameter(0.02 * torch.randn(dim))
        if positions == "learned":
            self.positions = nn.Parameter(0.02 * torch.randn(1 + self.side**2, dim))
        else:
            fixed = torch.zeros(1 + self.side**2, dim)
            if positions == "sines":
                fixed[1:] = sine_positions(self.side, self.side, dim)
            self.register_buffer("positions", fixed)
        self.blocks = nn.ModuleList(EncoderBlock(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, classes)
        self.dropout = nn.Dropout(dropout)

    def embed(self, images: Images) -> Float[Tensor, "batch tokens dim"]:
        """Return the class token, then the patches, each with its position added.

        Pictures may have another size than `size`: positions are then resized to their grid. Dropout comes last.
        """
        patches = self.patches(images)
        token = self.class_token.expand(len(images), 1, -1)
        grid = (images.shape[2] // self.patches.patch, images.shape[3] // self.patches.patch)
        positions = resize_positions(self.positions, (self.side, self.side), grid)
        return self.dropout(torch.cat((token, patches), dim=1) + positions)

    def encode(
        self, images: Images
    ) -> tuple[Float[Tensor, "batch tokens dim"], Float[Tensor, "layers batch heads tokens tokens"]]:
        """Return the normalised vectors after the last block, and each block's weights of attention."""
        hidden, maps = self.embed(images), []
        for block in self.blocks:
            hidden, weights = block(hidden)
            maps.append(weights)
        return self.norm(hidden), torch.stack(maps)

    def forward(self, images: Images) -> Float[Tensor, "batch classes"]:
        """Return the logits."""
        return self.head(self.encode(images)[0][:, 0])

    @torch.no_grad()
    def attention(self, images: Images) -> Float[Tensor, "layers batch heads tokens tokens"]:
        """Return how each token looks at each other, in every layer and head."""
        return self.encode(images)[1]


# --- looking inside -------------------------------------------------------------------------------------------------


def rollout(weights: Float[Tensor, "layers batch heads tokens tokens"]) -> Float[Tensor, "batch tokens tokens"]:
    """Return how much of each token's input reaches each token after the last layer, if attention were all.

    A layer hands on half of what a token had, by the skip connection, and half of what it looked at, by the mean of the
    heads. The layers multiply, the last one from the left. Each row sums to 1.
    """
    identity = torch.eye(weights.shape[-1], dtype=weights.dtype)
    flow = identity.expand(weights.shape[1], -1, -1)
    for layer in weights.mean(dim=2):  # (B, tokens, tokens)
        flow = (layer + identity) / 2 @ flow
    return flow


def attention_distance(
    weights: Float[Tensor, "layers batch heads tokens tokens"], side: int
) -> Float[Tensor, "layers heads"]:
    """Return how far, in patches, the heads look: the mean distance between patches, weighted by attention.

    The class token is left out, and weights are made to sum to 1 without it.

    Args:
        weights: of `VisionTransformer.attention`, for pictures of side · side patches.
        side: patches in a row.
    """
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    places = torch.stack((y, x), dim=2).flatten(0, 1).to(weights.dtype)
    among = weights[..., 1:, 1:]
    among = among / among.sum(dim=-1, keepdim=True)
    return (among * torch.cdist(places, places)).sum(dim=-1).mean(dim=(1, 3))


def parameters(patch: int, dim: int, layers: int, classes: int, side: int, channels: int = 3) -> int:
    """Return how many numbers a `VisionTransformer` with learned positions learns; about 12 · layers · dim²."""
    embedding = channels * patch**2 * dim + dim + dim + (1 + side**2) * dim
    block = 4 * (dim**2 + dim) + 2 * 4 * dim**2 + 5 * dim + 2 * 2 * dim
    return embedding + layers * block + 2 * dim + dim * classes + classes
