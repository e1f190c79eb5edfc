'''What a `torch.nn.Module` owes, as checks that say what is wrong and what to do.

A unit's checks take them in three lines:

    @pytest.mark.parametrize("convention", module_conventions())
    def test_it_is_a_module(convention):
        """It keeps PyTorch's conventions."""
        convention(lambda: SelfAttention(8), torch.randn(4, 5, 8))

After the factory come the inputs of `forward`: tensors with one leading axis for the batch, of length at least 2.
'''

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Any, NoReturn

import pytest

from groundup.checking.functions import _compare, _identical, _leaves, assert_leading_axes, assert_rows_alone

Make = Callable[[], Any]
Convention = Callable[..., None]


def module_conventions(*, without: Collection[str] = ()) -> list[Convention]:
    """The conventions that a module keeps, each a check of a factory and inputs: `convention(make, *inputs)`.

    Args:
        without: names of conventions that it rightly does not keep, such as "takes_any_leading_axes" of a convolution.

    Raises:
        ValueError: there is no convention of that name.
    """
    offered = {convention.__name__: convention for convention in _CONVENTIONS}
    for name in without:
        if name not in offered:
            raise ValueError(f"without: there is no convention {name!r}. There are {', '.join(offered)}.")
    return [convention for name, convention in offered.items() if name not in without]


def registers_its_parameters(make: Make, *inputs: Any) -> None:
    """Every tensor that is learned is a Parameter, and each part a Module: a list of them is an nn.ModuleList."""
    __tracebackhide__ = True
    import torch

    module = _made(make)
    known = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
    parts = list(module.modules())
    for part in parts:
        for name, value in vars(part).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            for thing in _inside(value):
                if isinstance(thing, torch.Tensor) and id(thing) not in known:
                    fix = "nn.Parameter, or register_buffer for what is not learned"
                    _fail(
                        registers_its_parameters, f"`{name}` of {type(part).__name__} is a plain tensor: make it {fix}."
                    )
                if isinstance(thing, torch.nn.Module) and not any(thing is other for other in parts):
                    _fail(
                        registers_its_parameters,
                        f"`{name}` of {type(part).__name__} hides a module: use nn.ModuleList.",
                    )


def its_state_is_all_there_is(make: Make, *inputs: Any) -> None:
    """`state_dict` of one, loaded into another, makes both give the same."""
    __tracebackhide__ = True
    import torch

    first, second = _made(make), _made(make)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(torch.linspace(-0.1, 0.1, parameter.numel()).reshape(parameter.shape).to(parameter.dtype))
    second.load_state_dict(first.state_dict())
    _compare(_run(second, inputs), _run(first, inputs), _says(its_state_is_all_there_is), 0, 0)


def switches_between_training_and_eval(make: Make, *inputs: Any) -> None:
    """`train()` and `eval()` set the mode of every part, and return the module."""
    __tracebackhide__ = True
    module = make()
    for mode in (False, True):
        if module.train(mode) is not module:
            _fail(switches_between_training_and_eval, "train() did not return the module.")
        stuck = [type(part).__name__ for part in module.modules() if part.training is not mode]
        if stuck:
            _fail(switches_between_training_and_eval, f"After train({mode}), {stuck[0]}.training is {not mode}.")


def repeats_itself_in_eval(make: Make, *inputs: Any) -> None:
    """In eval mode the same input gives the same output, and nothing in the module changes."""
    __tracebackhide__ = True
    module = _made(make)
    before = copy.deepcopy(module.state_dict())
    first = _run(module, inputs)
    _compare(_run(module, inputs), first, _says(repeats_itself_in_eval), 0, 0)
    for name, value in module.state_dict().items():
        if not _identical(value, before[name]):
            _fail(repeats_itself_in_eval, f"`{name}` changed in a forward pass.")


def leaves_its_input_alone(make: Make, *inputs: Any) -> None:
    """`forward` changes none of its inputs: an in-place operation works on a copy."""
    __tracebackhide__ = True
    kept = [copy.deepcopy(value) for value in inputs]
    _run(_made(make), inputs)
    for number, (now, then) in enumerate(zip(inputs, kept, strict=True)):
        if not _identical(now, then):
            _fail(leaves_its_input_alone, f"Input {number + 1} was changed.")


def follows_the_dtype(make: Make, *inputs: Any) -> None:
    """A module moved to float64 computes in float64, to the last: no constant of another dtype is made on the way."""
    __tracebackhide__ = True
    import torch

    module = _made(make).double()
    wide = [value.double() if _is_floating(value) else value for value in inputs]
    try:
        result = module(*wide)
    except RuntimeError as error:
        _fail(follows_the_dtype, f"It raised: {error}")
    for place, leaf in _leaves(result):
        if _is_floating(leaf) and leaf.dtype != torch.float64:
            _fail(follows_the_dtype, f"The result{place} is {leaf.dtype}: make constants with dtype=x.dtype.")


def follows_the_device(make: Make, *inputs: Any) -> None:
    """A module moved to another device computes there: tensors made on the way take `device=x.device`."""
    __tracebackhide__ = True
    import torch

    # PyTorch's meta device has shapes and no numbers: it stands in for a GPU, on any machine.
    module = _made(make).to("meta")
    moved = [value.to("meta") if isinstance(value, torch.Tensor) else value for value in inputs]
    try:
        result = module(*moved)
    except (RuntimeError, NotImplementedError) as error:
        _fail(follows_the_device, f"On another device it raised: {str(error).splitlines()[0]}")
    for place, leaf in _leaves(result):
        if isinstance(leaf, torch.Tensor) and leaf.device.type != "meta":
            _fail(follows_the_device, f"The result{place} is on {leaf.device}, the input was not.")


def takes_each_row_by_itself(make: Make, *inputs: Any) -> None:
    """In eval mode a batch of one gives what the whole batch gives for that row, and their order is all the same."""
    __tracebackhide__ = True
    module = _made(make)
    message = _says(takes_each_row_by_itself)
    assert_rows_alone(lambda *rows: _run(module, rows), *inputs, empty=False, rtol=1e-4, atol=1e-5, message=message)


def takes_any_leading_axes(make: Make, *inputs: Any) -> None:
    """Any axes in front are batches: none, one or several, of length 1 or 0."""
    __tracebackhide__ = True
    module = _made(make)
    message = _says(takes_any_leading_axes)
    assert_leading_axes(lambda *stacks: _run(module, stacks), *inputs, rtol=1e-4, atol=1e-5, message=message)


def its_gradient_reaches_every_parameter(make: Make, *inputs: Any) -> None:
    """Every parameter has a part in the output: its gradient is there, finite, and not zero everywhere."""
    __tracebackhide__ = True
    import torch

    torch.manual_seed(0)
    module = make().train()
    outputs = [leaf for _, leaf in _leaves(module(*inputs)) if _is_floating(leaf)]
    # Weighed at random: the plain sum of what a softmax or a normalisation gives is constant.
    total: Any = sum((leaf * torch.randn(leaf.shape).to(leaf)).sum() for leaf in outputs)
    if not isinstance(total, torch.Tensor) or not total.requires_grad:
        _fail(its_gradient_reaches_every_parameter, "The output has no gradient: was it detached, or made by NumPy?")
    total.backward()
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        gradient: Any = parameter.grad
        if gradient is None or not gradient.any():
            _fail(its_gradient_reaches_every_parameter, f"None reaches `{name}`: is it used, and nothing detached?")
        if not torch.isfinite(gradient).all():
            _fail(its_gradient_reaches_every_parameter, f"That of `{name}` is not finite.")


_CONVENTIONS: tuple[Convention, ...] = (
    registers_its_parameters,
    its_state_is_all_there_is,
    switches_between_training_and_eval,
    repeats_itself_in_eval,
    leaves_its_input_alone,
    follows_the_dtype,
    follows_the_device,
    takes_each_row_by_itself,
    takes_any_leading_axes,
    its_gradient_reaches_every_parameter,
)


def _made(make: Make) -> Any:
    """A module with the same random weights every time, in eval mode."""
    import torch

    torch.manual_seed(0)
    return make().eval()


def _run(module: Any, inputs: Any) -> Any:
    import torch

    with torch.no_grad():
        return module(*inputs)


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        value = list(value.values())
    return value if isinstance(value, list | tuple) else [value]


def _is_floating(value: Any) -> bool:
    return hasattr(value, "is_floating_point") and value.is_floating_point()


def _says(convention: Convention) -> str:
    return " ".join((convention.__doc__ or "").split())


def _fail(convention: Convention, detail: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(f"{_says(convention)}\n  {detail}", pytrace=False)
