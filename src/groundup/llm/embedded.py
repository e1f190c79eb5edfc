"""The embedded answerer: a chat model that only quotes. It needs no network and no key, and adds no word.

It reads the messages that `rag.prompt` writes, as any chat model would, and answers with sentences of the sources, each
with its number; where none of them answers, with `NO_ANSWER`.

1. A sentence is scored by the question's words that it, or what is said of its source, has (rare ones count more), and
   by how near its meaning is to the question's (of a line of a log, by words alone). Where the source is said to be
   about all that was asked, that counts for meaning.
2. If the best is below the threshold, or says the opposite of what is asked (`opposites`), the answer is that the
   sources do not say. The threshold is calibrated on half of the articles of SQuAD 2.0 and judged on the others
   (`benchmarks answerer`).
3. The few sentences that score nearly as well are said; and after a line of a log, what a runbook on it says to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from groundup.llm.opposites import answers_opposite
from groundup.llm.sources import EVIDENCE, LOG, TO_DO
from groundup.stack.retrieval.rag import NO_ANSWER, Passage, sentences, words

if TYPE_CHECKING:
    import numpy as np

THRESHOLD = 0.5  # what `benchmarks answerer` calibrates, to the second place
MOST_LINES, MOST_SENTENCES = 5, 3  # of logs, and of documents
NEARLY = 0.9  # the share of the best score that a further sentence must have
RELATED = 0.4  # the cosine from which a runbook is about a line of a log

_SOURCE = re.compile(r"^\[(\d+)\]\n((?:\|[^\n]*(?:\n|\Z))+)", re.MULTILINE)
_QUESTION = re.compile(r"^Question: (.*)\Z", re.MULTILINE)
# Lines that say nothing by themselves: headings, rules, fences, front matter, comments and tags.
_MARKUP = re.compile(r"#+\s|[-=*`~|\s]+$|```|title:|weight:|<|\{\{")
_BULLET = re.compile(r"^(?:[-*+>]|\d+[.)])\s+(?=\S)")


def read_prompt(text: str) -> tuple[str, list[Passage]]:
    """Question and sources of a message that `rag.prompt` wrote; of any other text, no sources.

    A line of a source begins with `|`, so no source can pose as another source or as the question.
    """
    question = _QUESTION.search(text)
    passages = []
    for _, fenced in _SOURCE.findall(text):
        lines = [line[2:] for line in fenced.split("\n") if line]
        passages.append(Passage("\n".join(lines[1:]), lines[0].removeprefix("from: ").strip("'\"")))
    return (question[1] if question else ""), passages


@dataclass(frozen=True)
class Candidate:
    """A sentence that may answer: its source's number, its text, and how well it fits."""

    number: int
    text: str
    score: float


def candidates(
    question: str, passages: Sequence[Passage], encode: Callable[[list[str]], np.ndarray]
) -> list[Candidate]:
    """Every sentence of the sources with its score, 0 to 1; in the order of the sources."""
    places = [(number, text) for number, passage in enumerate(passages, 1) for text in _prose(passage.text)]
    if not places:
        return []
    about = [_subject(passage.source) for passage in passages]
    held = [_terms(text) for _, text in places]
    weight = _weights(_terms(question), held)
    cosines = encode([question, *(text for _, text in places)])
    cosines = cosines[1:] @ cosines[0]
    result = []
    for (number, text), terms, cosine in zip(places, held, cosines.tolist(), strict=True):
        subject = about[number - 1]
        covered = _share(weight, terms | subject)
        # A sentence model has not read logs: there, words alone count.
        is_log = passages[number - 1].source.startswith(LOG)
        score = covered if is_log else (covered + max(cosine, _share(weight, subject))) / 2
        result.append(Candidate(number, text, score + TIE * (cosine - number)))
    return result


TIE = 0.002  # what the order of the sources, and then meaning, count where all else is equal


def _subject(source: str) -> set[str]:
    """The subject of a source, without the name of a log: the name `crash.log` makes no line a crash."""
    calm = source.startswith(LOG) and EVIDENCE not in source
    return _terms(source) - ({"fail"} if calm else set())


def chosen(pool: Sequence[Candidate], least: float, most: int) -> list[Candidate]:
    """The best few candidates with a score of at least `least`, without repetitions; best first."""
    taken: list[Candidate] = []
    for candidate in sorted(pool, key=lambda candidate: -candidate.score):
        if len(taken) == most or candidate.score < least:
            break
        if all(_different(candidate.text, other.text) for other in taken):
            taken.append(candidate)
    return taken


def _different(sentence: str, other: str) -> bool:
    """Whether a sentence adds something to another one."""
    a, b = _terms(sentence), _terms(other)
    return len(a & b) < 0.7 * max(1, min(len(a), len(b)))


def _prose(text: str) -> list[str]:
    """The informative sentences of a text, without the marks of lists."""
    texts = [_BULLET.sub("", text[start:end]) for start, end in sentences(text)]
    return [
        sentence
        for sentence in texts
        if not _MARKUP.match(sentence) and len(sentence.split()) > 2 and not sentence.endswith(":")
    ]


def _weights(asked: set[str], held: Sequence[set[str]]) -> dict[str, float]:
    """The weight of each term of the question: the fewer sentences hold it, the heavier it is."""
    from groundup.stack.retrieval.ranking import idf

    counts = Counter(term for terms in held for term in terms & asked)
    return {term: float(idf(counts[term], len(held))) for term in sorted(asked)}


def _share(weight: dict[str, float], terms: set[str]) -> float:
    total = sum(weight.values())
    return sum(value for term, value in weight.items() if term in terms) / total if total else 0.0


def _terms(text: str) -> set[str]:
    """The terms by which texts are compared, and joined names (`order-service`) as a whole.

    All words for trouble are one, because people ask for it in other words than logs tell of it.
    """
    from groundup.stack.retrieval.ranking import analyse

    text = _ROOT.sub("cause", text)
    joined = {word for word in words(text) if _JOINT.search(word)}
    return joined | {"fail" if term in TROUBLE else term for term in analyse(text)}


_ROOT = re.compile(r"\broot cause", re.IGNORECASE)
_JOINT = re.compile(r"[-_./:@]")
# As `analyse` gives them.
TROUBLE = frozenset(
    "abort broke broken caus crash degrad down error fail failur fault faulti hang happen incid issu outag problem "
    "reason slow stuck troubl unavail unhealthi wrong".split()
)


class EmbeddedAnswerer(BaseChatModel):
    """Answers by quoting; see `groundup.llm.embedded`.

    Attributes:
        threshold: how well a sentence must fit to be said.
    """

    threshold: float = THRESHOLD

    @property
    def _llm_type(self) -> str:
        return "groundup-embedded"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "\n".join(self._lines(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for number, line in enumerate(self._lines(messages)):
            piece = f"\n{line}" if number else line
            if run_manager:
                run_manager.on_llm_new_token(piece)
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))

    def _lines(self, messages: Sequence[BaseMessage]) -> list[str]:
        from groundup.embedding import load

        encode = load().encode
        question, passages = read_prompt(str(messages[-1].content) if messages else "")
        answer = quote(question, passages, encode, self.threshold)
        return [f"{candidate.text} [{candidate.number}]" for candidate in answer] or [NO_ANSWER]


def quote(
    question: str, passages: Sequence[Passage], encode: Callable[[list[str]], np.ndarray], threshold: float
) -> list[Candidate]:
    """The sentences of an answer: those of logs, then equally good ones of documents, then the remedy."""
    pool = candidates(question, passages, encode)
    logs = {number for number, passage in enumerate(passages, 1) if passage.source.startswith(LOG)}
    least = max(threshold, NEARLY * max((candidate.score for candidate in pool), default=0.0))
    lines = chosen([candidate for candidate in pool if candidate.number in logs], least, MOST_LINES)
    answer = sorted(lines, key=lambda candidate: candidate.number)  # as they came
    documents = [candidate for candidate in pool if candidate.number not in logs]
    # What fits best is on the subject. If it says the opposite, the next best does not answer either.
    if documents and not answers_opposite(question, max(documents, key=lambda candidate: candidate.score).text):
        answer += chosen(documents, least, MOST_SENTENCES)
    return answer + _to_do(answer, passages, encode)


def _to_do(
    answer: Sequence[Candidate], passages: Sequence[Passage], encode: Callable[[list[str]], np.ndarray]
) -> list[Candidate]:
    """The remedy of the runbook that fits the answer's log lines best, if there is one."""
    lines = [candidate for candidate in answer if passages[candidate.number - 1].source.startswith(LOG)]
    cited = {candidate.number for candidate in answer}
    books = [
        (number, passage, _prose(passage.text))
        for number, passage in enumerate(passages, 1)
        if number not in cited and not passage.source.startswith(LOG) and TO_DO.search(passage.source)
    ]
    books = [book for book in books if book[2]]
    if not lines or not books:
        return []
    vectors = encode(
        [*(candidate.text for candidate in lines), *(f"{passage.source}\n{passage.text}" for _, passage, _ in books)]
    )
    likeness = (vectors[: len(lines)] @ vectors[len(lines) :].T).max(axis=0)
    best = int(likeness.argmax())
    number, _, steps = books[best]
    return [Candidate(number, steps[0], float(likeness[best]))] if likeness[best] >= RELATED else []
