"""Masking, and the templates behind messages."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.errors import UsageError
from groundup.systems.copilot import masking
from groundup.systems.copilot.masking import Masker, mask
from groundup.systems.copilot.templates import Miner


@pytest.mark.parametrize(
    ("message", "masked"),
    [
        ("Received block blk_-160899 of size 91178 from /10.250.10.6", "Received block blk_<*> of size <*> from /<*>"),
        ("10.251.73.220:50010 is added", "<*>:<*> is added"),
        ("took 12.5ms, 3 of 4 done, 50%", "took <*>ms, <*> of <*> done, <*>%"),
        ("peer 00:11:22:aa:44:55 at 0xdeadbeef", "peer <*> at <*>"),
        ("open /var/lib/app/data.db failed", "open <*> failed"),
        ("GET https://api.example.com:80/a?b=1, ok", "GET <*>, ok"),
        ("request 38101a0b-2096-447d-96ea-a692162415ae", "request <*>"),
        ("mail from eve@example.org via mx1.example.org", "mail from <*> via <*>"),
        ("at Sun Jul  3 23:16:09 2005", "at <*>"),
        ("std::string and a::b stay", "std::string and a::b stay"),
        ("node R02-M1-N0-C and dsl-41.example", "node <*> and <*>"),
        ("cache of 8.8 KB, 16K free, 3 GB of 4GiB", "cache of <*>, <*> free, <*> of <*>"),
        ("no values here", "no values here"),
    ],
)
def test_values_are_masked_and_words_are_not(message: str, masked: str) -> None:
    assert mask(message) == masked
    assert mask(masked) == masked
    assert Masker()(message) == masked


def test_a_masker_masks_what_differs_in_digits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    masker, masked = Masker(), []
    monkeypatch.setattr(masking, "mask", lambda message: masked.append(message) or mask(message))
    assert {masker(f"job {i} took {i * 7} ms") for i in range(1_000)} == {"job <*> took <*> ms"}
    assert masked == ["job 0 took 0 ms"]


def mined(messages: list[str]) -> dict[str, int]:
    miner = Miner()
    for message in messages:
        miner.add(message)
    return {template.text: template.count for template in miner.templates()}


def test_a_place_that_takes_many_words_is_a_value() -> None:
    names = "alice bob carol dave erin frank".split()
    assert mined([f"login of {name} refused" for name in names]) == {"login of <*> refused": 6}


def test_a_place_that_takes_few_words_is_none() -> None:
    assert mined(["link eth0 goes up", "link eth0 goes down"] * 5) == {"link eth0 goes up": 5, "link eth0 goes down": 5}


def test_names_are_values_even_when_they_are_few() -> None:
    assert mined(["read table app_users now", "read table app_orders now"]) == {"read table <*> now": 2}


def test_words_that_vary_together_are_values() -> None:
    pairs = zip("ann ben cleo dora emil fred".split(), "red green blue white black pink".split(), strict=True)
    assert mined([f"worker {a} took the job {b} from queue" for a, b in pairs]) == {
        "worker <*> took the job <*> from queue": 6
    }


def test_the_first_word_says_what_happened() -> None:
    messages = [f"{word} startup succeeded" for word in "kernel network portmap syslog cron sshd cups".split()]
    assert len(mined(messages)) == 7


def test_lists_of_any_length_are_one_value() -> None:
    assert mined(["delete blk_1 blk_2", "delete blk_3", "delete blk_4 blk_5 blk_6"]) == {"delete blk_<*>": 3}


def test_digits_that_belong_to_a_word_are_put_back() -> None:
    assert mined([f"accepted on port {i} ssh2" for i in range(9)]) == {"accepted on port <*> ssh2": 9}
    assert mined([f"link eth{i} up" for i in range(9)]) == {"link eth<*> up": 9}


def test_known_templates_take_new_words_at_once() -> None:
    miner = Miner()
    for name in "alice bob carol dave erin frank".split():
        miner.add(f"login of {name} refused")
    (template,) = miner.templates()
    assert miner.template_of(miner.add("login of grace refused")) == template.id
    assert [t.count for t in miner.templates()] == [7]


@given(st.lists(st.text(max_size=40), max_size=60))
def test_every_message_is_counted_once_whatever_it_says(messages: list[str]) -> None:
    miner = Miner()
    numbers = [miner.add(message) for message in messages]
    counted: dict[int, int] = defaultdict(int)
    for number in numbers:
        counted[miner.template_of(number)] += 1
    assert {t.id: t.count for t in miner.templates()} == counted


def test_a_snapshot_goes_on_where_the_miner_stood() -> None:
    rng = random.Random(0)
    words = [f"w{chr(97 + i)}x" for i in range(20)]
    messages = [f"user {rng.choice(words)} sent {rng.randint(1, 9)} mails to {rng.choice(words)}" for _ in range(400)]
    whole, first = Miner(), Miner()
    for message in messages[:150]:
        whole.add(message)
        first.add(message)
    second = Miner.restore(json.loads(json.dumps(first.snapshot())))
    for message in messages[150:]:
        assert whole.add(message) == second.add(message)
    assert whole.templates() == second.templates()
    with pytest.raises(UsageError, match="snapshot must be of version 1, got 0. Read the logs again"):
        Miner.restore({"version": 0})


def test_long_messages_take_no_longer_than_they_must() -> None:
    rng = random.Random(0)
    miner = Miner()
    start = time.perf_counter()
    for _ in range(1_000):
        miner.add(" ".join(rng.choices("abcdefghij", k=300)))
    assert sum(t.count for t in miner.templates()) == 1_000
    assert time.perf_counter() - start < 20


def test_a_hostile_stream_of_new_words_ends() -> None:
    rng = random.Random(0)
    miner = Miner()
    start = time.perf_counter()
    for _ in range(6_000):
        miner.add(" ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(rng.randint(2, 12))))
    assert sum(t.count for t in miner.templates()) == 6_000
    assert time.perf_counter() - start < 30
