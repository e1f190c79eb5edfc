"""Networks that read a sequence step by step, and carry a state along.

    model = CharModel("lstm", vocabulary=65, dim=16, hidden=64)
    losses, state = train_on_windows(model, tokens, window=32, optimizer=optimizer)
    text = generate(model, prompt, count=200, temperature=0.8, generator=generator)

Weights are laid out and named as those of torch.nn.RNN, LSTM and GRU, so that either loads the other's. The LSTM is
that of Gers, Schmidhuber and Cummins (2000), https://doi.org/10.1162/089976600300015015, the GRU that of Cho et al.
(2014), https://arxiv.org/abs/1406.1078, in PyTorch's form: the reset gate multiplies a product that has its own bias.

Not covered: sequences of unequal length in one batch, networks that read backwards as well, dropout between layers.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Kind = Literal["rnn", "lstm", "gru"]
GATES = {"rnn": 1, "lstm": 4, "gru": 3}

State = tuple[Tensor, ...]
"""The hidden state of each layer and, in an LSTM, its cells; each of shape (layers, batch, hidden)."""


class Weights(NamedTuple):
    """Weights of one cell; the gates lie below each other, each of `hidden` rows."""

    input: Float[Tensor, "gates inputs"]
    hidden: Float[Tensor, "gates hidden"]
    input_bias: Float[Tensor, " gates"]
    hidden_bias: Float[Tensor, " gates"]


# --- one step -------------------------------------------------------------------------------------------------------


def rnn_cell(
    inputs: Float[Tensor, "batch inputs"], hidden: Float[Tensor, "batch hidden"], weights: Weights
) -> Float[Tensor, "batch hidden"]:
    """Return the next hidden state, tanh of a linear map of input and state (Elman, 1990)."""
    return torch.tanh(_of_inputs(inputs, weights) + _of_hidden(hidden, weights))


def lstm_cell(
    inputs: Float[Tensor, "batch inputs"],
    hidden: Float[Tensor, "batch hidden"],
    cell: Float[Tensor, "batch hidden"],
    weights: Weights,
) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch hidden"]]:
    """Return the next hidden state and the next cell.

    The cell keeps the share that the forget gate lets through, and takes in the candidate as far as the input gate lets
    it; the output gate decides how much of tanh(cell) is shown. Gates are sigmoids, the candidate is a tanh.
    Rows of the weights: input gate, forget gate, candidate, output gate.
    """
    take, keep, candidate, show = (_of_inputs(inputs, weights) + _of_hidden(hidden, weights)).chunk(4, dim=1)
    cell = keep.sigmoid() * cell + take.sigmoid() * candidate.tanh()
    return show.sigmoid() * cell.tanh(), cell


def gru_cell(
    inputs: Float[Tensor, "batch inputs"], hidden: Float[Tensor, "batch hidden"], weights: Weights
) -> Float[Tensor, "batch hidden"]:
    """Return the next hidden state: a mean of the old one and a candidate, weighed by the update gate.

    Rows of the weights: reset gate, update gate, candidate. The candidate is a tanh of what the input gives and of what
    the state gives times the reset gate; the update gate is the share of the old state that stays.
    """
    reset, update, candidate = _of_inputs(inputs, weights).chunk(3, dim=1)
    reset_h, update_h, candidate_h = _of_hidden(hidden, weights).chunk(3, dim=1)
    keep = (update + update_h).sigmoid()
    candidate = (candidate + (reset + reset_h).sigmoid() * candidate_h).tanh()
    return keep * hidden + (1 - keep) * candidate


# --- a sequence -----------------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """Layers of recurrent cells, each reading the hidden states of the one below; the batch comes first.

    Args:
        kind: "rnn", "lstm" or "gru".
        inputs: numbers at each step.
        hidden: size of the state.
        layers: how many, at least 1.

    Raises:
        ValueError: the kind is unknown, or a size is below 1.
    """

    def __init__(self, kind: Kind, inputs: int, hidden: int, layers: int = 1) -> None:
        super().__init__()
        if kind not in GATES:
            raise ValueError(f"kind must be one of {', '.join(GATES)}, got {kind!r}.")
        for name, size in (("inputs", inputs), ("hidden", hidden), ("layers", layers)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}.")
        self.kind, self.hidden, self.layers = kind, hidden, layers
        rows, bound = GATES[kind] * hidden, hidden**-0.5
        for layer in range(layers):
            shapes = ((rows, inputs if layer == 0 else hidden), (rows, hidden), (rows,), (rows,))
            for name, shape in zip(_names(layer), shapes, strict=True):
                self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def weights(self, layer: int) -> Weights:
        """Return the weights of a layer."""
        return Weights(*(getattr(self, name) for name in _names(layer)))

    def initial_state(self, inputs: Float[Tensor, "batch time inputs"]) -> State:
        """Return a state of zeros for a batch."""
        zeros = inputs.new_zeros(self.layers, len(inputs), self.hidden)
        return (zeros, zeros) if self.kind == "lstm" else (zeros,)

    def forward(
        self, inputs: Float[Tensor, "batch time inputs"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Read a sequence.

        Args:
            inputs: at least one step.
            state: where to begin; None begins with zeros.

        Returns:
            The hidden state of the last layer after each step, and the state of all layers after the last.

        Raises:
            ValueError: there is no step.
        """
        if inputs.shape[1] == 0:
            raise ValueError(f"inputs must have at least 1 step, got shape {tuple(inputs.shape)}.")
        first = self.initial_state(inputs) if state is None else state
        layers = [tuple(part[layer] for part in first) for layer in range(self.layers)]
        outputs = []
        for step in inputs.unbind(dim=1):
            for layer, before in enumerate(layers):
                layers[layer] = self._step(step, before, self.weights(layer))
                step = layers[layer][0]
            outputs.append(step)
        return torch.stack(outputs, dim=1), tuple(torch.stack(part) for part in zip(*layers, strict=True))

    def _step(self, inputs: Tensor, state: State, weights: Weights) -> State:
        """One step of one layer; the hidden state comes first in the result."""
        if self.kind == "lstm":
            return lstm_cell(inputs, state[0], state[1], weights)
        cell = rnn_cell if self.kind == "rnn" else gru_cell
        return (cell(inputs, state[0], weights),)


class CharModel(nn.Module):
    """Predicts the next token of a text: an embedding, a recurrent network, and a linear layer.

    Args:
        kind: "rnn", "lstm" or "gru".
        vocabulary: how many tokens there are.
        dim: size of a token's vector.
        hidden: size of the state.
        layers: recurrent layers.
    """

    def __init__(self, kind: Kind, vocabulary: int, dim: int, hidden: int, layers: int = 1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.recurrent = Recurrent(kind, dim, hidden, layers)
        self.out = nn.Linear(hidden, vocabulary)

    def forward(
        self, tokens: Int[Tensor, "batch time"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch time vocabulary"], State]:
        """Return the logits of the token after each, and the state to go on from."""
        hidden, after = self.recurrent(self.embedding(tokens), state)
        return self.out(hidden), after


# --- training and writing -------------------------------------------------------------------------------------------


def train_on_windows(
    model: nn.Module,
    tokens: Int[Tensor, "batch time"],
    window: int,
    optimizer: Any,
    *,
    state: State | None = None,
    max_norm: float = 1.0,
) -> tuple[list[float], State | None]:
    """Train on streams of text by truncated backpropagation: a step for each window, the state carried over.

    The state goes from window to window, so that the model remembers further back than a window; the gradient stops at
    each window's beginning, so that memory and time do not grow with the text.

    Args:
        model: called with tokens and a state; returns logits and the next state.
        tokens: streams side by side; the last token of a window is predicted and then begins the next.
        window: predictions in a window, at least 1; a rest that fills no window is left out.
        optimizer: any of PyTorch's: it has `zero_grad` and `step`.
        state: where to begin.
        max_norm: gradients are scaled down to this norm where they are larger; in recurrent networks they explode.

    Returns:
        The loss of each window before its step, and the state after the last, without a gradient.

    Raises:
        ValueError: the window is below 1, or longer than the text allows.
    """
    if not 1 <= window < tokens.shape[1]:
        raise ValueError(f"window must be from 1 to {tokens.shape[1] - 1}, one less than the text, got {window}.")
    losses = []
    for start in range(0, tokens.shape[1] - window, window):
        logits, after = model(tokens[:, start : start + window], state)
        targets = tokens[:, start + 1 : start + window + 1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        state = tuple(part.detach() for part in after)
        losses.append(loss.item())
    return losses, state


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt: Int[Tensor, " time"],
    count: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " count"]:
    """Continue a text, token by token. The prompt is read once; from then on each step reads one token and the state.

    Args:
        model: called with tokens and a state; returns logits and the next state.
        prompt: at least one token.
        count: how many tokens to write.
        temperature: logits are divided by it before the softmax; 0 takes the likeliest token.
        generator: draws.

    Raises:
        ValueError: the prompt is empty, or the temperature negative.
    """
    if len(prompt) == 0:
        raise ValueError("prompt must hold at least 1 token, got none: begin with a line break.")
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}: 0 takes the likeliest token.")
    written: list[Tensor] = []
    logits, state = model(prompt[None], None)
    while len(written) < count:
        scores = logits[0, -1]
        if temperature == 0:
            token = scores.argmax(dim=0, keepdim=True)
        else:
            token = torch.multinomial((scores / temperature).softmax(dim=0), 1, generator=generator)
        written.append(token)
        logits, state = model(token[None], state)
    return torch.cat(written) if written else prompt[:0]


# --- what goes wrong ------------------------------------------------------------------------------------------------


def gradient_norms(model: Recurrent, inputs: Float[Tensor, "batch time inputs"]) -> Float[Tensor, " time"]:
    """Return how strongly the last hidden state depends on the input of each step, earlier steps first.

    It is the norm of the gradient of the last state's sum, averaged over the batch. Where it falls by a factor at each
    step back, the network cannot learn what lies far back: the gradient vanishes.
    """
    inputs = inputs.detach().clone().requires_grad_()
    outputs, _ = model(inputs)
    (gradient,) = torch.autograd.grad(outputs[:, -1].sum(), inputs)
    return gradient.norm(dim=2).mean(dim=0)


def repetition(tokens: Sequence[int], longest: int = 100) -> tuple[int, int] | None:
    """Find the loop that a text ends in: from where it repeats, and with which period.

    A text loops if it ends in at least three turns of the same tokens. Of several periods the shortest counts.

    Args:
        tokens: the text.
        longest: periods up to this are tried.

    Returns:
        The place where the first turn begins and the period, or None.
    """
    size = len(tokens)
    for period in range(1, min(longest, size // 3) + 1):
        start = size - period
        while start > 0 and tokens[start - 1] == tokens[start - 1 + period]:
            start -= 1
        if size - start >= 3 * period:
            return start, period
    return None


def _names(layer: int) -> tuple[str, ...]:
    return tuple(f"{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))


def _of_inputs(inputs: Tensor, weights: Weights) -> Tensor:
    return inputs @ weights.input.T + weights.input_bias


def _of_hidden(hidden: Tensor, weights: Weights) -> Tensor:
    return hidden @ weights.hidden.T + weights.hidden_bias
