# pyright: basic
"""Ways to get recurrent networks wrong, and right ways that differ."""

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.deep.recurrent.recurrent import _of_hidden, _of_inputs


@mistake(
    "rnn_cell",
    edit=(
        "torch.tanh(_of_inputs(inputs, weights) + _of_hidden(hidden, weights))",
        "torch.sigmoid(_of_inputs(inputs, weights) + _of_hidden(hidden, weights))",
    ),
)
def squashes_by_a_sigmoid():
    """You use a sigmoid. The state of an RNN is a tanh: it has both signs, and a slope of 1 at 0."""


@mistake("rnn_cell", edit=("_of_inputs(inputs, weights) + _of_hidden(hidden, weights)", "_of_inputs(inputs, weights)"))
def forgets_the_state():
    """You leave the old state out: that is a network without memory."""


@mistake("lstm_cell", edit=("take, keep, candidate, show =", "keep, take, candidate, show ="))
def swaps_input_and_forget_gate():
    """You take the forget gate's rows for the input gate's. The order is input, forget, candidate, output."""


@mistake("lstm_cell", edit=("show.sigmoid() * cell.tanh()", "show.sigmoid() * cell"))
def shows_the_bare_cell():
    """You show the cell itself. The cell may be large: what is shown is its tanh."""


@mistake("lstm_cell", edit=("cell = keep.sigmoid() * cell", "cell = (1 - take.sigmoid()) * cell"))
def ties_the_gates():
    """You keep what the input gate does not take. That is a GRU's way: an LSTM has a forget gate of its own."""


@mistake("lstm_cell", edit=("return show.sigmoid() * cell.tanh(), cell", "return cell, show.sigmoid() * cell.tanh()"))
def swaps_the_results():
    """You return the cell first. The hidden state comes first, then the cell."""


@mistake("gru_cell", edit=("keep * hidden + (1 - keep) * candidate", "(1 - keep) * hidden + keep * candidate"))
def updates_the_other_way():
    """You let the update gate take in the candidate. In PyTorch's form it is the share of the old state that stays."""


@mistake("gru_cell", edit=("(candidate + (reset + reset_h).sigmoid() * candidate_h)", "(candidate + candidate_h)"))
def never_resets():
    """You leave the reset gate out: the candidate then always sees the whole state."""


@mistake("gru_cell", edit=("reset, update, candidate = _of_inputs", "update, reset, candidate = _of_inputs"))
def swaps_the_gates_of_the_input():
    """You take the update gate's rows of the input for the reset gate's. The order is reset, update, candidate."""


@mistake("Recurrent.forward", edit=("step = layers[layer][0]", "pass"))
def feeds_every_layer_the_input():
    """Your layers all read the input. Each reads the hidden state of the one below."""


@mistake("Recurrent.forward", edit=("outputs.append(step)", "outputs.append(layers[0][0])"))
def returns_the_first_layer():
    """You return the outputs of the first layer. Those of the last are asked for."""


@mistake(
    "Recurrent.forward", edit=("self.initial_state(inputs) if state is None else state", "self.initial_state(inputs)")
)
def always_begins_anew():
    """You begin with zeros though a state was given: nothing is carried over from the window before."""


@mistake("Recurrent.forward", edit=("torch.stack(outputs, dim=1)", "torch.stack(outputs)"))
def puts_time_first():
    """You stack the steps in front. The batch comes first, then the steps."""


@mistake("train_on_windows", edit=("part.detach() for part in after", "torch.zeros_like(part) for part in after"))
def forgets_between_windows():
    """You begin each window with zeros. The gradient stops there; the memory goes on."""


@mistake("train_on_windows", edit=("tokens[:, start + 1 : start + window + 1]", "tokens[:, start : start + window]"))
def predicts_the_present():
    """You ask for the token that was just read. The target is the next one."""


@mistake("train_on_windows", edit=("        nn.utils.clip_grad_norm_(model.parameters(), max_norm)\n", ""))
def never_clips():
    """You do not clip: one exploding gradient throws the network off."""


@mistake("train_on_windows", edit=("        optimizer.zero_grad()\n", ""))
def keeps_old_gradients():
    """You never forget gradients: those of earlier windows add up."""


@mistake("generate", edit=("model(token[None], state)", "model(token[None], None)"))
def forgets_what_it_wrote():
    """You begin each token with an empty state: the network knows the last token and nothing before it."""


@mistake("generate", edit=("scores / temperature", "scores * temperature"))
def turns_the_temperature_round():
    """You multiply logits by the temperature. A high one makes the text wilder: divide."""


@mistake("generate", edit=("scores = logits[0, -1]", "scores = logits[0, 0]"))
def continues_the_first_token():
    """You take the logits after the prompt's first token. The last ones have seen all of it."""


@variant("rnn_cell")
def by_one_product(inputs, hidden, weights):
    """Input and state side by side, one matrix."""
    both = torch.cat([inputs, hidden], dim=1) @ torch.cat([weights.input, weights.hidden], dim=1).T
    return (both + (weights.input_bias + weights.hidden_bias)).tanh()


@variant("lstm_cell")
def gate_by_gate(inputs, hidden, cell, weights):
    """Rows are cut by hand."""
    size = hidden.shape[1]
    total = nn.functional.linear(inputs, weights.input, weights.input_bias) + _of_hidden(hidden, weights)
    i, f, g, o = (total[:, k * size : (k + 1) * size] for k in range(4))
    new = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(new), new


@variant("gru_cell")
def by_a_step_towards_the_candidate(inputs, hidden, weights):
    """The candidate plus a share of the distance."""
    a, b = _of_inputs(inputs, weights), _of_hidden(hidden, weights)
    size = hidden.shape[1]
    reset, keep = torch.sigmoid(a[:, : 2 * size] + b[:, : 2 * size]).chunk(2, 1)
    candidate = torch.tanh(a[:, 2 * size :] + reset * b[:, 2 * size :])
    return candidate + keep * (hidden - candidate)


@variant("Recurrent.forward")
def layer_by_layer(self, inputs, state=None):
    """Each layer reads the whole sequence before the next begins."""
    if inputs.shape[1] < 1:
        raise ValueError(f"inputs have no step: {tuple(inputs.shape)}")
    if state is None:
        state = self.initial_state(inputs)
    ends = []
    for layer in range(self.layers):
        current, outputs = tuple(part[layer] for part in state), []
        for time in range(inputs.shape[1]):
            current = self._step(inputs[:, time], current, self.weights(layer))
            outputs.append(current[0])
        inputs = torch.stack(outputs, 1)
        ends.append(current)
    return inputs, tuple(torch.stack([end[k] for end in ends]) for k in range(len(ends[0])))
