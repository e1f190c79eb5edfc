"""Checks of llm_serving."""

import io
import json
import urllib.error
from email.message import Message
from functools import lru_cache
from random import Random

import pytest
import torch

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_shape
from groundup.stack.generative.gpt import GPT, Config
from groundup.stack.production.llm_serving import (
    BlockPool,
    Client,
    Engine,
    PagedCache,
    ServerError,
    block_key,
    events,
    flat_mask,
)

CONFIG = Config(vocabulary=11, layers=2, heads=4, width=16, context=64, kv_heads=2)
MESSAGES = [{"role": "user", "content": "Hello"}]


@lru_cache
def gpt():
    """A model with random weights, large enough that its greedy text wanders."""
    torch.manual_seed(0)
    model = GPT(CONFIG).double().eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.5)
    return model


@lru_cache
@torch.no_grad()
def alone(prompt, limit, stop=()):
    """The greedy text of a prompt, by the whole model without a cache."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + limit and (len(tokens) == len(prompt) or tokens[-1] not in stop):
        tokens.append(int(gpt()(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


def cache(blocks=8, size=4):
    return PagedCache(CONFIG, blocks, size, torch.float64)


def engine(blocks=8, size=4, slots=4, budget=16, **options):
    """An engine to look at its plans, without a model."""
    return Engine(None, cache(blocks, size), slots, budget, **options)  # pyright: ignore[reportArgumentType]


def advance(served, token=7):
    """Schedule, and pretend that the step was computed; return the numbers of the requests with their tokens."""
    plan = served.schedule()
    for request, new in plan:
        request.computed += new
        served._remember(request)
        if request.missing == 0:
            request.tokens.append(token)
    return [(request.number, new) for request, new in plan]


def filled(paged):
    """Draw all keys and values, so that no two slots are alike."""
    paged.keys.normal_()
    paged.values.normal_()
    return paged


# --- blocks ---------------------------------------------------------------------------------------------------------


def test_blocks_are_given_out_once():
    """All blocks in turn, then none; the one that is free for longest comes first."""
    pool = BlockPool(3)
    assert [pool.allocate() for _ in range(3)] == [0, 1, 2]
    assert_refuses(pool.allocate, "blocks", 3)
    pool.release([0, 2])
    assert pool.free == 2
    assert [pool.allocate(), pool.allocate()] == [2, 0], "the end of a text before its beginning"
    assert_refuses(lambda: BlockPool(0), "blocks", 0)


def test_a_shared_block_is_free_when_nobody_uses_it():
    """Two users, two releases; a third is refused."""
    pool = BlockPool(1)
    pool.share(pool.allocate())
    pool.release([0])
    assert pool.free == 0
    pool.release([0])
    assert pool.free == 1
    assert_refuses(lambda: pool.release([0]), "blocks", 0)


def test_the_content_of_a_free_block_is_found_until_it_is_given_out():
    """A released block can be shared again by its key. Given out, it is forgotten."""
    pool = BlockPool(1)
    pool.remember(b"k", pool.allocate())
    pool.release([0])
    assert pool.find(b"k") == 0
    pool.share(0)
    assert pool.free == 0
    pool.release([0])
    pool.allocate()
    assert pool.find(b"k") is None


def test_block_keys_depend_on_all_before():
    """The same tokens behind another beginning have other keys and values."""
    assert block_key(b"", [1, 2]) == block_key(b"", [1, 2])
    assert len({block_key(b"", [1, 2]), block_key(b"x", [1, 2]), block_key(b"", [12]), block_key(b"", [2, 1])}) == 4


def test_reserve_by_hand():
    """In blocks of 4: for 5 tokens two blocks, which do for 8; for 9 a third. `needed` says so beforehand."""
    paged, blocks = cache(), []
    for start, end, new, expected in ((0, 5, 2, [0, 1]), (5, 8, 0, [0, 1]), (8, 9, 1, [0, 1, 2]), (3, 3, 0, [0, 1, 2])):
        assert paged.needed(blocks, start, end) == new, f"needed for tokens {start} to {end}"
        paged.reserve(blocks, start, end)
        assert blocks == expected, f"blocks for tokens {start} to {end}"
    assert paged.pool.uses == [1, 1, 1, 0, 0, 0, 0, 0]
    assert_refuses(lambda: PagedCache(CONFIG, 4, 0), "size", 0)


def test_reserve_copies_what_it_will_write():
    """The shared block of the next token is copied, with all slots of all layers; the full ones before stay shared."""
    paged, first = filled(cache()), []
    paged.reserve(first, 0, 10)
    second = paged.fork(first)
    keys, values = paged.keys.clone(), paged.values.clone()
    assert paged.needed(second, 10, 11) == 1
    paged.reserve(second, 10, 11)
    assert (first, second) == ([0, 1, 2], [0, 1, 3])
    assert paged.pool.uses[:4] == [2, 2, 1, 1]
    assert_close(paged.keys[:, 12:16], keys[:, 8:12], "the keys of the block are copied")
    assert_close(paged.values[:, 12:16], values[:, 8:12], "the values of the block are copied")
    assert_close(paged.keys[:, :12], keys[:, :12], "the old blocks stay as they were")
    assert_close(paged.values[:, 16:], values[:, 16:], "the blocks behind stay as they were")
    paged.reserve(first, 10, 11)
    assert first == [0, 1, 2], "nobody shares it any more: nothing is copied"


def test_reserve_copies_nothing_else():
    """Behind a full block a new one is added. Writing into the first block copies the first alone."""
    paged, first = cache(), []
    paged.reserve(first, 0, 8)
    second = paged.fork(first)
    paged.reserve(second, 8, 9)
    assert second == [0, 1, 2]
    third = paged.fork(first)
    assert paged.needed(third, 1, 4) == 1
    paged.reserve(third, 1, 4)
    assert third == [3, 1]
    fourth = paged.fork(first)
    paged.reserve(fourth, 3, 13)
    assert fourth == [4, 5, 6, 7], "two copies and two new ones"
    assert paged.pool.uses == [2, 3, 1, 1, 1, 1, 1, 1]


def test_reserve_refuses_without_a_change():
    """Three are needed and two are free: the blocks and the pool stay as they were. Of as many as are free all go."""
    paged, first = cache(blocks=4), []
    paged.reserve(first, 0, 6)
    second = paged.fork(first)
    assert_refuses(lambda: paged.reserve(second, 5, 13), "blocks", 3, 2)
    assert second == [0, 1]
    assert paged.pool.uses == [2, 2, 0, 0]
    paged.reserve(second, 5, 9)
    assert second == [0, 2, 3]
    assert paged.pool.free == 0


# --- attention over pages -------------------------------------------------------------------------------------------


def test_extend_writes_into_slots():
    """Tokens 3 to 5 of blocks [2, 0] lie in slots 11, 0 and 1, of this layer only; all five come back in order."""
    paged = filled(cache(blocks=3))
    keys, values, before = torch.randn(1, 2, 2, 4).double(), torch.randn(1, 2, 2, 4).double(), paged.keys.clone()
    old = paged.values.clone()
    all_keys, all_values = paged.view([([2, 0], 3, 5)]).extend(1, keys, values)
    assert_shape(all_keys, (1, 2, 5, 4))
    assert_close(paged.keys[1, [11, 0]], keys[0].transpose(0, 1), "keys in their slots")
    assert_close(paged.values[1, [11, 0]], values[0].transpose(0, 1), "values in their slots")
    assert_close(paged.keys[0], before[0], "the other layer stays")
    assert_close(all_keys[0], torch.cat([before[1, 8:11].transpose(0, 1), keys[0]], dim=1), "old and new keys")
    assert_close(all_values[0], torch.cat([old[1, 8:11].transpose(0, 1), values[0]], dim=1), "old and new values")
    untouched = [slot for slot in range(12) if slot not in (0, 11)]
    assert_close(paged.keys[1, untouched], before[1, untouched], "the other slots stay")


def test_extend_lays_rows_end_to_end():
    """Of two rows the new tokens come one row after the other, and so do all that are returned."""
    paged = filled(cache(blocks=3))
    keys = torch.arange(3.0).reshape(1, 1, 3, 1).expand(1, 2, 3, 4).double()
    all_keys, _ = paged.view([([1], 1, 2), ([0], 0, 2)]).extend(0, keys, keys)
    assert_shape(all_keys, (1, 2, 4, 4))
    assert_close(all_keys[0, 0, 1:, 0], [0, 1, 2])
    assert_close(all_keys[0, :, 0], paged.keys[0, 4], "the first row's old token is in front")


def test_flat_mask_by_hand():
    """A row with one new token behind two, and one with two new: positions 2, 0, 1, and no look at the other row."""
    positions, mask = flat_mask([([0], 2, 3), ([1], 0, 2)])
    assert_close(positions, [[2, 0, 1]])
    assert_shape(mask, (1, 1, 3, 5))
    assert mask[0, 0].int().tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]]


def test_flat_mask_of_many_rows(rng):
    """By its definition, pair by pair."""
    ends = rng.integers(2, 7, size=5)
    rows = [([], int(rng.integers(0, end)), int(end)) for end in ends]
    queries = [(row, place) for row, (_, start, end) in enumerate(rows) for place in range(start, end)]
    keys = [(row, place) for row, (_, _, end) in enumerate(rows) for place in range(end)]
    positions, mask = flat_mask(rows)
    assert_close(positions, [[place for _, place in queries]])
    assert mask[0, 0].tolist() == [[row == other and at <= place for other, at in keys] for row, place in queries]


@torch.no_grad()
def test_pages_give_the_logits_of_one_piece():
    """Two texts in scattered blocks, one in the prefill and one decoding: the logits are those of each text alone."""
    paged, texts = filled(cache(blocks=6, size=3)), [[3, 1, 4, 1, 5, 9, 2], [6, 5, 3]]
    blocks = [[4, 0, 2], [5]]
    for step in ([(blocks[0], 0, 4)], [(blocks[0], 4, 7), (blocks[1], 0, 2)], [(blocks[1], 2, 3)]):
        tokens = [token for row in step for token in texts[blocks.index(row[0])][row[1] : row[2]]]
        positions, mask = flat_mask(step)
        logits = gpt()(torch.tensor([tokens]), positions, mask, paged.view(step))[0]
        expected = [gpt()(torch.tensor([texts[blocks.index(row[0])]]))[0, row[1] : row[2]] for row in step]
        assert_close(logits, torch.cat(expected), rtol=1e-9, atol=1e-9)


# --- prefixes -------------------------------------------------------------------------------------------------------


def test_reuse_prefix_shares_full_blocks():
    """Of 11 tokens in blocks of 4, two blocks are full: they are shared, noted, and count as computed."""
    served = engine()
    first = served.submit(range(11), 3)
    advance(served)
    second = served.submit([*range(9), 10, 10], 3)
    served.reuse_prefix(second)
    assert second.blocks == first.blocks[:2]
    assert second.keys == first.keys[:2]
    assert second.computed == 8
    assert [served.cache.pool.uses[block] for block in first.blocks] == [2, 2, 1]


def test_reuse_prefix_leaves_a_token_to_compute():
    """A prompt that is two full blocks reuses one: without a token to compute there are no logits. Nine reuse two."""
    served = engine()
    served.submit(range(13), 3)
    advance(served)
    for length, computed in ((8, 4), (9, 8), (4, 0), (5, 4), (1, 0), (13, 12), (15, 12)):
        request = served.submit(range(length), 3)
        served.reuse_prefix(request)
        assert request.computed == computed, f"of {length} tokens"
        assert len(request.blocks) == len(request.keys) == computed // 4


def test_reuse_prefix_ends_at_the_first_difference():
    """Another first block makes the second one useless, though its tokens are the same."""
    served = engine()
    served.submit(range(10), 3)
    advance(served)
    for prompt, computed in (([9, *range(1, 10)], 0), ([*range(4), 9, *range(5, 10)], 4)):
        request = served.submit(prompt, 3)
        served.reuse_prefix(request)
        assert request.computed == computed, prompt


def test_prefixes_save_work_and_change_nothing():
    """The second of two equal prompts computes its last three tokens only, also after the first has ended."""
    prompt = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5)
    for reuse, computed in ((True, 11 + 3 + 2 * 3), (False, 11 + 11 + 2 * 3)):
        served = Engine(gpt(), cache(), 4, 16, reuse=reuse)
        requests = []
        for _ in range(2):
            requests.append(served.submit(prompt, 4))
            while served.busy:
                served.step()
        assert [each.generated for each in requests] == [alone(prompt, 4)] * 2
        assert served.computed == computed, f"tokens computed with reuse={reuse}"
    assert Engine(gpt(), cache(), 4, 16).reuse is True


# --- the schedule ---------------------------------------------------------------------------------------------------


def test_schedule_fills_the_budget_in_the_order_of_arrival():
    """Prompts of 5, 3 and 9 tokens, 12 a step: the third begins with 4, and goes on behind those that decode."""
    served = engine(budget=12)
    for length, token in ((5, 1), (3, 2), (9, 3)):
        served.submit([token] * length, 5)
    assert advance(served) == [(0, 5), (1, 3), (2, 4)]
    assert advance(served) == [(0, 1), (1, 1), (2, 5)]
    assert advance(served) == [(0, 1), (1, 1), (2, 1)]
    assert served.cache.pool.free == 8 - 2 - 2 - 3, "blocks for 7, 5 and 10 tokens"


def test_schedule_decodes_before_it_reads_prompts():
    """The earlier request still reads its prompt: the later one, which decodes, loses no step."""
    served = engine(blocks=16, budget=4)
    served.submit([1] * 3, 9)
    advance(served)
    served.submit([2] * 20, 5)
    served.submit([3] * 2, 5)
    assert advance(served) == [(0, 1), (1, 3)], "no budget is left for the third"
    assert [each.number for each in served.waiting] == [2]
    assert advance(served) == [(0, 1), (1, 3)]
    late = engine(blocks=16, budget=4)
    late.submit([1] * 9, 5)
    late.submit([2], 5)
    assert [advance(late) for _ in range(4)] == [[(0, 4)], [(0, 4)], [(0, 1), (1, 1)], [(0, 1), (1, 1)]]


def test_schedule_gives_the_rest_of_the_budget_to_several_prompts():
    """Running prompts share what is left, the earlier first, and one for which nothing is left is not in the plan."""
    served = engine(blocks=16, budget=8)
    served.submit([1] * 6, 5)
    served.submit([2] * 12, 5)
    assert advance(served) == [(0, 6), (1, 2)]
    served.submit([3] * 9, 5)
    assert advance(served) == [(0, 1), (1, 7)]
    assert advance(served) == [(0, 1), (1, 3), (2, 4)]
    served.submit([4] * 4, 5)
    assert advance(served) == [(0, 1), (1, 1), (2, 5), (3, 1)]
    served.running[0].tokens += [1] * 20  # as if it read much more
    assert advance(served) == [(1, 1), (2, 1), (0, 6)], "nothing is left for the last"


def test_schedule_admits_as_many_as_there_are_slots():
    """Two slots: the third waits until one of them is empty."""
    served = engine(slots=2)
    for token in range(3):
        served.submit([token] * 2, 5)
    assert advance(served) == [(0, 2), (1, 2)]
    assert advance(served) == [(0, 1), (1, 1)]
    served.running[0].limit = 2
    served._finish(served.running[0])
    assert advance(served) == [(1, 1), (2, 2)]


def test_schedule_lets_nobody_overtake():
    """The second does not fit, the third would: both wait. Blocks that were reused are given back."""
    served = engine(blocks=5)
    served.submit([1, 2, 3, 4, 5, 6], 5)
    advance(served)
    big = served.submit([1, 2, 3, 4, *[7] * 13], 4)
    served.submit([8], 2)
    assert advance(served) == [(0, 1)]
    assert (big.blocks, big.keys, big.computed) == ([], [], 0)
    assert served.cache.pool.uses == [1, 1, 0, 0, 0]
    assert [each.number for each in served.waiting] == [1, 2]


def test_schedule_admits_what_just_fits():
    """Three blocks are free and three are needed, of which one is reused."""
    served = engine(blocks=5)
    served.submit([1, 2, 3, 4, 5, 6], 5)
    advance(served)
    big = served.submit([1, 2, 3, 4, *[7] * 12], 4)
    assert advance(served) == [(0, 1), (1, 12)]
    assert big.blocks[0] == served.running[0].blocks[0]
    assert served.cache.pool.free == 0


def test_schedule_preempts_the_latest():
    """No block is left for the first one's next token: the last goes to the front of those who wait."""
    served = engine(blocks=4, slots=3)
    for token in range(3):
        served.submit([token] * 4, 5)
    served.submit([9], 3)
    assert advance(served) == [(0, 4), (1, 4), (2, 4)]
    assert advance(served) == [(0, 1), (1, 1)]
    assert [each.number for each in served.waiting] == [2, 3]
    assert served.preempted == 1
    victim = served.waiting[0]
    assert (victim.blocks, victim.keys, victim.computed, len(victim.tokens)) == ([], [], 0, 5)
    assert [len(each.blocks) for each in served.running] == [2, 2]
    assert served.cache.pool.free == 0


def test_schedule_may_preempt_the_request_itself():
    """The latest lacks a block itself: it goes, and the others are computed."""
    served = engine(blocks=3, slots=3, budget=8)
    served.submit([1] * 2, 5)
    served.submit([2] * 5, 5)
    assert advance(served) == [(0, 2), (1, 5)]
    served.running[1].tokens += [2] * 2
    served.running[1].computed += 2
    assert advance(served) == [(0, 1), (1, 1)]
    assert advance(served) == [(0, 1)]
    assert [each.number for each in served.waiting] == [1]


def test_schedule_preempts_until_there_is_room():
    """A shared block frees nothing when one of its users goes: the next to last goes, too."""
    served = engine(blocks=3, slots=3)
    for _ in range(3):
        served.submit([1] * 4, 5)
    first, second, third = served.waiting
    assert advance(served) == [(0, 4), (1, 4), (2, 4)]
    served.cache.pool.release(third.blocks)
    third.blocks = served.cache.fork(second.blocks)
    served.cache.pool.allocate()
    assert advance(served) == [(0, 1)]
    assert [each.number for each in served.waiting] == [1, 2]
    assert served.preempted == 2
    assert len(first.blocks) == 2


def test_schedule_of_nothing():
    """Without requests the plan is empty, and a step does nothing."""
    served = engine()
    assert served.schedule() == []
    assert served.step() == []
    assert served.steps == 0


# --- the engine -----------------------------------------------------------------------------------------------------


def jobs():
    """Prompts and limits of many lengths; some begin alike."""
    random = Random(5)
    lengths = ((13, 5), (1, 6), (7, 2), (9, 6), (4, 1))
    drawn = [(tuple(random.randrange(11) for _ in range(length)), limit) for length, limit in lengths]
    return [*drawn, ((*drawn[0][0][:9], 1, 2), 4), (drawn[0][0], 3)]


@pytest.mark.parametrize(
    ("blocks", "size", "slots", "budget"), [(64, 4, 7, 64), (7, 3, 4, 9), (5, 4, 3, 3), (1, 24, 2, 16)]
)
def test_everybody_gets_the_text_that_it_gets_alone(blocks, size, slots, budget):
    """Whatever the blocks, slots and budget: the tokens are those of each request alone and without a cache."""
    served = Engine(gpt(), PagedCache(CONFIG, blocks, size, torch.float64), slots, budget)
    requests = [served.submit(prompt, limit) for prompt, limit in jobs()]
    written = {request: [] for request in requests}
    while served.busy:
        before = served.computed
        for request, token in served.step():
            written[request].append(token)
        assert 0 < served.computed - before <= budget
        assert len(served.running) <= slots
    for (prompt, limit), request in zip(jobs(), requests, strict=True):
        assert request.generated == written[request] == alone(prompt, limit), f"{prompt}, {limit}"
    assert served.cache.pool.free == blocks
    assert all(request.finished for request in requests)


def test_first_come_first_served():
    """First tokens come in the order of arrival, also where the cache is tight and requests are preempted."""
    served = Engine(gpt(), cache(blocks=5), 4, 8)
    requests = [served.submit(prompt, limit) for prompt, limit in jobs()]
    order = []
    while served.busy:
        order += [request.number for request, _ in served.step() if request.number not in order]
    assert served.preempted > 0
    assert order == [request.number for request in requests]


def test_a_stop_token_ends_a_request():
    """The request holds it, and its blocks are free at once."""
    prompt = (3, 1, 4)
    stop = alone(prompt, 4)[3]
    served = Engine(gpt(), cache(), 4, 16, stop=[stop])
    request = served.submit(prompt, 9)
    while served.busy:
        served.step()
    assert request.generated == alone(prompt, 4, (stop,))
    assert request.generated[-1] == stop
    assert served.cache.pool.free == 8


def test_the_engine_refuses_what_could_never_run():
    """A request of more tokens than all blocks hold, an empty one, and a budget below the slots."""
    served = engine(blocks=2)
    assert served.submit([1] * 5, 4).limit == 4, "the last token needs no room"
    assert_refuses(lambda: served.submit([1] * 5, 5), "limit", 5, 9)
    assert_refuses(lambda: served.submit([], 5), "prompt", 0)
    assert_refuses_values(lambda limit: served.submit([1], limit), "limit", 0)
    assert_refuses(lambda: engine(slots=4, budget=3), "budget", 3, 4)
    assert_refuses(lambda: engine(slots=0), "slots", 0)
    assert_refuses(lambda: engine(budget=65), "budget", 64, 65)
    long = engine(blocks=100)
    assert long.submit([1] * 60, 5).limit == 5, "64 tokens are computed, as many as the context has"
    assert_refuses(lambda: long.submit([1] * 60, 6), "limit", 6, 65)


# --- the client -----------------------------------------------------------------------------------------------------


def test_events_by_hand():
    """Data up to a blank line; one space behind the colon does not count; comments and other fields are passed over."""
    stream = b": ping\n\nevent: x\ndata: one\nid: 7\n\ndata:two\n\ndata:  three\ndatum: no\ndata:\ndata\ndata: 4\n\n\n"
    assert list(events([stream])) == ["one", "two", " three\n\n\n4"]
    assert list(events([])) == []


def test_events_know_all_line_ends():
    r"""\\r\\n, \\n and \\r end a line."""
    for end in (b"\r\n", b"\n", b"\r"):
        stream = end.join([b"data: a", b"data: b", b"", b"data: c", b"", b"x"])
        assert list(events([stream])) == ["a\nb", "c"], end


def test_events_may_be_cut_anywhere():
    """Byte by byte the events are the same: a line end, a name and a character may be cut."""
    stream = "\ufeffdata: naïve €\r\ndata: 日本\r\n\r\ndata: [DONE]\r\n\r\n".encode()
    expected = ["naïve €\n日本", "[DONE]"]
    for width in (1, 2, 3, 5, len(stream)):
        chunks = [stream[k : k + width] for k in range(0, len(stream), width)]
        assert list(events(chunks)) == expected, f"pieces of {width} bytes"


def test_events_come_as_soon_as_they_end_and_not_before():
    """An event is there when its blank line is; one that nothing ends is dropped."""
    seen = []

    def chunks():
        for chunk in (b"data: 1\n", b"\ndata: 2", b"\n\n", b"data: 3\n"):
            seen.append(chunk)
            yield chunk

    stream = events(chunks())
    assert next(stream) == "1"
    assert len(seen) == 2
    assert list(stream) == ["2"]


class Response(io.BytesIO):
    """An answer of a server; `fails` is raised at its end."""

    def __init__(self, text, fails=None):
        super().__init__(text.encode())
        self.fails = fails

    def read1(self, size=-1, /):
        """Read, or fail."""
        chunk = super().read1(9)
        if not chunk and self.fails:
            raise self.fails
        return chunk


def client(response, sent=None):
    """A client whose server gives this response, or fails with it."""

    def opener(request, timeout):
        if sent is not None:
            sent.extend([request.full_url, request, json.loads(request.data), timeout])
        if isinstance(response, Exception):
            raise response
        return response

    return Client("http://here/v1/", "m", key="k", timeout=3, opener=opener)


def pieces(*texts, done=True):
    """The stream of an answer, as servers write it: a role first, and usage without choices last."""
    deltas = [{"role": "assistant", "content": None}, *({"content": text} for text in texts), {}]
    lines = [json.dumps({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    lines.append(json.dumps({"choices": [], "usage": {"total_tokens": 3}}))
    return "".join(f"data: {line}\n\n" for line in [*lines, *(["[DONE]"] if done else [])])


def test_the_client_streams():
    """Pieces come one by one; the request has the model, the messages, the options and the key."""
    sent = []
    found = client(Response(pieces("Hel", "lo €")), sent).stream(MESSAGES, temperature=0)
    assert [piece for piece in found if piece] == ["Hel", "lo €"]
    address, request, body, timeout = sent
    assert address == "http://here/v1/chat/completions"
    assert request.get_header("Authorization") == "Bearer k"
    assert "Authorization" not in request.headers, "these go to wherever a redirect leads"
    assert body == {"model": "m", "messages": MESSAGES, "stream": True, "temperature": 0}
    assert timeout == 3
    assert client(Response(pieces("Hel", "lo"))).complete(MESSAGES) == "Hello"


def refusal(status, body):
    """What urllib raises where a server refuses."""
    return urllib.error.HTTPError("u", status, "no", Message(), io.BytesIO(body))


@pytest.mark.parametrize(
    ("response", "status", "said"),
    [
        (refusal(404, b'{"error": {"message": "no model m"}}'), 404, "no model m"),
        (refusal(502, b"Bad Gateway"), 502, "Bad Gateway"),
        (urllib.error.URLError("refused"), None, "http://here/v1/chat/completions"),
        (Response(pieces("Hel", done=False)), None, "broke off"),
        (Response(pieces("Hel", done=False), TimeoutError("timed out")), None, "timed out"),
        (Response("data: <html>\n\n"), None, "<html>"),
        (Response('data: {"error": {"message": "out of blocks"}}\n\n'), None, "out of blocks"),
    ],
)
def test_the_client_says_what_went_wrong(response, status, said):
    """A refusal, no server, a stream that breaks off, a time-out and an error within the stream are a ServerError."""
    with pytest.raises(ServerError) as caught:
        client(response).complete(MESSAGES)
    assert caught.value.status == status
    assert said in str(caught.value)


def test_the_client_hangs_up():
    """Who stops listening, or presses Ctrl-C, closes the connection: the server need not go on."""
    response = Response(pieces("Hel", "lo"))
    stream = client(response).stream(MESSAGES)
    next(stream)
    assert not response.closed
    stream.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert response.closed
    interrupted = Response(pieces("Hel", done=False), KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        client(interrupted).complete(MESSAGES)
    assert interrupted.closed
