"""Every topic and every line of the stack of roadmap 003 is in its track. The lists were written from it."""

from __future__ import annotations

import pytest

from tests.tracks.helpers import assert_says, by_document

TOPICS_003 = {
    1: ["linear algebra and matrix calculus", "vector spaces", "operations on matrices", "decompositions"],
    2: ["probability and statistics", "distributions", "hypotheses", "bayesian inference"],
    3: ["supervised learning", "regression", "classification", "trees"],
    4: ["unsupervised learning", "clustering", "dimensionality reduction", "association rules"],
    5: ["architectures", "cnns", "rnns", "transformers", "vision transformers"],
    6: ["neural networks", "perceptron", "activation functions", "training"],
    7: ["transformers and attention", "several heads", "positional encoding"],
    8: ["transformer's architecture", "self-attention", "several heads", "encoder and decoder"],
    9: ["language model", "pre-training", "fine-tuning", "rlhf or dpo"],
    10: ["retrieval-augmented generation", "embeddings", "vector databases", "hybrid search"],
    11: ["agents", "langgraph", "crewai", "reasoning"],
    12: ["production engineering", "ci/cd", "serving models", "observability", "governance"],
}
LAYERS_003 = {
    "P1": ["linear algebra and matrix calculus", "probability and statistics", "calculus and optimization"],
    "P2": ["supervised learning", "regression and classification", "trees", "unsupervised learning",
           "clustering and dimensionality"],
    "P3": ["computer vision", "lstms", "transformers and attention", "dynamics of training"],
    "P4": ["transformer's architecture", "pre-training", "sft and rlhf", "quantization"],
    "P5": ["rag systems", "pinecone", "langgraph", "crewai"],
    "P6": ["dvc, feast", "ci/cd", "vllm, tgi", "langsmith", "governance and safety"],
}  # fmt: skip
PHASE_OF_TOPIC = {1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 3, 8: 4, 9: 4, 10: 5, 11: 5, 12: 6}


@pytest.mark.parametrize("topic", TOPICS_003)
def test_every_topic_of_003_is_there_with_its_five_parts(topic: int) -> None:
    track = by_document("003")
    item = track.item(f"T{topic}")
    assert_says(item, *TOPICS_003[topic])
    assert [p.name for p in item.parts] == [
        "Concept",
        "Implementation",
        "Where it is used",
        "Going further",
        "Interview",
    ]
    assert all(part.about for part in item.parts)
    assert item.parts[-1].steps, "an interview needs questions"
    assert item.units
    (section,) = [s for s in track.sections if item in s.items]
    assert section.id == f"P{PHASE_OF_TOPIC[topic]}"


@pytest.mark.parametrize("phase", LAYERS_003)
def test_every_line_of_the_stack_of_003_is_there(phase: str) -> None:
    (section,) = [s for s in by_document("003").sections if s.id == phase]
    layers = [item for item in section.items if item.kind == "layer"]
    for layer, wanted in zip(sorted(layers, key=lambda i: i.id), LAYERS_003[phase], strict=True):
        assert wanted in layer.title.lower()
        assert layer.units


def test_roles_skills_path_tools_and_parts_of_003_are_there() -> None:
    track = by_document("003")
    kinds = {kind: [n for n in track.notes if n.kind == kind] for kind in {note.kind for note in track.notes}}
    assert {kind: len(notes) for kind, notes in kinds.items()} == {
        "role": 8, "skill": 6, "tool": 6, "part": 5, "stage": 3, "contribute": 1,
    }  # fmt: skip
    assert [len(note.points) for note in kinds["part"]] == [4, 4, 4, 4, 4]
    assert [len(note.points) for note in kinds["stage"]] == [3, 3, 3]
    assert_says(tuple(kinds["role"]), "machine learning engineer", "ai engineer", "data scientist",
                "deep learning engineer",
                "nlp engineer", "computer vision engineer", "mlops engineer", "ai research scientist",
                "80–90")  # fmt: skip
    assert_says(tuple(kinds["tool"]), "pandas", "numpy", "matplotlib", "scikit-learn", "xgboost", "lightgbm", "pytorch",
                "tensorflow", "hugging face", "dvc", "feast", "mlflow", "langsmith", "pinecone", "weaviate", "chromadb",
                "langchain", "langgraph", "crewai")  # fmt: skip
    assert_says(
        tuple(kinds["skill"]), "python", "pytorch", "calculus", "containers", "cloud", "rag", "critical thinking"
    )
    for step in ("LP3", "LP6", "LP8", "LP9"):
        assert track.item(step)


RESOURCES_003 = [
    ("Deep Learning", "Goodfellow"),
    ("Pattern Recognition and Machine Learning", "Bishop"),
    ("Hands-On Machine Learning with Scikit-Learn", "Géron"),
    ("Deep Learning Specialization", "Andrew Ng"),
    ("Practical Deep Learning for Coders", "Fast.ai"),
    ("CS229 (Machine Learning)", "Stanford"),
    ("CS231n (Computer Vision)", "Stanford"),
]


@pytest.mark.parametrize(("title", "author"), RESOURCES_003)
def test_every_resource_of_003_is_there(title: str, author: str) -> None:
    (found,) = [r for r in by_document("003").all_resources if r.title == title]
    assert author in found.author
