"""The page of the mathematics that lessons lean on, and the links to it where a lesson first uses a word of it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import groundup.course.material

SOURCE = Path(groundup.course.material.__file__).with_name("mathematics.md")
TERMS = {
    "sum": r"summation sign|sum sign",
    "logarithm": r"logarithms?|natural log",
    "derivative": r"derivatives?",
    "chain-rule": r"chain rule",
    "partial-derivative": r"partial derivatives?",
    "gradient": r"gradients?",
    "vector": r"vectors?|dot products?",
    "matrix-product": r"matrix products?|matrix multiplications?|transposes?d?",
    "inverse": r"inverse matrix|inverse of (?:the|a) matrix",
    "eigenvector": r"eigenvectors?|eigenvalues?",
    "expectation": r"expectations?|expected value",
    "variance": r"variances?|standard deviations?",
    "conditional-probability": r"conditional probabilit(?:y|ies)|conditional on",
    "normal-distribution": r"normal distributions?|standard normal|Gaussian",
}
"""The address of each entry of the page, and the words that lead there."""

_TAG = re.compile(r"<[^>]*>")
_CLOSED = frozenset("a h1 h2 h3 h4 h5 h6 code pre math summary".split())
"""The places without links: a link, a heading, code, a formula."""


@cache
def _words() -> re.Pattern[str]:
    return re.compile(
        r"\b(?:" + "|".join(f"(?P<{name.replace('-', '_')}>{words})" for name, words in TERMS.items()) + r")\b"
    )


def link(html: str, linked: set[str]) -> str:
    """Link the first use of each word in a piece of a lesson to the page.

    Args:
        html: what Markdown became.
        linked: the entries that were linked before, in this lesson; those of this piece are added.
    """
    out, closed, at = [], 0, 0
    for tag in [*_TAG.finditer(html), None]:
        text = html[at : tag.start() if tag else len(html)]
        out.append(text if closed else _words().sub(lambda match: _linked(match, linked), text))
        if tag:
            name = tag[0].strip("</>").split()[0].lower() if tag[0].strip("</>") else ""
            if name in _CLOSED:
                closed += -1 if tag[0].startswith("</") else 1
            out.append(tag[0])
            at = tag.end()
    return "".join(out)


def _linked(match: re.Match[str], linked: set[str]) -> str:
    name = (match.lastgroup or "").replace("_", "-")
    if name in linked:
        return match[0]
    linked.add(name)
    return f'<a class="term" href="/mathematics#{name}" title="The mathematics you forgot">{match[0]}</a>'
