"""Facts that are said of a function where no known mistake fits: of one call, beside the reference's."""

import numpy as np
import pytest

from groundup.course.grader.contrast import contrast
from groundup.course.grader.observe import Observation, digest


def seen(result: object, *arguments: object, name: str = "f") -> Observation:
    modules = frozenset[str]()
    calls = [(name, digest(result, modules), digest(list(arguments), modules))]
    return Observation("failed", "", [calls, []], {name})


ONES = np.ones((3, 2))
CASES = {
    "its values are right, but of float32, and the reference's are of float64": (ONES.astype(np.float32), ONES),
    "it returns the shape (3,), and the reference (3, 1)": (np.ones(3), np.ones((3, 1))),
    "it returns NaN where the reference has a number": (np.array([1.0, np.nan]), np.array([1.0, 0.0])),
    "only its first row is right": (np.array([[1.0, 2.0], [0.0, 9.0], [5.0, 5.0]]), np.arange(1.0, 7).reshape(3, 2)),
    "only its first value is right": (np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0])),
    "its sign is wrong": (np.array([-1.0, 2.0]), np.array([1.0, -2.0])),
    "its values are all 1 too large": (np.array([2.0, 3.0, 7.0]), np.array([1.0, 2.0, 6.0])),
    "its values are all 0.5 times the reference's": (np.array([1.0, 3.0, 7.0]), np.array([2.0, 6.0, 14.0])),
    "1 of its 2 values are inverted": (np.array([True, True]), np.array([True, False])),
}


@pytest.mark.parametrize("fact", CASES)
def test_a_plain_difference_is_said(fact: str) -> None:
    mine, right = CASES[fact]
    assert contrast(seen(mine), seen(right), "f") == fact


def test_a_changed_argument_is_said() -> None:
    assert contrast(seen(1.0, np.zeros(2)), seen(1.0, np.ones(2)), "f") == "it changes its arguments"


VALUES = np.array([0.5, 3.0, 3.0, 1.0])
PLACES = {
    "its values are right except where a value is 0.5 itself": (
        np.array([1, 1, 1, 1]),
        np.array([0, 1, 1, 1]),
        VALUES,
        0.5,
    ),
    "its values are right except where values are equal": (np.array([0, 3, 2, 1]), np.array([0, 2, 3, 1]), VALUES, 9),
    "its values are right except where the mask is False": (
        np.array([[1.0, 2.0], [7.0, 8.0], [0.1, 0.2]]),
        np.array([[1.0, 2.0], [0.0, 0.0], [0.1, 0.2]]),
        np.array([True, False, True]),
        1,
    ),
}


@pytest.mark.parametrize("fact", PLACES)
def test_what_the_wrong_places_have_in_common_is_said(fact: str) -> None:
    mine, right, *given = PLACES[fact]
    assert contrast(seen(mine, *given), seen(right, *given), "f") == fact
    everywhere = np.ones(len(mine), bool) if given[0].dtype == bool else np.arange(4.0)
    assert "where" not in contrast(seen(mine, everywhere), seen(right, everywhere), "f")


@pytest.mark.parametrize(
    ("mine", "right"),
    [
        (np.array([1.0, 5.0, 2.0]), np.array([2.0, 1.0, 7.0])),
        (np.array([1.0, 5.0]), np.array([1.0, 2.0])),
        (3.0, 4.0),
        ("a", "b"),
        (np.array([]), np.array([])),
        (np.array([np.inf, 1.0]), np.array([1.0, 2.0])),
    ],
)
def test_of_anything_else_nothing_is_said(mine: object, right: object) -> None:
    assert contrast(seen(mine), seen(right), "f") == ""


def test_nothing_is_said_of_another_function_and_of_no_calls() -> None:
    assert contrast(seen(ONES, name="g"), seen(2 * ONES, name="g"), "f") == ""
    assert contrast(seen(ONES, name="g"), seen(2 * ONES), "f") == ""
    assert contrast(Observation("failed", ""), seen(ONES), "f") == ""


def test_a_class_is_told_from_its_objects() -> None:
    torch = pytest.importorskip("torch")
    for kind in (torch.nn.Linear, torch.Tensor, np.ndarray, dict):
        assert digest(kind, frozenset()) == ("class", kind.__qualname__)
    assert digest([torch.nn.Linear], frozenset({"torch.nn"}))[1] == [("class", "Linear")]
