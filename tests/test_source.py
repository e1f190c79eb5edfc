"""What a text does, told apart from how it is laid out."""

from __future__ import annotations

import pytest

from groundup.course.material.source import code_of

CODE = '''
"""A module."""
import numpy as np


def f(x, *, y=1):
    """Adds."""
    # why
    return x + y  # here


class A:
    """Something."""

    name = "a"
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    # why\n", ""),
        ('    """Adds."""\n', '    """Adds two numbers."""\n'),
        ('"""A module."""\n', ""),
        ("x + y", "(x\n            + y)"),
        ('"a"', "'a'"),
        ('"a"', '""  "a"'),
    ],
)
def test_layout_comments_and_docstrings_are_no_part_of_it(old: str, new: str) -> None:
    assert code_of(CODE.replace(old, new)) == code_of(CODE)


@pytest.mark.parametrize(("old", "new"), [("x + y", "x - y"), ("y=1", "y=True"), ('"a"', '"b"'), ("*, ", "")])
def test_what_is_done_is(old: str, new: str) -> None:
    assert code_of(CODE.replace(old, new)) != code_of(CODE)


def test_a_text_that_is_no_python_stands_for_itself() -> None:
    assert code_of("def f(:") == "def f(:"
