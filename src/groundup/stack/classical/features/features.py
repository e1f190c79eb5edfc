"""Features: log lines, texts, categories and gaps as columns of numbers that a model can add up.

    log_features("2026-01-07 14:23:45 ERROR Failed to connect to 10.0.0.7:5432")    # {'hour': 14.0, 'severity': 3.0, …}
    Imputer("median").fit(X).transform(X)                       # gaps filled with what the training rows show
    OneHotEncoder().fit(names).transform(names)                 # a column for each category
    Standardizer().fit(X).transform(X)                                # mean 0, deviation 1
    TfidfVectorizer().fit(messages).transform(messages)         # words, weighted by how much they tell

Whatever a transformer knows, it learned in `fit`, from training rows alone. `transform` applies it, and learns nothing.
An error names the parameter and the value that it refuses.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

SEVERITIES = {"debug": 0, "info": 1, "notice": 1, "warn": 2, "warning": 2, "error": 3, "fatal": 4, "critical": 4}
FAILURES = frozenset(
    "fail failed failure failing error exception timeout refused denied unreachable killed panic".split()
)
TIME = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)[T ]([01]\d|2[0-3]):[0-5]\d")
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
WORD = re.compile(r"[a-zA-Z]+(?:_[a-zA-Z]+)*")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters, joined by underscores."""
    return [match.lower() for match in WORD.findall(text)]


def log_features(line: str) -> dict[str, float]:
    """Describe a log line by what a person would look at.

    Returns:
        Floats by name: `hour`, of the first ISO time in the line, and `weekend`, 1 for Saturday and Sunday: NaN where
        there is no time. `severity`, of the first word that is a level: 0 debug, 1 info, 2 warning, 3 error, 4 fatal;
        NaN without one. `failures`, words that tell of failure; a level is none. `words`, all words. `address`, 1 with
        an IPv4 address.
    """
    found = words(line)
    level = next((place for place, word in enumerate(found) if word in SEVERITIES), None)
    rest = [word for place, word in enumerate(found) if place != level]
    match = TIME.search(line)
    time = match if match and _is_date(match) else None
    day = np.datetime64("-".join(time.groups()[:3])) if time else None
    return {
        "hour": float(time[4]) if time else np.nan,
        # 1970-01-01 was a Thursday: three days later the week begins anew.
        "weekend": float((day.astype(int) + 3) % 7 >= 5) if day is not None else np.nan,
        "severity": float(SEVERITIES[found[level]]) if level is not None else np.nan,
        "failures": float(sum(word in FAILURES for word in rest)),
        "words": float(len(found)),
        "address": float(ADDRESS.search(line) is not None),
    }


def _is_date(time: re.Match[str]) -> bool:
    year, month, day = (int(part) for part in time.groups()[:3])
    days = (
        31 - (month in (4, 6, 9, 11)) - (month == 2) * (2 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 3)
    )
    return 1 <= month <= 12 and 1 <= day <= days


# --- columns of numbers ---------------------------------------------------------------------------------------------


class Imputer(TransformerMixin, BaseEstimator):
    """Fills gaps (NaN) with one number a column, and can say where they were.

    Args:
        strategy: "median" or "mean" of the known values of the training rows.
        indicate: whether columns of 0 and 1 are added that mark the gaps, for each column that had some in `fit`.

    Attributes:
        fill_: what each column's gaps are filled with, of shape (n_features,); 0 for a column that is all gaps.
        marked_: the columns that are marked, ascending.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, strategy: Literal["median", "mean"] = "median", indicate: bool = False) -> None:
        self.strategy = strategy
        self.indicate = indicate

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what to fill in.

        Args:
            X: numbers of shape (n_samples, n_features), NaN where there is none.
            y: not used.

        Raises:
            ValueError: another strategy, another shape, no sample, or an infinite number.
        """
        if self.strategy not in ("median", "mean"):
            raise ValueError(f"strategy must be 'median' or 'mean', got {self.strategy!r}.")
        X = validate_data(self, X, dtype=float, ensure_all_finite="allow-nan")
        missing = np.isnan(X)
        known = np.where(missing.all(axis=0), 0.0, X)  # a column without any known value is filled with 0
        self.fill_ = np.nanmedian(known, axis=0) if self.strategy == "median" else np.nanmean(known, axis=0)
        self.marked_ = np.flatnonzero(missing.any(axis=0)) if self.indicate else np.empty(0, dtype=int)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the columns filled, then the marks, of shape (n_samples, n_features + n_marked)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=float, ensure_all_finite="allow-nan", reset=False)
        missing = np.isnan(X)
        return np.hstack([np.where(missing, self.fill_, X), missing[:, self.marked_]])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class Standardizer(TransformerMixin, BaseEstimator):
    """Shifts every column to mean 0 and divides by its standard deviation; a constant column becomes 0.

    Attributes:
        mean_: of each column, of shape (n_features,).
        scale_: the deviation of each column; 1 where the column is constant, up to rounding.
        n_features_in_: how many columns `fit` was given.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn mean and deviation of X, numbers of shape (n_samples, n_features).

        Raises:
            ValueError: another shape, no sample, or a value that is not finite.
        """
        X = validate_data(self, X, dtype=float)
        self.mean_ = X.mean(axis=0)
        distance = X - self.mean_
        largest = np.abs(distance).max(axis=0)
        # The mean of equal numbers may be off by a rounding, which is no variation.
        constant = largest <= 10 * np.finfo(float).eps * np.abs(self.mean_)
        # Squares of distances above 1e154 overflow; squares of their shares of the largest do not.
        shares = np.divide(distance, largest, out=np.zeros_like(distance), where=~constant)
        self.scale_ = np.where(constant, 1.0, largest * np.sqrt(np.mean(shares**2, axis=0)))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return (X - mean_) / scale_, of the shape of X."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=float, reset=False)
        return (X - self.mean_) / self.scale_


class OneHotEncoder(TransformerMixin, BaseEstimator):
    """Makes a column of 0 and 1 for each category of each column.

    Args:
        least: categories of fewer training rows get no column.

    Attributes:
        categories_: the categories of each column that have a column of their own, sorted; a list of arrays.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, least: int = 1) -> None:
        self.least = least

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the categories of X, numbers or texts of shape (n_samples, n_features).

        Raises:
            ValueError: `least` below 1, another shape, no sample, or a number that is not finite.
            TypeError: a column that mixes texts with numbers or None, or holds something else.
        """
        if self.least < 1:
            raise ValueError(f"least must be at least 1, got {self.least}.")
        X = validate_data(self, X, dtype=None)
        self.categories_ = []
        for column in X.T:
            names, counts = _counted(column)
            self.categories_.append(names[counts >= self.least])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return a column for each category, those of the first column first, of shape (n_samples, n_categories).

        A category that has no column, rare or not seen in `fit`, is a row of zeros there.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=None, reset=False)
        blocks = [column[:, None] == names for column, names in zip(X.T, self.categories_, strict=True)]
        return np.hstack(blocks).astype(float)


def _counted(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        return np.unique(column, return_counts=True)
    except TypeError as error:
        kinds = " and ".join(sorted({type(value).__name__ for value in column}))
        rule = "each argument must be a string or a number, and a column may not mix them"
        raise TypeError(f"X holds a column of {kinds}: {rule}. Fill gaps with a text first.") from error


# --- words ----------------------------------------------------------------------------------------------------------


def hash_words(tokens: Iterable[str], n_features: int) -> np.ndarray:
    """Count words without a vocabulary: each is hashed to a column and a sign (Weinberger et al., 2009).

    The hash is `code`. The column is its remainder by n_features, the sign is minus where its highest bit is set. Two
    words that meet in a column cancel as often as they add up, so that a scalar product stays right in the mean.

    Args:
        tokens: the words of one text.
        n_features: how many columns, at least 1.

    Returns:
        Counts with signs, of shape (n_features,), the same in every process.

    Raises:
        ValueError: n_features is below 1.
    """
    if n_features < 1:
        raise ValueError(f"n_features must be at least 1, got {n_features}.")
    row = np.zeros(n_features)
    for token, count in Counter(tokens).items():
        number = code(token)
        row[number % n_features] += -count if number >> 63 else count
    return row


def code(word: str) -> int:
    """Hash a word to 64 bits by BLAKE2b: the same in every process, and bits that know nothing of each other.

    A checksum such as CRC-32 will not do: words that differ in the same letters differ in the same bits of it.
    """
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")


class TfidfVectorizer(TransformerMixin, BaseEstimator):
    """Weighs the words of texts: often here (tf), seldom elsewhere (idf); rows have length 1.

    The weight of a word is its count times log((1 + n) / (1 + df)) + 1, with n the training texts and df those that
    hold the word: scikit-learn's defaults.

    Args:
        least: words in fewer training texts get no column.

    Attributes:
        vocabulary_: the column of each word; words are sorted.
        idf_: the weight of each column, of shape (n_words,).
    """

    def __init__(self, least: int = 1) -> None:
        self.least = least

    def fit(self, texts: Sequence[str], y: Any = None) -> Self:
        """Learn words and their weights from the training texts.

        Raises:
            ValueError: one text instead of many, no text, or no word that is in `least` texts.
        """
        n_texts = len(_texts(texts))
        frequency = Counter(word for text in texts for word in set(words(text)))
        kept = sorted(word for word, df in frequency.items() if df >= self.least)
        if not kept:
            raise ValueError(f"texts must hold a word that is in least={self.least} of them; none of {n_texts} does.")
        self.vocabulary_ = {word: column for column, word in enumerate(kept)}
        self.idf_ = np.log((1 + n_texts) / (1 + np.array([frequency[word] for word in kept]))) + 1
        return self

    def transform(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return a sparse row for each text, of shape (n_texts, n_words).

        A word without a column is passed over. A row has Euclidean length 1, or 0 where no word is known.

        Raises:
            NotFittedError: before `fit`.
            ValueError: one text instead of many.
        """
        check_is_fitted(self)
        rows, columns, counts = [], [], []
        for row, text in enumerate(_texts(texts)):
            for word, count in Counter(words(text)).items():
                if word in self.vocabulary_:
                    rows.append(row)
                    columns.append(self.vocabulary_[word])
                    counts.append(count)
        values = self.idf_[columns] * counts
        lengths = np.sqrt(np.bincount(rows, weights=values**2))
        return sparse.csr_matrix((values / lengths[rows], (rows, columns)), shape=(len(texts), len(self.idf_)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def _texts(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of texts, got the text {texts[:30]!r}. Put it into a list: [text].")
    if texts is None or len(getattr(texts, "shape", (0,))) != 1:
        kind = type(texts).__name__
        raise ValueError(f"texts must be a list of texts, got a {kind}. Of a table, give the column of texts.")
    if len(texts) == 0:
        raise ValueError("texts must hold at least one text, got 0.")
    other = next(((place, text) for place, text in enumerate(texts) if not isinstance(text, str)), None)
    if other:
        raise ValueError(f"texts must hold texts, got {other[1]!r} at place {other[0]}. Put a text, such as '', there.")
    return texts
