"""`load`: one dataset by name, with its provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from groundup.data import generated, readers
from groundup.data.dataset import Dataset, Provenance
from groundup.data.fetch import NotFound, find
from groundup.data.registry import REGISTRY, Entry
from groundup.errors import DataUnavailable, UnknownName, UsageError

_READERS: Mapping[str, Callable[..., Any]] = {
    "titanic": readers.titanic,
    "ames_housing": readers.ames_housing,
    "california_housing": readers.california_housing,
    **dict.fromkeys((name for name in REGISTRY if name.startswith("loghub_")), readers.loghub),
    "tiny_shakespeare": readers.text,
    "sms_spam": readers.sms_spam,
    "chunking_questions": readers.chunking_questions,
    **dict.fromkeys((f"chunking_{name}" for name in generated.CHUNKING_TEXTS), readers.text),
    "mnist_5k": readers.mnist_5k,
    "cifar10": readers.cifar10,
    "malware_images": readers.malware_images,
    **dict.fromkeys(("hard_hat_train", "hard_hat_valid"), readers.hard_hat),
    "nuclei": readers.nuclei,
    "cranfield": readers.cranfield,
    "cisi": readers.cisi,
    "squad2": readers.squad2,
    "bitext_support": readers.bitext_support,
    **dict.fromkeys(("tau_orders", "tau_products", "tau_users"), readers.text),
    "bipia_attacks": readers.bipia_attacks,
    "instructions": readers.instructions,
    "tldr_pages": readers.tldr_pages,
    "sst2": readers.sst2,
    **dict.fromkeys(("phishing_screens_real", "phishing_screens_fake"), readers.phishing_screens),
    "phishing_urls": readers.phishing_urls,
    "phishing_urls_jpcert": readers.phishing_urls_jpcert,
    "popular_hosts": readers.popular_hosts,
    "hdfs_sessions": readers.hdfs_sessions,
    "attack_techniques": readers.attack_techniques,
    "known_exploited": readers.known_exploited,
    "exploited_techniques": readers.exploited_techniques,
}
_GENERATORS: Mapping[str, Callable[..., Any]] = {
    "moons": generated.moons,
    "titanic": generated.titanic,
    "ames_housing": generated.ames_housing,
    "california_housing": generated.california_housing,
    **{name: partial(generated.loghub, name) for name in REGISTRY if name.startswith("loghub_")},
    "tiny_shakespeare": generated.tiny_shakespeare,
    "sms_spam": generated.sms_spam,
    "chunking_questions": generated.chunking_questions,
    **{f"chunking_{name}": partial(generated.chunking_text, name) for name in generated.CHUNKING_TEXTS},
    "mnist_5k": generated.mnist_5k,
    "cifar10": generated.cifar10,
    "malware_images": generated.malware_images,
    "hard_hat_train": partial(generated.hard_hat, pictures=300, seed=1),
    "hard_hat_valid": partial(generated.hard_hat, pictures=204, seed=2),
    "nuclei": generated.nuclei,
    "cranfield": generated.cranfield,
    "cisi": generated.cisi,
    "squad2": generated.squad2,
    "bitext_support": generated.bitext_support,
    **{f"tau_{name}": partial(generated.tau, name) for name in ("orders", "products", "users")},
    "bipia_attacks": generated.bipia_attacks,
    "instructions": generated.instructions,
    "tldr_pages": generated.tldr_pages,
    "sst2": generated.sst2,
    "phishing_screens_real": partial(generated.phishing_screens, fake=False),
    "phishing_screens_fake": partial(generated.phishing_screens, fake=True),
    "phishing_urls": generated.phishing_urls,
    "phishing_urls_jpcert": generated.phishing_urls_jpcert,
    "popular_hosts": generated.popular_hosts,
    "hdfs_sessions": generated.hdfs_sessions,
}
_watchers: ContextVar[tuple[list[Provenance], ...]] = ContextVar("_watchers", default=())


def load(name: str, **options: Any) -> Dataset:
    """A dataset: from the cache, the mirror, its canonical address, or, offline, a stand-in labelled as one.

    Environment: `GROUNDUP_CACHE` (where downloads are kept), `GROUNDUP_DATA_MIRROR` (a folder laid out as the cache)
    and `GROUNDUP_OFFLINE` (do not try to download).

    Args:
        name: a name in `REGISTRY`; `docs/data.md` lists them.
        options: parameters of data that is synthetic by definition: `load("moons", rows=500, noise=0.1)`.

    Raises:
        UnknownName: there is no such dataset.
        UsageError: an option that the dataset does not have.
        DataUnavailable: the download has the wrong checksum, the cache cannot be written, or no source has the dataset
            and nothing may stand in for it.
    """
    if name not in REGISTRY:
        raise UnknownName("dataset", name, REGISTRY, see="docs/data.md")
    entry = REGISTRY[name]
    dataset = _generate(entry, options) if entry.synthetic else _read(entry, options)
    for loaded in _watchers.get():
        if dataset.provenance not in loaded:
            loaded.append(dataset.provenance)
    return dataset


@contextmanager
def watch() -> Iterator[list[Provenance]]:
    """Collect the provenance of every dataset that this thread loads in the block."""
    loaded: list[Provenance] = []
    token = _watchers.set((*_watchers.get(), loaded))
    try:
        yield loaded
    finally:
        _watchers.reset(token)


def _generate(entry: Entry, options: dict[str, Any]) -> Dataset:
    import inspect

    known = inspect.signature(_GENERATORS[entry.name]).parameters
    for option in options:
        if option not in known:
            raise UsageError(
                f"load('{entry.name}'): there is no option '{option}'. The options are {', '.join(known)}."
            )
    return Dataset(Provenance(entry.name, "generated", licence=entry.licence), _GENERATORS[entry.name](**options))


def _read(entry: Entry, options: dict[str, Any]) -> Dataset:
    if options:
        raise UsageError(f"load('{entry.name}') takes no options, but received {', '.join(options)}. Leave them out.")
    file = find(entry)
    if isinstance(file, NotFound) and not entry.stand_in:
        raise DataUnavailable(
            f"'{entry.name}' must come from the cache, the mirror or {entry.url}, and none has it: {file.reason}. "
            "Nothing may stand in for it. Try again with a network, or set GROUNDUP_DATA_MIRROR to a folder with it."
        )
    if isinstance(file, NotFound):
        why = f"{file.reason}. {entry.stand_in[:1].upper()}{entry.stand_in[1:]}".rstrip(".")
        provenance = Provenance(
            entry.name, "generated", entry.url, licence="none needed (generated)", stand_in=True, note=why
        )
        return _dataset(provenance, _GENERATORS[entry.name](), None)
    provenance = Provenance(entry.name, file.source, entry.url, file.sha256, entry.licence, note=file.note)
    return _dataset(provenance, _READERS[entry.name](file.path), file.path)


def _dataset(provenance: Provenance, content: Any, path: Any) -> Dataset:
    if isinstance(content, str):
        return Dataset(provenance, text=content, path=path)
    return Dataset(provenance, content, path=path)
