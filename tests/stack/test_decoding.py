"""`generative/decoding` against transformers: the same truncations, and the same text of the same weights."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from groundup.stack.generative.decoding import (
    JsonConstraint,
    Sampling,
    accept,
    generate,
    json_pattern,
    least_length,
    min_p,
    speculate,
    top_k,
    top_p,
)
from groundup.stack.generative.gpt import GPT, from_hugging_face

transformers: Any = pytest.importorskip("transformers")
PROMPTS = [[5, 17, 3, 8, 29, 4], [11], [2, 30, 7]]


@pytest.fixture(scope="module")
def logits() -> torch.Tensor:
    return 3 * torch.randn(64, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("value", [0.05, 0.3, 0.7, 0.95, 0.999, 1.0])
def test_top_p_and_min_p_are_those_of_transformers(logits: torch.Tensor, value: float) -> None:
    ids = torch.zeros(len(logits), 1, dtype=torch.long)
    theirs = transformers.TopPLogitsWarper(value)(ids, logits) if value < 1 else logits
    torch.testing.assert_close(top_p(logits, value), theirs, rtol=0, atol=0)
    torch.testing.assert_close(min_p(logits, value), transformers.MinPLogitsWarper(value)(ids, logits), rtol=0, atol=0)


@pytest.mark.parametrize("k", [1, 2, 40, 500, 900])
def test_top_k_is_that_of_transformers(logits: torch.Tensor, k: int) -> None:
    ids = torch.zeros(len(logits), 1, dtype=torch.long)
    torch.testing.assert_close(top_k(logits, k), transformers.TopKLogitsWarper(k)(ids, logits), rtol=0, atol=0)
    tied = logits.round()
    torch.testing.assert_close(top_k(tied, k), transformers.TopKLogitsWarper(k)(ids, tied), rtol=0, atol=0)


def test_all_of_them_together_are_the_distribution_of_transformers(logits: torch.Tensor) -> None:
    ids = torch.zeros(len(logits), 1, dtype=torch.long)
    warpers = transformers.LogitsProcessorList(
        [
            transformers.TemperatureLogitsWarper(1.7),
            transformers.TopKLogitsWarper(60),
            transformers.TopPLogitsWarper(0.9),
            transformers.MinPLogitsWarper(0.02),
        ]
    )
    ours = Sampling(1.7, k=60, p=0.9, least=0.02).probabilities(logits)
    torch.testing.assert_close(ours, warpers(ids, logits).softmax(-1))


@pytest.fixture(scope="module")
def llama() -> tuple[Any, GPT]:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    theirs = transformers.LlamaForCausalLM(config).eval()
    return theirs, from_hugging_face(theirs.state_dict(), config).eval()


def test_a_padded_batch_gets_the_text_of_transformers(llama: tuple[Any, GPT]) -> None:
    theirs, ours = llama
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in PROMPTS])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in PROMPTS])
    expected = theirs.generate(ids, attention_mask=mask, max_new_tokens=20, do_sample=False)[:, width:].tolist()
    for cached in (True, False):
        steps = list(generate(ours, PROMPTS, 20, cached=cached))
        assert [list(row) for row in zip(*steps, strict=True)] == expected
    assert len({tuple(row) for row in expected}) == 3, "the prompts must matter"


def test_speculation_writes_the_text_of_transformers(llama: tuple[Any, GPT]) -> None:
    theirs, ours = llama
    draft = GPT(ours.config).eval()
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        expected = theirs.generate(ids, attention_mask=mask, max_new_tokens=20, do_sample=False)[0, len(prompt) :]
        rounds = list(speculate(ours, draft, prompt, 20, lookahead=3))
        assert [token for tokens in rounds for token in tokens] == expected.tolist()


def test_a_stop_token_ends_rows_where_transformers_ends_them(llama: tuple[Any, GPT]) -> None:
    theirs, ours = llama
    whole = [list(row) for row in zip(*generate(ours, PROMPTS, 20), strict=True)]
    stop = whole[0][4] or 1
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        text = theirs.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, eos_token_id=stop
        )
        expected.append(text[0, len(prompt) :].tolist())
    steps = generate(ours, PROMPTS, 20, stop=[stop])
    assert [[token for token in row if token is not None] for row in zip(*steps, strict=True)] == expected
    assert len({len(row) for row in expected}) > 1, "rows must end at different places"


def test_acceptance_is_exact_over_every_pair_of_tokens() -> None:
    """Not by draws: the share of each outcome, summed over guesses and over a fine grid of the one random number."""
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]).double(), torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    outcome, grid = torch.zeros(4).double(), 2000
    residual = (p - q).clamp(min=0) / (p - q).clamp(min=0).sum()
    for guess in range(4):
        kept = sum(bool((place + 0.5) / grid * q[guess] <= p[guess]) for place in range(grid)) / grid
        outcome[guess] += q[guess] * kept
        outcome += q[guess] * (1 - kept) * residual
    torch.testing.assert_close(outcome, p, rtol=0, atol=1e-3)
    state = torch.Generator().manual_seed(0)
    target = torch.stack([p, p])
    guesses = torch.multinomial(q, 6_000, replacement=True, generator=state).tolist()
    first = np.bincount([accept([guess], q[None], target, state)[0] for guess in guesses], minlength=4)
    np.testing.assert_allclose(first / 6_000, p.numpy(), atol=0.025)
    assert first[3] == 0


def test_constrained_text_is_valid_by_jsonschema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 9},
            "level": {"enum": ["low", "hög", 3, None, [1]]},
            "ports": {"type": "array", "items": {"type": "integer"}, "maxItems": 4},
            "where": {"type": "object", "properties": {"x": {"type": "number"}, "up": {"type": "boolean"}}},
            "nothing": {"type": "null"},
            "rows": {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "minItems": 2}},
        },
        "required": ["name", "level", "ports", "where", "nothing", "rows"],
        "additionalProperties": False,
    }
    vocabulary = ["", *map(chr, range(32, 127)), '": "', '", "', "é", "雪", "true", "[[", "]]", "}", "\n", '"}']
    constraint = JsonConstraint(schema, vocabulary, stop=0)
    state = torch.Generator().manual_seed(0)
    least = int(least_length(json_pattern(schema)))

    def noise(tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, cache: object) -> torch.Tensor:
        return torch.randn(*tokens.shape, len(vocabulary), generator=state)

    lengths = set()
    for limit in (least, least + 1, least + 30, 300):
        steps = generate(
            noise, [[1]] * 4, limit, Sampling(), stop=[0], cached=False, allowed=constraint, generator=state
        )
        for row in zip(*steps, strict=True):
            text = "".join(vocabulary[token] for token in row if token is not None)
            jsonschema.validate(json.loads(text), schema)
            lengths.add(len(text))
    assert least <= min(lengths) < least + 10
    assert max(lengths) > least + 20
