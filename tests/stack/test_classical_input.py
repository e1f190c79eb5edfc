"""Every estimator of the classical phase on what people give it: it learns, or says what is wrong by its parameter."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.test_estimators import estimators

ROWS = 40
SMALL = {"n_estimators": 5, "perplexity": 5, "random_state": 0}
GRID = ("alpha", "l2", "fit_intercept", "max_depth", "C", "n_neighbors", "var_smoothing", "n_clusters", "n_components")
VALUES: dict[str, list[Any]] = {"fit_intercept": [True, False], "var_smoothing": [1e-9, 1e-8]}
TABLES = [kind for kind in estimators() if kind.__name__ != "TfidfVectorizer"]
REGRESSORS = [kind for kind in TABLES if is_regressor(kind())]
CLASSIFIERS = [kind for kind in TABLES if is_classifier(kind())]
SINGLE = ("GaussianNB", "MultinomialNB", "KNeighborsClassifier", "MajorityClassifier", "DecisionTreeClassifier",
          "RandomForestClassifier", "AdaBoostClassifier")  # fmt: skip
"""Classifiers that learn from one class: then it is always the answer."""

each = pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)


def made(kind: type) -> Any:
    """An estimator, small where it can be."""
    settings = inspect.signature(kind).parameters
    steps = {"TSNE": 250, "LogisticRegression": 50, "SoftmaxRegression": 50}.get(kind.__name__)
    chosen = {name: value for name, value in SMALL.items() if name in settings}
    return kind(**chosen | ({"max_iter": steps} if steps else {}))


def table() -> np.ndarray:
    """Numbers above 0, of shape (40, 3)."""
    return np.abs(np.random.default_rng(0).normal(size=(ROWS, 3)))


def target(kind: type) -> np.ndarray | None:
    """What the estimator learns to tell: classes, a quantity or nothing."""
    X = table()
    if is_classifier(kind()):
        return (X[:, 0] + X[::-1, 1] > 1.5).astype(int)
    return X @ [1.0, 2.0, 3.0] + X[::-1, 0] / 10 if is_regressor(kind()) else None


def used(kind: type, X: Any, y: Any) -> Any:
    """Fit, and ask all there is to ask: the answers are numbers, or labels."""
    model = made(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="X has constant columns")
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        model.fit(X, y)
        for name in ("predict", "predict_proba", "transform", "decision_function"):
            if hasattr(model, name):
                answers = getattr(model, name)(X)
                answers = np.asarray(answers.toarray() if hasattr(answers, "toarray") else answers)
                assert answers.dtype.kind != "f" or np.isfinite(answers).all(), f"{name} gives {answers}"
    return model


def refused_or_used(kind: type, X: Any, y: Any, names: str) -> None:
    """Either it learns, or a ValueError tells what is wrong; nothing rawer."""
    try:
        used(kind, X, y)
    except ValueError as error:
        assert type(error) is ValueError, error  # noqa: PT017  # neither LinAlgError nor UnicodeError
        assert any(name in str(error) for name in names.split("|")), error  # noqa: PT017


@each
@pytest.mark.parametrize("value", [0.0, 2.0])
@pytest.mark.parametrize("columns", [[1], [0, 1, 2]], ids=["one", "all"])
def test_constant_columns_are_learned_from(kind: type, value: float, columns: list[int]) -> None:
    X = table()
    X[:, columns] = value
    if kind.__name__ == "MultinomialNB" and not X.any():
        pytest.skip("texts without a word")
    used(kind, X, target(kind))


@each
@pytest.mark.parametrize("value", [1e200, -1e200, 1e100, 1e-200])
@pytest.mark.parametrize("everywhere", [False, True])
def test_numbers_of_any_size_are_learned_from_or_refused(kind: type, value: float, everywhere: bool) -> None:
    X = table()
    X = X / X.max() * value if everywhere else np.where(np.arange(3 * ROWS).reshape(X.shape) == 0, value, X)
    with warnings.catch_warnings():
        try:
            refused_or_used(kind, X, target(kind), "X ")
        except RuntimeWarning as warning:
            assert "did not converge" in str(warning)  # noqa: PT017  # columns of 1e100, and clearly said


@each
@pytest.mark.parametrize("gap", [None, np.nan, np.inf, "a"])
def test_what_is_no_number_is_learned_from_or_refused(kind: type, gap: Any) -> None:
    X = table().astype(object)
    X[0, 0] = gap
    try:
        refused_or_used(kind, X, target(kind), "X |Input contains NaN|could not convert string to float: 'a'")
    except TypeError as error:
        assert "X holds a column of" in str(error)  # noqa: PT017  # OneHotEncoder takes texts, but not among numbers


@each
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_is_as_good_as_an_array(kind: type, library: str) -> None:
    frames = pytest.importorskip(library)
    X, y = table(), target(kind)
    frame = frames.DataFrame(dict(zip("abc", X.T, strict=True)))
    model = used(kind, frame, y if y is None else frames.Series(y))
    if hasattr(model, "predict"):
        np.testing.assert_allclose(model.predict(frame), used(kind, X, y).predict(X), rtol=1e-12)


@pytest.mark.parametrize("kind", CLASSIFIERS, ids=lambda kind: kind.__name__)
def test_labels_may_be_texts_and_one_class_is_enough_or_refused(kind: type) -> None:
    X, y = table(), target(kind)
    names = np.array(["no", "yes"])[y]
    assert set(used(kind, X, names).predict(X)) <= {"no", "yes"}
    if kind.__name__ in SINGLE:
        assert set(used(kind, X, np.full(ROWS, "no")).predict(X)) == {"no"}
    else:
        with pytest.raises(ValueError, match=r"y must h\w+ .*classes"):
            used(kind, X, np.full(ROWS, "no"))


@pytest.mark.parametrize("kind", CLASSIFIERS + REGRESSORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("gap", [None, np.nan, np.inf])
def test_targets_with_gaps_are_refused(kind: type, gap: Any) -> None:
    y: Any = np.asarray(target(kind)).astype(object if gap is None else float)
    y[0] = gap
    with pytest.raises(ValueError, match=r"\by\b|Unknown label type"):
        used(kind, table(), y)
    with pytest.raises(ValueError, match=r"\by\b"):
        used(kind, table(), None)


@pytest.mark.parametrize("kind", REGRESSORS, ids=lambda kind: kind.__name__)
def test_quantities_are_numbers(kind: type) -> None:
    X, y = table(), np.asarray(target(kind))
    np.testing.assert_allclose(used(kind, X, np.ones(ROWS)).predict(X), 1.0)
    used(kind, X, 1e-300 * y)
    for large in (1e200 * y, y / y.max() * 1.7e308):
        with pytest.raises(ValueError, match="y must .*squares"):
            used(kind, X, large)
    with pytest.raises(ValueError, match="y must hold numbers"):
        used(kind, X, np.full(ROWS, "no"))


@each
def test_it_works_in_pipelines_searches_and_cross_validation(kind: type) -> None:
    X, y = table(), target(kind)
    used(lambda **_: make_pipeline(FunctionTransformer(), made(kind)), X, y)  # type: ignore[arg-type]
    if not hasattr(kind, "predict"):
        return
    scoring: Callable[..., float] | None = (
        None if hasattr(kind, "score") else lambda model, X, y=None: float(np.mean(model.predict(X)))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(cross_val_score(made(kind), X, y, cv=3, scoring=scoring)).all()
        name = next((name for name in GRID if name in made(kind).get_params()), None)
        if name:
            grid = {name: VALUES.get(name, [1, 2])}
            search = GridSearchCV(made(kind), grid, cv=3, scoring=scoring).fit(X, y)
            assert search.best_params_[name] in grid[name]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", None], "texts must hold texts, got None at place 1"),
        ([b"a"], "texts must hold texts, got b'a' at place 0"),
        (None, "texts must be a list of texts, got a NoneType"),
        (np.array([["a"], ["b"]]), "texts must be a list of texts, got a ndarray"),
    ],
)
def test_tfidf_refuses_what_is_no_list_of_texts(texts: Any, message: str) -> None:
    from groundup.stack.classical.features import TfidfVectorizer

    with pytest.raises(ValueError, match=message):
        TfidfVectorizer().fit(texts)
    with pytest.raises(ValueError, match=message):
        TfidfVectorizer().fit(["a"]).transform(texts)
