"""Decoding: from a model's logits to text, quickly, exactly, and in a form that programs can read.

- What may be drawn: temperature, top-k (Fan et al., 2018, https://arxiv.org/abs/1805.04833), top-p (Holtzman et al.,
  2020, https://arxiv.org/abs/1904.09751) and min-p (Nguyen et al., 2024, https://arxiv.org/abs/2407.01082).
- What is computed once: a cache of keys and values, for batches of unequal prompts.
- What a small model may guess for a large one: speculative decoding (Leviathan et al., 2023,
  https://arxiv.org/abs/2211.17192), which leaves the large model's distribution exactly as it was.
- What always parses: an acceptor of a JSON schema that says which tokens may come next.

A forbidden token has the logit -inf. A mask is boolean: True means "may look", or "may be drawn".

Not here: beam search, penalties for repetition, a cache in pages, batches of speculation, schemas with references.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Model = Callable[[Tensor, Tensor, Tensor, Any], Tensor]
"""(tokens, positions, mask, cache) give logits of shape (batch, tokens, vocabulary); `generative/gpt` is one."""
# --- what may be drawn ----------------------------------------------------------------------------------------------


def top_k(logits: Float[Tensor, "*batch vocabulary"], k: int) -> Float[Tensor, "*batch vocabulary"]:
    """Forbid all tokens but the k likeliest. Tokens that tie with the k-th stay, so there may be more."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}: a token has to be drawn.")
    least = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < least, -math.inf)


def top_p(logits: Float[Tensor, "*batch vocabulary"], p: float) -> Float[Tensor, "*batch vocabulary"]:
    """Forbid all tokens but the smallest set of the likeliest whose probabilities reach p together.

    The token that crosses p is in the set. Of tokens with equal logits, those with the lower numbers come first.
    """
    _check_share(p)
    ordered, tokens = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # what the likelier tokens hold together
    allowed = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, tokens, before < p)
    return logits if p == 1 else logits.masked_fill(~allowed, -math.inf)


def min_p(logits: Float[Tensor, "*batch vocabulary"], p: float) -> Float[Tensor, "*batch vocabulary"]:
    """Forbid all tokens that are less likely than p times the likeliest."""
    _check_share(p)
    return logits.masked_fill(logits < logits.amax(dim=-1, keepdim=True) + math.log(p), -math.inf)


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: temperature first, then top-k, top-p and min-p, each on what the one before has left.

    Attributes:
        temperature: logits are divided by it; 0 takes the likeliest token (of equals, the lowest number).
        k: for `top_k`; None leaves it out.
        p: for `top_p`; None leaves it out.
        least: the p of `min_p`; None leaves it out.
    """

    temperature: float = 1.0
    k: int | None = None
    p: float | None = None
    least: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be 0 or above, and finite, got {self.temperature}: 0 is greedy.")

    def probabilities(self, logits: Float[Tensor, "*batch vocabulary"]) -> Float[Tensor, "*batch vocabulary"]:
        """Return the distribution that a token is drawn from: it sums to 1, and forbidden tokens have exactly 0."""
        if self.temperature == 0:
            likeliest = logits.argmax(dim=-1, keepdim=True)
            return torch.zeros_like(logits).scatter(-1, likeliest, 1.0)
        logits = logits / self.temperature
        if self.k is not None:
            logits = top_k(logits, self.k)
        if self.p is not None:
            logits = top_p(logits, self.p)
        if self.least is not None:
            logits = min_p(logits, self.least)
        return logits.softmax(dim=-1)


GREEDY = Sampling(temperature=0)


def sample(
    probabilities: Float[Tensor, "batch vocabulary"], generator: torch.Generator | None = None
) -> Int[Tensor, " batch"]:
    """Draw a token for each row."""
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


# --- what is computed once ------------------------------------------------------------------------------------------


class KeyValueCache:
    """Keys and values of what a model has read, for `capacity` tokens, in buffers that are made once."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._buffers: dict[int, tuple[Tensor, Tensor]] = {}
        self._lengths: dict[int, int] = {}

    @property
    def length(self) -> int:
        """How many tokens are in every layer, padding included."""
        return min(self._lengths.values(), default=0)

    def extend(
        self, layer: int, keys: Float[Tensor, "batch heads new dim"], values: Float[Tensor, "batch heads new dim"]
    ) -> tuple[Float[Tensor, "batch heads all dim"], Float[Tensor, "batch heads all dim"]]:
        """Write a layer's new keys and values behind its old ones; return all of them, old and new.

        They are views of the buffers: nothing old is copied. More than `capacity` is refused, and changes nothing.
        """
        start = self._lengths.get(layer, 0)
        end = start + keys.shape[2]
        if end > self.capacity:
            raise ValueError(f"capacity must be at least {end} for as many tokens, got {self.capacity}.")
        if layer not in self._buffers:
            shape = (*keys.shape[:2], self.capacity, keys.shape[3])
            self._buffers[layer] = keys.new_empty(shape), values.new_empty(shape)
        all_keys, all_values = self._buffers[layer]
        all_keys[:, :, start:end] = keys
        all_values[:, :, start:end] = values
        self._lengths[layer] = end
        return all_keys[:, :, :end], all_values[:, :, :end]

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length`, in every layer. Nothing is erased: the next ones overwrite it."""
        if not 0 <= length <= self.length:
            raise ValueError(f"length must be from 0 to {self.length}, the tokens in the cache, got {length}.")
        self._lengths = dict.fromkeys(self._lengths, length)


def left_pad(prompts: Sequence[Sequence[int]]) -> tuple[Int[Tensor, "batch tokens"], Bool[Tensor, "batch tokens"]]:
    """Lay prompts so that they end together: token 0 in front of the shorter ones, and True where a token is real."""
    if not prompts or not all(map(len, prompts)):
        raise ValueError(f"prompts must be at least one, of at least one token each, got {list(map(list, prompts))}.")
    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    tokens = [[0] * count + list(prompt) for count, prompt in zip(padding, prompts, strict=True)]
    return torch.tensor(tokens), torch.arange(longest) >= torch.tensor(padding)[:, None]


def visible(real: Bool[Tensor, "batch tokens"], start: int = 0) -> Bool[Tensor, "batch 1 queries tokens"]:
    """The mask of the tokens from `start` on: each sees itself (padding too, or it gave NaN) and real ones before."""
    keys = torch.arange(real.shape[1], device=real.device)
    queries = keys[start:, None]
    return ((real[:, None] & (keys <= queries)) | (keys == queries))[:, None]


@torch.no_grad()
def generate(
    model: Model,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: Sampling = GREEDY,
    *,
    stop: Collection[int] = (),
    generator: torch.Generator | None = None,
    cached: bool = True,
    allowed: Callable[[Sequence[int], int], Bool[Tensor, " vocabulary"]] | None = None,
) -> Iterator[list[int | None]]:
    """Continue a batch of prompts, and yield after each step a token for each row.

    With the cache a step reads the one token that is new; without it, everything again. The tokens are the same.

    Args:
        model: a `Model` in evaluation mode, on the device where tensors are made: PyTorch's default device.
        prompts: rows of at least one token each.
        max_new_tokens: most tokens for each row.
        sampling: how tokens are drawn.
        stop: tokens that end a row. The row yields it, and None from then on.
        generator: source of the draws; PyTorch's own by default.
        cached: whether to keep keys and values.
        allowed: given what a row has generated and how many tokens it may still have, the tokens that may come next.

    Yields:
        The step's tokens, None for a row that has ended; the last step is the one in which the last row ends.
    """
    tokens, real = left_pad(prompts)
    cache = KeyValueCache(tokens.shape[1] + max_new_tokens - 1) if cached else None
    written: list[list[int]] = [[] for _ in prompts]
    running = set(range(len(prompts)))
    for remaining in range(max_new_tokens, 0, -1):
        start = cache.length if cache else 0
        positions = (real.cumsum(dim=1) - 1).clamp(min=0)  # (batch, tokens): padding has 0, as the first token has
        logits = model(tokens[:, start:], positions[:, start:], visible(real, start), cache)[:, -1].clone()
        for row in running if allowed else ():
            logits[row, ~cast(Any, allowed)(written[row], remaining)] = -math.inf
        greedy = sampling.temperature == 0  # then there is nothing to draw
        drawn = logits.argmax(dim=-1) if greedy else sample(sampling.probabilities(logits), generator)
        for row in running:
            written[row].append(int(drawn[row]))
        yield [written[row][-1] if row in running else None for row in range(len(prompts))]
        running = {row for row in running if written[row][-1] not in stop}
        if not running:
            return
        tokens = torch.cat([tokens, drawn[:, None]], dim=1)
        real = torch.cat([real, torch.ones_like(real[:, :1])], dim=1)


# --- what a small model may guess -----------------------------------------------------------------------------------


def accept(
    drafted: Sequence[int],
    draft: Float[Tensor, "drafted vocabulary"],
    target: Float[Tensor, "drafted+1 vocabulary"],
    generator: torch.Generator | None = None,
) -> list[int]:
    """Keep as many drafted tokens as the target's distribution allows, and add one of the target's own.

    A token x is kept with probability min(1, p(x) / q(x)). At the first that is not, one is drawn from max(p - q, 0)
    normalised (from p, should rounding leave nothing of it), and the rest is dropped. If all are kept, one more comes
    from the target's last row. Every token has the target's own distribution then (Leviathan et al., appendix A.1).

    Args:
        drafted: the tokens that the draft has drawn.
        draft: q, the distributions that they were drawn from.
        target: p, the target's distributions at the same places, and at the one behind them.
        generator: source of the draws.
    """
    if draft.shape[0] != len(drafted) or target.shape != (len(drafted) + 1, draft.shape[1]):
        raise ValueError(
            f"target must be of shape {(len(drafted) + 1, draft.shape[1])} and draft of {len(drafted)} rows, "
            f"got {tuple(target.shape)} and {draft.shape[0]}: both models share one vocabulary."
        )
    for place, token in enumerate(drafted):
        p, q = target[place], draft[place]
        above_zero = 1 - torch.rand((), generator=generator, device=p.device)  # so that p = 0 never passes
        if above_zero * q[token] > p[token]:
            residual = (p - q).clamp(min=0)
            if not residual.any():  # p and q differ by rounding alone
                residual = p
            return [*drafted[:place], int(torch.multinomial(residual, 1, generator=generator))]
    return [*drafted, int(torch.multinomial(target[-1], 1, generator=generator))]


@torch.no_grad()
def speculate(
    target: Model,
    draft: Model,
    prompt: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling = GREEDY,
    *,
    lookahead: int = 4,
    stop: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Iterator[list[int]]:
    """Continue one prompt as `target` would, in fewer calls of it: `draft` guesses, one call of the target judges.

    The draft is a quicker model with the same vocabulary, and guesses `lookahead` tokens in a round. Yielded are a
    round's tokens: the guesses that were kept, and one more. All else is as for `generate`.
    """
    if lookahead < 1:
        raise ValueError(f"lookahead must be at least 1, got {lookahead}: `generate` does without a draft.")
    tokens = left_pad([prompt])[0][0].tolist()
    end = len(tokens) + max_new_tokens
    target_cache, draft_cache = KeyValueCache(end), KeyValueCache(end)
    while len(tokens) < end:
        known = len(tokens)
        guesses = []
        for _ in range(min(lookahead, end - known - 1)):
            guesses.append(sampling.probabilities(_read(draft, tokens, draft_cache)[-1:]))
            tokens.append(int(sample(guesses[-1], generator)))
        judged = sampling.probabilities(_read(target, tokens, target_cache)[known - 1 - len(tokens) :])
        kept = accept(tokens[known:], torch.cat(guesses) if guesses else judged[:0], judged, generator)
        kept = kept[: next((place + 1 for place, token in enumerate(kept) if token in stop), None)]
        yield kept
        if kept[-1] in stop:
            return
        tokens[known:] = kept
        for cache in (target_cache, draft_cache):  # neither may remember a token that was dropped
            cache.truncate(min(cache.length, len(tokens) - 1))


def _read(model: Model, tokens: Sequence[int], cache: KeyValueCache) -> Float[Tensor, "new vocabulary"]:
    """Logits at the tokens that are not in the cache yet."""
    start, everything = cache.length, torch.tensor([tokens])
    mask = visible(torch.ones_like(everything, dtype=torch.bool), start)
    return model(everything[:, start:], torch.arange(len(tokens))[None, start:], mask, cache)[0]


# --- what always parses ---------------------------------------------------------------------------------------------


class Repeat(NamedTuple):
    """A pattern, which matches no empty text, `low` to `high` times."""

    body: tuple
    low: float
    high: float


class Choice(NamedTuple):
    """One of several patterns."""

    options: tuple


Pattern = tuple[str | re.Pattern[str] | Repeat | Choice, ...]
"""Parts in a row: literal text, a regular expression for one character, a repetition, a choice."""

DIGIT = (re.compile("[0-9]"),)
INTEGER = (Repeat(("-",), 0, 1), Choice((("0",), (re.compile("[1-9]"), Repeat(DIGIT, 0, 14)))))
EXPONENT = (re.compile("[eE]"), Repeat((re.compile("[+-]"),), 0, 1), Repeat(DIGIT, 1, 2))
CHARACTER = Choice(((re.compile(r'[^"\\\x00-\x1f]'),), ("\\", re.compile(r'["\\/bfnrt]'))))
SIMPLE: dict[str, Pattern] = {
    "integer": INTEGER,
    "number": (*INTEGER, Repeat((".", Repeat(DIGIT, 1, 15)), 0, 1), Repeat(EXPONENT, 0, 1)),
    "boolean": (Choice((("true",), ("false",))),),
    "null": ("null",),
}
KEYWORDS = {"object": {"properties", "required", "additionalProperties"}, "array": {"items", "minItems", "maxItems"}}
KEYWORDS |= {"string": {"minLength", "maxLength"}, "enum": {"enum"}} | {kind: set[str]() for kind in SIMPLE}


def json_pattern(schema: Mapping[str, Any], path: str = "schema") -> Pattern:
    """Translate a JSON schema into the pattern of its texts, spaced as `json.dumps` spaces them.

    Understood is what `KEYWORDS` lists: objects have all their properties, in order; numbers at most 15 digits before
    and behind the point. A schema that says more is refused: it would not be kept.
    """
    kind = "enum" if "enum" in schema else str(schema.get("type"))
    properties = schema.get("properties", {})
    unknown = schema.keys() - KEYWORDS.get(kind, set()) - {"type", "title", "description"}
    if kind not in KEYWORDS or unknown or set(schema.get("required", ())) - set(properties):
        raise ValueError(f"{path} must be of {KEYWORDS}, and define what it requires, got {dict(schema)}.")
    if kind in SIMPLE:
        return SIMPLE[kind]
    if kind == "enum":
        return (Choice(tuple((json.dumps(value),) for value in schema["enum"])),)
    if kind == "string":
        return ('"', Repeat((CHARACTER,), *_bounds(schema, "Length", path)), '"')
    if kind == "array":
        low, high = _bounds(schema, "Items", path)
        item = json_pattern(schema.get("items", {}), f"{path}.items")
        items = (*item, Repeat((", ", *item), max(low - 1, 0), max(high - 1, 0)))
        return ("[", Repeat(items, min(low, 1), min(high, 1)), "]")
    pattern: Pattern = ("{",)
    for place, (name, value) in enumerate(properties.items()):
        pattern += (f"{', ' if place else ''}{json.dumps(name)}: ", *json_pattern(value, f"{path}.{name}"))
    return (*pattern, "}")


def after(pattern: Pattern, character: str) -> Iterator[Pattern]:
    """Yield what may follow a character that a pattern begins with: its partial derivatives (Antimirov, 1996)."""
    head, rest = pattern[:1], pattern[1:]
    match head:
        case (str(text),) if text.startswith(character):
            yield (text[1:], *rest) if text[1:] else rest
        case (re.Pattern() as one,) if one.fullmatch(character):
            yield rest
        case (Choice(options),):
            for option in options:
                yield from after((*option, *rest), character)
        case (Repeat(body, low, high),):
            if high > 0:
                yield from after((*body, Repeat(body, max(low - 1, 0), high - 1), *rest), character)
            if low == 0:
                yield from after(rest, character)
        case _:
            return


def least_length(pattern: Pattern) -> float:
    """The fewest characters that match."""
    if not pattern:
        return 0
    match pattern[0]:
        case Repeat(body, low, _):
            least = low * least_length(body)
        case Choice(options):
            least = min(map(least_length, options), default=math.inf)
        case part:
            least = len(part) if isinstance(part, str) else 1
    return least + least_length(pattern[1:])


class JsonConstraint:
    """For `generate`: a token is allowed only where a text of the schema can still be finished with the tokens left.

    So every text parses, also one that the limit ends: the limit is known beforehand.

    Args:
        schema: as for `json_pattern`.
        vocabulary: each token's text, "" for those that are never allowed. Every printable ASCII character must be a
            token by itself, so that each text can be finished.
        stop: the token that ends a row; it is allowed where the text is whole.
    """

    def __init__(self, schema: Mapping[str, Any], vocabulary: Sequence[str], stop: int) -> None:
        if missing := {chr(code) for code in range(32, 127)} - set(vocabulary):
            raise ValueError(f"vocabulary must hold every printable ASCII character as a token, and lacks {missing}.")
        self.vocabulary, self.stop = vocabulary, stop
        self._start = frozenset([json_pattern(schema)])
        self._needs = lru_cache(maxsize=1024)(self._needed_after)

    def __call__(self, generated: Sequence[int], remaining: int) -> Bool[Tensor, " vocabulary"]:
        """Return which tokens may follow those generated, if `remaining` more may come; refuse if these are too few."""
        state = _step(self._start, "".join(self.vocabulary[token] for token in generated))
        allowed = self._needs(state) < remaining
        allowed[self.stop] = _needed(state) == 0
        if not allowed.any():
            raise ValueError(f"max_new_tokens must leave {_needed(state)} tokens or more for JSON, got {remaining}.")
        return allowed

    def _needed_after(self, state: frozenset[Pattern]) -> Float[Tensor, " vocabulary"]:
        return torch.tensor([_needed(_step(state, text)) if text else math.inf for text in self.vocabulary])


@lru_cache(maxsize=100_000)
def _needed(state: frozenset[Pattern]) -> float:
    return min(map(least_length, state), default=math.inf)


@lru_cache(maxsize=100_000)
def _advance(state: frozenset[Pattern], character: str) -> frozenset[Pattern]:
    return frozenset(following for pattern in state for following in after(pattern, character))


def _step(state: frozenset[Pattern], text: str) -> frozenset[Pattern]:
    for character in text:
        state = _advance(state, character) if state else state  # most tokens die at their first character
    return state


def _bounds(schema: Mapping[str, Any], noun: str, path: str) -> tuple[float, float]:
    low, high = schema.get(f"min{noun}", 0), schema.get(f"max{noun}", math.inf)
    if not 0 <= low <= high:
        raise ValueError(f"{path}: min{noun} must be from 0 to max{noun}, got {low} and {high}.")
    return low, high


def _check_share(p: float) -> None:
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, got {p}.")
