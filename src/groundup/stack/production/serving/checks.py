"""Checks of serving, in virtual time: nothing here sleeps."""

import asyncio
import json
import logging
import math
import sys
from typing import Any

import pytest

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_unchanged
from groundup.stack.agents.reliability import DeadlineExceeded, deadline, now, run_virtual
from groundup.stack.production.serving import (
    Batcher,
    Field,
    Invalid,
    Overloaded,
    Prediction,
    Service,
    Unavailable,
    create_app,
    queue_mean,
    queue_quantile,
    settle,
    validate,
)

FIELDS = {"cpu": Field(float, 0, 100), "restarts": Field(int, 0, 9), "pod": Field(str, 2, 5)}
GOOD = {"cpu": 93.5, "restarts": 4, "pod": "api-1"}


def same(actual, expected, message):
    """Fail with `message` unless both are equal."""
    assert actual == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


class Tens:
    """A model that multiplies by ten; `batches` keeps when each call was made, and its items."""

    def __init__(self, takes=0.0, bad=(), after=0.0):
        self.takes, self.bad, self.after, self.batches = takes, bad, after, []

    async def __call__(self, items):
        """Fail as a whole where one item is bad."""
        self.batches.append((now(), list(items)))
        await asyncio.sleep(self.takes)
        if any(item in self.bad for item in items):
            raise ValueError(f"cannot take {items}")
        return [item * 10 for item in items]


def run(main) -> Any:
    """Run in virtual time; what has not ended after a thousand of its seconds never will."""
    return run_virtual(deadline(lambda: main, 1000.0)())


async def outcome(call: Any) -> Any:
    """Return the result of what is called or awaited, or the exception."""
    try:
        waiting: Any = call() if callable(call) else call
        return await waiting
    except Exception as error:
        return error


def start(awaitable):
    """A task."""
    return asyncio.ensure_future(awaitable)


async def later(seconds, call):
    """Wait, then call."""
    await asyncio.sleep(seconds)
    return await call()


def callers(*items, came=0.0, into=None):
    """Futures with their items; entered into a batcher's queue if one is given."""
    made = {asyncio.get_running_loop().create_future(): item for item in items}
    if into is not None:
        into.waiting |= {caller: (item, came) for caller, item in made.items()}
    return made


# validate


def test_a_body_that_is_right():
    """It comes out with the fields' kinds: an integer for a float becomes one."""
    same(validate(FIELDS, GOOD), GOOD, "the values")
    values = validate(FIELDS, {"pod": "db", "restarts": 0, "cpu": 7})
    same(values, {"cpu": 7.0, "restarts": 0, "pod": "db"}, "in another order")
    same([type(values[name]) for name in FIELDS], [float, int, str], "the types")
    same(validate({}, {}), {}, "no fields, and no values")
    assert_unchanged(lambda body: validate(FIELDS, body), dict(GOOD))


def wrong(body, fields=FIELDS):
    """Where and how a body is wrong, as pairs."""
    with pytest.raises(Invalid) as caught:
        validate(fields, body)
    same((caught.value.status, caught.value.code), (422, "invalid"), "status and code")
    same([sorted(detail) for detail in caught.value.details], [["loc", "type"]] * len(caught.value.details), "keys")
    for detail in caught.value.details:
        for name in detail["loc"]:
            assert name in str(caught.value), f"the message should name {name!r}; it said: {caught.value}"
    return [(*detail["loc"], detail["type"]) for detail in caught.value.details]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("cpu", True, "float_type"),
        ("cpu", "5", "float_type"),
        ("cpu", None, "float_type"),
        ("cpu", [1.0], "float_type"),
        ("cpu", math.nan, "finite_number"),
        ("cpu", math.inf, "finite_number"),
        ("cpu", -math.inf, "finite_number"),
        ("cpu", 10**400, "float_type"),
        ("cpu", -(10**400), "float_type"),
        ("cpu", -0.001, "greater_than_equal"),
        ("cpu", -1, "greater_than_equal"),
        ("cpu", 100.001, "less_than_equal"),
        ("restarts", False, "int_type"),
        ("restarts", 4.0, "int_type"),
        ("restarts", "4", "int_type"),
        ("restarts", math.nan, "int_type"),
        ("restarts", -1, "greater_than_equal"),
        ("restarts", 10, "less_than_equal"),
        ("pod", 12, "string_type"),
        ("pod", None, "string_type"),
        ("pod", "a", "string_too_short"),
        ("pod", "api-12", "string_too_long"),
    ],
)  # fmt: skip
def test_a_value_that_is_wrong(name, value, kind):
    """Each fault has Pydantic's name."""
    same(wrong({**GOOD, name: value}), [(name, kind)], f"{name} = {value!r:.40}")


def test_bounds_are_allowed():
    """Values and lengths may be equal to their bounds; a field without bounds takes everything of its kind."""
    for name, value in (("cpu", 0), ("cpu", 100), ("restarts", 0), ("restarts", 9), ("pod", "ab"), ("pod", "abcde")):
        same(validate(FIELDS, {**GOOD, name: value})[name], value, f"{name} = {value!r}")
    free = {"x": Field(float), "n": Field(int), "t": Field(str)}
    for x, n, t in ((sys.float_info.max, 10**400, ""), (-sys.float_info.max, -(10**400), "x" * 999)):
        same(validate(free, {"x": x, "n": n, "t": t}), {"x": x, "n": n, "t": t}, "without bounds")


def test_everything_that_is_wrong_is_said_at_once():
    """Missing and wrong fields in the fields' order, then unknown names; fields that are right are not named."""
    same(
        wrong({"zone": 1, "pod": 7, "cpu": 101, "az": 2}),
        [("cpu", "less_than_equal"), ("restarts", "missing"), ("pod", "string_type"), ("zone", "extra_forbidden"),
         ("az", "extra_forbidden")],
        "two wrong, one missing, two unknown",
    )  # fmt: skip
    same(wrong({}), [("cpu", "missing"), ("restarts", "missing"), ("pod", "missing")], "an empty body")
    same(wrong({**GOOD, "": 0}), [("", "extra_forbidden")], "a name that is empty")


@pytest.mark.parametrize("body", [None, [], [GOOD], "cpu", 5, True])
def test_a_body_that_is_no_object(body):
    """It has one fault, at no place."""
    same(wrong(body), [("dict_type",)], repr(body))


# Batcher.submit


def test_items_that_come_together_are_one_call():
    """Three callers, one batch, and each its own answer."""

    async def main():
        model = Tens()
        batcher = Batcher(model, max_delay=2.0)
        answers = await asyncio.gather(*(batcher.submit(item) for item in (3, 1, 2)))
        return answers, model.batches, batcher.calls, batcher.waiting, batcher.accepted

    same(run(main()), ([30, 10, 20], [(2.0, [3, 1, 2])], 1, {}, set()), "answers, calls, and nobody left")


def test_a_caller_is_known_until_it_is_answered():
    """It is in the queue with its item and when it came, then with the model, then nowhere."""

    async def main():
        batcher = Batcher(Tens(takes=2.0), max_delay=3.0)
        await asyncio.sleep(1.0)
        task = batcher.submit(7)
        states = []
        for _ in range(3):
            await asyncio.sleep(2.0)
            states.append((list(batcher.waiting.values()), len(batcher.accepted)))
        return await task, states

    same(run(main()), (70, [([(7, 1.0)], 1), ([], 1), ([], 0)]), "answer, and the states at 3, 5 and 7 s")


def test_a_full_queue_refuses():
    """With room for two the third is refused at once, and told how long the queue will take."""

    async def main():
        model = Tens(takes=3.0)
        batcher = Batcher(model, most=1, max_delay=0.0, room=2)
        await batcher.submit(0)
        tasks = [batcher.submit(1)]
        await asyncio.sleep(1.0)
        tasks += [batcher.submit(item) for item in (2, 3)]
        await asyncio.sleep(0.0)
        error, at = await outcome(lambda: batcher.submit(4)), now()
        return await asyncio.gather(*tasks), error, at, [items for _, items in model.batches]

    answers, error, at, seen = run(main())
    same((type(error), getattr(error, "retry_after", None), at), (Overloaded, 6.0, 4.0), "error, retry_after, when")
    same((answers, seen), ([10, 20, 30], [[0], [1], [2], [3]]), "the others' answers, and what the model saw")


def test_a_cancelled_caller_frees_its_place():
    """It leaves the queue at once: the next one has room, and the model never sees its item."""

    async def main():
        model = Tens(takes=5.0)
        batcher = Batcher(model, max_delay=0.0, room=2)
        first = batcher.submit(1)
        await asyncio.sleep(1.0)
        gone, stays = batcher.submit(2), batcher.submit(3)
        await asyncio.sleep(1.0)
        gone.cancel()
        await asyncio.sleep(0.0)
        states = len(batcher.waiting), len(batcher.accepted)
        last = batcher.submit(4)
        return states, await asyncio.gather(first, stays, last), model.batches, gone.cancelled()

    same(
        run(main()),
        ((1, 2), [10, 30, 40], [(0.0, [1]), (5.0, [3, 4])], True),
        "queue and accepted after the cancellation, answers, and batches",
    )


def test_a_closed_batcher_takes_nothing():
    """After drain an item is refused as Unavailable, to be tried again after a second."""

    async def main():
        model = Tens()
        batcher = Batcher(model, max_delay=0.0)
        await batcher.submit(1)
        await batcher.drain(1.0)
        error = await outcome(lambda: batcher.submit(2))
        return type(error), error.retry_after, len(model.batches), batcher.accepted

    same(run(main()), (Unavailable, 1.0, 1, set()), "error, retry_after, and calls")


def test_a_batcher_refuses_numbers_that_make_no_sense():
    """Sizes below one and a negative delay are refused by name."""
    for name, values in (("most", (0, -1)), ("room", (0, -1)), ("max_delay", (-0.5, math.nan))):
        assert_refuses_values(lambda v, name=name: Batcher(Tens(), **{name: v}), name, *values)


# Batcher.due


def test_due_by_hand():
    """Nobody: never. Not full: when the oldest has waited, not below 0. Full, or closed: now."""

    async def main():
        batcher = Batcher(Tens(), most=3, max_delay=4.0)
        seen = [batcher.due()]
        batcher.closed = True
        seen.append(batcher.due())
        batcher.closed = False
        await asyncio.sleep(2.0)
        callers("a", came=1.0, into=batcher)
        callers("b", came=1.5, into=batcher)
        for wait in (0.0, 1.0, 1.5, 9.0):
            await asyncio.sleep(wait)
            seen.append(batcher.due())
        batcher.max_delay = 99.0
        seen.append(batcher.due())
        batcher.closed = True
        seen.append(batcher.due())
        batcher.closed = False
        for item in "cd":
            callers(item, came=2.0, into=batcher)
            seen.append(batcher.due())
        return seen

    same(
        run(main()),
        [math.inf, math.inf, 3.0, 2.0, 0.5, 0.0, 86.5, 0.0, 0.0, 0.0],
        "nobody; nobody and closed; two at 2, 3, 4.5 and 13.5 s; a long delay; closed; three and four of three",
    )


def test_a_full_batch_goes_at_once():
    """`most` items go without a delay, the oldest first; the rest goes when the model is free, if it has waited."""

    async def main():
        model = Tens(takes=3.0)
        batcher = Batcher(model, most=3, max_delay=2.0)
        await asyncio.gather(*(batcher.submit(item) for item in (5, 4, 3, 2, 1)))
        return model.batches

    same(run(main()), [(0.0, [5, 4, 3]), (3.0, [2, 1])], "batches, and when they went")


def test_the_oldest_decides():
    """A batch that is not full goes when its oldest has waited for max_delay; who comes later does not put it off."""

    async def main():
        model = Tens()
        batcher = Batcher(model, max_delay=4.0)
        await asyncio.gather(*(later(s, lambda s=s: batcher.submit(s)) for s in (1.0, 2.0, 4.5, 5.5)))
        return model.batches

    same(run(main()), [(5.0, [1.0, 2.0, 4.5]), (9.5, [5.5])], "batches, and when they went")


def test_the_last_place_starts_the_batch():
    """A batch that becomes full goes at that moment."""

    async def main():
        model = Tens()
        batcher = Batcher(model, most=3, max_delay=9.0)
        await asyncio.gather(*(later(s, lambda s=s: batcher.submit(s)) for s in (0.0, 1.0, 2.5)))
        return model.batches

    same(run(main()), [(2.5, [0.0, 1.0, 2.5])], "batches")


def test_whoever_has_waited_for_the_model_has_waited():
    """Items that came while the model was busy go as soon as it is free, if the oldest has waited long enough."""

    async def main():
        model = Tens(takes=5.0)
        batcher = Batcher(model, max_delay=2.0)
        await asyncio.gather(*(later(s, lambda s=s: batcher.submit(s)) for s in (0.0, 3.0, 6.5, 11.5)))
        return model.batches

    same(run(main()), [(2.0, [0.0]), (7.0, [3.0, 6.5]), (13.5, [11.5])], "batches, and when they went")


def test_without_a_delay_nobody_waits_for_others():
    """max_delay = 0: what is there goes."""

    async def main():
        model = Tens(takes=1.0)
        batcher = Batcher(model, max_delay=0.0)
        await asyncio.gather(*(later(s, lambda s=s: batcher.submit(s)) for s in (1.0, 1.5, 1.75, 4.0)))
        return model.batches

    same(run(main()), [(1.0, [1.0]), (2.0, [1.5, 1.75]), (4.0, [4.0])], "batches")


def test_the_delay_is_that_of_who_still_waits():
    """If the oldest leaves, the batch goes when the next one has waited for max_delay."""

    async def main():
        model = Tens()
        batcher = Batcher(model, max_delay=4.0)
        gone = batcher.submit(1)
        stays = start(later(3.0, lambda: batcher.submit(2)))
        await asyncio.sleep(3.5)
        gone.cancel()
        return await stays, model.batches

    same(run(main()), (20, [(7.0, [2])]), "answer and batches")


def test_nobody_is_no_batch():
    """If all leave before the delay is over, the model is not called, and who comes later is answered."""

    async def main():
        model = Tens()
        batcher = Batcher(model, max_delay=4.0)
        gone = batcher.submit(1)
        await asyncio.sleep(1.0)
        gone.cancel()
        await asyncio.sleep(9.0)
        return batcher.calls, await batcher.submit(2), model.batches

    same(run(main()), (0, 20, [(14.0, [2])]), "calls, and one that comes later")


# settle


async def settled(items, outcome, gone=()):
    """Settle a batch; of each caller its result, its exception or None, and the items of the batches that are left."""
    made = callers(*items)
    for caller, item in made.items():
        if item in gone:
            caller.cancel()
    parts = settle(made, outcome)
    assert all(caller in made for part in parts for caller in part), "the batches hold the callers that were given"
    results = [
        None if c.cancelled() or not c.done() else ("raised", c.exception()) if c.exception() else c.result()
        for c in made
    ]
    return results, [list(part.values()) for part in parts]


def test_each_caller_gets_its_own():
    """Answers in the order of the items; an exception among them is the error of its caller only."""
    error = KeyError("x")
    same(run(settled("abc", ["A", error, "C"])), (["A", ("raised", error), "C"], []), "answers, and batches to try")
    same(run(settled("a", ["A"])), (["A"], []), "of one")


def test_a_call_that_raised_is_tried_by_halves():
    """The first half is the smaller one, and nobody has an answer yet; a caller that was alone has its error."""
    error = ValueError("bad")
    same(run(settled("abcde", error)), ([None] * 5, [["a", "b"], ["c", "d", "e"]]), "five")
    same(run(settled("ab", error)), ([None] * 2, [["a"], ["b"]]), "two")
    same(run(settled("a", error)), ([("raised", error)], []), "one")


def test_answers_that_do_not_fit_are_nobodys():
    """A model that gives too few or too many answers mixes callers up: nobody gets one of them."""
    for answers in ([], [1, 2], [1, 2, 3, 4]):
        same(run(settled("abc", answers)), ([None] * 3, [["a"], ["b", "c"]]), f"{len(answers)} answers to 3")
    for answers in ([], [1, 2]):
        results, parts = run(settled("a", answers))
        same(
            ([(how, type(error)) for how, error in results], parts),
            ([("raised", ValueError)], []),
            f"{len(answers)} answers to 1",
        )


def test_who_is_gone_is_passed_over():
    """A caller that was cancelled gets nothing, and poisons nothing."""
    same(run(settled("abc", ["A", "B", "C"], gone="a")), ([None, "B", "C"], []), "the first is gone")
    same(run(settled("abc", ["A", ValueError(), "C"], gone="b")), (["A", None, "C"], []), "the second is gone")
    same(run(settled("a", ValueError("bad"), gone="a")), ([None], []), "the only one is gone")


# batches, from end to end


def test_one_bad_item_does_not_fail_the_others():
    """A call that raises is tried by halves, down to the culprit alone."""

    async def main():
        model = Tens(bad=[3])
        batcher = Batcher(model, max_delay=0.0)
        results = await asyncio.gather(*(batcher.submit(item) for item in range(7)), return_exceptions=True)
        return results[:3] + results[4:], str(results[3]), [items for _, items in model.batches], batcher.calls

    others, error, calls, count = run(main())
    same((others, error), ([0, 10, 20, 40, 50, 60], "cannot take [3]"), "the others' answers, and the culprit's error")
    same(calls, [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2], [3, 4, 5, 6], [3, 4], [3], [4], [5, 6]], "what the model was given")
    same(count, 7, "calls")


def test_a_batch_keeps_its_model():
    """A model that is swapped in the middle answers the next batch, not the halves of this one."""

    async def main():
        old, new = Tens(takes=2.0, bad=[2]), Tens()
        batcher = Batcher(old, max_delay=0.0)
        made = [batcher.submit(item) for item in (1, 2, 3)]
        await asyncio.sleep(1.0)
        batcher.model = new
        results = await asyncio.gather(*made, return_exceptions=True)
        return [results[0], results[2]], len(old.batches), await batcher.submit(5), len(new.batches)

    same(run(main()), ([10, 30], 5, 50, 1), "answers and calls of the old model, of the new one")


def test_a_cancelled_caller_does_not_poison_its_batch():
    """The same through submit: the others of its batch are answered, and those after it."""

    async def main():
        batcher = Batcher(Tens(takes=2.0), max_delay=1.0)
        tasks = [batcher.submit(item) for item in (1, 2, 3)]
        await asyncio.sleep(2.0)
        tasks[0].cancel()
        answers = await asyncio.gather(tasks[1], tasks[2])
        return answers, await batcher.submit(4), tasks[0].cancelled()

    same(run(main()), ([20, 30], 40, True), "answers")


# Batcher.drain


def test_drain_answers_all_who_were_accepted():
    """Those that wait go at once, without their delay, and those with the model are waited for."""

    async def main():
        model = Tens(takes=2.0)
        batcher = Batcher(model, most=2, max_delay=5.0)
        tasks = [batcher.submit(item) for item in (1, 2, 3, 4, 5)]
        await asyncio.sleep(1.0)
        lost = await batcher.drain(60.0)
        ended = now()
        return lost, ended, await asyncio.gather(*tasks), batcher.closed, batcher.accepted

    same(run(main()), (0, 6.0, [10, 20, 30, 40, 50], True, set()), "lost, when, answers, closed, left")


def test_drain_wakes_who_waits_for_others():
    """A batch that waits for its delay goes when the batcher is drained."""

    async def main():
        model = Tens()
        batcher = Batcher(model, max_delay=50.0)
        task = batcher.submit(1)
        await asyncio.sleep(3.0)
        return await batcher.drain(10.0), await task, model.batches

    same(run(main()), (0, 10, [(3.0, [1])]), "lost, answer, and batches")


def test_drain_gives_up_after_its_grace():
    """With a model that hangs it ends after `grace`; the accepted get Unavailable, and the model is cancelled."""
    ended = []

    async def hang(items) -> Any:
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.append(now())

    async def main():
        batcher = Batcher(hang, most=2, max_delay=0.0)
        tasks = [start(outcome(lambda item=item: batcher.submit(item))) for item in (1, 2, 3, 4)]
        await asyncio.sleep(1.0)
        tasks[3].cancel()
        await asyncio.sleep(1.0)
        lost, when = await batcher.drain(7.0), now()
        errors = await asyncio.gather(*tasks[:3])
        await asyncio.sleep(5.0)  # the end of the loop cancels what is left, too
        return lost, when, [(type(e), getattr(e, "retry_after", None)) for e in errors]

    same(run(main()), (3, 9.0, [(Unavailable, 1.0)] * 3), "lost, when, and what the callers get")
    same(ended, [9.0], "when the model was cancelled")


def test_drain_goes_on_by_itself():
    """It closes at the call, and gives up those who are late, though nobody awaits it."""

    async def main():
        batcher = Batcher(Tens(takes=9.0), max_delay=0.0)
        caller = batcher.submit(1)
        await asyncio.sleep(1.0)
        drain = batcher.drain(2.0)
        closed = batcher.closed
        await asyncio.sleep(3.0)
        return closed, drain.done(), type(caller.exception())

    same(run(main()), (True, True, Unavailable), "closed at the call, over 3 s later, and what the caller gets")


def test_drain_with_nobody_ends_at_once():
    """Without callers there is nothing to wait for, whether it has ever worked or not."""

    async def main():
        fresh, used = Batcher(Tens()), Batcher(Tens(), max_delay=0.0)
        await used.submit(1)
        return await fresh.drain(5.0), await used.drain(5.0), now()

    same(run(main()), (0, 0, 0.0), "lost, lost, and when")


# Service


def classifier(takes=0.0, confidence=0.75, error=None):
    """A loader of a model that says `high` for a cpu above 90."""

    async def model(items):
        await asyncio.sleep(takes)
        if error is not None:
            raise error
        return [Prediction("high" if item["cpu"] > 90 else "low", confidence) for item in items]

    async def load():
        return model

    return load


async def serving(load=None, **settings):
    """A service with a model that was tried on a body."""
    service = Service(FIELDS, **settings)
    await service.reload("v1", load or classifier(), GOOD)
    return service


def test_a_prediction_has_a_confidence():
    """200, with the label, its confidence, and the model that answered."""

    async def main():
        service = await serving()
        return await service.predict(GOOD), await service.predict({**GOOD, "cpu": 7})

    high, low = run(main())
    same(tuple(high), (200, {}, {"label": "high", "confidence": 0.75, "model": "v1"}), "status, headers, body")
    same(low.body["label"], "low", "of another body")


def test_each_error_has_its_status():
    """422 for the body, 503 without a model and with a full queue, 504 for the time, each with its code."""

    async def main():
        empty = Service(FIELDS)
        replies = {"invalid": await empty.predict({}), "unavailable": await empty.predict(GOOD)}
        slow = await serving(classifier(takes=0.5), room=1, most=1, max_delay=0.0)
        await slow.predict(GOOD)
        tasks = [start(slow.predict(GOOD))]
        await asyncio.sleep(0.1)
        tasks.append(start(slow.predict(GOOD)))
        await asyncio.sleep(0.1)
        replies["overloaded"] = await slow.predict(GOOD)
        await asyncio.gather(*tasks)
        begun = now()
        replies["late"] = await (await later(0, lambda: serving(classifier(takes=1.25), seconds=0.75))).predict(GOOD)
        return replies, now() - begun

    replies, seconds = run(main())
    for code, status, headers in (
        ("invalid", 422, {}), ("unavailable", 503, {"retry-after": "1"}), ("overloaded", 503, {"retry-after": "1"}),
        ("late", 504, {}),
    ):  # fmt: skip
        reply = replies[code]
        error = reply.body["error"]
        same((reply.status, reply.headers, error["code"]), (status, headers, code), f"the reply {code}")
        same(list(reply.body) + sorted(error), ["error", "code", "details", "message"], "the documented shape")
    same(len(replies["invalid"].body["error"]["details"]), 3, "details of an empty body")
    assert_close(seconds, 2.0)  # the probe of 1.25 s, and a cut after 0.75


class Kept(logging.Handler):
    """Keeps what is logged while the context lasts."""

    def __enter__(self):
        """Listen."""
        self.records = []
        logging.getLogger("groundup.serving").addHandler(self)
        return self

    def __exit__(self, *_):
        """Listen no more."""
        logging.getLogger("groundup.serving").removeHandler(self)

    def emit(self, record):
        """Keep it."""
        self.records.append(record)


def test_a_model_that_fails_tells_the_client_nothing():
    """500, with words of the server's own; what happened stands in the log, with its traceback."""
    secret = "password hunter2 at 10.0.0.7"
    service = Service(FIELDS)
    for outcome in (
        RuntimeError(secret), KeyError(secret), (RuntimeError(secret), "v1"), (Prediction("high", 1.5), "v1"),
        (Prediction("high", -0.5), "v1"), (Prediction("high", math.nan), "v1"),
    ):  # fmt: skip
        with Kept() as kept:
            reply = service.reply(outcome)
        same((reply.status, reply.headers, reply.body["error"]["code"]), (500, {}, "failed"), f"of {outcome!r}")
        assert secret not in json.dumps(reply.body), "the client was told what the model said"
        same([record.exc_info is not None for record in kept.records], [True], "records with a traceback in the log")


def test_the_reply_is_what_came_of_the_request():
    """A prediction, also a very sure one; a refusal's own reply, also with details; nothing of these is logged."""
    service = Service(FIELDS)
    with Kept() as kept:
        for sure in (0.0, 0.25, 1.0):
            reply = service.reply((Prediction("low", sure), "v7"))
            same(tuple(reply), (200, {}, {"label": "low", "confidence": sure, "model": "v7"}), f"confidence {sure}")
        late = service.reply(DeadlineExceeded("x"))
        refusal = Invalid("no", details=[{"loc": ["cpu"], "type": "missing"}])
        same(service.reply(refusal), refusal.reply(), "of a refusal")
        full = service.reply(Overloaded("full", retry_after=2.25))
        model = service.reply((Invalid("not this item"), "v7"))
    same((late.status, late.headers, late.body["error"]["code"]), (504, {}, "late"), "of a deadline")
    same((full.status, full.headers, full.body["error"]["code"]), (503, {"retry-after": "3"}, "overloaded"), "if full")
    same(model.status, 422, "of a refusal by the model")
    same(kept.records, [], "the log")


def test_a_client_that_hangs_up_costs_nothing():
    """A predict that is cancelled passes its cancellation on, and leaves the queue."""

    async def main():
        service = await serving(max_delay=0.5)
        task = start(service.predict(GOOD))
        await asyncio.sleep(0.25)
        task.cancel()
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        return task.cancelled(), len(service.batcher.accepted)

    same(run(main()), (True, 0), "cancelled, and accepted callers")


def test_a_reload_loses_no_request():
    """Requests under way keep their model, later ones get the new one, and a broken one changes nothing."""

    async def main():
        service = await serving(classifier(takes=0.5), max_delay=0.0, seconds=5.0)
        calls = [start(later(0.1 * n, lambda: service.predict(GOOD))) for n in range(20)]
        await asyncio.sleep(0.95)
        for broken in (classifier(error=ValueError("no weights")), classifier(confidence=7.0)):
            error = await outcome(service.reload("v2", broken, GOOD))
            assert isinstance(error, ValueError), f"a broken model is refused, got {error!r}"
        await service.reload("v3", classifier(takes=0.25), GOOD)
        return [(reply.status, reply.body["model"]) for reply in await asyncio.gather(*calls)], service.version

    replies, version = run(main())
    same([status for status, _ in replies], [200] * 20, "statuses")
    models = [model for _, model in replies]
    same((models[0], models[-1], version), ("v1", "v3", "v3"), "first, last, and the version now")
    same(models, sorted(models), "no request goes back to the old model")


def test_alive_is_not_ready():
    """Without a model it lives and is not ready; with a batch that hangs it is ready, and should be killed."""

    async def hang(items) -> Any:
        await asyncio.sleep(1e6)

    async def main():
        service = Service(FIELDS, stuck=3.0)
        states = [(service.live(), service.ready())]
        await service.reload("v1", classifier(), GOOD)
        states.append((service.live(), service.ready()))
        service.batcher.model = hang
        task = start(service.predict(GOOD))
        for wait in (2.5, 1.0):
            await asyncio.sleep(wait)
            states.append((service.live(), service.ready()))
        return states, (await task).status

    states, status = run(main())
    same(states, [(True, False), (True, True), (True, True), (False, True)], "live and ready: new, loaded, busy, stuck")
    same(status, 504, "the request that it hangs on")


def test_a_stop_loses_no_request():
    """It is not ready at once, answers what still comes for a while, finishes what it has, and refuses the rest."""

    async def main():
        service = await serving(classifier(takes=0.5), max_delay=0.0, seconds=5.0)
        calls = [start(later(0.25 * n, lambda: service.predict(GOOD))) for n in range(12)]
        stop = start(later(1.0, lambda: service.stop(pause=1.0, grace=5.0)))
        await asyncio.sleep(1.1)
        ready = service.ready()
        return ready, await stop, [reply.status for reply in await asyncio.gather(*calls)]

    ready, lost, statuses = run(main())
    same((ready, lost), (False, 0), "ready after the stop began, and lost")
    same(statuses, [200] * statuses.count(200) + [503] * statuses.count(503), "answered, then refused")
    assert statuses.count(200) in (8, 9), f"all before 2 s are answered, got {statuses.count(200)}"


# the queue's formula


def test_the_queue_by_hand():
    """At half load the mean wait is half a service time, and half of the requests do not wait at all."""
    assert_close([queue_mean(0.5), queue_mean(0.9), queue_mean(0.0)], [0.5, 4.5, 0.0])
    assert_close([queue_quantile(0.5, 0.4), queue_quantile(0.5, 0.5 * math.exp(0.25))], [0.0, 0.5], atol=1e-9)
    assert_close([queue_quantile(0.9, 0.99), queue_quantile(0.95, 0.999)], [21.898, 67.574], atol=0.002)
    same(queue_quantile(0.8, 0.5) < queue_quantile(0.8, 0.99) < queue_quantile(0.9, 0.99), True, "it grows")
    for load in (1.0, -0.1):
        assert_refuses(lambda load=load: queue_mean(load), "load", load)
        assert_refuses(lambda load=load: queue_quantile(load, 0.5), "load", load)


# the app


async def http(app, method, path, body=b""):
    """Status, headers and body of a request to an ASGI app, without a network."""
    sent = []
    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def test_the_app_speaks_http():
    """Every reply is JSON, also of what is no JSON, no route, no method; the probes have their statuses."""

    async def main():
        service = Service(FIELDS)
        app = create_app(service)
        before = [(await http(app, "GET", path))[0] for path in ("/livez", "/readyz")]
        await service.reload("v1", classifier(), GOOD)
        posts = [json.dumps(GOOD).encode(), b"{", b"\xff", b'{"\\ud800": NaN}', b"[" * 100_000]
        replies = [await http(app, "POST", "/predict", body) for body in posts]
        other = [await http(app, "GET", path) for path in ("/predict", "/readyz", "/no")]
        return before, replies, other

    before, replies, other = run(main())
    same(before, [200, 503], "live and not ready")
    same([status for status, _, _ in replies], [200, 422, 422, 422, 422], "statuses of the posts")
    same(replies[0][2], {"label": "high", "confidence": 0.75, "model": "v1"}, "the prediction")
    same([status for status, _, _ in other], [405, 200, 404], "a wrong method, a probe, and no route")
    for _, headers, body in [*replies, *other]:
        same((headers["content-type"], isinstance(body, dict)), ("application/json", True), "a JSON object")
