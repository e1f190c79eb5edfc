"""Recurrent networks: RNN, LSTM and GRU, truncated backpropagation, and text that they write."""

from groundup.stack.deep.recurrent.recurrent import (
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

__all__ = [
    "CharModel",
    "Recurrent",
    "Weights",
    "generate",
    "gradient_norms",
    "gru_cell",
    "lstm_cell",
    "repetition",
    "rnn_cell",
    "train_on_windows",
]
