"""Every day, session, resource, criterion and question of roadmap 000 is in its track, by lists made from it."""

from __future__ import annotations

import pytest

from groundup.course.material.roadmaps import load_track
from tests.tracks.helpers import assert_says

DAYS = load_track("devops")

# day: success criteria, reflection questions
PER_DAY = {
    1: (4, 4), 2: (4, 4), 3: (4, 4), 4: (4, 4), 5: (4, 4), 6: (4, 4), 7: (0, 6), 8: (4, 0), 9: (4, 4), 10: (4, 3),
    11: (4, 4), 12: (4, 4), 13: (4, 4), 14: (0, 0), 15: (0, 0), 16: (0, 0), 17: (0, 0), 18: (0, 0), 19: (0, 0),
    20: (0, 0), 21: (0, 0),
}  # fmt: skip

# day: what its criteria and questions are about, one entry each, in the order of the document
CRITERIA = {
    1: ["explain", "supervised", "workflow", "devops"],
    2: ["linear regression", "when", "training", "accuracy"],
    3: ["regression", "metrics", "metric", "precision"],
    4: ["vector", "geometric", "connect", "complex models"],
    5: ["probability", "statistical", "operations", "probabilities"],
    6: ["tree", "forest", "design", "implement"],
    8: ["ensemble", "boosting", "compare", "neural networks"],
    9: ["network is built", "gradient descent", "simpler models", "power"],
    10: ["traditional", "architectures", "choose", "language models"],
    11: ["training", "pitfalls", "hyperparameters", "language models"],
    12: ["language models work", "cannot", "devops", "rag"],
    13: ["rag", "components", "design", "implement"],
}
QUESTIONS = {
    1: ["your own", "supervised", "devops", "everyday"],
    2: ["simple words", "which problems", "limits", "monitoring"],
    3: ["categories", "features", "precision or recall", "false positive"],
    4: ["vector", "matrix", "dot products", "neural networks"],
    5: ["error rates", "normal", "anomaly", "how sure"],
    6: ["features", "tree", "categories", "accurate"],
    7: ["workflow", "regression", "recall", "decision tree", "feature engineering", "linear algebra"],
    9: ["logistic regression", "layer", "activation", "backpropagation"],
    10: ["architecture", "order", "simpler"],
    11: ["how much data", "overfitting", "stop", "hyperparameters"],
    12: ["logs", "infrastructure", "limits", "use one well"],
    13: ["documents", "chunks", "embed", "good"],
}
MATTERS = {
    1: ["labels|answers", "unsupervised", "reinforcement", "pod crash", "group", "resources", "define", "collect",
        "explore", "prepare", "train", "evaluate", "monitor", "overfitting", "underfitting", "summar", "unclear",
        "tomorrow"],
    2: ["mx + b", "squared", "requests", "hour of the day", "day of the week", "new data", "inputs", "fail"],
    3: ["45 %", "healthy", "true and false positives", "precision", "recall", "f1", "security", "engineer",
        "monitoring",
        "error, warning, info, debug", "roc"],
    4: ["log entry", "dot product", "matrix multiplication", "dimension", "response time", "250", "close together"],
    5: ["mean, median and mode", "standard deviation", "distribution", "a/b", "anomal", "alert"],
    6: ["80 %", "90 %", "5 %", "unhealthy", "warning", "majority|vote", "numbers and categories"],
    7: ["14", "database", "failed", "seven words", "timestamp", "connection", "supervised", "evaluation metrics",
        "gaps"],
    8: ["xgboost", "tables", "linear regression", "logistic regression", "decision tree", "random forest", "boosting"],
    9: ["neuron", "layer", "weights", "activation", "chain rule", "sigmoid", "images, text"],
    10: ["feedforward", "convolutional", "recurrent", "transformer", "regularization", "pod fails",
         "logs in their order"],
    11: ["learning rate", "batch size", "epoch", "adam", "sgd", "validation", "early stopping", "dropout",
         "batch normalization", "attention", "text"],
    12: ["token", "embedding", "attention", "pre-training", "fine-tuning", "the pod is", "failing",
         "invented facts", "notes"],
    13: ["vector database", "similarity search", "prompt engineering", "context window", ".clinerules", "chromadb",
         "why is this pod failing", "solutions"],
    14: ["chain", "prompt", "memory", "agent", "retriever", "ollama", "chromadb", "langchain", "ensembles", "rag"],
    15: ["eks", "qa namespace", "duckdb", "errors", "analyse", "patterns", "features", "notebook"],
    16: ["parse", "features", "format", "clean dataset", "missing values", "scale"],
    17: ["decision tree", "random forest", "xgboost", "compare", "save", "not seen", "metrics", "errors", "improve"],
    18: [".clinerules", "chunks", "embed", "chromadb", "similarity search", "quality", "tune", "odd cases"],
    19: ["ollama", "rag chain", "prompts", "real questions", "answers", "goes wrong"],
    20: ["fastapi", "endpoints", "classifier", "rag system", "errors", "test", "streamlit", "upload",
         "questions and answers",
         "predictions", "pleasant"],
    21: ["connect", "whole way", "fix", "monitoring", "documentation", "cases", "slides", "rehearse", "learned",
         "celebrate"],
}  # fmt: skip


@pytest.mark.parametrize("day", range(1, 22))
def test_every_day_of_000_is_there_with_its_sessions_criteria_and_questions(day: int) -> None:
    item = DAYS.item(f"D{day}")
    assert (len(item.criteria), len(item.questions)) == PER_DAY[day]
    for text, wanted in zip(item.criteria, CRITERIA.get(day, []), strict=True):
        assert wanted in text.lower()
    for text, wanted in zip(item.questions, QUESTIONS.get(day, []), strict=True):
        assert wanted in text.lower()
    assert_says(item, *MATTERS[day])


@pytest.mark.parametrize("day", range(1, 22))
def test_the_sessions_of_a_day_have_the_times_of_000(day: int) -> None:
    """Two to three hours in the morning and in the afternoon, one in the evening; in the third week none is stated."""
    times = [(part.name, part.time and (part.time.low, part.time.high)) for part in DAYS.item(f"D{day}").parts]
    sessions = [("Morning", (120, 180)), ("Afternoon", (120, 180)), ("Evening", (60, 60))]
    assert times == (sessions if day <= 14 else sessions[:2])
    whole = DAYS.item(f"D{day}").time
    assert (whole.low, whole.high, whole.estimated) == ((300, 420, False) if day <= 14 else (240, 360, True))


STATQUEST, BLUE = "StatQuest", "3Blue1Brown"
# (day, or 0 for the summary at the end), title, author, kind, minutes or None where the document gives none
RESOURCES = [
    (1, "Machine Learning Fundamentals: Bias and Variance", STATQUEST, "video", 6),
    (1, "Machine Learning Fundamentals: The Confusion Matrix", STATQUEST, "video", 9),
    (1, "Machine Learning Fundamentals: Sensitivity and Specificity", STATQUEST, "video", 12),
    (1, "Machine Learning Fundamentals: Cross Validation", STATQUEST, "video", 6),
    (1, "Hands-On Machine Learning, Chapter 1", "Géron", "book", 60),
    (2, "Linear Regression, Clearly Explained!!!", STATQUEST, "video", 9),
    (2, "Linear Models Pt.1 - Linear Regression", STATQUEST, "video", 20),
    (2, "Hands-On Machine Learning, Chapter 4 (Training Models)", "Géron", "book", 90),
    (3, "Logistic Regression, Clearly Explained!!!", STATQUEST, "video", 9),
    (3, "Logistic Regression Details Pt1: Coefficients", STATQUEST, "video", 9),
    (3, "Machine Learning Fundamentals: The Confusion Matrix", STATQUEST, "video", 9),
    (3, "Machine Learning Fundamentals: Sensitivity and Specificity", STATQUEST, "video", 12),
    (3, "ROC and AUC, Clearly Explained!", STATQUEST, "video", 16),
    (4, "Essence of Linear Algebra, Chapter 1: Vectors, what even are they?", BLUE, "video", 10),
    (4, "Essence of Linear Algebra, Chapter 2: Linear combinations, span, and basis vectors", BLUE, "video", 10),
    (4, "Essence of Linear Algebra, Chapter 3: Linear transformations and matrices", BLUE, "video", 10),
    (4, "Essence of Linear Algebra, Chapter 4: Matrix multiplication as composition", BLUE, "video", 10),
    (4, "Essence of Linear Algebra, Chapter 5: Three-dimensional linear transformations", BLUE, "video", 5),
    (4, "Essence of Linear Algebra, Chapter 7: Dot products and duality", BLUE, "video", 14),
    (5, "Probability vs Likelihood", STATQUEST, "video", 5),
    (5, "Probability is not Likelihood", STATQUEST, "video", 9),
    (5, "Bayes' Theorem, Clearly Explained!", STATQUEST, "video", 15),
    (5, "The Main Ideas behind Probability Distributions", STATQUEST, "video", 10),
    (5, "What is a statistical model?", STATQUEST, "video", 10),
    (5, "Histograms, Clearly Explained", STATQUEST, "video", 4),
    (5, "Statistical Tests: Choosing which statistical test to use", STATQUEST, "video", 10),
    (6, "Decision Trees", STATQUEST, "video", 17),
    (6, "Decision Trees, Part 2 - Feature Selection and Missing Data", STATQUEST, "video", 5),
    (6, "Random Forests Part 1 - Building, Using and Evaluating", STATQUEST, "video", 10),
    (6, "Random Forests Part 2: Missing data and clustering", STATQUEST, "video", 10),
    (7, "Feature Engineering for Machine Learning", "YouTube", "video", 60),
    (8, "AdaBoost, Clearly Explained", STATQUEST, "video", 12),
    (8, "Gradient Boost Part 1: Regression Main Ideas", STATQUEST, "video", 15),
    (8, "Gradient Boost Part 2: Regression Details", STATQUEST, "video", 26),
    (8, "XGBoost Part 1: Regression", STATQUEST, "video", 25),
    (9, "But what is a neural network?", BLUE, "video", 19),
    (9, "Gradient descent, how neural networks learn", BLUE, "video", 21),
    (9, "What is backpropagation really doing?", BLUE, "video", 14),
    (10, "Practical Deep Learning Lesson 1: Getting Started", "Fast.ai", "video", 120),
    (11, "Neural Networks Pt. 3: ReLU In Action!!!", STATQUEST, "video", 7),
    (11, "Neural Networks Pt. 4: Multiple Inputs and Outputs", STATQUEST, "video", 8),
    (11, "The Chain Rule", STATQUEST, "video", 18),
    (12, "Intro to Large Language Models", "Andrej Karpathy", "video", 60),
    (13, "RAG Explained", "YouTube", "video", 30),
    (13, "What is Retrieval Augmented Generation", "YouTube", "video", 30),
    (14, "LangChain documentation: Getting Started guide", "LangChain", "documentation", 60),
    (14, "LangChain documentation: RAG tutorial", "LangChain", "documentation", 60),
    (0, "Machine Learning Fundamentals playlist", STATQUEST, "video", None),
    (0, "Essence of Linear Algebra series", BLUE, "video", None),
    (0, "Essence of Calculus series", BLUE, "video", None),
    (0, "Neural Networks series", BLUE, "video", None),
    (0, "Intro to Large Language Models", "Andrej Karpathy", "video", 60),
    (0, "Practical Deep Learning for Coders", "Fast.ai", "course", None),
    (0, "Hands-On Machine Learning, Chapters 1-4", "Aurélien Géron", "book", None),
    (0, "Deep Learning", "Ian Goodfellow", "book", None),
    (0, "Machine Learning", "Andrew Ng (Coursera)", "course", None),
    (0, "Hugging Face NLP Course", "Hugging Face", "course", None),
    (0, "LangChain", "LangChain", "documentation", None),
    (0, "Ollama", "Ollama", "documentation", None),
    (0, "Scikit-learn", "scikit-learn", "documentation", None),
    (0, "DuckDB", "DuckDB", "documentation", None),
    (0, "Kubernetes Python Client", "Kubernetes", "documentation", None),
    (0, "MLOps Community", "", "community", None),
    (0, "Hugging Face Discord", "", "community", None),
    (0, "r/MachineLearning", "", "community", None),
    (0, "r/learnmachinelearning", "", "community", None),
]
URLS = {
    "LangChain": "https://python.langchain.com/docs/",
    "Ollama": "https://ollama.com/library",
    "Scikit-learn": "https://scikit-learn.org/stable/",
    "DuckDB": "https://duckdb.org/docs/",
    "Kubernetes Python Client": "https://github.com/kubernetes-client/python",
    "MLOps Community": "https://mlops.community/",
    "Hugging Face Discord": "https://huggingface.co/join/discord",
    "r/MachineLearning": "https://reddit.com/r/MachineLearning",
    "r/learnmachinelearning": "https://reddit.com/r/learnmachinelearning",
}


@pytest.mark.parametrize(("day", "title", "author", "kind", "minutes"), RESOURCES)
def test_every_resource_of_000_is_there(day: int, title: str, author: str, kind: str, minutes: int | None) -> None:
    place = DAYS.item(f"D{day}").all_resources if day else DAYS.resources
    (found,) = [resource for resource in place if resource.title == title and resource.kind == kind]
    assert author in found.author
    assert found.author
    assert found.time.estimated == (minutes is None)
    if minutes is not None:
        assert (found.time.low, found.time.high) == (minutes, minutes)
    assert found.time.minutes > 0
    if title in URLS:
        assert found.url == URLS[title]


def test_no_day_of_000_has_resources_that_the_document_does_not_name() -> None:
    for day in range(1, 22):
        listed = {title for where, title, *_ in RESOURCES if where == day}
        assert {resource.title for resource in DAYS.item(f"D{day}").all_resources} == listed


def test_the_weeks_of_000_end_with_criteria_checkpoints_and_assessments() -> None:
    weeks = {section.id: section for section in DAYS.sections}
    counts = {name: (len(week.criteria), len(week.checkpoint), len(week.items)) for name, week in weeks.items()}
    assert counts == {"W1": (6, 6, 7), "W2": (5, 6, 7), "W3": (0, 6, 7)}
    assert_says(
        weeks["W1"].checkpoint, "technical background", "supervised", "model", "metrics", "vectors", "small solution"
    )
    assert_says(weeks["W2"].checkpoint, "network", "language model", "rag", "langchain", "transformer", "application")
    assert_says(weeks["W3"].checkpoint, "collector", "classifier", "rag", "api", "portfolio", "demonstrate")
    reviews = [part.steps for day in (7, 14) for part in DAYS.item(f"D{day}").parts if "review" in part.title]
    assert [len(steps) for steps in reviews] == [9, 6]


def test_principles_tips_outcomes_next_steps_and_help_of_000_are_there() -> None:
    points = {kind: [n for n in DAYS.notes if n.kind == kind] for kind in {note.kind for note in DAYS.notes}}
    sizes = {kind: [len(note.points) for note in notes] for kind, notes in points.items()}
    assert sizes["principle"] == [4, 4, 4, 4, 4]
    assert sizes["tip"] == [4, 4, 4, 4]
    assert sizes["outcome"] == [4, 5, 5]
    assert sizes["next"] == [4, 4, 4]
    assert sizes["help"] == [5, 4]
    for note, style in zip(points["tip"], ("seeing", "doing", "reading", "listening"), strict=True):
        assert style in note.title
    assert_says(
        tuple(points["principle"]), "foundations", "doing", "work", "patient", "steady", "two to three hours a day"
    )
    assert_says(tuple(points["next"]), "mlops", "portfolio|production scale", "write about it", "open source")
    assert_says(tuple(points["help"]), "stack overflow", "communities", "rest", "mathematics", "debugging")
