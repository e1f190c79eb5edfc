"""The sentinel's dashboard, for Streamlit: `groundup sentinel serve` starts it beside the API, which it asks.

URLs, lines of logs and models' words are data here, too. The page shows them as escaped text or as code: nothing in
them becomes a link, draws a picture from another machine, or poses as a part of the page.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import streamlit as st

from groundup.api import page
from groundup.api.client import Client, Refused
from groundup.api.page import connected, guarded

API = "http://127.0.0.1:8630"
MARKS = {"high": ":red[●]", "medium": ":orange[●]", "low": ":green[●]", "unknown": ":gray[●]"}
NAMES = {"vision": "Screenshot", "url": "URL", "logs": "Log"}
DONE = {"block": "blocked", "allow": "allowed", "quarantine": "quarantined"}


def plain(text: str) -> str:
    """Text from outside for a place that reads Markdown, with its addresses defanged, as the field writes them.

    Streamlit makes a link of every text that looks like an address or a mailbox, even of an escaped one.
    """
    text = re.sub(r"\bhttp(?=s?:)", "hxxp", text, flags=re.IGNORECASE)
    return page.plain(re.sub(r"\bwww\.", "www[.]", text, flags=re.IGNORECASE).replace("@", "[@]"))


def main() -> None:
    """Draw the page."""
    client, cases = connected("groundup sentinel", "🛡️", api=API, start="groundup sentinel serve", probe="/cases")
    chosen = sidebar(cases)
    parts = {
        "Case": lambda: show_case(client, chosen),
        "Scan": lambda: show_scan(client),
        "Overview": lambda: show_overview(client, cases),
        "Ask": lambda: show_ask(client),
    }
    for tab, show in zip(st.tabs(list(parts), key="view", bind="query-params"), parts.values(), strict=True):
        if tab.open:  # closed tabs ask the API for nothing
            with tab:
                guarded(show)


# ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def title(case: dict[str, Any]) -> str:
    """A case in a line."""
    return plain(" with ".join(case["finding"]["subjects"].values())[:70])


def sidebar(cases: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The list of cases; returns the chosen case."""
    with st.sidebar:
        st.header("Cases")
        if not cases:
            st.caption("There is none yet.")
            return None
        level = st.segmented_control("Risk", ["high", "medium", "low", "unknown"], key="level")
        kept = [case for case in cases if level in (None, case["finding"]["level"])]
        if not kept:
            st.caption("None of this risk.")
            return None
        by_id = {case["id"]: case for case in kept}
        fresh = st.session_state.pop("fresh", None)
        if fresh in by_id:
            st.session_state["chosen"] = fresh
        chosen = st.radio(
            "Case", list(by_id), key="chosen", label_visibility="collapsed",
            format_func=lambda id: f"{MARKS[by_id[id]['finding']['level']]} {title(by_id[id])} · {id}",
            captions=[f"{c['at'][:16].replace('T', ' ')}Z{standing(c)}" for c in kept],
        )  # fmt: skip
        return by_id.get(chosen)


def standing(case: dict[str, Any]) -> str:
    """The decision, for a caption."""
    return f" · {DONE[case['standing']['action']]}" if case["standing"] else ""


def show_case(client: Client, case: dict[str, Any] | None) -> None:
    """The risk, the proposal, the rules, the evidence, and the known facts."""
    if case is None:
        st.info("Scan something in the tab Scan, or with `groundup sentinel scan URL-or-FILE`.")
        return
    finding = case["finding"]
    for kind, text in finding["subjects"].items():
        st.caption(kind)
        st.code(text, language=None, wrap_lines=True)
    columns = st.columns(4)
    risk = "" if finding["risk"] is None else f"{finding['risk']:.2f}"
    columns[0].metric(f"{MARKS[finding['level']]} Risk", f"{finding['level']} {risk}".strip())
    for column, (name, label) in zip(columns[1:], NAMES.items(), strict=True):
        score = finding["scores"][name]
        column.metric(label, "unknown" if score is None else f"{score:.2f}")
    decide(client, case)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Why")
        for fired in finding["fired"]:
            st.progress(fired["strength"], text=f"{plain(fired['rule'])} · {fired['strength']:.2f}")
        for name, lines in finding["evidence"].items():
            if lines:
                st.markdown(f"**{NAMES[name]}**\n" + "".join(f"\n- {plain(line)}" for line in lines))
    with right:
        st.subheader("Known facts")
        for fact in finding["intelligence"]:
            show_fact(client, fact, case["id"])


def show_fact(client: Client, fact: dict[str, str], key: str) -> None:
    """A sentence with its source."""
    with st.container(border=True):
        st.markdown(plain(fact["text"]))
        if fact["where"].startswith("https://"):
            st.code(fact["where"], language=None, wrap_lines=True)
        elif fact["where"]:
            st.caption(plain(fact["where"]))
            if st.toggle("Open", key=f"open-{key}-{fact['where']}-{hash(fact['text'])}"):
                for part in client.post("/open", where=fact["where"]):
                    st.caption(plain(part["where"]))
                    st.markdown(plain(part["text"]))


def decide(client: Client, case: dict[str, Any]) -> None:
    """The proposal with the form for a person's decision; or the decision with its undo."""
    proposed, held = case["finding"]["proposed"], case["standing"]
    with st.form(f"decide-{case['id']}"):
        if held:
            st.markdown(f"**Decided:** {DONE[held['action']]} by {plain(held['by'])}, {held['at'][:16]}Z")
            st.code("\n".join(held["entries"]), language=None, wrap_lines=True)
        else:
            st.markdown(f"**Proposed:** {proposed or 'nothing'}. Nothing is done before you confirm it.")
        actions = ["block", "allow", "quarantine"]
        action = None
        if not held:
            action = st.radio("Action", actions, index=actions.index(proposed) if proposed else 1, horizontal=True)
        by = st.text_input("Your name", key="by")
        sure = True if held else st.checkbox("I have looked at the case, and confirm this.")
        if not st.form_submit_button("Undo the decision" if held else "Carry out"):
            return
    try:
        if held:
            client.post("/undo", case=case["id"], by=by)
        else:
            client.post("/decide", case=case["id"], action=action, by=by, confirm=sure)
    except Refused as refused:
        st.error(plain(str(refused)))
        return
    st.rerun()


# ── the other parts ─────────────────────────────────────────────────────────────────────────────────────────────────
def show_scan(client: Client) -> None:
    """The form of a scan."""
    with st.form("scan"):
        url = st.text_input("URL", placeholder="https://example.com/login", help="It is never fetched.")
        picture = st.file_uploader("Screenshot of the page", ["png", "jpg", "jpeg", "webp"])
        log = st.file_uploader("Log")
        scanned = st.form_submit_button("Scan")
    if scanned:
        body: dict[str, Any] = {"url": url}
        if picture is not None:
            body |= {"screenshot": base64.b64encode(picture.getvalue()).decode(), "screenshot_name": picture.name[:200]}
        if log is not None:
            body |= {"log": log.getvalue().decode("utf-8", "replace"), "log_name": log.name[:200]}
        st.session_state["fresh"] = client.post("/scan", **body)["id"]
        st.rerun()


def show_overview(client: Client, cases: list[dict[str, Any]]) -> None:
    """Cases by risk, risk by rule, and the block list."""
    levels = {level: sum(case["finding"]["level"] == level for case in cases) for level in MARKS}
    for column, (level, count) in zip(st.columns(len(levels)), levels.items(), strict=True):
        column.metric(f"{MARKS[level]} {level}", count)
    rules: dict[str, list[float]] = {}
    for case in cases:
        for fired in case["finding"]["fired"]:
            rules.setdefault(fired["rule"], []).append(fired["strength"])
    st.subheader("Risk by rule")
    if not rules:
        st.caption("No rule has fired yet.")
    for rule, strengths in sorted(rules.items(), key=lambda item: -len(item[1])):
        text = f"{plain(rule)} · {len(strengths)} cases, {max(strengths):.2f} at most"
        st.progress(max(strengths), text=text)
    st.subheader("Block list")
    entries = client.get("/blocklist")
    st.code("\n".join(entries) or "It is empty.", language=None, wrap_lines=True)


def show_ask(client: Client) -> None:
    """A question on techniques and vulnerabilities."""
    with st.form("ask"):
        question = st.text_input("Question", placeholder="Is CVE-2021-44228 exploited?")
        asked = st.form_submit_button("Ask")
    if asked and question.strip():
        st.session_state["answer"] = client.post("/ask", question=question)
    answer = st.session_state.get("answer")
    if answer is None:
        return
    if answer["refused"]:
        st.warning(plain(answer["refused"]))
        return
    for number, fact in enumerate(answer["facts"]):
        show_fact(client, fact, f"answer-{number}")
    if answer["dropped"]:
        st.warning(f"Left out: {len(answer['dropped'])} sentences of the model that stand nowhere.")
    for source in answer["left_out"]:
        st.warning(f"Not read, because it gives orders to a model: {plain(source)}")


if __name__ == "__main__":
    main()
