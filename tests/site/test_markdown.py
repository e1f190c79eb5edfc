"""Markdown of lessons and of the journal: mathematics, code, and no way for HTML to get through."""

from __future__ import annotations

import re
from html import unescape
from xml.etree.ElementTree import fromstring

import pytest

from groundup.course.material.catalogue import Catalogue
from groundup.site.markdown import headings, math, plain, render, render_inline, slug


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://evil.example/x.png)",
        r"$\text{<script>alert(1)</script>}$",
        r"$\href{javascript:alert(1)}{x}$",
        r"$\style{background:url(https://evil.example)}{x}$",
        r"$\class{x\" onclick=\"alert(1)}{x}$",
        r"$\unknowncommand{<img src=x onerror=alert(1)>}$",
        "```python<script>\nx\n```",
        "```{explorable} <script>alert(1)</script>\n```",
        ":::{dropdown} <script>alert(1)</script>\nx\n:::",
        "# <script>alert(1)</script>",
        '# " onclick="alert(1)',
        "| a |\n|:-:|\n| <b>x</b> |",
    ],
)
def test_nothing_that_runs_or_loads_gets_through(attack: str):
    html = render(attack)
    assert not re.search(r"<(script|img|iframe|object|b|style)\b", html)
    for tag in re.findall(r"<\w[^>]*>", html):
        assert not re.search(r"""\s(on\w+|style|src)\s*=""", re.sub(r'"[^"]*"', '""', tag)), tag
        assert not re.search(r"""href="(javascript|data):""", tag), tag


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"a < b", "<mo>&lt;</mo>"),
        (r"\sum_{i=1}^n x_i", "<mo>∑</mo>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        (r"\mathbb{R}", "ℝ"),
    ],
)
def test_mathematics_becomes_well_formed_mathml(latex: str, expected: str):
    made = math(latex, block=True)
    assert expected in made
    assert fromstring(made).tag.endswith("math")


def test_mathematics_that_cannot_be_read_is_shown_as_written():
    assert "math-error" in math("a_1_2", block=False)
    assert "a_1_2" in math("a_1_2", block=False)


def test_dollars_in_prose_are_not_mathematics():
    assert "<math" not in render("It costs $5 and then $10 more.")


def test_tables_are_aligned_by_classes():
    html = render("| a | b |\n|:--|--:|\n| 1 | 2 |")
    assert '<td class="right">2</td>' in html
    assert "style" not in html


def test_dropdowns_hold_markdown_and_mathematics():
    html = render(":::{dropdown} Why $x$?\n**Because**.\n:::")
    assert "<summary>Why <math" in html
    assert "<strong>Because</strong>" in html


def test_headings_lead_to_their_place():
    text = "## What is $x$?\n\n```\n## not one\n```\n\n## Two `words`"
    assert headings(text) == [(slug("What is $x$?"), "What is x?"), ("two-words", "Two words")]
    for address, _ in headings(text):
        assert f'id="{address}"' in render(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "with `code`",
        "`a` and `b`",
        'a "quote"',
        "half ` of it",
        "CART: Gini",
        "`x > y`",
        "a *b* `c`",
        "`` ` ``",
        "a & b",
    ],
)
def test_one_line_reads_the_same_by_the_short_way(text: str):
    paragraph = render(text).strip().removeprefix("<p>").removesuffix("</p>")
    assert unescape(render_inline(text)) == unescape(paragraph)


def test_plain_leaves_the_words():
    assert plain("**Bold** [link](https://x.y) `code`\n\n```python\nx = 1\n```") == "Bold link code x = 1"


@pytest.mark.parametrize("unit_id", list(Catalogue().units))
def test_every_lesson_of_the_release_renders_without_a_complaint(unit_id: str):
    from groundup.site.lessons import render_lesson

    unit = Catalogue().units[unit_id]
    page = render_lesson(unit)
    assert "math-error" not in page.html
    assert 'class="trouble"' not in page.html
    assert not re.search(r"\\[a-z]+", re.sub(r"<pre.*?</pre>|<code.*?</code>", "", page.html, flags=re.DOTALL))
    assert set(page.figures) <= {figure.name for figure in unit.figures}
    assert all(f'id="{address}"' in page.html for address, _ in page.headings)
