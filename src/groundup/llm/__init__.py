"""Chat models behind one name, and the check of their answers against the sources, by code.

    model = chat_model("ollama:llama3.2")         # or openai:NAME, local:smollm2 …; "embedded" needs none
    for sentence in ground(reply, passages):      # each with its place in a passage, or None
        print(sentence.text, sentence.span)

LangChain (the extra `copilot`) is imported when a model is asked for, not before.
"""

from __future__ import annotations

from groundup.llm.grounding import Grounded, Grounder, ground
from groundup.llm.models import chat_model

__all__ = ["Grounded", "Grounder", "chat_model", "ground"]
