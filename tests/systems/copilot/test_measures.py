"""The two measures, by hand."""

import pytest

from groundup.errors import UsageError
from groundup.systems.copilot.finding.measures import grouping_accuracy, template_f1


def test_grouping_accuracy_counts_the_lines_of_groups_that_are_exactly_right() -> None:
    true = ["a", "a", "a", "b", "b", "c"]
    assert grouping_accuracy([1, 1, 1, 2, 2, 3], true) == 1.0
    assert grouping_accuracy([1, 1, 9, 2, 2, 3], true) == 0.5  # a is split: its three lines are wrong
    assert grouping_accuracy([1, 1, 1, 2, 2, 2], true) == 0.5  # b and c are one: their three lines are wrong
    assert grouping_accuracy([1, 1, 9, 9, 2, 3], true) == pytest.approx(1 / 6)


def test_template_f1_wants_one_true_template_for_a_found_one_and_the_same_tokens() -> None:
    true = ["up <*>", "up <*>", "down <*>", "down <*>", "reset"]
    assert template_f1(true, true) == 1.0
    # One of three found is wrong in a token: precision 2/3, recall 2/3.
    assert template_f1(["up <*>", "up <*>", "<*> <*>", "<*> <*>", "reset"], true) == pytest.approx(2 / 3)
    # `down` is split, and one half says the right thing: 3 of 4 found, 3 of 3 true.
    assert template_f1(["up <*>", "up <*>", "down <*>", "down 7", "reset"], true) == pytest.approx(6 / 7)
    # `down` and `reset` are one, under the name of one of them: 1 of 2 found, 1 of 3 true.
    assert template_f1(["up <*>", "up <*>", "reset", "reset", "reset"], true) == pytest.approx(0.4)
    assert template_f1(["x"] * 5, true) == 0.0


def test_spaces_do_not_count_as_tokens() -> None:
    assert template_f1(["a  b "], ["a b"]) == 1.0


def test_what_is_measured_must_be_the_same_lines() -> None:
    with pytest.raises(UsageError, match="predicted and true must name the same lines, at least one, got 1 and 2"):
        grouping_accuracy([1], ["a", "b"])
    with pytest.raises(UsageError, match="got 0 and 0"):
        template_f1([], [])
