# pyright: basic
"""Ways to count a model wrong, to lose gradients, and right ways that differ."""

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.generative.gpt import Config
from groundup.stack.generative.scaling.scaling import count_parameters


@mistake("count_parameters", edit=("0 if config.tied else config.vocabulary * width", "config.vocabulary * width"))
def counts_the_embedding_twice():
    """You count a tied last layer. It is the embedding, turned over: with 128,000 tokens that is much."""


@mistake("count_parameters", edit=("2 * width * (width + shared)", "4 * width * width"))
def gives_every_head_its_keys():
    """You count keys and values for all heads. With grouped queries only kv_heads of them have some."""


@mistake("count_parameters", edit=('2 if config.feed_forward == "swiglu" else 1', "1"))
def forgets_the_gate():
    """You count two matrices in each feed-forward layer. SwiGLU has a third, the gate."""


@mistake("count_parameters", edit=("(2 * config.layers + 1) * norm", "2 * config.layers * norm"))
def forgets_the_last_norm():
    """You count two norms a block. One more stands before the last layer."""


@mistake("count_flops", edit=("* 2 * batch * tokens", "* batch * tokens"))
def counts_a_multiplication_once():
    """You count one operation for each weight and token. A multiplication and its addition are two."""


@mistake("count_flops", edit=(" + config.vocabulary * width", ""))
def forgets_the_last_layer():
    """You leave the logits out. A tied last layer has no weights of its own, and is multiplied all the same."""


@mistake("count_flops", edit=("(matrices + pairs)", "matrices"))
def forgets_the_pairs():
    """You count 2 for each weight and stop. Products of queries with keys have no weights, and grow with the square."""


@mistake("count_flops", edit=("(3 if backward else 1)", "(2 if backward else 1)"))
def takes_the_way_back_for_one_product():
    """You count a backward pass as one forward pass. Each product has two gradients: of its inputs, of its weights."""


@mistake("saved_activations", edit=(" + 4 * config.heads", " + 4 * config.heads * tokens"))
def keeps_the_scores():
    """You count a matrix of scores for each head. Fused attention keeps one number a query and computes them anew."""


@mistake("saved_activations", edit=("norm + each * width + 4 * config.vocabulary", "norm + each * width + each"))
def forgets_the_logits():
    """You leave the logits out. With 128,000 tokens and 4 bytes they are half a megabyte for every token."""


@mistake("saved_activations", edit=('"rms" else 4 * width + 8', '"rms" else 8 * width + 8'))
def keeps_the_normed_twice():
    """You count LayerNorm as RMSNorm. PyTorch's LayerNorm is fused: it keeps its input and two numbers, no more."""


@mistake("longest_context", edit=("config.groups * config.head_dim", "config.width"))
def caches_every_head():
    """You cache keys and values for every head. Grouped queries keep kv_heads of them: that is what they are for."""


@mistake("longest_context", edit=("2 * config.layers", "config.layers"))
def caches_keys_alone():
    """You count keys. Values are cached as well: twice as much."""


@mistake("longest_context", edit=("weight_bits / 8", "weight_bits"))
def takes_bits_for_bytes():
    """You count a byte for each bit. Divide by 8."""


@mistake("LossScaler.step", edit=("gradient.div_(self.scale)", "pass"))
def never_scales_back():
    """You leave gradients scaled. AdamW hides it, as it divides by their size; clipping, eps and every log suffer."""


@mistake(
    "LossScaler.step",
    edit=("self.scale, self.good_steps = self.scale / self.factor, 0", "self.scale /= self.factor"),
)
def keeps_counting():
    """You do not begin to count anew after an overflow. The scale then grows back at once, and overflows again."""


@mistake("LossScaler.step", edit=("if not all(bool(", "if not any(bool("))
def wants_all_to_be_broken():
    """You skip only if every gradient has overflowed. One infinite number suffices to spoil the model."""


@mistake("average_gradients", edit=("    message /= workers\n", ""))
def adds_up():
    """You leave the sum. The step then grows with the number of workers: divide by it."""


@mistake("average_gradients")
@torch.no_grad()
def skips_the_missing(parameters, workers, all_reduce=None):
    """You leave out parameters without a gradient. Workers then send messages of different lengths: count zeros."""
    reached = [each for each in parameters if each.grad is not None]
    message = torch.cat([each.grad.flatten() for each in reached])
    (all_reduce or torch.distributed.all_reduce)(message)
    message /= workers
    for parameter, mean in zip(reached, message.split([each.numel() for each in reached]), strict=True):
        parameter.grad = mean.view_as(parameter)


@variant("count_parameters")
def by_building(config: Config):
    """Build it on the device that has shapes and no numbers, and look."""
    from groundup.stack.generative.gpt import GPT

    with torch.device("meta"):
        model = GPT(config)
    counts = {"embedding": 0, "attention": 0, "feed_forward": 0, "norms": 0, "head": 0}
    for name, weight in model.named_parameters():
        first = name.split(".")
        part = first[2] if first[0] == "blocks" else first[0]
        part = {"places": "embedding", "norm": "norms", "attention_norm": "norms", "feed_forward_norm": "norms"}.get(
            part, part
        )
        counts[part] += weight.numel()
    return counts


@variant("longest_context")
def by_halving(config, memory, weight_bits=16, cache_bits=16, batch=1, reserve=0):
    """Search: the longest that still fits."""
    for name, value in (("weight_bits", weight_bits), ("cache_bits", cache_bits), ("batch", batch)):
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")
    free = memory - reserve - sum(count_parameters(config).values()) * weight_bits / 8
    low, high = 0, config.context
    while low < high:
        middle = (low + high + 1) // 2
        cache = batch * middle * 2 * config.layers * config.groups * config.head_dim * cache_bits / 8
        low, high = (middle, high) if cache <= free else (low, middle - 1)
    return low


@variant("LossScaler.step")
@torch.no_grad()
def by_a_sum(self, optimizer, parameters):
    """Multiply by the inverse; a sum of gradients that is not finite tells of one that is not."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = sum((gradient * 0).sum() for gradient in gradients)
    if bool(torch.as_tensor(total) != 0) or bool(torch.as_tensor(total).isnan()):
        self.scale, self.good_steps = self.scale / self.factor, 0
        return False
    for gradient in gradients:
        gradient *= 1 / self.scale
    optimizer.step()
    self.good_steps = (self.good_steps + 1) % self.interval
    if not self.good_steps:
        self.scale *= self.factor
    return True


@variant("average_gradients")
@torch.no_grad()
def divides_first(parameters, workers, all_reduce=None):
    """Divide before the sum, which overflows later in half precision; write into the gradients that there are."""
    parameters = list(parameters)
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    message = torch.nn.utils.parameters_to_vector([parameter.grad for parameter in parameters]) / workers
    (all_reduce or torch.distributed.all_reduce)(message)
    start = 0
    for parameter in parameters:
        parameter.grad.copy_(message[start : start + parameter.numel()].view(parameter.shape))
        start += parameter.numel()
