"""Running a lab in this process: its config, its seeds, its events, and their summary.

    python -m groundup.labs.runner bedrock/vectors/race --preset smoke

runs one lab alone, with the reference implementation, and prints its events as JSON lines and then its summary.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from groundup.errors import ConfigError, GroundupError, UnknownName
from groundup.labs.definition import Lab
from groundup.labs.events import Emit, Event, EventRecorder
from groundup.labs.settings import annotations_of, build_config, choose_preset, parse_settings
from groundup.labs.summary import Summary, summarise


def labs_in(module: ModuleType) -> dict[str, Lab]:
    """The labs declared in a module, by name, in the order of the file."""
    declared = [value for value in vars(module).values() if hasattr(value, "__lab__")]
    return {lab.name: lab for lab in (function.__lab__() for function in declared)}


def find_lab(package: str, name: str) -> Lab:
    """A lab of a unit's package. Raises UnknownName."""
    labs = labs_in(importlib.import_module(f"{package}.labs"))
    if name not in labs:
        raise UnknownName(f"lab in {package}", name, labs, see=f"groundup run {package.rpartition('.')[2]}")
    return labs[name]


def configure(lab: Lab, preset: str, values: Mapping[str, Any], seed: int) -> Any:
    """The config of one seed: the class's defaults, then the preset, then `values`, then the seed.

    Raises:
        UnknownName: there is no such preset.
        ConfigError: a name is not a field, the config has no `seed`, or it refuses a value.
    """
    if "seed" not in annotations_of(lab.config):
        raise ConfigError(f"The config {lab.config.__name__} of the lab '{lab.name}' needs a field `seed: int = 0`.")
    return build_config(lab.name, lab.config, {**choose_preset(lab.name, lab.presets, preset), **values, "seed": seed})


def seeds_from(first: int, count: int) -> list[int]:
    """`count` seeds in a row. Raises ConfigError."""
    if count < 1:
        raise ConfigError(
            f"The number of seeds must be at least 1, not {count}. Leave it out for the lab's own number."
        )
    if first < 0:
        raise ConfigError(f"The setting 'seed' must not be negative, not {first}. Choose 0 or more.")
    return list(range(first, first + count))


def execute(lab: Lab, config: Any, emit: Emit) -> None:
    """Run one seed in this process; errors of the lab pass through.

    Raises:
        ConfigError: the declared datasets differ from the loaded ones.
    """
    from groundup import data

    recorder = EventRecorder(config.seed, emit)
    _seed_everything(config.seed)
    with data.watch() as loaded:
        lab.function(config, recorder)
    for provenance in loaded:
        recorder.emit("data", **provenance.to_json())
    names = {provenance.name for provenance in loaded}
    declared_real = {name for name in lab.data if name in data.REGISTRY}
    if declared_real != names:
        raise ConfigError(
            f"The lab '{lab.name}' declares data={sorted(declared_real)} but loaded {sorted(names)}. "
            "Declare exactly the loaded datasets, so that its results name their data."
        )
    for name in lab.data:
        if name not in names:
            label = "synthetic by definition, made by the lab"
            recorder.emit("data", name=name, source="generated", stand_in=False, label=label)


def _seed_everything(seed: int) -> None:
    """Seed the global generators too, for a lab that draws without a generator of its own."""
    random.seed(seed)
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)


def run_here(
    lab: Lab,
    *,
    preset: str = "smoke",
    settings: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    emit: Emit = lambda _: None,
) -> Summary:
    """Run every seed of a lab in this process, and judge it.

    Args:
        lab: the lab.
        preset: the preset to start from.
        settings: changes to it, as text.
        values: changes to it, as values; a sabotage is one.
        seeds: the number of seeds; by default the lab's own.
        emit: receives the events.
    """
    changes = {**parse_settings(lab.name, annotations_of(lab.config), settings or {}), **(values or {})}
    events: list[Event] = []

    def keep(event: Event) -> None:
        events.append(event)
        emit(event)

    chosen = seeds_from(changes.pop("seed", 0), lab.seeds if seeds is None else seeds)
    for seed in chosen:
        execute(lab, configure(lab, preset, changes, seed), keep)
    return summarise(events, chosen, lab.expectations)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one lab alone. Returns 0 when it passed, 1 when it failed, else the error's code."""
    parser = argparse.ArgumentParser(prog="python -m groundup.labs.runner", description="Run one lab, by itself.")
    parser.add_argument("lab", help="phase/unit/lab")
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--set", action="append", default=[], metavar="key=value", dest="settings")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--quiet", action="store_true", help="print the summary only")
    options = parser.parse_args(arguments)
    parts = options.lab.split("/")
    if len(parts) != 3:
        parser.error(f"'{options.lab}' must be phase/unit/lab, for example bedrock/vectors/race.")
    settings = dict(setting.partition("=")[::2] for setting in options.settings)
    start = time.perf_counter()
    try:
        lab = find_lab(f"groundup.stack.{parts[0]}.{parts[1]}", parts[2])
        summary = run_here(
            lab,
            preset=options.preset,
            settings=settings,
            seeds=options.seeds,
            emit=(lambda _: None) if options.quiet else _print_event,
        )
    except GroundupError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({**dataclasses.asdict(summary), "seconds": round(time.perf_counter() - start, 2)}, indent=1))
    return 0 if summary.passed else 1


def _print_event(event: Event) -> None:
    if event["type"] not in ("figure", "progress"):
        print(json.dumps(event, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
