"""Formulas on one line of a terminal."""

import re

import pytest

from groundup.course.material.catalogue import Catalogue
from groundup.course.material.formulas import one_line

WRITTEN = {
    r"\frac{a + b}{2} \approx \sqrt{x_i^2}": "(a + b)/2 ≈ √xᵢ²",
    r"-\sum_{i=1}^n y_i \ln p_i": "−∑ᵢ₌₁ⁿ yᵢ ln pᵢ",
    r"\sum_{t \in q} \mathrm{idf}(t)": "∑_(t ∈ q) idf(t)",
    r"\log\frac{1 + 7}{1 + 1} + 1": "log((1 + 7)/(1 + 1)) + 1",
    r"\frac{\lambda}{2} \lVert w \rVert^2": "(λ/2)‖w‖²",
    r"e^{-|z|}": "e^(−|z|)",
    r"A^{\top} \mathrm{d}Z": "Aᵀ dZ",
    r"4 / -8 = -0.5": "4/−8 = −0.5",
    r"\min(20, 1 \cdot 2^2) = 4": "min(20, 1 · 2²) = 4",
    r"410{,}000": "410,000",
    r"\bar{x} \le \log_M n": "x\u0304 ≤ log_M n",
    r"\sqrt{n + 1}": "√(n + 1)",
    r"\frac{1}{2n}": "1/(2n)",
}


@pytest.mark.parametrize(("latex", "written"), WRITTEN.items(), ids=WRITTEN)
def test_a_formula_is_written_on_one_line(latex: str, written: str) -> None:
    assert one_line(f"so ${latex}$ here") == f"so {written} here"


@pytest.mark.parametrize("text", ["", "2 + 2", r"costs \$5 and \$6", '`"$and": [{"team": {"$in": []}}]`', r"$\frac{$"])
def test_what_is_no_formula_stays(text: str) -> None:
    assert one_line(text) == text


def test_every_card_can_be_read_in_a_terminal() -> None:
    cards = [card for unit in Catalogue().units.values() for card in unit.cards]
    assert len(cards) > 400
    for card in cards:
        for text in (card.front, card.back):
            shown = one_line(text)
            assert not re.search(r"(?<!\\)\$[^`]*\\[a-z]+", re.sub(r"`[^`]*`", "", shown)), (card.id, shown)
