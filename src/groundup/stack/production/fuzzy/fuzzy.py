"""Fuzzy logic after Mamdani: scores and rules in words go in, one number comes out, with proofs about all inputs.

    levels = partition({"low": 0.0, "medium": 0.5, "high": 1.0})
    grade = Variable(0.0, 1.0, levels)
    rules = [Rule({"vision": "high", "text": "medium"}, "high"), ...]
    engine = Engine({"vision": grade, "text": grade}, grade, rules)

    infer(engine, vision=0.8, text=0.6).score       # one risk, and which rules made it
    gaps(engine)                                    # inputs that no rule covers: an empty list is a proof
    bounds(engine, vision=(0.8, 1), text=(0.6, 1))  # no input of the box scores less, or more
    worst_fall(engine, cells=20)                    # how far the score falls where no input falls: seen, and at most

Sets are continuous and piecewise linear, so minimum, maximum and centroid are computed exactly, without a sampled axis.
Not covered: Gaussian sets, negated clauses, weights of rules, Sugeno's engines, and sets with jumps.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

STEPS = 60  # of the search for an extreme centroid; it needs fewer than ten where the shapes are near each other

# --- sets -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FuzzySet:
    """A set to which numbers belong by degrees: straight lines between corners, and constant beyond the outer ones.

    Attributes:
        corners: places, at least one, each above the one before.
        degrees: the degree at each corner, from 0 (does not belong) to 1 (belongs wholly).
    """

    corners: tuple[float, ...]
    degrees: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "corners", _rising(self.corners, "corners"))
        object.__setattr__(self, "degrees", tuple(float(degree) for degree in self.degrees))
        if len(self.degrees) != len(self.corners):
            raise ValueError(f"degrees must be as many as corners, {len(self.corners)}, got {len(self.degrees)}.")
        for degree in self.degrees:
            if not 0 <= degree <= 1:
                raise ValueError(f"degrees must lie between 0 and 1, got {degree}. Divide by the largest.")

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Return the degree of each number, in the shape of x."""
        return np.asarray(np.interp(np.asarray(x, dtype=float), self.corners, self.degrees))


def trapezoid(a: float, b: float, c: float, d: float) -> FuzzySet:
    """Return the set that rises from a to b, is 1 up to c, and falls to d: a triangle if b = c.

    Where a = b it is 1 for all smaller numbers, where c = d for all larger ones.
    """
    for name, value, least in (("b", b, a), ("c", c, b), ("d", d, c)):
        if not value >= least:
            raise ValueError(f"{name} must be at least the corner before it, {least}, got {value}.")
    degrees = {a: 0.0, d: 0.0} | {b: 1.0, c: 1.0}
    return FuzzySet(tuple(sorted(degrees)), tuple(degrees[corner] for corner in sorted(degrees)))


def partition(peaks: Mapping[str, float]) -> dict[str, FuzzySet]:
    """Return a set for each name, whose degree is 1 at its own peak and 0 at the peaks of all others.

    The peaks are the corners of every set. So the first set is 1 below its peak and the last is 1 above its own, and
    the degrees of any number add up to 1.

    Raises:
        ValueError: peaks that are none, not finite, or not each above the one before.
    """
    places = _rising(peaks.values(), "peaks")
    rows = np.eye(len(places))
    return {name: FuzzySet(places, tuple(row)) for name, row in zip(peaks, rows, strict=True)}


def combine(a: FuzzySet, b: FuzzySet, choose: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> FuzzySet:
    """Return `np.minimum` (and) or `np.maximum` (or) of two sets, exactly, everywhere.

    Between two corners of either set both are straight lines. Where the lines cross, the result has a corner as well.
    Sets that only touch, or go together for a while, need none there, and no warning either.

    Args:
        a: a set.
        b: another set.
        choose: np.minimum or np.maximum.
    """
    x = np.union1d(a.corners, b.corners)
    ahead = a(x) - b(x)
    k = np.flatnonzero(ahead[:-1] * ahead[1:] < 0)
    crossings = x[k] + (x[k + 1] - x[k]) * ahead[k] / (ahead[k] - ahead[k + 1])
    x = np.union1d(x, crossings)
    return FuzzySet(tuple(x), tuple(choose(a(x), b(x))))


def integrals(shape: FuzzySet, low: float, high: float) -> tuple[float, float]:
    """Return ∫ μ(x) dx and ∫ x μ(x) dx from low to high, exactly: the area, and the moment.

    A piece of width w from (x₀, y₀) to (x₁, y₁) has the area w (y₀ + y₁) / 2, and the moment
    w (x₀ (2 y₀ + y₁) + x₁ (y₀ + 2 y₁)) / 6. Both are 0 if low = high.
    """
    x = np.clip([low, *shape.corners, high], low, high)
    y = shape(x)
    w, x0, x1, y0, y1 = np.diff(x), x[:-1], x[1:], y[:-1], y[1:]
    area = (w * (y0 + y1)).sum() / 2
    return area, (w * (x0 * (2 * y0 + y1) + x1 * (y0 + 2 * y1))).sum() / 6


# --- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variable:
    """A number from low to high, and the sets that have names on it.

    Attributes:
        low: the least value.
        high: the greatest value, above low.
        terms: the sets by name, such as low, medium and high.
    """

    low: float
    high: float
    terms: Mapping[str, FuzzySet]

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise ValueError(f"high must be finite and above low={self.low}, got {self.high}.")
        if not self.terms:
            raise ValueError("terms must hold at least one set, got none. Make some with partition.")


@dataclass(frozen=True)
class Rule:
    """IF an input is a term, and (or) another one is …, THEN the output is a term.

    Attributes:
        when: the term of each input that the rule asks for, at least one.
        then: the term of the output.
        join: "and" asks for all terms, "or" for any.
    """

    when: Mapping[str, str]
    then: str
    join: Literal["and", "or"] = "and"

    def __post_init__(self) -> None:
        if not self.when:
            raise ValueError("when must ask for at least one term, got none.")
        if self.join not in ("and", "or"):
            raise ValueError(f"join must be 'and' or 'or', got {self.join!r}.")

    def __str__(self) -> str:
        clauses = f" {self.join.upper()} ".join(f"{name} IS {term}" for name, term in self.when.items())
        return f"IF {clauses} THEN {self.then}"


@dataclass(frozen=True)
class Engine:
    """Inputs, an output, and the rules between them.

    Attributes:
        inputs: the variables that go in, by name.
        output: the variable that comes out.
        rules: at least one rule, of terms that inputs and output have.
    """

    inputs: Mapping[str, Variable]
    output: Variable
    rules: Sequence[Rule]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("rules must hold at least one rule, got none.")
        for rule in self.rules:
            for name, term in rule.when.items():
                if name not in self.inputs or term not in self.inputs[name].terms:
                    raise ValueError(f"rules must ask for terms of inputs, got {name!r} IS {term!r}.")
            if rule.then not in self.output.terms:
                raise ValueError(f"rules must end in a term of the output, got {rule.then!r}.")
        for term, fuzzy in self.output.terms.items():
            if integrals(fuzzy, self.output.low, self.output.high)[0] <= 0:
                raise ValueError(f"output must have terms with an area within its range, got {term!r} without one.")


def firing(rules: Iterable[Rule], degrees: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the height of each term that a rule ends in: the strength of its strongest rule.

    The strength of a rule is the least degree of its terms if they are joined by "and", and the greatest if by "or".

    Args:
        rules: the rules.
        degrees: of each input by name, the degree of each term by name.
    """
    heights: dict[str, float] = {}
    for rule in rules:
        own = [degrees[name][term] for name, term in rule.when.items()]
        strength = min(own) if rule.join == "and" else max(own)
        heights[rule.then] = max(heights.get(rule.then, 0.0), strength)
    return heights


def fuzzify(engine: Engine, values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the degree of each term of each input: numbers become words.

    Raises:
        ValueError: an input that is missing, unknown, not finite, or outside of its range.
    """
    _names(engine, values)
    for name, value in values.items():
        variable = engine.inputs[name]
        if not variable.low <= value <= variable.high:
            raise ValueError(f"{name} must lie between {variable.low} and {variable.high}, got {value}. Clip it first.")
    return {
        name: {term: float(fuzzy(values[name])) for term, fuzzy in variable.terms.items()}
        for name, variable in engine.inputs.items()
    }


def outline(engine: Engine, heights: Mapping[str, float]) -> FuzzySet:
    """Return the shape that the centroid is taken of: the maximum of all output terms, each cut off at its height."""
    shape = FuzzySet((engine.output.low,), (0.0,))
    for term, height in heights.items():
        ceiling = FuzzySet((engine.output.low,), (height,))
        shape = combine(shape, combine(engine.output.terms[term], ceiling, np.minimum), np.maximum)
    return shape


@dataclass(frozen=True)
class Assessment:
    """A score, and the reasons for it.

    Attributes:
        score: the centroid of the shape.
        heights: of each output term that a rule ends in.
        reasons: the rules that fired and how strongly, the strongest first.
    """

    score: float
    heights: dict[str, float]
    reasons: list[tuple[Rule, float]]


def infer(engine: Engine, **values: float) -> Assessment:
    """Return the engine's score of one number for each input, with the reasons (Mamdani and Assilian, 1975).

    Raises:
        ValueError: an input that is missing, unknown, not finite or out of range; or no rule fires.
    """
    degrees = fuzzify(engine, values)
    heights = firing(engine.rules, degrees)
    area, moment = integrals(outline(engine, heights), engine.output.low, engine.output.high)
    if area <= 0:
        raise ValueError(f"values must make some rule fire, got {values}. Find all such inputs by gaps(engine).")
    strengths = [(rule, firing([rule], degrees)[rule.then]) for rule in engine.rules]
    fired = sorted((pair for pair in strengths if pair[1] > 0), key=lambda pair: -pair[1])
    return Assessment(float(moment / area), heights, fired)


def risk_engine() -> Engine:
    """Return the engine of two detectors, vision and text, from 0 to 1: nine rules, for each pair of levels one."""
    grade = Variable(0.0, 1.0, partition({"low": 0.0, "medium": 0.5, "high": 1.0}))
    table = {
        "low": {"low": "low", "medium": "low", "high": "medium"},
        "medium": {"low": "low", "medium": "medium", "high": "high"},
        "high": {"low": "medium", "medium": "high", "high": "high"},
    }
    rules = [Rule({"vision": v, "text": t}, risk) for v, row in table.items() for t, risk in row.items()]
    return Engine({"vision": grade, "text": grade}, grade, rules)


# --- proofs ---------------------------------------------------------------------------------------------------------


def gaps(engine: Engine) -> list[dict[str, float]]:
    """Return inputs at which no rule fires, one of each kind; an empty list proves that some rule always fires.

    Cut each input's range at the corners of its terms. Whether a degree is above 0 is the same for all numbers strictly
    between two neighbouring cuts. So each cut (the ends of the range are cuts as well) and the middle of each pair of
    neighbours stand for all numbers. Every combination of them is tried, in rising order, the last input fastest.
    Each gap is a dict of one plain number for each input.
    """
    places = []
    for variable in engine.inputs.values():
        corners = [corner for fuzzy in variable.terms.values() for corner in fuzzy.corners]
        cuts = np.unique(np.clip([variable.low, *corners, variable.high], variable.low, variable.high))
        places.append(np.sort([*cuts, *(cuts[1:] + cuts[:-1]) / 2]).tolist())
    points = [_named(engine, values) for values in itertools.product(*places)]
    return [point for point in points if not any(firing(engine.rules, fuzzify(engine, point)).values())]


def extreme(left: FuzzySet, right: FuzzySet, low: float, high: float) -> float:
    """Return the place that is the centroid of the shape that is `left` below this place and `right` above it.

    If left lies nowhere below right, no shape between the two has a smaller centroid; if nowhere above, no shape has a
    greater one (Karnik and Mendel, 2001). Begin at low, take the centroid of the shape that changes there, go on from
    that centroid, and stop once it moves no more, or after STEPS steps. `right` must have an area.
    """
    place = low
    for _ in range(STEPS):
        parts = integrals(left, low, place), integrals(right, place, high)
        area, moment = np.sum(parts, axis=0)
        centre = moment / area
        if centre == place:
            break
        place = centre
    return place


def bounds(engine: Engine, **box: tuple[float, float]) -> tuple[float, float]:
    """Return numbers that no score of any input within the box lies below, or above.

    The degrees have a least and a greatest value over the box. Minimum and maximum never fall when a degree rises, so
    the shape of any input lies between the shape of all the least degrees and that of all the greatest. Scores are
    bounded by the extreme centroids of shapes between the two, or by the output's range if the lower has no area.

    Args:
        engine: the engine.
        box: the least and the greatest number of each input.

    Raises:
        ValueError: as `infer` for the ends of the box, or ends in the wrong order.
    """
    output, shapes = engine.output, []
    ends = [fuzzify(engine, {name: pair[k] for name, pair in box.items()}) for k in (0, 1)]
    for choose in (min, max):
        degrees: dict[str, dict[str, float]] = {}
        for name, variable in engine.inputs.items():
            a, b = box[name]
            if a > b:
                raise ValueError(f"{name} must be a pair of least and greatest, got {box[name]}. Turn it round.")
            degrees[name] = {}
            for term, fuzzy in variable.terms.items():
                inner = [d for x, d in zip(fuzzy.corners, fuzzy.degrees, strict=True) if a < x < b]
                degrees[name][term] = choose([*inner, *(end[name][term] for end in ends)])
        shapes.append(outline(engine, firing(engine.rules, degrees)))
    lower, upper = shapes
    if integrals(lower, output.low, output.high)[0] <= 0:
        return output.low, output.high
    least = extreme(upper, lower, output.low, output.high)
    return float(least), float(extreme(lower, upper, output.low, output.high))


def worst_fall(engine: Engine, cells: int = 10) -> tuple[float, float]:
    """Return how far the score falls between two inputs of which the second is nowhere smaller: seen, and at most.

    The first number is seen among the corners of a grid with so many cells a side: a fall above 0 disproves
    monotonicity. The second is proved by the bounds of the grid's cells: no pair of inputs falls further.
    """
    if cells < 1:
        raise ValueError(f"cells must be at least 1, got {cells}.")
    axes = [np.linspace(variable.low, variable.high, cells + 1) for variable in engine.inputs.values()]
    sides = [[(float(a), float(b)) for a, b in itertools.pairwise(axis)] for axis in axes]
    points = [infer(engine, **_named(engine, values)).score for values in itertools.product(*axes)]
    boxes = [bounds(engine, **_named(engine, box)) for box in itertools.product(*sides)]
    scores = np.reshape(points, [cells + 1] * len(axes))
    least, greatest = np.moveaxis(np.reshape(boxes, [*[cells] * len(axes), 2]), -1, 0)
    return _fall(scores, scores), _fall(greatest, least)


# --- helpers --------------------------------------------------------------------------------------------------------


def _fall(before: np.ndarray, after: np.ndarray) -> float:
    """How far `after` lies below the largest `before` that is nowhere to the right of it; at least 0."""
    for axis in range(before.ndim):
        before = np.maximum.accumulate(before, axis=axis)
    return max(0.0, float((before - after).max()))


def _named(engine: Engine, values: Sequence[Any]) -> dict[str, Any]:
    """Values in the order of the inputs, by name."""
    return dict(zip(engine.inputs, values, strict=True))


def _names(engine: Engine, values: Mapping[str, object]) -> None:
    """Refuse inputs that are missing or unknown."""
    for name in set(engine.inputs) ^ set(values):
        raise ValueError(f"{name} must be one number for an input; the inputs are {', '.join(engine.inputs)}.")


def _rising(values: Iterable[float], name: str) -> tuple[float, ...]:
    """Finite numbers, each above the one before, as a tuple."""
    numbers = tuple(float(value) for value in values)
    if not numbers:
        raise ValueError(f"{name} must hold at least one number, got none.")
    for before, number in zip((-np.inf, *numbers[:-1]), numbers, strict=True):
        if not (np.isfinite(number) and number > before):
            raise ValueError(f"{name} must be finite and each above the one before, got {number} after {before}.")
    return numbers
