# pyright: basic
"""Ways to get LoRA wrong, and right ways that differ."""

import math

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.generative.lora.lora import LoRALinear, QuantizedLinear, _adapted, _matches


@mistake("quantize", edit=("groups.abs().amax(dim=2)", "groups.amax(dim=2)"))
def looks_at_positive_weights_only():
    """You scale by the largest weight. A large negative one then leaves the range of the codes: take magnitudes."""


@mistake("quantize", edit=("groups.abs().amax(dim=2)", "groups.abs().amax().expand(groups.shape[:2])"))
def shares_one_scale():
    """You use one scale for the whole layer. One outlier then leaves few levels to all other weights."""


@mistake("quantize", edit=(".round()", ".trunc()"))
def cuts_off():
    """You cut decimals off: every weight moves towards 0, by up to a whole step. Round to the nearest code."""


@mistake("LoRALinear.reset_adapter", edit=("nn.init.zeros_(self.lora_B.weight)", "nn.init.normal_(self.lora_B.weight)"))
def begins_with_noise():
    """You draw B as well: before its first step the model is no longer the base. Set B to 0."""


@mistake(
    "LoRALinear.reset_adapter",
    edit=("nn.init.uniform_(self.lora_A.weight, -bound, bound)", "nn.init.zeros_(self.lora_A.weight)"),
)
def begins_at_a_dead_point():
    """You set A and B to 0. The gradient of each is a product with the other: neither will ever move."""


@mistake("LoRALinear.forward", edit=("self.alpha / self.rank * update", "update"))
def forgets_the_scale():
    """You leave alpha / rank out: what you evaluate is then not what peft loads, nor what a merge gives."""


@mistake("LoRALinear.forward", edit=("self.alpha / self.rank", "self.alpha"))
def scales_by_alpha_alone():
    """You multiply by alpha and do not divide by the rank: a larger rank adds more from the start."""


@mistake("LoRALinear.forward", edit=("self.base_layer(inputs)", "self.base_layer(self.dropout(inputs))"))
def drops_inputs_of_the_base():
    """You drop inputs of the frozen base, too. Dropout is for the adapter: the base must give what it always gave."""


@mistake("LoRALinear.forward", edit=("self.dropout(inputs)", "inputs"))
def forgets_the_dropout():
    """You never use `self.dropout`: in training nothing is dropped."""


@mistake("LoRALinear.merged", edit=("self.alpha / self.rank * ", ""))
def merges_without_the_scale():
    """You merge B A without alpha / rank: the merged model is another one than the one that you evaluated."""


@mistake("LoRALinear.merged", edit=("layer.weight.copy_(weight + self", "layer.weight.copy_(self"))
def forgets_the_base():
    """You return the update alone. The merged weight is the base's and the update together."""


@mistake("LoRALinear.merged", edit=("layer.bias.copy_(bias)", "pass"))
def loses_the_bias():
    """Your merged layer has a random bias. The adapter changes no bias: copy that of the base."""


@mistake("LoRALinear.merged")
@torch.no_grad()
def merges_into_the_base(self):
    """You add the update to the base's own weight: a second merge adds it again, and the adapter now stands on it."""
    weight, bias = self.base_layer.weight, self.base_layer.bias
    weight += self.alpha / self.rank * self.lora_B.weight @ self.lora_A.weight
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer


@mistake("add_lora", edit=("    model.requires_grad_(False)\n", ""))
def leaves_the_rest_training():
    """You freeze the adapted layers only. Embeddings and all other layers go on training. Freeze the whole model."""


@mistake("add_lora", edit=("_matches(name, target) for target in targets)]", "target in name for target in targets)]"))
def matches_parts_of_words():
    """You adapt every layer whose name contains the target: `big_query` is not `query`. Compare whole words."""


@mistake("add_lora", edit=("layer.train(model.training)", "layer"))
def wakes_the_dropout():
    """Your new layers are in training mode in a model that evaluates: dropout is on. Give them the model's mode."""


@mistake("adapter_state", edit=('f"{PREFIX}{name}', 'f"{name}'))
def forgets_the_prefix():
    """Your names lack `base_model.model.`, with which peft begins every name: it would load nothing."""


@mistake("adapter_state", edit=(".detach().clone()", ".detach()"))
def saves_a_view():
    """You save the tensors that training goes on changing. Clone them."""


@mistake("adapter_state")
def saves_the_base_too(model):
    """You save the whole model. An adapter is small because the base is not in it."""
    return {f"base_model.model.{name}": value.detach().clone() for name, value in model.state_dict().items()}


@variant("quantize")
def group_by_group(weight, group=32):
    """A loop over the groups."""
    if group < 1 or weight.shape[1] % group:
        raise ValueError(f"group must divide {weight.shape[1]}, got {group}")
    if not torch.isfinite(weight).all():
        raise ValueError(f"weight must be finite, got {weight[~torch.isfinite(weight)]}")
    codes, scales = [], []
    for part in weight.detach().split(group, dim=1):
        scale = part.abs().max(dim=1, keepdim=True).values / 7
        codes.append(torch.where(scale > 0, part / scale, 0.0).round())
        scales.append(scale)
    return torch.cat(codes, 1).to(torch.int8), torch.cat(scales, 1)


@variant("LoRALinear.reset_adapter")
def as_peft_does(self):
    """Kaiming's rule with a = √5, which is the same range."""
    nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
    nn.init.zeros_(self.lora_B.weight)


@variant("LoRALinear.forward")
def scales_the_thin_product(self, inputs):
    """The scale is applied between A and B, where the numbers are few."""
    thin = self.lora_A(self.dropout(inputs)) * (self.alpha / self.rank)
    return self.base_layer(inputs) + self.lora_B(thin)


@variant("add_lora")
def layer_by_layer(model, targets, rank, alpha, dropout=0.0, group=None):
    """Everything is looked at first; then each layer is set on its parent."""
    names = []
    for target in targets:
        matching = [name for name, _ in model.named_modules() if _matches(name, target)]
        if not matching:
            linear = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
            raise ValueError(f"no layer is called {target!r}; there are {linear or 'none'}")
        names += matching
    for name in names:
        layer = model.get_submodule(name)
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"targets: {name} is a {type(layer).__name__}, not a linear layer")
    for parameter in model.parameters():
        parameter.requires_grad = False
    for name in dict.fromkeys(names):
        parent, _, last = name.rpartition(".")
        base = model.get_submodule(name)
        base = base if group is None else QuantizedLinear(base, group)
        holder = model.get_submodule(parent)
        adapter = LoRALinear(base, rank, alpha, dropout).train(model.training)
        if isinstance(holder, nn.ModuleDict):
            holder[last] = adapter
        else:
            setattr(holder, last, adapter)
    return list(_adapted(model))
