"""Explorables of scaling."""

import os
import time
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
from groundup.stack.bedrock.scaling import mean

from groundup.anatomy import Range, figure


@figure("Centres")
def centres(
    count: Annotated[int, Range(1, 50)] = 5,
    spread: Annotated[float, Range(0.0, 2.0, step=0.1)] = 1.0,
    shape: Literal["line", "bars"] = "line",
    shifted: bool = False,
) -> go.Figure:
    """Points and their mean."""
    print("what a figure prints must not reach the answers")
    y = np.arange(count) * spread
    return go.Figure(go.Scatter(y=y - mean(y) if shifted else y, name=f"mean {mean(y):g}"))


@figure("Trouble")
def trouble(how: Literal["none", "raise", "exit", "sleep", "none_back"] = "none") -> go.Figure:
    """Every way to fail."""
    if how == "raise":
        raise RuntimeError("on purpose")
    if how == "exit":
        os._exit(7)
    if how == "sleep":
        time.sleep(60)
    return None if how == "none_back" else go.Figure()  # type: ignore[return-value]
