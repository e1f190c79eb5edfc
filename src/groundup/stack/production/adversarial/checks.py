"""Checks of adversarial."""

import base64
import json
import math
import re
import unicodedata
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_unchanged,
)
from groundup.stack.production.adversarial import (
    MUTATIONS,
    Attack,
    Outcome,
    certified,
    fgsm,
    interval_bounds,
    mutate,
    pgd,
    project,
    robustness,
    run_suite,
    success_rates,
)
from groundup.stack.production.error_analysis import wilson_interval

FIRST, SECOND, THIRD = Attack("leak", "Say the word."), Attack("leak", "Tell it."), Attack("hijack", "Sing a song.")


def numbers(*values):
    """A float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


def linear(*weights):
    """Two classes of flat pictures; the logit of class 0 is weights · x, that of class 1 is 0."""
    return lambda x: torch.stack((x @ numbers(*weights), torch.zeros(len(x), dtype=x.dtype)), dim=1)


def valley(x):
    """The loss of class 0 is highest at 0.55, and falls to both sides."""
    return torch.cat((100 * (x - 0.55) ** 2, torch.zeros_like(x)), dim=1)


def network(rng):
    """A small network on pictures of 1 × 4 × 4, in float64, with every weight drawn."""
    layers = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)).double()
    state = {name: torch.from_numpy(rng.normal(size=v.shape)) for name, v in layers.state_dict().items()}
    layers.load_state_dict(state)
    return layers.eval()


# --- project --------------------------------------------------------------------------------------------------------


def test_project_onto_the_cube_by_hand():
    """Entries beyond the budget are cut, each by itself; the others stay."""
    assert_close(project(numbers([0.3, -0.05], [-2.0, 0.1]), 0.1, "inf"), [[0.1, -0.05], [-0.1, 0.1]])


def test_project_onto_the_ball_by_hand():
    """(3, 4) is five long and shortened to (0.6, 0.8); what is inside, or 0, stays."""
    change = numbers([3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [-6.0, -8.0])
    assert_close(project(change, 1.0, "2"), [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0], [-0.6, -0.8]])
    assert_close(project(change, 0.0, "2"), np.zeros((4, 2)), "with a budget of 0 nothing may change")
    small = 1e-4 * project(change, 1.0, "2")
    assert_close(project(1e-4 * change, 1e-4, "2"), small, "and so in a ten thousandth of that size", atol=1e-9)


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_project_gives_the_nearest_point(norm, rng):
    """From the projection, the way to the change and the way to any allowed point never go the same way."""
    change = torch.from_numpy(rng.normal(size=(5, 2, 3)))
    nearest = project(change, 0.7, norm)
    order = math.inf if norm == "inf" else 2
    assert bool((torch.linalg.vector_norm(nearest.flatten(1), order, dim=1) <= 0.7 + 1e-12).all()), "inside the ball"
    for _ in range(50):
        other = torch.from_numpy(rng.normal(size=(5, 6)))
        other *= 0.7 * rng.random() / torch.linalg.vector_norm(other, order, dim=1, keepdim=True)
        ways = ((change - nearest).flatten(1) * (other - nearest.flatten(1))).sum(dim=1)
        assert float(ways.max()) < 1e-9, "an allowed point lies nearer"


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_project_takes_rows_by_themselves(norm, rng):
    """Each picture has its own ball, and what is given stays as it is."""
    change = torch.from_numpy(rng.normal(size=(4, 3)))
    assert_rows_alone(lambda x: project(torch.as_tensor(x), 0.5, norm).numpy(), change.numpy())
    assert_unchanged(lambda x: project(x, 0.5, norm), change)


def test_project_refuses():
    """Only two norms and no negative budget."""
    assert_refuses(lambda: project(numbers([1.0]), 0.1, "1"), "norm", "1")  # type: ignore[arg-type]
    assert_refuses_values(lambda value: project(numbers([1.0]), value, "inf"), "budget", -0.1, math.nan)


# --- pgd ------------------------------------------------------------------------------------------------------------


def test_pgd_by_hand():
    """Class 0 loses fastest against the signs of its weights (2, -1): by 0.1 to (0.4, 0.6)."""
    x, label = numbers([0.5, 0.5]), torch.tensor([0])
    assert_close(pgd(linear(2.0, -1.0), x, label, 0.1), [[0.4, 0.6]], "away from class 0")
    assert_close(pgd(linear(2.0, -1.0), x, torch.tensor([1]), 0.1), [[0.6, 0.4]], "away from class 1")


def test_pgd_in_the_ball_by_hand():
    """Against weights (3, 4), 0.1 far: (0.5 - 0.06, 0.5 - 0.08)."""
    assert_close(pgd(linear(3.0, 4.0), numbers([0.5, 0.5]), torch.tensor([0]), 0.1, norm="2"), [[0.44, 0.42]])


def test_pgd_with_a_target_goes_the_other_way():
    """To be taken for class 0 the picture moves along the signs of its weights."""
    x = numbers([0.5, 0.5])
    assert_close(pgd(linear(2.0, -1.0), x, torch.tensor([0]), 0.1, targeted=True), [[0.6, 0.4]])


def test_pgd_keeps_to_the_picture():
    """Entries stay from 0 to 1, whatever the budget."""
    x = numbers([0.05, 0.95, 0.5])
    assert_close(pgd(linear(1.0, -1.0, 1.0), x[None, 0], torch.tensor([0]), 0.2), [[0.0, 1.0, 0.3]])


def test_pgd_steps_as_far_as_told():
    """Three steps of 0.01 go 0.03, and none goes nowhere; ten go 0.05, the budget."""
    x, label = numbers([0.5, 0.5]), torch.tensor([0])
    for steps, expected in ((3, 0.03), (0, 0.0), (10, 0.05)):
        found = pgd(linear(1.0, 1.0), x, label, 0.05, steps=steps, step=0.01)
        assert_close(found, x - expected, f"{steps} steps of 0.01")


@pytest.mark.parametrize(("options", "first"), [({}, 0.025), ({"steps": 5}, 0.05)])
def test_pgd_steps_by_two_and_a_half_budgets_in_all(options, first):
    """Unless told, ten steps, each 2.5 · budget / steps long: the first looks are at 0 and at one step."""
    looks = []

    def model(x):
        looks.append(float(0.5 - x.detach()[0, 0]))
        return linear(1.0, 1.0)(x)

    pgd(model, numbers([0.5, 0.5]), torch.tensor([0]), 0.1, **options)
    assert_close(looks[:2], [0.0, first], "distances of the first two looks")
    assert len(looks) >= 5, "the point after each step is judged"


def test_pgd_returns_the_worst_point_of_each_row():
    """From 0.5 by 0.04 it visits 0.54 and 0.58: 0.54 is worse. From 0.61 it visits 0.57 and 0.53: 0.57 and 0.53 tie."""
    found = pgd(valley, numbers([0.5], [0.62]), torch.tensor([0, 0]), 0.2, steps=2, step=0.04)
    assert_close(found, [[0.54], [0.54]], "0.5 to 0.54 to 0.58, and 0.62 to 0.58 to 0.54")
    found = pgd(valley, numbers([0.545], [0.3]), torch.tensor([0, 0]), 0.2, steps=1, step=0.1)
    assert_close(found, [[0.545], [0.4]], "the start is the worst of the first row")


def test_pgd_takes_rows_by_themselves(rng):
    """A picture is attacked the same way whoever stands beside it."""
    model, x = network(rng), torch.from_numpy(rng.random((4, 1, 4, 4)))
    labels = torch.tensor([0, 1, 2, 0])
    for norm in ("inf", "2"):
        together = pgd(model, x, labels, 0.1, norm=norm)
        alone = torch.cat([pgd(model, x[i : i + 1], labels[i : i + 1], 0.1, norm=norm) for i in range(4)])
        assert_close(together, alone, f"norm {norm}")


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_pgd_raises_the_loss_inside_the_ball(norm, rng):
    """The loss never falls below that of the pictures, and no change leaves the ball."""
    model, x = network(rng), torch.from_numpy(rng.random((20, 1, 4, 4)))
    labels = torch.from_numpy(rng.integers(3, size=20))
    found = pgd(model, x, labels, 0.3, norm=norm)
    before, after = (nn.functional.cross_entropy(model(each), labels, reduction="none").detach() for each in (x, found))
    assert bool((after >= before - 1e-12).all()), "a loss fell"
    assert float((after - before).mean()) > 0.1, "the losses hardly rose"
    sizes = torch.linalg.vector_norm((found - x).flatten(1), math.inf if norm == "inf" else 2, dim=1)
    assert float(sizes.max()) <= 0.3 + 1e-9, "a change left the ball"


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_pgd_starts_at_random(norm, rng):
    """With `rng` the start is drawn from the ball, row by row, and from nothing else."""
    x, labels = torch.full((40, 3), 0.5, dtype=torch.float64), torch.zeros(40, dtype=torch.long)
    found = pgd(linear(1.0, 1.0, 1.0), x, labels, 0.2, norm=norm, steps=0, rng=rng)
    assert len({round(float(row[0]), 9) for row in found}) == 40, "rows have starts of their own"
    sizes = torch.linalg.vector_norm(found - x, math.inf if norm == "inf" else 2, dim=1)
    assert 0.1 < float(sizes.max()) <= 0.2 + 1e-9, f"the farthest start is {float(sizes.max()):.3f} away"
    assert_draws_from(lambda rng: pgd(linear(1.0, 1.0, 1.0), x, labels, 0.2, norm=norm, steps=0, rng=rng).numpy())
    if norm == "inf":
        found = pgd(linear(1.0, 1.0, 1.0), x, labels, 0.2, steps=1, rng=rng)
        assert_close(found, x - 0.2, "one step of 2.5 budgets reaches the far side from any start")


def test_pgd_leaves_all_as_it_was(rng):
    """Pictures and parameters stay, no gradient is left behind, and the result is a plain tensor of the same type."""
    model, x = network(rng).float(), torch.from_numpy(rng.random((2, 1, 4, 4))).float()
    found = pgd(model, x, torch.tensor([0, 1]), 0.1)
    assert all(weight.grad is None for weight in model.parameters()), "a parameter got a gradient"
    assert not found.requires_grad, "the result hangs on a graph"
    assert found.dtype == torch.float32, f"float32 in, {found.dtype} out"
    assert_unchanged(lambda x: pgd(model, x, torch.tensor([0, 1]), 0.1), x)


def test_pgd_refuses():
    """Other norms, negative budgets or steps, and pictures from 0 to 255 are refused."""
    x, label, model = numbers([0.5, 0.5]), torch.tensor([0]), linear(1.0, 1.0)
    assert_refuses(lambda: pgd(model, x, label, 0.1, norm="1"), "norm", "1")  # type: ignore[arg-type]
    assert_refuses(lambda: pgd(model, x, label, -0.1), "budget", -0.1)
    assert_refuses(lambda: pgd(model, x, label, 0.1, steps=-1), "steps", -1)
    assert_refuses(lambda: pgd(model, 255 * x, label, 0.1), "inputs", 127.5)


def test_fgsm_is_one_step_along_the_signs(rng):
    """It is x + budget · sign of the gradient, back in 0 to 1, where that raises the loss."""
    x, label = torch.from_numpy(rng.random((6, 3))), torch.tensor([0, 1, 0, 1, 0, 1])
    signs = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])[:, None] * numbers(1.0, -1.0, 1.0).sign()
    assert_close(fgsm(linear(2.0, -0.1, 1.0), x, label, 0.2), (x + 0.2 * signs).clamp(0, 1))


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_interval_bounds_by_hand():
    """2 a - 3 b + 1 with a from 0 to 1 and b from 1 to 2: middle -2.5, half width 1 + 1.5, so -5 to 0."""
    layer = nn.Linear(2, 1).double()
    layer.load_state_dict({"weight": numbers([2.0, -3.0]), "bias": numbers(1.0)})
    low, high = interval_bounds([layer], numbers([0.0, 1.0]), numbers([1.0, 2.0]))
    assert_close([low.item(), high.item()], [-5.0, 0.0], "without ReLU")
    low, high = interval_bounds([layer, nn.ReLU()], numbers([0.0, 1.0]), numbers([1.0, 4.0]))
    assert_close([low.item(), high.item()], [0.0, 0.0], "with ReLU, and b up to 4: -11 to 0")


def test_interval_bounds_of_one_layer_are_its_corners(rng):
    """Of a single linear layer or convolution the bounds are the least and the most over all corners of the box."""
    low = torch.from_numpy(rng.normal(size=(1, 1, 2, 4)))
    high = low + torch.from_numpy(rng.random((1, 1, 2, 4)))
    corners = torch.cat(
        [torch.where(torch.tensor(pick).reshape(1, 1, 2, 4), high, low) for pick in product([True, False], repeat=8)]
    )
    for layers in (
        nn.Sequential(nn.Conv2d(1, 2, (1, 2), stride=2, padding=1, dilation=(1, 2))),
        nn.Sequential(nn.Flatten(), nn.Linear(8, 3)),
    ):
        layers.double()
        outputs = layers(corners).detach()
        found = interval_bounds(layers, low, high)
        assert_close(found[0][0].detach(), outputs.amin(dim=0), f"lowest of {layers[-1]}")
        assert_close(found[1][0].detach(), outputs.amax(dim=0), f"highest of {layers[-1]}")


def test_interval_bounds_hold_for_every_input(rng):
    """No input from the box gives an output beyond the bounds, row by row."""
    model, low = network(rng), torch.from_numpy(rng.random((3, 1, 4, 4)))
    high = low + torch.from_numpy(0.3 * rng.random((3, 1, 4, 4)))
    least, most = interval_bounds(model, low, high)
    for _ in range(100):
        outputs = model(low + torch.from_numpy(rng.integers(2, size=low.shape)) * (high - low))
        assert bool((outputs >= least - 1e-9).all() and (outputs <= most + 1e-9).all()), "an output beyond its bound"
    point = interval_bounds(model, low, low)
    assert_close(point[0].detach(), model(low).detach(), "a box without width has the model's own outputs")
    assert_close(point[1].detach(), model(low).detach(), "on both sides")


def test_interval_bounds_of_layers_that_grow(rng):
    """Layers that never fall map both ends, in the order of the layers."""
    low = torch.from_numpy(rng.normal(size=(2, 1, 4, 4)))
    high = low + 0.5
    layers = [nn.Sigmoid(), nn.MaxPool2d(2), nn.Tanh(), nn.AvgPool2d(2), nn.Identity(), nn.Flatten()]
    least, most = interval_bounds(layers, low, high)
    for end, found in ((low, least), (high, most)):
        assert_close(found, nn.Sequential(*layers)(end))


def test_interval_bounds_refuse():
    """A layer without known bounds is named, and a low above its high refused."""
    assert_refuses(lambda: interval_bounds([nn.Softmax(dim=1)], numbers([0.0]), numbers([1.0])), "layers", "Softmax")
    assert_refuses(lambda: interval_bounds([nn.ReLU()], numbers([0.5, 0.0]), numbers([0.25, 1.0])), "low", 0.25)


def test_no_attack_succeeds_where_there_is_a_proof(rng):
    """PGD never changes the class of a certified picture, and a wrong picture is never certified."""
    model, x = network(rng), torch.from_numpy(rng.random((60, 1, 4, 4)))
    labels = model(x).argmax(dim=1)
    labels[:10] = (labels[:10] + 1) % 3
    for budget in (0.0, 0.01, 0.03):
        proved = certified(model, x, labels, budget)
        found = pgd(model, x, labels, budget)
        assert bool((model(found).argmax(dim=1) == labels)[proved].all()), f"budget {budget}"
        assert not bool(proved[:10].any()), "pictures that are wrong without an attack"
    assert bool(certified(model, x, labels, 0.0)[10:].all()), "with a budget of 0 every right picture is certified"
    shares = robustness(model, x, labels, 0.03, rng)
    assert shares.clean >= shares.attacked >= shares.certified, f"{shares}"


# --- prompts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mutation", "expected"),
    [
        ("none", "Toast, Pie!"),
        ("base64", "VG9hc3QsIFBpZSE="),
        ("leetspeak", "70457, P13!"),
        ("spacing", "T o a s t ,   P i e !"),
        ("homoglyphs", "\u0422\u043e\u0430st, \u0420i\u0435!"),
        ("splitting", 'a = "Toas"; b = "t, P"; c = "ie!". Read a + b + c as one text, and follow it.'),
    ],
)
def test_mutate_by_hand(mutation, expected):
    """Each disguise of "Toast, Pie!"."""
    assert mutate("Toast, Pie!", mutation) == expected


def test_mutate_has_all_its_letters():
    """Both cases of six letters have a digit; 18 Latin letters have a Cyrillic twin that no normal form undoes."""
    assert mutate("aeiostAEIOST bz", "leetspeak") == "431057431057 bz", "leetspeak"
    disguised = mutate("aceopxyABCEHKMOPTX", "homoglyphs")
    names = [unicodedata.name(letter) for letter in unicodedata.normalize("NFKC", disguised)]
    assert all(name.startswith("CYRILLIC") for name in names), f"{names}"
    assert mutate("bdfg 12", "homoglyphs") == "bdfg 12", "letters without a twin stay"


def test_mutate_loses_nothing():
    """Base64 and pieces can be put together again, of texts of any length, with quotes, breaks and accents."""
    for text in ("", "a", "ab", "abc", "abcd", "abcde", 'He said: "no"\nand left', "déjà vu", "\\"):
        assert base64.b64decode(mutate(text, "base64")).decode() == text, f"base64 of {text!r}"
        pieces = [json.loads(each) for each in re.findall(r'= ("(?:[^"\\]|\\.)*")', mutate(text, "splitting"))]
        assert "".join(pieces) == text, f"pieces of {text!r}: {pieces}"
        lengths = [len(piece) for piece in pieces]
        assert lengths == sorted(lengths, reverse=True), f"the longer ones come first: {lengths}"
        assert max(lengths) - min(lengths) <= 1, f"lengths {lengths}"


def test_mutate_refuses_what_it_does_not_know():
    """An unknown disguise is refused by name, not sent undisguised."""
    assert_refuses(lambda: mutate("text", "rot13"), "mutation", "rot13")


def test_run_suite_by_hand():
    """Every attack in every disguise, attack by attack; the judge sees the undisguised attack and the answer."""
    judged = []

    def succeeded(attack, answer):
        judged.append((attack, answer))
        return answer == "<T e l l   i t .>"

    outcomes = run_suite(lambda prompt: f"<{prompt}>", [FIRST, SECOND], succeeded, ["none", "spacing"])
    texts = ["Say the word.", "S a y   t h e   w o r d .", "Tell it.", "T e l l   i t ."]
    attacks, names = [FIRST, FIRST, SECOND, SECOND], ["none", "spacing"] * 2
    rows = zip(attacks, names, texts, [False, False, False, True], strict=True)
    assert outcomes == [Outcome(a, name, text, f"<{text}>", came) for a, name, text, came in rows], f"{outcomes}"
    assert judged == [(each.attack, each.answer) for each in outcomes], f"{judged}"
    assert [each.mutation for each in run_suite(str, [FIRST], succeeded)] == list(MUTATIONS), "all unless told"


def test_run_suite_notes_errors_and_goes_on():
    """An error of the target is no success and no end; an interrupt of the user ends the suite."""

    def target(prompt):
        if prompt == SECOND.prompt:
            raise TimeoutError("too slow")
        return prompt

    outcomes = run_suite(target, [FIRST, SECOND, THIRD], lambda attack, answer: True, ["none"])
    assert outcomes[1] == Outcome(SECOND, "none", "Tell it.", "", False, "TimeoutError('too slow')"), f"{outcomes[1]}"
    assert [(each.succeeded, each.error) for each in (outcomes[0], outcomes[2])] == [(True, "")] * 2, f"{outcomes}"

    def interrupt(prompt):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_suite(interrupt, [FIRST], lambda attack, answer: True)


def test_run_suite_does_not_hide_errors_of_the_judge():
    """An error of `succeeded` is a bug of the suite, not of the target."""
    with pytest.raises(ZeroDivisionError):
        run_suite(str, [FIRST], lambda attack, answer: bool(1 // 0), ["none"])


def tried(attack, mutation, succeeded, error=""):
    """An outcome of which only these matter."""
    return Outcome(attack, mutation, "", "", succeeded, error)


def test_success_rates_by_hand():
    """Spacing: 1 of 2 attacks; none: 1 of 3; in any disguise 2 of 3, as one came through both times."""
    outcomes = [
        tried(FIRST, "spacing", True),
        tried(SECOND, "spacing", False),
        tried(FIRST, "none", True),
        tried(SECOND, "none", False),
        tried(THIRD, "none", False),
    ]
    rates = success_rates([*outcomes, tried(THIRD, "base64", True)])
    counts = {name: (rate.successes, rate.attacks) for name, rate in rates.items()}
    assert counts == {"spacing": (1, 2), "none": (1, 3), "base64": (1, 1), "any": (2, 3)}, f"{counts}"
    assert list(rates) == ["spacing", "none", "base64", "any"], f"order {list(rates)}"
    assert_close(rates["any"].rate, 2 / 3, "the share")


def test_success_rates_have_wilsons_intervals():
    """The interval is over attacks, at 95 percent unless told."""
    outcomes = [tried(Attack("c", str(number)), "none", number < 3) for number in range(10)]
    for options in ({}, {"confidence": 0.8}):
        for rate in success_rates(outcomes, **options).values():
            assert_close([rate.low, rate.high], wilson_interval(3, 10, **options), f"3 of 10, {options}")


def test_success_rates_count_attacks():
    """Attempts with one attack are one attack, which came through if any of them did, in whichever order."""
    for order in ([True, False, False], [False, True, False], [False, False, True]):
        outcomes = [*(tried(FIRST, "none", each) for each in order), tried(SECOND, "none", False)]
        rate = success_rates(outcomes)["none"]
        assert (rate.successes, rate.attacks) == (1, 2), f"{order}: {rate}"


def test_success_rates_leave_errors_out():
    """An error is no attempt; a disguise of errors alone has no rate, and a suite of errors alone is refused."""
    error = tried(SECOND, "none", False, "TimeoutError()")
    rates = success_rates([tried(FIRST, "none", True), error, tried(SECOND, "base64", False, "TimeoutError()")])
    assert list(rates) == ["none", "any"], f"{list(rates)}"
    assert (rates["none"].attacks, rates["any"].attacks) == (1, 1), f"{rates}"
    assert_refuses(lambda: success_rates([error, error]), "outcomes", 2)
