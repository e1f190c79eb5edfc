# pyright: basic
"""Ways to get an A/B test wrong, and right ways that differ."""

import hashlib
import math

import numpy as np
from scipy import special

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.ab_testing.ab_testing import (
    Comparison,
    Decision,
    _alongside,
    _between,
    _looks,
    _name,
    _positive,
    _sample,
    _shares,
    _unequal,
)
from groundup.stack.bedrock.bayes import expected_loss, probability_above


@mistake("assign", edit=('f"{experiment}/{user}"', 'f"{user}"'))
def assigns_users_alike_everywhere():
    """You hash the user alone: who sees the new variant once sees it in every experiment. Hash the experiment, too."""


@mistake("assign")
def hashes_by_python(user, experiment, shares=(0.5, 0.5)):
    """You use Python's `hash`, which differs from process to process. Use SHA-256."""
    _name(experiment)
    u = hash((experiment, user)) % 2**32 / 2**32
    return int(np.searchsorted(np.cumsum(_shares(shares))[:-1], u, side="right"))


@mistake("assign", edit=("np.cumsum(_shares(shares))", "_shares(shares)"))
def forgets_to_add_shares():
    """You look among the shares themselves. The variant's part of [0, 1) ends at the *sum* of shares up to it."""


@mistake("visitors_needed", edit=("special.ndtri(1 - alpha / 2)", "special.ndtri(1 - alpha)"))
def plans_for_one_side():
    """You plan a one-sided test. Two sides share alpha: half of it lies beyond each critical value."""


@mistake("visitors_needed", edit=("((null + real) / (other - base)) ** 2", "(null / (other - base)) ** 2"))
def forgets_the_power():
    """Your size lets the true difference lie on the critical value: the power is one half. Add z of the power."""


@mistake("visitors_needed", edit=("math.sqrt(2 * middle * (1 - middle))", "math.sqrt(middle * (1 - middle))"))
def forgets_the_second_arm():
    """You count the noise of one arm. A difference has the noise of both: variances add up."""


@mistake("two_proportions", edit=("-abs(difference) / null)", "-abs(difference) / error)"))
def tests_without_pooling():
    """Your p-value has the error of two different rates. If nothing differs both have one: pool them for the test."""


@mistake(
    "two_proportions",
    edit=("math.sqrt(a.rate * (1 - a.rate) / a.visitors + b.rate * (1 - b.rate) / b.visitors)", "null"),
)
def pools_the_interval():
    """You pool the error of the difference as well. An interval does not suppose that nothing differs."""


@mistake(
    "two_proportions", edit=("(a.conversions + b.conversions) / (a.visitors + b.visitors)", "(a.rate + b.rate) / 2")
)
def averages_the_rates():
    """You take the mean of both rates. The larger arm knows more: divide all conversions by all visitors."""


@mistake(
    "cuped",
    edit=("dx = np.concatenate([x - x.mean() for x in xs])", "dx = np.concatenate(xs) - np.concatenate(xs).mean()"),
)
def mixes_the_arms():
    """You take distances of the past from the mean of all, so a difference between the arms leaks into the slope."""


@mistake("cuped")
def adjusts_each_arm_to_itself(a, b, before_a, before_b):
    """You subtract the mean past of each arm, so arms that began differently stay so. Use that of all."""
    ys = [_sample(a, "a"), _sample(b, "b")]
    xs = [_alongside(before_a, "before_a", ys[0]), _alongside(before_b, "before_b", ys[1])]
    dx = np.concatenate([x - x.mean() for x in xs])
    dy = np.concatenate([y - y.mean() for y in ys])
    slope = (dx * dy).sum() / (dx**2).sum() if (dx**2).sum() > 0 else 0.0
    return ys[0] - slope * (xs[0] - xs[0].mean()), ys[1] - slope * (xs[1] - xs[1].mean())


@mistake("cuped")
def subtracts_the_past(a, b, before_a, before_b):
    """You subtract the past itself. It foretells a part of the value, the slope: noise that is not there is added."""
    ys = [_sample(a, "a"), _sample(b, "b")]
    xs = [_alongside(before_a, "before_a", ys[0]), _alongside(before_b, "before_b", ys[1])]
    middle = np.concatenate(xs).mean()
    return ys[0] - (xs[0] - middle), ys[1] - (xs[1] - middle)


@mistake("always_valid", edit=("np.log(variance / (variance + typical)) / 2 + ", "0 * variance + "))
def forgets_the_price_of_looking():
    """You leave out √(V / (V + T)), the price of not knowing the difference. Without it chance soon reaches 1/alpha."""


@mistake("always_valid", edit=("np.maximum.accumulate(evidence, axis=-1)", "evidence"))
def forgets_old_evidence():
    """Your p-value rises again. The largest evidence so far counts: who stopped there was right to."""


@mistake("always_valid")
def is_the_fixed_test(estimates, errors, scale):
    """You return the p-value of a single look. Watched every day it finds something sooner or later."""
    _positive(scale=scale)
    d, e = _looks(estimates, errors)
    return np.minimum.accumulate(2 * special.ndtr(-np.abs(d) / e), axis=-1)


@mistake("decide", edit=('"b" if loss_b < loss_a else "a"', '"b" if loss_b > loss_a else "a"'))
def chooses_the_larger_loss():
    """You choose the variant with the larger loss. `loss_b` is what you lose by choosing b."""


@mistake(
    "decide",
    edit=(
        "min(loss_a, loss_b) <= accepted",
        "probability_above(new, old) > 1 - accepted or probability_above(new, old) < accepted",
    ),
)
def waits_to_be_sure():
    """You compare a probability with the accepted loss. Two variants that are nearly equal never let you stop."""


@mistake(
    "decide",
    edit=(
        "prior.update(arm.conversions, arm.visitors - arm.conversions)",
        "prior.update(arm.conversions, arm.visitors)",
    ),
)
def counts_everybody_as_a_failure():
    """You count all visitors as failures. Failures are the visitors who did not convert."""


@variant("assign")
def by_a_loop(user, experiment, shares=(0.5, 0.5)):
    """Shares are taken off one after the other, in whole numbers of 64 bits."""
    _name(experiment)
    left = int(hashlib.sha256((experiment + "/" + user).encode("utf-8")).hexdigest()[:16], 16) / 16**16
    parts = _shares(shares)
    for k, end in enumerate(np.cumsum(parts)):
        if left < end:
            return k
    return len(parts) - 1


@variant("visitors_needed")
def by_the_error_that_is_needed(base, other, power=0.8, alpha=0.05):
    """Variances, and a quotient that is squared last."""
    _between(base=base, other=other, power=power, alpha=alpha)
    _unequal(base, other)
    both = base + other
    null = -special.ndtri(alpha / 2) * (both * (1 - both / 2)) ** 0.5
    real = -special.ndtri(1 - power) * (both - base**2 - other**2) ** 0.5
    return math.ceil((null + real) ** 2 / (base - other) ** 2)


@variant("two_proportions")
def by_the_table(a, b):
    """The p-value by the chi-square distribution with one degree of freedom."""
    difference = b.conversions / b.visitors - a.conversions / a.visitors
    n, k = a.visitors + b.visitors, a.conversions + b.conversions
    variance = k * (n - k) / n / a.visitors / b.visitors
    p = special.chdtrc(1, difference**2 / variance) if 0 < k < n else 1.0
    error = sum(arm.conversions * (arm.visitors - arm.conversions) / arm.visitors**3 for arm in (a, b)) ** 0.5
    return Comparison(difference, error, float(p))


@variant("decide")
def by_names(a, b, prior, accepted):
    """The smallest of named losses; the old variant is first."""
    _positive(accepted=accepted)
    x, y = (prior.update(arm.conversions, arm.visitors - arm.conversions) for arm in (a, b))
    losses = {"a": expected_loss(x, y), "b": expected_loss(y, x)}
    best = min(losses, key=lambda name: losses[name])
    choice = "continue" if losses[best] > accepted else best
    return Decision(choice, probability_above(y, x), losses["a"], losses["b"])
