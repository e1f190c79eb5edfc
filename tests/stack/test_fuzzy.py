"""`production/fuzzy`: SciPy's integrals and linear programs beside ours, scikit-fuzzy's answers, and refusals."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize

from groundup.stack.production.fuzzy import (
    Engine,
    FuzzySet,
    Rule,
    Variable,
    bounds,
    combine,
    extreme,
    gaps,
    infer,
    integrals,
    partition,
    risk_engine,
    trapezoid,
    worst_fall,
)


def tipper() -> Engine:
    grade = Variable(0.0, 10.0, partition({"poor": 0, "average": 5, "good": 10}))
    terms = {"low": trapezoid(0, 0, 0, 13), "medium": trapezoid(0, 13, 13, 25), "high": trapezoid(13, 25, 25, 25)}
    rules = [
        Rule({"quality": "poor", "service": "poor"}, "low", "or"),
        Rule({"service": "average"}, "medium"),
        Rule({"service": "good", "quality": "good"}, "high", "or"),
    ]
    return Engine({"quality": grade, "service": grade}, Variable(0.0, 25.0, terms), rules)


# What scikit-fuzzy 0.5.0 printed for the tipping problem of its gallery with the tip on np.linspace(0, 25, 25_001), on
# 2026-11-30. It is no dependency: its answers on a fine axis are enough.
SCIKIT_FUZZY = {
    (6.5, 9.8): 19.857759206915198,
    (3, 4): 11.784458077708381,
    (8, 2): 12.450666666665478,
    (5, 5): 12.666666666666748,
}


@pytest.mark.parametrize(("quality", "service"), SCIKIT_FUZZY)
def test_the_tip_is_scikit_fuzzys_on_a_fine_axis(quality: float, service: float) -> None:
    tip = infer(tipper(), quality=quality, service=service).score
    np.testing.assert_allclose(tip, SCIKIT_FUZZY[quality, service], rtol=1e-10)


def some_set(rng: np.random.Generator) -> FuzzySet:
    size = int(rng.integers(1, 8))
    return FuzzySet(tuple(np.sort(rng.uniform(-1, 2, size))), tuple(rng.uniform(0, 1, size)))


def test_integrals_are_scipys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        shape = some_set(rng)
        low, high = np.sort(rng.uniform(-2, 3, 2))
        points = [corner for corner in shape.corners if low < corner < high]
        area = integrate.quad(lambda x, s=shape: float(s(x)), low, high, points=points or None)[0]
        moment = integrate.quad(lambda x, s=shape: x * float(s(x)), low, high, points=points or None)[0]
        np.testing.assert_allclose(integrals(shape, low, high), (area, moment), rtol=1e-9, atol=1e-12)


def test_an_extreme_centroid_is_the_best_of_all_shapes() -> None:
    # Charnes and Cooper: minimise the centroid over slices between the two, as a linear program in shape / area.
    rng = np.random.default_rng(1)
    x = (np.arange(150) + 0.5) / 50 - 1
    for _ in range(4):
        a, b = some_set(rng), some_set(rng)
        lower, upper = combine(a, b, np.minimum), combine(a, b, np.maximum)
        identity, low, high = np.eye(150), lower(x)[:, None], upper(x)[:, None]
        limits = np.vstack([np.hstack([identity, -high]), np.hstack([-identity, low])])
        equality = np.append(np.ones(150), 0.0)[None]
        found = optimize.linprog(np.append(x, 0.0), limits, np.zeros(300), equality, [1.0])
        np.testing.assert_allclose(extreme(upper, lower, -1, 2), found.fun, atol=2e-3)


def test_two_words_and_rising_rules_never_fall() -> None:
    grade = Variable(0.0, 1.0, partition({"low": 0.0, "high": 1.0}))
    rules = [Rule({"a": "low", "b": "low"}, "low"), Rule({"a": "high", "b": "high"}, "high", "or")]
    engine = Engine({"a": grade, "b": grade}, grade, rules)
    assert not gaps(engine)
    seen, proved = worst_fall(engine, 12)
    assert seen == pytest.approx(0.0, abs=1e-12)
    assert proved > 0


def test_more_cells_prove_more() -> None:
    found = [worst_fall(risk_engine(), cells) for cells in (3, 6, 12)]
    seen, proved = zip(*found, strict=True)
    assert list(seen) == sorted(seen)
    assert list(proved) == sorted(proved, reverse=True)
    assert seen[-1] <= proved[-1]


def test_bounds_of_a_box_hold_those_of_its_parts() -> None:
    engine = risk_engine()
    whole = bounds(engine, vision=(0.2, 0.8), text=(0.1, 0.5))
    for vision, text in itertools.product([(0.2, 0.5), (0.5, 0.8)], [(0.1, 0.3), (0.3, 0.5)]):
        least, greatest = bounds(engine, vision=vision, text=text)
        assert whole[0] <= least + 1e-12
        assert greatest <= whole[1] + 1e-12


def test_a_box_with_a_hole_has_the_whole_range() -> None:
    grade = risk_engine().output
    alone = Engine({"a": grade}, grade, [Rule({"a": "high"}, "high")])
    assert bounds(alone, a=(0.2, 0.9)) == (0.0, 1.0)


grade = Variable(0.0, 1.0, partition({"low": 0.0, "high": 1.0}))
rule = Rule({"a": "low"}, "high")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FuzzySet((), ()), "corners must hold at least one number, got none"),
        (lambda: FuzzySet((0, 0), (0, 1)), "corners must be finite and each above the one before, got 0.0 after 0.0"),
        (lambda: FuzzySet((0, 1), (0,)), "degrees must be as many as corners, 2, got 1"),
        (lambda: FuzzySet((0, 1), (0, 1.5)), r"degrees must lie between 0 and 1, got 1\.5"),
        (lambda: FuzzySet((0, 1), (0, np.nan)), "degrees must lie between 0 and 1, got nan"),
        (lambda: trapezoid(0, 2, 1, 3), "c must be at least the corner before it, 2, got 1"),
        (lambda: Variable(1.0, 1.0, {"any": FuzzySet((0,), (1,))}), "high must be finite and above low=1.0, got 1.0"),
        (lambda: Variable(0.0, 1.0, {}), "terms must hold at least one set, got none"),
        (lambda: Rule({}, "high"), "when must ask for at least one term"),
        (lambda: Rule({"a": "low"}, "high", wrong("xor")), "join must be 'and' or 'or', got 'xor'"),
        (lambda: Engine({"a": grade}, grade, []), "rules must hold at least one rule"),
        (lambda: Engine({"b": grade}, grade, [rule]), "rules must ask for terms of inputs, got 'a' IS 'low'"),
        (lambda: Engine({"a": grade}, grade, [Rule({"a": "odd"}, "high")]), "got 'a' IS 'odd'"),
        (lambda: Engine({"a": grade}, grade, [Rule({"a": "low"}, "odd")]), "rules must end in a term of the output"),
        (lambda: Engine({"a": grade}, Variable(0.0, 1.0, {"high": FuzzySet((1, 2), (0, 1))}), [rule]), "with an area"),
        (lambda: infer(risk_engine(), vision=0.5), "text must be one number for an input; the inputs are vision, text"),
        (lambda: infer(risk_engine(), vision=0.5, text=0.5, age=1.0), "age must be one number for an input"),
        (lambda: infer(risk_engine(), vision=1.5, text=0.5), "vision must lie between 0.0 and 1.0, got 1.5"),
        (lambda: infer(Engine({"a": grade}, grade, [rule]), a=1.0), r"must make some rule fire, got \{'a': 1.0\}"),
        (lambda: bounds(risk_engine(), vision=(0.9, 0.1), text=(0, 1)), "vision must be a pair of least and greatest"),
        (lambda: worst_fall(risk_engine(), 0), "cells must be at least 1, got 0"),
    ],
)
def test_refusals_name_the_parameter_the_rule_and_the_value(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def wrong(value: object) -> Any:
    """A value of a type that is not allowed, for the refusal to name."""
    return value
