# pyright: basic
"""Ways to get decoding wrong, and right ways that differ."""

import math
from typing import Any, cast

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.generative.decoding.decoding import (
    GREEDY,
    KeyValueCache,
    _check_share,
    _read,
    accept,
    left_pad,
    min_p,
    sample,
    top_k,
    top_p,
    visible,
)


@mistake("top_p", edit=("before < p", "before + probabilities <= p"))
def drops_what_crosses():
    """You keep tokens only while they hold p at most: the one that crosses p goes, and a sure model has none left."""


@mistake(
    "top_p",
    edit=(
        "logits.sort(dim=-1, descending=True, stable=True)",
        "logits, torch.arange(logits.shape[-1]).expand_as(logits)",
    ),
)
def sums_in_the_order_of_the_vocabulary():
    """You add up probabilities in the order of the vocabulary. Sort first: the set begins with the likeliest."""


@mistake("top_p", edit=("torch.zeros_like(logits, dtype=torch.bool).scatter(-1, tokens, before < p)", "before < p"))
def forgets_to_sort_back():
    """Your mask is in the order of the sorted logits, and you apply it to the unsorted: scatter it back by number."""


@mistake("Sampling.probabilities")
def cools_after_truncation(self, logits):
    """You divide by the temperature last: top-p then decides on a distribution that is not the one drawn from."""
    if self.temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(dim=-1, keepdim=True), 1.0)
    if self.k is not None:
        logits = top_k(logits, self.k)
    if self.p is not None:
        logits = top_p(logits, self.p)
    if self.least is not None:
        logits = min_p(logits, self.least)
    return (logits / self.temperature).softmax(dim=-1)


@mistake("Sampling.probabilities", edit=("logits / self.temperature", "logits * self.temperature"))
def multiplies_by_the_temperature():
    """You multiply: high temperatures then sharpen. Divide, so that heat makes tokens more alike."""


@mistake("KeyValueCache.extend", edit=("return all_keys[:, :, :end], all_values[:, :, :end]", "return keys, values"))
def returns_only_what_is_new():
    """You return the new keys and values. The new token must look at the old ones, too: return all up to the end."""


@mistake(
    "KeyValueCache.extend", edit=("return all_keys[:, :, :end], all_values[:, :, :end]", "return all_keys, all_values")
)
def returns_the_empty_rest():
    """You return the whole buffers, with what was never written: cut them at the number of tokens."""


@mistake(
    "KeyValueCache.extend",
    edit=("start = self._lengths.get(layer, 0)", "start = max(self._lengths.values(), default=0)"),
)
def shares_one_length():
    """You let all layers share one length: layer 1 begins where layer 0 ended. Each layer counts its own tokens."""


@mistake("KeyValueCache.extend")
def copies_everything(self, layer, keys, values):
    """You concatenate: each token copies all the others. Write into buffers of `capacity` tokens, made once."""
    start = self._lengths.get(layer, 0)
    if start + keys.shape[2] > self.capacity:
        raise ValueError(f"capacity must be {start + keys.shape[2]}, got {self.capacity}")
    if start:
        old_keys, old_values = self._buffers[layer]
        keys = torch.cat([old_keys[:, :, :start], keys], dim=2)
        values = torch.cat([old_values[:, :, :start], values], dim=2)
    self._buffers[layer] = keys, values
    self._lengths[layer] = keys.shape[2]
    return keys, values


@mistake("generate", edit=("positions[:, start:], visible", "positions[:, : tokens.shape[1] - start], visible"))
def restarts_positions():
    """Your positions begin at 0 again for each token that is read from the cache. They go on where the row stands."""


@mistake("generate", edit=("visible(real, start)", "visible(torch.ones_like(real), start)"))
def sees_the_padding():
    """Your rows look at the padding in front of them: a prompt's text then depends on the longest prompt beside it."""


@mistake("generate", edit=("(real.cumsum(dim=1) - 1).clamp(min=0)", "torch.arange(tokens.shape[1]).expand_as(tokens)"))
def counts_padding_as_positions():
    """You count the padding: a short prompt then begins at a late position. Count real tokens only."""


@mistake(
    "generate",
    edit=(
        "running = {row for row in running if written[row][-1] not in stop}",
        "running = running if all(written[row][-1] not in stop for row in running) else set()",
    ),
)
def stops_all_rows():
    """You end the whole batch at the first stop token. Each row ends by itself."""


@mistake("accept", edit=("residual = (p - q).clamp(min=0)", "residual = p"))
def draws_again_from_p():
    """After a rejection you draw from p: tokens that the draft likes then come too often. Draw from max(p - q, 0)."""


@mistake("accept", edit=("(p - q).clamp(min=0)", "(p - q).clamp(min=0).softmax(dim=-1)"))
def takes_probabilities_for_logits():
    """You send max(p - q, 0) through a softmax, which gives tokens with 0 a share. Divide by the sum instead."""


@mistake(
    "accept",
    edit=("return [*drafted, int(torch.multinomial(target[-1], 1, generator=generator))]", "return list(drafted)"),
)
def forgets_the_bonus():
    """If all guesses are kept, you add no token. The target's call has paid for one: draw it from its last row."""


@mistake("accept", edit=("above_zero * q[token] > p[token]", "q[token] > p[token]"))
def rejects_whatever_is_overrated():
    """You reject whenever q exceeds p. Such a guess is kept with probability p / q; else its token comes too seldom."""


@mistake(
    "speculate",
    edit=("cache.truncate(min(cache.length, len(tokens) - 1))", "cache.truncate(min(cache.length, len(tokens)))"),
)
def forgets_one_too_few():
    """You leave one rejected token in the cache. The last token has not been read: hold the text without it."""


@mistake("speculate", edit=("(target_cache, draft_cache)", "(target_cache,)"))
def rolls_one_cache_back():
    """You roll back the target's cache only: the draft goes on from guesses that were rejected, and guesses badly."""


@mistake("speculate", edit=("known - 1 - len(tokens) :]", "known - len(tokens) :]"))
def judges_one_place_late():
    """You judge a guess by what comes after it. Row i of the logits is about token i + 1: begin one row earlier."""


@variant("top_p")
def from_the_least_likely(logits, p):
    """Upwards: a token goes if it and all that are less likely hold no more than 1 - p."""
    _check_share(p)
    ordered, tokens = logits.flip(-1).sort(dim=-1, stable=True)
    tail = ordered.softmax(dim=-1).cumsum(dim=-1)
    gone = tail <= 1 - p
    gone[..., -1] = False
    mask = torch.zeros_like(gone).scatter(-1, tokens, gone).flip(-1)
    return logits if p == 1 else logits.masked_fill(mask, -math.inf)


@variant("accept")
def all_at_once(drafted, draft, target, generator=None):
    """All guesses are judged together; the first that fails decides."""
    count = len(drafted)
    if draft.shape[0] != count or target.shape != (count + 1, draft.shape[1]):
        raise ValueError(f"target is {tuple(target.shape)} and draft {tuple(draft.shape)} for {count} tokens")
    chosen = torch.tensor(list(drafted), dtype=torch.long)[:, None]
    ratios = target[:-1].gather(1, chosen) / draft.gather(1, chosen)
    failed = (torch.rand(count, generator=generator) >= ratios[:, 0]).nonzero()
    place = int(failed[0]) if len(failed) else count
    rest = target[place] if place == count else (target[place] - draft[place]).clamp(min=0)
    return [*list(drafted)[:place], int(torch.multinomial(rest / rest.sum(), 1, generator=generator))]


@variant("generate")
def with_lists(model, prompts, max_new_tokens, sampling=GREEDY, *, stop=(), generator=None, cached=True, allowed=None):
    """The rows are lists that grow; each step lays them out anew."""
    texts = [list(prompt) for prompt in prompts]
    running = [True] * len(texts)
    cache = KeyValueCache(max(map(len, texts)) + max_new_tokens) if cached else None
    for step in range(max_new_tokens):
        tokens, real = left_pad(texts)
        start = cast(Any, cache).length if cached else 0
        positions = (real.long().cumsum(1) - 1).clamp(min=0)
        logits = model(tokens[:, start:], positions[:, start:], visible(real)[:, :, start:], cache)[:, -1].clone()
        if allowed is not None:
            for row, text in enumerate(texts):
                if running[row]:
                    logits[row][~allowed(text[len(prompts[row]) :], max_new_tokens - step)] = -math.inf
        drawn = sample(sampling.probabilities(logits), generator).tolist()
        for text, token in zip(texts, drawn, strict=True):
            text.append(token)
        yield [token if runs else None for token, runs in zip(drawn, running, strict=True)]
        running = [runs and token not in stop for token, runs in zip(drawn, running, strict=True)]
        if not any(running):
            break


@variant("speculate")
def with_a_helper(target, draft, prompt, max_new_tokens, sampling=GREEDY, *, lookahead=4, stop=(), generator=None):
    """The guesses have a list of their own, and the caches are cut before a round."""
    if lookahead < 1:
        raise ValueError(f"lookahead is at least 1, got {lookahead}")
    text, left = list(prompt), max_new_tokens
    caches = [KeyValueCache(len(text) + max_new_tokens) for _ in range(2)]
    while left:
        for cache in caches:
            cache.truncate(min(len(text) - 1, cache.length))
        drafted, rows = [], []
        while len(drafted) < min(lookahead, left - 1):
            rows.append(sampling.probabilities(_read(draft, text + drafted, caches[1])[-1]))
            drafted.append(int(torch.multinomial(rows[-1], 1, generator=generator)))
        judged = sampling.probabilities(_read(target, text + drafted, caches[0]))[-len(drafted) - 1 :]
        kept = accept(drafted, torch.stack(rows) if rows else judged[:0], judged, generator)
        if ends := [place for place, token in enumerate(kept) if token in stop]:
            yield kept[: ends[0] + 1]
            return
        yield kept
        text += kept
        left -= len(kept)
