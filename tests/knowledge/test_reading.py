"""Pages and damaged files: what is read of them, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundup.checking import runs_python_lines
from groundup.knowledge import open_knowledge, open_place
from groundup.knowledge.html import decoded, parse_html, to_markdown
from groundup.knowledge.reading import read_document

PAGE = """<!doctype html><html><head><title>Site</title><style>p { color: red }</style></head><body>
<nav><ul><li>Home</li></ul></nav><header><h1>The site</h1></header>
<main><h1>Leases</h1><p>A lease is held for
<b>thirty</b> seconds.<br>Renew it.</p>
<p hidden>unseen one</p><div style="display: none"><p>unseen two</p></div>
<h2>Clocks</h2><ul><li>Use a <code>monotonic</code> clock.<li>Never trust another&#39;s.</ul>
<pre># no heading
x = 1</pre><script>var p = "unseen three"</script></main><footer>(c) nobody</footer></body></html>"""


def test_a_page_is_its_content_as_markdown_and_nothing_around_it() -> None:
    assert to_markdown(PAGE) == (
        "# Leases\n\nA lease is held for thirty seconds. Renew it.\n\n## Clocks\n\n- Use a `monotonic` clock.".replace(
            "`", ""
        )
        + "\n\n- Never trust another's.\n\n```\n# no heading\nx = 1\n```\n"
    )


def test_a_page_without_marks_is_read_whole_but_for_menus_and_scripts() -> None:
    assert to_markdown("<nav>Home</nav><p>One.<p>Two<script>no</script> three.") == "One.\n\nTwo three.\n"
    assert to_markdown("<p>left open<div>inside</p></span> and on") == "left open\n\ninside\n\nand on\n"


@pytest.mark.parametrize("nested", ["<div>x", "<ul><li>x", "<h1>x", "<p>x</span></i>", "<main><pre>x"])
def test_the_work_grows_with_the_page_however_deep_it_is_nested(nested: str) -> None:
    per_tag = 120  # lines of Python; one that looks through the open elements takes thousands
    for times in (50, 800):
        page = nested * times
        assert not runs_python_lines(lambda page=page: to_markdown(page), per_tag * page.count("<"))


def test_an_end_that_began_nowhere_ends_nothing() -> None:
    assert to_markdown("<main><h2>One<b></em></i> two</h2><p>three</main>four") == "## One two\n\nthree\n"


def test_its_headings_are_sections() -> None:
    document = parse_html("a.html", PAGE)
    assert [section.metadata.get("headings") for section in document.sections] == ["Leases", "Leases > Clocks"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<p>naïve".encode(), "<p>naïve"),
        ('<meta charset="latin-1"><p>naïve'.encode("latin-1"), '<meta charset="latin-1"><p>naïve'),
        ("\ufeff<meta charset=latin-1>naïve".encode(), "<meta charset=latin-1>naïve"),
        ("<meta charset=klingon>naïve".encode(), "<meta charset=klingon>naïve"),
    ],
)
def test_its_characters_are_those_that_it_says(content: bytes, text: str) -> None:
    assert decoded(content) == text


def test_what_cannot_be_read_is_a_value_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.html").write_text("<div id=root></div><script>render()</script>")
    with pytest.raises(ValueError, match=r"app\.html has no text that can be read.*Save the page as it is shown"):
        read_document(tmp_path / "app.html", {})

    def broken(path: Path) -> None:
        raise KeyError("/Root")

    monkeypatch.setattr("pypdf.PdfReader", broken)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(ValueError, match=r"a\.pdf cannot be read \('/Root'\). Open it and save it again"):
        read_document(tmp_path / "a.pdf", {})


def test_a_page_is_learnt_found_and_opened_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "leases.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "pages" / "empty.htm").write_text("<nav>Home</nav>", encoding="utf-8")
    knowledge = open_knowledge(tmp_path / "kb")
    learned = knowledge.learn([tmp_path / "pages"])
    assert (learned.documents, list(learned.skipped)) == (1, ["pages/empty.htm"])
    (passage,) = knowledge.search("which clock should be used?")
    assert passage.headings == "Leases > Clocks"
    assert to_markdown(PAGE)[passage.start : passage.end] == passage.text
    (cited,) = [
        part
        for part in open_place(f"{passage.source}:{passage.start + 3}-{passage.end}", knowledge)
        if part.cited
    ]  # fmt: skip
    assert cited.text == passage.text
