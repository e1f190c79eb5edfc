"""From a dataset's bytes to NumPy columns, or to a text."""

from __future__ import annotations

import csv
import gzip
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Columns = dict[str, np.ndarray]

TITANIC: Mapping[str, type] = {
    "PassengerId": int,
    "Survived": int,
    "Pclass": int,
    "Name": str,
    "Sex": str,
    "Age": float,
    "SibSp": int,
    "Parch": int,
    "Ticket": str,
    "Fare": float,
    "Cabin": str,
    "Embarked": str,
}
"""The columns of Titanic. Missing numbers are NaN (Age), missing texts empty (Cabin, Embarked)."""


AMES: Mapping[str, type] = {
    "MS Zoning": str,
    "Lot Frontage": float,
    "Lot Area": float,
    "Lot Shape": str,
    "Neighborhood": str,
    "Bldg Type": str,
    "House Style": str,
    "Overall Qual": int,
    "Overall Cond": int,
    "Year Built": int,
    "Year Remod/Add": int,
    "Exterior 1st": str,
    "Mas Vnr Area": float,
    "Exter Qual": str,
    "Foundation": str,
    "Bsmt Qual": str,
    "BsmtFin SF 1": float,
    "Total Bsmt SF": float,
    "Heating QC": str,
    "Central Air": str,
    "1st Flr SF": float,
    "2nd Flr SF": float,
    "Gr Liv Area": float,
    "Full Bath": int,
    "Half Bath": int,
    "Bedroom AbvGr": int,
    "Kitchen Qual": str,
    "TotRms AbvGrd": int,
    "Fireplaces": int,
    "Garage Cars": float,
    "Garage Area": float,
    "Wood Deck SF": float,
    "Open Porch SF": float,
    "Yr Sold": int,
    "SalePrice": float,
}
"""The columns of Ames that are read. Missing numbers are NaN, missing texts empty."""

CALIFORNIA: Mapping[str, type] = {
    "longitude": float,
    "latitude": float,
    "housing_median_age": float,
    "total_rooms": float,
    "total_bedrooms": float,
    "population": float,
    "households": float,
    "median_income": float,
    "median_house_value": float,
    "ocean_proximity": str,
}
"""The columns of California's districts; income in 10,000 dollars, values in dollars, cut off at 500,001."""


INSTRUCTIONS = ("instruction", "input", "output", "chosen", "rejected")
"""The columns of the instructions."""


CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The classes of CIFAR-10; a label is a place in this list."""


HARD_HAT = ("hard_hat", "no_hard_hat", "no_head_wear", "person")
"""The classes of the hard hats; a label is a place in this list. The first three are heads."""


def titanic(path: Path) -> Columns:
    """The passenger table: `TITANIC` names the columns."""
    return _table(path, TITANIC)


def ames_housing(path: Path) -> Columns:
    """The houses: `AMES` names the columns."""
    return _table(path, AMES)


def california_housing(path: Path) -> Columns:
    """The districts: `CALIFORNIA` names the columns."""
    return _table(path, CALIFORNIA)


def loghub(path: Path) -> Columns:
    """A row for each line: `content`, its `event` and `template`, `component`, `level`, and `label`.

    A column that a system does not write is empty. `label` is the operators' tag of an alert, or `-`.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {"content": "Content", "event": "EventId", "template": "EventTemplate", "component": "Component"}
    names |= {"level": "Level", "label": "Label"}
    return {name: np.array([row.get(column, "") for row in rows]) for name, column in names.items()}


def _table(path: Path, kinds: Mapping[str, type]) -> Columns:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: _column([row[name].strip() for row in rows], kind) for name, kind in kinds.items()}


def _column(values: list[str], kind: type) -> np.ndarray:
    if kind is float:
        return np.array([float(value) if value else np.nan for value in values])
    return np.array([kind(value) for value in values])


def sms_spam(path: Path) -> Columns:
    """`label` ("ham" or "spam") and `message`."""
    lines = path.read_text(encoding="utf-8").split("\n")
    pairs = [line.split("\t", 1) for line in lines if line]
    return {"label": np.array([p[0] for p in pairs]), "message": np.array([p[1] for p in pairs])}


def sst2(path: Path) -> Columns:
    """`sentence`, and `positive`, which is 1 or 0."""
    lines = path.read_text(encoding="utf-8").split("\n")
    pairs = [line.split("\t") for line in lines if line]
    return {"sentence": np.array([p[0] for p in pairs]), "positive": np.array([int(p[1]) for p in pairs])}


def chunking_questions(path: Path) -> Columns:
    """A row for each span that answers a question: `question`, `corpus`, and `start` and `end` in characters."""
    with path.open(encoding="utf-8", newline="") as file:
        asked = list(csv.DictReader(file))
    spans = [(row["question"], row["corpus_id"], span) for row in asked for span in json.loads(row["references"])]
    return {
        "question": np.array([question for question, _, _ in spans]),
        "corpus": np.array([corpus for _, corpus, _ in spans]),
        "start": np.array([span["start_index"] for _, _, span in spans]),
        "end": np.array([span["end_index"] for _, _, span in spans]),
    }


def mnist_5k(path: Path) -> Columns:
    """`pixels` of shape (5000, 28, 28), uint8, and `digit`."""
    with gzip.open(path, "rb") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return {"pixels": table[:, :-1].reshape(-1, 28, 28), "digit": table[:, -1].astype(int)}


def cifar10(path: Path) -> Columns:
    """`pixels` of shape (n, 32, 32, 3), uint8, `label`, and `test`: whether a picture belongs to the tests' part.

    The whole has a byte for the label and a plane of 1,024 bytes for each colour, picture after picture, in six files.
    The sample has a JPEG file for each picture, in a folder for each class.
    """
    if path.suffix == ".zip":
        return _cifar10_sample(path)
    parts = []
    with tarfile.open(path) as archive:
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            file = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
            records = np.frombuffer(file.read() if file else b"", dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32)
            parts.append((records, np.full(len(records), name == "test_batch")))
    records = np.concatenate([part for part, _ in parts])
    return {
        "pixels": records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1),
        "label": records[:, 0].astype(int),
        "test": np.concatenate([test for _, test in parts]),
    }


def _cifar10_sample(path: Path) -> Columns:
    import io
    import zipfile

    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names])
    folders = [name.split("/") for name in names]
    return {
        "pixels": pixels,
        "label": np.array([CIFAR10.index(folder) for _, folder, _ in folders]),
        "test": np.array([part == "test" for part, _, _ in folders]),
    }


def malware_images(path: Path) -> Columns:
    """`pixels` of shape (n, 64, 64), uint8, `malware`, a bool, and `size` of the program in bytes."""
    with np.load(path, allow_pickle=False) as arrays:
        return {
            "pixels": arrays["x"],
            "malware": arrays["y"].astype(bool),
            "size": arrays["size"].astype(int),
        }


def hard_hat(path: Path) -> Columns:
    """Two tables in one: boxes, and the photographs that they are in, `pixels` of shape (n, 160, 160, 3), uint8.

    A `box` is left, top, right, bottom as shares of the picture; it has a `label` and its `picture`, a row of the other
    table. Some outlines in the files are polygons: the box is the smallest around one.
    """
    import io
    import zipfile

    from PIL import Image

    pixels, boxes, labels, rows = [], [], [], []
    with zipfile.ZipFile(path) as archive:
        for row, name in enumerate(sorted(name for name in archive.namelist() if name.endswith(".jpg"))):
            image = Image.open(io.BytesIO(archive.read(name)))
            image.draft("RGB", (160, 160))  # the JPEG decoder itself reduces, by a power of 2
            pixels.append(np.asarray(image.convert("RGB").resize((160, 160), Image.Resampling.BOX)))
            lines = archive.read(name.replace("/images/", "/labels/").removesuffix("jpg") + "txt").decode()
            for label, *numbers in (line.split() for line in lines.splitlines()):
                boxes.append(_outer_box([float(number) for number in numbers]))
                labels.append(int(label))
                rows.append(row)
    return {
        "box": np.array(boxes),
        "label": np.array(labels),
        "picture": np.array(rows),
        "pixels": np.stack(pixels),
    }


def _outer_box(numbers: list[float]) -> tuple[float, float, float, float]:
    """From four numbers, centre and size, or from the x and y of a polygon's corners."""
    if len(numbers) == 4:
        x, y, width, height = numbers
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def nuclei(path: Path) -> Columns:
    """`pixels` of shape (n, 128, 128, 3), uint8, `nucleus`, a number for each pixel, and the `picture` of each tile.

    In `nucleus` 0 is none, and each nucleus of a picture has a number of its own. A picture is four tiles in a row: the
    upper two, then the lower two, of its first 256 rows and columns.
    """
    import io
    import zipfile

    from PIL import Image

    def tiles(data: bytes) -> list[np.ndarray]:
        window = np.asarray(Image.open(io.BytesIO(data)))[:256, :256]
        return [window[top : top + 128, left : left + 128] for top in (0, 128) for left in (0, 128)]

    with zipfile.ZipFile(path) as archive:
        names = sorted(name.removeprefix("images/") for name in archive.namelist() if name.startswith("images/"))
        pixels = np.stack([tile for name in names for tile in tiles(archive.read(f"images/{name}"))])
        nucleus = np.stack([tile for name in names for tile in tiles(archive.read(f"labels/{name}"))])
    return {"pixels": pixels[..., :3], "nucleus": nucleus.astype(np.int32), "picture": np.arange(len(pixels)) // 4}


def cranfield(path: Path) -> Columns:
    """Documents, questions and judgements; a `gain` from 4, a complete answer, to 1, of minimal interest.

    The file's questions carry numbers with gaps, and its judgements count them 1, 2, 3 …. In its code 1 is best, and
    -1, whose meaning nobody wrote down, is left out. A document's text begins with its title already.
    """
    documents, questions, judged = _smart(path, "cran.all.1400", "cran.qry", "cranqrel")
    known = [(int(query) - 1, int(document) - 1, 5 - int(code)) for query, document, code in judged if code != "-1"]
    return _collection([fields["W"] for fields in documents], [fields["W"] for fields in questions], known)


def cisi(path: Path) -> Columns:
    """Documents, title first, questions, and judgements, each of `gain` 1."""
    documents, questions, judged = _smart(path, "CISI.ALL", "CISI.QRY", "CISI.REL")
    place = {fields["I"]: number for number, fields in enumerate(questions)}
    known = [(place[query], int(document) - 1, 1) for query, document, *_ in judged]
    texts = [f"{fields['T']}\n{fields['W']}" for fields in documents]
    return _collection(texts, [fields["W"] for fields in questions], known)


def _smart(path: Path, *members: str) -> tuple[list[dict[str, str]], list[dict[str, str]], list[list[str]]]:
    """Documents and questions by field (`I` is the number), and the lines of judgements, of a SMART collection."""
    with tarfile.open(path) as archive:
        files = {name: archive.extractfile(name) for name in members}
        documents, questions, judged = (
            file.read().decode("latin-1").replace("\r\n", "\n") if file else "" for file in files.values()
        )
    return _records(documents), _records(questions), [line.split() for line in judged.splitlines() if line.strip()]


def _records(smart: str) -> list[dict[str, str]]:
    """`.I 1` begins a record, `.T`, `.W` and the like a field of it."""
    records = []
    for record in re.split(r"^\.I +", smart, flags=re.MULTILINE)[1:]:
        number, *fields = re.split(r"^\.([A-Z]) *\n", record, flags=re.MULTILINE)
        values = {name: value.strip() for name, value in zip(fields[::2], fields[1::2], strict=True)}
        records.append({"T": "", "W": "", **values, "I": number.strip()})
    return records


def _collection(texts: list[str], queries: list[str], judged: list[tuple[int, int, int]]) -> Columns:
    by_query, by_document, gains = np.array(sorted(set(judged))).T
    return {
        "text": np.array(texts),
        "query": np.array(queries),
        "judged_query": by_query,
        "judged_document": by_document,
        "gain": gains.astype(float),
    }


def squad2(path: Path) -> Columns:
    """Two tables in one: questions, and the paragraphs that they are about, `text` and `article`.

    A question has its `paragraph` (a row of the other table) and `answers`: the different right ones, each on a line of
    its own, or nothing where the paragraph does not answer it.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    paragraphs = [
        (part["context"], article["title"], part["qas"])
        for article in content["data"]
        for part in article["paragraphs"]
    ]
    asked = [(question, row) for row, (_, _, questions) in enumerate(paragraphs) for question in questions]
    answers = [dict.fromkeys(answer["text"] for answer in question["answers"]) for question, _ in asked]
    return {
        "question": np.array([question["question"] for question, _ in asked]),
        "paragraph": np.array([row for _, row in asked]),
        "answers": np.array(["\n".join(different) for different in answers]),
        "text": np.array([text for text, _, _ in paragraphs]),
        "article": np.array([article for _, article, _ in paragraphs]),
    }


def bitext_support(path: Path) -> Columns:
    """`text`, what a customer wrote, with its `intent` and the `category` of the intent."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {"text": "utterance", "intent": "intent", "category": "category"}
    return {name: np.array([row[column] for row in rows]) for name, column in names.items()}


def bipia_attacks(path: Path) -> Columns:
    """`category` and `instruction`."""
    groups = json.loads(path.read_text(encoding="utf-8"))
    pairs = [(category, instruction) for category, instructions in groups.items() for instruction in instructions]
    return {"category": np.array([pair[0] for pair in pairs]), "instruction": np.array([pair[1] for pair in pairs])}


def instructions(path: Path) -> Columns:
    """`instruction`, `input` (often empty), `output`, and `chosen` and `rejected`: the answer in two tones."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {name: np.array([row[name] for row in rows]) for name in INSTRUCTIONS}


SCREEN = 64
"""Pixels along each side of a reduced screenshot."""


def screen(image: Any) -> np.ndarray:
    """A screenshot (a PIL image) as (64, 64, 3), uint8: the part that a window shows, 4 wide and 3 high, reduced.

    The rest of a long page is cut off, so that how high a file is does not tell how it was captured.
    """
    from PIL import Image

    window = image.convert("RGB").crop((0, 0, image.width, min(image.height, max(1, image.width * 3 // 4))))
    return np.asarray(window.resize((SCREEN, SCREEN), Image.Resampling.BOX))


def phishing_screens(path: Path) -> Columns:
    """`pixels` of shape (n, 64, 64, 3), uint8, the `brand`, and the `width` and `height` of the file."""
    import io
    import zipfile

    from PIL import Image

    rows = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith((".png", ".jpg")):
                image = Image.open(io.BytesIO(archive.read(name)))
                rows.append((screen(image), _brand(name), image.width, image.height))
    pixels, brands, widths, heights = zip(*rows, strict=True)
    return {
        "pixels": np.stack(pixels),
        "brand": np.array(brands),
        "width": np.array(widths),
        "height": np.array(heights),
    }


def _brand(name: str) -> str:
    """The brand of a file such as Real/Axis-Bank-Login.png or Fake/Axis2.png: both are `axis`."""
    words = re.sub(r"\d+$", "", name.split("/")[-1].rsplit(".", 1)[0]).lower().strip("-_ ")
    words = "-".join(word for word in re.split(r"[-_ ]+", words) if word not in ("login", "home", "page"))
    if words.startswith("state-bank-of-india"):
        return "sbi"
    generic = ("bank", "central", "federal", "indian", "punjab", "union", "income")  # of several, or no name by itself
    return words if words.split("-")[0] in generic else words.split("-")[0]


def phishing_urls(path: Path) -> Columns:
    """`url` and `phishing`, a bool. The file's other columns are left out: see docs/sentinel.md."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {"url": np.array([r["url"] for r in rows]), "phishing": np.array([r["label"] == "0" for r in rows])}


def phishing_urls_jpcert(path: Path) -> Columns:
    """`url`."""
    with path.open(encoding="utf-8", newline="") as file:
        return {"url": np.array([row["URL"] for row in csv.DictReader(file)])}


def popular_hosts(path: Path) -> Columns:
    """`host`."""
    return {"host": np.array(json.loads(path.read_text(encoding="utf-8"))["list"])}


def hdfs_sessions(path: Path) -> Columns:
    """`templates`, of the lines in their order, each on a line of its own, and `anomaly`, a bool."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {
        "templates": np.array(["\n".join(row["templates"]) for row in rows]),
        "anomaly": np.array([bool(row["label"]) for row in rows]),
    }


def attack_techniques(path: Path) -> Columns:
    """`id`, `name`, `text`, `tactics` (joined by commas) and `url` of each technique that is in force."""
    rows = []
    for value in json.loads(path.read_text(encoding="utf-8"))["values"]:
        meta, text = value["meta"], value.get("description", "")
        chains = [entry.split(":")[-1] for entry in meta.get("kill_chain", ()) if entry.startswith("attack")]
        if chains and not value.get("revoked") and "deprecated" not in text[:80]:
            id = meta["external_id"]
            name = value["value"].removesuffix(f" - {id}")
            url = f"https://attack.mitre.org/techniques/{id.replace('.', '/')}"
            rows.append((id, name, text, ", ".join(dict.fromkeys(chains)), url))
    return _named(rows, "id", "name", "text", "tactics", "url")


def known_exploited(path: Path) -> Columns:
    """`cve`, `name`, `vendor`, `product`, `text`, `action`, the day `added`, and `ransomware`: Known or Unknown."""
    rows = json.loads(path.read_text(encoding="utf-8"))["vulnerabilities"]
    names = {
        "cve": "cveID", "name": "vulnerabilityName", "vendor": "vendorProject", "product": "product",
        "text": "shortDescription", "action": "requiredAction", "added": "dateAdded",
        "ransomware": "knownRansomwareCampaignUse",
    }  # fmt: skip
    return {name: np.array([row[field] for row in rows]) for name, field in names.items()}


def exploited_techniques(path: Path) -> Columns:
    """`cve`, the `technique` that it is used with, and the `kind`: how it is exploited, or what comes of it."""
    rows = json.loads(path.read_text(encoding="utf-8"))["mapping_objects"]
    pairs = [
        (row["capability_id"], row["attack_object_id"], row["mapping_type"]) for row in rows if row["attack_object_id"]
    ]
    return _named(pairs, "cve", "technique", "kind")


def _named(rows: list[tuple[str, ...]], *names: str) -> Columns:
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def tldr_pages(path: Path) -> Columns:
    """`command`, the page's title, and `text`, the page in Markdown; a title may stand on several systems' pages."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    return {
        "command": np.array([text.partition("\n")[0].removeprefix("# ") for text in texts]),
        "text": np.array(texts),
    }


def text(path: Path) -> str:
    """The file's text."""
    return path.read_text(encoding="utf-8")
