"""Addresses: the probability of phishing, by the parts of a URL that a page's owner cannot choose freely.

    address = parse("https://paypa1-login.top/x")     # never fetched
    detector = AddressDetector.read(folder)
    detector.judge(address)                           # Judgement(score=…, evidence=(…))

Two parts count. The *registered name* (`paypa1-login.top`) costs money and lasts: a logistic regression takes its
n-grams and seven counts of it. The whole host is compared with the names of brands, with look-alike letters made equal:
a brand's name on a domain that is not the brand's is evidence by itself.

Scheme, `www.`, path and query do not count: a page chooses them at no cost, and the legitimate URLs of the training
data happen to have none.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from scipy import sparse

from groundup.errors import UsageError
from groundup.stack.classical.logistic_regression import sigmoid
from groundup.stack.production.guardrails import LEET, hash_ngrams, readings
from groundup.systems.sentinel.judgement import Judgement
from groundup.systems.sentinel.weightfiles import Learnt, read

BRANDS = Path(__file__).with_name("brands.toml")
LONGEST = 2048
BITS, SIZES = 12, (2, 3, 4)
ASKS = (
    "account auth bank billing confirm login mail office pay secure security service signin support update verify "
    "wallet web"
).split()
COUNTED = (
    "characters",
    "digits",
    "hyphens",
    "consonants in a row",
    "bits of entropy",
    "words that ask",
    "labels",
)
LOOKALIKE, DISGUISED, NUMBER, OWN = 0.95, 0.9, 0.7, 0.05  # scores by rule
GIVEN_AWAY = ("tk", "ml", "ga", "cf", "gq")  # countries whose domains cost nothing for years
_HOST = re.compile(r"[\w.-]+(?<![.-])\Z")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]+")


@dataclass(frozen=True)
class Address:
    """A URL in its parts.

    Attributes:
        url: as it was given.
        host: in lower case, Punycode decoded.
        name: the registered name: its owner registered it, or got it from a hosting service.
        user: whether text before an `@` poses as the host.
        number: whether the host is an IP address.
    """

    url: str
    host: str
    name: str
    user: bool
    number: bool


def parse(url: str) -> Address:
    """A URL as text; nothing is looked up.

    Raises:
        UsageError: the URL is too long, has another scheme than HTTP, or has no host.
    """
    # As in a browser: backslashes are slashes, and tabs and line ends do not count.
    text = re.sub(r"[\t\r\n]", "", url.strip()).replace("\\", "/")
    if len(text) > LONGEST:
        raise UsageError(f"url must have at most {LONGEST:,} characters, got {len(text):,}. Give the host alone.")
    example = "For example: https://example.com/login"
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        host, scheme = (parts.hostname or "").rstrip("."), parts.scheme
    except ValueError as error:
        raise UsageError(f"url must be an address, got '{url[:200]}' ({error}). {example}") from error
    if scheme not in ("http", "https"):
        raise UsageError(f"url must begin with http:// or https://, got '{scheme}'. {example}")
    number = _is_number(host)
    if not number and ("." not in host or not _HOST.match(host)):
        raise UsageError(f"url must be a file that exists, or have a host with a dot, got '{url[:200]}'. {example}")
    host = host if number else _decoded(host)
    return Address(url.strip(), host, host if number else registered_name(host), "@" in parts.netloc, number)


def _is_number(host: str) -> bool:
    """Whether a host is an IP address; browsers take it as a single number, too."""
    try:
        ipaddress.ip_address(int(host, 0) if re.fullmatch(r"0x[0-9a-f]+|\d+", host) else host)
    except ValueError:
        return False
    return True


def _decoded(host: str) -> str:
    labels = []
    for label in host.split("."):
        try:
            labels.append(label.encode("ascii").decode("idna") if label.startswith("xn--") else label)
        except UnicodeError:  # no valid Punycode: the label stays
            labels.append(label)
    return ".".join(labels)


def registered_name(host: str) -> str:
    """The registered name of a host by the public suffix list, its private part included: `me.github.io` is one."""
    from tld import get_tld

    domain: Any = get_tld(f"http://{host}", as_object=True, fail_silently=True, search_private=True)
    return str(domain.fld) if domain else host


# ── brands ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@cache
def _listed() -> dict[str, Any]:
    return tomllib.loads(BRANDS.read_text(encoding="utf-8"))


def brands() -> dict[str, list[str]]:
    """The domains of each brand that phishing imitates."""
    return _listed()["brands"]


def own_brand(address: Address) -> str:
    """The brand whose domain an address is on; empty for none. `BRAND.de`, of any country, is the brand's as well."""
    for brand, domains in brands().items():
        if any(_below(address.host, domain) for domain in domains):
            return brand
    label, _, suffix = address.name.partition(".")
    country = re.fullmatch(r"(?:com?\.)?([a-z]{2})", suffix)
    return label if label in brands() and country and country[1] not in GIVEN_AWAY else ""


def _below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def skeletons(word: str) -> set[str]:
    """The readings of a word: look-alike letters are equal, and so are `rn` and `m`."""
    ways = {view.lower() for view in readings(word)} | {readings(word)[0].lower().translate(LEET)}
    ways |= {way.replace("rn", "m").replace("vv", "w") for way in ways}
    return ways | {re.sub(r"1", "l", way) for way in {word.lower(), *ways}}


def imitated(address: Address) -> str:
    """The brand that a host imitates, on a domain that is not the brand's; empty for none."""
    if address.number or own_brand(address) or any(_below(address.host, d) for d in _listed()["delivery"]["domains"]):
        return ""
    words = [word for label in address.host.split(".")[:-1] for word in (label, *re.split(r"[-_]", label)) if word]
    ways = {way for word in words for way in skeletons(word)}
    return next((brand for brand in brands() if any(_is_like(way, brand) for way in ways)), "")


def _is_like(word: str, brand: str) -> bool:
    if len(brand) < 5:
        return word == brand
    return word == brand or (len(brand) > 5 and (brand in word or _one_apart(word, brand)))


def _one_apart(a: str, b: str) -> bool:
    """Whether one letter was added, left out or replaced, or two neighbours were exchanged."""
    if a == b or abs(len(a) - len(b)) > 1 or a[:1] != b[:1]:
        return False
    k = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    exchanged = a[k + 1 : k + 2] + a[k : k + 1] + a[k + 2 :] == b[k:]
    return a[k + 1 :] == b[k + 1 :] or a[k + 1 :] == b[k:] or a[k:] == b[k + 1 :] or exchanged


# ── the model ───────────────────────────────────────────────────────────────────────────────────────────────────────
def counts(name: str) -> list[float]:
    """The counts of a registered name, in the order of `COUNTED`."""
    label = name.split(".")[0]
    shares = np.array([*Counter(label).values()]) / max(1, len(label))
    return [
        len(label),
        sum(map(str.isdigit, label)),
        label.count("-"),
        max(map(len, _CONSONANTS.findall(label)), default=0),
        float(-(shares * np.log2(shares)).sum()) if label else 0.0,
        sum(word in label for word in ASKS),
        name.count(".") + 1,
    ]


def rows(names: Sequence[str], means: np.ndarray, spreads: np.ndarray) -> Any:
    """Scaled counts, n-grams of each row to length 1, and a column of ones: sparse, (n_names, 7 + 2^BITS + 1)."""
    columns = [hash_ngrams(name, SIZES, BITS) for name in names]
    row = np.repeat(np.arange(len(names)), [len(column) for column in columns])
    grams = sparse.csr_matrix((np.ones(len(row)), (row, np.concatenate(columns))), shape=(len(names), 2**BITS))
    lengths = np.sqrt(np.asarray(grams.multiply(grams).sum(axis=1)).ravel())
    scaled = (np.array([counts(name) for name in names]) - means) / spreads
    unit = sparse.diags(1 / np.maximum(lengths, 1e-12)) @ grams
    return sparse.hstack([sparse.csr_matrix(scaled), unit, np.ones((len(names), 1))]).tocsr()


class AddressDetector:
    """The trained detector; see `training.train_url`."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.weights, self.means, self.spreads = (arrays[name] for name in ("weights", "means", "spreads"))
        self.slope, self.offset = arrays["calibration"].tolist()

    @classmethod
    def read(cls, folder: Path) -> AddressDetector:
        """The detector of a folder, or the included detector.

        Raises:
            StoreError: see `weightfiles.read`.
        """
        return cls(read("url", folder).arrays)

    @staticmethod
    def learnt(folder: Path) -> Learnt:
        """The detector as stored, with its recipe, data and figures."""
        return read("url", folder)

    def probabilities(self, names: Sequence[str]) -> np.ndarray:
        """The probability of phishing of each registered name, as if half of all names were phishing."""
        if not names:
            return np.zeros(0)
        scores = rows(names, self.means, self.spreads) @ self.weights
        return sigmoid(self.slope * scores + self.offset)

    def judge(self, address: Address) -> Judgement:
        """The score of an address: the model's, unless a rule gives a higher score, or the domain is a brand's own."""
        brand, own = imitated(address), own_brand(address)
        if own and not address.user:
            return Judgement(OWN, (f"{address.name} is {own}'s own domain.",))
        model = 0.0 if address.number else float(self.probabilities([address.name])[0])
        evidence, score = [], model
        if brand:
            score = max(score, LOOKALIKE)
            evidence.append(f"{address.host} imitates {brand}, on a domain that is not {brand}'s.")
        if address.user:
            score = max(score, DISGUISED)
            evidence.append(f"The text before the @ poses as the host; the page is on {address.host}.")
        if address.number:
            score = max(score, NUMBER)
            evidence.append("The host is a bare IP address.")
        else:
            evidence.append(
                f"By its letters, {address.name} is phishing with probability {model:.2f}{self._why(address)}."
            )
        return Judgement(score, tuple(evidence))

    def _why(self, address: Address) -> str:
        """The counts that weigh most for phishing."""
        values = (np.array(counts(address.name)) - self.means) / self.spreads * self.weights[: len(COUNTED)]
        best = [i for i in np.argsort(-values)[:2] if values[i] > 0.1]
        raw = counts(address.name)
        listed = ", ".join(f"{COUNTED[i]}: {raw[i]:.3g}" for i in best)
        return f" ({listed})" if listed else ""
