"""Processes of their own, in which a unit's code runs: labs, figures, snippets of lessons."""
