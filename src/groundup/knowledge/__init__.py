"""The knowledge of systems: documents learnt from folders, searched by words and meaning, opened at the cited place.

    knowledge = open_knowledge("research.knowledge")
    knowledge.learn(["notes"])
    for passage in knowledge.search("When is a circuit breaker open?"):
        print(passage.source, passage.start, passage.text)

Chroma and the sentence model (the extra `retrieval`) are imported when they are needed, not before.
"""

from __future__ import annotations

from groundup.knowledge.base import Knowledge, Learned, Passage, default_location, open_knowledge
from groundup.knowledge.places import Part, is_place, open_place, unwrapped
from groundup.knowledge.reopened import Reopened

__all__ = [
    "Knowledge", "Learned", "Part", "Passage", "Reopened", "default_location", "is_place", "open_knowledge",
    "open_place", "unwrapped",
]  # fmt: skip
