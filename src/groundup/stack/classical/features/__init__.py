"""Features: log lines, texts, categories and gaps as columns of numbers."""

from groundup.stack.classical.features.features import (
    WORD,
    Imputer,
    OneHotEncoder,
    Standardizer,
    TfidfVectorizer,
    code,
    hash_words,
    log_features,
    words,
)

__all__ = [
    "WORD",
    "Imputer",
    "OneHotEncoder",
    "Standardizer",
    "TfidfVectorizer",
    "code",
    "hash_words",
    "log_features",
    "words",
]
