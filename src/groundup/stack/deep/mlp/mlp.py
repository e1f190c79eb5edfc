"""A two-layer network by hand: linear, ReLU, linear, sigmoid; forward, backward, and gradient descent.

    parameters = initialize(2, 16, rng=np.random.default_rng(0))
    for _ in range(1000):
        logits, cache = forward(parameters, X)
        parameters = update(parameters, backward(parameters, cache, labels), learning_rate=0.5)

Going forward, every intermediate result that the way back needs is kept in a cache. Going back, the chain rule turns
the slope of the loss in each layer's outputs into its slope in the layer's parameters and inputs. A name `d_something`
is the slope of the loss in `something`, and has its shape.

Axes: `batch` samples, `features` of a sample, `hidden` units.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike

from groundup.stack.bedrock.vectors import relu
from groundup.stack.classical.logistic_regression import (
    binary_cross_entropy,
    check_features,
    check_training_data,
    check_two_classes,
    sigmoid,
)


class Parameters(NamedTuple):
    """What the network learns; its gradients come in the same form."""

    W1: Float[np.ndarray, "features hidden"]
    b1: Float[np.ndarray, " hidden"]
    W2: Float[np.ndarray, "hidden 1"]
    b2: Float[np.ndarray, " 1"]


class Cache(NamedTuple):
    """The intermediate results of one forward pass that the backward pass needs."""

    inputs: Float[np.ndarray, "batch features"]
    preactivations: Float[np.ndarray, "batch hidden"]  # before the ReLU
    activations: Float[np.ndarray, "batch hidden"]  # after it
    logits: Float[np.ndarray, " batch"]


# --- layers --------------------------------------------------------------------------------------------------


def he_normal(fan_in: int, fan_out: int, *, rng: np.random.Generator) -> Float[np.ndarray, "fan_in fan_out"]:
    """Draw independent weights from a normal distribution of mean 0 and variance 2 / fan_in.

    A unit adds fan_in products up, and its ReLU then drops half of the result's power; the 2 makes up for that, so
    that signals keep their size from layer to layer. Source: He et al. (2015), "Delving Deep into Rectifiers",
    equation 10.

    Args:
        fan_in: how many inputs each unit has.
        fan_out: how many units there are.
        rng: where the random numbers come from, and nowhere else.
    """
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), size=(fan_in, fan_out))


def linear(
    inputs: Float[np.ndarray, "batch fan_in"],
    weights: Float[np.ndarray, "fan_in fan_out"],
    bias: Float[np.ndarray, " fan_out"],
) -> Float[np.ndarray, "batch fan_out"]:
    """Return inputs · weights + bias, for every row."""
    return inputs @ weights + bias


def linear_backward(
    d_outputs: Float[np.ndarray, "batch fan_out"],
    inputs: Float[np.ndarray, "batch fan_in"],
    weights: Float[np.ndarray, "fan_in fan_out"],
) -> tuple[Float[np.ndarray, "batch fan_in"], Float[np.ndarray, "fan_in fan_out"], Float[np.ndarray, " fan_out"]]:
    """Carry the slope of the loss back through `linear`.

    Args:
        d_outputs: slope in the layer's outputs.
        inputs: what the layer was given.
        weights: what it multiplied by.

    Returns:
        The slopes in the inputs, in the weights and in the bias, in new arrays. The last two add up over the batch,
        because every sample used the same weights; over no samples they add up to zero.
    """
    return d_outputs @ weights.T, inputs.T @ d_outputs, d_outputs.sum(axis=0)


def relu_backward(
    d_outputs: Float[np.ndarray, "batch hidden"], inputs: Float[np.ndarray, "batch hidden"]
) -> Float[np.ndarray, "batch hidden"]:
    """Carry the slope of the loss back through a ReLU: it passes where the input was positive, and nowhere else.

    At exactly zero there is no slope; like PyTorch, this takes 0. The result is a new array.
    """
    return d_outputs * (inputs > 0)


# --- the network ---------------------------------------------------------------------------------------------


def initialize(features: int, hidden: int, *, rng: np.random.Generator) -> Parameters:
    """Draw the parameters of a network: He-normal weights, W1 before W2, and biases of zero."""
    return Parameters(
        W1=he_normal(features, hidden, rng=rng),
        b1=np.zeros(hidden),
        W2=he_normal(hidden, 1, rng=rng),
        b2=np.zeros(1),
    )


def forward(
    parameters: Parameters, inputs: Float[np.ndarray, "batch features"]
) -> tuple[Float[np.ndarray, " batch"], Cache]:
    """Return the log-odds of the positive class for each row, and the cache for `backward`.

    Nothing is written to, and a later call leaves the results of an earlier one alone.

    Raises:
        ValueError: the rows do not have as many features as the network. The message names `inputs`.
    """
    _check_inputs(parameters, inputs)
    preactivations = linear(inputs, parameters.W1, parameters.b1)
    activations = relu(preactivations)
    logits = linear(activations, parameters.W2, parameters.b2)[:, 0]
    return logits, Cache(inputs, preactivations, activations, logits)


def backward(parameters: Parameters, cache: Cache, labels: Shaped[np.ndarray, " batch"]) -> Parameters:
    """Return the gradient of the mean binary cross-entropy in every parameter.

    Where a unit's preactivation is exactly zero, its ReLU has a slope of 0, as in `relu_backward`. Not-a-number in the
    inputs is not hidden: W1, W2 and b2 are not-a-number then.

    Args:
        parameters: those of the forward pass.
        cache: what `forward` kept; there is no second forward pass.
        labels: 0 or 1 for each row.

    Raises:
        ValueError: there is not one label for each row, in one axis. The message names `labels`.
    """
    _check_labels(cache, labels)
    # Prediction minus label: the slope of the loss in the logit, through the sigmoid and the logarithm at once.
    d_logits = (sigmoid(cache.logits) - labels)[:, None] / len(labels)  # (batch, 1)
    d_activations, d_W2, d_b2 = linear_backward(d_logits, cache.activations, parameters.W2)
    d_preactivations = relu_backward(d_activations, cache.preactivations)
    _, d_W1, d_b1 = linear_backward(d_preactivations, cache.inputs, parameters.W1)
    return Parameters(d_W1, d_b1, d_W2, d_b2)


def update(parameters: Parameters, gradients: Parameters, learning_rate: float) -> Parameters:
    """Take one step of gradient descent, W ← W - learning_rate · dW for each parameter, into new arrays."""
    return Parameters(*(p - learning_rate * d for p, d in zip(parameters, gradients, strict=True)))


def train(
    parameters: Parameters,
    inputs: Float[np.ndarray, "batch features"],
    labels: Shaped[np.ndarray, " batch"],
    *,
    learning_rate: float,
    epochs: int,
) -> tuple[Parameters, Float[np.ndarray, " epochs+1"]]:
    """Take `epochs` steps of gradient descent, each on the whole batch.

    Args:
        parameters: where to start; left unmodified, so that training can go on from any point.
        inputs: the features.
        labels: 0 or 1 for each row.
        learning_rate: step size.
        epochs: how many steps, whatever the loss does on the way.

    Returns:
        The parameters after the last step, and the loss before the first step and after each.

    Raises:
        ValueError: shapes or labels do not fit; or the loss stopped being finite, and then the message names
            `learning_rate` and its value.
    """
    losses = []
    for _ in range(epochs):
        logits, cache = forward(parameters, inputs)
        losses.append(binary_cross_entropy(logits, labels))
        parameters = update(parameters, backward(parameters, cache, labels), learning_rate)
    losses.append(binary_cross_entropy(forward(parameters, inputs)[0], labels))
    _check_losses(losses, learning_rate)
    return parameters, np.array(losses)


class MLPClassifier:
    """Binary classifier with one hidden layer of ReLU units, trained by gradient descent on the whole batch.

    Standardise the columns of X first. No penalty, no mini-batches, no early stopping: those have their own units.

    Attributes:
        classes_: the two labels, sorted; the second is the positive class, of shape (2,).
        parameters_: what was learned.
        loss_curve_: the loss before the first step and after each, of shape (epochs + 1,).
        n_features_in_: number of columns of X in `fit`.
    """

    def __init__(self, hidden: int = 16, *, learning_rate: float = 0.5, epochs: int = 1000, seed: int = 0) -> None:
        """Store the settings; `fit` checks them.

        Args:
            hidden: number of hidden units.
            learning_rate: step size.
            epochs: how many steps.
            seed: of the initial weights.
        """
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike) -> "MLPClassifier":
        """Learn from fresh initial weights; the same seed gives the same network. Returns the estimator itself.

        The weights come from `initialize` with a generator of their own: NumPy's global random state is neither used
        nor changed.

        Args:
            X: features of shape (n_samples, n_features).
            y: labels of two kinds (numbers, strings, booleans), of shape (n_samples,).

        Raises:
            ValueError: a setting, a shape or a value breaks a rule, or the loss stopped being finite. The message names
                the setting (with its value), X or y.
        """
        _check_settings(self)
        X, y = check_training_data(X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        check_two_classes(self.classes_)
        start = initialize(X.shape[1], self.hidden, rng=np.random.default_rng(self.seed))
        self.parameters_, self.loss_curve_ = train(
            start, X, labels, learning_rate=self.learning_rate, epochs=self.epochs
        )
        self.n_features_in_ = X.shape[1]
        return self

    def decision_function(self, X: ArrayLike) -> Float[np.ndarray, " batch"]:
        """Return the log-odds of the positive class for each row.

        Raises:
            ValueError: X is not a finite table with as many columns as in `fit`, or there was no `fit` yet.
        """
        X = check_features(X, fitted=self)
        return forward(self.parameters_, X)[0]

    def predict_proba(self, X: ArrayLike) -> Float[np.ndarray, "batch 2"]:
        """Return the probability of each class for each row, columns in the order of `classes_`."""
        logits = self.decision_function(X)
        return np.column_stack([sigmoid(-logits), sigmoid(logits)])

    def predict(self, X: ArrayLike) -> Shaped[np.ndarray, " batch"]:
        """Return the likelier label of each row; at even odds the first of `classes_`.

        Labels come back as they were given to `fit`. X is refused as by `decision_function`.
        """
        logits = self.decision_function(X)
        return self.classes_[(logits > 0).astype(int)]


# --- what is refused -----------------------------------------------------------------------------------------


def _check_inputs(parameters: Parameters, inputs: np.ndarray) -> None:
    if np.ndim(inputs) != 2 or np.shape(inputs)[1] != len(parameters.W1):
        raise ValueError(
            f"inputs must have shape (batch, {len(parameters.W1)}), one column for each row of W1; "
            f"got {np.shape(inputs)}. One sample: x[None, :]."
        )


def _check_labels(cache: Cache, labels: np.ndarray) -> None:
    if np.shape(labels) != cache.logits.shape:
        # (batch, 1) labels would broadcast against (batch,) logits to (batch, batch).
        raise ValueError(
            f"labels must have shape {cache.logits.shape}, one for each row of the batch; got {np.shape(labels)}. "
            "Flatten them with .ravel()."
        )


def _check_losses(losses: list[float], learning_rate: float) -> None:
    if not np.isfinite(losses).all():
        step = int(np.flatnonzero(~np.isfinite(losses))[0])
        raise ValueError(
            f"learning_rate must be smaller, got {learning_rate}: the loss was {losses[step]} after step {step}. "
            "Standardise the inputs, or divide learning_rate by 10."
        )


def _check_settings(model: MLPClassifier) -> None:
    if model.hidden < 1:
        raise ValueError(f"hidden must be at least 1, got {model.hidden!r}.")
    if model.epochs < 0:
        raise ValueError(f"epochs must be at least 0, got {model.epochs!r}.")
    if not (np.isfinite(model.learning_rate) and model.learning_rate >= 0):
        raise ValueError(f"learning_rate must be a finite number of at least 0, got {model.learning_rate!r}.")
