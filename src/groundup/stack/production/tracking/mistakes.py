# pyright: basic
"""Ways to get tracking wrong, and right ways that differ."""

import os
import re
from pathlib import Path

from groundup.anatomy import mistake, variant
from groundup.stack.production.tracking.tracking import (
    AND,
    ATTRIBUTES,
    CLAUSE,
    Clause,
    Point,
    _check,
    _check_name,
    _unreadable,
)


@mistake(
    "read_metric",
    edit=(
        '*lines, _torn = Path(path).read_text(encoding="utf-8").split("\\n")',
        'lines = Path(path).read_text(encoding="utf-8").splitlines()',
    ),
)
def believes_a_torn_line():
    """You read the last line although its newline is missing. Its writer was killed: 0.9 may be half of 0.987."""


@mistake("read_metric", edit=("except ValueError:", "except ValueError:\n            continue"))
def skips_damaged_lines():
    """You skip lines that cannot be read. The curve then has a hole that nobody sees: name the file and the line."""


@mistake("read_metric", edit=("Point(int(when), float(value), int(step))", "Point(int(when), float(step), int(value))"))
def takes_the_step_for_the_value():
    """You read value and step in the wrong order: a line is "milliseconds value step"."""


@mistake("Run.log_param")
def overwrites_a_param(self, name, value):
    """You write over the older value. A result then stands beside a setting that did not make it: refuse another."""
    path = self.folder / "params" / _check_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(str(value).encode())


@mistake("Run.log_param")
def looks_before_it_writes(self, name, value):
    """You look whether the file is there, and write then. Another process may write in between: make it and see."""
    path, text = self.folder / "params" / _check_name(name), str(value)
    if path.exists() and path.read_bytes() != text.encode():
        raise ValueError(f"{name} is {path.read_text()!r} already; got {text!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


@mistake("Run.log_param", edit=("if held != text:", "if True:"))
def refuses_the_same_again():
    """You refuse the same value a second time. A run that goes on after a kill logs its parameters again."""


@mistake("Run.log_metric", edit=('open(path, "ab", buffering=0)', 'open(path, "wb", buffering=0)'))
def keeps_the_last_value_only():
    """You write over the history. A curve needs every point: append."""


@mistake("Run.log_metric", edit=("{float(value)!r} {step}", "{step} {float(value)!r}"))
def writes_the_step_first():
    """You write the step before the value. MLflow's line is "milliseconds value step"."""


@mistake("Run.log_metric", edit=("{float(value)!r}", "{float(value):.6g}"))
def rounds_the_value():
    """You round the value. Two runs are then tied that were not; write all digits, as repr does."""


@mistake("Run.log_metric", edit=("self.clock() if when is None else when", "when or self.clock()"))
def takes_zero_for_no_time():
    """You take the time 0 for no time. Ask whether it is None."""


@mistake("parse_filter")
def finds_clauses_anywhere(query):
    """You look for clauses and skip all between them: a slip, or an "or", changes what is found. Read to the end."""
    return [
        Clause(kind, name.strip("`"), sign, value[1:-1] if value[0] in "'\"" else float(value))
        for kind, name, sign, value in CLAUSE.findall(query)
    ]


@mistake("parse_filter")
def splits_at_and(query):
    """You split at "and" first, which may stand within a text or a name. Read clause by clause, from left to right."""
    clauses = []
    for part in AND.split(query) if query.strip() else []:
        match = CLAUSE.fullmatch(part.rstrip())
        if match is None:
            raise _unreadable(query, 0)
        kind, name, sign, value = match.groups()
        name, text = name.strip("`"), value[0] in "'\""
        if (
            text == (kind == "metrics")
            or (text and sign not in ("=", "!="))
            or (not text and kind in ("tags", "attributes"))
        ):
            raise _unreadable(query, 0)
        if kind == "attributes" and name not in ATTRIBUTES:
            raise _unreadable(query, 0)
        clauses.append(Clause(kind, name, sign, value[1:-1] if text else float(value)))
    return clauses


@mistake("parse_filter", edit=("if not fits or (kind", "if False and (kind"))
def compares_anything():
    """You let any value meet any kind. '9' is above '10' as a text: refuse what cannot compare."""


@mistake("best", edit=('run.status == "FINISHED" and ', ""))
def crowns_a_crashed_run():
    """You count runs that did not finish. Their last value is that of a model which was not done."""


@mistake("best", edit=(" and not math.isnan(run.metrics.get(metric, math.nan))", " and metric in run.metrics"))
def compares_with_nan():
    """You let NaN into the maximum. Every comparison with it is false, so the order of the runs decides."""


@mistake("best", edit=("return sorted(tied, key=lambda run: run.start)", "return tied[:1]"))
def hides_the_ties():
    """You give one of several tied runs. Which, the order of the files decides: give them all, the earliest first."""


@mistake("best", edit=("if sign * run.metrics[metric] >= top - within", "if run.metrics[metric] >= top - within"))
def forgets_the_mode():
    """You find the top by the mode, and compare the runs with it without: by min, signs are turned."""


@mistake("objection", edit=("> margin", ">= margin"))
def lets_a_tie_overtake():
    """You let a run overtake that is better by exactly the margin, or not at all. Noise then changes the model."""


@mistake("objection", edit=("if DATA not in champion.tags or", "if False and"))
def compares_across_data():
    """You compare numbers of different data. An easier test set makes any model better: ask for the same DATA tag."""


@mistake("objection", edit=("not all(math.isfinite(value) for value in values)", "math.isnan(values[0])"))
def trusts_the_champions_number():
    """You ask the challenger's value only. A champion without one, or with NaN, could never be overtaken, or always."""


@variant("read_metric")
def by_a_pattern(path):
    """Whole lines only, by a regular expression with the newline in it."""
    text = Path(path).read_bytes().decode()
    points = []
    for number, line in enumerate(re.findall(r"(.*)\n", text), 1):
        parts = line.split(" ")
        if len(parts) not in (2, 3):
            raise ValueError(f"{path}: cannot read line {number}")
        try:
            points.append(Point(int(parts[0]), float(parts[1]), int(parts[2]) if len(parts) == 3 else 0))
        except ValueError as error:
            raise ValueError(f"{path}: cannot read line {number}") from error
    return points


@variant("Run.log_metric")
def by_a_descriptor(self, name, value, step=0, when=None):
    """Written through the operating system's own call."""
    if isinstance(value, (bool, str)):
        raise ValueError(f"value must be a number, got {value!r}")
    path = self.folder.joinpath("metrics", *_check_name(name).split("/"))
    os.makedirs(path.parent, exist_ok=True)
    moment = self.clock() if when is None else when
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, b"%d %s %d\n" % (moment, repr(float(value)).encode(), step))
    finally:
        os.close(descriptor)


@variant("Run.log_param")
def by_exclusive_creation(self, name, value):
    """Opened with "x", which fails where the file is there."""
    path = self.folder / "params" / _check_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "xb") as file:
            file.write(str(value).encode())
    except FileExistsError:
        with open(path, "rb") as file:
            held = file.read().decode()
        if held != str(value):
            raise ValueError(f"{name} was {held}, and is now {value}") from None


@variant("best")
def by_sorting(runs, metric, mode="max", within=0.0):
    """Sorted by start, then filtered by the distance to the best."""
    sign = _check(mode, within, "within")
    rows = sorted(
        (run for run in runs if run.status == "FINISHED" and metric in run.metrics), key=lambda run: run.start
    )
    rows = [run for run in rows if run.metrics[metric] == run.metrics[metric]]
    values = [sign * run.metrics[metric] for run in rows]
    top = max(values, default=0.0)
    return [run for run, value in zip(rows, values, strict=True) if value == top or top - value <= within]
