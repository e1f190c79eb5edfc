# pyright: basic
"""Ways to get serving wrong, and right ways that differ."""

import asyncio
import math

from groundup.anatomy import mistake, variant
from groundup.stack.agents.reliability import DeadlineExceeded, now
from groundup.stack.production.serving.serving import Late, Overloaded, Refused, Reply, Unavailable, _check, log


@mistake(
    "validate",
    edit=(
        "type(value) is not kind and (kind, type(value)) != (float, int)",
        "not isinstance(value, (int, float) if kind is float else kind)",
    ),
)
def takes_true_for_one():
    """You let a bool pass as a number, because it is an int to Python. `true` for a CPU is the client's mistake."""


@mistake("validate", edit=("kind is float and not abs(size) <= sys.float_info.max", "False"))
def lets_nan_in():
    """You let NaN through: it is neither below nor above a bound. The model then answers NaN, or anything at all."""


@mistake("validate", edit=("abs(size) <= sys.float_info.max", "float(size) - float(size) == 0"))
def trips_over_a_long_integer():
    """You turn the value into a float first. JSON's integers have no limit, and 10**400 is an OverflowError, a 500."""


@mistake(
    "validate",
    edit=(
        'wrong[name] = "missing"',
        'raise Invalid("missing", details=[{"loc": [name], "type": "missing"}])',
    ),
)
def tells_one_fault_at_a_time():
    """You stop at the first missing field: the client mends one fault, and meets the next one. Collect them all."""


@mistake("Batcher.submit", edit=("len(self.waiting) >= self.room", "False"))
def has_no_bound():
    """You take all that comes. Under overload everybody then waits until their time is up, and nobody is served."""


@mistake("Batcher.submit", edit=("len(self.waiting) >= self.room", "len(self.accepted) >= self.room"))
def counts_those_with_the_model():
    """You count the batch that is with the model, too. `room` is the queue's."""


@mistake("Batcher.submit", edit=("caller.add_done_callback(self._leave)", "pass"))
def keeps_the_place_of_the_gone():
    """A cancelled caller keeps its place in the queue: those who come get a 503, although nobody waits."""


@mistake("Batcher.due", edit=("next(iter(self.waiting.values()))", "next(reversed(self.waiting.values()))"))
def asks_the_youngest():
    """You look at who came last. The oldest has waited longest, and the promise of max_delay is made to it."""


@mistake("Batcher.due", edit=("len(self.waiting) >= self.most or self.closed", "self.closed"))
def always_waits_out_the_delay():
    """You wait out the delay though the batch is full. A full batch gains nothing by waiting."""


@mistake("Batcher.due", edit=("len(self.waiting) >= self.most or self.closed", "len(self.waiting) >= self.most"))
def makes_a_stop_wait():
    """You wait for others though the batcher is closed, and nobody else will come."""


@mistake("settle", edit=("        if caller.done():\n            continue\n", ""))
def answers_the_gone():
    """You set a result of a caller that was cancelled meanwhile. That raises, and those after it get nothing."""


@mistake("settle", edit=("if len(batch) > 1:", "if False:"))
def fails_all_for_one():
    """When the call fails, you do not try its items apart: one bad item costs all the others their answer."""


@mistake("settle", edit=("not isinstance(outcome, Exception) and len(outcome) != len(batch)", "False"))
def mixes_callers_up():
    """You do not compare how many answers came with how many were asked for. One missing: others get a neighbour's."""


@mistake("settle", edit=("if isinstance(answer, Exception):", "if False:"))
def answers_with_an_exception():
    """You give an exception among the answers as a result. It is the error of its caller: set it as one."""


@mistake("Batcher.drain", edit=("self.closed = True", "pass"))
def takes_more_while_it_drains():
    """You do not close first: what comes during the drain is accepted, and lost."""


@mistake("Batcher.drain", edit=("timeout=grace", "timeout=None"))
def waits_for_ever():
    """You wait for all, however long. A model that hangs then holds the process until it is killed from outside."""


@mistake(
    "Batcher.drain",
    edit=(
        "self.accepted:\n            _, late = await asyncio.wait(self.accepted,",
        "self.waiting:\n            _, late = await asyncio.wait(self.waiting,",
    ),
)
def forgets_the_batch_under_way():
    """You wait for the queue only. Those who are with the model are accepted, too."""


@mistake("Service.reply", edit=('Refused("The model failed.")', 'Refused(repr(__import__("sys").exc_info()[1]))'))
def tells_its_secrets():
    """You send the exception's text to the client. It may hold paths, addresses, data of others: log it instead."""


@mistake("Service.reply", edit=("label, confidence = _check(answer)", "label, confidence = answer"))
def passes_any_confidence_on():
    """You pass on a confidence that is no probability. The client's threshold is then above nothing, or everything."""


@mistake("Service.reply", edit=('        log.exception("a prediction failed")\n', ""))
def keeps_it_to_itself():
    """You log nothing. The client is told nothing, which is right, but then nobody knows."""


@variant("Batcher.due")
def by_the_smallest_of_all(self):
    """The oldest by its time, and one expression."""
    if self.waiting and (self.closed or not len(self.waiting) < self.most):
        return 0
    end = min((came for _, came in self.waiting.values()), default=math.inf) + self.max_delay
    return end - now() if end > now() else 0.0


@variant("settle")
def with_a_list_of_results(batch, outcome):
    """The refusal first, then one caller after the other."""
    callers = list(batch)
    if isinstance(outcome, Exception) or len(outcome) != len(callers):
        half = len(callers) // 2
        if half:
            return [{c: batch[c] for c in callers[:half]}, {c: batch[c] for c in callers[half:]}]
        if not isinstance(outcome, Exception):
            outcome = ValueError("another number of answers")
        outcome = (outcome,)
    for place, result in enumerate(outcome):
        if not callers[place].done():
            (callers[place].set_exception if isinstance(result, Exception) else callers[place].set_result)(result)
    return []


@variant("Batcher.submit")
def in_another_order(self, item):
    """The future first, and the entries by update."""
    if not self.closed and len(self.waiting) < self.room:
        made = asyncio.Future(loop=asyncio.get_event_loop())
        made.add_done_callback(self._leave)
        self.accepted |= {made}
        self.waiting.update({made: (item, now())})
        self._wake()
        return made
    if self.closed:
        raise Unavailable("closed", retry_after=1)
    raise Overloaded("full", retry_after=self.backlog())


@variant("Service.reply")
def by_the_kind_of_the_outcome(self, outcome):
    """Questions instead of exceptions."""
    error = outcome
    if not isinstance(outcome, Exception):
        try:
            prediction = _check(outcome[0])
            body = {"label": prediction.label, "confidence": prediction.confidence, "model": outcome[1]}
            return Reply(200, {}, body)
        except Exception as other:
            error = other
    if isinstance(error, DeadlineExceeded):
        error = Late("too late")
    if not isinstance(error, Refused):
        log.error("failed", exc_info=error)
        error = Refused("failed")
    return error.reply()
