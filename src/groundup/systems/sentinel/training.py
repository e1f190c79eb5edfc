"""The training of the detectors, and the judgement of each on data that it was not fitted to.

    for name in ("url", "vision", "logs", "guard"):
        train(name, folder, report=print)

Every split keeps near duplicates together: registered names for URLs, brands for screenshots, equal sessions for logs,
categories of orders for the guard. The figures are stored with the detector, beside a majority and a rule.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, sparse

from groundup.data import load
from groundup.errors import StoreError, UnknownName, UsageError
from groundup.extras import need
from groundup.files import replace_file
from groundup.stack.classical.evaluation import roc_auc
from groundup.stack.classical.logistic_regression import logistic_objective
from groundup.systems.sentinel.addresses import (
    BITS,
    COUNTED,
    SIZES,
    AddressDetector,
    counts,
    imitated,
    parse,
    registered_name,
    rows,
)
from groundup.systems.sentinel.guard import BITS as GUARD_BITS
from groundup.systems.sentinel.guard import FRAMES
from groundup.systems.sentinel.logs import QUANTILES, Profile, Session, sessions, template
from groundup.systems.sentinel.vision import CHANNELS, as_tensor, calibrated, network
from groundup.systems.sentinel.weightfiles import NAMES, Learnt, read, save, sources

Report = Callable[[str, int, int], None]
ALARMS = 0.01  # the share of false alarms at which precision is given
SEED = 0


def train(name: str, folder: Path, *, again: bool = False, normal: Path | None = None, report: Report) -> Learnt:
    """Train one detector into a folder, unless the same was trained there already.

    Args:
        name: url, vision, logs or guard.
        folder: the folder for it.
        again: train it even if it exists.
        normal: for logs, a file of ordinary lines to learn from, in place of HDFS's.
        report: receives the present step, its number, and the number of steps.

    Raises:
        UnknownName: there is no such detector.
        UsageError: `normal` is given for another detector than logs, or holds too few lines.
        StoreError: the folder cannot be written.
    """
    if name not in NAMES:
        raise UnknownName("detector", name, NAMES, see="groundup sentinel train --help")
    if normal is not None and name != "logs":
        raise UsageError(f"normal must go with the detector logs, got '{name}'. Leave --normal out, or train logs.")
    recipe = _recipe(name, normal)
    if not again and (folder / f"{name}.json").is_file():
        stored = read(name, folder)
        if stored.recipe == recipe:
            report(f"{name}: trained already", 1, 1)
            return stored
    learnt = {"url": _url, "vision": _vision, "logs": _logs, "guard": _guard}[name](recipe, folder, normal, report)
    save(learnt, folder)
    for partial in folder.glob(f".{name}-*.json"):
        partial.unlink()
    return learnt


def _recipe(name: str, normal: Path | None) -> dict[str, Any]:
    common = {"seed": SEED}
    if name == "url":
        return {**common, "bits": BITS, "sizes": list(SIZES), "counted": list(COUNTED), "l2": 0.3}
    if name == "vision":
        return {**common, "channels": list(CHANNELS), "steps": 80, "batch": 32, "rate": 3e-3, "folds": 5}
    if name == "guard":
        return {**common, "bits": GUARD_BITS, "frames": len(FRAMES), "l2": 0.1, "alarm_cost": 3.0}
    if normal is None:
        return common
    try:
        return {**common, "normal": hashlib.sha256(normal.read_bytes()).hexdigest()}
    except OSError as error:
        raise UsageError(
            f"normal must be a file that can be read, and '{normal}' cannot be: {error.strerror}. Check the path."
        ) from error


# ── URLs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def names_by_source() -> tuple[dict[str, list[str]], list[dict[str, str]]]:
    """The registered names of each source, each name in one source only, and the datasets behind them.

    Names that are both phishing and legitimate belong to hosting services and short links, and are left out.
    """
    phiusiil, jpcert, popular = load("phishing_urls"), load("phishing_urls_jpcert"), load("popular_hosts")
    urls, bad = phiusiil["url"].tolist(), phiusiil["phishing"]
    hosts = [host for host in popular["host"].tolist() if "." in host and not host.endswith(".arpa")]
    by_source = {
        "phiusiil": {_name(url) for url, phishing in zip(urls, bad, strict=True) if phishing},
        "jpcert": {_name(url) for url in jpcert["url"].tolist()},
        "legitimate": {_name(url) for url, phishing in zip(urls, bad, strict=True) if not phishing},
        "popular": {registered_name(host.lstrip("-.")) for host in hosts},
    }
    both = (by_source["phiusiil"] | by_source["jpcert"]) & (by_source["legitimate"] | by_source["popular"]) | {""}
    by_source = {source: names - both for source, names in by_source.items()}
    by_source["jpcert"] -= by_source["phiusiil"]
    by_source["popular"] -= by_source["legitimate"]
    return {source: sorted(names) for source, names in by_source.items()}, sources(
        phiusiil.provenance, jpcert.provenance, popular.provenance
    )


def _name(url: str) -> str:
    try:
        address = parse(url)
    except UsageError:
        return ""
    return "" if address.number else address.name


def _url(recipe: dict[str, Any], folder: Path, normal: Path | None, report: Report) -> Learnt:
    report("url: reading names", 0, 4)
    by_source, data = names_by_source()
    names = np.array([name for group in by_source.values() for name in group])
    source = np.repeat(list(by_source), [len(group) for group in by_source.values()])
    labels = np.isin(source, ["phiusiil", "jpcert"]).astype(float)
    part = np.random.default_rng(recipe["seed"]).permutation(len(names)) % 20
    fit, calibrate, judge = part < 11, (part >= 11) & (part < 14), part >= 14
    counted = np.array([counts(name) for name in names[fit]])
    means, spreads = counted.mean(axis=0), counted.std(axis=0) + 1e-9
    report("url: fitting", 1, 4)
    design = rows(names.tolist(), means, spreads)
    weights = _logistic(design[fit], labels[fit], recipe["l2"])
    scores = design @ weights
    report("url: calibrating", 2, 4)
    line = platt(scores[calibrate], labels[calibrate])
    arrays = {"weights": weights.astype(np.float32), "means": means, "spreads": spreads, "calibration": line}
    detector = AddressDetector(arrays)
    probabilities = detector.probabilities(names[judge].tolist())
    metrics = _binary_metrics(labels[judge], probabilities)
    metrics["flagged at .5"] = {
        name: round(float((probabilities[source[judge] == name] >= 0.5).mean()), 4) for name in by_source
    }
    metrics["names"] = {name: int((source == name).sum()) for name in by_source}
    rule = np.array([float(bool(imitated(parse(name)))) for name in names])
    metrics["rule: imitates a brand"] = {
        "recall": round(float(rule[labels == 1].mean()), 4),
        "false alarms": round(float(rule[labels == 0].mean()), 4),
    }
    report("url: trained on one source, judged on another", 3, 4)
    for unseen, seen in (("jpcert", ["phiusiil", "popular"]), ("phiusiil", ["jpcert", "popular"])):
        chosen = fit & np.isin(source, seen)
        apart = design @ _logistic(design[chosen], labels[chosen], recipe["l2"])
        held = judge & np.isin(source, [unseen, "popular"])
        metrics[f"auc on {unseen}, not trained on it"] = round(float(roc_auc(labels[held], apart[held])), 4)
    report("url: done", 4, 4)
    return Learnt("url", recipe, data, metrics, arrays=arrays)


def _logistic(design: Any, labels: np.ndarray, l2: float) -> np.ndarray:
    start = np.zeros(design.shape[1])
    result = optimize.minimize(logistic_objective, start, (design, labels, l2), method="L-BFGS-B", jac=True)
    return result.x


def platt(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The slope and offset that turn scores into probabilities, as if both classes were equally frequent."""
    design = sparse.csr_matrix(np.column_stack([scores, np.ones(len(scores))]))
    slope, offset = _logistic(design, labels, 1e-3)
    share = labels.mean()
    return np.array([max(slope, 0.0), offset - np.log(share / (1 - share))])


def _binary_metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """AUC, balanced accuracy, and the error of calibration at equal classes, beside the majority's 0.5."""
    guessed = probabilities >= 0.5
    recall, alarms = float(guessed[labels == 1].mean()), float(guessed[labels == 0].mean())
    weight = np.where(labels == 1, 0.5 / (labels == 1).sum(), 0.5 / (labels == 0).sum())
    bins = np.minimum((probabilities * 10).astype(int), 9)
    error = sum(
        abs(float((weight * (labels - probabilities))[bins == k].sum())) for k in range(10)
    )  # fmt: skip
    return {
        "judged": {"positive": int((labels == 1).sum()), "negative": int((labels == 0).sum())},
        "auc": round(float(roc_auc(labels, probabilities)), 4),
        "recall": round(recall, 4),
        "false alarms": round(alarms, 4),
        "balanced accuracy": round((recall + 1 - alarms) / 2, 4),
        "majority": 0.5,
        "calibration error": round(float(error), 4),
    }


# ── screenshots ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _vision(recipe: dict[str, Any], folder: Path, normal: Path | None, report: Report) -> Learnt:
    need("Training on screenshots", "PIL", "torch")
    real, fake = load("phishing_screens_real"), load("phishing_screens_fake")
    pixels = np.concatenate([real["pixels"], fake["pixels"]])
    labels = np.repeat([0, 1], [len(real), len(fake)])
    brands = np.concatenate([real["brand"], fake["brand"]])
    shape = np.concatenate([real["height"] / real["width"], fake["height"] / fake["width"]])
    folds, rng = recipe["folds"], np.random.default_rng(recipe["seed"])
    # Brands with phishing pages are dealt first, so that every fold has both classes.
    order = [*rng.permutation(np.unique(fake["brand"])), *rng.permutation(np.setdiff1d(brands, fake["brand"]))]
    by_brand = {brand: k % folds for k, brand in enumerate(order)}
    groupings = {
        "brand": np.array([by_brand[brand] for brand in brands]),
        "chance": rng.integers(0, folds, len(labels)),
    }
    total, done, scores = 2 * folds + 1, 0, {name: np.zeros(len(labels)) for name in groupings}
    for grouping, fold in groupings.items():
        for k in range(folds):
            held = fold == k
            report(f"vision: fold {k + 1} of {folds}, split by {grouping}", done, total)
            kept = _kept(folder, f".vision-{grouping}-{k}", recipe)
            if kept is None:
                kept = _margins(_fitted(pixels[~held], labels[~held], recipe, k), pixels[held])
                _keep(folder, f".vision-{grouping}-{k}", recipe, kept)
            scores[grouping][held] = kept
            done += 1
    report("vision: fitting to all", done, total)
    line = platt(scores["brand"], labels.astype(float))
    trained = _fitted(pixels, labels, recipe, folds)
    metrics = _binary_metrics(labels, calibrated(scores["brand"], *line))
    metrics["auc, split by chance"] = round(float(roc_auc(labels, scores["chance"])), 4)
    metrics["auc of the file's shape alone"] = round(float(max(a := roc_auc(labels, shape), 1 - a)), 4)
    metrics["brands"] = {"with phishing pages": len({*fake["brand"].tolist()}), "all": len({*brands.tolist()})}
    arrays = {name: value.numpy() for name, value in trained.state_dict().items()} | {"calibration": line}
    report("vision: done", total, total)
    return Learnt("vision", recipe, sources(real.provenance, fake.provenance), metrics, arrays=arrays)


def _fitted(pixels: np.ndarray, labels: np.ndarray, recipe: dict[str, Any], seed: int) -> Any:
    """A network fitted to pictures, which are mirrored and made brighter or darker at random."""
    import torch

    from groundup.stack.deep.optimizers import AdamW

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network()
    rng, optimizer = np.random.default_rng(seed), AdamW(model.parameters(), lr=recipe["rate"])
    pictures, targets = as_tensor(pixels), torch.from_numpy(labels)
    weight = torch.tensor([0.5 / (labels == kind).mean() for kind in (0, 1)], dtype=torch.float32)
    for _ in range(recipe["steps"]):
        chosen = torch.from_numpy(rng.integers(len(labels), size=recipe["batch"]))
        shown = pictures[chosen]
        shown = shown.flip(3) if rng.random() < 0.5 else shown
        shown = (shown * rng.uniform(0.8, 1.2) + rng.uniform(-0.1, 0.1)).clamp(0, 1)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(shown), targets[chosen], weight=weight).backward()
        optimizer.step()
    return model.eval()


def _margins(model: Any, pixels: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        logits = model(as_tensor(pixels)).numpy().astype(float)
    return logits[:, 1] - logits[:, 0]


def _kept(folder: Path, name: str, recipe: dict[str, Any]) -> np.ndarray | None:
    """The fold that a stopped run finished; None without one of this recipe."""
    try:
        document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return np.array(document["margins"]) if document["recipe"] == recipe else None
    except (OSError, ValueError, KeyError):
        return None


def _keep(folder: Path, name: str, recipe: dict[str, Any], margins: np.ndarray) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / f"{name}.json", json.dumps({"recipe": recipe, "margins": margins.tolist()}))
    except OSError as error:
        raise StoreError(
            f"models must be a folder that can be written, and '{folder}' cannot be: {error.strerror or error}. "
            "Free some space, or name another one with --models."
        ) from error


# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _logs(recipe: dict[str, Any], folder: Path, normal: Path | None, report: Report) -> Learnt:
    if normal is not None:
        return _own_logs(recipe, normal, report)
    dataset = load("hdfs_sessions")
    report("logs: reading sessions", 0, 6)
    known: dict[str, str] = {}
    logged = [
        Session(str(number), tuple(known.setdefault(line, template(line)) for line in text.split("\n")))
        for number, text in enumerate(dataset["templates"].tolist())
    ]
    labels = dataset["anomaly"].astype(float)
    # Equal sessions are one pattern, which is either fitted to or judged; each pattern is judged once.
    patterns = sorted({session.templates for session in logged})
    fold = dict(zip(patterns, np.random.default_rng(recipe["seed"]).permutation(len(patterns)) % 5, strict=True))
    folds = np.array([fold[session.templates] for session in logged])
    normal_sessions = [session for session, bad in zip(logged, labels, strict=True) if not bad]
    surprise = np.zeros(len(logged))
    for k in range(5):
        report(f"logs: fold {k + 1} of 5", k, 6)
        model = _profile(
            [session for session in normal_sessions if fold[session.templates] != k], recipe["seed"], "HDFS"
        )
        by_pattern = {pattern: model.surprise(Session("", pattern)) for pattern in patterns if fold[pattern] == k}
        held = folds == k
        surprise[held] = [by_pattern[logged[i].templates] for i in np.flatnonzero(held)]
    bad = {session.templates for session, label in zip(logged, labels, strict=True) if label}
    shared = bad & {session.templates for session in normal_sessions}
    apart = np.array([session.templates not in shared for session in logged])
    words = np.array([float("xception" in " ".join(session.templates)) for session in logged])
    metrics = {
        "judged": {"anomalies": int(labels.sum()), "normal": int((1 - labels).sum()), "patterns": len(patterns)},
        "anomalies that read as normal sessions do": int(labels[~apart].sum()),
        "auc": round(float(roc_auc(labels, surprise)), 4),
        "auc of those that read differently": round(float(roc_auc(labels[apart], surprise[apart])), 4),
        "auc of the word exception": round(float(roc_auc(labels, words)), 4),
        "auc of shortness": round(float(roc_auc(labels, [-float(len(s.templates)) for s in logged])), 4),
        "majority": 0.5,
        **at_false_alarms(labels, surprise),
    }
    profile = _profile(normal_sessions, recipe["seed"], "HDFS")
    report("logs: done", 6, 6)
    return Learnt("logs", recipe, sources(dataset.provenance), metrics, profile.to_json())


def _profile(normal: Sequence[Session], seed: int, name: str) -> Profile:
    """A model of normal sessions: three quarters fit it, the others set the knots."""
    part = np.random.default_rng(seed).permutation(len(normal)) % 4
    fitted = [session for session, k in zip(normal, part, strict=True) if k]
    return Profile.fit(fitted, [session for session, k in zip(normal, part, strict=True) if not k], name)


def at_false_alarms(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Precision and recall with at most `ALARMS` of the normal sessions flagged."""
    threshold = np.quantile(scores[truth == 0], 1 - ALARMS, method="higher")
    flagged = scores > threshold
    precision = float(truth[flagged].mean()) if flagged.any() else 0.0
    at = f"at {ALARMS:.0%} false alarms"
    return {f"precision {at}": round(precision, 4), f"recall {at}": round(float(flagged[truth == 1].mean()), 4)}


def _own_logs(recipe: dict[str, Any], normal: Path, report: Report) -> Learnt:
    """A model of a person's own ordinary lines. They have no labels, so only the knots are measured."""
    with normal.open(encoding="utf-8", errors="replace") as file:
        ordinary = sessions(file)
    profile = _profile(ordinary, recipe["seed"], normal.name)
    report("logs: done", 1, 1)
    metrics = {"sessions": len(ordinary), "knots": dict(zip(map(str, QUANTILES), profile.knots, strict=True))}
    data = [{"name": normal.name, "sha256": recipe["normal"], "label": "a log of your own"}]
    return Learnt("logs", recipe, data, metrics, profile.to_json())


# ── the guard ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _guard(recipe: dict[str, Any], folder: Path, normal: Path | None, report: Report) -> Learnt:
    from groundup.stack.production.guardrails import InjectionDetector, windows

    attacks, instructions, squad = load("bipia_attacks"), load("instructions"), load("squad2")
    rng = np.random.default_rng(recipe["seed"])
    field, provenances = _texts_of_the_field()
    report("guard: fitting", 0, 3)
    categories = np.array_split(rng.permutation(np.unique(attacks["category"])), [8, 11])
    frames = np.array_split(rng.permutation(np.array(FRAMES)), [9, 12])
    calm = [
        np.array_split(rng.permutation(texts), 3) for texts in (field, instructions["instruction"], squad["question"])
    ]
    parts = []
    for k in range(3):
        orders = attacks["instruction"][np.isin(attacks["category"], categories[k])]
        framed = [str(rng.choice(frames[k])).format(order) for order in rng.permutation(orders)[:60] for _ in range(3)]
        parts.append((framed, [str(text) for group in calm for text in rng.permutation(group[k])[:250]]))
    orders, harmless = parts[0]
    pieces = [piece for text in harmless for piece in windows(text, 160)[:3]]
    detector = InjectionDetector(bits=recipe["bits"], l2=recipe["l2"])
    detector.fit([*orders, *pieces], [1] * len(orders) + [0] * len(pieces))
    report("guard: calibrating", 1, 3)
    orders, harmless = parts[1]
    placed = [_within(order, harmless, rng) for order in orders]
    detector.calibrate(
        [*placed, *harmless], [1] * len(placed) + [0] * len(harmless), miss_cost=1.0, alarm_cost=recipe["alarm_cost"]
    )
    report("guard: judging", 2, 3)
    orders, harmless = parts[2]
    placed = [_within(order, harmless, rng) for order in orders]
    truth = np.repeat([1.0, 0.0], [len(placed), len(harmless)])
    scores = np.array([detector.score(text) for text in [*placed, *harmless]])
    listed = np.array([float("previous instructions" in text.lower()) for text in [*placed, *harmless]])
    flagged = scores >= detector.threshold_
    metrics = {
        "judged": {"orders": len(placed), "harmless": len(harmless)},
        "auc": round(float(roc_auc(truth, scores)), 4),
        "found": round(float(flagged[truth == 1].mean()), 4),
        "false alarms": round(float(flagged[truth == 0].mean()), 4),
        "found by 'previous instructions'": round(float(listed[truth == 1].mean()), 4),
        "majority": 0.5,
    }
    report("guard: done", 3, 3)
    data = sources(attacks.provenance, instructions.provenance, squad.provenance, *provenances)
    rest = {"threshold": float(detector.threshold_)}
    return Learnt("guard", recipe, data, metrics, rest, {"weights": detector.weights_.astype(np.float32)})


def _texts_of_the_field() -> tuple[list[str], list[Any]]:
    """Harmless texts that speak of attacks: ATT&CK and the exploited vulnerabilities."""
    techniques, exploited = load("attack_techniques"), load("known_exploited")
    texts = [text[:600] for text in techniques["text"].tolist()] + exploited["text"].tolist()
    return texts, [techniques.provenance, exploited.provenance]


def _within(order: str, harmless: Sequence[str], rng: np.random.Generator) -> str:
    """An order within two harmless texts."""
    first, last = rng.choice(np.array(harmless, dtype=object), 2)
    return f"{first} {order} {last}"
