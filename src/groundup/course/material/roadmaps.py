"""The five roadmaps as tracks: the schema of `tracks/*.toml`, and its loader.

A track has sections (weeks, phases, modules), a section has items (days, topics, lessons), and an item is tied to
units or, where nothing can be graded, to the learner's own report. These files never name the
contents of a release: they follow from the catalogue.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from groundup.errors import ConfigError, UnknownName

FOLDER = Path(__file__).parents[2] / "tracks"
RESOURCE_KINDS = ("video", "book", "course", "documentation", "article", "community")


@dataclass(frozen=True)
class Duration:
    """Minutes of work, as a range. `estimated` where the roadmap gives no time."""

    low: int
    high: int
    estimated: bool

    @property
    def minutes(self) -> int:
        """The middle of the range, for plans."""
        return (self.low + self.high) // 2

    def __str__(self) -> str:
        """For people: `9 min`, `2–3 h`, `about 2.5 h`."""
        size, unit = (60, "h") if self.high >= 120 else (1, "min")
        ends = dict.fromkeys(f"{bound / size:.3g}" for bound in (self.low, self.high))
        return f"{'about ' if self.estimated else ''}{'–'.join(ends)} {unit}"


@dataclass(frozen=True)
class Resource:
    """A source to watch, read, follow or join; the learner reports it as done."""

    id: str
    title: str
    author: str
    kind: str
    time: Duration
    url: str = ""
    about: str = ""

    @property
    def link(self) -> str:
        """Its canonical page, or where none is known a search for title and author."""
        if self.url:
            return self.url
        words = self.title if self.author.startswith("your choice") else f"{self.title} {self.author}"
        site = "https://www.youtube.com/results?search_query=" if self.kind == "video" else "https://duckduckgo.com/?q="
        return site + quote_plus(words)


@dataclass(frozen=True)
class Part:
    """A session of a day (morning, afternoon, evening) or one of the five parts of a topic."""

    name: str
    title: str = ""
    about: str = ""
    time: Duration | None = None
    steps: tuple[str, ...] = ()
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """A case to think or design through, with its points."""

    title: str
    about: str = ""
    points: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One line of a track: a day, a lesson, a topic, a milestone.

    `part_of` names the item that this item is a piece of: a piece has no time of its own and is planned with the whole.
    """

    id: str
    title: str
    about: str = ""
    kind: str = "item"
    group: str = ""
    part_of: str = ""
    time: Duration = Duration(0, 0, True)
    units: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    resources: tuple[Resource, ...] = ()
    parts: tuple[Part, ...] = ()

    @cached_property
    def all_resources(self) -> tuple[Resource, ...]:
        """The item's resources and those of its parts, each once."""
        listed = [*self.resources, *(r for part in self.parts for r in part.resources)]
        return tuple({r.id: r for r in listed}.values())


@dataclass(frozen=True)
class Section:
    """A week, phase, module or milestone of a track, with the criteria and the checkpoint at its end."""

    id: str
    title: str
    kind: str
    about: str = ""
    criteria: tuple[str, ...] = ()
    checkpoint: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Note:
    """A remark of a track beside its items: a principle, a tip, next steps, a role, the limits of its scope."""

    kind: str
    title: str
    about: str = ""
    points: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class Track:
    """One roadmap. `document` is the number that `[[roadmap]]` entries of units use."""

    name: str
    document: str
    title: str
    audience: str
    about: str
    hours_per_week: float
    sections: tuple[Section, ...]
    notes: tuple[Note, ...] = ()
    resources: tuple[Resource, ...] = ()

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Every item, in order."""
        return tuple(item for section in self.sections for item in section.items)

    @cached_property
    def all_resources(self) -> tuple[Resource, ...]:
        """Every resource of the track, each once: those of the items, then those of the whole track."""
        listed = [*(r for item in self.items for r in item.all_resources), *self.resources]
        return tuple({r.id: r for r in listed}.values())

    @cached_property
    def units(self) -> tuple[str, ...]:
        """The ids of the units that the items are tied to, each once, in the order of the track."""
        return tuple(dict.fromkeys(unit for item in self.items for unit in item.units))

    @cached_property
    def addresses(self) -> dict[str, Item | Section]:
        """Items and sections by id, for the `[[roadmap]]` entries of units."""
        return {**{s.id: s for s in self.sections}, **{i.id: i for i in self.items}}

    def units_of(self, item: Item) -> tuple[str, ...]:
        """The units of an item and of its pieces, each once."""
        pieces = (piece.units for piece in self.items if piece.part_of == item.id)
        return tuple(dict.fromkeys([*item.units, *(unit for units in pieces for unit in units)]))

    def item(self, item_id: str) -> Item:
        """The item with this id. Raises UnknownName."""
        for item in self.items:
            if item.id == item_id:
                return item
        raise UnknownName(
            f"item in the track {self.name}", item_id, [i.id for i in self.items], see=f"groundup track {self.name}"
        )


def track_names(folder: Path = FOLDER) -> list[str]:
    """The names of the tracks, in the order of their documents; nothing is parsed."""
    return sorted((path.stem for path in folder.glob("*.toml") if path.stem != "resources"), key=_order)


def load_track(name: str, folder: Path = FOLDER) -> Track:
    """The track with this name, read once. Raises UnknownName; ConfigError naming the broken rule and its place."""
    if name not in track_names(folder):
        raise UnknownName("track", name, track_names(folder), see="groundup track")
    return _load(folder / f"{name}.toml")


def load_tracks(folder: Path = FOLDER) -> dict[str, Track]:
    """Every track by name. Slower than `load_track`: only for a list of all."""
    return {name: load_track(name, folder) for name in track_names(folder)}


_ORDER = ("devops", "statistics-first", "search-engineer", "museum", "mastery")


def _order(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


@cache
def _load(path: Path) -> Track:
    resources = _resources(path.with_name("resources.toml"))
    track = _Reader(path.name, resources).track(path.stem, _toml(path))
    _check_ids(path.name, track)
    return track


@cache
def _resources(path: Path) -> dict[str, Resource]:
    if not path.exists():
        return {}
    reader = _Reader(path.name, {})
    return {name: reader.resource(name, table) for name, table in _toml(path).items()}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error


def _check_ids(file: str, track: Track) -> None:
    seen: set[str] = set()
    for entry in [entry for section in track.sections for entry in (section, *section.items)]:
        if entry.id in seen:
            raise ConfigError(f"{file}: the id '{entry.id}' is given twice; every section and item has its own.")
        if isinstance(entry, Item) and entry.part_of and entry.part_of not in seen:
            raise ConfigError(
                f"{file}: item {entry.id}: part_of = '{entry.part_of}' must name an item that stands before it."
            )
        seen.add(entry.id)


class _Reader:
    """Turns tables into the dataclasses above; knows the file's name and the resources, for its messages."""

    def __init__(self, file: str, resources: Mapping[str, Resource]) -> None:
        self.file, self.resources = file, resources

    def track(self, name: str, table: dict[str, Any]) -> Track:
        return self._make(
            Track,
            "the track",
            {**table, "name": name},
            sections=lambda tables: tuple(self.section(t) for t in tables),
            notes=lambda tables: tuple(self._make(Note, f"note '{t.get('title')}'", t) for t in tables),
        )

    def section(self, table: dict[str, Any]) -> Section:
        return self._make(
            Section, f"section {table.get('id')}", table, items=lambda tables: tuple(self.item(t) for t in tables)
        )

    def item(self, table: dict[str, Any]) -> Item:
        where = f"item {table.get('id')}"
        timed = self._timed(where, table, required=not table.get("part_of"))
        return self._make(
            Item,
            where,
            timed,
            parts=lambda tables: tuple(self.part(where, t) for t in tables),
            scenarios=lambda tables: tuple(self._make(Scenario, f"a scenario of {where}", t) for t in tables),
        )

    def part(self, where: str, table: dict[str, Any]) -> Part:
        where = f"the part '{table.get('name')}' of {where}"
        return self._make(Part, where, self._timed(where, table, required=False))

    def resource(self, name: str, table: dict[str, Any]) -> Resource:
        where = f"resource {name}"
        resource = self._make(Resource, where, self._timed(where, {**table, "id": name}, required=True))
        if resource.kind not in RESOURCE_KINDS:
            raise ConfigError(
                f"{self.file}: {where}: kind must be one of {', '.join(RESOURCE_KINDS)}, got '{resource.kind}'."
            )
        return resource

    def _timed(self, where: str, table: dict[str, Any], *, required: bool) -> dict[str, Any]:
        """`minutes` (stated by the roadmap) or `estimate` (ours), a number or a range, as `time`."""
        keys = [key for key in ("minutes", "estimate") if key in table]
        if len(keys) > 1 or (required and not keys):
            raise ConfigError(
                f"{self.file}: {where}: give either `minutes` (stated by the roadmap) or `estimate`, "
                f"got {' and '.join(keys) or 'neither'}."
            )
        if not keys:
            return table
        value = table[keys[0]]
        bounds = value if isinstance(value, list) else [value, value]
        whole = len(bounds) == 2 and all(type(bound) is int for bound in bounds)
        if not whole or not 0 <= bounds[0] <= bounds[1]:
            raise ConfigError(
                f"{self.file}: {where}: {keys[0]} must be a whole number of minutes or a range [low, high], "
                f"got {value}."
            )
        rest = {key: entry for key, entry in table.items() if key not in keys}
        return {**rest, "time": Duration(bounds[0], bounds[1], keys[0] == "estimate")}

    def _make(self, kind: Any, where: str, table: dict[str, Any], **nested: Any) -> Any:
        known = {field.name: field for field in fields(kind)}
        for key in table:
            if key not in known:
                raise ConfigError(
                    f"{self.file}: {where}: '{key}' is not a key that it may have. Keys: {', '.join(known)}."
                )
        for key, field in known.items():
            if key not in table and field.default is MISSING:
                raise ConfigError(f"{self.file}: {where}: '{key}' is missing.")
        return kind(**dict(self._values(where, table, known, nested)))

    def _values(self, where: str, table: dict[str, Any], known: Any, nested: Any) -> Iterator[tuple[str, Any]]:
        for key, value in table.items():
            if key in nested:
                yield key, nested[key](value)
            elif key == "resources":
                yield key, tuple(self._known(where, name) for name in value)
            elif str(known[key].type).startswith("tuple"):
                if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
                    raise ConfigError(f"{self.file}: {where}: '{key}' must be a list of texts, got {value!r}.")
                yield key, tuple(value)
            elif known[key].type == "str" and not isinstance(value, str):
                raise ConfigError(f"{self.file}: {where}: '{key}' must be a text, got {value!r}.")
            else:
                yield key, value

    def _known(self, where: str, name: str) -> Resource:
        if name not in self.resources:
            raise UnknownName(f"resource for {where} ({self.file})", name, self.resources, see="tracks/resources.toml")
        return self.resources[name]
