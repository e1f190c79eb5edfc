# pyright: basic
"""Ways to get reliability wrong, and right ways that differ."""

import asyncio

from groundup.anatomy import mistake, variant
from groundup.stack.agents.reliability.reliability import (
    CircuitOpen,
    DeadlineExceeded,
    Failure,
    LimitExceeded,
    Transient,
    _look,
    _positive,
    now,
)


@mistake("retry", edit=("failure.retry_after + rng.uniform(0, min(cap, base * 2**attempt))", "failure.retry_after"))
def comes_back_at_once():
    """Your wait has no draw on top of `retry_after`: clients come back together, or at once if it is 0."""


@mistake("retry", edit=("rng.uniform(0, min(cap, base * 2**attempt))", "min(cap, base * 2**attempt)"))
def waits_without_jitter():
    """You wait longer each time, and all clients wait equally long: those that failed together come back together."""


@mistake("retry", edit=("failure.retry_after + rng", "rng"))
def forgets_retry_after():
    """You do not look at `retry_after`. The server has said when it will listen; before that, you are turned away."""


@mistake("retry", edit=("except Failure as failure:", "except (Failure, ValueError, LimitExceeded) as failure:"))
def retries_what_cannot_succeed():
    """You try again what was refused for good: a bad question stays one, and a limit is not lifted by asking."""


@mistake(
    "deadline", edit=("done, _ = await asyncio.wait({task}, timeout=seconds)", "done, _ = await asyncio.wait({task})")
)
def never_looks_at_the_clock():
    """You wait for the call however long it takes. `asyncio.wait` has a timeout."""


@mistake("deadline")
def waits_for_the_cancelled(call, seconds):
    """You wait until the cancelled call has ended, as `asyncio.timeout` does: one that ignores it holds you up."""
    _positive("seconds", seconds)

    async def cut():
        try:
            async with asyncio.timeout(seconds):
                return await call()
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {seconds:g} s") from None

    return cut


@mistake("deadline", edit=("task.cancel()  # does nothing to one that has ended", "pass"))
def lets_it_run_on():
    """You stop waiting, and let the call run on. It holds a connection, and writes tokens that you pay for."""


@mistake("CircuitBreaker.guard", edit=("if left > 0 or self._trying:", "if left > 0:"))
def lets_everybody_try():
    """After the rest you let all calls through at once. One is enough to see whether the server is back."""


@mistake("CircuitBreaker.guard", edit=("self.opened, self._row = None, 0", "self.opened = None"))
def never_forgets_failures():
    """You count all failures that there ever were. A success begins the row anew."""


@mistake(
    "CircuitBreaker.guard",
    edit=(
        "        finally:\n            if trial:\n                self._trying = False\n",
        "        self._trying = False\n",
    ),
)
def loses_the_trial():
    """A trial that fails or is cancelled never gives its place back: the circuit stays open. Use `finally`."""


@mistake("CircuitBreaker.guard", edit=("if trial or (self.opened is None and", "if (self.opened is None and"))
def takes_a_failed_trial_for_nothing():
    """After a failed trial you let the next call try at once. It has shown that the server is still down: rest anew."""


@mistake("Meter.charge", edit=("self._count(tokens_in, most_out)\n        self.calls", "self.calls"))
def reserves_nothing():
    """You count only when the answer is there. Calls that run together then all see the same room, and go over."""


@mistake("Meter.charge", edit=("except Transient:", "except Exception:"))
def forgives_what_may_be_billed():
    """You take the reservation back after any failure. A call that was cut off may have been done, and is billed."""


@mistake("Meter.charge", edit=("if wanted > limit:", "if wanted >= limit:"))
def leaves_the_last_token():
    """You refuse a call that would bring it to exactly the limit. The limit is what may be spent."""


@mistake("Once.keyed", edit=("asyncio.shield(kept[1])", "kept[1]"))
def stops_with_its_caller():
    """You let a caller's cancellation reach the shared call. A client that hangs up must not stop the payment."""


@mistake("Once.keyed", edit=("elif kept[0] != request:", "elif False:"))
def answers_another_request():
    """You give the kept result for a key, whatever is asked now. A key belongs to one request: refuse another."""


@mistake("Once.keyed", edit=("now() - kept[2][0] >= self.ttl", "now() - kept[2][0] > self.ttl"))
def keeps_a_moment_too_long():
    """You keep a result at the very end of its ttl. It is kept for `ttl` seconds, and then no longer."""


@mistake("collect", edit=("raise Failure(", 'return "".join(texts)\n                raise Failure('))
def takes_half_an_answer():
    """You give what came, though no piece said that it was the last. "Do not" is half of "Do not delete it"."""


@mistake("collect", edit=("raise Failure(", "raise Transient("))
def gives_half_an_answer_away():
    """You raise Transient, which costs nothing at a meter. What came of half an answer is billed: raise Failure."""


@mistake("collect", edit=("patience = gap", "pass"))
def stays_patient():
    """You wait for every piece as long as for the first. A stream that stalls is noticed by its gaps."""


@mistake("collect", edit=("return deadline(collected, total)", "return collected"))
def never_adds_up():
    """You look at each gap, and at no sum. A stream that drips just fast enough goes on for ever."""


@variant("retry")
def by_a_growing_limit(call, *, rng, attempts=4, base=0.5, cap=20.0, within=float("inf")):
    """The upper end of the draw is doubled along the way."""
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, got {attempts}")
    for name, value in (("base", base), ("cap", cap), ("within", within)):
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")

    async def tried():
        end, most, left = now() + within, min(base, cap), attempts
        while True:
            left -= 1
            try:
                return await call()
            except Failure as failure:
                again = now() + failure.retry_after + rng.uniform(0, most)
                if left == 0 or again >= end:
                    raise
            await asyncio.sleep(again - now())
            most = min(2 * most, cap)

    return tried


@variant("deadline")
def by_a_timer(call, seconds):
    """A timer and the call race for one future."""
    _positive("seconds", seconds)

    async def raced():
        loop = asyncio.get_running_loop()
        task, first = asyncio.ensure_future(call()), loop.create_future()
        task.add_done_callback(_look)

        def finish(_=None):
            if not first.done():
                first.set_result(None)

        task.add_done_callback(finish)
        timer = loop.call_later(seconds, finish)
        try:
            await first
        finally:
            timer.cancel()
            late = not task.done()
            task.cancel()
        if late:
            raise DeadlineExceeded(f"not within {seconds}")
        return await task

    return raced


@variant("Meter.charge")
def by_an_exit_stack(self, call, *, tokens_in, most_out):
    """What is reserved is given back by a stack, unless the call may be billed."""
    import contextlib

    for name, value in (("tokens_in", tokens_in), ("most_out", most_out)):
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value}")

    async def charged():
        used = self.tokens_in + self.tokens_out + tokens_in + most_out
        if used > self.tokens:
            raise LimitExceeded(f"tokens: {used} of {self.tokens}")
        cost = self.spent + tokens_in * self.price_in / 1e6 + most_out * self.price_out / 1e6
        if cost > self.money:
            raise LimitExceeded(f"money: {cost} of {self.money}")
        self.tokens_in, self.tokens_out, self.calls = (
            self.tokens_in + tokens_in,
            self.tokens_out + most_out,
            self.calls + 1,
        )
        with contextlib.ExitStack() as stack:
            stack.callback(self._count, -tokens_in, -most_out)
            try:
                completion = await call()
            except Transient:
                raise
            except BaseException:
                stack.pop_all()
                raise
            self._count(completion.tokens_in, completion.tokens_out)
        return completion

    return charged


@variant("CircuitBreaker.guard")
def state_by_state(self, call):
    """Closed and open are two branches."""

    async def guarded():
        if self.opened is None:
            try:
                result = await call()
            except Failure:
                self._row += 1
                if self.opened is None and self._row >= self.failures:
                    self.opened = now()
                raise
            if self.opened is None:
                self._row = 0
            return result
        left = max(self.opened + self.rest - now(), 0.0)
        if left or self._trying:
            raise CircuitOpen("open", left)
        self._trying = True
        try:
            result = await call()
            self.opened, self._row = None, 0
            return result
        except Failure:
            self.opened = now()
            raise
        finally:
            self._trying = False

    return guarded
