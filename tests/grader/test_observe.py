"""What the diagnosis sees of one run of a check is the same in the next run, and is seen whatever the values are."""

import sys
from pathlib import Path

import pytest

from groundup.course.grader.observe import Recorder, digest, same, same_text

HERE = frozenset({__name__})


class Unreadable:
    """An object of the learner's that raises whatever it is asked for, as one that loads late does."""

    def __getattr__(self, name: str) -> float:
        raise ValueError(f"{name} is not loaded")


def total(numbers: object) -> object:
    """Stands for a learner's function."""
    return numbers


def recorded(value: object) -> list[object]:
    with Recorder(__file__, HERE) as recorder:
        exec("total(value)", {"total": total, "value": value})
        assert sys.getprofile() is not None, "the profile goes on"
    return recorder.calls


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_tensors_of_every_precision_are_seen(name: str) -> None:
    torch = pytest.importorskip("torch")
    values = torch.tensor([1.5, -2.0], dtype=getattr(torch, name))
    assert same(recorded(values), recorded(values.clone()))
    assert not same(recorded(values), recorded(values + 1))


def test_an_object_that_raises_ends_no_record() -> None:
    assert recorded(Unreadable())[0] == [("total", ("opaque", "Unreadable"), ("opaque", "list"))]


def test_a_run_in_another_folder_is_the_same_run(tmp_path: Path) -> None:
    first, second = (f"{tmp_path}/pytest/test_a_long_name{n}/auc, line 1, is '0.5 3'" for n in (0, 12))
    assert same_text(first, second)
    assert same(digest(first, HERE), digest(second, HERE))
    assert not same_text(first, second.replace("0.5 3", "0.7 3"))
    assert not same_text(first, second.replace("long", "short"))
