"""Masking, and the templates behind messages."""

from __future__ import annotations

import json
import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup import masking
from groundup.checking import runs_python_lines
from groundup.errors import UsageError
from groundup.masking import Masker, mask
from groundup.systems.copilot.finding.templates import Miner


@pytest.mark.parametrize(
    ("message", "masked"),
    [
        ("SELECT * FROM orders WHERE id IN (1, 2, 3) LIMIT 5", "SELECT * FROM orders WHERE id IN (<*>) LIMIT <*>"),
        ("DELETE FROM carts WHERE owner in ('bob','eve')", "DELETE FROM carts WHERE owner in (<*>)"),
        ("INSERT INTO t (id, name) VALUES (1, 'a'), (2, NULL)", "INSERT INTO t (id, name) VALUES (<*>)"),
        ("Exception in (main) thread", "Exception in (main) thread"),
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
        ("ready: true, stale False, falsehoods", "ready: <*>, stale <*>, falsehoods"),
        ("ACPI: Table [\\_SB_.PCI0.PBHI.PXB1._PRT]", "ACPI: Table [\\<*>]"),
        ("on Mon, Jun 9 at cafe12 from éa@b.de", "on <*> at <*> from <*>"),
        ("2 Jan 2026 12:00:01, then peer fe80::1:2:3 and a1b2", "<*>, then peer <*> and <*>"),
        ('x=true-ish, y=null, z="a b"', "x=true-ish, y=<*>, z=<*>"),
        ("wait < 5, took <3 ms at C:\\logs\\a.txt", "wait < <*>, took <*> at <*>"),
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


def test_a_word_in_the_place_of_a_value_is_one() -> None:
    assert mined(["dropped 10.0.0.1:80 at once", "dropped localhost at once"]) == {"dropped <*> at once": 2}
    assert mined(["state=7 was set", "state=idle was set"]) == {"state=<*> was set": 2}
    assert len(mined(["state=7 was set", "nothing was set"])) == 2  # the other has not its key
    assert len(mined(["http ir:5 lm:7", "http ir:5 etag:7"])) == 2
    assert len(mined(["17 nodes", "Best nodes"])) == 2  # too little is left to say what happened
    assert mined(["dock(17) is denied", "mail.app(18) is denied"]) == {"<*>(<*>) is denied": 2}
    assert mined(["plan=7, none", "plan=idle, none"]) == {"plan=<*>, none": 2}
    assert mined(["lost (10.0.0.1:80 at home)", "lost (worker7:80 at home)"]) == {"lost (<*> at home)": 2}
    assert (
        len(mined(["CMD (run-parts /etc/cron/daily)", "CMD (/usr/bin/touch /tmp/x/y)"])) == 2
    )  # a phrase begins there
    paths = [f"CMD (/usr/bin/touch {name})" for name in ("a.txt", "b.txt")]
    assert len(mined([*paths, "CMD (run-parts c.txt)", "CMD (run-parts hourly)"])) == 3


def test_words_among_as_many_names_are_names() -> None:
    assert mined(["load a.table now", "load big-table now", "load table now"]) == {"load <*> now": 3}
    assert mined(["load a.table now", "load bigTable now", "load table now"]) == {"load <*> now": 3}
    assert len(mined(["load big-table now", "load table now"])) == 2
    assert len(mined(["without a readChannel", "without a writeChannel"])) == 2


def test_durations_are_values_whatever_their_unit() -> None:
    assert mined(["waited 3ms for it", "waited 1.5s for it"]) == {"waited <*> for it": 2}


def test_words_that_vary_together_are_values() -> None:
    pairs = zip("ann ben cleo dora emil fred".split(), "red green blue white black pink".split(), strict=True)
    assert mined([f"worker {a} took the job {b} from queue" for a, b in pairs]) == {
        "worker <*> took the job <*> from queue": 6
    }


def test_the_first_word_says_what_happened() -> None:
    messages = [f"{word} startup succeeded" for word in "kernel network portmap syslog cron sshd cups".split()]
    assert len(mined(messages)) == 7


def test_the_name_of_a_function_says_what_happened() -> None:
    names = "onStart onStop getState setState resetAll onPause".split()
    assert len(mined([f"{name} is done" for name in names])) == 6


def test_lists_of_any_length_are_one_value() -> None:
    for lists in (["[]", "[ann]", "[ann, ben]"], ["{}", "{'a': 1}", "{'b': 2, 'c': x}"], ["[{a=b}]", "[{a=b}, {c=d}]"]):
        assert mined([f"sent to {one} in time" for one in lists]) == {
            f"sent to {lists[0][0]}<*>{lists[0][-1]} in time": len(lists)
        }
    assert mined(["disk 'Time Machine' is full", "disk 'Backup' is full"]) == {"disk '<*>' is full": 2}
    assert len(mined(["switched [on] now", "switched [off] now"])) == 2
    assert len(mined(["[in] got [a, b]", "[out] got [a]", "[in] got [c]", "[out] got [d, e]"])) == 2
    assert len(mined(['"one two" is bad', '"three" is bad'])) == 2  # the message itself in quotes
    assert mined(["delete blk_1 blk_2", "delete blk_3", "delete blk_4 blk_5 blk_6"]) == {"delete blk_<*>": 3}


def test_digits_that_belong_to_a_word_are_put_back() -> None:
    assert mined([f"accepted on port {i} ssh2" for i in range(9)]) == {"accepted on port <*> ssh2": 9}
    assert mined([f"link eth{i} up" for i in range(9)]) == {"link eth<*> up": 9}
    assert mined(["link eth0 up", "saw order4711 once"]) == {"link eth0 up": 1, "saw order<*> once": 1}


def test_known_templates_take_new_words_at_once() -> None:
    miner = Miner()
    for name in "alice bob carol dave erin frank".split():
        miner.add(f"login of {name} refused")
    (template,) = miner.templates()
    assert miner.template_of(miner.add("login of grace refused")) == template.id
    assert [t.count for t in miner.templates()] == [7]


SAID = ["it is up", "saw no more than two of them", "gave up", "will try again at once", "no", "went on to the next"]


def test_a_header_that_was_not_taken_off_splits_no_template() -> None:
    miner = Miner()
    for role in "MSC":
        for sign in "*#-":
            for text in SAID:
                miner.add(f"17:{role} 21.11 23:16:09 {sign} {text}")
    assert {t.text.split(" ", 3)[3].removeprefix("<*> ") for t in miner.templates()} == set(SAID)
    (rare,) = {miner.template_of(miner.add(f"17:{role} 21.11 23:16:09 * not said before")) for role in "MSC"}
    again = Miner.restore(json.loads(json.dumps(miner.snapshot())))
    assert again.template_of(again.add("18:S 22.11 23:16:10 # not said before")) == rare


def test_words_that_take_turns_in_messages_are_no_header() -> None:
    units = ["the web server", "all of the mail", "cron", "a long list of many jobs", "the print spooler of it", "sshd"]
    assert len(mined([f"{word} {unit}" for word in ("Starting", "Stopping") for unit in units])) == 12
    doors = "red green blue white black pink".split()
    assert len(mined([f"7 {word} door {door}" for word in ("OPEN", "SHUT") for door in doors])) == 2  # of one length
    others = [f"7 {'so ' * n}it went" for n in range(30)]
    assert len(mined([f"7 {word} {unit}" for word in ("OPEN", "SHUT") for unit in units] + others)) == 12 + 30  # few


def test_the_order_of_lines_changes_no_group() -> None:
    rng = random.Random(0)
    names = "queue-6 report.log nodeTest shard-state REPORT".split()
    messages = [f"renaming {rng.choice(names)} to {rng.choice(names)}: no space left" for _ in range(60)]
    messages += [f"state of {rng.choice(names)} is {state}" for state in ("good", "bad") for _ in range(20)]
    found = set()
    for _ in range(5):
        rng.shuffle(messages)
        found.add(tuple(sorted(mined(messages).items())))
    assert len(found) == 1
    assert len(next(iter(found))) == 3


def test_known_templates_take_new_lists_at_once() -> None:
    miner = Miner()
    for one in ("[]", "[ann]", "[ann, ben]"):
        miner.add(f"sent to {one} in time")
    (template,) = miner.templates()
    assert {miner.add("sent to [b, c, d] in time"), miner.add("sent to [e, f, g, h] in time")} == {template.id}


@given(st.lists(st.text("abAB01 []{}'\"()<*>=:,.-_/", max_size=40) | st.text(max_size=40), max_size=60))
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
    def mine(words: int) -> None:
        rng, miner = random.Random(0), Miner()
        for _ in range(200):
            miner.add(" ".join(rng.choices("abcdefghij", k=words)))
        assert sum(t.count for t in miner.templates()) == 200

    mine(40)  # what is compiled at first use
    # Twelve lines a word; without the limit to long messages (`LONG`) it would take sixteen.
    assert not runs_python_lines(lambda: mine(640), limit=14 * 200 * 640)


def test_a_hostile_stream_of_new_words_ends() -> None:
    def mine(messages: int) -> None:
        rng, miner = random.Random(0), Miner()
        for _ in range(messages):
            miner.add(" ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(rng.randint(2, 12))))
        assert sum(t.count for t in miner.templates()) == messages

    # 600 lines a message; merging at every twentieth new pattern would take 10,000.
    assert not runs_python_lines(lambda: mine(3_000), limit=2_000 * 3_000)
