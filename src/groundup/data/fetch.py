"""Finding a dataset's file: the cache, then the mirror, then its canonical address.

Only a file with the right checksum is ever used.
"""

from __future__ import annotations

import os
import socket
import threading
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from groundup.data.dataset import Source
from groundup.data.registry import Entry
from groundup.errors import DataUnavailable

CONNECT_SECONDS = 3.0
"""The wait for a server; after it, the machine counts as offline."""
READ_SECONDS = 15.0
"""The longest pause of a download."""


class DataWarning(UserWarning):
    """A copy of a dataset was skipped because its checksum is wrong."""


@dataclass(frozen=True)
class Found:
    """A file with the right checksum, its source, and notes on copies skipped on the way."""

    path: Path
    source: Source
    sha256: str
    note: str = ""


@dataclass(frozen=True)
class NotFound:
    """The reason why no source has the file."""

    reason: str


def cache_folder() -> Path:
    """The folder of downloads: `GROUNDUP_CACHE`, or the user's cache folder."""
    folder = os.environ.get("GROUNDUP_CACHE")
    if folder:
        return Path(folder).expanduser()
    import pooch

    return Path(pooch.os_cache("groundup"))


def find(entry: Entry, *, download: Callable[[Entry, Path], str | None] | None = None) -> Found | NotFound:
    """The file of a dataset, from the first source that has it unharmed.

    Args:
        entry: the dataset.
        download: puts the file into the cache and returns None, or the reason why it failed. By default it fetches the
            entry's address.

    Raises:
        DataUnavailable: a download arrived with the wrong checksum, or the cache cannot be written.
    """
    notes: list[str] = []
    cached = cache_folder() / entry.file
    if cached.is_file():
        if sha256_of(cached) == entry.sha256:
            return Found(cached, "cache", entry.sha256)
        notes.append(_skipped(entry, f"the cached file {cached} is damaged and was removed"))
        cached.unlink(missing_ok=True)
    mirror = os.environ.get("GROUNDUP_DATA_MIRROR")
    if mirror:
        mirrored = Path(mirror).expanduser() / entry.file
        if not mirrored.is_file():
            notes.append(f"the mirror has no {mirrored}")
        elif sha256_of(mirrored) == entry.sha256:
            return Found(mirrored, "mirror", entry.sha256, "; ".join(notes))
        else:
            notes.append(_skipped(entry, f"the mirror's {mirrored} has the wrong checksum and was skipped"))
    sample = _sample(entry, mirror)
    if sample is not None:
        return sample
    reason = "GROUNDUP_OFFLINE is set" if os.environ.get("GROUNDUP_OFFLINE") else (download or _download)(entry, cached)
    if reason is None:
        return Found(cached, "download", entry.sha256, "; ".join(notes))
    return NotFound("; ".join([*notes, reason]))


def _sample(entry: Entry, mirror: str | None) -> Found | None:
    """The smaller file with part of the data, if the entry has one: from the cache, then from the mirror."""
    folders: list[tuple[Path, Source]] = [(cache_folder(), "cache")]
    if mirror:
        folders.append((Path(mirror).expanduser(), "mirror"))
    for folder, source in folders if entry.sample else []:
        path = folder / entry.sample
        if path.is_file() and sha256_of(path) == entry.sample_sha256:
            return Found(path, source, entry.sample_sha256, "a sample of it")
    return None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _skipped(entry: Entry, what: str) -> str:
    warnings.warn(f"Data '{entry.name}': {what}; expected SHA-256 {entry.sha256}.", DataWarning, stacklevel=4)
    return what


def _download(entry: Entry, target: Path) -> str | None:
    """Download to `target`; None on success, otherwise the reason of the failure."""
    if not entry.url:
        return "it has no address of its own, only a mirror has it"
    if not _reachable(entry.url):
        return f"no connection to {urllib.parse.urlsplit(entry.url).hostname}"
    import pooch
    import requests

    downloader = pooch.HTTPDownloader(timeout=(CONNECT_SECONDS, READ_SECONDS), chunk_size=1 << 16)
    pooch.get_logger().setLevel("WARNING")
    try:
        # pooch writes to a temporary file and moves it into place only when its checksum is right.
        pooch.retrieve(
            entry.url,
            entry.sha256,
            fname=target.name,
            path=target.parent,
            downloader=downloader,  # type: ignore[arg-type] # pooch annotates it as None
        )
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "with an error"
        return f"{entry.url} answered {status}"
    except requests.RequestException as error:
        return f"the download of {entry.url} broke off ({type(error).__name__})"
    except ValueError as error:
        raise DataUnavailable(
            f"Data '{entry.name}': the file from {entry.url} does not have the SHA-256 {entry.sha256}, "
            "so it was discarded. A proxy or a login page may have answered instead: try again on another network, "
            f"set GROUNDUP_DATA_MIRROR to a folder that holds {entry.file}, "
            "or set GROUNDUP_OFFLINE=1 to continue with a labelled stand-in."
        ) from error
    except OSError as error:
        raise DataUnavailable(
            f"Data '{entry.name}': {target} cannot be written ({error.strerror or error}). "
            "Set GROUNDUP_CACHE to a folder that you can write."
        ) from error
    return None


def _reachable(url: str) -> bool:
    """Whether the server, or the proxy on the way to it, accepts a connection soon.

    In a thread of its own, because looking up a name without a network can take long and has no time limit.
    """
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname, port), CONNECT_SECONDS).close()
            connected.set()
        except OSError:
            pass

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    return connected.is_set()
