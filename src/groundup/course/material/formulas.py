r"""Formulas for a terminal: the MathML that pages show, written on one line.

one_line(r"$\frac{a + b}{2} \approx \sqrt{x_i^2}$")      # "(a + b)/2 ≈ √xᵢ²"
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from groundup.course.material.lessons import mathml
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FORMULA = re.compile(r"(`+).*?\1|(?<![\\$])\$(?P<latex>[^$\n]+)\$", re.DOTALL)
_RAISED = str.maketrans("0123456789+−=()niT⊤′", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵀᵀ′")
_LOWERED = str.maketrans("0123456789+−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_APART = frozenset("=<>≤≥≈≠≡∝∼→←↦⇒⇔∈∉⊂⊆∪∩±·×⋅⊙∘∧∨≪≫∣+−")
_OVER = {"¯": "\u0304", "‾": "\u0304", "^": "\u0302", "~": "\u0303", "˙": "\u0307", "→": "\u20d7"}
_OPEN = frozenset("([{,|‖∥⌊⌈/")
_LARGE = frozenset("∑∏∫")
_WORD = re.compile(r"[^\W\d_]{2,}")
_AFTER_WORD = re.compile(rf"{_WORD.pattern}[₀-ₜ]*$|_\w+$")
_SINGLE = re.compile(r"[\d.,]+|[^\W\d]\w*|[^\W\d_][₀-ₜⁿⁱᵀ⁰-⁹¹²³]*|\w+\([^()]*\)")


def one_line(text: str) -> str:
    """A text with its formulas, which stand between dollar signs, in Unicode; an unreadable formula stays as it is."""
    return _FORMULA.sub(lambda match: _formula(match["latex"], match[0]) if match["latex"] else match[0], text)


def _formula(latex: str, otherwise: str) -> str:
    try:
        return re.sub(r"\s+", " ", _written(mathml(latex, block=False))).strip()
    except ConfigError:
        return otherwise


def _written(node: Element) -> str:
    """An element with everything inside it."""
    parts = list(node)
    match node.tag.rpartition("}")[2]:
        case "mfrac":
            return f"{_bound(parts[0])}/{_bound(parts[1])}"
        case "msqrt":
            return "√" + _bound(*parts)
        case "mroot":
            return _script(_written(parts[1]), _RAISED, "") + "√" + _bound(parts[0])
        case "msub" | "munder":
            return _base(parts[0]) + _script(_written(parts[1]), _LOWERED, "_")
        case "msup":
            return _base(parts[0]) + _script(_written(parts[1]), _RAISED, "^")
        case "msubsup" | "munderover":
            lowered, raised = _script(_written(parts[1]), _LOWERED, "_"), _script(_written(parts[2]), _RAISED, "^")
            return _base(parts[0]) + lowered + raised
        case "mover":
            mark = _OVER.get(_written(parts[1]).strip())
            return _written(parts[0]) + mark if mark else _base(parts[0]) + _script(_written(parts[1]), _RAISED, "^")
        case "mspace":
            return " "
        case "mtr":
            return ", ".join(map(_written, parts)) + "; "
        case "mi" | "mn" | "mo" | "mtext":
            return html.unescape(node.text or "")
    return _row(parts)


def _row(parts: Sequence[Element]) -> str:
    """Elements beside each other: a space round a relation, and between names that would run together."""
    texts = [_written(part) for part in parts]
    if "".join(texts) == "," or all("mathvariant" in part.attrib for part in parts):
        return "".join(texts)  # the comma of a number, or a name letter by letter
    line, before = "", ""
    for part, text in zip(parts, texts, strict=True):
        kind = part.tag.rpartition("}")[2]
        sign = line.rstrip()[-1:]
        if kind == "mo" and text == ",":
            line += ", "
        elif kind == "mo" and text in _APART:
            line += text if text in "+−" and (not sign or sign in _OPEN or sign in _APART) else f" {text} "
        elif before == "mfrac" and (kind != "mo" or text in "(|‖") and text.strip():
            line = f"({line}){text}" if " " not in line else f"{line} · {text}"
        elif kind == "mfrac" and (sign.isalnum() and line[-1:] != " "):
            line += f"({text})"
        elif text and _runs_together(line, text):
            line += f" {text}"
        else:
            line += text
        before = kind if text[:1] not in _LARGE else "large"
        line += " " * (before == "large" and kind != "mo")
    return line


def _runs_together(line: str, text: str) -> bool:
    """Whether a name of several letters would touch its neighbour."""
    after = _AFTER_WORD.search(line) is not None and (text[0].isalnum() or text[0] in "‖√")
    return after or (_WORD.match(text) is not None and line[-1:].isalnum())


def _bound(*parts: Element) -> str:
    """A row that is held together: in parentheses where it has several parts."""
    text = _row(parts).strip()
    return text if _SINGLE.fullmatch(text) else f"({text})"


def _base(node: Element) -> str:
    text = _written(node)
    return f"({text.strip()})" if re.search(r"\S\s+\S", text.strip()) else text


def _script(text: str, table: dict[int, int], sign: str) -> str:
    """A superscript or subscript: in small signs where Unicode has them all, otherwise behind `^` or `_`."""
    text = text.strip()
    bare = text.replace(" ", "")
    if bare and all(ord(letter) in table for letter in bare):
        return bare.translate(table)
    return f"{sign}{text}" if len(text) == 1 or re.fullmatch(r"\w+", text) else f"{sign}({text})"
