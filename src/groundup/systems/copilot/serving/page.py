"""The copilot's page, for Streamlit: `groundup copilot serve` starts it beside the API, which it asks for everything.

What a log line says is data here too: it is shown as code or as escaped text, never as Markdown, so that no line can
draw a picture from another machine or pose as a part of the page.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from itertools import pairwise
from typing import Any

import streamlit as st

from groundup.api.client import Client, Refused
from groundup.api.page import connected, guarded, plain
from groundup.systems.copilot.reading.logs import Tally

API = "http://127.0.0.1:8600"
LEVELS = ("fatal", "error", "warn", "info", "debug", "trace", "none")
COLOURS = ("#8b1e6b", "#d6373a", "#e69f00", "#4c8dd6", "#8fa3b8", "#b5c0cc", "#9a9a9a")
SPANS = {"everything": None, "the last 15 minutes": "15m", "the last hour": "1h", "the last 6 hours": "6h",
         "the last day": "1d", "the last week": "7d"}  # fmt: skip
LOOK = 0.5  # seconds between two looks at a training
EVERY = 3.0  # seconds between two looks while the logs are followed


def clock(time: str | None) -> str:
    """A time for people."""
    return "no time" if time is None else f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S}Z"


def main() -> None:
    """Draw the page."""
    client, status = connected("groundup copilot", "🔎", api=API, start="groundup copilot serve", probe="/status")
    name, since = sidebar(client, status)
    if not status["lines"]:
        st.info("There are no logs yet. Upload a file on the left, or fill the store with `groundup copilot collect`.")
        st.stop()
    summary(status)
    parts = {
        "What is wrong": lambda: show_overview(client, name, since),
        "Templates": lambda: show_templates(client, name, since),
        "Predictions": lambda: show_predictions(client, name, since),
        "Ask": lambda: show_questions(client, since),
        "Live": lambda: show_live(client, name),
    }
    for tab, show in zip(st.tabs(list(parts), key="view", bind="query-params"), parts.values(), strict=True):
        if tab.open:  # the others ask the API for nothing
            with tab:
                guarded(show)


# ── the sidebar: which logs ─────────────────────────────────────────────────────────────────────────────────────────
def sidebar(client: Client, status: dict[str, Any]) -> tuple[str | None, str | None]:
    """What to look at, and a way to bring more."""
    with st.sidebar:
        st.header("Logs")
        names = sorted({source["pod"] if source.get("pod") else source["name"] for source in status["sources"]})
        name = st.selectbox("Pod or file", ["all", *names], key="name")
        since = SPANS[st.selectbox("Since", list(SPANS), help="Back from the newest line of these logs.")]
        st.header("Bring logs")
        files = st.file_uploader("Log files, gzipped or not", accept_multiple_files=True)
        sent = st.session_state.setdefault("sent", {})
        for file in files or []:
            if file.file_id not in sent:
                try:
                    stored = client.upload(file.name, file.getvalue())
                    sent[file.file_id] = (True, f"{stored['name']}: {stored['lines']:,} new lines")
                except Refused as refused:
                    sent[file.file_id] = (False, str(refused))
                st.rerun()
            good, message = sent[file.file_id]
            (st.success if good else st.error)(plain(message))
    return None if name == "all" else name, since


def summary(status: dict[str, Any]) -> None:
    """The store in four numbers."""
    errors = sum(source["errors"] for source in status["sources"])
    shown = {
        "lines": f"{status['lines']:,}", "errors": f"{errors:,}", "templates": f"{status['templates']:,}",
        "newest line": clock(status["newest"]),
    }  # fmt: skip
    st.markdown(" · ".join(f"**{plain(value)}** {key}" for key, value in shown.items()))


# ── what is wrong ───────────────────────────────────────────────────────────────────────────────────────────────────
def show_overview(client: Client, name: str | None, since: str | None) -> None:
    """Levels and anomalies over time, then the lines that hold the root cause."""
    bars = client.get("/timeline", name=name, since=since)
    anomalies = client.post("/anomalies", name=name, since=since)
    if bars:
        st.altair_chart(timeline(bars, anomalies), width="stretch")
    else:
        st.info("None of these lines has a time.")
    st.subheader("The root cause")
    answer = client.post("/why", name=name, since=since)
    for reason in answer["unread"]:
        st.warning(plain(reason))
    read = answer["read"]
    if answer["nothing"]:
        st.success("Nothing in these logs tells of a failure.")
    elif not answer["evidence"]:
        st.info("Nothing in what was read tells of a failure." if read["records"] else "There is no line to look at.")
    for line in answer["evidence"]:
        reasons = plain("; ".join(line["reasons"]))
        st.markdown(f"**{plain(line['source'])}:{line['number']}** · {clock(line['time'])}  \n{reasons}")
        st.code(line["text"], language=None, wrap_lines=True)
    st.caption(f"{Tally(**read)}.")
    st.subheader("Anomalies")
    if not anomalies:
        st.success("Nothing in these logs is unusual.")
    for anomaly in anomalies[:20]:
        service = f"{plain(anomaly['service'])}: " if anomaly["service"] else ""
        st.markdown(f"**{clock(anomaly['start'])}** to **{clock(anomaly['end'])}** · {service}{description(anomaly)}")
        st.code(anomaly["template"] or "all of its lines", language=None, wrap_lines=True)
    if len(anomalies) > 20:
        st.caption(f"{len(anomalies) - 20} more are not shown.")


def description(anomaly: dict[str, Any]) -> str:
    """An anomaly in words."""
    if anomaly["kind"] == "new":
        others = f"; {plain(', '.join(anomaly['together']))} as well" if anomaly["together"] else ""
        return f"new, {anomaly['count']:,} times{others}"
    if anomaly["kind"] == "burst":
        return f"a burst, {anomaly['count']:,} where {anomaly['expected']:,.1f} are usual"
    return f"silent, where {anomaly['expected']:,.1f} lines are usual"


def timeline(bars: list[dict[str, Any]], anomalies: list[dict[str, Any]]) -> Any:
    """The chart of levels over time, with a mark above for each anomaly."""
    import altair as alt
    import pandas as pd

    at = pd.to_datetime(pd.Series([bar["begin"] for bar in bars]), format="ISO8601")
    table = pd.DataFrame({"time": at, "level": [bar["level"] for bar in bars], "records": [b["count"] for b in bars]})
    ends = [(later - earlier).total_seconds() for earlier, later in pairwise(sorted(set(at)))]
    table["until"] = at + pd.Timedelta(seconds=min(ends, default=1.0))
    table["order"] = [LEVELS.index(level) for level in table["level"]]
    present = [level for level in LEVELS if level in set(table["level"])]
    colours = [COLOURS[LEVELS.index(level)] for level in present]
    days = (at.max() - at.min()).days
    form = "%m-%d %H:%M" if days else "%H:%M"
    axis = alt.X("time:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(format=form, labelOverlap=True))
    levels = (
        alt.Chart(table)
        .mark_bar(binSpacing=0.5)
        .encode(
            x=axis,
            x2="until:T",
            y=alt.Y("sum(records):Q", title="records"),
            color=alt.Color(
                "level:N", sort=present, scale=alt.Scale(domain=present, range=colours),
                legend=alt.Legend(orient="bottom", title=None),
            ),
            order=alt.Order("order:Q", sort="descending"),
            tooltip=[alt.Tooltip("time:T", format="%Y-%m-%d %H:%M:%S"), "level:N", "records:Q"],
        )
        .properties(height=260)
    )  # fmt: skip
    if not anomalies:
        return levels
    marks = pd.DataFrame(
        {
            "time": pd.to_datetime(pd.Series([anomaly["start"] for anomaly in anomalies]), format="ISO8601"),
            "anomaly": [anomaly["kind"] for anomaly in anomalies],
            "what": [(anomaly["template"] or anomaly["service"] or "all lines")[:80] for anomaly in anomalies],
        }
    )
    points = (
        alt.Chart(marks)
        .mark_point(filled=True, size=90, opacity=0.9)
        .encode(
            x=axis,
            y=alt.value(6),
            shape=alt.Shape(
                "anomaly:N",
                scale=alt.Scale(domain=["new", "burst", "silence"], range=["triangle-up", "diamond", "cross"]),
                legend=alt.Legend(orient="top", title=None),
            ),
            color=alt.value("#b3471d"),
            tooltip=["anomaly:N", "what:N", alt.Tooltip("time:T", format="%Y-%m-%d %H:%M:%S")],
        )
    )  # fmt: skip
    return alt.layer(levels, points).resolve_scale(color="independent", shape="independent")


# ── templates and feedback ──────────────────────────────────────────────────────────────────────────────────────────
def show_templates(client: Client, name: str | None, since: str | None) -> None:
    """The templates with their counts, and a way to say what they are."""
    import pandas as pd

    templates = client.get("/templates", name=name, since=since, most=500)
    rows = [
        {"count": template["count"], "errors": template["errors"], "template": template["text"],
         "first": clock(template["first"]), "last": clock(template["last"])}
        for template in templates
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    st.dataframe(
        table, hide_index=True, width="stretch", height=min(420, 38 + 35 * len(table)),
        column_config={"template": st.column_config.TextColumn(width="large")},
    )  # fmt: skip
    st.subheader("Say what a template is")
    st.caption("What you say is stored as labels of its lines. They are what the classifier is trained on.")
    with st.form("label_template", clear_on_submit=True):
        chosen = st.selectbox(
            "Template",
            range(len(templates)),
            format_func=lambda i: f"{templates[i]['count']:,} × {templates[i]['text'][:120]}",
        )
        label = st.radio("It is", ["normal", "alert"], horizontal=True)
        other = st.text_input("or, in a word of your own", max_chars=100)
        if st.form_submit_button("Save as training data") and chosen is not None:
            template = templates[chosen]
            word = other.strip() or label
            done = client.post(
                "/feedback", source=template["source"], position=template["position"], label=word, alike=True
            )  # fmt: skip
            st.success(f"{done['records']:,} records are labelled {plain(word)}.")
    labels = client.get("/feedback")
    if labels:
        st.markdown("Labelled so far: " + ", ".join(f"{count:,} {plain(label)}" for label, count in labels.items()))


# ── predictions ─────────────────────────────────────────────────────────────────────────────────────────────────────
def show_predictions(client: Client, name: str | None, since: str | None) -> None:
    """What the classifier takes records for, and why; each can be confirmed or corrected."""
    if st.button("Train on what was labelled", help="Compares three models on templates that they never saw."):
        report = trained(client)
        if report is None:
            return
        expected = report["expected"]
        st.success(
            f"{plain(report['chosen'])}, trained on {report['examples']:,} records of {report['templates']} templates. "
            f"On templates that nobody has seen, expect precision {expected['precision']:.2f}, "
            f"recall {expected['recall']:.2f}, F1 {expected['f1']:.2f}."
        )
        if not report["worth_it"]:
            st.warning("A rule without any model does as well. Label more templates before you rely on it.")
    answer = client.post("/classify", name=name, since=since, most=20)
    counts = ", ".join(f"{count:,} {plain(label)}" for label, count in answer["labels"].items())
    st.markdown(f"{answer['records']:,} records: {counts}")
    st.caption(f"Trained on {plain(answer['source'])}; hash of the data {answer['data_sha256'][:12]}…")
    for i, prediction in enumerate(answer["predictions"]):
        alike = f" · {prediction['count']:,} alike" if prediction["count"] > 1 else ""
        st.markdown(
            f"**{plain(prediction['label'])}** {prediction['probability']:.0%} · "
            f"{plain(prediction['source'])}:{prediction['number']} · "
            f"{clock(prediction['time'])}{alike}  \n{plain('; '.join(prediction['reasons']))}"
        )
        st.code(prediction["text"], language=None, wrap_lines=True)
        yes, no, _ = st.columns([1, 1, 3])
        for column, words, label in ((yes, "Right", prediction["label"]), (no, "No, it is normal", "normal")):
            if column.button(words, key=f"{words}{i}", width="stretch"):
                done = client.post(
                    "/feedback", source=prediction["source"], position=prediction["number"], label=label, alike=True
                )  # fmt: skip
                st.success(f"{done['records']:,} records are labelled {plain(label)}. Train again to use it.")


def trained(client: Client) -> dict[str, Any] | None:
    """Train, and show how far that is; None where it was stopped."""
    job, bar = client.post("/train"), st.progress(0.0, "Training")
    while job["state"] in ("running", "stopping"):
        time.sleep(LOOK)
        job = client.get(f"/train/{job['job']}")
        bar.progress(job["step"] / max(1, job["steps"]), plain(job["doing"]))
    bar.empty()
    if job["error"] is not None:
        raise Refused(job["error"]["status"], job["error"]["error"])
    if job["result"] is None:
        st.info("The training was stopped.")
    return job["result"]


# ── questions ───────────────────────────────────────────────────────────────────────────────────────────────────────
def show_questions(client: Client, since: str | None) -> None:
    """Questions and answers, each sentence with its citations."""
    with st.form("ask"):
        question = st.text_input("Question", placeholder="Why is checkout failing?", max_chars=2000)
        asked = st.form_submit_button("Ask")
    history = st.session_state.setdefault("answers", [])
    if asked and question.strip():
        place, sentences = st.empty(), []
        place.caption("Looking for sources …")
        for line in client.stream("/ask", question=question, since=since):
            event = json.loads(line)
            if event["event"] == "error":
                raise Refused(event["status"], event["error"])
            if event["event"] == "sentence":
                sentences.append(event)
                place.markdown("\n\n".join(map(sentence, sentences)))
            if event["event"] == "answer":
                history.insert(0, event)
        place.empty()
    for i, answer in enumerate(history):
        show_answer(client, answer, i, len(history))


def sentence(entry: dict[str, Any]) -> str:
    """A sentence with the numbers of its citations, or the remark that no source says so."""
    marks = "".join(f" **\\[{number}\\]**" for number in entry["citations"])
    return plain(entry["text"]) + (marks if entry["supported"] else " *(unsupported: no source says so)*")


def show_answer(client: Client, answer: dict[str, Any], i: int, many: int) -> None:
    """An answer; its citations open what they cite."""
    with st.container(border=True):
        st.markdown(f"**{plain(answer['question'])}**")
        for entry in answer["sentences"]:
            st.markdown(sentence(entry))
        if answer["abstained"]:
            st.info("The logs and runbooks do not say.")
        for citation in answer["citations"]:
            label = f"\\[{citation['number']}\\] {plain(citation['where'])}"
            if st.toggle(label, key=f"open{many - i}-{citation['number']}"):
                for part in client.post("/open", where=citation["where"]):
                    st.caption(plain(part["where"]) + (" — **cited**" if part["cited"] else ""))
                    st.code(part["text"], language=None, wrap_lines=True)


# ── live ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def show_live(client: Client, name: str | None) -> None:
    """The newest lines, again and again while they are followed."""
    follow = st.toggle("Follow", help="Shows what `groundup copilot collect --follow` or `ingest --follow` brings.")

    @st.fragment(run_every=EVERY if follow else None)
    def newest() -> None:
        try:
            lines = client.get("/lines", name=name, most=100)
        except Refused as refused:
            st.warning(plain(str(refused)))
            return
        st.code("\n".join(line["text"] for line in lines), language=None, height=480)
        if lines:
            st.caption(f"The newest of {len(lines)} lines is of {clock(lines[-1]['time'])}.")

    newest()


if __name__ == "__main__":
    main()
