"""MyST Markdown to HTML: mathematics as MathML, code by Pygments, HTML in the source never let through.

What is written out carries no `style` attribute and no script, so that it lives under the site's policy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from html import escape, unescape
from typing import TYPE_CHECKING, Any

from groundup.course.material.lessons import ADMONITIONS, DIRECTIVE, grammar, mathml
from groundup.course.material.lessons import headings as all_headings
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

VERSION = "4"
"""Changes when the output for the same source changes: rendered lessons are cached by it."""

BEYOND_CODE = re.compile(r"[*_$\[\]<>&\\~!\n]|``")
LONG_FORMULA = 18
"""Elements from which an inline formula may be wider than a narrow screen, and gets a place to scroll in."""

MATH_ATTRIBUTES = frozenset(
    "xmlns display stretchy fence form accent accentunder mathvariant mathcolor mathsize linethickness displaystyle "
    "scriptlevel columnalign rowspacing columnspacing columnlines rowlines frame width height depth lspace rspace "
    "minsize maxsize notation separator largeop movablelimits symmetric voffset linebreak columnspan rowspan".split()
)


def render(text: str) -> str:
    """Markdown as HTML.

    `$…$` and `$$…$$` are mathematics; `:::{note}`, `:::{warning}` and `:::{dropdown} Title` are boxes. What a lesson
    takes from its unit (figures, included code) is not rendered here: see `groundup.site.lessons`.
    """
    return _parser().render(text)


@lru_cache(maxsize=4096)
def render_cached(text: str) -> str:
    """Markdown as HTML; remembered."""
    return render(text)


@lru_cache(maxsize=4096)
def render_inline(text: str) -> str:
    """One line of Markdown as HTML, without a paragraph around it; remembered."""
    if not BEYOND_CODE.search(text):
        # The map needs no more than this, and need not wait for the parser's import.
        return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text.strip(), quote=False))
    return _parser().renderInline(text.strip())


def plain(text: str) -> str:
    """The words of a Markdown text, for searching and for titles."""
    words = re.sub(r"^\s*(```|:::).*$", " ", text, flags=re.MULTILINE)
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", words)
    return re.sub(r"\s+", " ", re.sub(r"[`*_#>|$]", "", words)).strip()


def slug(text: str) -> str:
    """A heading's text as an address within the page."""
    return re.sub(r"[^\w]+", "-", plain(text).lower()).strip("-") or "section"


def headings(text: str) -> list[tuple[str, str]]:
    """The level-2 headings of a text: their address and their words."""
    return [(slug(words), plain(words)) for level, words in all_headings(text) if level == 2]


def code(source: str, language: str = "python") -> str:
    """A block of code, its tokens marked by Pygments classes."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import TextLexer, get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language or "text")
    except ClassNotFound:
        lexer = TextLexer()
    marked = highlight(source, lexer, HtmlFormatter(nowrap=True))
    return f'<pre class="code" tabindex="0"><code>{marked}</code></pre>\n'


@lru_cache(maxsize=4096)
def math(latex: str, *, block: bool) -> str:
    """A formula as MathML, or its source if it cannot be converted."""
    from xml.etree.ElementTree import tostring

    try:
        made = mathml(latex, block=block)
    except ConfigError as error:
        return f'<code class="math-error" title="{escape(str(error))}">{escape(latex)}</code>'
    # The converter's own text form lets `\text{<script>}` through, and `\href` and `\style` as they come.
    for element in made.iter():
        element.text = unescape(element.text or "")
        for attribute in element.attrib.keys() - MATH_ATTRIBUTES:
            del element.attrib[attribute]
    html = tostring(made, encoding="unicode", short_empty_elements=False)
    long = not block and sum(1 for _ in made.iter()) > LONG_FORMULA
    return f'<span class="math-long">{html}</span>' if long else html


@cache
def _parser() -> MarkdownIt:
    parser = grammar()
    for name, rule in {
        "fence": _fence,
        "code_block": _fence,
        "colon_fence": _colon_fence,
        "math_inline": _math_inline,
        "math_inline_double": _math_block,
        "math_block": _math_block,
        "math_block_label": _math_block,
        "heading_open": _heading_open,
        "image": _image,
        "link_open": _link_open,
        "table_open": _table_open,
        "table_close": _table_close,
        "th_open": _cell_open,
        "td_open": _cell_open,
    }.items():
        parser.add_render_rule(name, rule)
    return parser


Tokens = Sequence["Token"]


def _fence(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    token = tokens[index]
    directive = DIRECTIVE.match(token.info.strip())
    if directive is None:
        return code(token.content, token.info.strip().split(" ")[0])
    return _directive(directive["name"], directive["argument"], token.content)


def _colon_fence(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    token = tokens[index]
    directive = DIRECTIVE.match(token.info.strip())
    name, argument = (directive["name"], directive["argument"]) if directive else ("note", "")
    return _directive(name, argument, token.content)


def _directive(name: str, argument: str, body: str) -> str:
    if name == "dropdown" or name in ADMONITIONS:
        return box(name, argument, render(body))
    if name == "math":
        return _block(body)
    return code(body, "python" if name in ("literalinclude", "code-block") else argument or "text")


def box(kind: str, title: str, inside: str) -> str:
    """An admonition or a dropdown around HTML; the title is Markdown."""
    if kind == "dropdown":
        return f'<details class="dropdown"><summary>{_parser().renderInline(title)}</summary>\n{inside}</details>\n'
    shown = _parser().renderInline(title) if title else ADMONITIONS[kind]
    return f'<aside class="admonition {kind}"><p class="admonition-title">{shown}</p>\n{inside}</aside>\n'


def _math_inline(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    return math(tokens[index].content, block=False)


def _math_block(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    return _block(tokens[index].content)


def _block(latex: str) -> str:
    return f'<span class="math-block" tabindex="0">{math(latex, block=True)}</span>\n'


def _heading_open(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    token = tokens[index]
    return f'<{token.tag} id="{escape(slug(tokens[index + 1].content))}">'


def _image(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    # Nothing is loaded from elsewhere: a picture is a link that the reader may follow.
    token = tokens[index]
    words = escape(token.content or "picture")
    return f'<a href="{escape(str(token.attrs.get("src", "")))}" rel="noreferrer">{words}</a>'


def _link_open(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    target = str(tokens[index].attrs.get("href", ""))
    rel = ' rel="noreferrer"' if "://" in target else ""
    return f'<a href="{escape(target)}"{rel}>'


def _table_open(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    return '<div class="scroll" tabindex="0"><table>\n'


def _table_close(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    return "</table></div>\n"


def _cell_open(renderer: Any, tokens: Tokens, index: int, options: Any, env: dict[str, Any]) -> str:
    # The parser says alignment by a `style` attribute, which the policy forbids; say it by a class.
    token = tokens[index]
    aligned = re.search(r"text-align:\s*(\w+)", str(token.attrs.get("style", "")))
    return f'<{token.tag} class="{aligned[1]}">' if aligned else f"<{token.tag}>"
