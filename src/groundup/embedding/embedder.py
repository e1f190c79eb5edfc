"""`load` and `Embedder`: texts in, unit vectors out, on the CPU."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.data import cache_folder
from groundup.errors import UnknownName
from groundup.extras import need
from groundup.files import replace_file
from groundup.weights import packaged, weights_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODELS = packaged("embedding")
"""The models that `load` knows."""
TOKENS_IN_A_BATCH = 512  # measured: more of them fall out of the processor's cache
DIMENSION = 384


class Embedder:
    """A sentence model, ready to encode. Safe to use from several threads.

    Attributes:
        name: the model's name.
        max_tokens: how many tokens it reads; of a longer text only the first are seen.
        dimension: entries of a vector.
        threads: how many batches are encoded at a time.
    """

    max_tokens = 256
    dimension = DIMENSION

    def __init__(self, name: str, session: InferenceSession, tokenizer: Any, threads: int) -> None:
        self.name, self.threads = name, threads
        self._session, self._tokenizer = session, tokenizer

    def encode(self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """A vector for each text, in order; the vector of a text does not depend on the texts beside it.

        Args:
            texts: any number of texts. What lies beyond `max_tokens` of a text is not seen.
            progress: called after each batch with how many texts are done, and how many there are.

        Returns:
            float32 of shape (texts, 384), every row of length 1, so that a dot product of two is their cosine.

        Raises:
            TypeError: `texts` is one text, or holds something that is not a text.
        """
        ids = [self._cut(encoding.ids) for encoding in self._tokenizer.encode_batch(_checked(texts))]
        vectors = np.empty((len(ids), DIMENSION), np.float32)
        done = 0
        with ThreadPoolExecutor(self.threads) as pool:
            # Texts of one length together need no padding; the longest first, so that no thread ends with a long one.
            running = {pool.submit(self._run, [ids[i] for i in batch]): batch for batch in batches(ids)}
            for finished in as_completed(running):
                batch = running[finished]
                vectors[batch] = finished.result()
                done += len(batch)
                if progress:
                    progress(done, len(ids))
        return vectors

    def tokens(self, text: str) -> int:
        """The number of a text's tokens, with the two at its ends. The model reads at most `max_tokens`.

        Raises:
            TypeError: `text` is not a text.
        """
        return len(self._tokenizer.encode_batch(_checked([text]))[0].ids)

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]

    def _run(self, texts: list[list[int]]) -> Any:
        ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
        mask = np.zeros(ids.shape, np.int32)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        return self._session.run(None, {"ids": ids, "mask": mask})[0]


def batches(texts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Positions of texts, longest first, in batches of about `TOKENS_IN_A_BATCH` tokens."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    made, start = [], 0
    while start < len(order):
        size = max(1, TOKENS_IN_A_BATCH // len(texts[order[start]]))
        made.append(order[start : start + size])
        start += size
    return made


@cache
def load(model: str = "all-MiniLM-L6-v2", *, threads: int | None = None) -> Embedder:
    """The sentence model `model`.

    The first call on a machine fetches the weights (84 MB) unless they are there, converts them to int8 and keeps both
    in the cache folder (`GROUNDUP_CACHE`, or the user's); later calls need no network. The same arguments give the
    same object.

    Args:
        model: a name in `MODELS`.
        threads: how many batches to encode at a time; as many as there are cores unless given.

    Raises:
        UnknownName: there is no such model.
        MissingPackage: a package that it needs is not installed.
        ModelUnavailable: its weights could be had from nowhere.
    """
    if model not in MODELS:
        raise UnknownName("embedding model", model, MODELS, see="groundup.embedding.MODELS")
    need(f"The embedding model '{model}'", "onnxruntime", "tokenizers", "onnx", "safetensors")
    from tokenizers import Tokenizer

    there = weights_of(model)
    session = _session(model, there["model.safetensors"])
    tokenizer = Tokenizer.from_file(str(there["tokenizer.json"]))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Embedder(model, session, tokenizer, threads or len(_cores()))


def _cores() -> Sequence[int]:
    """The processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def _session(model: str, weights: Path) -> InferenceSession:
    """The model in int8: from the cache, or converted now and put there."""
    import onnxruntime

    converter = Path(__file__).with_name("graph.py")
    key = hashlib.sha256(onnxruntime.__version__.encode() + converter.read_bytes())
    key.update(MODELS[model].files[weights.name].encode())
    cached = cache_folder() / "embedding" / f"{model}-{key.hexdigest()[:16]}.onnx"
    if cached.is_file():
        try:
            return _started(str(cached))
        except Exception:  # ONNX Runtime has a dozen names for a file that is damaged; it is written anew
            pass
    from safetensors.numpy import load_file

    from groundup.embedding.graph import build

    converted = build(load_file(weights))
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        replace_file(cached, converted, mode=0o600)
    except OSError:
        pass  # a cache that cannot be written makes the next start slower, nothing else
    return _started(converted)


def _started(model: str | bytes) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # whole batches run beside each other instead: no waiting for the slowest part
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _checked(texts: Sequence[str]) -> list[str]:
    """The texts as the tokenizer takes them: half of a surrogate pair, from bytes that were not UTF-8, becomes `?`."""
    if isinstance(texts, str | bytes):
        raise TypeError(f"encode: texts must be a sequence of texts, not one {type(texts).__name__}; write [text].")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"encode: every text must be a str; texts[{position}] is {text!r:.80} ({type(text).__name__}). "
                "Convert it, or leave it out."
            )
    return [text.encode("utf-8", "replace").decode() for text in texts]
