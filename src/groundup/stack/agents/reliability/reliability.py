"""Calls that fail, and what holds a system up then: retry, deadline, fallback, circuit breaker, idempotency, meter.

    breaker = CircuitBreaker()
    guarded = retry(breaker.guard(deadline(ask, 10)), rng=random.Random(), within=30)
    answer = await guarded()

A policy takes a call, a coroutine function without arguments, and returns one that does the same under the policy.

All of it is asyncio, because only there a call can be cut off. Time is the event loop's, so `run_virtual` runs hours of
it in no time: it jumps from one timer to the next.
"""

import asyncio
import math
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]


class Failure(Exception):
    """A call did not succeed, and another try, or another provider, may. `retry_after` is how long to wait at least."""

    def __init__(self, message: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Transient(Failure):
    """The server said no for now: overloaded (429, 503), or broken off. It has not done the work."""


class DeadlineExceeded(Failure):
    """Nothing came in time. The server may have done the work, or still do it."""


class CircuitOpen(Failure):
    """The call was not made, because those before it failed."""


class LimitExceeded(Exception):
    """The call was not made, because it could cost more than is left. No retry helps."""


class Piece(NamedTuple):
    """A piece of a stream; the last one says so."""

    text: str
    last: bool = False


class Completion(NamedTuple):
    """What a model wrote, and the tokens that were read and written."""

    text: str
    tokens_in: int
    tokens_out: int


# --- time -----------------------------------------------------------------------------------------------------------


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose clock jumps to the next timer where a real one would wait. It has no sockets and no files."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self  # BaseEventLoop asks it to wait

    def time(self) -> float:
        """Seconds since the loop began, of its own time."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass at once."""
        if timeout is None:
            raise RuntimeError("Everything waits, and no timer will ever end that.")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken."""


def run_virtual(main: Awaitable[T]) -> T:
    """Run a coroutine to its end in virtual time, and cancel what it has left behind.

    Where a loop runs already, as in a notebook, it runs in a thread of its own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        with ThreadPoolExecutor(1) as other:
            return other.submit(run_virtual, main).result()
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def now() -> float:
    """The time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()


# --- policies -------------------------------------------------------------------------------------------------------


def retry(
    call: Call[T],
    *,
    rng: random.Random,
    attempts: int = 4,
    base: float = 0.5,
    cap: float = 20.0,
    within: float = math.inf,
) -> Call[T]:
    """Let a call be tried until it succeeds; it waits between two attempts, longer each time, and at random.

    After the n-th failure the wait is `retry_after` of the failure, and on top of it a uniform draw from 0 to
    min(cap, base · 2ⁿ⁻¹) seconds: full jitter, which keeps clients that failed together from coming back together.

    Args:
        call: only a `Failure` of it is tried again. The last one is raised, where attempts or time are used up.
        rng: draws.
        attempts: how often it is called at most.
        base: upper end of the first draw, in seconds.
        cap: upper end of all draws.
        within: seconds from the beginning; a wait that would not end before that is not begun.

    Raises:
        ValueError: attempts below 1, or base, cap or within not above 0.
    """
    if attempts < 1:
        raise ValueError(f"retry: attempts must be at least 1, the first call, not {attempts}.")
    for name, value in (("base", base), ("cap", cap), ("within", within)):
        _positive(name, value)

    async def retried() -> T:
        begun, attempt = now(), 0
        while True:
            try:
                return await call()
            except Failure as failure:
                wait = failure.retry_after + rng.uniform(0, min(cap, base * 2**attempt))
                if attempt == attempts - 1 or now() - begun + wait >= within:
                    raise
            await asyncio.sleep(wait)
            attempt += 1

    return retried


def deadline(call: Call[T], seconds: float) -> Call[T]:
    """Give a call this long, and not a moment longer: then it raises DeadlineExceeded.

    It is cancelled when its time is up, and nobody waits until it has noticed: a call that ignores being cancelled is
    left behind. Where the caller is cancelled, so is the call.

    Raises:
        ValueError: seconds is not above 0.
    """
    _positive("seconds", seconds)

    async def cut() -> T:
        task = asyncio.ensure_future(call())
        task.add_done_callback(_look)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        finally:
            task.cancel()  # does nothing to one that has ended
        if not done:
            raise DeadlineExceeded(f"no answer within {seconds:g} s")
        return task.result()

    return cut


def _look(task: asyncio.Future[Any]) -> None:
    """Take the exception of a call that was left behind, or asyncio complains that nobody did."""
    if not task.cancelled():
        task.exception()


def fallback(*calls: Call[T]) -> Call[T]:
    """Let the first of these calls that does not fail answer; each is made only after those before it have failed.

    Where all fail, it raises a `Failure` that names each.

    Raises:
        ValueError: no calls.
    """
    if not calls:
        raise ValueError("fallback: calls must be at least one, got none.")

    async def first() -> T:
        failures: list[Failure] = []
        for call in calls:
            try:
                return await call()
            except Failure as failure:
                failures.append(failure)
        named = "; ".join(f"{type(failure).__name__}: {failure}" for failure in failures)
        raise Failure(f"all {len(calls)} failed: {named}", min(failure.retry_after for failure in failures))

    return first


class CircuitBreaker:
    """Stops calling what keeps failing, and tries it again with a single call after a rest.

    Args:
        failures: how many in a row open the circuit.
        rest: seconds that it stays open before one call may try.

    Attributes:
        opened: when it opened; None while it is closed.
    """

    def __init__(self, *, failures: int = 5, rest: float = 30.0) -> None:
        if failures < 1:
            raise ValueError(f"CircuitBreaker: failures must be at least 1, not {failures}.")
        _positive("rest", rest)
        self.failures, self.rest = failures, rest
        self.opened: float | None = None
        self._row = 0  # failures since the last success
        self._trying = False

    def guard(self, call: Call[T]) -> Call[T]:
        """Let a call be made unless the circuit is open; calls to the same server share a breaker.

        Closed: `failures` failures in a row open it. Open: calls raise CircuitOpen for `rest` seconds, with what is
        left of them as `retry_after`; then one is let through, while all others are still refused. It closes the
        circuit if it succeeds; it opens it anew if it fails. Any other exception, and a cancellation, say nothing
        about the server: they change neither the count nor the state, and the next call may try. A call that was made
        before the circuit opened does not change it.
        """

        async def guarded() -> T:
            trial = self.opened is not None
            if self.opened is not None:
                left = self.opened + self.rest - now()
                if left > 0 or self._trying:
                    raise CircuitOpen("the calls before this one failed", max(left, 0.0))
                self._trying = True
            try:
                result = await call()
            except Failure:
                self._row += 1
                if trial or (self.opened is None and self._row >= self.failures):
                    self.opened = now()
                raise
            finally:
                if trial:
                    self._trying = False
            if trial or self.opened is None:
                self.opened, self._row = None, 0
            return result

        return guarded


class Meter:
    """Counts tokens and money, and makes no call that could go over a limit.

    Args:
        price_in: money for a million tokens that are read.
        price_out: money for a million tokens that are written.
        money: the most that may be spent.
        tokens: the most that may be read and written.

    Attributes:
        calls: calls that were made.
        tokens_in, tokens_out: what was read and written, as far as it was told, and the most that it can have been.
    """

    def __init__(self, *, price_in: float, price_out: float, money: float = math.inf, tokens: float = math.inf) -> None:
        for name, value in (("price_in", price_in), ("price_out", price_out), ("money", money), ("tokens", tokens)):
            if not value >= 0:
                raise ValueError(f"Meter: {name} must be 0 or more, not {value}.")
        self.price_in, self.price_out, self.money, self.tokens = price_in, price_out, money, tokens
        self.calls = self.tokens_in = self.tokens_out = 0

    @property
    def spent(self) -> float:
        """The money for the tokens that are counted, those that are reserved included."""
        return (self.tokens_in * self.price_in + self.tokens_out * self.price_out) / 1e6

    def charge(self, call: Call[Completion], *, tokens_in: int, most_out: int) -> Call[Completion]:
        """Reserve the most that a call can take, make it, and count what it took.

        What runs at the same time has reserved already, so that many calls together stay within the limits. Where
        there is no room, LimitExceeded names the limit, and the call is not made. A `Transient` failure costs nothing.
        Whatever else ends the call leaves all of it counted: the server may have done the work, and will send the bill.

        Args:
            call: made, if the limits have room for it.
            tokens_in: what it will read.
            most_out: the most that it can write, as it is told to the server.

        Raises:
            ValueError: a number of tokens is negative.
        """
        for name, value in (("tokens_in", tokens_in), ("most_out", most_out)):
            if value < 0:
                raise ValueError(f"Meter.charge: {name} must be 0 or more, not {value}.")

        async def charged() -> Completion:
            money = self.spent + (tokens_in * self.price_in + most_out * self.price_out) / 1e6
            tokens = self.tokens_in + self.tokens_out + tokens_in + most_out
            for name, wanted, limit in (("money", money, self.money), ("tokens", tokens, self.tokens)):
                if wanted > limit:
                    raise LimitExceeded(f"{name}: this call could bring it to {wanted:g}, and {limit:g} is the limit")
            self._count(tokens_in, most_out)
            self.calls += 1
            try:
                completion = await call()
            except Transient:
                self._count(-tokens_in, -most_out)
                raise
            self._count(completion.tokens_in - tokens_in, completion.tokens_out - most_out)
            return completion

        return charged

    def _count(self, tokens_in: int, tokens_out: int) -> None:
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out


class Once:
    """Does a thing once for each key: a cache where results grow old, idempotency where they do not.

    Args:
        ttl: seconds that a result is kept after it came.
        most: how many results are kept; those that were used least recently go first.
    """

    def __init__(self, *, ttl: float = math.inf, most: int = 1024) -> None:
        _positive("ttl", ttl)
        if most < 1:
            raise ValueError(f"Once: most must be at least 1, not {most}.")
        self.ttl, self.most = ttl, most
        self._kept: OrderedDict[Hashable, tuple[Any, asyncio.Future[Any], list[float]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keyed(self, key: Hashable, call: Call[T], request: Any = None) -> Call[T]:
        """Give the result for a key: the one that is kept, that of a call under way, or that of a new call.

        A failure is told to all who wait, and is not kept. A call goes on when those who wait for it are cancelled:
        its effect happens, and whoever asks again gets its result. A key that was used for another request raises
        ValueError.

        Args:
            key: names what is done.
            call: made if nothing is kept for the key.
            request: what was asked, to notice a key that is used for something else.
        """

        async def once() -> T:
            kept = self._kept.get(key)
            if kept is not None and kept[2] and now() - kept[2][0] >= self.ttl:
                kept = None
            if kept is None:
                task = asyncio.ensure_future(call())
                kept = self._kept[key] = (request, task, [])  # the list holds when the result came
                task.add_done_callback(lambda task, kept=kept: self._ended(key, kept))
            elif kept[0] != request:
                raise ValueError(f"key {key!r} was used for {kept[0]!r}, and now for {request!r}. Take a new key.")
            self._kept.move_to_end(key)
            return await asyncio.shield(kept[1])

        return once

    def _ended(self, key: Hashable, kept: tuple[Any, asyncio.Future[Any], list[float]]) -> None:
        """Keep a result, forget a failure, and make room."""
        kept[2].append(now())
        if kept[1].cancelled() or kept[1].exception() is not None:
            if self._kept.get(key) is kept:
                del self._kept[key]
        ended = [name for name, (_, task, _) in self._kept.items() if task.done()]
        for name in ended[: max(len(ended) - self.most, 0)]:
            del self._kept[name]


def collect(stream: Callable[[], AsyncIterator[Piece]], *, first: float, gap: float, total: float) -> Call[str]:
    """Join the pieces of a stream, which must neither begin late, nor stall, nor take too long, nor end halfway.

    What takes too long raises DeadlineExceeded. A stream that ends before a piece has said that it was the last raises
    Failure: half an answer is none. It is not Transient, for the work may be done, and what came is billed.

    Args:
        stream: opens it; it is read up to the piece that says that it is the last.
        first: seconds until the first piece.
        gap: seconds between two pieces.
        total: seconds for all of it.

    Raises:
        ValueError: one of the three is not above 0.
    """
    for name, value in (("first", first), ("gap", gap), ("total", total)):
        _positive(name, value)

    async def collected() -> str:
        pieces, texts, patience = stream(), [], first
        while True:
            piece = await deadline(lambda: anext(pieces, None), patience)()
            if piece is None:
                raise Failure(f"the stream ended halfway, after {len(texts)} pieces")
            texts.append(piece.text)
            if piece.last:
                return "".join(texts)
            patience = gap

    return deadline(collected, total)


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, not {value}.")


# --- an agent behind an API -----------------------------------------------------------------------------------------


class Endpoint:
    """What an API does with a question, without HTTP: once for each key, retried, cut off in time, and metered.

    Args:
        ask: answers a question.
        rng: draws the waits.
        meter: limits what all questions together may cost.
        seconds: how long one attempt may take.
        within: how long an answer may take in all.
        most_out: the most tokens of an answer.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[Completion]],
        *,
        rng: random.Random,
        meter: Meter,
        seconds: float = 10.0,
        within: float = 30.0,
        most_out: int = 500,
    ) -> None:
        self.ask, self.rng, self.meter = ask, rng, meter
        self.seconds, self.within, self.most_out = seconds, within, most_out
        self.breaker, self.once = CircuitBreaker(rest=within / 3), Once(ttl=3600.0)

    async def answer(self, question: str, key: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Answer with a status, headers and a body; no failure of the agent is an exception here."""
        if not question.strip():
            return 422, {}, {"error": "question must say something"}

        asked = deadline(lambda: self.ask(question), self.seconds)
        most_in = len(question.encode())  # no token is shorter than a byte
        metered = self.meter.charge(asked, tokens_in=most_in, most_out=self.most_out)
        retried = retry(self.breaker.guard(metered), rng=self.rng, within=self.within)
        try:
            completion = await self.once.keyed(key, deadline(retried, self.within), question)()
        except DeadlineExceeded as failure:
            return 504, {}, {"error": str(failure)}
        except Failure as failure:
            return 503, {"retry-after": str(math.ceil(failure.retry_after))}, {"error": str(failure)}
        except LimitExceeded as error:
            return 429, {}, {"error": str(error)}
        except ValueError as error:
            return 422, {}, {"error": str(error)}
        return 200, {}, {"answer": completion.text, "tokens": completion.tokens_in + completion.tokens_out}


# --- a server to try it on ------------------------------------------------------------------------------------------


class Server:
    """A simulated model server in virtual time, which fails as servers do.

    Args:
        rng: draws.
        latency: mean seconds of an answer; the times are exponential.
        slots: how many calls it works on at once; more are refused with `retry_after`.
        errors: the share of calls that fail at once.
        hangs: the share of calls that never end.
        outages: from when to when all calls fail.

    Attributes:
        calls: how many came.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        latency: float = 1.0,
        slots: int = 20,
        errors: float = 0.0,
        hangs: float = 0.0,
        outages: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.rng, self.latency, self.slots, self.outages = rng, latency, slots, outages
        self.shares: Mapping[str, float] = {"error": errors, "hang": hangs}
        self.calls = self.busy = 0

    async def __call__(self) -> str:
        """Answer, or fail."""
        self.calls += 1
        if self.busy >= self.slots:
            raise Transient("429: all slots are taken", self.latency)
        draw = self.rng.random()
        self.busy += 1
        try:
            if draw < self.shares["error"]:
                raise Transient("503: it broke")
            if draw < self.shares["error"] + self.shares["hang"]:
                await asyncio.sleep(3600.0)
            await asyncio.sleep(self.rng.expovariate(1 / self.latency))
            if any(start <= now() < end for start, end in self.outages):
                raise Transient("503: it is down")
            return "an answer"
        finally:
            self.busy -= 1
