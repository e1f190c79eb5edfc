"""The mathematics that lessons lean on: its page, its numbers, and the links to it."""

from __future__ import annotations

import doctest
import re

from groundup.course.material.catalogue import Catalogue
from groundup.site.lessons import render_lesson
from groundup.site.markdown import headings
from groundup.site.mathematics import SOURCE, TERMS, link

TEXT = SOURCE.read_text(encoding="utf-8")


def test_every_number_of_the_page_comes_out_as_printed():
    snippets = "\n".join(re.findall(r"```pycon\n(.*?)```", TEXT, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(snippets, {}, "mathematics", str(SOURCE), 0)
    assert len(test.examples) > 15
    told: list[str] = []
    doctest.DocTestRunner().run(test, out=told.append)
    assert told == []


def test_every_entry_of_the_page_is_linked_by_some_word():
    assert [address for address, _ in headings(TEXT)] == list(TERMS)


def test_the_first_use_of_a_word_is_linked_and_the_second_is_not():
    linked: set[str] = set()
    html = link("<p>The gradient, and the partial derivatives.</p><p>A gradient, a derivative.</p>", linked)
    assert html.count('href="/mathematics#gradient"') == 1
    assert ">partial derivatives</a>" in html
    assert 'href="/mathematics#derivative"' in html
    assert linked == {"gradient", "partial-derivative", "derivative"}
    assert link("<p>gradient</p>", linked) == "<p>gradient</p>"


def test_no_link_is_put_into_a_link_a_heading_code_or_a_formula():
    for html in (
        '<a href="x">gradient</a>', "<h2>gradient</h2>", "<p><code>gradient</code></p>",
        "<pre><code>gradient</code></pre>",
        "<math><mtext>gradient</mtext></math>", '<p title="gradient">descent</p>', "<summary>gradient</summary>",
        "<p>the gradients_of it</p>",
    ):  # fmt: skip
        assert link(html, set()) == html


def test_lessons_link_each_word_once():
    catalogue = Catalogue()
    for name in ("bedrock/autograd", "deep/mlp"):
        html = render_lesson(catalogue.unit(name)).html
        linked = re.findall(r'href="/mathematics#([\w-]+)"', html)
        assert linked
        assert "gradient" in linked
        assert len(linked) == len(set(linked))


def test_the_page_is_there(client):
    page = client.get("/mathematics")
    assert page.status_code == 200
    assert "The mathematics you forgot" in page.text
    assert '<a href="/mathematics">' in client.get("/").text
