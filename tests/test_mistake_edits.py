"""A mistake may be an edit of the reference: judged like one written out, and a changed reference breaks it loudly."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundup.course.author.rules import problems
from groundup.course.material.exercise import splice
from groundup.course.material.unit import load_unit
from groundup.errors import ConfigError
from tests.test_rules import copy_as, edit


def written(folder: Path, mark: str, body: str = '"""Told."""') -> Path:
    """The folder with one mistake more."""
    edit(folder, "mistakes.py", "", f"\n\n{mark}\ndef edited():\n    {body}\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_as("bedrock/scaling", tmp_path)


def spliced(folder: Path, name: str) -> str:
    unit = load_unit(folder)
    mistake = next(m for m in unit.mistakes if m.name == name)
    reference = unit.implementation.read_text(encoding="utf-8")
    return splice(reference, mistake.target, mistake.source, reference=reference)


def test_it_is_the_reference_with_the_text_replaced(folder: Path) -> None:
    reference = (folder / "scaling.py").read_text(encoding="utf-8")
    written(folder, '@mistake("mean", edit=("array.sum() / array.size", "array.sum()"))')
    assert spliced(folder, "edited") == reference.replace("array.sum() / array.size", "array.sum()")


def test_a_method_several_places_and_lines_and_the_signature(folder: Path) -> None:
    reference = (folder / "scaling.py").read_text(encoding="utf-8")
    pairs = '[("np.ndarray)", "np.ndarray, by: int = 2)"), ("values)\\n    return", "values * by)\\n    return")]'
    written(folder, f'@variant("Scaler.fit", edit={pairs})')
    expected = reference.replace("fit(self, values: np.ndarray)", "fit(self, values: np.ndarray, by: int = 2)")
    assert spliced(folder, "edited") == expected.replace("= mean(values)", "= mean(values * by)")


@pytest.mark.parametrize(
    ("mark", "body", "message"),
    [
        (
            '@mistake("mean", edit=("array.mean()", "0"))',
            '"""Told."""',
            "replaces 'array.mean()', which stands 0 times",
        ),
        ('@mistake("mean", edit=("array.", "x."))', '"""Told."""', "which stands 4 times in `mean` of scaling.py"),
        ('@mistake("mean", edit=("arithmetic", "x"))', '"""Told."""', "which stands 0 times"),  # in the docstring only
        ('@mistake("mean", edit=("float(array", "float( array"))', '"""Told."""', "the edit changes nothing that runs"),
        ('@mistake("mean", edit=("float(array", "float((array"))', '"""Told."""', "does not parse once it is edited"),
        ('@mistake("mean", edit=("float(", "int("))', "return 0", "has an edit, so its body holds the diagnosis only"),
        ('@mistake("mean", edit="float")', '"""Told."""', "edit must be (old text, new text) or a list of such pairs"),
        (
            '@mistake("median", edit=("a", "b"))',
            '"""Told."""',
            "is aimed at `median`, which scaling.py does not define",
        ),
    ],
)
def test_an_edit_that_does_not_fit_is_refused_by_name(folder: Path, mark: str, body: str, message: str) -> None:
    written(folder, mark, body)
    with pytest.raises(ConfigError) as refusal:
        _ = load_unit(folder).mistakes
    assert message in str(refusal.value)
    assert "`edited`" in str(refusal.value)
    assert any(message in problem for problem in problems(load_unit(folder), ["mistakes"]))
