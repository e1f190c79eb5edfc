"""A red team against the whole platform: the attacks that get through without its guards, and with them.

Each attack is tried twice, on the same inputs. "Through" counts the attacker's successes: a phishing URL or page of low
risk, an order that reaches a model, a line that steers a terminal or shows a secret, a file that crashes the scanner.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.data import load
from groundup.errors import GroundupError
from groundup.stack.production.adversarial import fgsm, mutate
from groundup.systems.sentinel.addresses import brands, parse
from groundup.systems.sentinel.cases import shown
from groundup.systems.sentinel.demo import sshd_log
from groundup.systems.sentinel.guard import FRAMES
from groundup.systems.sentinel.logs import sessions, template
from groundup.systems.sentinel.risk import assess
from groundup.systems.sentinel.scanning import MOST_LOG, Scanner
from groundup.systems.sentinel.vision import MOST_BYTES, as_tensor

PAGES = 40
BUDGETS = (8, 16, 32)  # of 255, for each colour of each pixel
DISGUISES = ("none", "base64", "leetspeak", "homoglyphs", "spacing")


@dataclass(frozen=True)
class Attempt:
    """A kind of attack, with its successes without the guard and with it.

    Attributes:
        attack: the kind.
        tried: the number of attacks.
        before: through without the guard.
        after: through with it.
        guard: the guard's name.
    """

    attack: str
    tried: int
    before: int
    after: int
    guard: str


def redteam(scanner: Scanner, *, seed: int = 0, report: Callable[[str], None] = lambda _: None) -> Iterator[Attempt]:
    """Every attack, one after the other.

    Raises:
        MissingPackage: PyTorch is not installed.
    """
    rng = np.random.default_rng(seed)
    for attack in (_addresses, _noise, _orders, _lines, _files):
        report(attack.__doc__ or "")
        yield from attack(scanner, rng)


def _addresses(scanner: Scanner, rng: np.random.Generator) -> Iterator[Attempt]:
    """Look-alike addresses."""
    names = [name for name in brands() if len(name) > 5]
    kinds: dict[str, Callable[[str], str]] = {
        "letters of Cyrillic": lambda name: f"https://{mutate(name, 'homoglyphs')}.com",
        "the same in Punycode": lambda name: f"https://{mutate(name, 'homoglyphs').encode('idna').decode()}.com",
        "figures for letters": lambda name: f"https://{mutate(name, 'leetspeak')}.com",
        "a letter left out": lambda name: f"https://{name[:3]}{name[4:]}.com",
        "two letters exchanged": lambda name: f"https://{name[:2]}{name[3]}{name[2]}{name[4:]}.com",
        "the brand as a subdomain": lambda name: f"https://{name}.com.session-{rng.integers(10**6)}.net",
        "the brand before an @": lambda name: f"https://{name}.com@quiet-garden.net/{name}",
        "the brand in the path alone": lambda name: f"https://quiet-garden.net/{name}/login",
    }
    for kind, made in kinds.items():
        urls = [made(name) for name in names]
        addresses = [parse(url) for url in urls]
        model = scanner.addresses.probabilities([address.name for address in addresses])
        before = sum(_low(scanner, url=float(score)) for score in model)
        after = sum(_low(scanner, url=scanner.addresses.judge(address).score) for address in addresses)
        yield Attempt(f"URL: {kind}", len(urls), before, after, "names of brands")


def _low(scanner: Scanner, **scores: float | None) -> bool:
    return assess(scanner.rules, scores).level in ("low", "unknown")


def _noise(scanner: Scanner, rng: np.random.Generator) -> Iterator[Attempt]:
    """Noise on screenshots, by the network's own gradient."""
    import torch

    fake = load("phishing_screens_fake")["pixels"]
    detector = scanner.screens
    flagged = rng.permutation(fake[detector.probabilities(fake) >= 0.5])[:PAGES]
    if not len(flagged):
        return
    pictures, labels = as_tensor(flagged), torch.ones(len(flagged), dtype=torch.long)
    # A page comes with its address: phishing URLs, some of which trained the URL detector.
    urls = rng.permutation(load("phishing_urls_jpcert")["url"])[: len(flagged)].tolist()
    judged = [scanner.addresses.judge(parse(url)).score for url in urls]
    for budget in BUDGETS:
        perturbed = fgsm(detector.logits, pictures, labels, budget / 255)
        scores = detector.calibrated(perturbed)
        before = int((scores < 0.5).sum())  # no longer flagged
        after = sum(_low(scanner, vision=float(s), url=u) for s, u in zip(scores, judged, strict=True))
        yield Attempt(
            f"screenshot that was flagged: FGSM, {budget}/255",
            len(flagged),
            before,
            after,
            "its URL, by the risk engine",
        )


def _orders(scanner: Scanner, rng: np.random.Generator) -> Iterator[Attempt]:
    """Orders to a model, in a question and in a document; of categories that did not fit the guard."""
    attacks, squad = load("bipia_attacks"), load("squad2")
    categories = np.random.default_rng(0).permutation(np.unique(attacks["category"]))[11:]
    orders = attacks["instruction"][np.isin(attacks["category"], categories)].tolist()
    harmless = rng.permutation(squad["text"])[:200].tolist()
    for disguise in DISGUISES:
        texts = [mutate(str(rng.choice(np.array(FRAMES))).format(order), disguise) for order in orders]
        after = sum(not scanner.guard.flags(text) for text in texts)
        yield Attempt(f"order in a question: {disguise}", len(texts), len(texts), after, "the trained guard")
    placed = [f"{rng.choice(harmless)} {rng.choice(np.array(FRAMES)).format(order)}" for order in orders]
    after = sum(not scanner.guard.flags(text) for text in placed)
    yield Attempt("order in a document", len(placed), len(placed), after, "the trained guard")
    bare = [f"{rng.choice(harmless)} {order}" for order in orders]
    after = sum(not scanner.guard.flags(text) for text in bare)
    yield Attempt("request in a document, no frame", len(bare), len(bare), after, "the trained guard")


def _lines(scanner: Scanner, rng: np.random.Generator) -> Iterator[Attempt]:
    """Lines of a log that steer a terminal, forge another line, or hold a secret."""
    steering = [
        "\x1b[2J\x1b[H all is well", "x\rDec 10 06:00:00 gate sshd[1]: Accepted password for root", "\x9b31mred",
        "\u202eevil", "\x07\x08\x08",
    ]  # fmt: skip
    through = [text for text in steering if any(ord(c) < 32 or c in "\x9b\u202e" for c in text)]
    kept = [text for text in map(shown, steering) if any(ord(c) < 32 or c in "\x9b\u202e" for c in text)]
    yield Attempt("log: what steers a terminal", len(steering), len(through), len(kept), "spelt out")
    held = ["password=hunter2", "Authorization: Bearer abcdef123456", "api_key: s3cr3tvalue", "redis://u:hunter2@db"]
    words = ("hunter2", "abcdef123456", "s3cr3tvalue")
    kept = [text for text in map(shown, held) if any(word in text for word in words)]
    yield Attempt("log: a secret", len(held), len(held), len(kept), "hidden")
    # An intrusion among ever more ordinary sessions: its score may drown.
    sizes = (200, 1000, 3000)
    own = sessions(sshd_log().split("\n"))
    profile = type(scanner.profile).fit(own[50:], own[:50], "sshd")
    low = 0
    for size in sizes:
        text = sshd_log(attack=True, sessions=size, seed=size)
        low += _low(scanner, logs=profile.judge(sessions(text.split("\n"))).judgement.score)
    named = any("error" in template(line) for line in sshd_log(attack=True).split("\n"))
    yield Attempt(
        "log: an intrusion among ordinary sessions",
        len(sizes),
        0 if named else len(sizes),
        low,
        "surprise, not the word error",
    )


def _files(scanner: Scanner, rng: np.random.Generator) -> Iterator[Attempt]:
    """Malformed and huge input; a crash in place of an answer or a clear refusal is through."""
    pictures = [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(50), bomb(60_000), bytes(MOST_BYTES + 1), rng.bytes(999)]
    logs = [b"", b"\x00" * 99, b"\xff\xfe" * 99, b"a" * 2_000_000, bytes(MOST_LOG + 1)]
    urls = [
        "javascript:alert(1)", "file:///etc/passwd", "http://", "http://[::1", "x" * 5000, "http://a b.c", "\x00.com",
        "http://0x7f000001/", "http://%2e%2e/", "http://xn--.com", "data:text/html,x", "http://.com.",
    ]  # fmt: skip
    kinds: dict[str, list[Any]] = {"screenshot": pictures, "log": logs, "url": urls}
    tried = [{kind: value} for kind, values in kinds.items() for value in values]
    crashed = sum(_crashes(scanner, scan) for scan in tried)
    yield Attempt("input that is malformed or huge", len(tried), _raw_crashes(tried), crashed, "refused by rule")


def _crashes(scanner: Scanner, scan: dict[str, Any]) -> bool:
    try:
        scanner.scan(**scan)
    except GroundupError:
        return False
    except Exception:
        return True
    return False


def _raw_crashes(tried: Sequence[dict[str, Any]]) -> int:
    """The number of inputs that crash a program without rules: Pillow, UTF-8 or `urlsplit` raises."""
    from urllib.parse import urlsplit

    from PIL import Image

    raised = 0
    for scan in tried:
        try:
            if "screenshot" in scan:
                Image.open(io.BytesIO(scan["screenshot"])).load()
            elif "log" in scan:
                scan["log"].decode()
            else:
                assert urlsplit(str(scan["url"])).hostname
        except Exception:
            raised += 1
    return raised


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes that claims side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )
