"""Checks of recurrent networks."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_shape, module_conventions
from groundup.stack.deep.recurrent import (
    CharModel,
    Recurrent,
    Weights,
    generate,
    gradient_norms,
    gru_cell,
    lstm_cell,
    repetition,
    rnn_cell,
    train_on_windows,
)

KINDS: list[Any] = ["rnn", "lstm", "gru"]
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELLS = {"rnn": (rnn_cell, nn.RNNCell), "lstm": (lstm_cell, nn.LSTMCell), "gru": (gru_cell, nn.GRUCell)}


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def weights(rows, **others):
    """Weights of a cell with one input and one unit: of the input as given, all others 0 unless named."""
    count = len(rows)
    parts = {"hidden": [0.0] * count, "input_bias": [0.0] * count, "hidden_bias": [0.0] * count, **others}
    tensors = {name: torch.tensor(values, dtype=torch.float64) for name, values in parts.items()}
    column = torch.tensor(rows, dtype=torch.float64)[:, None]
    return Weights(column, tensors["hidden"][:, None], tensors["input_bias"], tensors["hidden_bias"])


def number(value):
    """A batch of one number."""
    return torch.tensor([[value]], dtype=torch.float64)


def sigmoid(value):
    """Of a Python float."""
    return 1 / (1 + math.exp(-value))


def pair(rng, kind, inputs=3, hidden=4, layers=1):
    """Our network and PyTorch's, with the same weights, in float64."""
    ours, theirs = (
        Recurrent(kind, inputs, hidden, layers).double(),
        TORCH[kind](inputs, hidden, layers, batch_first=True),
    )
    theirs = theirs.double()
    state = {name: normal(rng, *value.shape) for name, value in theirs.state_dict().items()}
    theirs.load_state_dict(state)
    ours.load_state_dict(state)
    return ours, theirs


# --- cells ----------------------------------------------------------------------------------------------------------


def test_rnn_cell_by_hand():
    """Input 2 with weight 0.5, state 1 with weight -0.25, biases 0.1 and 0.2: tanh(1 - 0.25 + 0.3)."""
    cell = weights([0.5], hidden=[-0.25], input_bias=[0.1], hidden_bias=[0.2])
    assert_close(rnn_cell(number(2.0), number(1.0), cell), [[math.tanh(1.05)]], "tanh of both products and both biases")


def test_lstm_cell_by_hand():
    """Gates 3/4 (take), 1/2 (keep), 3/4 (show), candidate tanh 1; cell 2: 1 + 3/4 · tanh 1."""
    three = math.log(3)
    hidden, cell = lstm_cell(number(1.0), number(0.0), number(2.0), weights([three, 0.0, 1.0, three]))
    expected = 0.5 * 2 + 0.75 * math.tanh(1)
    assert_close(cell, [[expected]], "keep · cell + take · candidate; rows: take, keep, candidate, show")
    assert_close(hidden, [[0.75 * math.tanh(expected)]], "show · tanh(the new cell)")


def test_gru_cell_by_hand():
    """Update gate 3/4, reset gate 1/2, candidate tanh(1 + 1/2 · 2): the state 2 becomes 3/4 · 2 + 1/4 · tanh 2."""
    cell = weights([0.0, math.log(3), 1.0], hidden=[0.0, 0.0, 1.0])
    expected = 0.75 * 2 + 0.25 * math.tanh(1 + 0.5 * 2)
    assert_close(gru_cell(number(1.0), number(2.0), cell), [[expected]], "keep · state + (1 - keep) · candidate")
    biased = weights([0.0, 0.0, 0.0], hidden_bias=[0.0, 0.0, 4.0])
    assert_close(
        gru_cell(number(0.0), number(0.0), biased), [[math.tanh(2) / 2]], "the reset gate covers the hidden bias"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_is_pytorchs(kind, rng):
    """A step on five rows is that of torch.nn's cell, to 1e-6."""
    ours, kinds = CELLS[kind]
    theirs = kinds(3, 4).double()
    for parameter in theirs.parameters():
        parameter.data = normal(rng, *parameter.shape)
    inputs, states = normal(rng, 5, 3), [normal(rng, 5, 4) for _ in range(2 if kind == "lstm" else 1)]
    expected = theirs(inputs, tuple(states) if kind == "lstm" else states[0])
    result = ours(inputs, *states, Weights(theirs.weight_ih, theirs.weight_hh, theirs.bias_ih, theirs.bias_hh))
    for part, other in zip(*((value,) if kind != "lstm" else value for value in (result, expected)), strict=True):
        assert_close(part, other, f"{kind}: the state after one step")


def test_an_lstm_can_keep_its_cell():
    """With the forget gate open and the input gate closed the cell stays as it is, and so does its gradient."""
    cell = number(0.7).requires_grad_()
    closed = weights([0.0, 0.0, 1.0, 0.0], input_bias=[-50.0, 50.0, 0.0, 0.0])
    after = cell
    for _ in range(100):
        _, after = lstm_cell(number(1.0), number(0.3), after, closed)
    after.backward()
    assert_close(after, [[0.7]], "the cell after 100 steps")
    assert_close(cell.grad, [[1.0]], "its gradient over 100 steps")


# --- sequences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 3])
def test_a_sequence_is_pytorchs(kind, layers, rng):
    """Outputs, states and gradients are those of torch.nn to 1e-6, begun with zeros or with a state."""
    ours, theirs = pair(rng, kind, layers=layers)
    inputs = normal(rng, 2, 6, 3)
    begin = tuple(normal(rng, layers, 2, 4) for _ in range(2 if kind == "lstm" else 1))
    for state in (None, begin):
        given = state if kind == "lstm" or state is None else state[0]
        outputs, after = ours(inputs, state)
        expected, last = theirs(inputs, given)
        assert_close(outputs, expected, f"{kind}, {layers} layers: the outputs", rtol=1e-6)
        for part, other in zip(after, last if kind == "lstm" else (last,), strict=True):
            assert_close(part, other, f"{kind}, {layers} layers: the state after the last step", rtol=1e-6)
        for model, result in ((ours, outputs), (theirs, expected)):
            model.zero_grad()
            result.square().sum().backward()
    for (name, first), (_, second) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close(first.grad, second.grad, f"the gradient of {name}", rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_state_carries_a_sequence_on(kind, rng):
    """Read in two parts, with the state in between, a sequence gives what it gives in one."""
    model, _ = pair(rng, kind, layers=2)
    inputs = normal(rng, 2, 7, 3)
    whole, last = model(inputs)
    first, state = model(inputs[:, :3])
    second, after = model(inputs[:, 3:], state)
    assert_close(torch.cat([first, second], dim=1), whole, "outputs of both parts")
    for part, other in zip(after, last, strict=True):
        assert_close(part, other, "the state at the end")


def test_no_step_knows_the_future(rng):
    """Changing the last input changes the last output and no earlier one."""
    model, _ = pair(rng, "gru", layers=2)
    inputs = normal(rng, 1, 5, 3)
    changed = inputs.clone()
    changed[0, 4] += 1
    assert_close(model(changed)[0][:, :4], model(inputs)[0][:, :4], "outputs before the change")
    assert (model(changed)[0][:, 4] != model(inputs)[0][:, 4]).all(), "the last output sees the last input"


@pytest.mark.parametrize(
    "convention",
    module_conventions(without=["follows_the_device", "takes_any_leading_axes", "takes_each_row_by_itself"]),
)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_module(kind, convention, rng):
    """It keeps PyTorch's conventions."""
    convention(lambda: Recurrent(kind, 3, 4, 2), normal(rng, 3, 5, 3).float())


def test_each_row_is_by_itself(rng):
    """A row of a batch gives what it gives alone."""
    model, _ = pair(rng, "lstm")
    inputs = normal(rng, 3, 5, 3)
    assert_close(model(inputs[1:2])[0], model(inputs)[0][1:2], "the second of three rows alone")


def test_recurrent_refuses_what_cannot_be():
    """An unknown kind, sizes below 1 and a sequence without steps are refused."""
    assert_refuses_values(lambda kind: Recurrent(kind, 3, 4), "kind", "LSTM", "elman")
    assert_refuses_values(lambda size: Recurrent("rnn", size, 4), "inputs", 0)
    assert_refuses_values(lambda size: Recurrent("rnn", 3, size), "hidden", 0, -1)
    assert_refuses_values(lambda size: Recurrent("rnn", 3, 4, size), "layers", 0)
    assert_refuses(lambda: Recurrent("rnn", 3, 4)(torch.zeros(2, 0, 3)), "inputs", (2, 0, 3))


# --- truncated backpropagation --------------------------------------------------------------------------------------


class Steps:
    """An optimiser that goes down the gradient by itself, and keeps the gradients of each step."""

    def __init__(self, model, rate=0.1):
        self.model, self.rate, self.gradients = model, rate, []

    def zero_grad(self):
        """Forget gradients."""
        for parameter in self.model.parameters():
            parameter.grad = None

    def step(self):
        """Go down."""
        self.gradients.append([parameter.grad.clone() for parameter in self.model.parameters()])
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter -= self.rate * parameter.grad

    def norm(self, step):
        """The norm of a step's gradients."""
        return math.sqrt(sum(float(gradient.square().sum()) for gradient in self.gradients[step]))


def char_model(rng, kind: Any = "gru"):
    """A model of five tokens, its weights drawn from `rng`."""
    model = CharModel(kind, 5, 3, 4).double()
    for parameter in model.parameters():
        parameter.data = normal(rng, *parameter.shape)
    return model


def test_windows_step_through_the_text(rng):
    """Of 10 tokens, windows of 4 make 2 steps, on 0 to 4 and 4 to 8; the state goes on, the gradient does not."""
    model, tokens = char_model(rng), torch.from_numpy(rng.integers(0, 5, (2, 10)))
    frozen = Steps(model, rate=0.0)
    losses, state = train_on_windows(model, tokens, 4, frozen, max_norm=1e9)
    assert len(losses) == 2, f"two windows of 4 fit into 9 predictions, got {len(losses)} losses"
    before = None
    for number, start in enumerate((0, 4)):
        logits, after = model(tokens[:, start : start + 4], before)
        loss = cross_entropy(logits.flatten(0, 1), tokens[:, start + 1 : start + 5].flatten())
        expected = torch.autograd.grad(loss, list(model.parameters()))
        assert_close(losses[number], loss.item(), f"the loss of window {number}")
        for gradient, other in zip(frozen.gradients[number], expected, strict=True):
            assert_close(gradient, other, f"gradients of window {number}: they stop at its beginning")
        before = tuple(part.detach() for part in after)
    assert state is not None, "the state after the last window is returned"
    assert before is not None
    assert_close(state[0], before[0], "the state after the last window")
    assert not state[0].requires_grad, "the state is returned without a gradient"
    assert type(losses[0]) is float, f"losses are floats, not {type(losses[0]).__name__}"


def test_windows_begin_with_the_state_given(rng):
    """A text in two calls, the state handed over, gives the losses of one call."""
    model, tokens = char_model(rng, "lstm"), torch.from_numpy(rng.integers(0, 5, (3, 9)))
    whole, _ = train_on_windows(model, tokens, 2, Steps(model, 0.0))
    first, state = train_on_windows(model, tokens[:, :5], 2, Steps(model, 0.0))
    second, _ = train_on_windows(model, tokens[:, 4:], 2, Steps(model, 0.0), state=state)
    assert_close(first + second, whole, "losses of both calls")
    assert len(whole) == 4, f"9 tokens make 4 windows of 2, got {len(whole)}"


def test_windows_learn(rng):
    """On a text that repeats, the loss falls to a fraction."""
    model = char_model(rng)
    tokens = torch.tensor([[0, 1, 2, 3, 4] * 15])
    losses, _ = train_on_windows(model, tokens, 5, Steps(model, 1.0))
    assert losses[-1] < losses[0] / 2, f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}"


def test_windows_clip(rng):
    """Gradients larger than max_norm are scaled to it, smaller ones stay; max_norm is 1 unless you say otherwise."""
    model, tokens = char_model(rng), torch.from_numpy(rng.integers(0, 5, (2, 5)))
    model.out.weight.data *= 5
    free, tight, default = (Steps(model, 0.0) for _ in range(3))
    train_on_windows(model, tokens, 4, free, max_norm=1e9)
    train_on_windows(model, tokens, 4, tight, max_norm=free.norm(0) / 4)
    train_on_windows(model, tokens, 4, default)
    for gradient, other in zip(tight.gradients[0], free.gradients[0], strict=True):
        assert_close(gradient, other / 4, "clipped to a quarter of their norm", rtol=1e-4)
    assert_close(default.norm(0), 1.0, f"a norm of {free.norm(0):.1f} is clipped to 1", rtol=1e-4)


def test_windows_refuse_sizes_that_cannot_be(rng):
    """A window holds at least one prediction, and no more than the text has."""
    model, tokens = char_model(rng), torch.zeros(1, 6, dtype=torch.int64)
    assert_refuses_values(lambda window: train_on_windows(model, tokens, window, Steps(model)), "window", 0, 6, -1)
    assert len(train_on_windows(model, tokens, 5, Steps(model, 0.0))[0]) == 1, "five predictions fit into six tokens"


# --- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_generate_takes_the_likeliest(kind, rng):
    """At temperature 0 each token is the likeliest after all that came before, read anew."""
    model, prompt = char_model(rng, kind), torch.tensor([3, 1])
    text = prompt
    for _ in range(6):
        text = torch.cat([text, model(text[None])[0][0, -1].argmax()[None]])
    assert_close(generate(model, prompt, 6, temperature=0), text[2:], "six tokens, without the prompt")


def test_generate_reads_each_token_once(rng):
    """The prompt is read once, then a token at a time: the state remembers the rest."""
    model, lengths = char_model(rng), []
    handle = model.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    generate(model, torch.tensor([0, 1, 2, 3]), 5, temperature=0)
    handle.remove()
    assert lengths[0] == 4, f"the prompt of 4 is read first, got {lengths}"
    assert set(lengths[1:]) == {1}, f"then one token at a time, got {lengths}"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_generate_draws_from_the_softmax(temperature):
    """2,000 draws have the frequencies of the softmax of the last logits over the temperature."""
    logits = torch.tensor([[[9.0, 0.0, 0.0], [0.0, 1.0, 2.0]]])
    model: Any = lambda tokens, state: (logits, None)  # noqa: E731
    options = {} if temperature == 1 else {"temperature": temperature}
    draws = generate(model, torch.tensor([2]), 2000, generator=torch.Generator().manual_seed(0), **options)
    shares, expected = draws.bincount(minlength=3) / 2000, (logits[0, 1] / temperature).softmax(0)
    assert (shares - expected).abs().max() < 0.04, f"expected {expected.tolist()}, drew {shares.tolist()}"


def test_generate_repeats_from_the_same_generator(rng):
    """The same state of the generator gives the same text."""
    model = char_model(rng)
    first, second = (
        generate(model, torch.tensor([2]), 9, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert_close(first, second, "two texts from the same seed")


def test_generate_writes_nothing(rng):
    """Where no token is asked for, none is written, and none of the prompt returned."""
    assert_shape(generate(char_model(rng), torch.tensor([2]), 0), (0,), "no tokens asked for")


def test_generate_refuses(rng):
    """An empty prompt and a negative temperature are refused."""
    model = char_model(rng)
    assert_refuses(lambda: generate(model, torch.tensor([], dtype=torch.int64), 3), "prompt")
    assert_refuses_values(lambda t: generate(model, torch.tensor([1]), 3, temperature=t), "temperature", -0.5)


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_gradient_norms_by_hand():
    """An RNN of one unit near 0 hands back a half at each step: norms 1/4, 1/2, 1 of its input weight."""
    model = Recurrent("rnn", 1, 1).double()
    model.load_state_dict(dict(zip(model.state_dict(), weights([3.0], hidden=[0.5]), strict=True)))
    norms = gradient_norms(model, torch.zeros(2, 3, 1, dtype=torch.float64))
    assert_close(norms, [0.75, 1.5, 3.0], "earlier steps first, the last is the input weight")


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("xyababab", (2, 2)),
        ("aaa", (0, 1)),
        ("the end the end the end ", (0, 8)),
        ("abcabca", None),
        ("abab", None),
        ("", None),
        ("qaabaabaab", (1, 3)),
    ],
)
def test_repetition_by_hand(text, loop):
    """A loop is three turns of the same tokens at the end: where the first begins, and its period."""
    assert repetition([ord(letter) for letter in text]) == loop, f"of {text!r}"


def test_repetition_knows_its_longest_period():
    """Periods above `longest` are not tried."""
    assert repetition([1, 2, 3, 4] * 4, longest=3) is None, "a period of 4 is longer than 3"
    assert repetition([1, 2, 3, 4] * 4, longest=4) == (0, 4), "a period of 4"
