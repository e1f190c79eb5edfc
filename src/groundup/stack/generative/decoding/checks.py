"""Checks of decoding."""

import json
import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from scipy import stats

from groundup.checking import (
    assert_close,
    assert_dtype_kept,
    assert_leading_axes,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
)
from groundup.stack.generative.decoding import (
    GREEDY,
    JsonConstraint,
    KeyValueCache,
    Sampling,
    accept,
    generate,
    json_pattern,
    left_pad,
    min_p,
    speculate,
    top_k,
    top_p,
    visible,
)
from groundup.stack.generative.gpt import GPT, Config

PROMPTS = [[3, 1, 4, 1, 5], [9], [2, 6]]
HALVES = torch.tensor([0.05, 0.5, 0.15, 0.3]).log()  # likeliest: tokens 1, 3, 2, 0


@lru_cache
def gpt(seed=0, layers=2):
    """A model with random weights, large enough that its greedy text wanders."""
    torch.manual_seed(seed)
    model = GPT(Config(vocabulary=11, layers=layers, heads=4, width=16, context=64, kv_heads=2)).double().eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.5)
    return model


class Watched:
    """A model that keeps what it was called with, and what it gave."""

    def __init__(self, model):
        self.model, self.calls, self.logits, self.positions = model, [], [], []

    def __call__(self, tokens, positions, mask, cache):
        """Call the model."""
        logits = self.model(tokens, positions, mask, cache)
        self.calls.append(tokens.tolist())
        self.positions.append(positions.tolist())
        self.logits.append(logits.clone())
        return logits


class Markov:
    """A model whose next token depends on the last one only: row x of the table is what follows x."""

    def __init__(self, table):
        self.table = torch.as_tensor(table, dtype=torch.float64)

    def __call__(self, tokens, positions, mask, cache):
        """Look up; the cache is filled, too, so that its length is right."""
        if cache is not None:
            cache.extend(0, *[torch.zeros(len(tokens), 1, tokens.shape[1], 1)] * 2)
        return self.table[tokens].log()


COUNTING = Markov(np.roll(np.eye(6), 1, axis=1))  # after x comes x + 1


def rows(steps):
    """The tokens of each row, without None."""
    return [[token for token in row if token is not None] for row in zip(*steps, strict=True)]


def flat(rounds):
    """All tokens of all rounds."""
    return [token for tokens in rounds for token in tokens]


def seeded(rng):
    """A generator of PyTorch's, by a draw of `rng`."""
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def likely(counts, probabilities):
    """Whether counts may come from a distribution: no count where there is 0, and a chi-square that is not too rare."""
    counts, probabilities = np.asarray(counts).ravel(), np.asarray(probabilities).ravel()
    possible = probabilities > 0
    expected = probabilities[possible] / probabilities.sum() * counts.sum()
    return counts[~possible].sum() == 0 and stats.chisquare(counts[possible], expected).pvalue > 1e-4


# --- what may be drawn ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "kept"), [(0.01, [1]), (0.49, [1]), (0.6, [1, 3]), (0.9, [1, 2, 3]), (0.96, [0, 1, 2, 3])]
)
def test_top_p_by_hand(p, kept):
    """Of 0.05, 0.5, 0.15 and 0.3: the likeliest until they hold p together, the one that crosses p included."""
    result = top_p(HALVES, p)
    assert torch.isfinite(result).nonzero()[:, 0].tolist() == kept, f"for p = {p} tokens {kept} stay: {result}"
    assert_close(result[kept], HALVES[kept], "the logits of what stays are as they were")


def test_top_p_is_the_smallest_set(rng):
    """What stays holds p at least, less than p without its least likely token, and nothing outside is likelier."""
    logits = torch.from_numpy(3 * rng.standard_normal((50, 30)))
    kept = torch.isfinite(top_p(logits, 0.7))
    probabilities = logits.softmax(-1)
    least = probabilities.masked_fill(~kept, math.inf).amin(-1)
    mass = probabilities.where(kept, 0).sum(-1)
    assert (mass >= 0.7).all(), "the set must reach p: the token that crosses p belongs to it"
    assert (mass - least < 0.7).all(), "without its least likely token the set must miss p"
    assert (probabilities.masked_fill(kept, 0).amax(-1) <= least).all(), "a likelier token was left out"


def test_top_p_owes_what_functions_owe(rng):
    """Any axes in front, the dtype kept, the argument unchanged, forbidden tokens still forbidden."""
    logits = torch.from_numpy(rng.standard_normal((4, 9)))
    assert_leading_axes(lambda logits: top_p(logits, 0.6), logits)
    assert_dtype_kept(lambda logits: top_p(logits, 0.6), logits)
    assert_unchanged(lambda logits: top_p(logits, 0.6), logits)
    assert_close(top_p(torch.tensor([0.0, -math.inf, 0.0]), 0.9), [0, -math.inf, 0], "-inf in, -inf out")


def test_top_p_at_its_ends():
    """Of equal tokens the lower numbers stay; p = 1 keeps even a token of 1e-30."""
    assert_close(top_p(torch.zeros(8), 0.3).isfinite().long(), [1, 1, 1, 0, 0, 0, 0, 0], "3 of 8 hold 0.3 of a tie")
    assert_close(top_p(torch.zeros(4), 0.5).isfinite().long(), [1, 1, 0, 0], "2 of 4 reach 0.5 exactly")
    assert top_p(torch.tensor([0.0, -70.0]), 1.0).isfinite().all(), "p = 1 keeps every token"
    assert_refuses_values(lambda p: top_p(HALVES, p), "p", 0, -0.1, 1.1, math.nan)


def test_top_k_and_min_p_by_hand():
    """top_k keeps the k likeliest and what ties with the last; min_p what has p of the likeliest's probability."""
    assert_close(top_k(HALVES, 2).isfinite().long(), [0, 1, 0, 1], "k = 2")
    assert_close(top_k(torch.tensor([1.0, 0.0, 0.0]), 2).isfinite().long(), [1, 1, 1], "a tie at place 2")
    assert_close(min_p(HALVES, 0.25).isfinite().long(), [0, 1, 1, 1], "a quarter of 0.5 is 0.125")
    assert_refuses_values(lambda k: top_k(HALVES, k), "k", 0, -1)


def test_probabilities_by_hand():
    """Temperature 1/2 squares probabilities, 2 takes roots, before they are normalised; 1 leaves them."""
    shares = HALVES.exp()
    assert_close(Sampling().probabilities(HALVES), shares, "as they are", rtol=1e-5)
    assert_close(Sampling(0.5).probabilities(HALVES), shares**2 / (shares**2).sum(), "temperature 1/2", rtol=1e-5)
    assert_close(Sampling(2.0).probabilities(HALVES), shares**0.5 / (shares**0.5).sum(), "temperature 2", rtol=1e-5)
    assert_refuses_values(Sampling, "temperature", -1, math.inf, math.nan)


def test_probabilities_at_temperature_0():
    """All probability is on the likeliest token; of equals, on the lowest number."""
    assert_close(GREEDY.probabilities(torch.tensor([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])), [[0, 1, 0], [1, 0, 0]])
    assert GREEDY.probabilities(HALVES.double()).dtype == torch.float64, "the dtype is kept"


def test_probabilities_truncate_what_the_temperature_has_made():
    """At temperature 4 the likeliest of 0.05, 0.5, 0.15, 0.3 has 0.33 only: p = 0.45 keeps two tokens, not one."""
    hot = HALVES.exp() ** 0.25
    kept = torch.tensor([0, hot[1], 0, hot[3]])
    assert_close(Sampling(4.0, p=0.45).probabilities(HALVES), kept / kept.sum(), rtol=1e-5)
    assert_close(Sampling(4.0, least=0.8).probabilities(HALVES) > 0, [0, 1, 0, 1], "min-p after the temperature")


def test_probabilities_truncate_in_turn():
    """Of 0.05, 0.5, 0.15, 0.3 p = 0.82 keeps three; after k = 3, which leaves 0.526, 0.316 and 0.158, two."""
    assert_close(Sampling(k=3, p=0.82).probabilities(HALVES), [0, 0.625, 0, 0.375], "top-k first", rtol=1e-5)
    assert_close(Sampling(p=0.82).probabilities(HALVES) > 0, [0, 1, 1, 1], "top-p alone")
    assert_close(Sampling(k=1).probabilities(HALVES), [0, 1, 0, 0], "k = 1")
    assert_close(Sampling(p=0.82, least=0.5).probabilities(HALVES), [0, 0.625, 0, 0.375], "min-p last", rtol=1e-5)


# --- what is computed once ------------------------------------------------------------------------------------------


def entries(rng, tokens):
    """Keys and values of new tokens: batch 2, 3 heads, 4 numbers."""
    return [torch.from_numpy(rng.standard_normal((2, 3, tokens, 4))) for _ in range(2)]


def test_extend_gives_old_and_new(rng):
    """Three calls give, each, all keys and all values so far, in the order in which they came."""
    cache, parts = KeyValueCache(6), [entries(rng, tokens) for tokens in (3, 1, 2)]
    for count in (1, 2, 3):
        result = cache.extend(0, *parts[count - 1])
        for name, position in (("keys", 0), ("values", 1)):
            expected = torch.cat([part[position] for part in parts[:count]], dim=2)
            assert_close(result[position], expected, f"all {name} after call {count}")
            assert result[position].dtype == torch.float64, "the dtype of what came in"
    assert cache.length == 6, f"6 tokens are in it, not {cache.length}"


def test_extend_keeps_layers_apart(rng):
    """Layer 1 begins at the place where layer 0 began, and neither sees the other's keys."""
    cache, first, second = KeyValueCache(4), entries(rng, 2), entries(rng, 2)
    cache.extend(0, *first)
    assert_close(cache.extend(1, *second)[0], second[0], "layer 1 has its own tokens only")
    assert_close(cache.extend(0, *entries(rng, 1))[0][:, :, :2], first[0], "layer 0 still has its own")


def test_extend_makes_its_buffers_once(rng):
    """What it returns are views of one buffer: reading a token more copies nothing that was read before."""
    cache = KeyValueCache(5)
    before, after = (cache.extend(0, *entries(rng, tokens)) for tokens in (2, 3))
    assert [part.data_ptr() for part in before] == [part.data_ptr() for part in after], "the buffers moved"
    keys, values = after
    assert keys.data_ptr() != values.data_ptr(), "keys and values share a buffer"


def test_extend_refuses_more_than_fits(rng):
    """Exactly `capacity` tokens fit. One more is refused, and the cache stays as it was."""
    cache = KeyValueCache(3)
    cache.extend(0, *entries(rng, 2))
    assert_refuses(lambda: cache.extend(0, *entries(rng, 2)), "capacity", 3)
    assert_shape(cache.extend(0, *entries(rng, 1))[0], (2, 3, 3, 4), "capacity 3 holds 3 tokens")


def test_truncate_forgets_what_comes_after(rng):
    """After truncate(1) one token is left, and the next overwrite those that were forgotten."""
    cache, old, new = KeyValueCache(4), entries(rng, 3), entries(rng, 2)
    for layer in (0, 1):
        cache.extend(layer, *old)
    cache.truncate(1)
    for layer in (0, 1):
        assert_close(cache.extend(layer, *new)[1], torch.cat([old[1][:, :, :1], new[1]], 2), f"layer {layer}")
    assert_refuses_values(cache.truncate, "length", -1, 4)


def test_left_pad_and_visible_by_hand():
    """[[7, 8], [9]] is [[7, 8], [0, 9]]; no real token sees the padding, and the padding sees itself."""
    tokens, real = left_pad([[7, 8], [9]])
    assert_close(tokens, [[7, 8], [0, 9]])
    assert_close(visible(real)[:, 0], [[[1, 0], [1, 1]], [[1, 0], [0, 1]]], "queries by keys")
    assert_refuses_values(left_pad, "prompts", [], [[1], []])


def test_generate_by_hand():
    """After 3 comes 4, after 5 comes 0: prompts ending in 3 and 5, three steps."""
    assert list(generate(COUNTING, [[1, 3], [5]], 3)) == [[4, 0], [5, 1], [0, 2]]
    assert list(generate(COUNTING, [[3]], 0)) == [], "no token is asked for"
    assert type(next(generate(COUNTING, [[3]], 1))[0]) is int, "tokens are numbers of Python"


@pytest.mark.parametrize("cached", [True, False])
def test_generate_continues_each_prompt_as_if_alone(cached):
    """Greedy text of unequal prompts is what the model says to each alone, token by token, without padding."""
    expected = []
    for prompt in PROMPTS:
        tokens = list(prompt)
        for _ in range(8):
            tokens.append(int(gpt()(torch.tensor([tokens]))[0, -1].argmax()))
        expected.append(tokens[len(prompt) :])
    assert rows(generate(gpt(), PROMPTS, 8, cached=cached)) == expected


@pytest.mark.parametrize("cached", [True, False])
def test_generate_ends_where_the_models_context_ends(cached):
    """Behind 60 of 64 tokens, the model can read four more: five are written, and the next is refused."""
    steps = generate(gpt(), [[3] * 60], 8, cached=cached)
    assert [next(steps) for _ in range(5)]
    assert_refuses(lambda: next(steps), "context", 64)


def test_generate_has_the_logits_of_the_uncached_model():
    """At every position of every row the logits with the cache are those without, to 1e-9 in float64."""
    watched = Watched(gpt())
    written = rows(generate(watched, PROMPTS, 8))
    logits = torch.cat(watched.logits, dim=1)  # (batch, longest + 7, vocabulary)
    for row, prompt in enumerate(PROMPTS):
        whole = gpt()(torch.tensor([prompt + written[row][:-1]]))[0].detach()
        assert_close(logits[row, -len(whole) :], whole, f"prompt {row}", atol=1e-9)


def test_generate_reads_a_token_once():
    """With the cache the first call reads the prompts, each later one a token a row; without, all of them again."""
    cached, uncached = Watched(gpt()), Watched(gpt())
    list(generate(cached, PROMPTS, 4))
    list(generate(uncached, PROMPTS, 4, cached=False))
    assert [len(call[0]) for call in cached.calls] == [5, 1, 1, 1]
    assert [len(call[0]) for call in uncached.calls] == [5, 6, 7, 8]
    assert [[row[-1] for row in call] for call in cached.positions] == [[4, 0, 1], [5, 1, 2], [6, 2, 3], [7, 3, 4]]
    assert cached.positions[0][2] == [0, 0, 0, 0, 1], "positions begin at the first real token"


def test_generate_stops_each_row_by_itself():
    """The row that says 5 ends with it and is None from then on; the others go on; the last row ends it all."""
    assert list(generate(COUNTING, [[3], [1], [4]], 9, stop=[5])) == [
        [4, 2, 5],
        [5, 3, None],
        [None, 4, None],
        [None, 5, None],
    ]
    assert list(generate(COUNTING, [[3], [1]], 2, stop=[5, 0])) == [[4, 2], [5, 3]], "the limit ends it as well"


def test_generate_streams():
    """A token is there as soon as the model has been called once, and what has been given does not change."""
    watched = Watched(COUNTING)
    steps = generate(watched, [[0]], 4)
    assert watched.calls == [], "nothing runs before it is asked for"
    first = next(steps)
    assert (first, len(watched.calls)) == ([1], 1), "one call, one token"
    next(steps)
    assert first == [1], "a step that was given must stay as it is"


def test_generate_draws_by_its_sampling(rng):
    """Tokens have the distribution that `sampling` makes of the logits, row for row, and come from the generator."""
    table = torch.tensor([[0.1, 0.4, 0.3, 0.2]]).repeat(4, 1)
    sampling, state = Sampling(k=3), seeded(rng)
    drawn = np.concatenate(rows(generate(Markov(table), [[0]] * 200, 5, sampling, generator=state)))
    assert likely(np.bincount(drawn, minlength=4), [0, 0.4, 0.3, 0.2])
    same = [list(generate(Markov(table), [[0]], 9, sampling, generator=torch.Generator().manual_seed(1))) for _ in "ab"]
    assert same[0] == same[1], "the same generator gives the same text"


def test_generate_asks_what_is_allowed():
    """`allowed` gets what each row has generated and how many tokens are left, and what it forbids does not come."""
    asked = []

    def allowed(generated, remaining):
        asked.append((list(generated), remaining))
        return torch.arange(6) != 3

    assert list(generate(Markov(torch.full((6, 6), 1 / 6)), [[1]], 3, allowed=allowed)) == [[0]] * 3
    assert asked == [([], 3), ([0], 2), ([0, 0], 1)]
    steps = list(generate(COUNTING, [[4], [2]], 3, stop=[5], allowed=lambda generated, _: torch.arange(6) != 4))
    assert rows(steps)[0] == [5], "a row that has ended is asked nothing more"


# --- what a small model may guess -----------------------------------------------------------------------------------

P = torch.tensor([[0.6, 0.3, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]], dtype=torch.float64)
Q = torch.tensor([[0.1, 0.3, 0.2, 0.4], [0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)


def test_accept_by_hand():
    """Token 0, of which p has more than q, is always kept; token 3, which p lacks, never, nor what follows it."""
    sure = torch.eye(4, dtype=torch.float64)
    assert accept([0, 3], Q, torch.stack([P[0], P[1], sure[2]])) == [0, 3, 2], "all kept, and one of the last row"
    for _ in range(20):
        assert accept([3, 3], Q, torch.stack([P[0], P[1], sure[2]])) == [0], "rejected: max(p - q, 0) has token 0 only"
    assert accept([], Q[:0], sure[:1]) == [0], "nothing drafted: the target alone"
    assert_refuses(lambda: accept([0], Q, P), "target", (3, 4))
    assert_refuses(lambda: accept([0, 1], Q, P[:2]), "target", (2, 4))


def test_accept_keeps_what_is_distributed_alike(rng):
    """With q = p every guess is kept."""
    state = seeded(rng)
    assert all(len(accept([0, 3], P[1:], P[[1, 2, 0]], state)) == 3 for _ in range(50))


def test_accept_draws_from_the_generator():
    """The same state of the generator gives the same tokens, kept, replaced and added."""
    states = [torch.Generator().manual_seed(5) for _ in range(2)]
    first, again = ([accept([1, 0], Q, P, state) for _ in range(40)] for state in states)
    assert first == again


def test_accept_survives_rounding():
    """Where p and q differ by rounding alone, max(p - q, 0) is 0 everywhere; the target's own token comes then."""
    p, q = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1e-9]])
    assert accept([1], q, p) == [0]


def test_accept_has_the_targets_distribution(rng):
    """Whatever the draft: the first token is distributed as p, and so is the pair of the first two."""
    state, counts = seeded(rng), np.zeros((4, 4))
    firsts, seconds = (torch.multinomial(row, 1500, True, generator=state).tolist() for row in Q)
    kept = 0
    for guess in zip(firsts, seconds, strict=True):
        tokens = accept(guess, Q, P, state)
        kept += len(tokens) > 1
        tokens.append(int(torch.multinomial(P[1], 1, generator=state)))  # the target's next, where the round ended
        counts[tokens[0], tokens[1]] += 1
    assert likely(counts.sum(1), P[0]), f"first tokens {counts.sum(1) / 1500}, p {P[0].tolist()}"
    assert likely(counts, P[0, :, None] * P[1]), "the second token depends on what became of the first"
    share = float(torch.minimum(P[0], Q[0]).sum())
    assert abs(kept / 1500 - share) < 0.05, f"kept {kept / 1500:.3f} of the first guesses, Σ min(p, q) is {share:.3f}"


def test_accept_adds_the_targets_own_token(rng):
    """After guesses that are all kept, the next token is drawn from the target's last row."""
    state = seeded(rng)
    drawn = [accept([1], P[1:2], P[1:], state)[1] for _ in range(800)]
    assert likely(np.bincount(drawn, minlength=4), P[2])


@pytest.mark.parametrize("lookahead", [1, 3])
def test_speculate_writes_the_targets_greedy_text(lookahead):
    """Whatever the draft guesses, the text is the target's own, of exactly as many tokens as were asked for."""
    expected = rows(generate(gpt(), PROMPTS[:1], 13))[0]
    for draft in (gpt(), gpt(seed=1, layers=1)):
        rounds = list(speculate(gpt(), draft, PROMPTS[0], 13, lookahead=lookahead))
        assert flat(rounds) == expected
    assert len(list(speculate(gpt(), gpt(), PROMPTS[0], 13, lookahead=lookahead))) == -(-13 // (lookahead + 1))


def test_speculate_forgets_what_was_rejected():
    """Both models see the text as it is: their logits are those without a cache, after rejections, too."""
    target, draft = Watched(gpt()), Watched(gpt(seed=1))
    rounds = list(speculate(target, draft, PROMPTS[0], 16, lookahead=3))
    text = PROMPTS[0] + flat(rounds)
    assert min(map(len, rounds)) < 4, "some guess is rejected"
    for watched, step in ((target, 1), (draft, 3)):  # the first call of each full round
        for call in range(0, 4 * step, step):
            start = watched.positions[call][0][0]
            whole = torch.tensor([text[:start] + watched.calls[call][0]])
            expected = watched.model(whole)[0, start:].detach()
            assert_close(watched.logits[call][0], expected, "logits after a rejection", atol=1e-9)
    assert {len(call[0]) for call in target.calls[1:4]} == {4}, "it reads the guesses and the token before them"
    assert {len(call[0]) for call in draft.calls[1:]} <= {1, 2}, "the draft reads what is new"


def test_speculate_stops():
    """A stop token ends the text, also in the middle of a round; what was kept behind it is dropped."""
    assert flat(speculate(COUNTING, COUNTING, [0], 50, stop=[3], lookahead=7)) == [1, 2, 3]
    assert flat(speculate(COUNTING, Markov(torch.eye(6)), [0], 50, stop=[3, 4])) == [1, 2, 3]
    first = next(speculate(COUNTING, COUNTING, [0], 50))
    assert (len(first), type(first[0]), type(first[-1])) == (5, int, int), "4 guesses a round unless you say otherwise"
    assert_refuses_values(lambda count: next(speculate(COUNTING, COUNTING, [0], 5, lookahead=count)), "lookahead", 0)


def test_speculate_has_the_targets_distribution(rng):
    """Three tokens drawn with a draft that is often wrong are distributed as the target's, under a temperature, too."""
    target, draft = rng.dirichlet([1.0, 1.0, 1.0], 3), rng.dirichlet([1.0, 1.0, 1.0], 3)
    state, counts, sampling = seeded(rng), np.zeros((3, 3, 3)), Sampling(temperature=2.0)
    for _ in range(250):
        counts[
            tuple(flat(speculate(Markov(target), Markov(draft), [0], 3, sampling, lookahead=2, generator=state)))
        ] += 1
    roots = target**0.5 / (target**0.5).sum(1, keepdims=True)
    assert likely(counts.sum((1, 2)), roots[0]), "the first token"
    assert likely(counts.sum((0, 1)), roots[0] @ roots @ roots), "the third token"


# --- what always parses ---------------------------------------------------------------------------------------------

LETTERS = ["", *map(chr, range(32, 127)), '": "', "tru", "é", "[]"]
SCHEMA = {
    "type": "object",
    "properties": {
        "host": {"type": "string", "minLength": 1, "maxLength": 4},
        "level": {"enum": ["low", "high", None]},
        "ports": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        "load": {"type": "number"},
        "up": {"type": "boolean"},
    },
}


def test_constrained_text_always_parses(rng):
    """Random logits, and every text is JSON of the schema, with 60 tokens and with 400."""
    constraint, uniform = JsonConstraint(SCHEMA, LETTERS, stop=0), Markov(torch.full((len(LETTERS),) * 2, 0.01))
    for limit in (68, 150):
        steps = generate(uniform, [[1]] * 3, limit, Sampling(), stop=[0], allowed=constraint, generator=seeded(rng))
        for row in rows(steps):
            value = json.loads("".join(LETTERS[token] for token in row))
            assert list(value) == list(SCHEMA["properties"])
            assert (1 <= len(value["host"]) <= 4, value["level"] in ("low", "high", None)) == (True, True)
            assert (1 <= len(value["ports"]) <= 3, {type(port) for port in value["ports"]}) == (True, {int})
            assert (type(value["load"]) in (int, float), type(value["up"])) == (True, bool)


def test_constraint_refuses_what_it_cannot_promise():
    """Too few tokens, a keyword that is not known, and a vocabulary without a character are refused."""
    constraint = JsonConstraint({"enum": ["abc"]}, LETTERS, stop=0)
    assert_refuses(lambda: constraint([], 4), "max_new_tokens", 5)
    assert constraint([], 5).nonzero()[:, 0].tolist() == [LETTERS.index('"')]
    assert_refuses(lambda: json_pattern({"type": "string", "pattern": "a*"}), "schema", "pattern")
    assert_refuses(lambda: json_pattern({"type": "object", "required": ["a"]}), "schema", "required")
    assert_refuses_values(json_pattern, "schema", {"type": ["string", "null"]}, {"type": "array"}, {})
    assert_refuses(lambda: JsonConstraint(SCHEMA, LETTERS[:50], 0), "vocabulary", "z")
