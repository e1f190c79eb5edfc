# pyright: basic
"""The conventions of PyTorch's modules: PyTorch's own keep them, and what breaks one is told by that one."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from groundup.checking import module_conventions  # noqa: E402

X = torch.linspace(-1, 1, 24).reshape(4, 2, 3)


class Good(nn.Module):
    """Normalised, mixed, dropped out: keeps them all."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 5)
        self.scale = nn.Parameter(torch.ones(5))
        self.drop = nn.Dropout(0.5)
        self.parts = nn.ModuleList([nn.LayerNorm(5)])

    def forward(self, x):
        shift = torch.arange(5, dtype=x.dtype, device=x.device)
        return self.drop(self.parts[0](self.linear(x) * self.scale + shift))


@pytest.mark.parametrize("convention", module_conventions(), ids=lambda c: c.__name__)
@pytest.mark.parametrize("make", [lambda: nn.Linear(3, 4), lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout()), Good])
def test_good_modules_keep_them(make, convention):
    convention(make, X)


def test_of_two_inputs_and_outputs():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, a, b):
            return self.left(a), {"sum": self.left(a) + self.right(b)}

    for convention in module_conventions():
        convention(Both, X, X + 1)


def like_good(forward=None, extra=None, **methods):
    """`Good` with another forward pass, or more done by its constructor."""

    class Other(Good):
        def __init__(self):
            super().__init__()
            if extra:
                extra(self)

    Other.forward = forward or Good.forward
    for name, method in methods.items():
        setattr(Other, name, method)
    return Other


NUMBERS = itertools.count(1)  # a state that state_dict does not know


def setting(name, value):
    return lambda self: setattr(self, name, value())


def counts(self, x):
    self.seen = getattr(self, "seen", 0) + 1
    return Good.forward(self, x) * self.seen


def moves_the_scale(self, x):
    with torch.no_grad():
        self.scale.mul_(1.0001)
    return Good.forward(self, x)


BREAKS = [
    (
        "registers_its_parameters",
        like_good(extra=setting("w", lambda: torch.ones(3))),
        "`w` of Other is a plain tensor",
    ),
    ("registers_its_parameters", like_good(extra=setting("layers", lambda: [nn.Linear(1, 1)])), "hides a module"),
    (
        "its_state_is_all_there_is",
        like_good(lambda s, x: Good.forward(s, x) * s.w, lambda s: setattr(s, "w", next(NUMBERS))),
        "values differ",
    ),
    ("switches_between_training_and_eval", like_good(train=lambda self, mode=True: None), "did not return the module"),
    ("switches_between_training_and_eval", like_good(train=lambda self, mode=True: self), "After train(False)"),
    (
        "repeats_itself_in_eval",
        like_good(lambda s, x: nn.functional.dropout(Good.forward(s, x))),
        "same input gives the same",
    ),
    ("repeats_itself_in_eval", like_good(counts), "same input gives the same"),
    ("repeats_itself_in_eval", like_good(lambda s, x: moves_the_scale(s, x) * 0), "`scale` changed in a forward pass"),
    ("leaves_its_input_alone", like_good(lambda s, x: Good.forward(s, x.add_(1))), "Input 1 was changed."),
    ("follows_the_dtype", like_good(lambda s, x: Good.forward(s, x) @ torch.eye(5)), "It raised: expected m1 and m2"),
    ("follows_the_dtype", like_good(lambda s, x: Good.forward(s, x).float()), "The result is torch.float32"),
    ("follows_the_device", like_good(lambda s, x: Good.forward(s, x) + torch.arange(5)), "On another device it raised"),
    ("follows_the_device", like_good(lambda s, x: torch.zeros(x.shape)), "The result is on cpu, the input was not."),
    ("takes_each_row_by_itself", like_good(lambda s, x: Good.forward(s, x) - x.mean()), "row 0 as a batch of one"),
    ("takes_each_row_by_itself", like_good(lambda s, x: Good.forward(s, x).squeeze()), "row 0 as a batch of one"),
    ("takes_any_leading_axes", like_good(lambda s, x: Good.forward(s, x.reshape(-1, 2, 3))), "Leading axes"),
    ("its_gradient_reaches_every_parameter", like_good(lambda s, x: s.linear(x)), "None reaches `scale`"),
    (
        "its_gradient_reaches_every_parameter",
        like_good(lambda s, x: Good.forward(s, x).detach()),
        "The output has no gradient",
    ),
    ("its_gradient_reaches_every_parameter", like_good(lambda s, x: (Good.forward(s, x) * 0).sqrt()), "is not finite"),
]


@pytest.mark.parametrize(("name", "make", "message"), BREAKS, ids=lambda value: str(value)[:40])
def test_what_breaks_a_convention_is_told_by_it(name, make, message):
    convention = next(c for c in module_conventions() if c.__name__ == name)
    with pytest.raises(pytest.fail.Exception) as failure:
        convention(make, X.clone())
    assert message in str(failure.value)


def test_every_convention_is_broken_here():
    assert {name for name, *_ in BREAKS} == {c.__name__ for c in module_conventions()}


def test_what_is_left_out_must_be_there():
    assert "follows_the_device" not in {c.__name__ for c in module_conventions(without=["follows_the_device"])}
    with pytest.raises(
        ValueError, match="without: there is no convention 'speed'. There are registers_its_parameters, "
    ):
        module_conventions(without=["speed"])
