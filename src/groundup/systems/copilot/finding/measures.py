"""How well lines were grouped and their templates found, by the definitions of the literature.

- Grouping accuracy: Zhu et al., "Tools and Benchmarks for Automated Log Parsing", ICSE-SEIP 2019. The share of lines
  whose group holds exactly the lines that it should.
- F1 of template accuracy: Khan et al., "Guidelines for Assessing the Accuracy of Log Message Template Identification
  Techniques", ICSE 2022. A template that was found is right when all its lines have one true template, and it is that
  template, token for token. Precision is the share of found templates that are right, recall that of the true ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from groundup.errors import UsageError


def grouping_accuracy(predicted: Sequence[Hashable], true: Sequence[Hashable]) -> float:
    """The share of lines whose found group is, as a set of lines, their true group."""
    _check(predicted, true)
    sizes, wanted = Counter(predicted), Counter(true)
    pairs = Counter(zip(predicted, true, strict=True))
    right = sum(n for (group, template), n in pairs.items() if sizes[group] == n == wanted[template])
    return right / len(true)


def template_f1(predicted: Sequence[str], true: Sequence[str]) -> float:
    """The F1 of template accuracy; both are the texts of the templates, line by line."""
    _check(predicted, true)
    meant: dict[str, set[str]] = {}
    for template, wanted in zip(map(_tokens, predicted), map(_tokens, true), strict=True):
        meant.setdefault(template, set()).add(wanted)
    right = sum(wanted == {template} for template, wanted in meant.items())
    precision, recall = right / len(meant), right / len(set(map(_tokens, true)))
    return 2 * precision * recall / (precision + recall) if right else 0.0


def _tokens(template: str) -> str:
    return " ".join(template.split())


def _check(predicted: Sequence[object], true: Sequence[object]) -> None:
    if not true or len(predicted) != len(true):
        raise UsageError(
            f"predicted and true must name the same lines, at least one, got {len(predicted)} and {len(true)}."
        )
