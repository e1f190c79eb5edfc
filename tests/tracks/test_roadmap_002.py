"""Every milestone of roadmap 002, and what it leaves out, is in its track. The lists were written from it."""

from __future__ import annotations

import pytest

from tests.tracks.helpers import assert_says, by_document


def test_every_milestone_of_002_is_there() -> None:
    track = by_document("002")
    items = {item.id: item for item in track.items}
    assert_says(items["M1"], "linear and logistic regression", "losses", "gradients", "supervised and unsupervised")
    assert_says(
        tuple(i for i in track.items if i.part_of == "M1"),
        "neural networks", "decision trees", "clustering", "recommender", "reinforcement",
    )  # fmt: skip
    assert_says(tuple(i for i in track.items if i.part_of == "M2"), "recurrent", "convolutional", "transformers")
    assert [i.id for i in track.items if i.part_of == "M4"] == ["M4.1", "M4.2", "M4.3", "M4.3a", "M4.3b", "M4.3c"]
    assert_says(items["M4.1"], "mlp", "rnn", "lstm", "gru", "text")
    assert_says(items["M4.2"], "minimal transformer", "common crawl", "cs336", "tokenizer")
    assert_says(items["M4.3a"], "gpt-oss", "sft", "shopping", "tools")
    assert_says(items["M4.3b"], "dpo", "ppo", "tone", "helpfulness")
    assert_says(items["M4.3c"], "gpt-4", "classifies", "end to end")
    assert track.units_of(items["M4"])


RESOURCES_002 = [
    ("M1", "Machine Learning Specialization", "Andrew Ng", ""),
    ("M2", "Deep Learning Specialization", "Andrew Ng", ""),
    ("M3", "Deep Learning", "3Blue1Brown", "https://www.youtube.com/watch?v=aircAruvnKk"),
    ("M3", "Zero to Hero", "Andrej Karpathy", "https://karpathy.ai/zero-to-hero.html"),
    ("M3", "Spinning Up", "OpenAI", "https://spinningup.openai.com/en/latest/user/introduction.html"),
    ("M3", "Transformers from Scratch", "Brandon Rohrer", "https://brandonrohrer.com/transformers.html"),
    ("M4.2", "CS336", "Stanford", ""),
]


@pytest.mark.parametrize(("item", "title", "author", "url"), RESOURCES_002)
def test_every_resource_of_002_is_there(item: str, title: str, author: str, url: str) -> None:
    (found,) = [r for r in by_document("002").item(item).all_resources if r.title == title]
    assert author in found.author
    assert found.url == url or not url
    assert found.time.estimated


def test_what_002_leaves_out_and_its_commands_are_there() -> None:
    track = by_document("002")
    left_out = ["CNNs", "Autoencoders", "Graph neural networks", "GANs", "Diffusion models", "Decision trees",
                "Random forests", "XGBoost", "Unsupervised learning", "Recommendation"]  # fmt: skip
    scope = [note for note in track.notes if note.kind == "scope"]
    assert [note.title for note in scope] == left_out
    assert all(note.about for note in scope)
    assert_says(
        track.notes, "uv init", "tensorflow", "uv add torch`", "torchvision", "matplotlib", "k-means", "nanobanana"
    )
