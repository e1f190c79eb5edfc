"""Reports as files."""

from __future__ import annotations

from html.parser import HTMLParser

from groundup.systems.research import to_bibtex, to_html, to_markdown
from groundup.systems.research.demo import QUESTIONS
from groundup.systems.research.report import Citation, Line, Part, Report
from tests.systems.research.conftest import Opened
from tests.systems.research.test_runs import done

HOSTILE = Report(
    id="1", question="What is <script>alert(1)</script>?", begun="2026-11-30T08:00:00+00:00", plan=("a?",),
    parts=(Part("", (Line("See ![x](http://evil/a.png) & <img src=x>.", (1,)),)),),
    citations=(Citation(1, "a_b/100%.md", 3, 9, "Cost & {risk} > <b>", "See ![x](http://evil/a.png)\n# <img src=x>."),),
    gaps=("a?",), unsupported=("Lies.",), left_out=(), stopped="4 steps", written=True, trace=(), costs=(),
)  # fmt: skip


def test_markdown_has_each_sentence_with_its_number_and_each_number_with_its_place(opened: Opened) -> None:
    with opened() as research:
        report = done(research, QUESTIONS[0])
        silent = done(research, QUESTIONS[1])
    text = to_markdown(report)
    for citation in report.citations:
        assert f"- {citation.quote} [{citation.number}]" in text
        assert f"[{citation.number}] `{citation.where}`" in text
        assert f"> {citation.quote}" in text
    assert to_markdown(silent) == f"# {QUESTIONS[1]}\n\nThe documents do not say.\n"
    assert "The documents do not say." in to_html(silent)
    assert to_bibtex(silent) == ""


def test_what_documents_say_is_text_in_every_format() -> None:
    markdown = to_markdown(HOSTILE)
    assert "<" not in markdown.replace("\\<", "")
    assert "![" not in markdown.replace("\\![", "")
    assert "\n# " not in markdown
    page = to_html(HOSTILE)
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert all(name in ("lang", "charset", "id", "href") for name, _ in attrs)
            assert all((value or "").startswith("#") for name, value in attrs if name == "href")

    Reader().feed(page)
    assert not {"script", "img", "b", "a_b"} & set(tags)
    assert 'href="#source-1"' in page
    assert 'id="source-1"' in page


def test_bibtex_has_an_entry_for_each_document() -> None:
    assert to_bibtex(HOSTILE) == (
        "@misc{100-1,\n  title = {Cost \\& \\{risk\\}},\n  howpublished = {\\texttt{a\\_b/100\\%.md}},\n"
        "  note = {Characters 3--9; read 2026-11-30}\n}\n"
    )


def test_what_is_not_in_a_report_is_said() -> None:
    text = to_markdown(HOSTILE)
    assert "## Nothing was found on\n\n- a?" in text
    assert "- The budget of 4 steps was used up." in text
    assert "- 1 sentence of the model, because no source that was retrieved says so." in text
    assert "Lies." not in text
