# pyright: basic
"""Ways to get features wrong, and right ways that differ."""

import re
from collections import Counter

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted, validate_data

from groundup.anatomy import mistake, variant
from groundup.stack.classical.features.features import (
    ADDRESS,
    FAILURES,
    SEVERITIES,
    TIME,
    _is_date,
    _texts,
    code,
    words,
)


@mistake(
    "log_features",
    edit=(
        "float(time[4]) if time else np.nan",
        "float(time[4]) if time else 0.0",
    ),
)
def says_midnight_for_no_time():
    """A line without a time gets the hour 0, which is midnight. NaN says that nothing is known."""


@mistake("log_features", edit=("% 7 >= 5", "% 7 >= 6"))
def takes_saturday_for_a_working_day():
    """Your weekend is the Sunday alone. With Monday as 0, Saturday is 5."""


@mistake("log_features", edit=("(day.astype(int) + 3) % 7", "(day.astype(int) + 4) % 7"))
def begins_the_week_on_the_wrong_day():
    """Your week begins a day off: 1970-01-01 was a Thursday, three days after Monday."""


@mistake("log_features", edit=("for word in rest)", "for word in found)"))
def counts_the_level_as_a_failure():
    """You count the level among the failures: a line of level ERROR then always tells of one. Leave that word out."""


@mistake(
    "Imputer.fit",
    edit=(
        'self.fill_ = np.nanmedian(known, axis=0) if self.strategy == "median" else np.nanmean(known, axis=0)',
        "self.fill_ = np.nanmedian(known, axis=0)",
    ),
)
def ignores_the_strategy():
    """You take the median whatever `strategy` is. Ask for it, in `fit`."""


@mistake("Imputer.fit", edit=("missing.any(axis=0)", "missing.all(axis=0)"))
def marks_only_empty_columns():
    """You mark the columns that are all gaps. A column with one gap is to be marked, too."""


@mistake("Imputer.fit", edit=("np.nanmean(known, axis=0)", "np.nan_to_num(known).mean(axis=0)"))
def averages_gaps_as_zeros():
    """Your mean counts each gap as a 0. Divide by the known values alone: nanmean does."""


@mistake(
    "Standardizer.fit", edit=("np.where(constant, 1.0, largest * np.sqrt", "np.where(constant, 0.0, largest * np.sqrt")
)
def divides_by_zero():
    """A constant column has the deviation 0, and 0 / 0 is NaN. Its scale must be 1."""


@mistake(
    "Standardizer.fit",
    edit=("np.sqrt(np.mean(shares**2, axis=0))", "np.mean(shares**2, axis=0)"),
)
def forgets_the_root():
    """You divide by the variance. The deviation is its root: after scaling, the deviation must be 1."""


@mistake("Standardizer.fit", edit=("np.mean(shares**2, axis=0)", "np.mean(shares**2)"))
def shares_one_scale():
    """You use one deviation for all columns. Each column has its own."""


@mistake("Standardizer.fit", edit=("np.mean(shares**2, axis=0)", "np.sum(shares**2, axis=0) / max(len(X) - 1, 1)"))
def divides_by_one_less():
    """You divide by n - 1. The deviation here, as in scikit-learn, describes these n rows: divide by n."""


@mistake("OneHotEncoder.transform")
def learns_again(self, X):
    """You take the categories from the rows to transform. They were learned in `fit`."""
    check_is_fitted(self)
    X = validate_data(self, X, dtype=None, reset=False)
    return np.hstack([column[:, None] == np.unique(column) for column in np.transpose(X)]).astype(float)


@mistake(
    "OneHotEncoder.transform",
    edit=(
        "return np.hstack(blocks).astype(float)",
        "return np.hstack([block[:, 1:] for block in blocks]).astype(float)",
    ),
)
def drops_the_first_category():
    """You leave out the first category of each column. Here every category has a column."""


@mistake("OneHotEncoder.transform", edit=(".astype(float)", ""))
def returns_booleans():
    """You return booleans. Columns that a model adds up are numbers: convert to float."""


@mistake(
    "hash_words",
    edit=("number = code(token)", "number = zlib.crc32(token.encode()) * (2**32 + 1)"),
)
def hashes_by_a_checksum():
    """CRC-32 is no hash for this: words that differ in the same letters differ in the same bits. Use `code`."""


@mistake("hash_words", edit=("-count if number >> 63 else count", "count"))
def forgets_the_sign():
    """You add every count. Without a sign, words that meet only add up, and texts without a common word look alike."""


@mistake("hash_words", edit=("-count if number >> 63 else count", "-1 if number >> 63 else 1"))
def counts_each_word_once():
    """You count a word once, however often it occurs. The count is the value."""


@mistake(
    "TfidfVectorizer.transform",
    edit=("self.idf_[columns] * counts", "self.idf_[columns]"),
)
def forgets_how_often():
    """You leave the counts out: a word that occurs five times weighs as much as one that occurs once."""


@mistake("TfidfVectorizer.transform", edit=("weights=values**2", "weights=values"))
def divides_by_the_wrong_length():
    """Your length is not the Euclidean one, the root of the sum of squares."""


@mistake("TfidfVectorizer.transform", edit=("self.idf_[columns] * counts", "np.array(counts, dtype=float)"))
def forgets_the_idf():
    """You use counts alone: `the` then weighs as much as `timeout`. Multiply by idf_."""


@variant("log_features")
def step_by_step(line):
    """One feature after the other."""
    found = words(line)
    levels = [word for word in found if word in SEVERITIES]
    features: dict[str, float] = dict.fromkeys(("hour", "weekend", "severity"), float("nan"))
    time = re.search(TIME, line)
    if time and _is_date(time):
        features["hour"] = float(int(time[4]))
        weekday = np.datetime64(f"{time[1]}-{time[2]}-{time[3]}").astype(object).weekday()
        features["weekend"] = 1.0 if weekday in (5, 6) else 0.0
    features["failures"] = float(len([word for word in found if word in FAILURES]))
    if levels:
        features["severity"] = float(SEVERITIES[levels[0]])
        features["failures"] -= levels[0] in FAILURES
    return {**features, "words": float(len(found)), "address": 1.0 if ADDRESS.findall(line) else 0.0}


@variant("OneHotEncoder.transform")
def category_by_category(self, X):
    """A loop over the columns' categories."""
    check_is_fitted(self)
    X = validate_data(self, X, dtype=None, reset=False)
    table = [[float(row[j] == name) for j, names in enumerate(self.categories_) for name in names] for row in X]
    return np.array(table).reshape(len(X), -1)


@variant("hash_words")
def word_by_word(tokens, n_features):
    """Each occurrence is added by itself."""
    if n_features <= 0:
        raise ValueError(f"n_features must be at least 1, got {n_features}.")
    row = np.zeros(n_features)
    for token in tokens:
        row[code(token) % n_features] += 1 - 2 * (code(token) >= 1 << 63)
    return row


@variant("TfidfVectorizer.transform")
def row_by_row(self, texts):
    """Each text makes its row, in a matrix that is built up."""
    check_is_fitted(self)
    table = sparse.lil_matrix((len(_texts(texts)), len(self.idf_)))
    for number, text in enumerate(texts):
        counts = Counter(word for word in words(text) if word in self.vocabulary_)
        weights = {self.vocabulary_[word]: n * self.idf_[self.vocabulary_[word]] for word, n in counts.items()}
        length = np.sqrt(sum(weight**2 for weight in weights.values()))
        for column, weight in weights.items():
            table[number, column] = weight / length
    return table.tocsr()
