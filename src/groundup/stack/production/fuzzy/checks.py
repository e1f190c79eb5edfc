"""Checks of fuzzy logic."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.checking import (
    assert_close,
    assert_order_free,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
)
from groundup.stack.production.fuzzy import (
    Engine,
    FuzzySet,
    Rule,
    Variable,
    bounds,
    combine,
    extreme,
    firing,
    gaps,
    infer,
    integrals,
    outline,
    partition,
    risk_engine,
    trapezoid,
    worst_fall,
)

exactly = partial(assert_close, rtol=1e-11, atol=1e-12)
AXIS = np.linspace(-3.0, 4.0, 1_401)


def some_set(rng, low=-2.0, high=3.0):
    """A set with up to six corners."""
    size = int(rng.integers(1, 7))
    return FuzzySet(tuple(np.sort(rng.uniform(low, high, size))), tuple(rng.uniform(0, 1, size)))


def tipper():
    """The tipping problem as scikit-fuzzy's gallery states it."""
    grade = Variable(0.0, 10.0, partition({"poor": 0, "average": 5, "good": 10}))
    terms = {"low": trapezoid(0, 0, 0, 13), "medium": trapezoid(0, 13, 13, 25), "high": trapezoid(13, 25, 25, 25)}
    rules = [
        Rule({"quality": "poor", "service": "poor"}, "low", "or"),
        Rule({"service": "average"}, "medium"),
        Rule({"service": "good", "quality": "good"}, "high", "or"),
    ]
    return Engine({"quality": grade, "service": grade}, Variable(0.0, 25.0, terms), rules)


# --- sets -----------------------------------------------------------------------------------------------------------


def test_partition_by_hand():
    """With peaks at 0, 0.5 and 1, the number 0.6 is medium by 0.8, high by 0.2, and low by nothing."""
    levels = partition({"low": 0.0, "medium": 0.5, "high": 1.0})
    exactly([float(levels[name](0.6)) for name in ("low", "medium", "high")], [0.0, 0.8, 0.2])
    assert list(levels) == ["low", "medium", "high"], f"the names in their order are low, medium, high: {list(levels)}"


def test_partition_has_the_peaks_as_corners():
    """Each set has all the peaks as its corners, with degree 1 at its own and 0 at the others."""
    peaks = {"cold": -3.0, "cool": 0.0, "warm": 1.0, "hot": 7.0}
    for k, (name, fuzzy) in enumerate(partition(peaks).items()):
        exactly(fuzzy.corners, list(peaks.values()), f"corners of {name}")
        exactly(fuzzy.degrees, [float(j == k) for j in range(4)], f"degrees of {name}")


def test_partition_adds_up_to_one(rng):
    """The degrees of any number add up to 1, beyond the outer peaks as well."""
    peaks = dict(zip("abcde", np.sort(rng.uniform(-2, 3, 5)), strict=True))
    exactly(sum(fuzzy(AXIS) for fuzzy in partition(peaks).values()), np.ones_like(AXIS))


def test_partition_refuses():
    """Peaks that do not rise, are not finite, or are none are refused by the name of the parameter."""
    assert_refuses(lambda: partition({"low": 1.0, "high": 0.5}), "peaks", 0.5)
    assert_refuses(lambda: partition({"low": 1.0, "high": 1.0}), "peaks", 1.0)
    assert_refuses(lambda: partition({}), "peaks")
    assert_refuses_nonfinite(lambda x: partition(dict(zip("abc", x, strict=True))), [0.0, 1.0, 2.0], "peaks")


def test_combine_by_hand():
    """Of a set that falls from 1 at 0 to 0 at 1, and one that rises, the maximum has its corner at (0.5, 0.5)."""
    down, up = FuzzySet((0, 1), (1, 0)), FuzzySet((0, 1), (0, 1))
    both, either = combine(down, up, np.minimum), combine(down, up, np.maximum)
    exactly([both.corners, both.degrees], [[0, 0.5, 1], [0, 0.5, 0]], "minimum")
    exactly([either.corners, either.degrees], [[0, 0.5, 1], [1, 0.5, 1]], "maximum")


def test_combine_of_unequal_slopes():
    """The lines from (0, 0.2) to (4, 1) and from (0, 0.8) to (4, 0.6) cross at x = 2.4, where both are 0.68."""
    found = combine(FuzzySet((0, 4), (0.2, 1)), FuzzySet((0, 4), (0.8, 0.6)), np.minimum)
    exactly([found.corners, found.degrees], [[0, 2.4, 4], [0.2, 0.68, 0.6]])


def test_combine_is_right_everywhere(rng):
    """At any number, not at corners alone, it is the minimum or maximum of the two degrees."""
    for _ in range(30):
        a, b = some_set(rng), some_set(rng)
        for choose in (np.minimum, np.maximum):
            exactly(combine(a, b, choose)(AXIS), choose(a(AXIS), b(AXIS)), f"{a} and {b}")


def test_combine_keeps_the_corners_of_both():
    """A corner that only one of the two has stays, though the lines cross nowhere."""
    high, low = FuzzySet((0, 1, 2), (0.9, 0.6, 0.9)), FuzzySet((0.5, 1.5, 3), (0.1, 0.3, 0.0))
    exactly(combine(high, low, np.maximum)([0.5, 1, 2, 3]), [0.75, 0.6, 0.9, 0.9])
    exactly(combine(low, high, np.minimum)([0.5, 1, 1.5, 3]), [0.1, 0.2, 0.3, 0.0])
    exactly(combine(high, low, np.minimum)([0.5, 1, 1.5, 3]), [0.1, 0.2, 0.3, 0.0])


def test_combine_of_sets_that_touch():
    """Sets that touch at a corner, run parallel, or go together for a while need no crossing there, and no warning."""
    a = FuzzySet((0, 1, 2, 3, 4), (0.5, 0.5, 0.8, 0.2, 0.4))
    b = FuzzySet((0, 1, 2, 3, 4), (0.5, 0.5, 0.2, 0.2, 0.8))
    c = FuzzySet((0, 1, 2, 3, 4), (0.4, 0.4, 0.7, 0.1, 0.3))
    with np.errstate(all="raise"):
        for first, second in ((a, b), (b, a), (a, a), (a, c)):
            for choose in (np.minimum, np.maximum):
                found = combine(first, second, choose)
                exactly(found(AXIS), choose(first(AXIS), second(AXIS)), f"{first} and {second}")
                exactly(found.corners, [0, 1, 2, 3, 4], "no corner is added where nothing crosses")


# --- the centroid ---------------------------------------------------------------------------------------------------


def test_integrals_by_hand():
    """The set from (0, 0.5) over (0.25, 0.5) to (0.5, 0): area 0.125 + 0.0625, moment 0.015625 + 0.0625 / 3."""
    exactly(integrals(FuzzySet((0.25, 0.5), (0.5, 0)), 0, 1), (0.1875, 0.015625 + 0.0625 / 3))


def test_integrals_of_one_piece():
    """From (1, 0.2) to (4, 0.8): area 3 · 1.0 / 2, moment 3 · (1 · 1.2 + 4 · 1.8) / 6."""
    exactly(integrals(FuzzySet((1, 4), (0.2, 0.8)), 1, 4), (1.5, 4.2))


def test_integrals_stop_at_the_range():
    """Corners outside of the range do not count, and beyond the outer corners the degree stays."""
    shape = FuzzySet((0, 2, 10), (0, 1, 0.2))
    exactly(integrals(shape, 1, 2), (0.75, 0.5 * 1.5 + 0.25 * (1 + 2 / 3)), "from 1 to 2")
    exactly(integrals(shape, -5, -1), (0.0, 0.0), "before the first corner")
    exactly(integrals(shape, 10, 20), (2.0, 30.0), "after the last corner")
    exactly(integrals(shape, 3, 3), (0.0, 0.0), "an empty range")


def test_integrals_are_the_sums_of_thin_slices(rng):
    """They are near the sums of 20,000 slices."""
    edges = np.linspace(-1.5, 2.5, 20_001)
    middle, width = (edges[1:] + edges[:-1]) / 2, 4 / 20_000
    for _ in range(10):
        shape = some_set(rng)
        expected = [(shape(middle) * width).sum(), (middle * shape(middle) * width).sum()]
        assert_close(integrals(shape, -1.5, 2.5), expected, f"{shape}", rtol=1e-6, atol=1e-6)


@given(st.floats(-2, 3), st.integers(0, 1000))
def test_integrals_add_up(middle, seed):
    """The integrals up to a place and from there on make those of the whole range."""
    shape = some_set(np.random.default_rng(seed))
    parts = np.add(integrals(shape, -2, middle), integrals(shape, middle, 3))
    exactly(parts, integrals(shape, -2, 3), f"{shape}, divided at {middle}")


# --- rules ----------------------------------------------------------------------------------------------------------


def test_firing_by_hand():
    """High vision by 0.6 and medium text by 0.8 fire the rule by 0.6; joined by "or", by 0.8."""
    degrees = {"vision": {"high": 0.6}, "text": {"medium": 0.8}}
    asks = {"vision": "high", "text": "medium"}
    assert_close(firing([Rule(asks, "high")], degrees)["high"], 0.6)
    assert_close(firing([Rule(asks, "high", "or")], degrees)["high"], 0.8)


def test_firing_takes_the_strongest_rule():
    """Of the rules that end in one term the strongest counts, first, last or between, and other terms stay apart."""
    degrees = {"a": {"x": 0.3, "y": 0.7, "z": 0.5}}
    rules = [Rule({"a": "x"}, "up"), Rule({"a": "y"}, "up"), Rule({"a": "z"}, "up"), Rule({"a": "x"}, "down")]
    for order in ([0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 0, 1]):
        heights = firing([rules[k] for k in order], degrees)
        assert_close([heights["up"], heights["down"]], [0.7, 0.3], f"rules in the order {order}")


def test_firing_knows_only_terms_of_rules():
    """There is a height for each term that a rule ends in, 0 where no rule fires, and for no other."""
    heights = firing([Rule({"a": "x"}, "up"), Rule({"a": "y"}, "down")], {"a": {"x": 0.0, "y": 0.5, "z": 1.0}})
    assert heights == {"up": 0.0, "down": 0.5}, f"expected up 0 and down 0.5, got {heights}"


# --- the engine -----------------------------------------------------------------------------------------------------


def test_the_risk_of_the_roadmap():
    """Vision 0.8 and text 0.6 make high by 0.6 and medium by 0.4, and the centroid 241 / 410."""
    found = infer(risk_engine(), vision=0.8, text=0.6)
    exactly([found.heights["high"], found.heights["medium"], found.heights["low"]], [0.6, 0.4, 0.0], "heights")
    exactly(found.score, 241 / 410, "score")
    assert str(found.reasons[0][0]) == "IF vision IS high AND text IS medium THEN high", f"{found.reasons[0]}"


def test_the_tip_is_scikit_fuzzys():
    """On scikit-fuzzy's axis (whole numbers and cuts) the shape's centroid is its published 19.8476; exact, 19.8578."""
    found = infer(tipper(), quality=6.5, service=9.8)
    shape, places = outline(tipper(), found.heights), np.union1d(np.arange(26.0), [0.52, 24.52])
    area, moment = integrals(FuzzySet(tuple(places), tuple(shape(places))), 0, 25)
    assert_close(moment / area, 19.847607361963192, "the sampled centroid")
    assert_close(found.score, 19.857759206915, "the exact one")


def test_the_score_is_a_centroid_of_thin_slices(rng):
    """For any inputs the score is near the centroid of 50,000 slices of the cut-off terms."""
    x = (np.arange(50_000) + 0.5) / 50_000
    for vision, text in rng.uniform(0, 1, (8, 2)):
        found = infer(risk_engine(), vision=vision, text=text)
        terms = risk_engine().output.terms
        mu = np.max([np.minimum(terms[name](x), height) for name, height in found.heights.items()], axis=0)
        assert_close(found.score, (x * mu).sum() / mu.sum(), f"{vision}, {text}", rtol=1e-6)


def test_the_score_does_not_ask_for_an_order():
    """The order of the rules does not matter."""
    engine = risk_engine()

    def score(order):
        ordered = Engine(engine.inputs, engine.output, [engine.rules[k] for k in order])
        return infer(ordered, vision=0.3, text=0.9).score

    assert_order_free(score, np.arange(9))


# --- proofs ---------------------------------------------------------------------------------------------------------


def narrow(rules):
    """Two inputs whose terms leave the middle, 0.4 to 0.6, uncovered, and corners beyond the range."""
    terms = {"low": FuzzySet((-1, 0.2, 0.4), (1, 1, 0)), "high": FuzzySet((0.6, 2), (0, 1))}
    grade = Variable(0.0, 1.0, terms)
    output = Variable(0.0, 1.0, partition({"low": 0.0, "high": 1.0}))
    return Engine({"a": grade, "b": grade}, output, rules)


def test_gaps_by_hand():
    """Of low and high only 0.4, 0.5 and 0.6 are uncovered: both ends have degree 0."""
    engine = narrow([Rule({"a": "low"}, "low"), Rule({"a": "high"}, "high"), Rule({"b": "low"}, "low")])
    places = [0.4, 0.5, 0.6, 0.8, 1.0]
    found = [(point["a"], point["b"]) for point in gaps(engine)]
    exactly(found, [(a, b) for a in (0.4, 0.5, 0.6) for b in places])


def test_gaps_in_order():
    """Places are the cuts 0, 0.2, 0.4, 0.6, 1 and the middles between them, in rising order."""
    engine = narrow([Rule({"a": "high", "b": "high"}, "high")])
    places = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0]
    found = [(point["a"], point["b"]) for point in gaps(engine)]
    exactly(found, [(a, b) for a in places for b in places if not (a > 0.6 and b > 0.6)])


def test_gaps_of_one_place():
    """A single number at which nothing fires is found, and so is an open interval between two that are covered."""
    output = Variable(0.0, 1.0, partition({"low": 0.0, "high": 1.0}))
    for degrees, gap in (((1, 0, 1), 0.5), ((1, 1, 0), 1.0), ((0, 1, 1), 0.0)):
        grade = Variable(0.0, 1.0, {"term": FuzzySet((0, 0.5, 1), degrees)})
        assert gaps(Engine({"a": grade}, output, [Rule({"a": "term"}, "high")])) == [{"a": gap}], f"{degrees}"


def test_gaps_at_the_ends_of_the_range():
    """The ends of the range are places, though no set has a corner there."""
    grade = Variable(0.0, 1.0, {"term": FuzzySet((0.25, 0.5), (0, 1))})
    found = gaps(Engine({"a": grade}, Variable(0.0, 1.0, partition({"any": 0.5})), [Rule({"a": "term"}, "any")]))
    exactly([point["a"] for point in found], [0.0, 0.125, 0.25])


def test_gaps_of_a_covered_engine():
    """Nine rules for three levels twice leave no gap, and without any one of them there is one."""
    engine = risk_engine()
    assert gaps(engine) == [], "nine rules leave no gap"
    for k in range(9):
        rules = [rule for j, rule in enumerate(engine.rules) if j != k]
        for point in (found := gaps(Engine(engine.inputs, engine.output, rules))):
            assert_refuses(lambda p=point, r=rules: infer(Engine(engine.inputs, engine.output, r), **p), "values")
        assert found, f"without {engine.rules[k]} there is a gap"


def test_extreme_by_hand():
    """Between 1/4 and 1 on [0, 1], mass 1 up to s and 1/4 beyond: s = (3 s² + 1) / (6 s + 2), so s = 1/3."""
    one, quarter = FuzzySet((0,), (1.0,)), FuzzySet((0,), (0.25,))
    exactly(extreme(one, quarter, 0, 1), 1 / 3)
    exactly(extreme(quarter, one, 0, 1), 2 / 3)


def test_extreme_of_one_shape(rng):
    """If left and right are one shape it is the centroid of that."""
    for _ in range(5):
        shape = some_set(rng)
        area, moment = integrals(shape, -2, 3)
        exactly(extreme(shape, shape, -2, 3), moment / area)


def test_extreme_is_the_best_switch(rng):
    """No other place to switch gives a smaller centroid, or with the shapes exchanged a greater one."""
    for _ in range(5):
        a, b = some_set(rng), some_set(rng)
        lower, upper = combine(a, b, np.minimum), combine(a, b, np.maximum)
        found = extreme(upper, lower, -2, 3), extreme(lower, upper, -2, 3)
        for left, right, best, sign in ((upper, lower, found[0], 1), (lower, upper, found[1], -1)):
            for place in (*np.linspace(-2, 3, 21), best):
                area, moment = np.add(integrals(left, -2, place), integrals(right, place, 3))
                assert sign * (moment / area - best) >= -1e-9, f"switched at {place}: {moment / area}, not {best}"


def test_extreme_where_little_is_certain():
    """A right side of a millionth leaves the smallest centroid near 0.001: the search goes on until nothing moves."""
    one, little = FuzzySet((0,), (1.0,)), FuzzySet((0,), (1e-6,))
    assert_close(extreme(one, little, 0, 1), 0.001 / 1.001)


def test_bounds_hold(rng):
    """No input of a box scores below the first or above the second number, and for a point both are its score."""
    engine = risk_engine()
    for _ in range(6):
        ends = np.sort(rng.uniform(0, 1, (2, 2)), axis=1)
        least, greatest = bounds(engine, vision=tuple(ends[0]), text=tuple(ends[1]))
        for vision, text in rng.uniform(ends[:, 0], ends[:, 1], (10, 2)):
            score = infer(engine, vision=vision, text=text).score
            assert least - 1e-12 <= score <= greatest + 1e-12, f"{score} not in {least} to {greatest}"
    score = infer(engine, vision=0.8, text=0.6).score
    exactly(bounds(engine, vision=(0.8, 0.8), text=(0.6, 0.6)), (score, score), "of a point")


def test_the_risk_falls_while_the_evidence_rises():
    """At text 0 the score of vision 0.25 is 7/36 and that of vision 0.5 is 6/36: a fall that any proof must allow."""
    scores = [infer(risk_engine(), vision=vision, text=0.0).score for vision in (0.25, 0.5)]
    exactly(scores, [7 / 36, 6 / 36])
    seen, at_most = worst_fall(risk_engine(), cells=4)
    assert 1 / 36 - 1e-12 <= seen <= at_most, f"seen {seen}, at most {at_most}"


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_inputs_out_of_range_are_refused(value):
    """An input that is out of its range or no number is refused by its name."""
    assert_refuses_values(lambda x: infer(risk_engine(), vision=x, text=0.5), "vision", value)
