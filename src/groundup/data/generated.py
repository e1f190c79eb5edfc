"""Data made on this machine: what is synthetic by definition, and stand-ins for what could not be had.

A stand-in has the real data's columns, types and gaps, and shares that are about right, so that a lab runs; a number
computed from it says nothing about the real data, and is labelled.
"""

from __future__ import annotations

import re

import numpy as np

from groundup.data.readers import Columns
from groundup.errors import UsageError


def moons(rows: int = 1000, noise: float = 0.2, seed: int = 0) -> Columns:
    """Two interleaving half circles, as scikit-learn's `make_moons`.

    Args:
        rows: how many points; the second moon has one more when odd.
        noise: standard deviation of the Gaussian noise.
        seed: seed of the noise and of the order.

    Returns:
        `x` and `y`, the coordinates, and `label`, 0 for the upper and 1 for the lower moon.
    """
    if rows < 2:
        raise UsageError(f"moons: rows must be at least 2, not {rows}.")
    if noise < 0:
        raise UsageError(f"moons: noise must not be negative, not {noise}.")
    rng = np.random.default_rng(seed)
    upper = np.linspace(0, np.pi, rows // 2)
    lower = np.linspace(0, np.pi, rows - rows // 2)
    points = np.concatenate(
        [
            np.stack([np.cos(upper), np.sin(upper)], axis=1),
            np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], axis=1),
        ]
    )
    points += rng.normal(0, noise, points.shape) if noise else 0
    label = np.repeat([0, 1], [len(upper), len(lower)])
    order = rng.permutation(rows)
    return {"x": points[order, 0], "y": points[order, 1], "label": label[order]}


def titanic() -> Columns:
    """Passengers drawn with about the real table's shares by class, sex and age."""
    rng = np.random.default_rng(1912)
    rows = 891
    pclass = rng.choice([1, 2, 3], rows, p=[0.24, 0.21, 0.55])
    male = rng.random(rows) < np.choose(pclass - 1, [0.56, 0.59, 0.71])
    age = np.clip(rng.normal(np.choose(pclass - 1, [38, 30, 25]), 13.5), 0.4, 80).round()
    survival = np.where(male, np.choose(pclass - 1, [0.35, 0.14, 0.13]), np.choose(pclass - 1, [0.96, 0.92, 0.5]))
    survival = np.where((age < 12) & (pclass < 3), 0.95, survival)
    fare = np.exp(rng.normal(np.choose(pclass - 1, [4.1, 2.8, 2.3]), 0.5)).round(4)
    cabin = np.where(rng.random(rows) < np.choose(pclass - 1, [0.81, 0.09, 0.02]), "C1", "")
    embarked = rng.choice(["S", "C", "Q", ""], rows, p=[0.72, 0.19, 0.0878, 0.0022])
    known = rng.random(rows) < 0.8
    return {
        "PassengerId": np.arange(1, rows + 1),
        "Survived": (rng.random(rows) < survival).astype(int),
        "Pclass": pclass,
        "Name": np.array([f"Passenger {i}, {'Mr.' if m else 'Mrs.'} A." for i, m in enumerate(male, 1)]),
        "Sex": np.where(male, "male", "female"),
        "Age": np.where(known, age, np.nan),
        "SibSp": rng.choice([0, 1, 2, 3, 4], rows, p=[0.68, 0.24, 0.03, 0.02, 0.03]),
        "Parch": rng.choice([0, 1, 2, 3], rows, p=[0.76, 0.13, 0.09, 0.02]),
        "Ticket": np.array([str(number) for number in rng.integers(1000, 400_000, rows)]),
        "Fare": fare,
        "Cabin": cabin,
        "Embarked": embarked,
    }


WORDS = (
    "the and to of my thou with not what good lord king night sweet heart hand come speak love death honour "
    "father brother crown sword grace fear blood world heaven pray know must shall here there away noble"
).split()


def tiny_shakespeare() -> str:
    """Speeches of random words: a name, a colon, lines, an empty line."""
    rng = np.random.default_rng(1623)
    speakers = ["KING:", "QUEEN:", "First Citizen:", "MESSENGER:", "NURSE:"]
    speeches: list[str] = []
    length = 0
    while length < 200_000:
        lines = [" ".join(rng.choice(WORDS, rng.integers(5, 9))).capitalize() for _ in range(rng.integers(1, 6))]
        speech = f"{rng.choice(speakers)}\n" + ",\n".join(lines) + ".\n\n"
        speeches.append(speech)
        length += len(speech)
    return "".join(speeches)


SPAM = "WINNER! prize claim call now free reply STOP urgent cash ringtone offer txt 150p www mobile £1000".split()
HAM = "ok see you later at home lol going sleep lunch tomorrow sorry call when dinner love meeting work bus".split()


def sms_spam() -> Columns:
    """Messages of words that lean towards their label, with the real share of spam (747 of 5,574)."""
    rng = np.random.default_rng(2011)
    spam = rng.permutation(np.arange(5574) < 747)
    spam_words, ham_words = np.array(SPAM), np.array(HAM)
    messages = []
    for is_spam in spam:
        length = rng.integers(4, 25)
        # One word in ten comes from the other list, so that no single word decides.
        from_spam = is_spam ^ (rng.random(length) < 0.1)
        words = np.where(from_spam, rng.choice(spam_words, length), rng.choice(ham_words, length))
        messages.append(" ".join(words))
    return {"label": np.where(spam, "spam", "ham"), "message": np.array(messages)}


CHUNKING_TEXTS = ("state_of_the_union", "wikitexts", "chatlogs", "finance", "pubmed")
TEAMS = "harbour railway hospital bakery museum library airport brewery theatre vineyard".split()
TOWNS = "Lisbon Oslo Quito Nairobi Hanoi Perth Boston Kyoto Riga Cusco Dakar Turin".split()
DEEDS = "sold bought painted repaired rented insured moved cleaned measured photographed".split()
THINGS = "ferries pianos tractors lanterns carpets bicycles telescopes ovens violins tents".split()


def chunking_text(corpus: str) -> str:
    """Paragraphs of facts, with three sentences of random words behind each."""
    rng = np.random.default_rng(CHUNKING_TEXTS.index(corpus))
    pairs = [(team, town) for team in TEAMS for town in TOWNS]
    sentences = []
    for number in rng.permutation(len(pairs)):
        team, town = pairs[number]
        deed, thing = rng.choice(DEEDS), rng.choice(THINGS)
        sentences.append(f"The {team} of {town} {deed} {rng.integers(2, 90)} {thing} in {rng.integers(1950, 2020)}.")
        for _ in range(3):
            sentences.append(f"{' '.join(rng.choice(WORDS, rng.integers(8, 16))).capitalize()}.")
    return "\n\n".join(" ".join(sentences[start : start + 8]) for start in range(0, len(sentences), 8))


def chunking_questions() -> Columns:
    """For every fact of every text, what was done; the answer is the sentence of the fact."""
    found = [(corpus, match) for corpus in CHUNKING_TEXTS for match in _FACT.finditer(chunking_text(corpus))]
    return {
        "question": np.array([f"What did the {fact[1]} of {fact[2]} do?" for _, fact in found]),
        "corpus": np.array([corpus for corpus, _ in found]),
        "start": np.array([fact.start() for _, fact in found]),
        "end": np.array([fact.end() for _, fact in found]),
    }


_FACT = re.compile(r"The (\w+) of (\w+) \w+ \d+ [^.]*\.")


def mnist_5k() -> Columns:
    """The digits that come with scikit-learn, each pixel of 8 × 8 enlarged to 3 × 3, with a border of two."""
    from sklearn.datasets import load_digits

    flat, digit = load_digits(return_X_y=True)
    images = np.asarray(flat).reshape(-1, 8, 8)
    large = np.kron(images, np.ones((1, 3, 3))) * 255 / 16
    return {"pixels": np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8), "digit": np.asarray(digit).astype(int)}


def cranfield() -> Columns:
    """1,400 documents and 225 questions, as many as in the real collection."""
    return _test_collection(1400, 225, seed=1967)


def cisi() -> Columns:
    """1,460 documents and 112 questions, as many as in the real collection."""
    return _test_collection(1460, 112, seed=1983)


def _test_collection(documents: int, questions: int, seed: int, topics: int = 40) -> Columns:
    """Texts of made-up words, each about one of four aspects of a topic; a question is answered by those of its own.

    A topic has 40 words, of which a text has many, and an aspect five, of which a text has two: what occurs together
    tells the topic, and only a word shared with the question tells the aspect.
    """
    rng = np.random.default_rng(seed)
    syllables = np.array([consonant + vowel for consonant in "bdfglmnprstvz" for vowel in "aeiou"])
    words = np.unique(["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(topics * 100)])
    own = rng.permutation(words)[: topics * 60].reshape(topics, 60)
    about = rng.integers(topics * 4, size=documents)
    texts = []
    for topic, aspect in zip(about // 4, about % 4, strict=True):
        length = rng.integers(30, 200)
        from_topic = rng.random(length) < 0.2
        drawn = np.where(from_topic, rng.choice(own[topic, :40], length), rng.choice(words, length))
        texts.append(" ".join([*drawn, *rng.choice(own[topic, 40:].reshape(4, 5)[aspect], 2, replace=False)]))
    asked = rng.choice(about, questions)
    queries = []
    for one in asked:
        topic_words, aspect_words = own[one // 4, :40], own[one // 4, 40:].reshape(4, 5)[one % 4]
        drawn = [*rng.choice(topic_words, 3), *rng.choice(aspect_words, 1), *rng.choice(words, 3)]
        queries.append(" ".join(drawn))
    by_query, by_document = np.nonzero(asked[:, None] == about)
    return {
        "text": np.array(texts),
        "query": np.array(queries),
        "judged_query": by_query,
        "judged_document": by_document,
        "gain": np.ones(len(by_query)),
    }


def squad2() -> Columns:
    """25 paragraphs of five sentences in each of 12 articles, of made-up words, and four questions on each.

    A question has three words of one sentence and its answer is a fourth. For every other one, a word is then replaced
    by one of another sentence of the paragraph, as people do who write questions that look answerable; nothing answers.
    """
    rng = np.random.default_rng(2018)
    syllables = np.array([consonant + vowel for consonant in "bdfglmnprstvz" for vowel in "aeiou"])
    words = np.unique(["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(2000)])
    texts, questions, paragraphs, answers = [], [], [], []
    for row in range(300):
        of_sentence = rng.choice(words, (5, 12), replace=False)
        texts.append(" ".join(" ".join(said).capitalize() + "." for said in of_sentence))
        for number in range(4):
            about = int(rng.integers(5))
            places = rng.choice(12, 4, replace=False)
            *asked, answer = of_sentence[about, places]
            if number % 2:
                asked[0] = of_sentence[(about + 1) % 5, 0]
            questions.append(f"What is {' '.join(asked)}?")
            paragraphs.append(row)
            answers.append("" if number % 2 else answer)
    return {
        "question": np.array(questions),
        "paragraph": np.array(paragraphs),
        "answers": np.array(answers),
        "text": np.array(texts),
        "article": np.repeat([f"Article {number}" for number in range(1, 13)], 25),
    }
