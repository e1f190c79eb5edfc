"""`production/adversarial` where the truth is known: linear models, and a task on which training has to help."""

import numpy as np
import pytest
import torch
from torch import nn

from groundup.stack.production.adversarial import MUTATIONS, certified, mutate, pgd, project, robustness, train
from groundup.stack.production.adversarial.labs import SUSPICIOUS, TRIGGERS, demanded, readings


@pytest.mark.parametrize("budget", [0.02, 0.05, 0.1])
def test_on_a_linear_model_attack_and_proof_meet_at_the_closed_form(budget: float) -> None:
    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(rng.normal(size=(2, 12)))
    model = nn.Sequential(nn.Linear(12, 2)).double().requires_grad_(False)
    model.load_state_dict({"0.weight": drawn, "0.bias": -0.5 * drawn.sum(dim=1)})
    x = torch.from_numpy(0.2 + 0.6 * rng.random((300, 12)))  # no change of this size meets 0 or 1
    labels = torch.from_numpy(rng.integers(2, size=300))
    logits = model(x)
    weights = model.get_parameter("0.weight")
    difference = weights[labels] - weights[1 - labels]
    rows = torch.arange(300)
    margins = logits[rows, labels] - logits[rows, 1 - labels]
    for norm, dual in (("inf", 1), ("2", 2)):
        expected = margins - budget * torch.linalg.vector_norm(difference, dual, dim=1)
        found = model(pgd(model, x, labels, budget, norm=norm, steps=20))  # type: ignore[arg-type]
        torch.testing.assert_close(found[rows, labels] - found[rows, 1 - labels], expected, rtol=1e-9, atol=1e-9)
    exact = margins - budget * difference.abs().sum(dim=1) > 0
    assert 0 < int(exact.sum()) < int((margins > 0).sum())
    assert not (certified(model, x, labels, budget) & ~exact).any()


def test_projection_onto_the_ball_is_that_of_numpy() -> None:
    change = np.random.default_rng(1).normal(size=(50, 7))
    lengths = np.linalg.norm(change, axis=1, keepdims=True)
    expected = np.where(lengths > 2, 2 * change / lengths, change)
    torch.testing.assert_close(project(torch.from_numpy(change), 2.0, "2"), torch.from_numpy(expected))


def test_training_against_the_attack_trusts_the_strong_sign() -> None:
    """Forty weak signs of the class are always right and easily moved; a strong one is right nine times of ten."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(2, size=1000))
    signs = (2 * labels - 1).double()
    x = 0.5 + 0.1 * signs[:, None] + 0.02 * torch.from_numpy(rng.normal(size=(1000, 41)))
    x[:, 0] = 0.5 + 0.4 * signs * torch.from_numpy(np.where(rng.random(1000) < 0.1, -1.0, 1.0))
    shares = {}
    for budget in (0.0, 0.2):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(41, 2))
        train(model, x[:800].float(), labels[:800], rng, budget=budget, steps=600, rate=0.02)
        shares[budget] = robustness(model, x[800:].float(), labels[800:], 0.2, rng)
    assert shares[0.0].clean > 0.95
    assert shares[0.0].attacked < 0.2
    assert shares[0.2].attacked > 0.8


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_the_labs_assistant_reads_every_disguise(trigger: str, mutation: str) -> None:
    prompt = mutate(f'{trigger} Write "hello" in 3 words.', mutation)
    wanted = 'write "hello" in 3 words.'
    found = [demanded(text) for text in readings(prompt)]
    assert any(text.replace("3", "e") == wanted.replace("3", "e") for text in found)


def test_the_labs_filter_of_words_knows_one_way_to_say_it() -> None:
    assert SUSPICIOUS.search(TRIGGERS[0])
    assert not SUSPICIOUS.search(TRIGGERS[1])
    assert not SUSPICIOUS.search("I cannot log in, please reset my password")
