"""The implementations of the units beside the libraries that do the same, on one thread, in the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.measure import Figure, side_by_side


def run() -> Iterator[Figure]:
    """Each pair computes the same numbers, which is asserted first."""
    for what, ours, peer, peer_is in (*_vectors(), *_logistic_regression(), *_mlp(), *_autograd(), *_attention()):
        mine, theirs = side_by_side(ours, peer)
        yield Figure(what, mine * 1000, "ms", None, theirs * 1000, peer_is, 7)


Pair = tuple[str, Callable[[], Any], Callable[[], Any], str]


def _vectors() -> Iterator[Pair]:
    from scipy.spatial.distance import cdist
    from sklearn.metrics.pairwise import cosine_similarity as reference

    from groundup.stack.bedrock.vectors import Dense, cosine_similarity, dense_loop, pairwise_distances

    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(1000, 384)), rng.normal(size=(2000, 384))
    assert np.allclose(cosine_similarity(queries, items), reference(queries, items))
    yield (
        "cosine similarity, 1,000 × 2,000 of 384",
        lambda: cosine_similarity(queries, items),
        lambda: reference(queries, items),
        "scikit-learn",
    )
    few = queries[:200, :32], items[:500, :32]
    assert np.allclose(pairwise_distances(*few), cdist(*few))
    yield "distances, 200 × 500 of 32", lambda: pairwise_distances(*few), lambda: cdist(*few), "scipy cdist"
    layer = Dense(16, 8, rng=rng)
    batch = rng.normal(size=(10_000, 16))
    assert np.allclose(layer.forward(batch), dense_loop(batch, layer.weights, layer.bias))
    yield (
        "dense layer, batch 10,000, 16 → 8",
        lambda: layer.forward(batch),
        lambda: dense_loop(batch, layer.weights, layer.bias),
        "three loops",
    )


def _logistic_regression() -> Iterator[Pair]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression as Reference
    from sklearn.preprocessing import StandardScaler

    from groundup.stack.classical.logistic_regression import LogisticRegression

    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = LogisticRegression(l2=1.0)
    theirs = Reference(C=1.0, solver="newton-cholesky", tol=1e-8)
    assert np.allclose(ours.fit(X, y).coef_.ravel(), theirs.fit(X, y).coef_.ravel(), atol=1e-3)
    yield (
        "logistic regression, breast cancer (569 × 30)",
        lambda: ours.fit(X, y),
        lambda: theirs.fit(X, y),
        "scikit-learn, newton-cholesky",
    )


def _mlp() -> Iterator[Pair]:
    import torch
    from torch.nn import functional

    from groundup.stack.deep.mlp import backward, forward, initialize

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(256, 32)), rng.integers(0, 2, size=256)
    parameters = initialize(32, 64, rng=rng)
    references = [torch.tensor(array, requires_grad=True) for array in parameters]
    data, labels = torch.tensor(X), torch.tensor(y, dtype=torch.float64)

    def ours() -> Any:
        return backward(parameters, forward(parameters, X)[1], y)

    def theirs() -> Any:
        W1, b1, W2, b2 = references
        logits = ((data @ W1 + b1).relu() @ W2 + b2).reshape(-1)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        return torch.autograd.grad(loss, references)

    assert all(np.allclose(a, b.numpy()) for a, b in zip(ours(), theirs(), strict=True))
    yield "two-layer network, gradients, batch 256, 32 → 64 → 1", ours, theirs, "torch.autograd, one thread"


def _autograd() -> Iterator[Pair]:
    import torch

    from groundup.stack.bedrock.autograd import Tensor

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X, W, V = rng.normal(size=(256, 64)), rng.normal(size=(64, 128)), rng.normal(size=(128, 10))
    tensors, references = [Tensor(W), Tensor(V)], [torch.tensor(a, requires_grad=True) for a in (W, V)]
    data = torch.tensor(X)

    def ours() -> Any:
        for tensor in tensors:
            tensor.zero_grad()
        ((X @ tensors[0]).tanh() @ tensors[1]).mean().backward()
        return tensors[0].grad

    def theirs() -> Any:
        for reference in references:
            reference.grad = None
        ((data @ references[0]).tanh() @ references[1]).mean().backward()
        return references[0].grad

    assert np.allclose(ours(), theirs().numpy())
    yield "autograd, two layers forward and backward, batch 256", ours, theirs, "torch.autograd, one thread"


def _attention() -> Iterator[Pair]:
    import torch
    from torch.nn import functional

    from groundup.stack.deep.attention import attend

    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(8, 4, 128, 32, generator=generator) for _ in range(3))

    def ours() -> Any:
        return attend(q, k, v)

    def theirs() -> Any:
        return functional.scaled_dot_product_attention(q, k, v)

    assert torch.allclose(ours()[0], theirs(), atol=1e-5)
    yield "attention, batch 8, 4 heads, 128 tokens, 32 wide", ours, theirs, "torch, fused"
