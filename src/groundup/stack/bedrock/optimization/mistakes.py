# pyright: basic
"""Ways to get optimization wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.optimization.optimization import Trial, _between, _pair, _pairs, _slope_downhill, _symmetric


@mistake(
    "momentum_step", edit=("gradient + momentum * velocity if nesterov", "velocity + momentum * velocity if nesterov")
)
def adds_the_velocity_twice():
    """Your Nesterov step is velocity + momentum · velocity. The gradient comes once more, not the whole velocity."""


@mistake(
    "momentum_step", edit=("momentum * velocity + gradient\n", "momentum * velocity + (1 - momentum) * gradient\n")
)
def averages_the_gradients():
    """You take a running mean of gradients. Here the velocity is their weighted sum: the gradient comes in whole."""


@mistake("momentum_step", edit=("if nesterov else velocity", "if not nesterov else velocity"))
def swaps_the_two_kinds():
    """You look ahead without `nesterov`, and do not with it: the two steps are swapped."""


@mistake("momentum_step", edit=("gradient.copy() if velocity is None", "(1 - momentum) * gradient if velocity is None"))
def begins_too_slowly():
    """Your first velocity is a part of the gradient. Before the first step there is none, so it is the gradient."""


@mistake("adam_step", edit=("np.sqrt(square / (1 - beta2**count))", "np.sqrt(square)"))
def forgets_to_correct_the_square():
    """You left the mean square uncorrected. It begins at 0, so your first steps are far too long."""


@mistake("adam_step", edit=("mean / (1 - beta1**count)", "mean"))
def forgets_to_correct_the_mean():
    """You left the mean uncorrected. It begins at 0, so your first steps are a tenth of what they should be."""


@mistake(
    "adam_step",
    edit=("np.sqrt(square / (1 - beta2**count)) + epsilon", "np.sqrt(square / (1 - beta2**count) + epsilon)"),
)
def puts_epsilon_under_the_root():
    """You add epsilon under the root, where it counts as its root: 1e-8 becomes 1e-4. It stands beside the root."""


@mistake(
    "adam_step",
    edit=("    size =", "    mean, square = mean / (1 - beta1**count), square / (1 - beta2**count)\n    size ="),
)
def corrects_twice():
    """You hand the corrected means on, and correct them again. Correct for the step only; remember them as they are."""


@mistake("warmup_cosine", edit=("(t + 1) / max(warmup, 1)", "t / max(warmup, 1)"))
def begins_with_a_step_of_nothing():
    """Your first factor is 0, so the first step is lost. Step t, from 0, has the factor (t + 1) / warmup."""


@mistake("warmup_cosine", edit=("(t - warmup) / (steps - warmup)", "t / steps"))
def lets_the_wave_run_during_the_warmup():
    """Your wave begins at step 0, so that the rate jumps down after the warmup. It begins where the warmup ends."""


@mistake("warmup_cosine", edit=("floor + (1 - floor) *", "floor +"))
def adds_the_floor():
    """You add the floor to the whole wave, so the top is 1 + floor. The wave has the height 1 - floor."""


@mistake("wolfe_line_search", edit=("        elif abs(trial.slope) <= -curvature * slope:", "        elif True:"))
def stops_where_it_is_low_enough():
    """You take any step that is low enough. One that is too short is, too: the slope must have become flatter."""


@mistake("wolfe_line_search", edit=("abs(trial.slope) <= -curvature * slope", "trial.slope >= curvature * slope"))
def asks_for_the_weak_condition():
    """You let the loss rise as steeply as it likes: those are the weak conditions. Compare the slope's size."""


@mistake("wolfe_line_search", edit=(" or trial.value >= low.value", ""))
def forgets_the_lowest():
    """You accept as the new end what is higher than the last one. A trial no lower than `low` is a bound."""


@mistake("wolfe_line_search", edit=("trial.slope * (beyond.step - low.step) >= 0", "trial.slope >= 0"))
def forgets_on_which_side_the_bound_lies():
    """You look at the slope's sign alone. The bound may lie before `low`: rising towards it is what counts."""


@mistake("newton_direction", edit=("sizes = np.abs(eigenvalues)", "sizes = eigenvalues"))
def drops_what_bends_down():
    """You raise negative curvatures to a tiny positive one, and the step there is huge. Count them by their size."""


@mistake("newton_direction")
def solves_only(gradient, hessian, least=1e-8):
    """You solve H · step = -gradient. Where the surface bends down, that climbs to the saddle; and a flat one fails."""
    gradient, hessian = _symmetric(gradient, hessian)
    return -np.linalg.lstsq(hessian, gradient)[0]


@mistake("lbfgs_direction", edit=("(shares[i] - ", "(shares[-1 - i] - "))
def pairs_the_shares_the_wrong_way_round():
    """Your second loop gives the oldest pair the newest pair's share. Each pair gets its own back."""


@mistake("lbfgs_direction", edit=("    rest *= bends[-1] / (changes[-1] ** 2).sum()\n", ""))
def forgets_the_scale():
    """You begin with H = 1. Without the scale s·y / y·y of the newest pair, steps have the wrong length."""


@mistake("lbfgs_direction", edit=("range(len(steps))[::-1]", "range(len(steps))"))
def goes_in_oldest_first():
    """Your first loop runs oldest first. On the way in the newest pair comes first, on the way out the oldest."""


@variant("momentum_step")
def with_the_velocity_of_zeros(point, gradient, velocity, rate, momentum=0.9, nesterov=False):
    """Zeros before the first step."""
    point, gradient = _pair(point, gradient, rate, momentum=momentum)
    old = np.zeros(point.shape) if velocity is None else velocity
    new = old * momentum + gradient
    return point - (rate * gradient + rate * momentum * new if nesterov else rate * new), new


@variant("adam_step")
def by_lerp(point, gradient, moments, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """PyTorch's order: correct the rate and the root instead of the means."""
    point, gradient = _pair(point, gradient, rate, beta1=beta1, beta2=beta2)
    mean, square, count = (0.0, 0.0, 0) if moments is None else moments
    mean, square, count = mean + (1 - beta1) * (gradient - mean), square * beta2 + (1 - beta2) * gradient**2, count + 1
    divisor = np.sqrt(square) / np.sqrt(1 - beta2**count) + epsilon
    return point - rate / (1 - beta1**count) * (mean / divisor), (mean, square, count)


@variant("lbfgs_direction")
def by_a_dense_matrix(gradient, steps, changes):
    """H written down, pair by pair."""
    gradient, steps, changes = _pairs(gradient, steps, changes)
    n = gradient.size
    if not len(steps):
        return -1.0 * gradient
    H = np.eye(n) * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y in zip(steps, changes, strict=True):
        rho = 1 / (s @ y)
        V = np.eye(n) - rho * np.outer(y, s)
        H = V.T @ H @ V + rho * np.outer(s, s)
    return -(H @ gradient)


@variant("wolfe_line_search")
def in_two_phases(loss, point, direction, value, gradient, step=1.0, decrease=1e-4, curvature=0.9, most=25):
    """Algorithm 3.5 widens, algorithm 3.6 zooms in, as the book has them."""
    slope = _slope_downhill(gradient, direction, decrease, curvature)
    ends = [Trial(0.0, value, gradient, slope)]
    for _ in range(most):
        v, g = loss(point + step * direction)
        trial = Trial(step, v, g, float(np.dot(g, direction)))
        low = ends[0]
        high_enough = v > value + decrease * step * slope or v >= low.value or np.isnan(v)
        if not high_enough and abs(trial.slope) <= curvature * abs(slope):
            return trial
        if len(ends) == 1:
            if high_enough:
                ends = [low, trial]
            elif trial.slope >= 0:
                ends = [trial, low]
            else:
                ends, step = [trial], 2 * step
                continue
        elif high_enough:
            ends = [low, trial]
        else:
            ends = [trial, low if trial.slope * (ends[1].step - low.step) >= 0 else ends[1]]
        step = _between(*ends)
    return ends[0]


@variant("newton_direction")
def by_the_root_of_the_square(gradient, hessian, least=1e-8):
    """The size of a symmetric matrix is the root of its square: by singular values."""
    gradient, hessian = _symmetric(gradient, hessian)
    U, sizes, _ = np.linalg.svd(hessian)
    if not sizes.any():
        return -gradient
    return -U @ ((U.T @ gradient) / np.clip(sizes, least * sizes[0], None))
