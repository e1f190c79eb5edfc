# pyright: basic
"""Ways to get an agent's loop wrong, and right ways that differ."""

import inspect
import json
import re

from groundup.anatomy import mistake, variant
from groundup.stack.agents.react.react import (
    SKIPPED,
    Call,
    CallError,
    Turn,
    _fits,
    _text,
    _type_schema,
    get_type_hints,
)


@mistake("schema", edit=("if parameter.default is parameter.empty:", "if True:"))
def requires_all():
    """You require every parameter. One with a default may be left out: a model should not have to invent a value."""


@mistake("schema", edit=('.split("\\n\\n")[0]', ""))
def describes_with_all_of_the_docstring():
    """You put the whole docstring into the description. It is sent with every request: the first paragraph will do."""


@mistake("schema", edit=('"additionalProperties": False', '"additionalProperties": True'))
def allows_other_arguments():
    """You allow arguments that the function does not have. A model that is told so will send some."""


@mistake("check_arguments", edit=("if not _fits(value, known[name]):", "if False:"))
def trusts_the_types():
    """You check names and not types. A model sends "7" for 7, and the tool fails far from the cause."""


@mistake("check_arguments", edit=("if name not in known:", "if False:"))
def looks_up_unknown_names():
    """You look an unknown argument up without asking whether it exists: a KeyError is no word that a model can use."""


@mistake("check_arguments", edit=("return dict(arguments)", "return arguments"))
def returns_the_same_dictionary():
    """You return the model's own dictionary. What changes it later changes the transcript: return a new one."""


@mistake("observe", edit=("except BaseException as error:", "except Exception as error:"))
def lets_exit_through():
    """You catch Exception, and SystemExit is none: a tool that calls `sys.exit` ends without a word."""


@mistake("observe", edit=("thread.join(tool.seconds)", "thread.join()"))
def waits_for_ever():
    """You wait until the tool ends, and some never do. Wait `tool.seconds`, then tell the model and go on."""


@mistake("observe", edit=("approve(Call(call.name, arguments, call.id)) is not True", "not approve(call)"))
def takes_any_answer_for_yes():
    """You take every true value for a yes: the text "no" is one. Only True approves."""


@mistake("observe", edit=("if tool.effect and approve", "if approve"))
def asks_about_every_call():
    """You ask for approval of tools that change nothing. People who are asked about everything read nothing."""


@mistake("parse", edit=('label == "Observation" or ', ""))
def believes_a_made_up_observation():
    """You read past an "Observation:" that the model wrote itself. It made that up: nothing behind it counts."""


@mistake("parse", edit=("json.loads(body)),), text=text[:end].strip()", "json.loads(body)),), text=text"))
def keeps_what_was_made_up():
    """You keep the reply whole. A made-up Observation then stands in the transcript, and the next reply believes it."""


@mistake("parse", edit=("json.loads(body)", "eval(body)"))
def evaluates_the_input():
    """You evaluate the model's text as Python. It can be anything, and comes from strangers: read it as JSON."""


@mistake("window", edit=("number > 0 and used > budget", "used > budget"))
def drops_the_last_step():
    """You leave out even the last step where it is long. The model never sees its result, and asks again."""


@mistake("window")
def resends_everything(head, steps, budget, length):
    """You send all steps with every request. A run of n steps then sends on the order of n² tokens."""
    return [*head, *(message for step in steps for message in step.messages)]


@mistake("window", edit=("shown = [*step.messages, *shown]", "shown = [*shown, *step.messages]"))
def turns_the_order_around():
    """You show the newest step first. A transcript is read from old to new."""


@mistake("Agent.run", edit=("while len(steps) < self.max_steps:", "while True:"))
def has_no_limit_of_steps():
    """You never count the steps. A model that goes in circles goes on until the bill stops it."""


@mistake("Agent.run", edit=("if max(seen.values()) >= self.repeats:", "if False:"))
def never_notices_repetition():
    """You do not notice that the same call had the same result again. Stop at `repeats`: nothing new will come."""


@mistake("Agent.run", edit=('f"{call.key} {observations[-1]}"', "call.key"))
def takes_polling_for_repetition():
    """You count calls without their results. Asking again for a state that changes is no circle."""


@mistake("Agent.run", edit=("if spent + asked > self.max_tokens:", "if False:"))
def sends_over_the_budget():
    """You send first and count afterwards. A request that is over the budget must not be sent."""


@variant("schema")
def in_one_pass(function):
    """The parts are put together by comprehensions."""
    hints, parameters = get_type_hints(function), inspect.signature(function).parameters
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ValueError(f"{function.__name__}: {name} cannot be passed by name")
        if name not in hints:
            raise ValueError(f"{function.__name__}: {name} has no type")
    lines = (function.__doc__ or "").strip().partition("\n\n")[0].split()
    return {
        "name": function.__name__,
        "description": " ".join(lines),
        "parameters": {
            "type": "object",
            "properties": {name: _type_schema(hints[name], f"{function.__name__}: {name}") for name in parameters},
            "required": [name for name, p in parameters.items() if p.default is inspect.Parameter.empty],
            "additionalProperties": False,
        },
    }


@variant("check_arguments")
def by_sets(parameters, arguments):
    """Missing and unknown names are differences of sets."""
    if not isinstance(arguments, dict):
        raise CallError(f"arguments must be an object, got {arguments!r}")
    known = parameters["properties"]
    if lacking := set(parameters["required"]) - set(arguments):
        raise CallError(f"missing: {', '.join(map(repr, sorted(lacking)))}")
    if extra := set(arguments) - set(known):
        raise CallError(f"unknown: {', '.join(map(repr, extra))}; known: {', '.join(known)}")
    for name in arguments:
        if not _fits(arguments[name], known[name]):
            raise CallError(f"{name!r}: {arguments[name]!r} is of another type")
    return {**arguments}


@variant("parse")
def line_by_line(text):
    """A machine that reads line after line."""
    fields, kept = [], 0
    for line in text.splitlines(keepends=True):
        mark = re.match(r"(Thought|Action Input|Action|Final Answer|Observation):", line)
        if mark:
            fields.append([mark[1], "", 0])
        kept += len(line)
        if fields:
            fields[-1][1] += line[mark.end() :] if mark else line
            fields[-1][2] = kept
    name, end = None, 0
    for label, body, stop in fields:
        body = body.strip()
        if label == "Observation":
            break
        if name is not None and label != "Action Input":
            break
        if label == "Final Answer":
            return Turn(answer=body)
        if label == "Action":
            name, end = body, stop
            if not name:
                raise CallError("the action has no name")
        elif label == "Action Input" and name is not None:
            try:
                arguments = json.loads(body)
            except json.JSONDecodeError:
                raise CallError(f"no JSON: {body!r}") from None
            return Turn((Call(name, arguments),), text=text[:stop].strip())
    if name is None:
        raise CallError("write Action: or Final Answer:")
    return Turn((Call(name),), text=text[:end].strip())


@variant("window")
def from_the_front(head, steps, budget, length):
    """Steps are dropped from the front while the rest is too long."""
    kept = list(steps)

    def size():
        return sum(length(_text(m)) for m in head) + sum(length(_text(m)) for step in kept for m in step.messages)

    while len(kept) > 1 and size() > budget:
        kept.pop(0)
    note = [{"role": "user", "content": SKIPPED}] if len(kept) < len(steps) else []
    return [*head, *note, *(message for step in kept for message in step.messages)]
