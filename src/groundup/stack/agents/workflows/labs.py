"""Labs of workflows: a support router with a person in it, and runs that are killed."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.agents.workflows import END, START, Checkpoint, Checkpoints, Graph, Pause, State, Step

POLICIES = {
    "ACCOUNT": "You can create, edit, switch or delete your account, or recover your password, under Profile.",
    "CANCELLATION_FEE": "A cancellation is free within 24 hours. Later we check a cancellation fee of 5 percent.",
    "CONTACT": "Contact customer service and talk to a human agent from 8 to 20 o'clock, by chat or by phone.",
    "DELIVERY": "Delivery options are standard and express. The delivery period is three days, or one.",
    "FEEDBACK": "We read every review, opinion, comment and complaint. Leave your feedback under Reviews.",
    "INVOICE": "We show an invoice, a bill, for each purchase. See, check, get or download invoices under Bills.",
    "NEWSLETTER": "The newsletter subscription comes each month. Subscribe or cancel the subscription below it.",
    "ORDER": "You can place, change, track or cancel an order or purchase, and add or remove an item or product.",
    "PAYMENT": "Payment methods are card, transfer and wallet. Report a payment issue or problem with paying.",
    "REFUND": "Money comes back within 14 days. Track the status of a refund, a reimbursement, a rebate, here.",
    "SHIPPING_ADDRESS": "Set up or change the shipping address, where we deliver to, until the parcel has left.",
}


def router_nodes(classify: Callable[[str], str], texts: Sequence[str]) -> dict[str, Callable[[State], Any]]:
    """The nodes of the support router but for the person: intent, policy by retrieval, draft.

    Args:
        classify: gives the category of a request.
        texts: requests, whose words are weighed by how rare they are.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    names = list(POLICIES)
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit([*texts, *POLICIES.values()])
    index: Any = vectorizer.transform([f"{name.replace('_', ' ')} {text}" for name, text in POLICIES.items()])

    def intent(state: State) -> State:
        return {"intent": classify(state["text"])}

    def policy(state: State) -> State:
        query: Any = vectorizer.transform([f"{state['text']} {state['intent'].replace('_', ' ')}"])
        return {"policy": names[int((index @ query.T).toarray().argmax())]}

    def draft(state: State) -> State:
        return {"draft": f"Dear customer, {POLICIES[state['policy']]} Kind regards"}

    return {"intent": intent, "policy": policy, "draft": draft}


def router(nodes: dict[str, Callable[[State], Any]]) -> Graph:
    """The router on our graph: the nodes, a person who approves, and a mail that is sent or a hand-over."""

    def approve(state: State, step: Step) -> Pause:
        return Pause(f"Send this? {state['draft']}", "approved")

    def send(state: State, step: Step) -> State:
        step.write("INSERT INTO mails VALUES (?, ?)", (step.key, state["draft"]))
        return {"sent": True}

    def hand_over(state: State, step: Step) -> State:
        return {"sent": False}

    graph = Graph()
    for name, function in nodes.items():
        graph.node(name, lambda state, step, function=function: function(state), attempts=3)
    for name, function in (("approve", approve), ("send", send), ("hand_over", hand_over)):
        graph.node(name, function)
    path = [START, *nodes, "approve"]
    for source, target in pairwise(path):
        graph.edge(source, target)
    graph.branch("approve", lambda state: "send" if state["approved"] else "hand_over", "send", "hand_over")
    graph.edge("send", END)
    graph.edge("hand_over", END)
    return graph


def trained(texts: Sequence[str], labels: Sequence[str]) -> Callable[[str], str]:
    """A classifier of requests: TF-IDF of words and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=300))
    model.fit(list(texts), list(labels))
    return lambda text: str(model.predict([text])[0])


@dataclass(frozen=True)
class RouterConfig:
    """Settings of the router lab.

    Attributes:
        seed: seed of the split and of the person.
        examples: requests that train the classifier.
        tickets: requests that go through the router.
        attention: the share of drafts that the person really reads; the others are approved unread.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    examples: int = 400
    tickets: int = 60
    attention: float = 0.9
    shuffle_labels: bool = False


@lab(
    title="A support router with a person in it",
    question="How many wrong mails does a person stop, and what does the person have to read?",
    data=["bitext_support"],
    presets={"smoke": {}, "laptop": {"examples": 3_000, "tickets": 300}, "full": {"examples": 5_000, "tickets": 1_400}},
    expectations=[
        expect("right_policy", beats_baseline_by=0.5, why="Intent and retrieval find the policy more often."),
        expect("wrong_mails", beats_baseline_by=0.01, lower_is_better=True, why="The person stops wrong drafts."),
    ],
    sabotage=[{"shuffle_labels": True}, {"attention": 0.0}],
)
def support(config: RouterConfig, record: Recorder) -> None:
    """Route requests: intent by a classifier, policy by retrieval, a draft, a person, a mail.

    The person is simulated: of the drafts that it reads it approves those with the right policy, and no other. Training
    requests and tickets are apart.
    """
    from groundup.data import load

    data = load("bitext_support")
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(data))
    train, test = order[: config.examples], order[config.examples : config.examples + config.tickets]
    labels = data["category"][train]
    texts = data["text"][train].tolist()
    classify = trained(texts, (rng.permutation(labels) if config.shuffle_labels else labels).tolist())
    graph = router(router_nodes(classify, texts))
    ends: list[tuple[Checkpoint, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Checkpoints(Path(folder, "runs.db"))
        store.database.execute("CREATE TABLE mails (key TEXT, text TEXT)")
        for number in record.progress(test.tolist(), label="tickets"):
            truth = str(data["category"][number])
            at = graph.run(f"ticket {number}", store, {"text": str(data["text"][number])})
            right = at.state["policy"] == truth
            ends.append((graph.resume(at.thread, store, bool(right or rng.random() > config.attention)), truth))
        store.close()
    rows = [{"node": name, "tickets": count} for name, count in Counter(end.node for end, _ in ends).items()]
    record.table("where tickets ended", rows)
    wrong = [end.state["policy"] != truth for end, truth in ends]
    sent = [end.state["sent"] for end, _ in ends]
    common = Counter(labels.tolist()).most_common(1)[0][0]
    record.baseline("right_policy", float(np.mean([truth == common for _, truth in ends])), "the most common policy")
    record.result("right_policy", 1.0 - float(np.mean(wrong)))
    record.baseline("wrong_mails", float(np.mean(wrong)), "every draft is sent")
    record.result("wrong_mails", float(np.mean(np.array(wrong) & np.array(sent))))


class _Killed(BaseException):
    """The end of a process."""


@dataclass(frozen=True)
class KillsConfig:
    """Settings of the kills lab.

    Attributes:
        seed: seed of the kills.
        runs: how many runs are begun.
        nodes: how many nodes each has.
        kills: the probability of a kill at each of four moments of a node.
        effects: where a node's effect is written: with the checkpoint, or at once.
    """

    seed: int = 0
    runs: int = 40
    nodes: int = 5
    kills: float = 0.08
    effects: Literal["with the checkpoint", "at once"] = "with the checkpoint"


@lab(
    title="Killed at any moment",
    question="How many effects happen twice when runs are killed, with and without checkpoints?",
    presets={"smoke": {}, "laptop": {"runs": 400}, "full": {"runs": 2_000}},
    expectations=[
        expect("twice", at_most=0.0, why="Effect and checkpoint are one transaction."),
        expect("twice", beats_baseline_by=0.2, lower_is_better=True, why="A run from scratch repeats its effects."),
        expect("finished", at_least=1.0, why="Each run goes on until it is done."),
    ],
    sabotage=[{"effects": "at once"}, {"kills": 0.0}],
)
def kills(config: KillsConfig, record: Recorder) -> None:
    """Run nodes that each have one effect, kill them at random moments, and resume until they are done.

    A kill is an exception that nothing catches, before a node, behind its effect, before or behind its checkpoint. The
    test suite does the same with processes and SIGKILL. Baseline: a run that is killed begins again from scratch.
    """
    draw = random.Random(config.seed)

    def moment() -> None:
        if draw.random() < config.kills:
            raise _Killed

    class Fragile(Checkpoints):
        def save(self, checkpoint: Checkpoint, statements: Sequence[tuple[str, Sequence[Any]]] = ()) -> None:
            moment()
            super().save(checkpoint, statements)
            moment()

    def node(state: State, step: Step) -> None:
        moment()
        sql, values = "INSERT INTO effects VALUES (?)", (step.key,)
        store.database.execute(sql, values) if config.effects == "at once" else step.write(sql, values)
        moment()

    def restart(run: int) -> Counter[str]:
        """The effects of a run without checkpoints."""
        done: Counter[str] = Counter()
        while True:
            try:
                for number in range(config.nodes):
                    moment()
                    done[f"{run}/{number}"] += 1
                    moment()
                return done
            except _Killed:
                continue

    graph = Graph()
    names = [f"n{number}" for number in range(config.nodes)]
    for name in names:
        graph.node(name, node)
    path = [START, *names, END]
    for source, target in pairwise(path):
        graph.edge(source, target)
    with tempfile.TemporaryDirectory() as folder:
        store = Fragile(Path(folder, "runs.db"))
        store.database.execute("CREATE TABLE effects (key TEXT)")
        statuses, died, whole = [], 0, 0
        for run in record.progress(range(config.runs), label="runs"):
            end, before = None, died
            while end is None:
                try:
                    begun = store.latest(str(run)) is not None
                    end = graph.resume(str(run), store) if begun else graph.run(str(run), store, {})
                except _Killed:
                    died += 1
            statuses.append(end.status)
            whole += died == before
        keys = Counter(row[0] for row in store.database.execute("SELECT key FROM effects"))
        store.close()
    scratch = Counter[str]()
    for run in range(config.runs):
        scratch += restart(run)
    record.table("what happened", [{"kills": died, "effects": sum(keys.values()), "from scratch": scratch.total()}])
    record.baseline("twice", float(np.mean([count > 1 for count in scratch.values()])), "no checkpoints")
    record.result("twice", float(np.mean([count > 1 for count in keys.values()])))
    record.baseline("finished", whole / config.runs, "nobody resumes: runs that were never killed")
    finished = len(keys) == config.runs * config.nodes and set(statuses) == {"done"}
    record.result("finished", float(finished))
