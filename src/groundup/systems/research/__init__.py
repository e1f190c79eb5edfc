"""The research assistant: from a folder of documents and a question to a report in which every sentence has its place.

    with open_research("research.sqlite", knowledge=open_knowledge("research.knowledge")) as research:
        id = research.begin("How do a token bucket and a leaky bucket differ?")
        for step in research.run(id):           # resumes after Ctrl-C or `kill -9`
            print(step["node"], step["what"])
        print(to_markdown(research.report(id)))

`open_research(…, web=open_web("searxng"))` searches the web, too. Nothing here needs a language model. Any
model that `groundup.llm` names may plan and write; code looks up each of its sentences. LangGraph and Chroma (the
extra `research`) are imported when they are needed, not before.
"""

from __future__ import annotations

from groundup.systems.research.export import to_bibtex, to_html, to_markdown
from groundup.systems.research.report import Report
from groundup.systems.research.runs import Research, open_research
from groundup.systems.research.state import Budget
from groundup.systems.research.web import open_web

__all__ = ["Budget", "Report", "Research", "open_research", "open_web", "to_bibtex", "to_html", "to_markdown"]
