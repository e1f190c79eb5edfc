# pyright: basic
"""Ways to get fuzzy logic wrong, and right ways that differ."""

import itertools

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.production.fuzzy.fuzzy import (
    FuzzySet,
    _rising,
    firing,
    fuzzify,
    integrals,
)


@mistake("partition")
def keeps_the_neighbours_high(peaks):
    """Your sets do not fall to 0 at their neighbours' peaks. What is wholly medium is not low at all."""
    places = _rising(peaks.values(), "peaks")
    rows = np.maximum(np.eye(len(places)), 0.5)
    return {name: FuzzySet(places, tuple(row)) for name, row in zip(peaks, rows, strict=True)}


@mistake("partition")
def lets_the_ends_fall(peaks):
    """Your outer sets fall to 0 beyond the outer peaks. Who is above the peak of high is high, wholly."""
    places = _rising(peaks.values(), "peaks")
    corners = (places[0] - 1, *places, places[-1] + 1)
    rows = np.eye(len(corners))[1:-1]
    return {name: FuzzySet(corners, tuple(row)) for name, row in zip(peaks, rows, strict=True)}


@mistake("partition", edit=('_rising(peaks.values(), "peaks")', "tuple(sorted(peaks.values()))"))
def sorts_the_peaks():
    """You sort the peaks, and the names stay: low may end up above high. Refuse peaks that do not rise."""


@mistake("combine", edit=("x = np.union1d(x, crossings)", "x = np.union1d(x, [])"))
def forgets_the_crossings():
    """You look at corners only. Where the two lines cross, the minimum or maximum bends: it needs a corner there."""


@mistake("combine", edit=("np.union1d(a.corners, b.corners)", "np.unique(a.corners)"))
def forgets_the_other_corners():
    """You keep the corners of the first set only. The result bends where the second does, too."""


@mistake("combine", edit=("(x[k + 1] - x[k]) * ahead[k] / (ahead[k] - ahead[k + 1])", "(x[k + 1] - x[k]) / 2"))
def crosses_halfway():
    """You put each crossing in the middle. Divide the piece in the ratio of the two differences."""


@mistake("combine")
def samples_the_axis(a, b, choose):
    """You sample the axis. Between the samples the result is wrong, and it has corners that nothing asks for."""
    x = np.linspace(min(a.corners + b.corners) - 1, max(a.corners + b.corners) + 1, 101)
    return FuzzySet(tuple(x), tuple(choose(a(x), b(x))))


@mistake("integrals", edit=("np.clip([low, *shape.corners, high], low, high)", "np.array(shape.corners)"))
def integrates_between_the_corners():
    """You integrate from the first corner to the last. Integrate from low to high: beyond corners the degree stays."""


@mistake(
    "integrals",
    edit=("(w * (x0 * (2 * y0 + y1) + x1 * (y0 + 2 * y1))).sum() / 6", "(w * (x0 * y0 + x1 * y1)).sum() / 2"),
)
def takes_the_moment_for_straight():
    """You take x μ(x) for a straight line. It is a parabola where μ is straight: use the formula with the sixth."""


@mistake("integrals", edit=("x0 * (2 * y0 + y1) + x1 * (y0 + 2 * y1)", "x0 * (y0 + 2 * y1) + x1 * (2 * y0 + y1)"))
def weighs_the_wrong_end():
    """You give the far end the weight of the near one. The degree y₀ belongs mostly to x₀."""


@mistake(
    "firing", edit=('min(own) if rule.join == "and" else max(own)', 'max(own) if rule.join == "and" else min(own)')
)
def joins_the_wrong_way_round():
    """You take the greatest degree for "and". Both must hold: the weaker one decides."""


@mistake("firing", edit=("max(heights.get(rule.then, 0.0), strength)", "strength"))
def keeps_the_last_rule():
    """You keep the last rule of a term. A later, weaker rule must not lower the height: take the strongest."""


@mistake("firing", edit=("max(heights.get(rule.then, 0.0), strength)", "heights.get(rule.then, 0.0) + strength"))
def adds_up_rules():
    """You add up the strengths of rules. Ten weak rules are no certainty: take the strongest."""


@mistake("firing", edit=("min(own) if", "float(np.prod(own)) if"))
def multiplies_degrees():
    """You multiply the degrees. Mamdani's "and" is the least degree: a degree is no probability."""


@mistake("gaps", edit=("[*cuts, *(cuts[1:] + cuts[:-1]) / 2]", "cuts"))
def tries_corners_only():
    """You try corners only. The numbers between two corners may be a gap of their own: try one of them."""


@mistake("gaps", edit=("[*cuts, *(cuts[1:] + cuts[:-1]) / 2]", "(cuts[1:] + cuts[:-1]) / 2"))
def tries_middles_only():
    """You try only numbers between corners. A single number where all degrees are 0 is a gap as well."""


@mistake("gaps", edit=("[variable.low, *corners, variable.high]", "corners"))
def forgets_the_ends_of_the_range():
    """You cut at corners only. The ends of the range are places of their own: add low and high."""


@mistake(
    "extreme",
    edit=(
        "integrals(left, low, place), integrals(right, place, high)",
        "integrals(right, low, place), integrals(left, place, high)",
    ),
)
def exchanges_the_sides():
    """You take `right` below the place and `left` above it. So the smallest centroid becomes the greatest."""


@mistake("extreme", edit=("for _ in range(STEPS)", "for _ in range(2)"))
def stops_too_soon():
    """You stop before the place has settled. A bound that has not settled is no bound."""


@variant("partition")
def by_hand(peaks):
    """Degrees are written out, one by one."""
    places = _rising(peaks.values(), "peaks")
    return {name: FuzzySet(places, tuple(1.0 if x == peak else 0.0 for x in places)) for name, peak in peaks.items()}


@variant("combine")
def piece_by_piece(a, b, choose):
    """A loop over neighbouring corners, with the crossing by the weights of its ends."""
    places = sorted({*a.corners, *b.corners})
    corners = list(places)
    for u, v in itertools.pairwise(places):
        p, q = float(a(u) - b(u)), float(a(v) - b(v))
        if (p < 0 < q) or (q < 0 < p):
            corners.append((u * abs(q) + v * abs(p)) / (abs(p) + abs(q)))
    corners = sorted(set(corners))
    return FuzzySet(tuple(corners), tuple(choose(a(corners), b(corners)).tolist()))


@variant("integrals")
def by_simpson(shape, low, high):
    """Simpson's rule on each piece: it is exact for parabolas."""
    x = np.unique([low, *(c for c in shape.corners if low < c < high), high])
    middle, width = (x[1:] + x[:-1]) / 2, np.diff(x)
    area = float((width * shape(middle)).sum())
    ends = x * shape(x)
    return area, float((width * (ends[:-1] + 4 * middle * shape(middle) + ends[1:])).sum() / 6)


@variant("gaps")
def without_a_list_of_points(engine):
    """Places by a set, points one after the other."""
    found, places = [], {}
    for name, variable in engine.inputs.items():
        cuts = {variable.low, variable.high}
        for fuzzy in variable.terms.values():
            cuts |= {c for c in fuzzy.corners if variable.low < c < variable.high}
        cuts = sorted(cuts)
        places[name] = sorted(cuts + [(u + v) / 2 for u, v in itertools.pairwise(cuts)])
    for values in itertools.product(*places.values()):
        point = dict(zip(places, values, strict=True))
        if max(firing(engine.rules, fuzzify(engine, point)).values()) <= 0:
            found.append(point)
    return found


@variant("extreme")
def always_all_steps(left, right, low, high):
    """From the other end, with a fixed number of steps."""
    place = high if integrals(left, low, high)[0] > 0 else low
    for _ in range(60):
        a, b = integrals(left, low, place), integrals(right, place, high)
        place = (a[1] + b[1]) / (a[0] + b[0])
    return place
