"""Crews: a manager, workers and a critic, with hand-offs and budgets."""

from groundup.stack.agents.crews.crews import (
    CRITIC_RULES,
    PLAN_RULES,
    Budget,
    BudgetExceeded,
    Crew,
    Model,
    PlanError,
    Report,
    Result,
    Task,
    Worker,
    ask,
    hand_over,
    read_plan,
    refine,
    waves,
)

__all__ = [
    "CRITIC_RULES",
    "PLAN_RULES",
    "Budget",
    "BudgetExceeded",
    "Crew",
    "Model",
    "PlanError",
    "Report",
    "Result",
    "Task",
    "Worker",
    "ask",
    "hand_over",
    "read_plan",
    "refine",
    "waves",
]
