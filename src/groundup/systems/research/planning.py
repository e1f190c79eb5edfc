"""The kind of a question, and the sub-questions of its plan.

Rules make a plan without a model: a comparison becomes a question about each side, several questions in one sentence
become one each, and any other question stays as it is. A model may plan instead. A line of its plan counts if it is a
question that shares a word with the asker's question, because the report shows sub-questions and no source supports
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from groundup.stack.retrieval.rag import terms

Kind = Literal["single", "several", "comparison"]
Where = Literal["documents", "web", "both", "none"]
Routing = Literal["trained", "rules"]  # the router between documents and web
MOST = 5  # sub-questions
LONGEST = 200  # characters of a sub-question

_SIDES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:differences?|distinction|choice|relation) between (?P<a>.+?) and (?P<b>.+)",
        r"\bcompare[sd]? (?P<a>.+?) (?:and|with|to|against) (?P<b>.+)",
        r"\b(?:do|does|is|are) (?P<a>.+?) (?:differ|different) from (?P<b>.+)",
        r"\b(?:do|does) (?P<a>.+?) and (?P<b>.+?) (?:differ|compare)\b",
        r"\b(?:what is|which is|is|are) better[,:]? (?P<a>.+?) or (?P<b>.+)",
        r"^(?:how does )?(?P<a>.+?) (?:vs\.?|versus|compared? (?:with|to)) (?P<b>.+)",
    )
)
_ASKING = r"(?:what|how|why|when|where|which|who|whose|does|do|did|is|are|was|were|can|could|should|must|may|will)"
_NEXT = re.compile(
    rf"""
    \?\s+ (?:and\s+|also,?\s+)? (?= [^.?!]*\? )                                # What is a lease? In which case ...?
  | (?: \?\s+ (?:and\s+|also,?\s+)? | [,;]\s*(?:and|but|or)\s+ | \s+and\s+ | ;\s* ) (?= {_ASKING}\b )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ASKED = re.compile(r"\?|\b(?:what|how|why|when|where|which|who|whose)\b", re.IGNORECASE)  # in no side of a comparison
_POINTING = re.compile(r"\b(?:it|its|they|them|their|this|that|these|those)\b", re.IGNORECASE)

PLANNER = f"""You plan research in a collection of documents.
Break the question into at most {MOST} sub-questions, each of which one document may answer. Write each on a line of its
own that ends with a question mark, and nothing else. A simple question is its own only sub-question.
"""


def classify(question: str) -> Kind:
    """The kind of a question, by rules."""
    if _sides(question):
        return "comparison"
    return "several" if len(_several(question)) > 1 else "single"


def plan(question: str, kind: Kind) -> list[str]:
    """The sub-questions of a question, by rules."""
    parts = _several(question) if kind == "several" else [question]
    planned: list[str] = []
    for part in parts:
        sides = _sides(part)
        planned += [f"What is {side}?" for side in sides] if sides else [part]
    return list(dict.fromkeys(planned))[:MOST]


def read_plan(reply: str, question: str) -> list[str]:
    """The sub-questions of a model's plan that are about the asker's question; perhaps none."""
    subject = set(terms(question))
    lines = [re.sub(r"^\W*(?:\d+[.)]\s*)?", "", line).strip() for line in reply.splitlines()]
    questions = [line for line in lines if line.endswith("?") and len(line) <= LONGEST and subject & set(terms(line))]
    return list(dict.fromkeys(line for line in questions if len(re.findall(r"[.!?](?:\s|$)", line)) == 1))[:MOST]


def query(plan: list[str], at: int) -> str:
    """The query of a sub-question; if it points back (`And what does it cost?`), with the sub-question before it."""
    back = at and _POINTING.search(plan[at])
    return f"{plan[at - 1]} {plan[at]}" if back else plan[at]


_GROUP = r"(?:team|company|firm|department|office|board|committee|club|family)"
_OWN = re.compile(
    rf"""
    \b(?:ours?|my|mine|in-house)\b
  | \b(?:did|have|had|has|are|were|was|am|will|shall)\s+(?:we|i|us)\b       # not "do we", which asks of everybody
  | \b(?:we|i)(?:['’](?:ve|re|ll|d|m)|\s+(?:have|had|are|were|was|am|did|agreed|decided|wrote|chose|said|use[ds]?))\b
  | \b(?:the|this)\s+(?:[\w-]+\s+)?{_GROUP}['’]s\b
  | \b(?:the|this)\s+{_GROUP}\b(?!\s+(?:of|that|which|who|behind))
  | \b(?:the|these|those|this)\s+(?:documents?|notes?|papers?|files?|runbooks?|minutes|wiki|handbook|backlog)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_WEB = re.compile(r"\bon(?:\s+the\s+(?:web|internet)|line)\b", re.IGNORECASE)
_CHANGING = re.compile(
    r"\b(?:latest|newest|currently|today|nowadays|this\s+(?:week|month|year)|news|as\s+of|so\s+far|up[\s-]to[\s-]date"
    r"|recent(?:ly)?|prices?|released)\b|\bcurrent\s+(?:version|state|price|status)\b"
    r"|\b20[2-9]\d\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(rf"\?\W*$|^\W*{_ASKING}\b", re.IGNORECASE)


def of_ones_own(text: str) -> bool:
    """Whether the words of a question say that it is about the asker's own affairs."""
    return bool(_OWN.search(text))


def choose(looked_up: str, *, documents: bool, web: bool, route: Callable[[str], Where | None] | None = None) -> Where:
    """The place to search for a sub-question; the first rule that fits decides.

    1. It has no word to look up: nowhere.
    2. There are only documents, or only the web: there.
    3. It asks about the asker's own affairs ("our", "did we", "the team's", "these notes"): documents, so that it is
       not sent to a search server. No model is asked first, and none can overrule this rule.
    4. It asks for the web by name ("on the web", "online"): the web.
    5. The trained router is confident, or cannot rule out the asker's own affairs: the router's place. Its "none"
       counts only for a text that is no question: a needless search costs less than an unanswered question.
    6. It asks about things that change ("latest", "price", a year since 2020): the web.
    7. Otherwise both.

    Args:
        looked_up: the sub-question's query (`query`).
        documents: whether there are documents.
        web: whether there is the web.
        route: the trained router (`Router.where`), which gives None if it is not confident; None for rules alone.
    """
    if not terms(looked_up) or not (documents or web):
        return "none"
    if not (documents and web):
        return "documents" if documents else "web"
    if of_ones_own(looked_up):
        return "documents"
    if _WEB.search(looked_up):
        return "web"
    if route is not None and (where := route(looked_up)) and (where != "none" or not _QUESTION.search(looked_up)):
        return where
    return "web" if _CHANGING.search(looked_up) else "both"


def _sides(question: str) -> tuple[str, str] | None:
    for pattern in _SIDES:
        if match := pattern.search(question.rstrip("?!. ")):
            sides = (_bare(match["a"]), _bare(match["b"]))
            if all(terms(side) and not _ASKED.search(side) for side in sides):
                return sides
    return None


def _bare(side: str) -> str:
    return re.sub(r"^(?:both|between)\s+", "", side.strip(" ,;:"), flags=re.IGNORECASE)


def _several(question: str) -> list[str]:
    parts = [part.strip(" ,;?") for part in _NEXT.split(question)]
    return [f"{part[0].upper()}{part[1:]}?" for part in parts if terms(part)] or [question]
