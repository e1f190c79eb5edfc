"""Checks by the function that they are about, and functions by what builds on what."""

from __future__ import annotations

import pytest

from groundup.course.material.catalogue import Catalogue
from groundup.course.material.targets import dependency_order, groups, targets
from groundup.course.verdict import CheckResult, Verdict

REFERENCE = """
def top(x):
    return helper(x) + 1

def helper(x):
    return base(x)

def base(x):
    return x

class Net:
    def __init__(self, x):
        self.x = base(x)

    def __mul__(self, other):
        return self

    def __pow__(self, power):
        return self

    def fit(self):
        return top(self.x)

class Other:
    def fit(self):
        return 1

class Rule:
    def step(self):
        return self.update()

class Plain(Rule):
    def update(self):
        return 1

class Heavy(Rule):
    def update(self):
        return 2

def given(x):
    return Net(x).fit()
"""
WRITE = ("top", "base", "Net.__mul__", "Net.__pow__", "Net.fit", "Other.fit", "Plain.update", "Heavy.update")
CHECKS = """
def made(x):
    return base(x)

BOTH = [base, top]

def test_direct(): assert base(1) == 1
def test_by_a_constant(): assert [f(1) for f in BOTH]
def test_by_what_is_inherited(): assert Plain().step() == 1
def test_the_last_one_counts(): assert top(base(1)) == 2
def test_by_a_helper(): assert made(1) == 1
def test_by_a_fixture(made): pass
def test_a_method(): assert Net(1).fit() == 2
def test_of_two_classes(): assert Other().fit() == 1
def test_an_operator(): assert Net(1) * 2
def test_several_operators(): assert (Net(1) * 2) ** 2
def test_through_the_reference(): assert given(1) == 2
def test_of_nothing(): assert True
"""


def test_functions_come_after_those_that_they_call() -> None:
    order = dependency_order(REFERENCE, WRITE)
    assert set(order) == set(WRITE)
    assert order.index("base") < order.index("top") < order.index("Net.fit")


def test_functions_that_call_each_other_stay_in_their_order() -> None:
    assert dependency_order("def f(): g()\ndef g(): f()\n", ("g", "f")) == ("g", "f")


@pytest.mark.parametrize(
    ("check", "function"),
    [
        ("test_direct", "base"),
        ("test_the_last_one_counts", "top"),
        ("test_by_a_helper", "base"),
        ("test_by_a_constant", "top"),
        ("test_by_a_fixture", "base"),
        ("test_a_method", "Net.fit"),
        ("test_of_two_classes", "Other.fit"),
        ("test_an_operator", "Net.__mul__"),
        ("test_several_operators", ""),
        ("test_through_the_reference", "Net.fit"),
        ("test_by_what_is_inherited", "Plain.update"),
        ("test_of_nothing", ""),
    ],
)
def test_a_check_is_about_the_last_function_that_it_names(check: str, function: str) -> None:
    assert targets(CHECKS, REFERENCE, WRITE)[check] == function


def test_a_verdict_is_grouped_with_what_says_most_first() -> None:
    unit = Catalogue().unit("vectors")
    checks = (
        CheckResult("test_relu_by_hand", "failed", "wrong"),
        CheckResult("test_dot_by_hand", "failed", "wrong"),
        CheckResult("test_dot_is_linear", "failed", "wrong", diagnosis="You forgot to add up."),
        CheckResult("test_dot_of_nothing_is_zero", "not_attempted"),
    )
    dot, relu = groups(unit, Verdict(unit.id, "failed", checks))
    assert (dot.function, relu.function) == ("dot", "relu")
    assert [check.name for check in dot.failed] == ["test_dot_is_linear", "test_dot_by_hand"]
    assert (dot.count, len(dot.waiting), len(dot.passed)) == (3, 1, 0)


@pytest.mark.parametrize("unit_id", sorted(Catalogue().units))
def test_most_checks_of_a_unit_are_about_a_function(unit_id: str) -> None:
    unit = Catalogue().units[unit_id]
    texts = (path.read_text(encoding="utf-8") for path in (unit.checks, unit.implementation))
    about = targets(*texts, tuple(unit.write))
    assert sum(map(bool, about.values())) >= 0.8 * len(about)
    assert set(unit.write) >= set(filter(None, about.values()))
