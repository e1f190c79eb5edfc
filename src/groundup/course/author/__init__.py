"""The author's side: the gate that proves a unit, its rules, its mutants, the skeleton of a new unit."""
