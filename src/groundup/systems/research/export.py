"""A report as Markdown, as a page that stands alone, and its sources for BibTeX."""

from __future__ import annotations

import re
from html import escape

from groundup.systems.research.report import Citation, Line, Report
from groundup.systems.research.state import count_of

SILENT = "The documents do not say."
SILENT_WEB = "Neither the documents nor the pages that were read say."


def to_markdown(report: Report) -> str:
    """The report: its question, the findings with citations, the gaps, and the sources with their quotes."""
    blocks = [f"# {_plain(report.question)}"]
    if report.abstained:
        blocks.append(silence(report))
    for part in report.parts:
        if part.heading:
            blocks.append(f"## {_plain(part.heading)}")
        blocks.append("\n".join(f"- {_plain(line.text)} {marks(line)}" for line in part.lines))
    blocks += [f"## {title}\n\n" + "\n".join(f"- {_plain(text)}" for text in texts) for title, texts in remarks(report)]
    if report.citations:
        blocks.append("## Sources")
        blocks += [
            f"[{source.number}] `{source.where.replace('`', '')}`{_plain(_under(source))}"
            + (f", <{source.document}>" if source.accessed else "")
            + f"\n\n> {_plain(source.quote)}"
            for source in report.citations
        ]
    return "\n\n".join(blocks) + "\n"


def silence(report: Report) -> str:
    """The words of a report without a source."""
    return SILENT_WEB if report.web else SILENT


def marks(line: Line) -> str:
    """The citations of a sentence, as they are written: `[1][3]`."""
    return "".join(f"[{number}]" for number in line.citations)


def remarks(report: Report) -> list[tuple[str, list[str]]]:
    """Remarks for the reader beside the result: titles with texts."""
    titled: list[tuple[str, list[str]]] = []
    if report.gaps and (not report.abstained or len(report.plan) > 1):
        titled.append(("Nothing was found on", list(report.gaps)))
    if failed := dict.fromkeys(step["what"] for step in report.trace if step["node"] == "web"):
        titled.append(("Not read", list(failed)))
    if report.stopped:
        titled.append(("Stopped early", [f"The budget of {report.stopped} was used up."]))
    if report.unsupported:
        count = count_of(len(report.unsupported), "sentence")
        titled.append(("Left out", [f"{count} of the model, because no source that was retrieved says so."]))
    cited = {source.document for source in report.citations}
    if places := [f"{o['document']}:{o['start']}-{o['end']}" for o in report.left_out if o["document"] in cited]:
        kind = "documents or pages" if report.web else "documents"
        titled.append((f"Orders to a model in {kind}, shown to none", places))
    return titled


def to_html(report: Report) -> str:
    """The report as a page without scripts, in which every citation leads to its quote."""
    answer = "".join(
        (f"<h2>{escape(part.heading)}</h2>" if part.heading else "")
        + "<ul>"
        + "".join(
            f"<li>{escape(line.text)} "
            + "".join(f'<a href="#source-{number}">[{number}]</a>' for number in line.citations)
            + "</li>"
            for line in part.lines
        )
        + "</ul>"
        for part in report.parts
    )
    notes = "".join(
        f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"
        for title, texts in remarks(report)
    )
    sources = "".join(
        f'<li id="source-{source.number}">{_place(source)}{escape(_under(source))}'
        f"<blockquote>{escape(source.quote)}</blockquote></li>"
        for source in report.citations
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(report.question)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(report.question)}</h1>"
        f"{answer or f'<p>{silence(report)}</p>'}{notes}"
        f"{f'<h2>Sources</h2><ol>{sources}</ol>' if sources else ''}</main></body></html>\n"
    )


def _place(source: Citation) -> str:
    """The place of a source; a page links its address, which begins with http or https (`web.addresses`)."""
    code = f"<code>{escape(source.where)}</code>"
    return f'<a href="{escape(source.document)}" rel="nofollow noreferrer">{code}</a>' if source.accessed else code


_STYLE = (
    ":root{color-scheme:light dark}li{margin:.4rem 0}:target{outline:.1rem solid}"
    "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:44rem;padding:0 1rem}"
    "blockquote{border-left:.2rem solid;margin:.3rem 0;padding-left:.8rem}"
)


def to_bibtex(report: Report) -> str:
    """The cited documents and pages, one entry each."""
    entries: dict[str, list[Citation]] = {}
    for source in report.citations:
        entries.setdefault(source.document, []).append(source)
    return "".join(
        f"@misc{{{_key(document, number)},\n"
        f"  title = {{{_tex(_title(sources[0]))}}},\n"
        f"  {_published(sources[0])},\n"
        f"  note = {{Characters {', '.join(f'{s.start}--{s.end}' for s in sources)}; "
        f"read {sources[0].accessed or report.begun[:10]}}}\n}}\n\n"
        for number, (document, sources) in enumerate(entries.items(), 1)
    ).rstrip("\n") + ("\n" if entries else "")


def _under(source: Citation) -> str:
    """The words behind a place: its headings, and the time at which a page was read."""
    return "".join(f", {text}" for text in (source.headings, source.accessed and f"read {source.accessed}") if text)


def _published(source: Citation) -> str:
    if source.accessed:  # an address is verbatim there, and has no brace (`web.addresses`)
        return f"url = {{{source.document}}},\n  urldate = {{{source.accessed[:10]}}}"
    return f"howpublished = {{\\texttt{{{_tex(source.document)}}}}}"


def _title(source: Citation) -> str:
    return source.title or source.headings.split(" > ")[0] or source.document.rsplit("/", 1)[-1]


def _key(document: str, number: int) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "-", document.rsplit("/", 1)[-1].rsplit(".", 1)[0]).strip("-").lower()
    return f"{name or 'source'}-{number}"


def _tex(text: str) -> str:
    marks = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(marks.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)


def _code(text: str) -> str:
    return text.replace("`", "'")


def _plain(text: str) -> str:
    """A text of documents or models, escaped so that Markdown sees no HTML, picture or new block in it."""
    return re.sub(r"([<>]|!?\[(?=[^\]]*\]\())", lambda match: f"\\{match[0]}", " ".join(text.split()))
