"""`bedrock/autograd` against PyTorch, which its checks do not import because it is slow to."""

import numpy as np
import pytest

from groundup.checking import assert_close
from groundup.course.grader.observe import digest
from groundup.stack.bedrock.autograd import Tensor, gradcheck

torch = pytest.importorskip("torch")


def assert_same_gradients(ours, theirs, *arrays):
    """`ours` of our tensors and `theirs` of torch's have the same values and the same gradients, from one seed."""
    tensors = [Tensor(array) for array in arrays]
    references = [torch.tensor(array, requires_grad=True) for array in arrays]
    result, reference = ours(*tensors), theirs(*references)
    np.testing.assert_allclose(result.data, reference.detach().numpy(), rtol=1e-12)
    seed = np.random.default_rng(1).normal(size=result.shape)
    result.backward(seed)
    reference.backward(torch.tensor(seed))
    for tensor, other in zip(tensors, references, strict=True):
        assert tensor.grad is not None
        np.testing.assert_allclose(tensor.grad, other.grad.numpy(), rtol=1e-10, atol=1e-13)


EXPRESSIONS = {
    "arithmetic": lambda a, b: a * b - b / a + a**3 - 2 * b + 1 / a,
    "matrices": lambda a, b: (a @ b.transpose(0, 1)).tanh().sum(axis=1),
    "shared": lambda a, b: ((a + b) * (a + b)).exp().mean(axis=0) * a,
    "indexed": lambda a, b: a[[0, 0, 1]] * b[:, 1:2].reshape(1, -1)[:, 0],
    "relu": lambda a, b: (a - b).relu() / (a.sum(axis=0) + b).log().sum(),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_gradients_are_those_of_torch(name, seed):
    a, b = np.random.default_rng(seed).uniform(0.5, 1.5, size=(2, 4, 4))
    expression = EXPRESSIONS[name]
    if name == "matrices":
        assert_same_gradients(lambda a, b: (a @ b.transpose(1, 0)).tanh().sum(axis=1), expression, a, b)
    else:
        assert_same_gradients(expression, expression, a, b)


@pytest.mark.parametrize("shapes", [((4,), (3, 4)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 4), (3, 1))])
def test_broadcast_gradients_are_those_of_torch(shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0.5, 1.5, size=shape) for shape in shapes)
    assert_same_gradients(lambda a, b: a * b + b / a, lambda a, b: a * b + b / a, a, b)


@pytest.mark.parametrize(
    "shapes", [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((5, 2, 3), (3, 2)), ((4, 1, 2, 3), (5, 3, 2))]
)
def test_matrix_products_are_those_of_torch(shapes):
    rng = np.random.default_rng(0)
    assert_same_gradients(lambda a, b: a @ b, lambda a, b: a @ b, *(rng.normal(size=shape) for shape in shapes))


def test_the_conventions_at_the_kink_and_at_zero_are_those_of_torch():
    x = np.array([-1.0, 0.0, 2.0])
    assert_same_gradients(lambda x: x.relu(), lambda x: x.relu(), x)
    for power in (0, 1, 2):
        assert_same_gradients(lambda x, p=power: x**p, lambda x, p=power: x**p, x)


def test_a_training_run_is_that_of_torch():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))
    start = [rng.normal(size=(3, 5)), np.zeros(5), rng.normal(size=(5, 1))]
    tensors = [Tensor(array.copy()) for array in start]
    references = [torch.tensor(array, requires_grad=True) for array in start]
    optimizer = torch.optim.SGD(references, lr=0.05)
    for _ in range(100):
        W1, b1, W2 = tensors
        (((X @ W1 + b1).tanh() @ W2 - y) ** 2).mean().backward()
        for tensor in tensors:
            assert tensor.grad is not None
            tensor.data = tensor.data - 0.05 * tensor.grad
            tensor.zero_grad()
        V1, c1, V2 = references
        optimizer.zero_grad()
        (((torch.tensor(X) @ V1 + c1).tanh() @ V2 - torch.tensor(y)) ** 2).mean().backward()
        optimizer.step()
    for tensor, reference in zip(tensors, references, strict=True):
        np.testing.assert_allclose(tensor.data, reference.detach().numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.filterwarnings("error")
def test_a_graph_a_hundred_thousand_deep_is_built_walked_and_freed():
    x = Tensor(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1
    y.backward()
    assert x.grad == 1.0
    del y


def test_gradcheck_of_an_expression_that_ignores_an_input():
    assert gradcheck(lambda a, b: a * 2 + 0 * b, np.ones(2), np.ones(2)) < 1e-9
    assert gradcheck(lambda a, b: a * 2, np.ones(2), np.ones(2)) < 1e-9


def test_a_tensor_where_numbers_belong_is_named():
    with pytest.raises(pytest.fail.Exception, match="It returned a Tensor, not numbers"):
        assert_close(Tensor(1.0), 1.0, "x.data, and not x")


def test_the_grader_looks_into_a_tensor_as_into_any_object_of_a_unit():
    x = Tensor(np.array([2.0, 3.0]))
    (x * x).sum().backward()
    name, attributes = digest(x, frozenset({Tensor.__module__}))
    assert name == "Tensor"
    kind, dtype, shape, values = dict(attributes)["grad"]
    assert (kind, dtype, shape, values.tolist()) == ("array", "<f8", (2,), [4.0, 6.0])
