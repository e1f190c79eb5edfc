"""Every unit has two cards to compute and a piece of code to mend."""

import pytest

from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import Unit

COMPUTE, MEND = 2, 1
UNITS = Catalogue().units


@pytest.mark.parametrize("unit", UNITS.values(), ids=list(UNITS))
def test_a_unit_has_two_cards_to_compute_and_one_to_mend(unit: Unit) -> None:
    fronts = [card.front for card in unit.cards]
    compute, mend = (sum(front.startswith(word) for front in fronts) for word in ("Compute", "Mend"))
    enough = compute >= COMPUTE and mend >= MEND
    assert enough, (
        f"{unit.id} has {compute} cards that begin with 'Compute' and {mend} with 'Mend'; write at least {COMPUTE} "
        f"and {MEND}. docs/units.md says how."
    )
