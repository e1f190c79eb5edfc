"""The research assistant's page, for Streamlit: `groundup research serve` starts it beside the API, which it asks.

Text of documents, of pages of the web and of models is data here, too. The page shows it as escaped text or as code:
nothing in it can draw a picture from another machine or pose as a part of the page.
"""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from groundup.api.client import Client, Refused
from groundup.api.page import connected, guarded, plain

API = "http://127.0.0.1:8610"
PATIENCE = 660.0  # seconds for a step: a large model on a small machine reads for long
STEPS = {
    "classify": "What kind of question is it?",
    "plan": "Plan",
    "retrieve": "Look for sources",
    "read": "Read",
    "cover": "Is it answered?",
    "write": "Write",
    "verify": "Look up every sentence",
    "web": "Not read",
}
EXPORTS = {"Markdown": ("markdown", "md"), "HTML": ("html", "html"), "BibTeX": ("bibtex", "bib")}


def main() -> None:
    """Draw the page."""
    client, reports = connected(
        "groundup research", "📚", api=API, start="groundup research serve", probe="/reports", patience=PATIENCE
    )
    chosen = sidebar(client, reports)
    parts = {
        "Report": lambda: show_report(client, chosen),
        "Sources": lambda: show_sources(client),
        "Costs": lambda: show_costs(client),
    }
    ask(client)
    for tab, show in zip(st.tabs(list(parts), key="view", bind="query-params"), parts.values(), strict=True):
        if tab.open:  # closed tabs ask the API for nothing
            with tab:
                guarded(show)


# ── the sidebar: history ────────────────────────────────────────────────────────────────────────────────────────────
def sidebar(client: Client, reports: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The list of reports; returns the chosen report."""
    with st.sidebar:
        st.header("Reports")
        if not reports:
            st.caption("There is none yet.")
            return None
        ids = [report["id"] for report in reports]
        fresh = st.session_state.pop("fresh", None)
        if fresh in ids:
            st.session_state["chosen"] = fresh
        by_id = {report["id"]: report for report in reports}
        chosen = st.radio(
            "Report", ids, key="chosen", label_visibility="collapsed",
            # With the id: of two equal labels, Streamlit would choose the wrong one.
            format_func=lambda id: f"{plain(by_id[id]['question'][:80])} · {id}",
            captions=[
                f"{report['begun'][:16].replace('T', ' ')}Z{' · not done' if report['next'] else ''}"
                for report in reports
            ],
        )  # fmt: skip
        return by_id.get(chosen)


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def ask(client: Client) -> None:
    """The form of a question, and its steps as they finish."""
    with st.form("ask"):
        question = st.text_area("Question", placeholder="How do a token bucket and a leaky bucket differ?", height=80)
        left, right = st.columns([1, 3])
        submitted = left.form_submit_button("Find out", width="stretch")
        edit = right.checkbox("Show me the plan first", help="You can change it before anything is read.")
    if submitted and question.strip():
        follow(client, "/research", question=question, stop_at_plan=edit)


def follow(client: Client, path: str, **body: Any) -> None:
    """Run, show each step as it is done, then the report."""
    with st.status("Working", expanded=True) as status:
        try:
            for line in client.stream(path, **body):
                event = json.loads(line)
                if event["event"] == "error":
                    raise Refused(event["status"], event["error"])
                if event["event"] == "step":
                    st.markdown(step(event))
                if "id" in event:
                    st.session_state["fresh"] = event["id"]
        except Refused as refused:
            status.update(label="Stopped", state="error")
            st.error(plain(str(refused)))
            return
        status.update(label="Done", state="complete", expanded=False)
    st.rerun()


def step(done: dict[str, Any]) -> str:
    """A step in a line."""
    return f"**{STEPS.get(done['node'], plain(done['node']))}** · {plain(done['what'])} · {done['seconds']:.1f} s"


# ── a report ────────────────────────────────────────────────────────────────────────────────────────────────────────
def show_report(client: Client, run: dict[str, Any] | None) -> None:
    """A report with its sources beside it; an unfinished report can be continued."""
    if run is None:
        st.info(
            "Ask a question above. Documents come into the knowledge base with `groundup research learn FOLDER`; "
            "the tab Sources lists them."
        )
        return
    if run["next"]:
        unfinished(client, run)
        return
    report = client.get(f"/reports/{run['id']}")
    text, sources = st.columns([3, 2], gap="large")
    with text:
        st.subheader(plain(report["question"]))
        if report["abstained"]:
            st.info("No source says.")
        for part in report["parts"]:
            if part["heading"]:
                st.markdown(f"#### {plain(part['heading'])}")
            st.markdown("\n".join(f"- {sentence(line)}" for line in part["lines"]))
        remarks(report)
        for column, (name, (format, ending)) in zip(st.columns(len(EXPORTS)), EXPORTS.items(), strict=True):
            column.download_button(
                name, client.text(f"/reports/{report['id']}/export", format=format), f"report-{report['id']}.{ending}",
                width="stretch",
            )  # fmt: skip
        with st.expander(f"How it was made: {len(report['trace'])} steps"):
            st.markdown("\n".join(f"- {step(done)}" for done in report["trace"]))
    with sources:
        st.subheader("Sources")
        if not report["citations"]:
            st.caption("None is cited.")
        for citation in report["citations"]:
            show_citation(client, report["id"], citation)


def sentence(line: dict[str, Any]) -> str:
    """A sentence with the numbers of its citations."""
    return plain(line["text"]) + "".join(f" **\\[{number}\\]**" for number in line["citations"])


def remarks(report: dict[str, Any]) -> None:
    """Remarks for the reader beside the result."""
    for gap in report["gaps"] if len(report["plan"]) > 1 or not report["abstained"] else []:
        st.warning(f"Nothing was found on: {plain(gap)}")
    for what in dict.fromkeys(done["what"] for done in report["trace"] if done["node"] == "web"):
        st.warning(f"Not read: {plain(what)}")
    if report["stopped"]:
        st.warning(f"Stopped early: the budget of {plain(report['stopped'])} was used up.")
    if report["unsupported"]:
        count = len(report["unsupported"])
        st.warning(f"Left out: {count} sentence{'s' * (count > 1)} of the model that no source says.")


def show_citation(client: Client, report: str, citation: dict[str, Any]) -> None:
    """A source; opened, the cited place with its surroundings."""
    label = f"\\[{citation['number']}\\] {plain(citation['title'] or citation['headings'] or citation['document'])}"
    with st.container(border=True):
        st.markdown(f"**{label}**")
        accessed = f" · read {plain(citation['accessed'])}" if citation["accessed"] else ""
        st.caption(plain(citation["where"]) + accessed)
        if not st.toggle("Open", key=f"open-{report}-{citation['number']}"):
            st.code(citation["quote"], language=None, wrap_lines=True)
            return
        for part in client.post("/open", where=citation["where"], report=report if citation["accessed"] else ""):
            st.caption(plain(part["where"]))
            st.markdown(highlighted(part["text"], citation["quote"]) if part["cited"] else plain(part["text"]))


def highlighted(text: str, quote: str) -> str:
    """The text, with a word-for-word quote in it highlighted."""
    before, found, after = " ".join(text.split()).partition(" ".join(quote.split()))
    return f"{plain(before)} :orange-background[{plain(found)}] {plain(after)}" if found else plain(text)


def unfinished(client: Client, run: dict[str, Any]) -> None:
    """A stopped report: its plan, which can be changed before any search, and the button that continues."""
    st.subheader(plain(run["question"]))
    plan = client.get(f"/reports/{run['id']}/plan")["plan"]
    editable = run["next"] == "retrieve" and bool(plan)
    st.info("Nothing is looked for yet." if editable else f"Stopped before: {STEPS.get(run['next'], run['next'])}")
    with st.form(f"plan-{run['id']}"):
        text = st.text_area("Plan, a sub-question on each line", "\n".join(plan), disabled=not editable)
        if st.form_submit_button("Go on"):
            lines = [line for line in text.splitlines() if line.strip()]
            if editable and lines != plan:
                client.put(f"/reports/{run['id']}/plan", plan=lines)
            follow(client, f"/reports/{run['id']}/resume")


# ── sources and costs ───────────────────────────────────────────────────────────────────────────────────────────────
def show_sources(client: Client) -> None:
    """The documents of the knowledge base."""
    documents = client.get("/sources")
    if not documents:
        st.info("No document is learnt. `groundup research learn FOLDER` reads Markdown, text, HTML and PDF.")
        return
    st.markdown(f"**{len(documents):,}** documents · **{sum(d['chunks'] for d in documents):,}** chunks")
    st.dataframe(documents, hide_index=True, width="stretch")


def show_costs(client: Client) -> None:
    """The cost of model calls."""
    costs = client.get("/costs")
    rows = costs["rows"]
    if not rows:
        st.info("No model was called yet.")
        return
    money = [row["money"] for row in rows if row["money"] is not None]
    total = {
        "calls": sum(row["calls"] for row in rows),
        "tokens read": sum(row["tokens_in"] for row in rows),
        "tokens written": sum(row["tokens_out"] for row in rows),
    }
    line = " · ".join(f"**{value:,}** {name}" for name, value in total.items())
    st.markdown(f"{line} · **{sum(money):,.4f}** {plain(costs['currency'])}" if money else line)
    st.dataframe(
        [{key: value for key, value in row.items() if key != "money" or money} for row in rows],
        hide_index=True, width="stretch",
    )  # fmt: skip
    if not all(row["counted"] for row in rows):
        st.caption("Where a model does not count tokens, they are estimated, four characters each.")


if __name__ == "__main__":
    main()
