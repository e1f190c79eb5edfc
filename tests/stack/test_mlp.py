"""`deep/mlp` against PyTorch, which its checks do not import because it is slow to."""

import numpy as np
import pytest

from groundup.stack.deep.mlp import backward, forward, initialize, train

torch = pytest.importorskip("torch")


def as_tensors(parameters):
    return [torch.tensor(array, requires_grad=True) for array in parameters]


def torch_loss(tensors, X, labels):
    W1, b1, W2, b2 = tensors
    logits = (torch.relu(torch.tensor(X) @ W1 + b1) @ W2 + b2)[:, 0]
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(labels, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [1, 50])
def test_gradients_are_those_of_autograd(seed, batch):
    rng = np.random.default_rng(seed)
    X, labels = rng.normal(size=(batch, 4)), rng.integers(0, 2, batch)
    parameters = initialize(4, 8, rng=rng)
    tensors = as_tensors(parameters)
    torch_loss(tensors, X, labels).backward()
    gradients = backward(parameters, forward(parameters, X)[1], labels)
    for ours, theirs in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_at_the_fold_the_slope_is_that_of_autograd():
    """Zeros in, biases of zero: every preactivation is exactly zero."""
    X, labels = np.zeros((3, 4)), np.array([0, 1, 1])
    parameters = initialize(4, 8, rng=np.random.default_rng(0))
    tensors = as_tensors(parameters)
    torch_loss(tensors, X, labels).backward()
    gradients = backward(parameters, forward(parameters, X)[1], labels)
    for ours, theirs in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), atol=1e-15)


def test_training_is_that_of_sgd():
    rng = np.random.default_rng(1)
    X, labels = rng.normal(size=(40, 2)), rng.integers(0, 2, 40)
    start = initialize(2, 6, rng=rng)
    tensors = as_tensors(start)
    optimizer, losses = torch.optim.SGD(tensors, lr=0.3), []
    for _ in range(50):
        optimizer.zero_grad()
        loss = torch_loss(tensors, X, labels)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    trained, curve = train(start, X, labels, learning_rate=0.3, epochs=50)
    np.testing.assert_allclose(curve[:-1], losses, rtol=1e-8)
    for ours, theirs in zip(trained, tensors, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-7)
