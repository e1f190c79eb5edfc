"""Lessons as parts: what pages, notebooks and rules read."""

from __future__ import annotations

import pytest

from groundup.course.material.lessons import (
    Box,
    Code,
    Explorable,
    Include,
    Prose,
    Snippet,
    examples,
    formulas,
    headings,
    mathml,
    read_lesson,
    source_of,
    split,
    words,
)
from groundup.course.material.unit import load_unit
from groundup.errors import ConfigError, UnknownName, UsageError
from tests.sample import sample_unit

TEXT = """\
A word.

```{explorable} centres
```

:::{note} Mind
Inside, `a` and

```{literalinclude} scaling.py
:pyobject: mean
```
:::

```pycon
>>> 1 + 1
2
```

```text
1 2
```

```{math}
x^2
```

```{nonsense} there
```

The end.
"""


def test_a_lesson_falls_into_its_parts_each_with_its_line() -> None:
    prose, explorable, box, snippet, code, formula, nonsense, end = split(TEXT)
    assert prose == Prose("A word.\n\n", 1)
    assert explorable == Explorable("centres", 3)
    assert box == Box("note", "Mind", (Prose("Inside, `a` and\n\n", 7), Include("scaling.py", "mean", 9)), 6)
    assert snippet == Snippet(">>> 1 + 1\n2\n", 14)
    assert code == Code("text", "1 2\n", 19)
    assert isinstance(formula, Prose)
    assert "{math}" in formula.text
    assert nonsense == Code("{nonsense}", "", 27)
    assert end == Prose("\nThe end.\n", 29)


def test_a_fence_within_a_list_stays_prose() -> None:
    assert split("- one\n\n  ```text\n  x\n  ```\n") == (Prose("- one\n\n  ```text\n  x\n  ```\n", 1),)


def test_the_parts_of_every_kind_are_found_inside_boxes_too() -> None:
    lesson = read_lesson(sample_unit())
    assert lesson.title == "Scaling"
    assert lesson.headings() == ["Concept", "Implementation", "Where it is used", "Going further", "Interview"]
    assert [part.name for part in lesson.walk() if isinstance(part, Include)] == ["mean", "Scaler.transform"]
    assert [part.text for part in lesson.walk() if isinstance(part, Prose)][-1] == "There is none.\n"


def test_a_heading_in_code_is_none() -> None:
    assert headings("# A\n\n```text\n## b\n```\n\n## $x$ and `c`\n") == [(1, "A"), (2, "$x$ and `c`")]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Two words.", 2),
        ("## A heading\n\nand - one *emphasised* — `code x`", 7),
        ("| a | b |\n|---|---|\n| c | d |", 4),
        ("[a link](https://example.org/a/b)", 2),
        ("with $x + y = z$ inline", 3),
        ("$x$-axis", 1),
        ("$$x + y$$\n\nafter", 1),
        ("first $$x + y$$", 1),
        ("```pycon\n>>> 1\n1\n```\n\n```text\na b c\n```\n", 0),
        ("```{literalinclude} a.py\n:pyobject: b\n```", 0),
        (":::{dropdown} A question?\nAn answer.\n:::", 4),
    ],
)
def test_words_of_prose_are_counted_and_nothing_else(text: str, count: int) -> None:
    assert words(split(text)) == count


def test_formulas_are_found_wherever_they_stand() -> None:
    text = "Is $a$ it?\n\n$$b$$\n\nor $$c$$ so\n\n| $d$ |\n|---|\n\n```{math}\ne\n```\n\n`$no$` and \\$5 and \\$6"
    assert formulas(text) == [("a", False), ("b", True), ("c", True), ("d", False), ("e", True)]


def test_a_formula_becomes_mathml_or_a_message() -> None:
    assert mathml(r"\frac{a}{b}", block=False).tag == "math"
    with pytest.raises(ConfigError, match="The formula a_1_2 cannot be shown: DoubleSubscriptsError"):
        mathml("a_1_2", block=True)


def test_code_is_found_by_name_whole_and_flush_left() -> None:
    unit = sample_unit()
    assert source_of(unit, "scaling.py", "Scaler.transform").startswith("def transform(self")
    assert source_of(unit, "scaling.py", "Scaler").startswith("class Scaler:")
    assert source_of(unit, "figures.py", "centres").startswith('@figure("Centres")\ndef centres(')
    assert source_of(unit, "scaling.py").startswith('"""Means')


def test_the_learners_text_takes_the_implementations_place_only() -> None:
    unit = sample_unit()
    mine = "def mean(values):\n    return 0\n"
    assert source_of(unit, "scaling.py", "mean", mine=mine) == mine
    assert "Points and their mean" in source_of(unit, "figures.py", "centres", mine=mine)


def test_code_that_is_not_there_is_named_with_what_is() -> None:
    unit = sample_unit()
    with pytest.raises(UnknownName, match="There is no file in bedrock/scaling called 'scalling.py'. Did you mean"):
        source_of(unit, "scalling.py")
    with pytest.raises(UnknownName, match="no definition in bedrock/scaling/scaling.py called 'means'. Did you mean"):
        source_of(unit, "scaling.py", "means")


def test_a_snippet_is_read_as_a_session() -> None:
    assert [(e.source, e.want) for e in examples(">>> a = 1\n>>> a\n1\n")] == [("a = 1\n", ""), ("a\n", "1\n")]
    with pytest.raises(ConfigError, match="not a Python session: line 1 of the docstring"):
        examples(">>>a\n")


def test_a_unit_without_a_lesson_says_so(tmp_path) -> None:
    (tmp_path / "unit.toml").write_bytes((sample_unit().folder / "unit.toml").read_bytes())
    with pytest.raises(UsageError, match="has no lesson yet: lesson.md is missing"):
        read_lesson(load_unit(tmp_path))
