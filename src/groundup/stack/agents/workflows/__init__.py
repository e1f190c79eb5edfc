"""Workflows: state graphs with checkpoints, interrupts for a person, and retries."""

from groundup.stack.agents.workflows.workflows import (
    END,
    INSERT,
    START,
    TABLES,
    Checkpoint,
    Checkpoints,
    Conflict,
    Graph,
    Node,
    Pause,
    Reducer,
    State,
    Status,
    Step,
    merge,
)

__all__ = [
    "END",
    "INSERT",
    "START",
    "TABLES",
    "Checkpoint",
    "Checkpoints",
    "Conflict",
    "Graph",
    "Node",
    "Pause",
    "Reducer",
    "State",
    "Status",
    "Step",
    "merge",
]
