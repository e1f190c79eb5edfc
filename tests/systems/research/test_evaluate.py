"""The table: what is counted is what the reports say."""

from __future__ import annotations

import pytest

from groundup.llm import chat_model
from groundup.systems.research.evaluate import KINDS, evaluate
from tests.systems.research.models import saying


@pytest.mark.slow
def test_the_table_counts_answers_silence_and_citations() -> None:
    seen: list[tuple[int, int]] = []
    provenance, rows = evaluate(chat_model("embedded"), questions=4, report=lambda *done: seen.append(done))
    assert provenance
    assert seen[-1] == (4 * len(KINDS), 4 * len(KINDS))
    table = {row.what.split(",")[0]: row for row in rows}
    assert table["citations that stand nowhere"].ours == 0
    assert table["sentences without a citation"].ours == 0
    assert table["the answer stands in the report"].ours > 0


@pytest.mark.slow
def test_a_model_that_says_nothing_is_as_good_as_silence_and_one_that_lies_no_better() -> None:
    for reply in ("The sources do not say.", "Napoleon was born on Mars in 1066 [1]. Paris is in Sweden [7]."):
        _, rows = evaluate(saying(reply, reply, reply), questions=3)
        answers = rows[0]
        assert answers.ours == answers.silent == pytest.approx(2 / 3)
