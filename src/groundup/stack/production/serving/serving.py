"""Serving a model: a body that is checked, answers with a confidence, batches, and a start and an end without a loss.

    service = Service({"cpu": Field(float, 0, 100), "restarts": Field(int, 0)})
    await service.reload("v1", load, probe={"cpu": 1.0, "restarts": 0})
    reply = await service.predict({"cpu": 93.5, "restarts": 4})
    app = create_app(service)            # for uvicorn

A model is a coroutine function: a list of items in, as many `Prediction`s out, in the same order. An exception among
them is the error of its own item. A long computation belongs into a thread, by `asyncio.to_thread`.
Time is the event loop's, so `agents/reliability` runs all of this in virtual time.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from groundup.stack.agents.reliability import DeadlineExceeded, deadline, now

Item = dict[str, Any]
Model = Callable[[list[Any]], Awaitable[Sequence[Any]]]
Caller = asyncio.Future[Any]
log = logging.getLogger("groundup.serving")


class Field(NamedTuple):
    """What a value of the body must be: float, int or str, and its bounds; those of a text are its length's."""

    kind: type
    least: float = -math.inf
    most: float = math.inf


class Prediction(NamedTuple):
    """The label that the model finds most probable, and the probability that it gives it."""

    label: str
    confidence: float


class Reply(NamedTuple):
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class Refused(Exception):
    """A request that gets no prediction; each kind has its status and its code, which a client may rely on."""

    status, code = 500, "failed"

    def __init__(
        self, message: str, *, details: Sequence[Mapping[str, Any]] = (), retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.details, self.retry_after = [dict(detail) for detail in details], retry_after

    def reply(self) -> Reply:
        """The documented error, `{"error": {"code": …, "message": …, "details": […]}}`, and its headers."""
        headers = {} if self.retry_after is None else {"retry-after": str(max(1, math.ceil(self.retry_after)))}
        return Reply(
            self.status, headers, {"error": {"code": self.code, "message": str(self), "details": self.details}}
        )


class Invalid(Refused):
    """The body is not what the endpoint takes. Another try of the same body gets the same answer."""

    status, code = 422, "invalid"


class Overloaded(Refused):
    """The queue is full. The request was not begun."""

    status, code = 503, "overloaded"


class Unavailable(Refused):
    """No model yet, or no longer: another replica may answer."""

    status, code = 503, "unavailable"


class Late(Refused):
    """The request's time is up."""

    status, code = 504, "late"


# --- the body -------------------------------------------------------------------------------------------------------

TYPES = {float: "float_type", int: "int_type", str: "string_type"}


def validate(fields: Mapping[str, Field], body: Any) -> Item:
    """Return the values of a JSON body, or say everything that is wrong with it at once.

    Strict, as Pydantic in strict mode: a float may be written as an integer and comes out as a float; an int may not be
    written as a float; a bool is no number; "5" is none either. Values may be equal to their bounds. A NaN and an
    infinity are not finite; an integer that is too large for a float has the wrong type.

    Args:
        fields: what is required. Nothing else may be there.
        body: as `json.loads` gives it.

    Raises:
        Invalid: its message names all that is wrong, and `details` has one entry for each field that is, in the order
            of `fields`, then for each unknown name. An entry is `{"loc": [name], "type": …}`, with the first of
            Pydantic's types that applies: "missing", those of `TYPES`, "finite_number" (floats only),
            "greater_than_equal" and "less_than_equal" for bounds ("string_too_short" and "string_too_long" for texts),
            "extra_forbidden". A body that is no dict has one entry, `{"loc": [], "type": "dict_type"}`.
    """
    if not isinstance(body, dict):
        raise Invalid(f"The body must be a JSON object, got {body!r:.60}.", details=[{"loc": [], "type": "dict_type"}])
    values: Item = {}
    wrong: dict[str, str] = {}
    for name, (kind, least, most) in fields.items():
        value: Any = body.get(name)
        size: Any = len(value) if isinstance(value, str) else value
        if name not in body:
            wrong[name] = "missing"
        elif type(value) is not kind and (kind, type(value)) != (float, int):
            wrong[name] = TYPES[kind]
        elif kind is float and not abs(size) <= sys.float_info.max:
            wrong[name] = "finite_number" if type(value) is float else "float_type"
        elif size < least:
            wrong[name] = "string_too_short" if kind is str else "greater_than_equal"
        elif size > most:
            wrong[name] = "string_too_long" if kind is str else "less_than_equal"
        else:
            values[name] = kind(value)
    wrong |= {name: "extra_forbidden" for name in body if name not in fields}
    if wrong:
        told = ", ".join(f"{name}: {kind}" for name, kind in wrong.items())
        raise Invalid(f"The body must be mended: {told}.", details=[{"loc": [n], "type": t} for n, t in wrong.items()])
    return values


# --- batches --------------------------------------------------------------------------------------------------------


class Batcher:
    """Puts single items together into batches for a model that takes many at once in nearly the time of one.

    The model has one batch at a time; whoever comes meanwhile waits in a queue that is bounded.

    Args:
        model: answers the batches. Change the attribute at any time: a batch that has begun keeps its model.
        most: items in a batch at most.
        max_delay: seconds that an item waits at most for others, while the model is idle.
        room: items in the queue at most.

    Attributes:
        waiting: the queue, oldest first: of each caller its item, and when it came.
        accepted: callers that have no answer yet, in the queue or with the model.
        changed: set when something has come into the queue, or the batcher was closed.
        closed: whether it takes nothing more.
        calls: how often a model was called.
        busy: since when a batch is with the model; None while there is none.
        seconds: what the last batch took.
    """

    def __init__(self, model: Model, *, most: int = 32, max_delay: float = 0.005, room: int = 256) -> None:
        for name, value, least in (("most", most, 1), ("max_delay", max_delay, 0), ("room", room, 1)):
            if not value >= least:
                raise ValueError(f"Batcher: {name} must be at least {least}, not {value}.")
        self.model, self.most, self.max_delay, self.room = model, most, max_delay, room
        self.waiting: dict[Caller, tuple[Any, float]] = {}
        self.accepted: set[Caller] = set()
        self.changed = asyncio.Event()
        self.closed = False
        self.calls = 0
        self.busy: float | None = None
        self.seconds = 0.0
        self._worker: asyncio.Task[None] | None = None

    def submit(self, item: Any) -> Caller:
        """Queue an item; await what is returned for its answer or its error.

        The caller is a future: in `waiting`, with its item and the time, until its batch goes, and in `accepted` until
        it is done. When it is done, also because it was cancelled, its callback takes it out of both, so its place is
        free for the next one.

        Raises:
            Unavailable: the batcher is closed; to be tried again after a second, at another server.
            Overloaded: `room` items wait already; `retry_after` is `backlog()`.
        """
        if self.closed:
            raise Unavailable("This server is stopping.", retry_after=1.0)
        if len(self.waiting) >= self.room:
            raise Overloaded(f"{len(self.waiting)} requests wait already.", retry_after=self.backlog())
        caller = asyncio.get_running_loop().create_future()
        self.waiting[caller] = (item, now())
        self.accepted.add(caller)
        caller.add_done_callback(self._leave)
        self._wake()
        return caller

    def due(self) -> float:
        """Seconds until the next batch should go: 0 if it should go now, infinite if nobody waits.

        It goes when `most` items wait, when the oldest has waited for `max_delay`, or at once if the batcher is closed.
        """
        if not self.waiting:
            return math.inf
        if len(self.waiting) >= self.most or self.closed:
            return 0.0
        _, came = next(iter(self.waiting.values()))
        return max(0.0, came + self.max_delay - now())

    def drain(self, grace: float) -> asyncio.Future[int]:
        """Take nothing more from now on, and answer all who were accepted; await how many had to be given up.

        It is a task, which goes on whether somebody awaits it or not. Those that wait go at once. Whoever has no answer
        after `grace` seconds gets Unavailable, to be tried again after a second. Then the worker is cancelled: nobody
        waits for a model that hangs.
        """
        self.closed = True
        self.changed.set()

        async def drained() -> int:
            late: set[Caller] = set()
            if self.accepted:
                _, late = await asyncio.wait(self.accepted, timeout=grace)
            for caller in late:
                caller.set_exception(Unavailable("This server has stopped.", retry_after=1.0))
            if self._worker is not None:
                self._worker.cancel()
            return len(late)

        return asyncio.ensure_future(drained())

    def backlog(self) -> float:
        """Seconds until the queue is empty, if each batch takes as long as the last one."""
        return math.ceil(len(self.waiting) / self.most) * self.seconds

    def _leave(self, caller: Caller) -> None:
        self.waiting.pop(caller, None)
        self.accepted.discard(caller)

    def _wake(self) -> None:
        """Say that something has come, and see to it that somebody works."""
        self.changed.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        """Send batch after batch until nobody waits. After each event look at all anew: the oldest may have left."""
        while self.waiting:
            if (left := self.due()) > 0:
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self.changed.wait()
                continue
            taken = list(itertools.islice(self.waiting, self.most))
            batch = {caller: self.waiting.pop(caller)[0] for caller in taken}
            self.busy = now()
            try:
                await self._answer(batch)
            finally:  # a worker that was cancelled leaves nobody behind
                self.seconds, self.busy = now() - self.busy, None
                for caller in batch:
                    if not caller.done():
                        caller.set_exception(Unavailable("The model was stopped.", retry_after=1.0))

    async def _answer(self, batch: dict[Caller, Any]) -> None:
        """Call the model until a batch is settled; it stays the same one, whatever `model` becomes meanwhile."""
        model, parts = self.model, [batch]
        while parts:
            part = {caller: item for caller, item in parts.pop(0).items() if not caller.done()}
            if part:
                self.calls += 1
                try:
                    outcome = list(await model(list(part.values())))
                except Exception as error:
                    outcome = error
                parts = settle(part, outcome) + parts


def settle(batch: Mapping[Caller, Any], outcome: Sequence[Any] | Exception) -> list[dict[Caller, Any]]:
    """Give each caller its own answer or its own error, and return the batches that must be tried again.

    Callers that are done, because they were cancelled, are passed over.

    Args:
        batch: of each caller its item, in the order in which the model got them; one at least.
        outcome: the answers in this order; an exception among them is the error of its caller only. Or the exception
            that the call raised. Another number of answers than items counts as a ValueError that it raised.

    Returns:
        Nothing, if the call gave answers. If it raised, a caller that was alone gets the exception; of more, the first
        half, rounded down, and the rest are two batches to try.
    """
    if not isinstance(outcome, Exception) and len(outcome) != len(batch):
        outcome = ValueError(f"The model gave {len(outcome)} answers to {len(batch)} items.")
    if isinstance(outcome, Exception):
        if len(batch) > 1:
            items, half = list(batch.items()), len(batch) // 2
            return [dict(items[:half]), dict(items[half:])]
        outcome = [outcome]
    for caller, answer in zip(batch, outcome, strict=True):
        if caller.done():
            continue
        if isinstance(answer, Exception):
            caller.set_exception(answer)
        else:
            caller.set_result(answer)
    return []


# --- the service ----------------------------------------------------------------------------------------------------


class Service:
    """A model behind `/predict`.

    Args:
        fields: what a body holds.
        seconds: a request gets its answer within them, or a Late.
        stuck: seconds after which a batch that is still with the model counts as hanging.
        most, max_delay, room: the `Batcher`'s.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        *,
        seconds: float = 1.0,
        stuck: float = 30.0,
        most: int = 32,
        max_delay: float = 0.005,
        room: int = 256,
    ) -> None:
        self.fields, self.seconds, self.stuck = dict(fields), seconds, stuck
        self.batcher = Batcher(_no_model, most=most, max_delay=max_delay, room=room)
        self.version: str | None = None
        self.leaving = False

    def live(self) -> bool:
        """Whether the process gets on: no batch has been with the model for `stuck` seconds. If not, restart it."""
        return self.batcher.busy is None or now() - self.batcher.busy < self.stuck

    def ready(self) -> bool:
        """Whether new requests should be sent here: there is a model, and the server is not about to stop."""
        return self.version is not None and not self.leaving

    async def reload(self, version: str, load: Callable[[], Awaitable[Model]], probe: Any) -> None:
        """Load a model while the old one answers, try it on an item, and let it answer from the next batch on.

        Whatever goes wrong is raised before anything has changed.
        """
        model = await load()
        for answer in await model([probe]):
            _check(answer)

        async def labelled(items: list[Any]) -> list[Any]:
            return [a if isinstance(a, Exception) else (a, version) for a in await model(items)]

        self.batcher.model, self.version = labelled, version

    async def predict(self, body: Any) -> Reply:
        """Answer a body within `seconds`. A server that is leaving still answers."""
        try:
            item = validate(self.fields, body)
            if self.version is None:
                raise Unavailable("The model is not loaded yet.", retry_after=1.0)
            outcome = await deadline(lambda: self.batcher.submit(item), self.seconds)()
        except Exception as error:
            outcome = error
        return self.reply(outcome)

    def reply(self, outcome: Any) -> Reply:
        """Turn what has come of a request into an answer over HTTP.

        A Refused has its own reply, and DeadlineExceeded becomes a Late. Any other exception, and an answer that
        `_check` refuses, go with their traceback to the log `groundup.serving`; the client gets a plain Refused, whose
        message tells nothing of it.

        Args:
            outcome: the model's answer with the version of the model, or an exception.

        Returns:
            Of a prediction: 200, no headers, and a body with `label`, `confidence` and `model`, the version.
        """
        try:
            if isinstance(outcome, Exception):
                raise outcome
            answer, version = outcome
            label, confidence = _check(answer)
            return Reply(200, {}, {"label": label, "confidence": confidence, "model": version})
        except Refused as refusal:
            return refusal.reply()
        except DeadlineExceeded:
            return Late(f"No answer within {self.seconds:g} s.").reply()
        except Exception:
            log.exception("a prediction failed")
            return Refused("The model failed.").reply()

    async def stop(self, pause: float = 5.0, grace: float = 10.0) -> int:
        """Stop without losing a request; return how many had to be given up.

        It is not ready any more, but goes on answering for `pause` seconds, until who sends requests has noticed.
        """
        self.leaving = True
        await asyncio.sleep(pause)
        return await self.batcher.drain(grace)


def create_app(service: Service, *, pause: float = 5.0, grace: float = 10.0) -> Any:
    """An ASGI app: POST /predict, GET /livez and /readyz; it stops the service when the server shuts down."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    def response(reply: Reply) -> Response:
        body = json.dumps(reply.body)  # ASCII only: a name that cannot be encoded may stand in an error
        return Response(body, reply.status, reply.headers, "application/json")

    async def predict(request: Request) -> Response:
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            return response(Invalid("This is no JSON.", details=[{"loc": [], "type": "json_invalid"}]).reply())
        return response(await service.predict(body))

    def probe(name: str, healthy: Callable[[], bool]) -> Route:
        async def answer(_: Request) -> Response:
            return response(Reply(200 if healthy() else 503, {}, {name: healthy()}))

        return Route(f"/{name}z", answer)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = {"error": {"code": "http", "message": error.detail, "details": []}}
        return response(Reply(error.status_code, dict(error.headers or {}), body))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await service.stop(pause, grace)

    routes = [Route("/predict", predict, methods=["POST"]), probe("live", service.live), probe("ready", service.ready)]
    return Starlette(routes=routes, exception_handlers={HTTPException: refused}, lifespan=lifespan)


# --- how long a queue is --------------------------------------------------------------------------------------------


def queue_mean(load: float) -> float:
    """Mean wait in a queue before one server with random arrivals and equal service times (M/D/1), in service times.

    Pollaczek and Khinchine: ρ / (2(1 - ρ)).
    """
    _below_one(load)
    return load / (2 * (1 - load))


def queue_quantile(load: float, share: float) -> float:
    """The wait that this share of the requests does not exceed, in service times.

    Erlang's formula of 1909, (1 - ρ) Σₖ (-ρ(t - k))ᵏ / k! · exp(ρ(t - k)), takes large terms from each other, and
    drowns in rounding for long waits. This is Franx's of 2001, whose terms are all positive: for k - 1 ≤ t < k it is
    P(W ≤ t) = Σⱼ P(N ≤ k - j) yʲ / j! · exp(-y) with y = ρ(k - t), over j below k; N counts all who are there.
    """
    _below_one(load)
    if not 0 <= share < 1:
        raise ValueError(f"share must be from 0 to below 1, got {share}.")
    at_most = _at_most(load, share)

    def within(t: float) -> float:
        k = math.floor(t) + 1
        y = load * (k - t)
        return math.fsum(at_most[k - j] * y**j / math.factorial(j) for j in range(min(k, 40))) * math.exp(-y)

    low, high = 0.0, float(len(at_most) - 2)
    if within(low) >= share:
        return low
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < share else (low, middle)
    return high


def _at_most(load: float, share: float) -> list[float]:
    """P(N ≤ n) for n from 0 until it reaches the share, and for one n more.

    Whoever leaves n behind comes from more as often as whoever leaves more comes from n or fewer.
    """
    arrivals = [math.exp(-load) * load**k / math.factorial(k) for k in range(40)]  # in one service time
    least = [math.fsum(arrivals[k:]) for k in range(40)]
    number, total = [1 - load], [1 - load]
    while len(total) < 3 or total[-2] < share:
        n = len(number)
        up = sum(number[j] * least[n + (j > 0) - j] for j in range(max(0, n - 38), n) if n + (j > 0) - j < 40)
        number.append(up / arrivals[0])
        total.append(total[-1] + number[-1])
    return total


def _below_one(load: float) -> None:
    if not 0 <= load < 1:
        raise ValueError(f"load must be from 0 to below 1, where the queue has an end, got {load}.")


def _check(answer: Any) -> Prediction:
    """Return a prediction, unless its confidence is no probability; raise an exception that stands in its place."""
    if isinstance(answer, Exception):
        raise answer
    label, confidence = answer
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence must be a probability, from 0 to 1, got {confidence}.")
    return Prediction(label, confidence)


async def _no_model(items: list[Any]) -> list[Any]:
    raise Unavailable("There is no model yet.", retry_after=1.0)
