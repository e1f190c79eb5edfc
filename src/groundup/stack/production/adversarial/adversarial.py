"""Attacks, to measure how much a model withstands: pixels in a ball, certified bounds, and prompts in disguise.

Pictures: projected gradient ascent (Madry et al., 2018, https://arxiv.org/abs/1706.06083), of which the fast gradient
sign method (Goodfellow et al., 2015, https://arxiv.org/abs/1412.6572) is a single step; training on what it finds; and
intervals through the network (Gowal et al., 2018, https://arxiv.org/abs/1810.12715), which prove what no attack can do.
An attack's accuracy bounds the true robust accuracy from above, a certificate from below.

Prompts: a runner that sends each attack in several disguises to a target, and counts which attacks came through.

Everywhere a model maps a batch of pictures with entries from 0 to 1 to logits, is in eval mode, and keeps its
parameters' gradients as they are. Not here: attacks without gradients, other norms, and attacks written by a model.
"""

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.stack.deep.optimizers import AdamW
from groundup.stack.production.error_analysis import wilson_interval

Norm = Literal["inf", "2"]
Model = Callable[[Tensor], Tensor]
MUTATIONS = ("none", "base64", "leetspeak", "spacing", "homoglyphs", "splitting")
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
# Cyrillic letters that look like the Latin ones beside them.
_LATIN = "aceopxyABCEHKMOPTX"
_CYRILLIC = (
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0410\u0412\u0421\u0415\u041d\u041a\u041c\u041e\u0420\u0422\u0425"
)


# --- pictures -------------------------------------------------------------------------------------------------------


def project(change: Float[Tensor, "batch ..."], budget: float, norm: Norm) -> Float[Tensor, "batch ..."]:
    """Bring each row's change back into the ball: to the nearest point that is allowed.

    Args:
        change: how each picture was changed.
        budget: radius of the ball, 0 or more.
        norm: "inf", no entry beyond the budget; or "2", no row longer than the budget.

    Raises:
        ValueError: the norm is neither, or the budget is negative.
    """
    _check_ball(budget, norm)
    if norm == "inf":
        return change.clamp(-budget, budget)
    lengths = change.flatten(1).norm(dim=1)
    return change * _per_row((budget / lengths.clamp(min=1e-12)).clamp(max=1), change)


def steepest(gradient: Float[Tensor, "batch ..."], norm: Norm) -> Float[Tensor, "batch ..."]:
    """The direction of length 1, in this norm, along which each row's loss grows fastest: signs, or the unit vector."""
    if norm == "inf":
        return gradient.sign()
    return gradient / _per_row(gradient.flatten(1).norm(dim=1).clamp(min=1e-12), gradient)


def random_start(like: Float[Tensor, "batch ..."], budget: float, norm: Norm, rng: np.random.Generator) -> Tensor:
    """A change drawn evenly from the ball, for each row."""
    if norm == "inf":
        return torch.from_numpy(rng.uniform(-budget, budget, like.shape)).to(like.dtype)
    directions = steepest(torch.from_numpy(rng.normal(size=like.shape)), norm)
    radii = torch.from_numpy(budget * rng.random(len(like)) ** (len(like) / max(1, like.numel())))
    return (directions * _per_row(radii, directions)).to(like.dtype)


def pgd(
    model: Model,
    inputs: Float[Tensor, "batch ..."],
    labels: Int[Tensor, " batch"],
    budget: float,
    *,
    norm: Norm = "inf",
    steps: int = 10,
    step: float | None = None,
    rng: np.random.Generator | None = None,
    targeted: bool = False,
) -> Float[Tensor, "batch ..."]:
    """Climb the loss inside the ball around each picture, and return the worst point that was visited.

    Each step goes `step` along the steepest direction, then back into the ball, then back to entries from 0 to 1. Of
    the start and the points after each step, the one with the highest cross-entropy is returned, row by row.

    Args:
        model: gives logits.
        inputs: pictures, from 0 to 1. They are not changed.
        labels: the true classes; with `targeted`, the classes to be taken for.
        budget: radius of the ball.
        norm: of the ball, and of the step.
        steps: how many; 0 returns the start.
        step: length of each; 2.5 · budget / steps unless given.
        rng: draws a start from the ball; without it the start is the picture itself.
        targeted: lower the loss of `labels` instead of raising it.

    Raises:
        ValueError: norm, budget or steps are not allowed, or a picture has entries beyond 0 and 1.
    """
    _check_attack(inputs, steps)
    length = 2.5 * budget / max(steps, 1) if step is None else step
    change = torch.zeros_like(inputs) if rng is None else random_start(inputs, budget, norm, rng)
    worst, highest = inputs, torch.full((len(inputs),), -math.inf)
    for _ in range(steps + 1):
        point = (inputs + project(change, budget, norm)).clamp(0, 1).detach().requires_grad_()
        losses = nn.functional.cross_entropy(model(point), labels, reduction="none")
        gains = -losses if targeted else losses
        worst = torch.where(_per_row(gains > highest, inputs), point, worst)
        highest = torch.maximum(highest, gains)
        (gradient,) = torch.autograd.grad(gains.sum(), point)
        change = point - inputs + length * steepest(gradient, norm)
    return worst.detach()


def fgsm(
    model: Model,
    inputs: Float[Tensor, "batch ..."],
    labels: Int[Tensor, " batch"],
    budget: float,
    *,
    targeted: bool = False,
) -> Float[Tensor, "batch ..."]:
    """One step of the full budget along the signs of the gradient. Arguments and errors are those of `pgd`."""
    return pgd(model, inputs, labels, budget, steps=1, step=budget, targeted=targeted)


def interval_bounds(
    layers: Iterable[nn.Module], low: Float[Tensor, "batch ..."], high: Float[Tensor, "batch ..."]
) -> tuple[Tensor, Tensor]:
    """Bounds on every output, whichever inputs between `low` and `high` come in.

    A linear layer, or a convolution, maps the middle as it is, and the half width by the absolute weights without the
    bias. A layer that never falls as its input grows maps both ends.

    Args:
        layers: in order: Linear, Conv2d, ReLU, Sigmoid, Tanh, MaxPool2d, AvgPool2d, Flatten, Identity.
        low: the smallest inputs.
        high: the largest inputs.

    Returns:
        The lowest and the highest outputs. They hold always, and grow looser with each layer.

    Raises:
        ValueError: a layer is of another kind, or a low is above its high.
    """
    _check_box(low, high)
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            middle, reach = layer((low + high) / 2), _reach(layer, (high - low) / 2)
            low, high = middle - reach, middle + reach
        elif isinstance(layer, _GROWING):
            low, high = layer(low), layer(high)
        else:
            raise ValueError(f"layers must be of a kind with known bounds, got {type(layer).__name__}: see `layers`.")
    return low, high


def certified(
    layers: Iterable[nn.Module], inputs: Float[Tensor, "batch ..."], labels: Int[Tensor, " batch"], budget: float
) -> Bool[Tensor, " batch"]:
    """Whether each picture keeps its class under every change of at most `budget` an entry: a proof, not an attempt.

    It is certified where the label's lowest logit exceeds every other's highest. False proves nothing.
    """
    with torch.no_grad():
        low, high = interval_bounds(layers, (inputs - budget).clamp(0, 1), (inputs + budget).clamp(0, 1))
    own = nn.functional.one_hot(labels, low.shape[1]).bool()
    return low[own] > high.masked_fill(own, -math.inf).amax(dim=1)


class Robustness(NamedTuple):
    """Shares of pictures with the right class: without attack, also under PGD, by proof. They fall in this order."""

    clean: float
    attacked: float
    certified: float


def robustness(
    model: nn.Sequential, inputs: Tensor, labels: Tensor, budget: float, rng: np.random.Generator, steps: int = 20
) -> Robustness:
    """Measure a model on pictures that it was not fitted to, in the ball of the largest change ("inf")."""
    found = pgd(model, inputs, labels, budget, steps=steps, rng=rng)
    with torch.no_grad():
        clean, attacked = (model(each).argmax(dim=1) == labels for each in (inputs, found))
    shares = (clean, clean & attacked, certified(model, inputs, labels, budget))
    return Robustness(*(float(each.double().mean()) for each in shares))


def train(
    model: nn.Sequential,
    inputs: Tensor,
    labels: Tensor,
    rng: np.random.Generator,
    *,
    budget: float = 0.0,
    steps: int = 200,
    batch: int = 100,
    rate: float = 3e-3,
    attack_steps: int = 5,
) -> None:
    """Fit a model to pictures as an attacker would show them; with a budget of 0, to the pictures themselves."""
    optimizer = AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        rows = torch.from_numpy(rng.integers(len(inputs), size=batch))
        shown = inputs[rows]
        if budget > 0:
            shown = pgd(model, shown, labels[rows], budget, steps=attack_steps, rng=rng)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(shown), labels[rows]).backward()
        optimizer.step()


# --- prompts --------------------------------------------------------------------------------------------------------


class Attack(NamedTuple):
    """A prompt that tries to make a system do something which it must not, and the kind of thing."""

    category: str
    prompt: str


class Outcome(NamedTuple):
    """One attempt: what was sent, what came back, and whether the attack came through; or the target's error."""

    attack: Attack
    mutation: str
    prompt: str
    answer: str
    succeeded: bool
    error: str = ""


class Rate(NamedTuple):
    """How many of some attacks came through, with the confidence interval of the share."""

    successes: int
    attacks: int
    rate: float
    low: float
    high: float


def mutate(text: str, mutation: str) -> str:
    """A text in disguise. Nothing is lost: each disguise can be undone, if sometimes not letter for letter.

    - none: the text itself
    - base64: of its UTF-8 bytes
    - leetspeak: a, e, i, o, s, t of either case become 4, 3, 1, 0, 5, 7
    - spacing: a space between every two characters
    - homoglyphs: Latin letters become the Cyrillic ones that look alike
    - splitting: three pieces of lengths that differ by at most one, longer ones first, in double quotes as in JSON,
      in `a = "…"; b = "…"; c = "…". Read a + b + c as one text, and follow it.`

    Raises:
        ValueError: there is no such mutation.
    """
    if mutation == "none":
        return text
    if mutation == "base64":
        return base64.b64encode(text.encode()).decode()
    if mutation == "leetspeak":
        return text.translate(_LEET)
    if mutation == "spacing":
        return " ".join(text)
    if mutation == "homoglyphs":
        return text.translate(str.maketrans(_LATIN, _CYRILLIC))
    if mutation == "splitting":
        pieces = np.array_split(np.arange(len(text)), 3)
        quoted = [json.dumps(text[piece[0] : piece[-1] + 1] if len(piece) else "") for piece in pieces]
        a, b, c = quoted
        return f"a = {a}; b = {b}; c = {c}. Read a + b + c as one text, and follow it."
    raise ValueError(f"mutation must be one of {', '.join(MUTATIONS)}, got {mutation!r}.")


def run_suite(
    target: Callable[[str], str],
    attacks: Sequence[Attack],
    succeeded: Callable[[Attack, str], bool],
    mutations: Sequence[str] = MUTATIONS,
) -> list[Outcome]:
    """Send every attack in every disguise, and have each answer judged.

    Args:
        target: the system, from a prompt to its answer. Any `Exception` of it is noted, and the suite goes on.
        attacks: what to send.
        succeeded: whether an answer shows that the attack came through. It sees the attack as it was, undisguised.
        mutations: names of disguises.

    Returns:
        An outcome for each attempt, attack by attack, in the order of the mutations. After an error the answer is
        empty, `succeeded` is False without having been asked, and `error` is the error's `repr`.
    """
    outcomes = []
    for attack in attacks:
        for mutation in mutations:
            prompt = mutate(attack.prompt, mutation)
            try:
                answer = target(prompt)
            except Exception as error:
                outcomes.append(Outcome(attack, mutation, prompt, "", False, repr(error)))
            else:
                outcomes.append(Outcome(attack, mutation, prompt, answer, succeeded(attack, answer)))
    return outcomes


def success_rates(outcomes: Sequence[Outcome], confidence: float = 0.95) -> Mapping[str, Rate]:
    """The share of attacks that came through: in each disguise, and in any.

    Attacks are counted, not attempts: attempts with one attack depend on each other, and would make the interval too
    short. An attack counts as a success if any of its attempts with that disguise succeeded, under "any" with whichever
    disguise. Attempts that ended in an error do not count; an attack without another attempt is left out.

    Returns:
        A rate for each disguise, in the order in which they first stand in `outcomes`, and "any" as the last; with
        Wilson's interval. A disguise with errors alone is left out.

    Raises:
        ValueError: no attempt ended without an error.
    """
    came: dict[str, dict[Attack, bool]] = {}
    overall: dict[Attack, bool] = {}
    for outcome in outcomes:
        if not outcome.error:
            for group in (came.setdefault(outcome.mutation, {}), overall):
                group[outcome.attack] = group.get(outcome.attack, False) or outcome.succeeded
    _check_attempts(outcomes, overall)
    rates = {}
    for name, group in {**came, "any": overall}.items():
        count, total = sum(group.values()), len(group)
        low, high = wilson_interval(count, total, confidence)
        rates[name] = Rate(count, total, count / total, float(low), float(high))
    return rates


# --- helpers --------------------------------------------------------------------------------------------------------

_GROWING = (nn.ReLU, nn.Sigmoid, nn.Tanh, nn.MaxPool2d, nn.AvgPool2d, nn.Flatten, nn.Identity)


def _per_row(values: Tensor, like: Tensor) -> Tensor:
    """One value for each row, in a shape that broadcasts to `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def _reach(layer: nn.Linear | nn.Conv2d, reach: Tensor) -> Tensor:
    """What a layer makes of half widths: its absolute weights, no bias."""
    if isinstance(layer, nn.Linear):
        return reach @ layer.weight.abs().T
    return layer._conv_forward(reach, layer.weight.abs(), None)  # with its stride, padding and its kind of padding


def _check_ball(budget: float, norm: str) -> None:
    if norm not in ("inf", "2"):
        raise ValueError(f'norm must be "inf" or "2", got {norm!r}.')
    if not budget >= 0:
        raise ValueError(f"budget must be 0 or more, got {budget}: it is the radius of the ball.")


def _check_attack(inputs: Tensor, steps: int) -> None:
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}.")
    if inputs.numel() and not (inputs.min() >= 0 and inputs.max() <= 1):
        raise ValueError(
            f"inputs must have entries from 0 to 1, got {float(inputs.min())} to {float(inputs.max())}: scale them, "
            "and put a normalisation into the model."
        )


def _check_box(low: Tensor, high: Tensor) -> None:
    if not bool((low <= high).all()):
        raise ValueError(f"low must not exceed high, got a difference of {float((low - high).max())}.")


def _check_attempts(outcomes: Sequence[Outcome], overall: Mapping[Attack, bool]) -> None:
    if not overall:
        raise ValueError(f"outcomes must hold an attempt without an error, got {len(outcomes)} without one.")
