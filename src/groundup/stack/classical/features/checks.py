"""Checks of features."""

from typing import Any

import numpy as np
import pytest
from sklearn import preprocessing
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import text as sklearn_text
from sklearn.impute import SimpleImputer

from groundup.checking import (
    assert_close,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
)
from groundup.stack.classical.features import (
    WORD,
    Imputer,
    OneHotEncoder,
    Standardizer,
    TfidfVectorizer,
    code,
    hash_words,
    log_features,
)

NAN = np.nan
LINES = [
    "2026-01-07 14:23:45 ERROR Failed to connect to 10.0.0.7:5432",
    "INFO pod ready",
    "2026-01-10T23:59:00Z connection refused: timeout, error error",
]
KEYS = ("hour", "weekend", "severity", "failures", "words", "address")


def described(line):
    """The features of a line in the order of `KEYS`."""
    features = log_features(line)
    assert features.keys() == set(KEYS), f"log_features has the keys {', '.join(KEYS)}; got {', '.join(features)}"
    for name, value in features.items():
        assert isinstance(value, float), f"{name} is a float, not {value!r}"
    return [features[name] for name in KEYS]


# --- log lines ------------------------------------------------------------------------------------------------------


def test_log_features_by_hand():
    """A Wednesday afternoon, an error, one word of failure, five words, an address."""
    assert_close(described(LINES[0]), [14, 0, 3, 1, 5, 1], f"{KEYS} of {LINES[0]!r}")


def test_log_features_are_nan_where_nothing_says():
    """Without a time the hour is no 0, which is midnight; without a level the severity is no 0, which is debug."""
    assert_close(described(LINES[1]), [NAN, NAN, 1, 0, 3, 0], f"{KEYS} of {LINES[1]!r}")
    assert_close(described("42"), [NAN, NAN, NAN, 0, 0, 0], f"{KEYS} of '42'")
    assert_close(described(""), [NAN, NAN, NAN, 0, 0, 0], f"{KEYS} of an empty line")


def test_the_first_level_is_the_level_and_no_failure():
    """Only the first level is the severity; a later `error` tells of failure."""
    assert_close(described(LINES[2])[2:4], [3, 3], "severity by the first `error`; failures: refused, timeout, error")
    assert_close(described("WARN error")[2:4], [2, 1], "severity and failures of 'WARN error'")
    assert_close(described("error_code warned")[2:4], [NAN, 0], "words are whole: 'error_code warned' has no level")


@pytest.mark.parametrize(
    ("day", "weekend"), [("2026-01-09", 0), ("2026-01-10", 1), ("2026-01-11", 1), ("2026-01-12", 0), ("1969-12-28", 1)]
)
def test_weekends_are_saturdays_and_sundays(day, weekend):
    """Saturday and Sunday are the weekend, before 1970, too."""
    assert_close(described(f"{day} 00:00 x")[:2], [0, weekend], f"hour and weekend of {day} 00:00")


@pytest.mark.parametrize("line", ["2026-02-30 10:00", "2026-13-01 10:00", "2026-01-01 24:00", "1900-02-29 10:00"])
def test_what_is_no_time_has_no_hour(line):
    """The thirtieth of February is no day: the hour is NaN, and nothing is raised."""
    assert_close(described(line)[:2], [NAN, NAN], f"hour and weekend of {line!r}")


def test_a_line_may_say_more_than_one_thing():
    """The first of two times counts, each of two equal failures, and two addresses are one yes."""
    line = "2026-01-07 14:23 timeout, timeout of 10.0.0.7 and 10.0.0.8 since 2026-01-10 03:00"
    assert_close(described(line), [14, 0, NAN, 2, 5, 1], f"{KEYS} of {line!r}")
    line = "failover of 1.2.3: no failures"
    assert_close(described(line), [NAN, NAN, NAN, 0, 4, 0], f"{KEYS} of {line!r}, whose words are no FAILURES")


def test_a_leap_day_is_a_day():
    """2024-02-29 and 2000-02-29 are days: both have an hour."""
    assert_close([described(f"{day} 07:00")[0] for day in ("2024-02-29", "2000-02-29", "2026-04-30")], [7, 7, 7])


# --- gaps -----------------------------------------------------------------------------------------------------------

GAPS = np.array([[1.0, NAN, NAN], [2.0, 4.0, NAN], [9.0, 8.0, NAN], [NAN, 6.0, NAN]])


def test_imputer_by_hand():
    """Medians 2 and 6; a column that is all gaps is filled with 0."""
    model = Imputer().fit(GAPS)
    assert_close(model.fill_, [2, 6, 0], "fill_, the medians of the known values")
    assert_close(model.transform([[NAN, 1, NAN]]), [[2, 1, 0]], "a new row, its gaps filled")
    assert_close(Imputer("mean").fit(GAPS).fill_, [4, 6, 0], "fill_ by strategy='mean'")


def test_imputer_is_scikit_learns(rng):
    """It is SimpleImputer, with the marks of gaps behind the columns."""
    X = rng.normal(size=(40, 4))
    X[rng.random(X.shape) < 0.3] = NAN
    X[:, 2] = 1.5
    for strategy in ("median", "mean"):
        expected = SimpleImputer(strategy=strategy, add_indicator=True).fit_transform(X)
        assert_close(Imputer(strategy, indicate=True).fit(X).transform(X), expected, f"strategy={strategy!r}")


def test_imputer_marks_what_had_gaps_in_training():
    """A column is marked where the training rows had gaps; none is unless asked for."""
    model = Imputer(indicate=True).fit([[1.0, NAN], [2.0, 3.0]])
    assert_close(model.marked_, [1], "marked_: the columns that had gaps in fit")
    assert_close(model.transform([[NAN, 5.0], [7.0, NAN]]), [[1.5, 5, 0], [7, 3, 1]], "columns filled, then marks")
    assert_shape(Imputer().fit(GAPS).marked_, (0,), "no marks without indicate=True")
    assert Imputer().fit(GAPS.astype("float32")).fill_.dtype == float, "numbers are computed in float64"


def test_imputer_refuses_other_strategies():
    """A strategy is median or mean; an infinite number is no gap."""
    assert_refuses_values(lambda name: Imputer(name).fit(GAPS), "strategy", "mode")
    assert_refuses(lambda: Imputer().fit([[1.0], [np.inf]]), "inf")


# --- scales ---------------------------------------------------------------------------------------------------------


def test_standardizer_by_hand():
    """2 and 6 have mean 4 and deviation 2: they become -1 and 1."""
    model = Standardizer().fit([[2.0], [6.0]])
    assert_close([model.mean_[0], model.scale_[0]], [4, 2], "mean_ and scale_, which divides by n")
    assert_close(model.transform([[2.0], [6.0], [10.0]]), [[-1], [1], [3]], "new rows by the same mean and scale")
    two = Standardizer().fit([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])
    assert_close(two.scale_, [1, np.sqrt(2 / 3)], "a constant column beside the column 1, 2, 3")
    narrow = np.array([[0.1], [0.2], [0.4]], dtype=np.float32)
    assert_close(Standardizer().fit(narrow).mean_, narrow.astype(float).mean(axis=0), "in float64", rtol=1e-12, atol=0)


def test_standardizer_is_scikit_learns(rng):
    """It is StandardScaler, for columns of very different size."""
    X = rng.normal(size=(50, 4)) * [1e-9, 1, 1e6, 3] + [1, -2, 1e7, 0]
    assert_close(Standardizer().fit(X).transform(X), preprocessing.StandardScaler().fit_transform(X), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e100, -7.3e-150])
def test_constant_columns_become_zero(value):
    """A column without variation has the scale 1, though rounding may give it a deviation of 1e-17."""
    model = Standardizer().fit(np.full((12, 1), value))
    assert_close(model.scale_, [1.0], f"scale_ of a column of {value}")
    assert_close(model.transform([[value]]), [[0.0]], f"{value} becomes 0", atol=abs(value) * 1e-12)
    rounded = value * (1 + 2**-52)
    assert_close(Standardizer().fit([[value], [rounded]]).scale_, [1.0], f"scale_ of {value} and {rounded!r}: rounding")


def test_standardizer_keeps_small_variation():
    """A small deviation around a small mean is a deviation."""
    assert_close(Standardizer().fit([[1e-12], [3e-12]]).scale_, [1e-12], rtol=1e-9, atol=0)
    assert_close(Standardizer().fit([[1.0], [1.0 + 1e-9]]).scale_, [5e-10], rtol=1e-5, atol=0)


# --- categories -----------------------------------------------------------------------------------------------------

PODS = np.array([["web", "eu"], ["db", "us"], ["web", "us"]], dtype=object)


def test_one_hot_by_hand():
    """db, web, then eu, us: each category is a column."""
    model = OneHotEncoder().fit(PODS)
    assert_close(model.transform(PODS), [[0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]], "columns db, web, eu, us")
    assert model.transform(PODS).dtype == float, f"the result is of floats, not {model.transform(PODS).dtype}"


def test_one_hot_is_scikit_learns(rng):
    """It is OneHotEncoder with unknown categories ignored, for texts and for numbers."""
    for X in (rng.choice(["a", "b", "c", "d"], (30, 3)), rng.integers(0, 5, (30, 2))):
        expected = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(X[:20]).transform(X)
        assert_close(OneHotEncoder().fit(X[:20]).transform(X), expected, f"{X.shape[1]} columns of {X.dtype}")


def test_one_hot_of_what_was_not_seen():
    """A category that training did not show is a row of zeros, and so is a rare one."""
    assert_close(OneHotEncoder().fit(PODS).transform([["cache", "us"]]), [[0, 0, 0, 1]], "cache was not seen")
    assert_close(OneHotEncoder(least=2).fit(PODS).transform(PODS), [[1, 0], [0, 1], [1, 1]], "least=2 keeps web and us")


def test_one_hot_compares_whole_values():
    """A longer text is another text, though its beginning is known, be it by a blank; 1 and 1.0 are one number."""
    model = OneHotEncoder().fit(np.array([["db"], ["web"]]))
    names = np.array([["webserver"], ["web "], ["db"]])
    assert_close(model.transform(names), [[0, 0], [0, 0], [1, 0]], "neither `webserver` nor `web ` is `web`")
    assert_close(OneHotEncoder().fit([[1], [2]]).transform([[1.0], [2.5]]), [[1, 0], [0, 0]], "1.0 is 1, 2.5 is not 2")


def test_one_hot_refuses_mixed_columns():
    """A text beside None, and `least` below 1, are refused."""
    with pytest.raises(TypeError):
        OneHotEncoder().fit(np.array([["a"], [None]], dtype=object))
    assert_refuses_values(lambda least: OneHotEncoder(least).fit(PODS), "least", 0, -1)


@pytest.mark.parametrize("convention", estimator_conventions("transformer", without=["refuses_missing_values"]))
@pytest.mark.parametrize("make", [Imputer, lambda: Imputer("mean", indicate=True)])
def test_imputer_keeps_scikit_learns_conventions(convention, make):
    """It keeps scikit-learn's conventions, and takes missing values."""
    convention(make)


@pytest.mark.parametrize("convention", estimator_conventions("transformer"))
@pytest.mark.parametrize("make", [Standardizer, OneHotEncoder])
def test_transformers_keep_scikit_learns_conventions(convention, make):
    """They keep scikit-learn's conventions."""
    convention(make)


# --- words ----------------------------------------------------------------------------------------------------------


def test_hash_words_by_hand():
    """`disk` twice, `full` and `Disk` once: each at its code's remainder, with the sign of the highest of 64 bits."""
    said = ["disk", "full", "disk", "Disk"]
    for n_features in (8, 7, 1000):
        expected = np.zeros(n_features)
        for word in said:
            expected[code(word) % n_features] += -1 if code(word) >= 2**63 else 1
        assert_close(hash_words(said, n_features), expected, f"hash_words({said}, {n_features})")
    assert_close(np.abs(hash_words(["disk"] * 1000, 4)).sum(), 1000, "a word that occurs 1,000 times counts 1,000")


def test_hash_words_is_the_same_in_every_process():
    """These columns and signs are for ever: a model stored today reads them tomorrow."""
    row = hash_words(["timeout", "größe", "a"], 1024)
    assert_close(np.flatnonzero(row), [559, 745, 795], "columns of a, größe and timeout, ascending")
    assert_close(row[[559, 745, 795]], [1, -1, 1], "their signs")


def test_hash_words_keeps_scalar_products_in_the_mean():
    """Words that meet cancel as often as they add up: texts without a common word have the product 0 in the mean."""
    first, second = ([[f"{side}{n}_{k}" for k in range(20)] for n in range(400)] for side in "ab")
    mean = np.mean([hash_words(a, 32) @ hash_words(b, 32) for a, b in zip(first, second, strict=True)])
    assert abs(mean) < 1.0, f"the mean product of 400 pairs is {mean:.2f}; without signs it is 12.5"


def test_hash_words_takes_any_words():
    """No words make a row of zeros; a generator of words will do; `n_features` is at least 1."""
    assert_close(hash_words([], 4), np.zeros(4), "no words")
    assert_close(hash_words(iter(["a", "b"]), 16), hash_words(["b", "a"], 16), "a generator, and another order")
    assert_close(hash_words(["timeout", "a", "größe"], 1), [1.0], "one column: 1 + 1 - 1")
    assert_refuses_values(lambda n: hash_words(["a"], n), "n_features", 0, -3)


TEXTS = ["the pod crashed the node", "Pod ready", "node_pool ready pod pod", ""]


def test_tfidf_by_hand():
    """Two texts, `pod up` and `pod`: up weighs log(3/2) + 1, pod log(3/3) + 1; a row has length 1."""
    rows = TfidfVectorizer().fit(["pod up", "pod"]).transform(["pod up", "up up", "down"]).toarray()
    up = np.log(3 / 2) + 1
    assert_close(rows[0], np.array([1, up]) / np.hypot(1, up), "`pod up`, columns pod and up")
    assert_close(rows[1], [0, 1], "`up up`: length 1, however often")
    assert_close(rows[2], [0, 0], "`down` is not known: a row of zeros")


def test_tfidf_is_scikit_learns():
    """It is scikit-learn's TfidfVectorizer on the same words, for texts that fit has not seen as well."""
    for least in (1, 2):
        theirs: Any = sklearn_text.TfidfVectorizer(token_pattern=WORD.pattern, min_df=least).fit(TEXTS)
        ours = TfidfVectorizer(least).fit(TEXTS)
        new = [*TEXTS, "pod pod pod ready", "nothing known"]
        assert ours.vocabulary_ == theirs.vocabulary_, f"vocabulary_ with least={least}"
        assert_close(ours.transform(new).toarray(), theirs.transform(new).toarray(), f"least={least}")


def test_tfidf_is_sparse_and_learns_nothing_in_transform():
    """A large vocabulary costs nothing where a text does not use it, and `transform` leaves the model as it was."""
    model = TfidfVectorizer().fit(TEXTS)
    rows = model.transform(["pod ready", "new words"])
    assert rows.format == "csr", f"transform returns a CSR matrix, not {type(rows).__name__}"
    assert rows.nnz == 2, f"two words are known, so two values are stored, not {rows.nnz}"
    assert_shape(rows, (2, len(model.vocabulary_)))
    assert model.transform(["new words", "ready"]).nnz == 1, "other texts, as many as before: each call reads its own"
    assert_unchanged(lambda idf: model.transform(["pod words"]), model.idf_)


def test_tfidf_refuses_what_is_no_list_of_texts():
    """One text, no text, and texts without a word are refused."""
    assert_refuses(lambda: TfidfVectorizer().fit("pod ready"), "texts", "pod ready")
    assert_refuses(lambda: TfidfVectorizer().fit([]), "texts", 0)
    assert_refuses(lambda: TfidfVectorizer(least=3).fit(["a b", "a"]), "least", 3)
    with pytest.raises(NotFittedError):
        TfidfVectorizer().transform(["pod"])
    model = TfidfVectorizer().fit(TEXTS)
    assert_refuses(lambda: model.transform("pod ready"), "texts", "pod ready")
