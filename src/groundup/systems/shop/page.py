"""The shop's page, for Streamlit: `groundup shop serve` starts it beside the API, which it asks.

The page shows a proposal with its details and two buttons; the button's yes is a yes to these details. Text of
customers, documents and models is data: the page shows it escaped.
"""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from groundup.api.client import Client, Refused
from groundup.api.page import connected, guarded, plain

API = "http://127.0.0.1:8620"
PATIENCE = 180.0  # seconds for a message


def main() -> None:
    """Draw the page."""
    client, conversations = connected(
        "groundup shop", "🛍️", api=API, start="groundup shop serve", probe="/conversations", patience=PATIENCE
    )
    chosen = sidebar(client, conversations)
    parts = {
        "Chat": lambda: show_chat(client, chosen),
        "Orders": lambda: show_orders(client, chosen),
        "Record": lambda: show_record(client),
    }
    for tab, show in zip(st.tabs(list(parts), key="view", bind="query-params"), parts.values(), strict=True):
        if tab.open:  # closed tabs ask the API for nothing
            with tab:
                guarded(show)


# ── the sidebar ─────────────────────────────────────────────────────────────────────────────────────────────────────
def sidebar(client: Client, conversations: list[dict[str, Any]]) -> str | None:
    """The conversation to show."""
    with st.sidebar:
        st.header("Conversations")
        if st.button("Begin a new one", width="stretch"):
            st.session_state["fresh"] = client.post("/conversations")["id"]
            st.rerun()
        by_id = {conversation["id"]: conversation for conversation in conversations}
        if not by_id:
            st.caption("There is none yet.")
            return None
        if (fresh := st.session_state.pop("fresh", None)) in by_id:
            st.session_state["chosen"] = fresh
        return st.radio(
            "Conversation", list(by_id), key="chosen", label_visibility="collapsed",
            format_func=lambda id: f"{plain(by_id[id]['first'][:60]) or 'Nothing said yet'} · {id[:4]}",
            captions=[
                f"{row['begun'][:16].replace('T', ' ')}Z{' · a person goes on' if row['handed_over'] else ''}"
                for row in conversations
            ],
        )  # fmt: skip


# ── the chat ────────────────────────────────────────────────────────────────────────────────────────────────────────
def show_chat(client: Client, chosen: str | None) -> None:
    """The messages, the open proposal, and the form for the next message."""
    if chosen is None:
        st.info("Say something to begin: that you want to cancel an order, or a question about a product.")
    conversation = client.get(f"/conversations/{chosen}") if chosen else {"messages": [], "waiting": None, "user": ""}
    if conversation["user"]:
        st.caption(f"Customer: {plain(conversation['user'])}")
    for number, message in enumerate(conversation["messages"]):
        with st.chat_message("user" if message["role"] == "customer" else "assistant"):
            for line in message["text"].split("\n"):
                st.markdown(plain(line))
            show_more(client, f"{chosen}-{number}", message.get("reply") or {})
    if conversation["waiting"]:
        show_proposal(client, conversation["waiting"])
    with st.form("say", clear_on_submit=True):
        text = st.text_area("Message", placeholder="I want to cancel my order", height=80, max_chars=2000)
        if st.form_submit_button("Send") and text.strip():
            send(client, chosen, text)


def show_more(client: Client, key: str, reply: dict[str, Any]) -> None:
    """The sources of a reply, and the number of sentences left out."""
    for citation in (reply.get("answer") or {}).get("citations", ()):
        with st.expander(f"\\[{citation['number']}\\] {plain(citation['where'])}"):
            if not st.toggle("Open", key=f"open-{key}-{citation['number']}"):
                st.code(citation["quote"], language=None, wrap_lines=True)
                continue
            for part in client.post("/open", where=citation["where"]):
                st.caption(plain(part["where"]))
                st.markdown(f"**{plain(part['text'])}**" if part["cited"] else plain(part["text"]))
    if reply.get("left_out"):
        count = len(reply["left_out"])
        st.caption(f"Left out: {count} sentence{'s' * (count > 1)} of the model that nothing confirms.")


def show_proposal(client: Client, proposal: dict[str, Any]) -> None:
    """A proposal: its details and the two answers."""
    with st.container(border=True):
        st.markdown("**Waits for your yes**")
        for line in proposal["details"]:
            st.markdown(plain(line))
        yes, no = st.columns(2)
        path = f"/conversations/{proposal['conversation']}"
        if yes.button("Yes, do this", type="primary", width="stretch"):
            answer(lambda: client.post(f"{path}/confirm", proposal=proposal["id"], digest=proposal["digest"]))
        if no.button("No", width="stretch"):
            answer(lambda: client.post(f"{path}/decline"))


def answer(post: Any) -> None:
    """Send an answer to a proposal, and draw the page anew."""
    try:
        post()
    except Refused as refused:
        st.error(plain(str(refused)))
        return
    st.rerun()


def send(client: Client, chosen: str | None, text: str) -> None:
    """Send a message, and show the tools as they are called."""
    with st.status("Working", expanded=False) as status:
        try:
            if chosen is None:
                chosen = str(client.post("/conversations")["id"])
            for line in client.stream(f"/conversations/{chosen}/messages", message=text):
                event = json.loads(line)
                if event["event"] == "error":
                    raise Refused(event["status"], event["error"])
                if event["event"] == "called":
                    st.markdown(plain(event["name"]))
        except Refused as refused:
            status.update(label="Stopped", state="error")
            st.error(plain(str(refused)))
            return
    st.session_state["fresh"] = chosen
    st.rerun()


# ── orders and record ───────────────────────────────────────────────────────────────────────────────────────────────
def show_orders(client: Client, chosen: str | None) -> None:
    """The orders of the customer, once they are identified."""
    if chosen is None or not client.get(f"/conversations/{chosen}")["user"]:
        st.info("Nobody is identified in this conversation yet.")
        return
    for order in client.get(f"/conversations/{chosen}/orders"):
        with st.expander(f"{plain(order['id'])} · {plain(order['status'])} · {_dollars(order)}"):
            st.dataframe(
                [
                    {"item": item["id"], "product": item["name"], "price": f"{item['price'] / 100:,.2f}",
                     "options": ", ".join(f"{name} {value}" for name, value in item["options"].items())}
                    for item in order["items"]
                ],
                hide_index=True, width="stretch",
            )  # fmt: skip
            for payment in order["payments"]:
                st.caption(plain(f"{payment['kind']}: ${payment['amount'] / 100:,.2f}, {payment['method']}"))


def _dollars(order: dict[str, Any]) -> str:
    return plain(f"${sum(item['price'] for item in order['items']) / 100:,.2f}")


def show_record(client: Client) -> None:
    """The record, with an undo for each entry."""
    entries = client.get("/record")
    if not entries:
        st.info("Nothing was done yet.")
    for entry in entries:
        with st.container(border=True):
            st.markdown(f"**{entry['id']}. {plain(entry['command'])}** · {plain(entry['user'])}")
            st.caption(plain(entry["at"].replace("T", " ")))
            for line in entry["details"]:
                st.markdown(plain(line))
            if entry["undone"]:
                st.caption(f"Undone by {entry['undone']}")
            elif entry["undoes"] is None and st.button("Undo", key=f"undo-{entry['id']}"):
                answer(lambda entry=entry: client.post(f"/record/{entry['id']}/undo"))


if __name__ == "__main__":
    main()
