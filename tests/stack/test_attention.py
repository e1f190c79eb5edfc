"""`deep/attention` in the grader, whose process has PyTorch in it; what its figures claim; and its lab's data."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import groundup.stack.deep.attention as package
from groundup.course.grader import Grader
from groundup.course.material.unit import Unit, load_unit
from groundup.stack.deep.attention import MultiHeadAttention, Transformer, figures, labs


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as one:
        yield one


@pytest.fixture(scope="module")
def unit() -> Unit:
    return load_unit(Path(str(package.__file__)).parent)


def test_the_reference_passes(grader: Grader, unit: Unit) -> None:
    verdict = grader.grade(unit, unit.implementation.read_text(encoding="utf-8"))
    assert verdict.passed, (verdict.message, [check.name for check in verdict.checks if check.outcome != "passed"])


def test_the_checks_import_nothing_slow(unit: Unit) -> None:
    """Some innocent functions of PyTorch import its compiler and SymPy, half a second in every verdict."""
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]) or 'sympy' in sys.modules)"
    options = ["-q", "-p", "groundup.checking", "-p", "no:cacheprovider", "-o", "python_files=checks.py"]
    run = subprocess.run([sys.executable, "-c", code, *options, str(unit.checks)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] or "SymPy was imported"


def test_an_optimizer_in_a_submission_is_not_taken_for_tampering(grader: Grader, unit: Unit) -> None:
    """The first optimizer imports PyTorch's compiler, which changes PyTorch."""
    source = unit.implementation.read_text(encoding="utf-8")
    verdict = grader.grade(unit, source + "\n\ntorch.optim.SGD(nn.Linear(1, 1).parameters()).step()\n")
    assert verdict.passed, verdict.message


@pytest.mark.parametrize("heads", [3, 0, -2, 16])
def test_heads_that_do_not_divide_are_an_error(heads: int) -> None:
    with pytest.raises(ValueError, match=f"heads must divide dim=8, got heads={heads}"):
        MultiHeadAttention(8, heads)


def transformer(**settings: int) -> Transformer:
    """A small one, with the same weights every time."""
    torch.manual_seed(0)
    return Transformer(7, dim=8, heads=2, layers=2, max_tokens=12, **settings).eval()


def test_a_sequence_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ValueError, match="tokens must be at most max_tokens=12 long, got 13"):
        transformer().encode(torch.ones(1, 13, dtype=torch.long))


@pytest.mark.parametrize("padding", [0, 6])
def test_padding_behind_a_source_changes_nothing_whichever_token_it_is(padding: int) -> None:
    model, target = transformer(padding=padding), torch.tensor([[1, 3, 4]])
    padded, plain = torch.tensor([[3, 4, 5, padding, padding]]), torch.tensor([[3, 4, 5]])
    torch.testing.assert_close(model(padded, target), model(plain, target))


def test_decoding_tells_how_each_layer_and_head_looked_at_the_source() -> None:
    model, source, target = transformer(), torch.tensor([[3, 4, 0]]), torch.tensor([[1, 3]])
    logits, maps = model.decode(target, model.encode(source), source)
    assert logits.shape == (1, 2, 7)
    assert maps.shape == (2, 1, 2, 2, 3)  # layers, batch, heads, target, source
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 1, 2, 2))
    assert (maps[..., 2] == 0).all()


def said(figure: Any) -> str:
    """The line above a figure."""
    return next(note.text for note in figure.layout.annotations if "→" in note.text)


@pytest.mark.parametrize("word", ["attention", "kubernetes", "groundup"])
@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("reverse", lambda word: word[::-1]),
        ("copy", lambda word: word),
        ("previous", lambda word: word[0] + word[:-1]),
        ("next", lambda word: word[1:] + word[-1]),
    ],
)
def test_the_head_made_by_hand_does_its_task(word: Any, task: Any, expected: Callable[[str], str]) -> None:
    """At the ends, where there is no previous or next place, the nearest is the one at the end."""
    assert said(figures.by_hand(task, word)) == f"{task}: {word} → {expected(word)}"


def test_with_too_few_dimensions_it_misreads() -> None:
    assert not said(figures.by_hand(dim=2, sharpness=1.0)).endswith("noitnetta")


@pytest.mark.parametrize("word", ["log", "alert", "groundup"])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_head_that_learns_has_learned_to_reverse_in_the_end(word: Any, heads: Any) -> None:
    figure: Any = figures.learning(200, word, heads)
    assert said(figure) == f"step 200: {word} → {word[::-1]}"
    curve = figure.data[-1].y
    assert curve[0] < 0.15
    assert curve[-1] > 0.97


def test_without_positions_it_does_not_learn() -> None:
    figure: Any = figures.learning(200, "groundup", positions=False)
    assert figure.data[-1].y[-1] < 0.35


def test_the_scale_does_what_its_caption_says() -> None:
    figure: Any = figures.scale("largest weight", 16)
    undivided, by_root, by_dim = (line.y for line in figure.data)
    assert undivided[-1] > 0.9
    assert max(by_root[2:]) - min(by_root[2:]) < 0.05
    assert by_dim[-1] < 1.2 / 16


@pytest.mark.parametrize("seed", range(3))
def test_no_held_out_string_is_trained_on(seed: int) -> None:
    config = labs.ReversalConfig(seed=seed)
    train, held_out = labs.draw_strings(config, np.random.default_rng(seed))
    assert (len(set(train)), len(set(held_out))) == (config.strings, config.held_out)
    assert not set(train) & set(held_out)
    assert {len(text) for text in held_out} == set(range(config.shortest, config.longest + 1))


def test_a_string_that_does_not_end_or_is_no_letter_is_an_error() -> None:
    assert labs.exact_match(["ab", "abc", "a?"], ["ab", "ab", "ab"]) == pytest.approx(1 / 3)
    assert labs.letter_accuracy(["ab", "abc", "a?"], ["ab", "ab", "ab"]) == pytest.approx(5 / 7)
