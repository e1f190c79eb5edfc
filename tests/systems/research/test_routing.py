"""The trained router: what it may decide and what it may not, and that its file is what training gives."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from groundup.cli.research import research_command
from groundup.embedding import load
from groundup.errors import StoreError, UsageError
from groundup.routing import lowest_threshold
from groundup.stack.retrieval.rag import terms
from groundup.systems.research import open_research, open_web
from groundup.systems.research.planning import Where, choose, of_ones_own
from groundup.systems.research.routing import WEIGHTS, Router
from groundup.systems.research.routing.router import PRIVATE, Weights, read_weights
from groundup.systems.research.routing.training import (
    HALVES,
    PLACES,
    QUESTIONS,
    Question,
    Trained,
    held_out,
    highest_private,
    judge,
    privacy,
    read_privacy,
    read_questions,
    train,
    write,
)
from tests.systems.research.conftest import Opened
from tests.systems.research.test_runs import done
from tests.systems.research.test_web_runs import PAGES, Counted, lines_of, recorded


class Letters:
    """A sentence model for tests: the share of each letter, as a vector of length 1."""

    def __init__(self, name: str = "letters") -> None:
        self.name = name

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        counts = np.array([[text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnop"] for text in texts])
        return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)


def saying(
    where: Where, *, score: float = 5.0, threshold: float = 0.6, temperature: float = 1.0, private: float = 0.5
) -> Router:
    """A router that says one place of every text; the probability grows with the score."""
    intercept = np.array([score if place == where else 0.0 for place in PLACES])
    return Router(
        Weights("letters", PLACES, np.zeros((4, 16)), intercept, temperature, threshold, {PRIVATE: private}), Letters()
    )


# ── what it may decide ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("place", PLACES)
def test_a_confident_router_decides_between_documents_and_web(place: Where) -> None:
    for text in ("Token buckets, please.", "The latest version of Python"):
        assert choose(text, documents=True, web=True, route=saying(place).where) == place


@pytest.mark.parametrize("text", ["What is a token bucket?", "how does a lease end", "A lease, again?"])
def test_a_question_is_looked_for_though_the_router_says_none(text: str) -> None:
    assert choose(text, documents=True, web=True, route=saying("none").where) == "both"


def test_what_is_not_found_in_the_web_is_looked_for_in_documents_too(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases: tuple[tuple[Where, list[str]], ...] = (("web", ["web", "both"]), ("documents", ["documents", "documents"]))
    for place, looked in cases:
        router = saying(place)
        monkeypatch.setattr(Router, "load", lambda *_, router=router: router)
        question = "What is a token bucket?" if place == "web" else "What is a quorum?"
        web = open_web(str(recorded(tmp_path / place, PAGES)))
        with opened(web=web) as research:
            report = done(research, question)
        assert [line.split(":")[0] for line in lines_of(report, "retrieve")] == looked
        assert report.abstained == (place == "documents")


def test_the_rules_decide_where_the_router_is_not_confident() -> None:
    unsure = saying("documents", score=1.0)  # e / (e + 3) is 0.475
    assert unsure.where("anything") is None
    assert choose("What is a token bucket?", documents=True, web=True, route=unsure.where) == "both"
    assert choose("What is the latest version of Python?", documents=True, web=True, route=unsure.where) == "web"


@pytest.mark.parametrize(
    "text",
    [
        "What is our deadline?",
        "What does MY note say of the latest release?",
        "What do these notes say?",
        "When did we drop Redis?",
        "Which key have I lost?",
        "What we’ve agreed on Kafka",
        "Who is on the platform team's rota?",
        "What does the company pay for GitHub on the web?",
        "Is the parser in-house?",
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_ones_own_is_looked_for_in_documents_whatever_the_router_says(text: str, place: Where) -> None:
    assert choose(text, documents=True, web=True, route=saying(place).where) == "documents"


@pytest.mark.parametrize(
    "text",
    [
        "Why do we dream?",
        "How do I undo a commit?",
        "What do people use?",
        "Who founded the company that makes Lego?",
        "Which team won?",
        "What is Minecraft?",  # no "mine"
    ],
)
def test_what_anybody_may_ask_is_not_kept_from_the_web_by_its_words(text: str) -> None:
    assert choose(text, documents=True, web=True) == "both"


def test_where_the_router_cannot_rule_out_that_a_question_is_ones_own_it_is_sent_nowhere() -> None:
    sure = saying("web", score=2.0, threshold=0.6)  # e² / (e² + 3) is 0.71, and documents are 0.096
    assert sure.where("What did Ada decide?") == "web"
    assert saying("web", score=2.0, threshold=0.6, private=0.09).where("What did Ada decide?") == "documents"
    assert saying("web", score=2.0, threshold=0.6, private=0.10).where("What did Ada decide?") == "web"


def test_whoever_asks_for_the_web_in_so_many_words_gets_it() -> None:
    for text in ("What did Ada Lovelace publish, on the web?", "Search online: leases"):
        assert choose(text, documents=True, web=True, route=saying("documents").where) == "web"


def test_with_one_source_or_nothing_to_look_up_the_router_is_not_asked() -> None:
    def asked(text: str) -> Where:
        raise AssertionError(text)

    assert choose("What is a lease?", documents=True, web=False, route=asked) == "documents"
    assert choose("What is a lease?", documents=False, web=True, route=asked) == "web"
    assert choose("What is a lease?", documents=False, web=False, route=asked) == "none"
    assert choose("What is it?", documents=True, web=True, route=asked) == "none"
    assert choose("What is our lease?", documents=True, web=True, route=asked) == "documents"


def test_nothing_of_ones_own_reaches_a_search_server_in_a_run(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Router, "load", lambda *_: saying("web"))
    web = Counted(open_web(str(recorded(tmp_path / "recorded", PAGES))))
    with opened(web=web) as research:
        report = done(research, "What is our token bucket; what is a lease?")
    where = [line.split(":")[0] for line in lines_of(report, "retrieve")]
    assert (where[0], where[-1]) == ("documents", "web")
    assert web.searched
    assert not any("What is our token bucket?" == text for text in web.searched)


def test_the_rules_alone_can_be_chosen(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "load", lambda *_: saying("documents"))
    web = open_web(str(recorded(tmp_path / "recorded", PAGES)))
    for options, where in (({"router": "rules"}, "both"), ({}, "documents")):
        with opened(web=web, **options) as research:
            assert lines_of(done(research, "What is a lease?"), "retrieve")[0].startswith(f"{where}: ")
    refused = pytest.raises(UsageError, match="router must be trained or rules, got 'best'")
    with refused, open_research(tmp_path / "other.sqlite", router="best"):  # pyright: ignore[reportArgumentType]
        pass


# ── its probabilities ───────────────────────────────────────────────────────────────────────────────────────────────
def test_the_probability_is_the_softmax_of_scores_over_the_temperature() -> None:
    (route,) = saying("web", score=2.0, temperature=2.0).routes(["x"])
    assert route.where == "web"
    assert route.documents == pytest.approx(1 / (np.e + 3))
    assert route.probability == pytest.approx(np.e / (np.e + 3))


def test_the_threshold_is_the_lowest_with_enough_right_above_it() -> None:
    probability, right = np.array([0.5, 0.9, 0.7, 0.8]), np.array([False, True, False, True])
    assert lowest_threshold(probability, right, 1.0) == pytest.approx(0.75)
    assert lowest_threshold(probability, right, 0.6) == pytest.approx(0.6)
    assert lowest_threshold(probability, right, 0.5) == pytest.approx(0.25)
    assert lowest_threshold(probability, ~right, 1.0) > 1


def test_what_may_be_ones_own_begins_where_as_many_as_may_be_sent_are_below() -> None:
    documents = np.array([0.8, 0.1, 0.5, 0.3])
    assert highest_private(documents, 0) == pytest.approx(0.05)
    assert highest_private(documents, 1) == pytest.approx(0.2)
    assert highest_private(documents, 3) == pytest.approx(0.65)
    assert highest_private(documents, 4) > 1


# ── its file ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_weights_refuse_another_sentence_model_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"embedder must be 'all-MiniLM-L6-v2', .* got 'letters'\. Load that one"):
        Router.load(Letters())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 1}, "version 1"),
        ({"labels": ["both", "web", "none", "web"]}, "labels"),
        ({"labels": ["both", "web", "none", "sea"]}, "sea"),
        ({"intercept": [0.0]}, "weights of shape"),
        ({"coef": [[float("nan")] * 384] * 4}, "not finite"),
        ({"recipe": {}}, "KeyError"),
    ],
)
def test_a_file_that_is_no_router_is_refused(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = tmp_path / "router.json"
    path.write_text(json.dumps({**json.loads(WEIGHTS.read_text()), **change}), encoding="utf-8")
    with pytest.raises(StoreError, match=f"router must be a file that .* wrote, .*{why}.* Run the command again"):
        read_weights(path)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "router.json").write_text(text)
    with pytest.raises(StoreError, match="Run the command again"):
        read_weights(tmp_path / "router.json")


@pytest.fixture(scope="module")
def again() -> Trained:
    """With the penalty that was chosen: each of the others takes as long again."""
    l2 = json.loads(WEIGHTS.read_text())["recipe"]["l2"]
    return train([question for question in read_questions() if question.half == "train"], load(), [l2])


def test_training_again_gives_the_weights_that_are_kept(again: Trained) -> None:
    """To 1e-6, and where this processor rounds vectors otherwise, as near as it does that."""
    document, kept = json.loads(WEIGHTS.read_text()), read_weights(WEIGHTS)
    assert document["data"]["sha256"] == hashlib.sha256(QUESTIONS.read_bytes()).hexdigest()
    near = 1e-6 if again.fitted.vectors_sha256 == document["data"]["vectors_sha256"] else 0.3
    np.testing.assert_allclose(again.weights.coef, kept.coef, rtol=0, atol=near)
    np.testing.assert_allclose(again.weights.intercept, kept.intercept, rtol=0, atol=near)
    assert again.weights.temperature == pytest.approx(kept.temperature, abs=near)
    assert again.weights.threshold == pytest.approx(kept.threshold, abs=near)
    assert again.weights.limits[PRIVATE] == pytest.approx(kept.limits[PRIVATE], abs=near)


def test_what_is_written_is_what_is_read(again: Trained, tmp_path: Path) -> None:
    write(again, held_out(), privacy(), tmp_path / "router.json")
    found = read_weights(tmp_path / "router.json")
    np.testing.assert_array_equal(found.coef, again.weights.coef)
    assert (found.labels, found.threshold) == (PLACES, again.weights.threshold)
    assert found.limits[PRIVATE] == again.weights.limits[PRIVATE]


# ── its questions, and how it is judged ─────────────────────────────────────────────────────────────────────────────
def test_the_held_out_half_is_even_and_no_topic_is_in_both_halves() -> None:
    questions = read_questions()
    counts = {half: Counter(question.label for question in questions if question.half == half) for half in HALVES}
    assert counts["held-out"] == dict.fromkeys(PLACES, 25)
    assert counts["train"] == {"both": 77, "documents": 73, "none": 25, "web": 45}
    topics = [{question.topic for question in questions if question.half == half} for half in HALVES]
    assert not topics[0] & topics[1]


def test_no_question_is_a_near_copy_of_one_of_the_other_half() -> None:
    judges = [Question(HALVES[1], "documents", "privacy", text) for _, text in read_privacy()]
    words = [(question, set(terms(question.text))) for question in [*read_questions(), *judges]]
    for first, left in words:
        for second, right in words:
            if first.half == HALVES[0] and second.half == HALVES[1] and len(left | right) > 4:
                assert len(left & right) / len(left | right) < 0.5, (first.text, second.text)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["train\tsea\tlocks\tWhat?"], "line 1 of .* must be half, label, topic and question"),
        (["train\tweb\tlocks"], "line 1 of"),
        (["train\tweb\tlocks\tWhat?", "train\tboth\tlocks\twhat?"], "stands twice"),
        (["train\tweb\tlocks\tWhat?", "held-out\tboth\tlocks\tWhy?"], "topic must be in one half, .* 'locks'"),
    ],
)
def test_questions_that_break_a_rule_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "questions.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_questions(path)


def test_a_line_that_judges_no_privacy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "privacy.tsv"
    for line in ("mine\tWhat?", "own What?", "public\t "):
        path.write_text(f"# a comment\nown\tWhat did we say?\n{line}\n", encoding="utf-8")
        with pytest.raises(UsageError, match="line 3 of .* must be own or public, a tab and a question, got"):
            read_privacy(path)


def test_what_is_sent_and_what_is_kept_is_counted() -> None:
    questions = read_privacy()
    assert Counter(own for own, _ in questions) == {True: 30, False: 30}
    _, nothing = privacy(saying("web"))
    worded = sum(own and of_ones_own(text) for own, text in questions)
    assert (nothing.own, nothing.sent, nothing.public) == (30, 30 - worded, 30)
    _, everything = privacy(saying("web", private=0.0))
    assert (everything.sent, everything.kept) == (0, 30)


def test_the_stored_router_keeps_more_of_ones_own_than_the_words_do() -> None:
    """The figures of docs/research.md, give or take what another processor rounds otherwise."""
    kept = json.loads(WEIGHTS.read_text())["metrics"]["privacy"]
    for way, figures in zip(privacy(), kept, strict=True):
        assert way.way == figures["way"]
        assert abs(way.sent - figures["sent"]) <= 1
        assert abs(way.kept - figures["kept"]) <= 1


def test_questions_of_one_topic_cannot_train() -> None:
    questions = [Question("train", place, "locks", f"{place}?") for place in PLACES]
    with pytest.raises(UsageError, match="questions must have each of .* in more than one topic, and without 'locks'"):
        train(questions, Letters())


def test_a_judgement_counts_what_is_right_sent_and_silent() -> None:
    texts = ("What is a lease?", "What did Ada decide?", "What is our lease?", "Thanks a lot", "What is the latest Go?")
    labels: tuple[Where, ...] = ("both", "documents", "documents", "none", "web")
    questions = [Question("held-out", label, "t", text) for label, text in zip(labels, texts, strict=True)]
    found = judge(saying("none"), questions)
    majority, rules, alone, runs = found.ways
    assert (majority.right, rules.right, alone.right, runs.right) == (2, 3, 1, 4)
    assert (rules.sent, alone.sent, runs.sent) == (1, 0, 1)
    assert (rules.silent, alone.silent, runs.silent) == (0, 4, 0)
    assert runs.confusion == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert alone.low < 0.2 < alone.high
    assert (found.confident, found.confident_right, found.gained, found.lost) == (5, 1, 1, 0)


def test_the_stored_router_beats_the_rules_on_the_half_that_did_not_train_it() -> None:
    """The figures of docs/research.md, give or take what another processor rounds otherwise."""
    found, kept = held_out(), json.loads(WEIGHTS.read_text())["metrics"]["held_out"]
    ways = {way.way: way for way in found.ways}
    assert ways["router with rules"].low > ways["word rules"].high
    assert ways["router with rules"].sent < ways["word rules"].sent
    for way in kept["ways"]:
        assert abs(ways[way["way"]].right - way["right"]) <= 2


def test_evaluate_tells_the_figures_of_the_router(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.systems.research.evaluate.evaluate", lambda *_, **__: ("no data", []))
    document = json.loads(CliRunner().invoke(research_command, ["evaluate", "--json"]).stdout)
    assert document["router"] == json.loads(json.dumps(asdict(held_out())))
    assert document["privacy"] == [asdict(way) for way in privacy()]
    printed = CliRunner().invoke(research_command, ["evaluate"]).stdout
    for words in (
        "word rules",
        "majority",
        "0.41",
        "The router alone is confident of",
        "label below, choice beside",
        "kept from",
    ):
        assert words in printed


def test_importing_the_router_imports_nothing_heavy() -> None:
    code = (
        "import sys, groundup.systems.research.routing; "
        "print([name for name in ('sklearn', 'scipy', 'onnxruntime', 'chromadb', 'langgraph') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
