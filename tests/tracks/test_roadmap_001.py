"""Every item of every phase of roadmap 001 is in its track. The lists were written from it."""

from __future__ import annotations

import pytest

from tests.tracks.helpers import assert_says, by_document

PHASES_001 = {
    "P1": ["inferential", "hypothes", "confidence intervals", "bayesian", "probability theory"],
    "P2": ["eigenvalues", "singular value", "matrix calculus", "gradient descent", "convex", "information theory",
           "distributions and sampling"],
    "P3": ["numpy and scipy", "pandas", "matplotlib and seaborn", "scikit-learn"],
    "P4": ["regression", "classification", "clustering", "dimensionality reduction", "evaluating and selecting",
           "bias and variance", "neural networks", "backpropagation from first principles",
           "cnns, rnns and transformers",
           "modern architectures"],
    "P5": ["transformer, in depth", "attention", "pre-training and fine-tuning", "rag, embeddings and vector databases",
           "prompts"],
    "P6": ["experiments tracked", "versioned", "deploying", "monitoring and observability", "ci/cd", "infrastructure"],
}  # fmt: skip


@pytest.mark.parametrize("phase", PHASES_001)
def test_every_item_of_every_phase_of_001_is_there(phase: str) -> None:
    track = by_document("001")
    (section,) = [s for s in track.sections if s.id == phase]
    bullets = {"P1": 4, "P2": 4, "P3": 4, "P4": 8, "P5": 5, "P6": 5}[phase]
    assert [i.id for i in section.items if i.kind == "topic"] == [f"{phase}.{n}" for n in range(1, bullets + 1)]
    assert_says(tuple(section.items), *PHASES_001[phase])


def test_the_modules_projects_strengths_and_habits_of_001_are_there() -> None:
    track = by_document("001")
    projects = [item for item in track.items if item.kind == "project"]
    wanted = ["a/b tests", "supervised learning from end to end", "images or text", "language models", "in production"]
    assert [item.id for item in projects] == ["PR1", "PR2", "PR3", "PR4", "PR5"]
    for item, name in zip(projects, wanted, strict=True):
        assert name in item.title.lower()
        assert_says(item, "tests", "documentation", "production")
    assert_says(track.sections, *(f"0{number}" for number in range(1, 8)))
    start = tuple(note for note in track.notes if note.kind == "start")
    assert [len(note.points) for note in start] == [4, 5]
    assert_says(start, "calculus", "descriptive", "differential equations", "bayesian", "rusty", "mlops")
    assert_says(track.notes, "focus", "each week has goals", "papers, courses and books", "career")
