"""The head of a system's Streamlit page: the API behind it, its token, and text that stays text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from groundup.api.client import PATIENCE, Client, Refused

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=@])")


def plain(text: str) -> str:
    """Plain text for a place that reads Markdown: marks are escaped, and lines are joined."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def connected(
    title: str, icon: str, *, api: str, start: str, probe: str, patience: float = PATIENCE
) -> tuple[Client, Any]:
    """Draw the page's head; return the API behind the page, and its answer to a first request.

    Where the API refuses, the page says why and ends here; where it wants a token, the page asks for that.

    Args:
        title: the page's.
        icon: the tab's.
        api: the API's address, where `GROUNDUP_API` does not name another one.
        start: the command that starts the API.
        probe: the path of the first request.
        patience: seconds that the API may be silent.
    """
    st.set_page_config(title, icon, layout="wide")
    # The token of the environment is there on loopback only: it is then for the people of this machine.
    token = st.session_state.get("token") or os.environ.get("GROUNDUP_TOKEN", "")
    client = Client(os.environ.get("GROUNDUP_API", api), token, start=start, patience=patience)
    st.header(title)
    try:
        return client, client.get(probe)
    except Refused as refused:
        if refused.status == 401:
            ask_for_token()
        else:
            st.error(plain(str(refused)))
        st.stop()


def ask_for_token() -> None:
    """The form for a token, if the API demands one and the page has none."""
    with st.form("token_form"):
        st.text_input("Token of the API", type="password", key="token")
        st.form_submit_button("Enter")
    if st.session_state.get("token"):
        st.error("The API does not accept this token.")


def guarded(show: Callable[[], None]) -> None:
    """Draw a part of the page; an error of the API takes its place."""
    try:
        with st.spinner("Asking the API"):
            show()
    except Refused as refused:
        st.warning(plain(str(refused)))
