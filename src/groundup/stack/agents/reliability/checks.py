"""Checks of reliability, in virtual time: nothing here sleeps."""

import asyncio
import gc
import math
import random
from itertools import pairwise
from typing import Any

import pytest

from groundup.checking import assert_close, assert_refuses, assert_refuses_values
from groundup.stack.agents.reliability import (
    CircuitBreaker,
    CircuitOpen,
    Completion,
    DeadlineExceeded,
    Endpoint,
    Failure,
    LimitExceeded,
    Meter,
    Once,
    Piece,
    Server,
    Transient,
    collect,
    deadline,
    fallback,
    now,
    retry,
    run_virtual,
)


def same(actual, expected, message):
    """Fail with `message` unless both are equal."""
    assert actual == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


class Script:
    """A call that does one thing after the other, the last one for ever; `times` keeps when it was made."""

    def __init__(self, *acts, takes=0.0):
        self.acts, self.takes, self.times = acts, takes, []

    async def __call__(self):
        """Wait, and raise or return the next act."""
        self.times.append(now())
        act = self.acts[min(len(self.times), len(self.acts)) - 1]
        await asyncio.sleep(self.takes)
        if isinstance(act, BaseException):
            raise act
        return act


class Highest(random.Random):
    """Draws the upper end, and remembers both ends."""

    def __init__(self):
        super().__init__(0)
        self.ends = []

    def uniform(self, a, b):
        """Return the upper end."""
        self.ends.append((a, b))
        return b


async def outcome(awaitable) -> Any:
    """Return the result, or the exception."""
    try:
        return await awaitable
    except Exception as error:
        return error


# retry


def test_retry_by_hand():
    """Failures at 0, 1 and 3 seconds, with base 1 and the highest draws: the third retry comes at 7."""
    call, rng = Script(Transient(), Transient(), Transient(), "done"), Highest()
    same(run_virtual(retry(call, rng=rng, base=1.0)()), "done", "the fourth attempt succeeds")
    same(call.times, [0.0, 1.0, 3.0, 7.0], "when the attempts were made")
    same(rng.ends, [(0, 1.0), (0, 2.0), (0, 4.0)], "full jitter draws from 0 to base · 2ⁿ⁻¹")


def test_retry_is_capped():
    """No draw goes beyond the cap."""
    call, rng = Script(*[Transient()] * 5, "done"), Highest()
    run_virtual(retry(call, rng=rng, base=1.0, cap=3.0, attempts=6)())
    same([b for _, b in rng.ends], [1.0, 2.0, 3.0, 3.0, 3.0], "the upper ends with cap 3")


def test_retry_has_the_defaults_that_it_names():
    """It tries four times, and waits up to 0.5, 1, 2 … seconds, never more than 20."""
    call = Script(Transient())
    run_virtual(outcome(retry(call, rng=Highest())()))
    same(call.times, [0.0, 0.5, 1.5, 3.5], "when it was called")
    call = Script(Transient())
    run_virtual(outcome(retry(call, rng=Highest(), attempts=9)()))
    same([b - a for a, b in pairwise(call.times)][-3:], [16.0, 20.0, 20.0], "the last waits of nine attempts")


def test_retry_spreads_clients():
    """A hundred clients that failed together come back at a hundred times, all over the interval."""

    async def main():
        calls = [Script(Transient(), "done") for _ in range(100)]
        rng = random.Random(3)
        await asyncio.gather(*(retry(call, rng=rng, base=8.0)() for call in calls))
        return sorted(call.times[1] for call in calls)

    times = run_virtual(main())
    same(len(set(times)), 100, "different times of 100 clients")
    assert times[0] < 1.0, f"the first of 100 comes back early, not at {times[0]:.2f} s"
    assert times[-1] > 7.0, f"the last of 100 comes back late, not at {times[-1]:.2f} s"


def test_retry_waits_as_long_as_the_server_says():
    """After a 429 with Retry-After 5 nobody comes back before 5 seconds, and not all at 5 seconds."""

    async def main():
        calls = [Script(Transient("429", retry_after=5.0), "done") for _ in range(20)]
        rng = random.Random(1)
        await asyncio.gather(*(retry(call, rng=rng, base=1.0)() for call in calls))
        return [call.times[1] for call in calls]

    times = run_virtual(main())
    assert min(times) >= 5.0, f"a client comes back after {min(times):.2f} s, before Retry-After"
    assert max(times) <= 6.0, f"a client comes back after {max(times):.2f} s: Retry-After and one draw are at most 6"
    same(len(set(times)), 20, "different times of 20 clients")


def test_retry_gives_up_with_the_last_failure():
    """After `attempts` calls the last failure is raised, and nobody waits for nothing."""

    async def main():
        call = Script(Transient("first"), Transient("second"), Transient("third"))
        error = await outcome(retry(call, rng=Highest(), attempts=3, base=1.0)())
        return str(error), call.times, now()

    same(run_virtual(main()), ("third", [0.0, 1.0, 3.0], 3.0), "message, attempts, and when it gave up")
    call = Script(Transient("only"), "done")
    assert run_virtual(outcome(retry(call, rng=Highest(), attempts=1)())).args == ("only",), "attempts=1 tries once"


def test_retry_tries_failures_only():
    """A mistake of the caller and a limit are no failures of the server: they are raised at once."""
    for error in (ValueError("bad question"), LimitExceeded("money")):
        call = Script(error, "done")
        same(run_virtual(outcome(retry(call, rng=Highest())())), error, "what is raised")
        same(len(call.times), 1, f"calls after {error!r}")
    for failure in (Failure("x"), DeadlineExceeded("slow"), CircuitOpen("open")):
        same(run_virtual(retry(Script(failure, 7), rng=Highest())()), 7, f"after {failure!r}")


def test_retry_does_not_begin_a_wait_that_is_too_long():
    """Within 10 seconds, a wait that would end at 10 or later is not begun: the failure comes at once."""

    async def main(within):
        call = Script(Transient("no", retry_after=7.0), takes=1.0)
        error = await outcome(retry(call, rng=Highest(), base=1.0, within=within)())
        return str(error), call.times, now()

    same(run_virtual(main(9.0)), ("no", [0.0], 1.0), "1 s call and 8 s wait end at 9: not within 9")
    same(run_virtual(main(9.5)), ("no", [0.0, 9.0], 10.0), "and within 9.5 one retry is begun")


def test_policies_refuse_numbers_that_make_no_sense():
    """Attempts, times and limits that cannot be are refused, each by its name."""
    call, rng = Script("x"), random.Random(0)
    assert_refuses_values(lambda v: run_virtual(retry(call, rng=rng, attempts=v)()), "attempts", 0, -1)
    for name in ("base", "cap", "within"):
        assert_refuses_values(lambda v, name=name: run_virtual(retry(call, rng=rng, **{name: v})()), name, 0, -1.0)
    assert_refuses_values(lambda v: run_virtual(deadline(call, v)()), "seconds", 0, -1.0, math.nan)
    for name in ("first", "gap", "total"):
        times = {"first": 1.0, "gap": 1.0, "total": 1.0}
        assert_refuses_values(lambda v, n=name, t=times: run_virtual(collect(stream, **{**t, n: v})()), name, 0, -1)
    assert_refuses_values(lambda v: CircuitBreaker(failures=v), "failures", 0, -1)
    assert_refuses_values(lambda v: CircuitBreaker(rest=v), "rest", 0, -1.0)
    assert_refuses_values(lambda v: Once(ttl=v), "ttl", 0, -1.0)
    assert_refuses_values(lambda v: Once(most=v), "most", 0, -1)
    assert_refuses_values(lambda v: Meter(price_in=v, price_out=1.0), "price_in", -1.0, math.nan)
    meter = Meter(price_in=1.0, price_out=1.0)
    for name in ("tokens_in", "most_out"):
        counts = {"tokens_in": 1, "most_out": 1}
        assert_refuses_values(lambda v, n=name, c=counts: run_virtual(meter.charge(call, **{**c, n: v})()), name, -1)
    assert_refuses(lambda: run_virtual(fallback()()), "calls")


# deadline


def test_deadline_lets_through_what_is_in_time():
    """A result and an exception that come in time come through; the call is made once."""
    call = Script("done", takes=1.9)
    same(run_virtual(deadline(call, 2.0)()), "done", "1.9 of 2 seconds")
    same(call.times, [0.0], "calls")
    error = ValueError("bad")
    same(run_virtual(outcome(deadline(Script(error, takes=1.0), 2.0)())), error, "its own exception")


def test_deadline_cuts():
    """A call of an hour ends after 2 seconds, and is cancelled."""
    ended = []

    async def hour():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(now())

    async def main():
        error = await outcome(deadline(hour, 2.0)())
        await asyncio.sleep(0)
        return type(error), now(), ended

    same(run_virtual(main()), (DeadlineExceeded, 2.0, [2.0]), "what is raised, when, and when the call was ended")


def test_deadline_does_not_wait_for_a_call_that_ignores_it():
    """A call that swallows its cancellation is left behind."""

    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(50)
        return "late"

    async def main():
        error = await outcome(deadline(stubborn, 2.0)())
        return type(error), now()

    same(run_virtual(main()), (DeadlineExceeded, 2.0), "what is raised, and when")


def test_what_a_call_left_behind_raises_bothers_nobody():
    """The exception of a call that was left behind is taken, so that asyncio does not complain about it."""
    complaints = []

    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise RuntimeError("late") from None

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        error = await outcome(deadline(stubborn, 2.0)())
        await asyncio.sleep(1)
        gc.collect()
        return type(error)

    same((run_virtual(main()), complaints), (DeadlineExceeded, []), "what is raised, and complaints")


def test_deadline_passes_a_cancellation_on():
    """Where the caller is cancelled, so is the call: nobody wants its answer."""
    ended = []

    async def hour():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(now())

    async def main():
        task = asyncio.ensure_future(deadline(hour, 100.0)())
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        return ended

    same(run_virtual(main()), [5.0], "when the call was cancelled")


# fallback


def test_fallback_takes_the_first_that_works():
    """The second is asked after the first failed, the third not at all; a caller's mistake goes to nobody else."""
    first, second, third = Script(Transient("a")), Script("b"), Script("c")
    same(run_virtual(fallback(first, second, third)()), "b", "the result")
    same((len(second.times), len(third.times)), (1, 0), "calls of the second and the third")
    error = run_virtual(outcome(fallback(Script(ValueError("bad")), second)()))
    same(type(error), ValueError, "a mistake of the caller")
    error = run_virtual(outcome(fallback(first, Script(DeadlineExceeded("slow", 4.0)))()))
    assert "a" in str(error), f"the failure names those before it: {error}"
    assert "slow" in str(error), f"the failure names the last one: {error}"


# CircuitBreaker


def test_a_circuit_opens_after_failures_in_a_row():
    """Two failures, a success, then three failures: with failures=3 only the last three open it."""

    async def main():
        bad, good = Script(Transient()), Script("ok")
        breaker = CircuitBreaker(failures=3, rest=10.0)
        kinds = []
        for call in (bad, bad, good, bad, bad, bad, bad, good):
            kinds.append(type(await outcome(breaker.guard(call)())).__name__)
        return kinds, len(bad.times), len(good.times)

    kinds, bad, good = run_virtual(main())
    expected = ["Transient", "Transient", "str", "Transient", "Transient", "Transient", "CircuitOpen", "CircuitOpen"]
    same(kinds, expected, "what each call gave")
    same((bad, good), (5, 1), "calls that were really made")


def test_an_open_circuit_says_how_long():
    """It refuses until the rest is over, with what is left as retry_after; then one call may try."""

    async def main():
        breaker, bad = CircuitBreaker(failures=1, rest=10.0), Script(Transient(), takes=1.0)
        await outcome(breaker.guard(bad)())  # ends, and opens it, at 1
        await asyncio.sleep(4)
        refused = await outcome(breaker.guard(bad)())
        await asyncio.sleep(5.5)
        again = await outcome(breaker.guard(bad)())
        await asyncio.sleep(0.5)
        result = await breaker.guard(Script("ok"))()
        return refused.retry_after, again.retry_after, result, breaker.opened

    same(run_virtual(main()), (6.0, 0.5, "ok", None), "6 s are left at 5, ½ s at 10.5; at 11 one call tries")


def test_one_call_tries_while_the_others_are_refused():
    """After the rest a single call is let through; until it has ended, all others are refused."""

    async def main():
        breaker = CircuitBreaker(failures=1, rest=10.0)
        await outcome(breaker.guard(Script(Transient()))())
        await asyncio.sleep(10)
        trial = Script("ok", takes=3.0)
        results = await asyncio.gather(*(outcome(breaker.guard(trial)()) for _ in range(5)))
        after = await breaker.guard(Script("closed"))()
        return [type(r).__name__ for r in results], [getattr(r, "retry_after", None) for r in results][1], after

    kinds, wait, after = run_virtual(main())
    same((kinds, wait), (["str"] + ["CircuitOpen"] * 4, 0.0), "one of five tries; the others know no time to wait")
    same(after, "closed", "after its success the circuit is closed")


def test_a_trial_that_fails_opens_the_circuit_anew():
    """One failure of the trial is enough, and the rest begins again."""

    async def main():
        breaker = CircuitBreaker(failures=3, rest=10.0)
        for _ in range(3):
            await outcome(breaker.guard(Script(Transient()))())
        await asyncio.sleep(10)
        await outcome(breaker.guard(Script(Transient(), takes=2.0))())
        first = (await outcome(breaker.guard(Script("ok"))())).retry_after
        await asyncio.sleep(10)
        await breaker.guard(Script("ok"))()
        kinds = [type(await outcome(breaker.guard(Script(Transient()))())).__name__ for _ in range(3)]
        return first, kinds, breaker.opened

    first, kinds, opened = run_virtual(main())
    same(first, 10.0, "the rest begins anew when the trial has failed")
    same((kinds, opened), (["Transient"] * 3, 22.0), "closed again, it counts from none")


def test_a_trial_that_tells_nothing_leaves_the_next_one_to_try():
    """A trial that is cancelled, or raises what is no failure, leaves the circuit open, and another may try."""

    async def main(end):
        breaker = CircuitBreaker(failures=1, rest=10.0)
        await outcome(breaker.guard(Script(Transient()))())
        await asyncio.sleep(10)
        task = asyncio.ensure_future(breaker.guard(Script(ValueError("bad"), takes=5.0))())
        await asyncio.sleep(1)
        if end == "cancel":
            task.cancel()
        await asyncio.wait({task})
        opened = breaker.opened
        return opened, await breaker.guard(Script("ok"))(), breaker.opened, task.cancelled() or bool(task.exception())

    for end in ("cancel", "raise"):
        same(run_virtual(main(end)), (0.0, "ok", None, True), f"opened, next call, closed, by {end}")


def test_a_late_result_lets_nobody_else_try():
    """While one call tries, the end of a call from before the circuit opened does not let another one try."""

    async def main():
        breaker = CircuitBreaker(failures=1, rest=10.0)
        late = asyncio.ensure_future(breaker.guard(Script("late", takes=12.0))())
        await asyncio.sleep(0)
        await outcome(breaker.guard(Script(Transient()))())
        await asyncio.sleep(10)
        trial = asyncio.ensure_future(breaker.guard(Script("ok", takes=5.0))())
        await late
        return type(await outcome(breaker.guard(Script("second"))())), await trial, now()

    same(run_virtual(main()), (CircuitOpen, "ok", 15.0), "a second call at 12, and the trial, which ends at 15")


def test_late_results_do_not_change_an_open_circuit():
    """Calls that were made before it opened may end after: their results are old news."""

    async def main():
        breaker = CircuitBreaker(failures=2, rest=10.0)
        slow = [breaker.guard(Script("ok", takes=3.0))(), breaker.guard(Script(Transient(), takes=4.0))()]
        late = [asyncio.ensure_future(outcome(call)) for call in slow]
        await asyncio.sleep(1)
        for _ in range(2):
            await outcome(breaker.guard(Script(Transient()))())
        await asyncio.sleep(8)
        before = breaker.opened
        await asyncio.gather(*late)
        return before

    same(run_virtual(main()), 1.0, "it opened at 1, whatever ended at 3 and 4")


# Meter


def done(tokens_in, tokens_out, takes=0.0):
    """A call that read and wrote so many tokens."""
    return Script(Completion("text", tokens_in, tokens_out), takes=takes)


def test_a_meter_by_hand():
    """1,000 tokens read at 2 and 500 written at 10 a million cost 0.007."""

    async def main():
        meter = Meter(price_in=2.0, price_out=10.0)
        completion = await meter.charge(done(1000, 500), tokens_in=900, most_out=4000)()
        return completion.text, meter.calls, meter.tokens_in, meter.tokens_out, meter.spent

    text, calls, tokens_in, tokens_out, spent = run_virtual(main())
    same((text, calls, tokens_in, tokens_out), ("text", 1, 1000, 500), "what it took counts, not what was reserved")
    assert_close(spent, 0.007, "the money that is spent")


def test_a_meter_makes_no_call_that_could_go_over():
    """The most that a call can write counts before it is made; exactly the limit is allowed."""

    async def main(**limit):
        meter = Meter(price_in=1e6, price_out=2e6, **limit)
        call = done(1, 1)
        results = [await outcome(meter.charge(call, tokens_in=1, most_out=n)()) for n in (2, 3, 2, 0)]
        return [type(r).__name__ for r in results], [str(r) for r in results], len(call.times)

    kinds, texts, calls = run_virtual(main(money=5.0))
    same(kinds, ["Completion", "LimitExceeded", "LimitExceeded", "Completion"], "5 of 5; 10, 8 and then 4 of 5")
    same(calls, 2, "calls that were made")
    for word in ("money", "10", "5"):
        assert word in texts[1], f"the error should name {word}; it said: {texts[1]}"
    kinds, texts, _ = run_virtual(main(tokens=3))
    same(kinds, ["Completion", "LimitExceeded", "LimitExceeded", "Completion"], "3 of 3; 6, 5 and then 3 of 3")
    assert "tokens" in texts[1], f"the error should name the tokens; it said: {texts[1]}"


def test_calls_at_the_same_time_stay_within_the_limit():
    """Ten calls at once, each of at most 3 tokens, with room for 10 tokens: three are made."""

    async def main():
        meter, call = Meter(price_in=0.0, price_out=0.0, tokens=10), done(1, 2, takes=1.0)
        await asyncio.gather(*(outcome(meter.charge(call, tokens_in=1, most_out=2)()) for _ in range(10)))
        return len(call.times), meter.tokens_in, meter.tokens_out, meter.calls

    same(run_virtual(main()), (3, 3, 6, 3), "calls, tokens read and written, and calls that were counted")


def test_what_a_failed_call_costs():
    """A refusal costs nothing. A call that was cut off, cancelled or broken may be billed: all of it stays counted."""

    async def main(act):
        meter = Meter(price_in=1.0, price_out=1.0)
        task = asyncio.ensure_future(meter.charge(Script(act, takes=1.0), tokens_in=3, most_out=4)())
        await asyncio.sleep(0.5)
        if act == "cancel":
            task.cancel()
        await asyncio.wait({task})
        failed = task.cancelled() or task.exception() is not None
        return meter.tokens_in, meter.tokens_out, meter.calls, failed

    same(run_virtual(main(Transient())), (0, 0, 1, True), "refused: tokens read, written, calls")
    for act in (DeadlineExceeded(), RuntimeError("bug"), "cancel"):
        same(run_virtual(main(act)), (3, 4, 1, True), f"{act!r}: tokens read, written, calls")


# Once


def test_a_thing_is_done_once():
    """The second call with a key gets the first one's result; another key is another thing."""

    async def main():
        once, call = Once(), Script("paid", "paid again", takes=1.0)
        return [await once.keyed(key, call)() for key in ("a", "a", "b")], len(call.times), len(once)

    same(run_virtual(main()), (["paid", "paid", "paid again"], 2, 2), "results, calls, results that are kept")


def test_callers_at_the_same_time_share_a_call():
    """Ten callers with one key make one call, and all get its result or its failure; a failure is not kept."""

    async def main(act):
        once, call = Once(), Script(act, "second", takes=1.0)
        results = await asyncio.gather(*(outcome(once.keyed("k", call)()) for _ in range(10)))
        return results, await once.keyed("k", call)(), len(call.times)

    same(run_virtual(main("first")), (["first"] * 10, "first", 1), "ten results, the next one, calls")
    failure = Transient("no")
    same(run_virtual(main(failure)), ([failure] * 10, "second", 2), "ten failures, the next one, calls")


def test_a_call_goes_on_when_its_caller_is_gone():
    """A client that hangs up does not stop the payment; when it asks again, it gets the result."""

    async def main():
        once, call = Once(), Script("paid", takes=5.0)
        task = asyncio.ensure_future(once.keyed("k", call)())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task})
        return await once.keyed("k", call)(), len(call.times), now(), task.cancelled()

    same(run_virtual(main()), ("paid", 1, 5.0, True), "result, calls, time, and the client was really gone")


def test_a_cached_result_grows_old():
    """With ttl=10 a result that came at 2 is kept until 12, not longer."""

    async def main():
        once, call = Once(ttl=10.0), Script("old", "new", takes=2.0)
        results = [await once.keyed("k", call)()]
        for wait in (9.5, 0.5):
            await asyncio.sleep(wait)
            results.append(await once.keyed("k", call)())
        return results, now()

    same(run_virtual(main()), (["old", "old", "new"], 14.0), "results at 2, 11.5 and 12, and the time")


def test_a_cache_is_bounded():
    """With most=2 the result that was used least recently goes, and calls under way are never forgotten."""

    async def main():
        once, calls = Once(most=2), {}
        for key in "abacab":
            await once.keyed(key, calls.setdefault(key, Script(key)))()
        counts = {key: len(call.times) for key, call in calls.items()}
        slow = Script("s", takes=9.0)
        under_way = [asyncio.ensure_future(once.keyed(f"s{n}", slow)()) for n in range(4)]
        await asyncio.sleep(1)
        again = [asyncio.ensure_future(once.keyed(f"s{n}", slow)()) for n in range(4)]
        await asyncio.gather(*under_way, *again)
        return counts, len(slow.times), len(once)

    same(run_virtual(main()), ({"a": 1, "b": 2, "c": 1}, 4, 2), "calls of each key, slow calls, kept at the end")


def test_a_key_belongs_to_its_request():
    """A key that comes back with another request is refused by its name, and nothing is done."""

    async def main():
        once, call = Once(), Script("paid")
        await once.keyed("k", call, request={"amount": 5})()
        error = await outcome(once.keyed("k", call, request={"amount": 50})())
        return error, await once.keyed("k", call, request={"amount": 5})(), len(call.times)

    error, again, calls = run_virtual(main())
    assert isinstance(error, ValueError), f"another request under the same key must be a ValueError, got {error!r}"
    for word in ("'k'", "50"):
        assert word in str(error), f"the error should name {word}; it said: {error}"
    same((again, calls), ("paid", 1), "the same request again, and calls")


# collect


async def stream(*pieces):
    """A stream of (seconds to wait, text, last)."""
    for wait, text, last in pieces:
        await asyncio.sleep(wait)
        yield Piece(text, last)


def test_a_stream_is_joined():
    """Pieces are joined up to the one that says that it is the last."""
    pieces = [(1, "It ", False), (1, "is ", False), (1, "full.", True), (1, "more", False)]
    same(run_virtual(collect(lambda: stream(*pieces), first=2, gap=2, total=9)()), "It is full.", "the text")


def test_half_an_answer_is_none():
    """A stream that ends without a last piece is a Failure, and no Transient one: a meter keeps what was reserved."""
    for pieces in ([], [(1, "It is not", False)]):
        error = run_virtual(outcome(collect(lambda pieces=pieces: stream(*pieces), first=2, gap=2, total=9)()))
        kinds = isinstance(error, Failure), isinstance(error, Transient)
        same(kinds, (True, False), f"a Failure, and a Transient one, after {len(pieces)} pieces")
        assert str(len(pieces)) in str(error), f"the error names how many came; it said: {error}"


def test_slow_streams_are_cut():
    """A late beginning, a stall and a stream that drips for ever are each cut when their time is up."""

    async def main(*pieces, **times):
        error = await outcome(collect(lambda: stream(*pieces), **{"first": 5, "gap": 2, "total": 10, **times})())
        return type(error).__name__, now()

    late, drip = [(9, "a", True)], [(1.5, "a", False)] * 50
    same(run_virtual(main(*late)), ("DeadlineExceeded", 5.0), "the first piece comes late")
    same(run_virtual(main((4, "a", False), (3, "b", True))), ("DeadlineExceeded", 6.0), "a gap of 3 seconds")
    same(run_virtual(main((4, "a", False), (1.9, "b", True))), ("str", 5.9), "4 s to begin, and a gap of 1.9")
    same(run_virtual(main(*drip)), ("DeadlineExceeded", 10.0), "drops that never end")
    same(run_virtual(main((4, "a", False), (1, "b", True), first=9, total=4.5))[1], 4.5, "the total cuts a gap")

    error = run_virtual(outcome(collect(lambda: stream(*[(1, "x", False)] * 9), first=9, gap=9, total=3)()))
    same(type(error), DeadlineExceeded, "a piece that comes at the very end of the time")


# together


@pytest.mark.parametrize("seed", range(3))
def test_an_endpoint_always_answers_in_time(seed):
    """Under errors, hangs and an outage each question ends within 30 s in a status, and one key costs one answer."""
    rng = random.Random(seed)
    server = Server(rng, errors=0.2, hangs=0.1, outages=[(100.0, 160.0)])

    async def ask(question):
        await server()
        return Completion(question.upper(), 2, 3)

    async def client(endpoint, number):
        await asyncio.sleep(number)
        begun = now()
        status, headers, body = await endpoint.answer("is it full?", f"key {number}")
        again = await endpoint.answer("is it full?", f"key {number}") if status == 200 else None
        return status, now() - begun, headers, body, again

    async def main():
        endpoint = Endpoint(ask, rng=rng, meter=Meter(price_in=1.0, price_out=1.0))
        answers = await asyncio.gather(*(client(endpoint, number) for number in range(300)))
        return answers, await endpoint.answer(" ", "k"), await endpoint.answer("another?", "key 0")

    answers, empty, other = run_virtual(main())
    statuses = [status for status, *_ in answers]
    assert set(statuses) <= {200, 503, 504}, f"statuses: {set(statuses)}"
    assert statuses.count(200) > 150, f"{statuses.count(200)} of 300 were answered"
    assert max(seconds for _, seconds, *_ in answers) <= 30.0, "an answer took longer than 30 s"
    for status, _, headers, body, again in answers:
        if status == 200:
            assert again is not None, "a key that was answered is asked again"
            same((body["answer"], again[2]), ("IS IT FULL?", body), "the answer, and the same for the same key")
        assert status != 503 or int(headers["retry-after"]) >= 0, "a 503 says when to come back"
    same((empty[0], other[0]), (422, 422 if statuses[0] == 200 else other[0]), "an empty question, a used key")


def test_an_endpoint_stops_at_its_limit():
    """When the money is used up, questions are refused with 429, and the model is not called."""
    call = Script(Completion("yes", 2, 3))

    async def main():
        meter = Meter(price_in=1e6, price_out=1e6, money=17.0)
        endpoint = Endpoint(lambda question: call(), rng=random.Random(0), meter=meter, most_out=5)
        return [(await endpoint.answer("is it?", str(n)))[0] for n in range(4)], len(call.times)

    same(
        run_virtual(main()),
        ([200, 200, 429, 429], 2),
        "statuses, and calls: 5 and 5 of 17 are spent, 6 bytes and 5 tokens no longer",
    )
