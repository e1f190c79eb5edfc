"""Fine-tune a large model by training a small one beside it.

    add_lora(model, ["query", "value"], rank=8, alpha=16)       # only the adapters train from here on
    torch.save(adapter_state(model), "adapter.pt")              # kilobytes, in the names that peft loads
    merge_lora(model)                                           # plain linear layers again, the same outputs

A linear layer computes W x. Its adapter adds (alpha / rank) B A x, with A of shape (rank, in) and B of (out, rank):
Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), https://arxiv.org/abs/2106.09685. The base may
be kept in 4 bits: Dettmers et al., "QLoRA" (2023), https://arxiv.org/abs/2305.14314.

Not covered: layers other than nn.Linear, a layer that stands under two names, and the NF4 codes of QLoRA; our 4 bits
are whole numbers from -7 to 7 with a scale for each group, and stand unpacked, a byte each.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float, Int8
from torch import Tensor, nn

LEVELS = 7
"""Four bits hold -7 to 7; -8 is left out, so that the codes are symmetric."""

PREFIX = "base_model.model."
"""With it `peft` begins every name of an adapter."""

Model = TypeVar("Model", bound=nn.Module)

# --- a base in four bits --------------------------------------------------------------------------------------------


def quantize(
    weight: Float[Tensor, "out in"], group: int = 32
) -> tuple[Int8[Tensor, "out in"], Float[Tensor, "out groups"]]:
    """Round weights to 15 levels, with a scale for each `group` of neighbours in a row.

    The scale of a group is its largest magnitude / 7, so that the largest weight becomes 7 or -7. A group of zeros has
    the scale 0 and the codes 0.

    Args:
        weight: finite weights; `group` divides the length of a row.
        group: how many weights share a scale, at least 1.

    Returns:
        Codes from -7 to 7, and the scales.

    Raises:
        ValueError: `group` does not divide the length of a row, or a weight is not finite.
    """
    if group < 1 or weight.shape[1] % group:
        raise ValueError(f"group must divide the {weight.shape[1]} inputs of the layer, got {group}: 32 is usual.")
    if not weight.isfinite().all():
        raise ValueError(f"weight must be finite, got {weight[~weight.isfinite()][0]}: look at how it was trained.")
    groups = weight.detach().unflatten(1, (-1, group))  # (out, groups, group)
    scales = groups.abs().amax(dim=2) / LEVELS
    codes = (groups / scales.masked_fill(scales == 0, 1.0)[:, :, None]).round()
    return codes.flatten(1).to(torch.int8), scales


def dequantize(codes: Int8[Tensor, "out in"], scales: Float[Tensor, "out groups"]) -> Float[Tensor, "out in"]:
    """Return the weights that the codes stand for: each code times the scale of its group."""
    return (codes.unflatten(1, (scales.shape[1], -1)) * scales[:, :, None]).flatten(1)


class QuantizedLinear(nn.Module):
    """A frozen linear layer whose weights are 4-bit codes; it computes with the weights that the codes stand for.

    Args:
        linear: the layer to quantise; it stays as it is. Its bias is copied in full precision.
        group: how many weights share a scale.
    """

    codes: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, group: int = 32) -> None:
        super().__init__()
        codes, scales = quantize(linear.weight, group)
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())
        self.in_features, self.out_features = linear.in_features, linear.out_features

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The weights that the codes stand for."""
        return dequantize(self.codes, self.scales)

    def forward(self, inputs: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """Return W x + b, with the weights that the codes stand for."""
        return nn.functional.linear(inputs, self.weight, self.bias)


# --- the adapter ----------------------------------------------------------------------------------------------------


class LoRALinear(nn.Module):
    """A frozen linear layer, and an adapter of low rank beside it that trains.

    The base is frozen when the adapter is put on it. The names of the parts are those of `peft`.

    Args:
        base: what is adapted, `nn.Linear` or `QuantizedLinear`.
        rank: rows of A and columns of B, from 1 to the smaller side of the base.
        alpha: what the adapter adds is multiplied by alpha / rank; above 0.
        dropout: probability with which an input of the adapter is dropped in training; the base sees all inputs.

    Raises:
        ValueError: rank, alpha or dropout is out of its range.
    """

    def __init__(self, base: nn.Linear | QuantizedLinear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        sides = base.in_features, base.out_features
        if not 1 <= rank <= min(sides):
            raise ValueError(f"rank must be from 1 to {min(sides)}, the smaller side of the layer, got {rank}.")
        if alpha <= 0:
            raise ValueError(f"alpha must be above 0, got {alpha}: rank, or twice the rank, is usual.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, got {dropout}.")
        self.base_layer = base.requires_grad_(False)
        self.rank, self.alpha = rank, alpha
        weight = base.weight
        self.lora_A = nn.Linear(sides[0], rank, bias=False, device=weight.device, dtype=weight.dtype)
        self.lora_B = nn.Linear(rank, sides[1], bias=False, device=weight.device, dtype=weight.dtype)
        self.dropout = nn.Dropout(dropout)
        self.reset_adapter()

    def reset_adapter(self) -> None:
        """Draw A evenly within ±1 / sqrt(in), as nn.Linear draws its weights, and set B to 0.

        The adapter then adds nothing yet. With both at 0 neither would get a gradient.
        """
        bound = 1 / math.sqrt(self.lora_A.in_features)
        nn.init.uniform_(self.lora_A.weight, -bound, bound)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, inputs: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """Return W x + b + (alpha / rank) B A x.

        The product B A is never formed: two thin products cost rank · (in + out) multiplications a row.
        """
        update = self.lora_B(self.lora_A(self.dropout(inputs)))
        return self.base_layer(inputs) + self.alpha / self.rank * update

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return a plain linear layer with the same outputs: W + (alpha / rank) B A, and the bias of the base.

        W is the weight that the adapter was trained beside. Of a quantised base it is the rounded weight, not the one
        from before the rounding. The adapter and the base stay as they are; the new layer trains.
        """
        weight, bias = self.base_layer.weight, self.base_layer.bias
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device=weight.device, dtype=weight.dtype)
        layer.weight.copy_(weight + self.alpha / self.rank * self.lora_B.weight @ self.lora_A.weight)
        if bias is not None:
            layer.bias.copy_(bias)
        return layer


# --- adapters on a whole model --------------------------------------------------------------------------------------


def add_lora(
    model: nn.Module, targets: Sequence[str], rank: int, alpha: float, dropout: float = 0.0, group: int | None = None
) -> list[str]:
    """Freeze a model, and put an adapter on each linear layer that `targets` name.

    Args:
        model: changed in place: afterwards its adapters train, and nothing else.
        targets: names of layers. A name matches a layer of that whole name, and any that ends in a dot and the name:
            "query" matches "blocks.0.query" and not "blocks.0.big_query".
        rank: as for `LoRALinear`.
        alpha: as for `LoRALinear`.
        dropout: as for `LoRALinear`.
        group: quantise the adapted layers to 4 bits first, with a scale for as many weights; None leaves them.

    Returns:
        The names of the adapted layers, in the order of the model.

    Raises:
        ValueError: a target matches no layer, or one that is no nn.Linear. The model is then unchanged.
    """
    modules = dict(model.named_modules())
    linear = {name: module for name, module in modules.items() if isinstance(module, nn.Linear)}
    names = [name for name in modules if any(_matches(name, target) for target in targets)]
    for target in targets:
        if not any(_matches(name, target) for name in names):
            raise ValueError(f"targets: no layer is called {target!r}. Linear layers: {', '.join(linear) or 'none'}.")
    for name in names:
        if name not in linear:
            raise ValueError(f"targets must name nn.Linear layers, and {name!r} is {type(modules[name]).__name__}.")
    adapted = {name: LoRALinear(_base(linear[name], group), rank, alpha, dropout) for name in names}
    model.requires_grad_(False)
    for name, layer in adapted.items():
        model.set_submodule(name, layer.train(model.training))
    return names


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the adapters' weights and nothing of the base, by the names that `peft` saves them under.

    The weights of layer "blocks.0.query" are "base_model.model.blocks.0.query.lora_A.weight" and "…lora_B.weight". They
    are copies: training goes on without changing them.
    """
    return {
        f"{PREFIX}{name}.{part}.weight": getattr(layer, part).weight.detach().clone()
        for name, layer in _adapted(model).items()
        for part in ("lora_A", "lora_B")
    }


def load_adapter(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy weights, named as `adapter_state` names them, into the adapters of a model.

    Raises:
        ValueError: a weight is missing, too many, or of another shape. The adapters are then unchanged.
    """
    own = adapter_state(model)
    if missing := sorted(own.keys() ^ state.keys()):
        raise ValueError(
            f"state must hold the {len(own)} weights of the model's adapters, and {missing[0]!r} is on one side only: "
            "call add_lora with the targets that the adapter was trained with."
        )
    for name, weight in own.items():
        if weight.shape != state[name].shape:
            raise ValueError(
                f"state: {name!r} must be of shape {tuple(weight.shape)}, got {tuple(state[name].shape)}: "
                "call add_lora with the rank that the adapter was trained with."
            )
    with torch.no_grad():
        for name, weight in state.items():
            model.get_parameter(name.removeprefix(PREFIX)).copy_(weight)


def merge_lora(model: Model) -> Model:
    """Replace every adapted layer by its merged one, in place; return the model. Without adapters it stays as it is."""
    for name, layer in _adapted(model).items():
        model.set_submodule(name, layer.merged())
    return model


def _adapted(model: nn.Module) -> dict[str, LoRALinear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _base(linear: nn.Linear, group: int | None) -> nn.Linear | QuantizedLinear:
    return linear if group is None else QuantizedLinear(linear, group)
