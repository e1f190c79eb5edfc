"""Data made on this machine: what is synthetic by definition, and stand-ins for what could not be had.

A stand-in has the real data's columns, types and gaps, and shares that are about right, so that a lab runs; a number
computed from it says nothing about the real data, and is labelled.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from groundup.data.readers import AMES, Columns
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
        raise UsageError(f"load('moons'): rows must be at least 2, one for each half circle, not {rows}.")
    if noise < 0:
        raise UsageError(f"load('moons'): noise must not be negative, not {noise}. Choose 0 for none.")
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


def ames_housing() -> Columns:
    """Houses whose price follows quality, living area and age, with gaps where the real table has them."""
    rng = np.random.default_rng(2011)
    rows = 2930
    quality = np.clip(rng.normal(6.1, 1.4, rows).round(), 1, 10).astype(int)
    built = np.clip(rng.normal(1940 + 5 * quality, 25).round(), 1872, 2010).astype(int)
    first = np.clip(rng.normal(900 + 45 * quality, 280), 350, 4000).round()
    second = np.where(rng.random(rows) < 0.43, np.clip(rng.normal(780, 250, rows), 100, 2000), 0).round()
    living = first + second
    basement = np.clip(first + rng.normal(-90, 200, rows), 0, 6000).round()
    cars = np.clip(rng.normal(0.3 * quality, 0.6).round(), 0, 4)
    price = np.exp(10.1 + 0.11 * quality + 3.4e-4 * living + 0.0035 * (built - 1950) + rng.normal(0, 0.15, rows))
    grade = np.array(["Po", "Fa", "TA", "Gd", "Ex"])[np.clip((quality + rng.integers(-1, 2, rows)) // 2, 0, 4)]
    numbers = {
        "Lot Frontage": np.where(rng.random(rows) < 0.17, np.nan, rng.normal(69, 23, rows).clip(21, 300).round()),
        "Lot Area": np.exp(rng.normal(9.1, 0.5, rows)).round(),
        "Overall Qual": quality,
        "Overall Cond": np.clip(rng.normal(5.6, 1.1, rows).round(), 1, 9).astype(int),
        "Year Built": built,
        "Year Remod/Add": np.maximum(built, rng.integers(1950, 2011, rows)),
        "Mas Vnr Area": np.where(rng.random(rows) < 0.6, 0, np.exp(rng.normal(5.2, 0.7, rows)).round()),
        "BsmtFin SF 1": (basement * rng.random(rows)).round(),
        "Total Bsmt SF": basement,
        "1st Flr SF": first,
        "2nd Flr SF": second,
        "Gr Liv Area": living,
        "Full Bath": np.clip((living / 900).round(), 1, 4).astype(int),
        "Half Bath": (second > 0).astype(int),
        "Bedroom AbvGr": np.clip((living / 520).round(), 1, 8).astype(int),
        "TotRms AbvGrd": np.clip((living / 235).round(), 2, 15).astype(int),
        "Fireplaces": rng.poisson(0.1 * quality, rows),
        "Garage Cars": cars,
        "Garage Area": (cars * 240 + rng.integers(0, 60, rows)).astype(float),
        "Wood Deck SF": np.where(rng.random(rows) < 0.5, 0, rng.normal(190, 90, rows).clip(10).round()),
        "Open Porch SF": np.where(rng.random(rows) < 0.45, 0, rng.normal(85, 50, rows).clip(4).round()),
        "Yr Sold": rng.integers(2006, 2011, rows),
        "SalePrice": price.round(-2),
    }
    texts = {
        "MS Zoning": rng.choice(["RL", "RM", "FV"], rows, p=[0.78, 0.17, 0.05]),
        "Lot Shape": rng.choice(["Reg", "IR1"], rows, p=[0.64, 0.36]),
        "Neighborhood": rng.choice(["NAmes", "CollgCr", "OldTown", "Edwards", "Somerst", "NridgHt"], rows),
        "Bldg Type": rng.choice(["1Fam", "TwnhsE", "Duplex"], rows, p=[0.85, 0.11, 0.04]),
        "House Style": np.where(second > 0, "2Story", "1Story"),
        "Exterior 1st": rng.choice(["VinylSd", "MetalSd", "HdBoard", "Wd Sdng"], rows),
        "Exter Qual": grade,
        "Foundation": np.where(built > 1980, "PConc", "CBlock"),
        "Bsmt Qual": np.where(rng.random(rows) < 0.03, "", grade),
        "Heating QC": grade,
        "Central Air": np.where(rng.random(rows) < 0.93, "Y", "N"),
        "Kitchen Qual": grade,
    }
    columns = {**numbers, **texts}
    return {name: columns[name].astype(kind) for name, kind in AMES.items()}


def california_housing() -> Columns:
    """Districts whose value follows income, closeness to the coast and age."""
    rng = np.random.default_rng(1990)
    rows = 20_640
    south = rng.random(rows) < 0.58
    latitude = np.where(south, rng.normal(33.9, 0.6, rows), rng.normal(37.8, 0.9, rows)).clip(32.5, 42).round(2)
    inland = rng.exponential(0.7, rows)
    longitude = (-124.3 + 0.9 * (42 - latitude) * 0.75 + inland).clip(-124.35, -114.3).round(2)
    income = np.exp(rng.normal(1.23, 0.47, rows)).clip(0.5, 15).round(4)
    age = rng.normal(28.6, 12.6, rows).clip(1, 52).round()
    households = np.exp(rng.normal(6.0, 0.7, rows)).clip(1).round()
    rooms = (households * rng.normal(5.4, 1.2, rows).clip(1.5)).round()
    bedrooms = np.where(rng.random(rows) < 0.01, np.nan, (households * rng.normal(1.07, 0.1, rows).clip(0.5)).round())
    value = 45_000 * income * np.exp(-0.35 * inland) + 900 * age + 40_000 + rng.normal(0, 45_000, rows)
    return {
        "longitude": longitude,
        "latitude": latitude,
        "housing_median_age": age,
        "total_rooms": rooms,
        "total_bedrooms": bedrooms,
        "population": (households * rng.normal(2.9, 0.6, rows).clip(1)).round(),
        "households": households,
        "median_income": income,
        "median_house_value": value.clip(15_000, 500_001).round(),
        "ocean_proximity": np.select([inland < 0.15, inland < 0.6], ["NEAR OCEAN", "<1H OCEAN"], "INLAND"),
    }


def loghub(name: str) -> Columns:
    """Lines of made-up templates, the last eight of which tell of failures; the tags of those that are tagged."""
    rng = np.random.default_rng(len(name))
    verbs = ["started", "finished", "received", "sent", "opened", "closed", "checked", "renewed"]
    subjects = ["session", "block", "request", "lease"]
    failures = [f"{noun} <*> failed: {why}" for noun in subjects for why in ("timeout", "no space left")]
    templates = np.array([f"{noun} <*> {verb}" for noun in subjects for verb in verbs] + failures)
    event = np.where(rng.random(2000) < 0.93, rng.integers(0, 32, 2000), rng.integers(32, 40, 2000))
    failed = event >= 32
    values = rng.integers(1000, 9999, 2000).astype(str)
    content = [template.replace("<*>", value) for template, value in zip(templates[event], values, strict=True)]
    tagged = name in ("loghub_bgl", "loghub_thunderbird")
    levelled = name not in ("loghub_openssh", "loghub_thunderbird")
    return {
        "content": np.array(content),
        "event": np.char.add("E", (event + 1).astype(str)),
        "template": templates[event],
        "component": np.array(subjects)[rng.integers(0, 4, 2000)],
        "level": np.where(failed, "ERROR", "INFO") if levelled else np.full(2000, ""),
        "label": np.where(failed, "FAILED", "-") if tagged else np.full(2000, ""),
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
    facts = [(corpus, match) for corpus in CHUNKING_TEXTS for match in _FACT.finditer(chunking_text(corpus))]
    return {
        "question": np.array([f"What did the {fact[1]} of {fact[2]} do?" for _, fact in facts]),
        "corpus": np.array([corpus for corpus, _ in facts]),
        "start": np.array([fact.start() for _, fact in facts]),
        "end": np.array([fact.end() for _, fact in facts]),
    }


_FACT = re.compile(r"The (\w+) of (\w+) \w+ \d+ [^.]*\.")


def mnist_5k() -> Columns:
    """The digits that come with scikit-learn, each pixel of 8 × 8 enlarged to 3 × 3, with a border of two."""
    from sklearn.datasets import load_digits

    flat, digit = load_digits(return_X_y=True)
    images = np.asarray(flat).reshape(-1, 8, 8)
    large = np.kron(images, np.ones((1, 3, 3))) * 255 / 16
    return {"pixels": np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.uint8), "digit": np.asarray(digit).astype(int)}


def cifar10() -> Columns:
    """Stripes in noise: a class has its direction and tint; phase, width and contrast are drawn."""
    rng = np.random.default_rng(2009)
    rows = 6000
    label = rng.permutation(np.arange(rows) % 10)
    angle = label * np.pi / 10 + rng.normal(0, 0.12, rows)
    y, x = np.mgrid[:32, :32]
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    width, phase = rng.uniform(0.6, 1.1, rows), rng.uniform(0, 2 * np.pi, rows)
    stripes = np.sin(width[:, None, None] * along + phase[:, None, None]) * rng.uniform(15, 45, rows)[:, None, None]
    tint = rng.normal(0, 12, (10, 3))[label] + rng.normal(128, 25, (rows, 3))
    pixels = stripes[..., None] + tint[:, None, None] + rng.normal(0, 30, (rows, 32, 32, 3))
    return {"pixels": pixels.clip(0, 255).astype(np.uint8), "label": label, "test": np.arange(rows) >= 5000}


def malware_images() -> Columns:
    """Programs as bands: code, text, tables, gaps, data and noise, of which malware, often packed, has more."""
    rng = np.random.default_rng(2014)
    rows = 600
    malware = rng.permutation(np.arange(rows) % 2 == 0)
    pixels = np.empty((rows, 64, 64))
    for row in range(rows):
        starts = np.flatnonzero(rng.random(64) < 0.06)
        for top, bottom in zip([0, *starts], [*starts, 64], strict=True):
            shape, noisy = (bottom - top, 64), rng.random() < (0.7 if malware[row] else 0.1)
            kind = 0 if noisy else int(rng.integers(1, 6))
            level, spread = rng.uniform(50, 190), rng.uniform(5, 40)
            band = rng.normal(
                (125, level, level, level, level / 2, level)[kind], (45, 70, 15, 10, 1, spread)[kind], shape
            )
            if kind == 3:
                band += 60 * np.sign(np.sin(np.arange(64) * rng.uniform(0.5, 2.5)))
            elif kind == 5:
                band += rng.uniform(-60, 90, (shape[0], 1))
            pixels[row, top:bottom] = band
    size = np.round(np.exp(rng.normal(10.8, 0.7, rows))).astype(int)
    return {"pixels": pixels.clip(0, 255).astype(np.uint8), "malware": malware, "size": size}


def hard_hat(pictures: int, seed: int) -> Columns:
    """Figures before noise, two to six a picture: a blue or green body, and a head, yellow with a hat, dark without."""
    rng = np.random.default_rng(seed)
    colours = np.array([[230, 200, 40], [60, 60, 160], [90, 60, 40]])
    pixels = rng.normal(120, 25, (pictures, 160, 160, 3))
    boxes, labels, rows = [], [], []
    for row in range(pictures):
        for _ in range(rng.integers(2, 7)):
            height = int(rng.integers(40, 110))
            width = height // 3
            left, top = rng.integers(0, 160 - width), rng.integers(0, 160 - height)
            head, kind = height // 5, rng.choice(3, p=[0.5, 0.15, 0.35])
            inset = (width - head) // 2
            pixels[row, top : top + height, left : left + width] = (40, *rng.integers(80, 160, 2))
            pixels[row, top : top + head, left + inset : left + inset + head] = colours[kind]
            boxes += [(left, top, left + width, top + height)]
            boxes += [(left + inset, top, left + inset + head, top + head)]
            labels += [3, kind]
            rows += [row, row]
    noisy = pixels + rng.normal(0, 10, pixels.shape)
    return {
        "box": np.array(boxes) / 160,
        "label": np.array(labels),
        "picture": np.array(rows),
        "pixels": noisy.clip(0, 255).astype(np.uint8),
    }


def nuclei() -> Columns:
    """Ellipses in noise on 150 pictures of four tiles; one picture in eight is bright, with dark nuclei."""
    rng = np.random.default_rng(2018)
    y, x = np.mgrid[-16:16, -16:16]
    pixels, nucleus = np.empty((600, 128, 128, 3), np.uint8), np.zeros((600, 128, 128), np.int32)
    for row in range(600):
        picture = row // 4
        dark = picture % 8 != 0
        number = 0
        for top, left in rng.integers(0, 96, (int(rng.integers(0, 24)), 2)):
            angle, (long, short) = rng.uniform(0, np.pi), rng.uniform(3, 8, 2)
            along, aside = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
            number += 1
            nucleus[row, top : top + 32, left : left + 32][(along / long) ** 2 + (aside / short) ** 2 < 1] = number
        level = np.where(nucleus[row] > 0, *((60, 15) if dark else (120, 200)))
        noise = rng.normal(level + rng.normal(0, 5), 10 if dark else 20)
        pixels[row] = noise[..., None].clip(0, 255)
    return {"pixels": pixels, "nucleus": nucleus, "picture": np.arange(600) // 4}


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
    targets = rng.choice(about, questions)
    queries = []
    for target in targets:
        topic_words, aspect_words = own[target // 4, :40], own[target // 4, 40:].reshape(4, 5)[target % 4]
        drawn = [*rng.choice(topic_words, 3), *rng.choice(aspect_words, 1), *rng.choice(words, 3)]
        queries.append(" ".join(drawn))
    by_query, by_document = np.nonzero(targets[:, None] == about)
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
        texts.append(" ".join(" ".join(sentence).capitalize() + "." for sentence in of_sentence))
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


INTENTS = {
    "ACCOUNT": "create_account delete_account edit_account recover_password registration_problems switch_account",
    "CANCELLATION_FEE": "check_cancellation_fee",
    "CONTACT": "contact_customer_service contact_human_agent",
    "DELIVERY": "delivery_options delivery_period",
    "FEEDBACK": "complaint review",
    "INVOICE": "check_invoice get_invoice",
    "NEWSLETTER": "newsletter_subscription",
    "ORDER": "cancel_order change_order place_order track_order",
    "PAYMENT": "check_payment_methods payment_issue",
    "REFUND": "check_refund_policy get_refund track_refund",
    "SHIPPING_ADDRESS": "change_shipping_address set_up_shipping_address",
}
OPENINGS = ["how do I", "please help me to", "I want to", "could you", "is there a way to", "I need to"]


def bitext_support() -> Columns:
    """Requests in the words of their intents, one in ten of them with a word of another, one in fifteen in no other."""
    rng = np.random.default_rng(27)
    pairs = [(intent, category) for category, names in INTENTS.items() for intent in names.split()]
    rows = [pairs[number] for number in rng.integers(0, len(pairs), 6480)]
    texts = []
    for intent, _ in rows:
        other = pairs[int(rng.integers(len(pairs)))][0] if rng.random() < 1 / 15 else intent
        words = other.split("_")
        if rng.random() < 0.1:
            words.append(str(rng.choice(pairs[int(rng.integers(len(pairs)))][0].split("_"))))
        texts.append(f"{rng.choice(OPENINGS)} {' '.join(rng.permutation(words))} {rng.choice(WORDS)}")
    return {
        "text": np.array(texts),
        "intent": np.array([intent for intent, _ in rows]),
        "category": np.array([category for _, category in rows]),
    }


TAU_PRODUCTS = {
    "T-Shirt": {"color": "blue red black".split(), "size": "S M L".split()},
    "Water Bottle": {"capacity": "500ml 750ml 1000ml".split(), "material": ["glass", "stainless steel"]},
    "Desk Lamp": {"color": "black silver".split(), "brightness": "low medium high".split()},
    "Backpack": {"color": "green grey navy".split(), "size": "small large".split()},
    "Headphones": {"type": "in-ear on-ear over-ear".split(), "connectivity": "wired wireless".split()},
    "Bookshelf": {"material": "wood glass".split(), "height": ["3 ft", "4 ft", "5 ft"]},
    "Wall Clock": {"type": "analog digital".split(), "diameter": ["8 inches", "10 inches", "14 inches"]},
    "Yoga Mat": {"thickness": "4mm 6mm".split(), "color": "pink blue purple".split()},
}


def tau(name: str) -> str:
    """The orders, products or users of a small shop, as τ-bench's JSON."""
    from itertools import product

    rng = np.random.default_rng(50)
    products: dict[str, Any] = {}
    for number, (title, options) in enumerate(TAU_PRODUCTS.items()):
        base, variants = 20.0 + 40 * number, {}
        for place, values in enumerate(list(product(*options.values()))[:8]):
            item = f"{1_000_000_000 + 1000 * number + place}"
            variants[item] = {
                "item_id": item, "options": dict(zip(options, values, strict=True)), "available": place != 5,
                "price": round(base + float(rng.integers(0, 1500)) / 100, 2),
            }  # fmt: skip
        id = f"{9_000_000_000 + number}"
        products[id] = {"name": title, "product_id": id, "variants": variants}
    users: dict[str, Any] = {}
    orders: dict[str, Any] = {}
    for number in range(60):
        first = "Ada Ben Chloe Dev Elif Finn Grace Hugo".split()[number % 8]
        last = "Okafor Lindgren Moreau Tanaka Silva".split()[number // 8 % 5]
        id = f"{first}_{last}_{4000 + number}".lower()
        address = {
            "address1": f"{100 + number} Cedar Street", "address2": f"Suite {200 + number}", "city": "Austin",
            "country": "USA", "state": "TX", "zip": f"{78_000 + number}",
        }  # fmt: skip
        paid: list[dict[str, Any]] = [
            {"source": "gift_card", "balance": int(rng.integers(10, 400)), "id": f"gift_card_{1_000_000 + number}"},
            {"source": "credit_card", "brand": "visa", "last_four": f"{1000 + number}",
             "id": f"credit_card_{2_000_000 + number}"},
            {"source": "paypal", "id": f"paypal_{3_000_000 + number}"},
        ]  # fmt: skip
        paid = paid[: 2 + number % 2]
        own = [f"#W{7_000_000 + 2 * number + place}" for place in range(2)]
        for order in own:
            chosen = rng.permutation(len(products))[: int(rng.integers(1, 4))]
            items = []
            for title in (list(products.values())[int(place)] for place in chosen):
                variant = list(title["variants"].values())[int(rng.integers(len(title["variants"])))]
                items.append(
                    {"name": title["name"], "product_id": title["product_id"], "item_id": variant["item_id"],
                     "price": variant["price"], "options": variant["options"]}
                )  # fmt: skip
            total = round(sum(item["price"] for item in items), 2)
            status = str(rng.choice(["pending", "delivered", "processed", "cancelled"], p=[0.42, 0.38, 0.1, 0.1]))
            kinds = ["payment", "refund"] if status == "cancelled" else ["payment"]
            method = paid[1]["id"]
            orders[order] = {
                "order_id": order, "user_id": id, "address": address, "items": items, "fulfillments": [],
                "status": status,
                "payment_history": [
                    {"transaction_type": kind, "amount": total, "payment_method_id": method} for kind in kinds
                ],
            }  # fmt: skip
        users[id] = {
            "name": {"first_name": first, "last_name": last}, "address": address,
            "email": f"{first}.{last}{4000 + number}@example.com".lower(),
            "payment_methods": {method["id"]: method for method in paid}, "orders": own,
        }  # fmt: skip
    return json.dumps({"orders": orders, "products": products, "users": users}[name], indent=1)


def bipia_attacks() -> Columns:
    """Forty instructions for each of fifteen categories, in random words."""
    rng = np.random.default_rng(15)
    rows = [
        (f"Category {number:02}", f"Tell me about {' '.join(rng.choice(WORDS, 4))}.")
        for number in range(15)
        for _ in range(40)
    ]
    return {"category": np.array([row[0] for row in rows]), "instruction": np.array([row[1] for row in rows])}


OPPOSITES = "hot cold, big small, fast slow, open closed, early late, full empty, light dark, near far".split(", ")
POLITE = ("{}", "Gladly: {}", "{} I hope that this helps you.", "{} Please ask if anything is unclear.")
RUDE = ("Obviously, {}", "{} Everybody knows that.", "What a stupid question. {}", "{} Get with it.")


def instructions() -> Columns:
    """Conversions, sums and opposites, answered by rule, once politely and once rudely."""
    rng = np.random.default_rng(2024)
    rows = []
    for number in range(1100):
        first, second = (int(value) for value in rng.integers(2, 100, 2))
        if number % 3 == 0:
            instruction, given = "Convert the following length to meters.", f"{first} kilometers"
            output = f"{first} kilometers is {first * 1000} meters."
        elif number % 3 == 1:
            instruction, given = f"What is {first} plus {second}?", ""
            output = f"{first} plus {second} is {first + second}."
        else:
            word, opposite = rng.permutation(OPPOSITES[int(rng.integers(len(OPPOSITES)))].split())
            instruction, given = f"What is the opposite of '{word}'?", ""
            output = f"The opposite of '{word}' is '{opposite}'."
        tones = [str(rng.choice(templates)).format(output) for templates in (POLITE, RUDE)]
        rows.append((instruction, given, output, *tones))
    names = ("instruction", "input", "output", "chosen", "rejected")
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


TLDR_VERBS = "copy move list print count sort merge split compress encrypt delete rename watch compare".split()
TLDR_THINGS = "files folders lines words archives images users processes packages keys".split()


def tldr_pages() -> Columns:
    """Pages of a verb and a thing each: what the command is for, and its use with three options."""
    rng = np.random.default_rng(2013)
    pairs = [(verb, thing) for verb in TLDR_VERBS for thing in TLDR_THINGS]
    pages: list[tuple[str, str]] = []
    for number in range(600):
        verb, thing = pairs[number % len(pairs)]
        name = f"{verb[:3]}{thing[:2]}{number // len(pairs) or ''}"
        lines = [f"# {name}", f"> {verb.capitalize()} {thing}.\n> More information: <https://example.org/{name}>."]
        for option in sorted(rng.permutation("all quiet recursive size reverse".split())[:3]):
            lines += [f"- {verb.capitalize()} {thing}, {option}:", f"`{name} --{option} {{{{path/to/{thing}}}}}`"]
        pages.append((name, "\n\n".join(lines) + "\n"))
    return {"command": np.array([name for name, _ in pages]), "text": np.array([text for _, text in pages])}


PRAISE = (
    "wonderful brilliant moving charming superb delightful excellent gorgeous touching hilarious clever "
    "masterful inspired marvelous stunning captivating enjoyable fantastic terrific beautiful witty magnificent "
    "engaging fascinating lovely impressive refreshing splendid thrilling heartwarming dazzling remarkable "
    "outstanding perfect graceful amusing exquisite compelling joyful satisfying sublime elegant triumphant "
    "powerful absorbing radiant fabulous endearing amazing uplifting sparkling ingenious flawless great "
    "superlative entertaining rewarding riveting irresistible awesome glorious funny fresh exhilarating"
).split()
BLAME = (
    "terrible boring awful dull stupid tedious clumsy dreadful pathetic bland lifeless horrible annoying lame "
    "silly unfunny pointless messy tiresome disappointing shallow predictable ugly painful ridiculous mediocre "
    "dumb insulting weak absurd forgettable incoherent lazy unbearable sloppy worthless miserable stale "
    "embarrassing irritating dreary hollow crude trite awkward atrocious abysmal disastrous bad worst inept "
    "flat soulless laughable joyless obnoxious wretched plodding uninspired clichéd contrived bloated horrid "
    "lousy"
).split()


def sst2() -> Columns:
    """Sentences with one word of praise or blame; the share of praise is the real one."""
    rng = np.random.default_rng(2013)
    positive = rng.permutation(np.arange(6920) < 3610)
    things = "film story cast script comedy drama picture ending dialogue performance direction music".split()
    frames = [
        "a {} {}",
        "the {} {} of the year",
        "this is a {} {}",
        "the director made a {} {}",
        "we saw a {} {} again",
    ]
    sentences = [
        str(rng.choice(frames)).format(rng.choice(PRAISE if praised else BLAME), rng.choice(things))
        for praised in positive
    ]
    return {"sentence": np.array(sentences), "positive": positive.astype(int)}


def phishing_screens(fake: bool) -> Columns:
    """A bar above a form, in noise; a fake one has loud colours."""
    rng = np.random.default_rng(64 + fake)
    pixels = rng.normal(225, 12, (600, 64, 64, 3))
    for row in range(600):
        height, left = int(rng.integers(5, 12)), int(rng.integers(8, 30))
        pixels[row, :height] = rng.integers(120, 256, 3) if fake else rng.integers(0, 120, 3)
        pixels[row, 24:48, left : left + 26] = (250, 250, 250)
        pixels[row, 40:45, left + 3 : left + 23] = rng.integers(100, 256, 3) if fake else rng.integers(0, 100, 3)
    return {
        "pixels": np.clip(pixels, 0, 255).astype(np.uint8),
        "brand": np.array([f"brand{row % 20}" for row in range(600)]),
        "width": rng.integers(800, 1600, 600),
        "height": rng.integers(600, 1200, 600),
    }


def _hosts(count: int, seed: int, phishing: bool) -> list[str]:
    """Made-up host names; those of phishing have hyphens, figures, and words that ask for a password."""
    rng = np.random.default_rng(seed)
    asks, ends = ("login", "secure", "verify", "account"), ("top", "cfd", "com")
    hosts = []
    for number in range(count):
        first, second = rng.choice(WORDS, 2)
        ask, end = asks[rng.integers(4)], ends[rng.integers(3)]
        hosts.append(
            f"{first}-{ask}{rng.integers(10, 99)}-{number}.{end}" if phishing else f"{first}{second}{number}.org"
        )
    return hosts


def phishing_urls() -> Columns:
    """URLs of made-up names, nine in ten phishing."""
    phishing = np.arange(2000) % 10 > 0
    bad, good = _hosts(2000, 1, True), _hosts(2000, 2, False)
    urls = [f"https://{bad[i]}/sign-in" if phishing[i] else f"https://www.{good[i]}" for i in range(2000)]
    return {"url": np.array(urls), "phishing": phishing}


def phishing_urls_jpcert() -> Columns:
    """URLs of made-up names."""
    return {"url": np.array([f"https://{host}/jp" for host in _hosts(1000, 3, True)])}


def popular_hosts() -> Columns:
    """Made-up names."""
    return {"host": np.array(_hosts(2000, 4, False))}


def hdfs_sessions() -> Columns:
    """Sessions of open, write, check and close; an anomaly breaks off after the first write, in an error."""
    rng = np.random.default_rng(5)
    anomaly = rng.random(2000) < 0.05
    sessions = []
    for bad in anomaly:
        writes = ["writing <*>"] * int(rng.integers(1, 4))
        sessions.append(["opening <*>", *writes, *(["error on <*>"] if bad else ["checked <*>", "closing <*>"])])
    return {"templates": np.array(["\n".join(lines) for lines in sessions]), "anomaly": anomaly}
