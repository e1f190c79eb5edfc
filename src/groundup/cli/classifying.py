"""Labels, predictions and anomalies: `label`, `train`, `classify`, `anomalies`, `features` and `notebook`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import tee
from typing import TYPE_CHECKING, Any, TypeVar

import click

from groundup.cli.collecting import store_option
from groundup.cli.options import json_option
from groundup.cli.output import console, print_json, progress, shown
from groundup.cli.reading import SINCE, clock, given_patterns, iso, patterns_option, read_named
from groundup.errors import UsageError

if TYPE_CHECKING:
    from groundup.systems.copilot.classifying.classify import Prediction, Report, Scores
    from groundup.systems.copilot.classifying.labels import Example
    from groundup.systems.copilot.finding.anomalies import Anomaly
    from groundup.systems.copilot.reading.logs import Record

F = TypeVar("F", bound=Callable[..., Any])
NAMES = click.argument("names", nargs=-1, metavar="[POD|FILE]…")


def model_option(function: F) -> F:
    """`--model FILE`."""
    return click.option(
        "--model", envvar="GROUNDUP_MODEL", default="copilot.model.json", show_default=True, metavar="FILE",
        help="The trained classifier [GROUNDUP_MODEL].",
    )(function)  # fmt: skip


@click.command("label", epilog="Example: groundup copilot label app.log:42 alert --alike")
@click.argument("place", metavar="SOURCE:LINE")
@click.argument("label", required=False)
@click.option("--alike", is_flag=True, help="Label all records of the same template, in all sources.")
@click.option("--remove", is_flag=True, help="Take the label back.")
@store_option
@json_option
def label_command(place: str, label: str | None, alike: bool, remove: bool, store: str, as_json: bool) -> int:
    """Label a stored line: normal, alert or any word.

    `groundup copilot train` learns from the labels. SOURCE:LINE is the place that `why` and `classify` show: a file,
    namespace/pod/container or #number of a source, and the line.
    """
    from groundup.systems.copilot.classifying.labels import plain_label
    from groundup.systems.copilot.store import open_store

    name, _, line = place.rpartition(":")
    if not name or not line.isdecimal():
        raise UsageError(f"SOURCE:LINE must name a source and a line of it, such as app.log:42, got '{place}'.")
    if remove == (label is not None):
        raise UsageError("label needs either a LABEL or --remove. For example: groundup copilot label app.log:42 alert")
    with open_store(store) as opened:
        count = opened.label(name, int(line), None if label is None else plain_label(label), alike=alike)
    if as_json:
        print_json({"place": place, "label": label and plain_label(label), "records": count}, ascii=True)
        return 0
    records = "1 record" if count == 1 else f"{count:,} records"
    done = "no longer labelled" if label is None else f"labelled '{shown(plain_label(label))}'"
    console().print(f"{records} {done}.")
    return 0


@click.command("train", epilog="Example: groundup copilot train BGL_2k.log --tagged --binary --metric f1")
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--tagged", is_flag=True, help="Read FILE as a log whose lines begin with - or the tag of an alert.")
@click.option("--label", metavar="COLUMN", help="The column of the label, if FILE is a table.")
@click.option("--message", metavar="COLUMN", help="The column of the message, if FILE is a table.")
@click.option("--binary", is_flag=True, help="Take every label but normal as alert.")
@click.option("--metric", default="f1", show_default=True, metavar="f1|precision|recall", help="The deciding metric.")
@store_option
@patterns_option
@model_option
@json_option
def train_command(
    file: str | None,
    tagged: bool,
    label: str | None,
    message: str | None,
    binary: bool,
    metric: str,
    store: str,
    model: str,
    as_json: bool,
) -> int:
    """Train a classifier on labelled records.

    The records come from FILE (.csv, JSON lines, or --tagged), or from the labels in the store. The command compares a
    decision tree, a random forest and XGBoost on templates that they never saw, and saves the best model.
    """
    from groundup.systems.copilot.classifying.classify import train

    with ExitStack() as stack:
        examples, source = _examples(file, tagged, label, message, binary, store)
        bar = stack.enter_context(progress(quiet=as_json))
        task = bar.add_task("Reading", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        trained = train(examples, metric=metric, source=source, report=report)
    trained.classifier.save(model)
    if as_json:
        print_json({"model": model, **asdict(trained.report), "worth_it": trained.report.worth_it}, ascii=True)
        return 0
    _say(trained.report, model)
    return 0


def _examples(
    file: str | None, tagged: bool, label: str | None, message: str | None, binary: bool, store: str
) -> tuple[list[Example], str]:
    from groundup.systems.copilot.classifying.labels import examples_of, read_examples
    from groundup.systems.copilot.store import open_store

    if file is not None:
        return list(read_examples(file, tagged=tagged, label=label, message=message, binary=binary)), file
    if tagged or label or message:
        raise UsageError("--tagged, --label and --message describe a FILE with labels, and FILE is missing. Name one.")
    with open_store(store, reading=True, patterns=given_patterns()) as opened:
        return examples_of(opened, binary=binary), f"the labels in {store}"


def _say(report: Report, model: str) -> None:
    out = console()
    labels = ", ".join(
        f"{lines:,} {shown(label)} of {templates:,}" for label, (lines, templates) in report.labels.items()
    )
    out.print(f"{report.examples:,} examples of {report.templates:,} templates, from {shown(report.source)}: {labels}.")
    scope = "mean over the labels" if report.positive is None else f"of the label '{shown(report.positive)}'"
    out.print(f"\nPrecision, recall and F1, {scope}:")
    out.print(f"  {'':<26}  templates apart        random split, which leaks")
    for candidate in report.candidates:
        sign = "▸" if candidate.name == report.chosen else " "
        out.print(f"{sign} {candidate.name:<26}  {_scores(candidate.apart)}    {_scores(candidate.random)}")
    for name, scores in report.baselines.items():
        out.print(f"  [dim]{name:<26}  {_scores(scores)}[/]")
    out.print(
        f"\n{report.chosen} is best by {report.metric}, and was trained on all examples. "
        f"On templates that it has not seen, expect {_scores(report.expected)}\n"
        f"(the choice included, each of {report.folds} parts left out in turn)."
    )
    if not report.worth_it:
        out.print(
            f"[yellow]By {report.metric}, a rule without a model does as well. "
            "Label more templates before you rely on it.[/]"
        )
    out.print(f"Most important features: {shown(', '.join(name for name, _ in report.top_features[:6]))}.")
    out.print(f"Saved as {shown(model)}, with the hash of its data, {report.data_sha256[:12]}….")


def _scores(scores: Scores) -> str:
    return f"{scores.precision:.3f}  {scores.recall:.3f}  {scores.f1:.3f}"


@click.command("classify", epilog="Example: groundup copilot classify checkout.log --top 10")
@NAMES
@store_option
@patterns_option
@model_option
@SINCE
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Number of records to show.")
@json_option
def classify_command(names: tuple[str, ...], store: str, model: str, since: str | None, top: int, as_json: bool) -> int:
    """Show the abnormal records, each with reasons.

    The records come from files (- for standard input) or from the store. The most likely record comes first. One record
    stands for all that differ in values only. --json prints all records.
    """
    from groundup.systems.copilot.classifying.classify import Classifier, kinds

    classifier = Classifier.load(model)
    with ExitStack() as stack:
        records = list(read_named("classify", names, store, since, stack, quiet=as_json))
    predictions = classifier.predict(records)
    if as_json:
        rows = [_document(record, prediction) for record, prediction in zip(records, predictions, strict=True)]
        print_json({"model": model, "data_sha256": classifier.report.data_sha256, "records": rows}, ascii=True)
        return 0
    out = console()
    grouped = kinds(zip(records, predictions, strict=True), classifier.usual)
    many = len({record.source for record in records}) > 1
    for record, prediction, count in grouped[:top]:
        place = f"{record.source}:{record.number}" if many else f"line {record.number}"
        label = f"{shown(prediction.label)} {prediction.probability:.2f}" + (f", {count:,} alike" if count > 1 else "")
        reasons = shown("; ".join(prediction.reasons))
        out.print(f"[bold]{shown(place)}[/]  [dim]{clock(record.time)}[/]  {label}  [dim]{reasons}[/]")
        out.print(f"    {shown(record.text)}")
    counts = Counter(prediction.label for prediction in predictions)
    tally = ", ".join(f"{count:,} {shown(label)}" for label, count in counts.most_common())
    hidden = f"; {len(grouped) - top:,} kinds of line are not shown (--top)" if len(grouped) > top else ""
    out.print(f"[dim]{len(records):,} records: {tally or 'none'}{hidden}[/]")
    return 0


def _document(record: Record, prediction: Prediction) -> dict[str, Any]:
    place = {"source": record.source, "number": record.number, "time": iso(record.time)}
    return {
        **place,
        "label": prediction.label,
        "probability": prediction.probability,
        "reasons": prediction.reasons,
        "text": record.text,
    }


@click.command("anomalies", epilog="Example: groundup copilot anomalies checkout --window 5m --since 1d")
@NAMES
@store_option
@patterns_option
@SINCE
@click.option("--window", metavar="SPAN", help="Length of a window of time: 30s, 5m, 1h [a sixtieth of the log].")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Number of anomalies to show.")
@json_option
def anomalies_command(
    names: tuple[str, ...], store: str, since: str | None, window: str | None, top: int, as_json: bool
) -> int:
    """Show new templates, bursts and silences in logs.

    The logs come from files (- for standard input) or from the store. The command compares each service's windows of
    time with the windows before them, and the first windows with all others.
    """
    from groundup.systems.copilot.finding.anomalies import anomalies

    with ExitStack() as stack:
        seen = _Seen(read_named("anomalies", names, store, since, stack, quiet=as_json))
        findings = anomalies(seen, window=window)
    if as_json:
        rows = [{**asdict(anomaly), "start": iso(anomaly.start), "end": iso(anomaly.end)} for anomaly in findings]
        print_json({"anomalies": rows}, ascii=True)
        return 0
    out = console()
    if not findings:
        if not seen.lines:
            out.print("There is no line to examine: the logs are empty, or all lines are older than --since.")
        elif not seen.timed:
            out.print("No line of these logs has a time, so there is nothing to compare.")
        else:
            out.print("Nothing in these logs is unusual.")
        return 0
    most = sorted(findings, key=lambda anomaly: -anomaly.surprise)[:top]
    for anomaly in sorted(most, key=lambda anomaly: anomaly.start):
        out.print(f"[bold]{clock(anomaly.start)}[/] to [bold]{clock(anomaly.end)}[/]  {_description(anomaly)}")
        example = (
            "all of its lines" if anomaly.template is None else anomaly.text if anomaly.count == 1 else anomaly.template
        )
        out.print(f"    {shown(example)}")
    if len(findings) > top:
        out.print(f"[dim]{len(findings) - top:,} less surprising anomalies are not shown (--top)[/]")
    return 0


class _Seen:
    """Records, with two marks: some record passed, some record had a time."""

    def __init__(self, records: Iterator[Record]) -> None:
        self.records, self.lines, self.timed = records, False, False

    def __iter__(self) -> Iterator[Record]:
        for record in self.records:
            self.lines, self.timed = True, self.timed or record.time is not None
            yield record


def _description(anomaly: Anomaly) -> str:
    service = f"{shown(anomaly.service)}: " if anomaly.service else ""
    if anomaly.kind == "new":
        others = f"; {shown(', '.join(anomaly.together))} as well" if anomaly.together else ""
        return f"{service}new, " + ("once" if anomaly.count == 1 else f"{anomaly.count:,} times") + others
    if anomaly.kind == "burst":
        return f"{service}a burst, {anomaly.count:,} where {anomaly.expected:,.1f} are usual"
    return f"{service}silent, where {anomaly.expected:,.1f} lines are usual"


@click.command("features", epilog="Example: groundup copilot features checkout.log -o features.csv")
@NAMES
@store_option
@patterns_option
@SINCE
@click.option("-o", "--output", default="-", metavar="FILE", help="The table [standard output].")
def features_command(names: tuple[str, ...], store: str, since: str | None, output: str) -> int:
    """Write the features of records as a table (CSV).

    Each record is a row, for you to explore or to learn from. Unknown values are empty. The values in the message are
    masked.
    """
    import csv

    from groundup.masking import Masker
    from groundup.systems.copilot.classifying.features import describe_all
    from groundup.terminal import visible

    mask = Masker()
    with ExitStack() as stack:
        records = read_named("features", names, store, since, stack, quiet=output == "-")
        try:
            file = stack.enter_context(click.open_file(output, "w", encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"output must be a file that can be written, and '{output}' cannot be: {error}. Name another."
            ) from error
        writer = None
        originals, copies = tee(records)
        for record, features in zip(originals, describe_all(copies), strict=True):
            row = {"source": record.source, "number": record.number, "service": record.service, **features}
            row["message"] = visible(mask(record.message))
            if writer is None:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
    return 0


@click.command("notebook", epilog="Example: groundup copilot notebook -o exploration.ipynb")
@click.option("-o", "--output", default="exploration.ipynb", show_default=True, metavar="FILE", help="The notebook.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@store_option
def notebook_command(output: str, force: bool, store: str) -> int:
    """Write a Jupyter notebook that explores the store.

    The notebook shows levels, templates, features and anomalies.
    """
    from groundup.systems.copilot.answering.exploration import write_notebook

    write_notebook(store, output, force=force)
    console().print(f"Wrote {shown(output)}")
    return 0


def commands() -> Iterator[click.Command]:
    """All commands of this module."""
    yield from (label_command, train_command, classify_command, anomalies_command, features_command, notebook_command)
