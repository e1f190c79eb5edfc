"""Every lesson of roadmap 004 is in its track. The lists were written from it."""

from __future__ import annotations

import pytest

from tests.tracks.helpers import assert_says, by_document

LESSONS = {
    1: ["dot", "broadcast", "relu", "10,000", "loop", "xw + b"],
    2: ["titanic", "one-hot", "logistic regression", "decision tree", "learning curves", "bias", "f1", "roc"],
    3: ["bagging", "xgboost", "lightgbm", "house prices", "linear regression", "shap"],
    4: ["chain rule", "cross-entropy", "sigmoid", "by hand", "moons", r"\alpha"],
    5: ["autograd", "nn.module", "dataloader", "mnist", "dataset", "cuda.is_available", "rtx 4060"],
    6: ["adam", "momentum", "rmsprop", "cosine annealing", "loss over epochs", "mnist"],
    7: ["weight decay", "nn.dropout", "nn.batchnorm2d", "cifar-10", "validation"],
    8: ["parameters, metrics", "learning rate", "batch size", ".pth", "cifar-10", "versions of a model"],
    9: ["stride", "padding", "pooling", "receptive", "conv2d", "cifar-10", "feature maps"],
    10: ["skip connections", "transfer learning", "malware", "resnet-18", "freeze", "layer 4"],
    11: [
        "bounding boxes",
        "intersection over union",
        "non-maximum",
        "mean average precision",
        "hard hats",
        "yolov8n",
        "webcam",
    ],
    12: ["u-net", "encoder", "nuclei"],
    13: ["bpe", "word2vec", "glove", "sentence-bert", "sentence-transformers", "logistic regression", "tf-idf"],
    14: ["rnn", "vanish", "forget, input, output", "shakespeare", "circles"],
    15: ["attention is all you need", "$q$", "heads", "positions", "selfattention", "turns a string round|reverse"],
    16: ["masked language", "distilbert", "imdb", "trainer", "f1"],
    17: ["cosine", "euclidean", "hnsw", "ivf", "faiss", "random vectors", "brute force", "faster"],
    18: ["chromadb", "weaviate", "metadata", "pdfs", "recursivecharactertextsplitter"],
    19: ["context", "three best chunks", "llama 3", "ollama", "prompt"],
    20: ["hybrid", "cross-encoder", "bi-encoder", "retrieval recall"],
    21: ["react", "function calling", "action:", "python tool"],
    22: ["langgraph", "human in the loop", "what does the customer want", "policy", "email"],
    23: ["manager", "crewai", "deepseek-r1", "sums up", "edits"],
    24: ["retr", "fall back", "cost", "fastapi", "timeouts"],
    25: ["rest api", "pydantic", "/predict", "json", "confident"],
    26: ["layers and entrypoints", "compose", "chromadb", "docker-compose up"],
    27: ["github actions", "linting", "pytest", "docker image", "push", "merge"],
    28: ["dvc", "reproducib", ".csv", "back and forth"],
    29: ["drift", "great expectations", "pandera", "titanic", "nulls", "outliers", "until it passes"],
    30: ["fastapi", "langgraph", "deepseek-r1", "search the web", "vector database"],
    31: ["streamlit", "chainlit", "markdown", "citations", "react"],
    32: ["langsmith", "tokens and latency", "prompt"],
    33: ["confusion matrix", "slices", "ten worst", "blurred", "sarcasm"],
    34: ["prompt injection", "pixels", "research assistant", "write down"],
    35: ["memory", "4 and to 8 bits", "deepseek-r1", "8b", "ollama", "2 gb"],
    36: ["lora", "unsloth", "alpaca-cleaned", "4 bits", "rank 16", "fifty steps"],
    37: ["merging", "gguf", "llama.cpp", "cpu"],
    38: ["what goes in and what comes out", "nemo", "llamaguard", "pii", "ahead of the model"],
    39: ["instruction tuning", "continued", "chat templates", "cybersecurity", "cves"],
    40: ["fuzzy sets", "low, medium, high", "0.8", "0.6", "risk"],
    41: ["cnn", "phishing", "bert", "anomal", "threat intelligence", "rag"],
    42: ["compose", "three services", "risk engine", "dashboard", "red team"],
    43: ["medium", "cyber-sentinel", "github", "readme"],
    44: ["system design", "phishing", "backpropagation"],
}
MODULE_OF = {
    "MOD1": range(1, 9), "MOD2": range(9, 13), "MOD3": range(13, 17), "MOD4": range(17, 21), "MOD5": range(21, 25),
    "MOD6": range(25, 28), "MOD7": range(28, 30), "CAP1": range(30, 33), "MOD8": range(33, 34), "MOD9": range(34, 35),
    "MOD10": range(35, 38), "MOD11": range(38, 40), "CAP2": range(40, 43), "MOD13": range(43, 45),
}  # fmt: skip


@pytest.mark.parametrize("lesson", range(1, 45))
def test_every_lesson_of_004_is_there(lesson: int) -> None:
    item = by_document("004").item(f"L{lesson}")
    assert_says(item, *LESSONS[lesson])
    if lesson <= 42:
        assert item.units or item.systems
        assert item.build


def test_the_modules_of_004_hold_their_lessons_in_order() -> None:
    sections = by_document("004").sections
    assert {s.id: [i.id for i in s.items] for s in sections} == {
        name: [f"L{number}" for number in lessons] for name, lessons in MODULE_OF.items()
    }
