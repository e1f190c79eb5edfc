'''What an estimator owes: scikit-learn's conventions, as checks that say what is wrong and what to do.

A unit's checks take them in three lines:

    @pytest.mark.parametrize("convention", estimator_conventions("classifier"))
    def test_it_is_an_estimator(convention):
        """It keeps scikit-learn's conventions."""
        convention(lambda: DecisionTreeClassifier(max_depth=3))

They are quick, need no pandas, and hold classes that import nothing of scikit-learn to the same rules. The project's
tests try `sklearn.utils.estimator_checks.check_estimator` on every estimator as well.
'''

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal, NoReturn

import numpy as np
import pytest

from groundup.checking.assertions import assert_close, assert_refuses
from groundup.checking.functions import _compare, _identical, _short

Kind = Literal["classifier", "regressor", "transformer", "clusterer"]
Make = Callable[[], Any]
Convention = Callable[[Make], None]
ROWS, FEATURES = 24, 3


class _Table:
    """A stand-in for a data frame, which NumPy can read and which has no rows by number."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.shape, self.columns = values.shape, [f"x{number}" for number in range(values.shape[1])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype=dtype)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._values[:, self.columns.index(name)] if name in self.columns else self._missing(name)

    def _missing(self, name: Any) -> Any:
        raise KeyError(f"{name}: a table is indexed by the names of its columns. Make it an array: np.asarray(X)")


def estimator_conventions(kind: Kind, *, without: Collection[str] = ()) -> list[Convention]:
    """The conventions that an estimator of this kind keeps, each a check of a factory: `convention(make)`.

    Args:
        kind: "classifier", "regressor", "transformer" or "clusterer".
        without: names of conventions that it rightly does not keep, such as "refuses_missing_values" of a tree that
            handles them.

    Raises:
        ValueError: there is no such kind, or no such convention of that kind.
    """
    if kind not in _CONVENTIONS:
        raise ValueError(f"kind must be one of {', '.join(_CONVENTIONS)}, got {kind!r}.")
    offered = {convention.__name__: _of_kind(convention, kind) for convention in _CONVENTIONS[kind]}
    for name in without:
        if name not in offered:
            raise ValueError(f"without: a {kind} has no convention {name!r}. It has {', '.join(offered)}.")
    return [convention for name, convention in offered.items() if name not in without]


def _of_kind(convention: Callable[[Make, Kind], None], kind: Kind) -> Convention:
    def judge(make: Make) -> None:
        __tracebackhide__ = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps that were not enough for so small a table
            convention(make, kind)

    judge.__name__, judge.__doc__ = convention.__name__, convention.__doc__
    return judge


# --- the data ------------------------------------------------------------------------------------------------


def _data(kind: Kind, seed: int = 0, features: int = FEATURES) -> tuple[np.ndarray, Any]:
    """A small table of numbers from 0 up, in quarters, and what is to be learned of it: None without a teacher."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 12, (ROWS, features)) / 4
    if kind == "regressor":
        return X, X @ np.arange(1.0, features + 1) + rng.normal(scale=0.1, size=ROWS)
    if kind == "classifier":
        score = X[:, 0] - X[:, 1] + rng.normal(scale=0.3, size=ROWS)
        return X, (score > np.median(score)).astype(int)
    X += 8 * np.eye(3, features)[np.arange(ROWS) % 3]  # three groups, for whatever looks for groups or directions
    return X, None


def _fit(model: Any, X: Any, y: Any) -> Any:
    return model.fit(X) if y is None else model.fit(X, y)


def _outputs(model: Any, X: Any) -> dict[str, Any]:
    """The outputs of a fitted model for X, by method."""
    methods = ("predict", "predict_proba", "decision_function", "transform")
    return {name: getattr(model, name)(X) for name in methods if hasattr(model, name)}


def _settings(model: Any) -> dict[str, Any]:
    parameters = inspect.signature(type(model).__init__).parameters.values()
    names = [p.name for p in list(parameters)[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [name for name in names if not hasattr(model, name)]
    if missing:
        _fail(stores_its_settings, f"There is no `self.{missing[0]}` after construction.")
    return {name: getattr(model, name) for name in names}


def _learned(model: Any) -> list[str]:
    return [name for name in vars(model) if name.endswith("_") and not name.startswith("_")]


def _says(convention: Callable[..., Any], more: str = "") -> str:
    return " ".join((convention.__doc__ or "").split()) + (f"\n  {more}" if more else "")


def _fail(convention: Callable[..., Any], detail: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(_says(convention, detail), pytrace=False)


# --- conventions of all --------------------------------------------------------------------------------------


def stores_its_settings(make: Make, kind: Kind) -> None:
    """The constructor stores each argument under its own name, as it came, and does nothing else: `fit` checks them."""
    __tracebackhide__ = True
    model = make()
    settings = _settings(model)
    given = {name: object() for name in settings}
    try:
        other = type(model)(**given)
    except Exception as error:
        _fail(stores_its_settings, f"Given an object for each argument, it raised {type(error).__name__}: {error}")
    for name, value in given.items():
        if getattr(other, name) is not value:
            _fail(stores_its_settings, f"`self.{name}` is not the argument itself, but {_short(getattr(other, name))}.")
    if learned := _learned(model):
        _fail(stores_its_settings, f"It has `{learned[0]}` before `fit`; a name that ends in _ is learned.")


def is_cloned_by_its_settings(make: Make, kind: Kind) -> None:
    """`get_params` and `set_params` give and take the settings; `clone` copies them and nothing that was learned."""
    __tracebackhide__ = True
    from sklearn.base import clone

    model = make()
    if not hasattr(model, "get_params"):
        _fail(is_cloned_by_its_settings, "It has no `get_params`: inherit from sklearn.base.BaseEstimator.")
    settings = _settings(model)
    if model.get_params(deep=False).keys() != settings.keys():
        names = ", ".join(model.get_params(deep=False))
        _fail(is_cloned_by_its_settings, f"get_params gives {names}; the constructor takes {', '.join(settings)}.")
    copy: Any = clone(_fit(model, *_data(kind)))
    if learned := _learned(copy):
        _fail(is_cloned_by_its_settings, f"The clone of a fitted one has `{learned[0]}`.")
    for name, value in copy.get_params(deep=False).items():
        if repr(value) != repr(settings[name]):
            _fail(is_cloned_by_its_settings, f"The clone's {name} is {_short(value)}, not {_short(settings[name])}.")
    for name, value in settings.items():
        other = object()
        if model.set_params(**{name: other}) is not model or model.get_params(deep=False)[name] is not other:
            _fail(is_cloned_by_its_settings, f"set_params({name}=…) did not set it, or did not return the estimator.")
        model.set_params(**{name: value})
    assert_refuses(
        lambda: model.set_params(no_such_setting=1), "no_such_setting", message=_says(is_cloned_by_its_settings)
    )


def fit_returns_itself(make: Make, kind: Kind) -> None:
    """`fit` returns the estimator itself, so that `Model().fit(X, y).predict(X)` can be written: `return self`."""
    __tracebackhide__ = True
    model = make()
    returned = _fit(model, *_data(kind))
    if returned is not model:
        _fail(fit_returns_itself, f"It returned {_short(returned)}.")


def fit_learns_under_its_own_names(make: Make, kind: Kind) -> None:
    """`fit` stores what it learns under names that end in _, `n_features_in_` among them, and changes no setting."""
    __tracebackhide__ = True
    model = make()
    before = dict(_settings(model))
    names = set(vars(model))
    _fit(model, *_data(kind))
    for name, value in _settings(model).items():
        if value is not before[name] and not (type(value) is type(before[name]) and _identical(value, before[name])):
            _fail(
                fit_learns_under_its_own_names,
                f"`{name}` was {_short(before[name])}, and is {_short(value)} after fit.",
            )
    for name in sorted(set(vars(model)) - names):
        if not name.endswith("_") and not name.startswith("_"):
            _fail(fit_learns_under_its_own_names, f"`fit` added `{name}`: call it `{name}_`.")
    count = getattr(model, "n_features_in_", None)
    if count != FEATURES:
        _fail(fit_learns_under_its_own_names, f"n_features_in_ must be {FEATURES}, the columns of X; it is {count}.")


def a_second_fit_forgets_the_first(make: Make, kind: Kind) -> None:
    """A second `fit` starts anew: what was learned before leaves no trace."""
    __tracebackhide__ = True
    X, y = _data(kind)
    fresh = _fit(make(), X, y)
    for features in (FEATURES + 1, FEATURES):  # a trace of as many columns is the harder to see
        other, target = _data(kind, seed=1, features=features)
        again = _fit(_fit(make(), other, target if kind != "classifier" else target + 5), X, y)
        _compare(_outputs(again, X), _outputs(fresh, X), _says(a_second_fit_forgets_the_first), 1e-9, 1e-9)
        if again.n_features_in_ != FEATURES:
            _fail(
                a_second_fit_forgets_the_first,
                f"n_features_in_ is {again.n_features_in_} after a fit on {FEATURES} columns.",
            )


def two_are_apart(make: Make, kind: Kind) -> None:
    """Fitting another one changes nothing in the first: what is learned belongs to the object, not to its class."""
    __tracebackhide__ = True
    X, y = _data(kind)
    first = _fit(make(), X, y)
    before = _outputs(first, X)
    _fit(make(), *_data(kind, seed=1, features=FEATURES + 1))
    _compare(_outputs(first, X), before, _says(two_are_apart), 0, 0)


def leaves_its_input_alone(make: Make, kind: Kind) -> None:
    """X and y stay as they were, in `fit` and afterwards, and may be read-only."""
    __tracebackhide__ = True
    X, y = _data(kind)
    inputs = {"X": X, "y": y} if y is not None else {"X": X}
    kept = {name: value.copy() for name, value in inputs.items()}
    model = _fit(make(), X, y)
    for when, act in (("fit", lambda: None), ("predicting", lambda: _outputs(model, X))):
        act()
        for name, value in inputs.items():
            if not _identical(value, kept[name]):
                _fail(leaves_its_input_alone, f"{name} was changed by {when}. Work on a copy.")
    for value in inputs.values():
        value.setflags(write=False)
    _outputs(_fit(make(), X, y), X)


def takes_lists_and_tables(make: Make, kind: Kind) -> None:
    """Lists, integers, float32 and data frames are data too: they give what an array of float64 gives."""
    __tracebackhide__ = True
    X, y = _data(kind)
    X = np.round(X)  # whole numbers, which every kind can hold
    expected = _outputs(_fit(make(), X, y), X)
    forms = {
        "lists": X.tolist(),
        "integers": X.astype(int),
        "float32": X.astype(np.float32),
        "a table of columns": _Table(X),
        "columns in memory order": np.asfortranarray(X),
    }
    for name, form in forms.items():
        target = y.tolist() if name == "lists" and y is not None else y
        outputs = _outputs(_fit(make(), form, target), form)
        _compare(outputs, expected, _says(takes_lists_and_tables, f"Given as {name}:"), 1e-3, 1e-4)


def refuses_to_predict_before_fit(make: Make, kind: Kind) -> None:
    """Before `fit`, every other method raises NotFittedError (a ValueError), and its message says to call fit."""
    __tracebackhide__ = True
    X, _ = _data(kind)
    model = make()
    for name in ("predict", "predict_proba", "decision_function", "transform"):
        if not hasattr(model, name):
            continue
        try:
            getattr(model, name)(X)
        except (ValueError, AttributeError) as error:
            # A class that imports nothing of scikit-learn has no NotFittedError; and one that looks at a learned value
            # before anything else stops as clearly.
            plain = not hasattr(model, "get_params") and re.search(r"\bfit\b|no attribute '\w+_'", str(error))
            if type(error).__name__ != "NotFittedError" and not plain:
                _fail(refuses_to_predict_before_fit, f"{name} raised {type(error).__name__}: {error}")
        else:
            _fail(refuses_to_predict_before_fit, f"{name} raised nothing. Call check_is_fitted(self) first.")


def refuses_another_number_of_columns(make: Make, kind: Kind) -> None:
    """After `fit`, X with another number of columns is refused, and the message names both numbers."""
    __tracebackhide__ = True
    X, y = _data(kind)
    model = _fit(make(), X, y)
    for name in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(model, name):
            message = _says(refuses_another_number_of_columns, f"{name} of 2 columns, where fit saw {FEATURES}:")
            assert_refuses(lambda name=name: getattr(model, name)(X[:, :2]), r"\bX\b", 2, FEATURES, message=message)


def refuses_what_is_no_table(make: Make, kind: Kind) -> None:
    """X that is not a table with rows and columns is refused by its name, with the next step: `reshape`."""
    __tracebackhide__ = True
    X, y = _data(kind)
    model = _fit(make(), X, y)
    flat = _says(refuses_what_is_no_table, f"X of shape ({ROWS},), one dimension:")
    assert_refuses(lambda: _fit(make(), X[:, 0], y), r"\bX\b|array", "reshape", message=flat)
    for name in ("predict", "transform"):
        if hasattr(model, name):
            message = _says(refuses_what_is_no_table, f"{name} of one row, of shape ({FEATURES},):")
            assert_refuses(lambda name=name: getattr(model, name)(X[0]), r"\bX\b|array", "reshape", message=message)
    for shape in ((0, FEATURES), (ROWS, 0)):
        target = None if y is None else y[: shape[0]]
        message = _says(refuses_what_is_no_table, f"fit of X of shape {shape}:")
        assert_refuses(lambda shape=shape, t=target: _fit(make(), np.zeros(shape), t), r"\bX\b|array", message=message)


def refuses_missing_values(make: Make, kind: Kind) -> None:
    """A NaN or an infinity in X is refused, in `fit` and afterwards, and the message says which."""
    __tracebackhide__ = True
    X, y = _data(kind)
    model = _fit(make(), X, y)
    for value, word in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "inf")):
        broken = X.copy()
        broken[5, 1] = value
        message = _says(refuses_missing_values, f"{value} in X,")
        assert_refuses(lambda b=broken: _fit(make(), b, y), r"\bX\b", word, message=f"{message} in fit:")
        assert_refuses(lambda b=broken: _first(model)(b), r"\bX\b", word, message=f"{message} afterwards:")


def _first(model: Any) -> Callable[[Any], Any]:
    """The first of a model's methods that takes new rows."""
    names = ("predict", "transform", "fit_predict", "fit")
    return next(getattr(model, name) for name in names if hasattr(model, name))


def takes_each_row_by_itself(make: Make, kind: Kind) -> None:
    """What is said of a row depends on that row alone: not on those beside it, on their order or their number."""
    __tracebackhide__ = True
    X, y = _data(kind)
    model = _fit(make(), X, y)
    whole = _outputs(model, X)
    for rows, case in (([0], "one row"), (list(range(ROWS))[::-1], "the rows in reverse"), ([3, 1], "two of them")):
        expected = {name: np.asarray(value)[rows] for name, value in whole.items()}
        _compare(_outputs(model, X[rows]), expected, _says(takes_each_row_by_itself, f"{case}:"), 1e-9, 1e-9)


def is_the_same_every_time(make: Make, kind: Kind) -> None:
    """The same settings and data give the same model, whatever was drawn before; chance comes from `random_state`."""
    __tracebackhide__ = True
    X, y = _data(kind)
    kept = np.random.get_state()
    try:
        models = []
        for seed in (0, 1):
            np.random.seed(seed)
            models.append(_outputs(_fit(make(), X, y), X))
    finally:
        np.random.set_state(kept)
    _compare(models[1], models[0], _says(is_the_same_every_time), 0, 0)


# --- of those that are taught --------------------------------------------------------------------------------


def refuses_targets_that_do_not_fit(make: Make, kind: Kind) -> None:
    """A y with more or fewer entries than X has rows, or with NaN in it, is refused by its name."""
    __tracebackhide__ = True
    X, y = _data(kind)
    assert_refuses(
        lambda: make().fit(X, y[:-1]),
        r"\by\b|labels|inconsistent",
        message=_says(refuses_targets_that_do_not_fit, f"{ROWS - 1} entries for {ROWS} rows:"),
    )
    broken = y.astype(float)
    broken[2] = np.nan
    message = _says(refuses_targets_that_do_not_fit, "NaN in y:")
    assert_refuses(lambda: make().fit(X, broken), r"\by\b", "nan", message=message)


def scores_itself(make: Make, kind: Kind) -> None:
    """`score(X, y)` is the accuracy of a classifier and the R² of a regressor."""
    __tracebackhide__ = True
    X, y = _data(kind)
    model = make().fit(X, y)
    if not hasattr(model, "score"):
        _fail(scores_itself, f"There is no `score`: inherit from sklearn.base.{kind.title()}Mixin.")
    predicted = model.predict(X)
    right = (
        (predicted == y).mean()
        if kind == "classifier"
        else 1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    )
    assert_close(model.score(X, y), right, _says(scores_itself))


# --- of classifiers ------------------------------------------------------------------------------------------


def gives_back_the_labels(make: Make, kind: Kind) -> None:
    """Labels are texts, booleans or any whole numbers: `classes_` has them sorted, and `predict` gives them back."""
    __tracebackhide__ = True
    X, y = _data(kind)
    numbers = make().fit(X, y).predict(X)
    for low, high in (("no", "yes"), (-1, 1), (3, 7), (False, True)):
        labels = np.array([low, high])
        model = make().fit(X, labels[y])
        classes, predicted = np.asarray(model.classes_), np.asarray(model.predict(X))
        if classes.tolist() != [low, high]:
            _fail(gives_back_the_labels, f"With labels {low!r} and {high!r}, classes_ is {classes.tolist()}.")
        if predicted.tolist() != labels[np.asarray(numbers)].tolist():
            wrong = int(np.flatnonzero(predicted != labels[np.asarray(numbers)])[0])
            _fail(
                gives_back_the_labels,
                f"With labels {low!r} and {high!r}, predict gives {predicted[wrong]!r} for row {wrong}; with 0 and 1 "
                f"it gives {numbers[wrong]!r}.",
            )


def has_an_answer_to_one_class(make: Make, kind: Kind) -> None:
    """Where y holds one class only, `fit` says so (naming y or class), or `predict` gives that class."""
    __tracebackhide__ = True
    X, _ = _data(kind)
    try:
        predicted = make().fit(X, np.full(ROWS, "only")).predict(X)
    except ValueError as error:
        if not re.search(r"\by\b|class", str(error)):
            _fail(has_an_answer_to_one_class, f"It said: {error}")
    else:
        if set(np.asarray(predicted).tolist()) != {"only"}:
            _fail(has_an_answer_to_one_class, f"predict gave {_short(predicted)}.")


def gives_probabilities(make: Make, kind: Kind) -> None:
    """`predict_proba` has a column for each of `classes_`, rows that sum to 1, the largest at what `predict` says."""
    __tracebackhide__ = True
    X, y = _data(kind)
    model = make().fit(X, np.array(["b", "a"])[y])
    if not hasattr(model, "predict_proba"):
        return
    probabilities = np.asarray(model.predict_proba(X))
    message = _says(gives_probabilities)
    assert_close(np.array(probabilities.shape), np.array([ROWS, 2]), f"{message}\n  Its shape:")
    assert_close(probabilities.sum(axis=1), np.ones(ROWS), f"{message}\n  The sums of its rows:")
    if (probabilities < 0).any():
        _fail(gives_probabilities, f"One is {probabilities.min():.6g}.")
    clear = np.abs(probabilities[:, 0] - probabilities[:, 1]) > 1e-9
    likelier = np.asarray(model.classes_)[probabilities.argmax(axis=1)]
    if (likelier != model.predict(X))[clear].any():
        row = int(np.flatnonzero((likelier != model.predict(X)) & clear)[0])
        _fail(
            gives_probabilities,
            f"Row {row} has {probabilities[row].tolist()}, and predict says {model.predict(X)[row]!r}.",
        )


# --- of those without a teacher ------------------------------------------------------------------------------


def takes_no_y(make: Make, kind: Kind) -> None:
    """`fit(X, y=None)`: a pipeline hands y to every step, so one that needs none takes it and does not look at it."""
    __tracebackhide__ = True
    X, _ = _data(kind)
    expected = _outputs(make().fit(X), X)
    for y in (None, np.arange(ROWS)):
        try:
            outputs = _outputs(make().fit(X, y), X)
        except TypeError as error:
            _fail(takes_no_y, f"fit(X, {_short(y)}) raised TypeError: {error}")
        _compare(outputs, expected, _says(takes_no_y), 1e-9, 1e-9)


def fits_and_transforms_in_one(make: Make, kind: Kind) -> None:
    """`fit_transform(X)` is `fit(X).transform(X)`, with a row for each row of X."""
    __tracebackhide__ = True
    X, _ = _data(kind)
    expected = make().fit(X).transform(X)
    if len(expected) != ROWS:
        _fail(fits_and_transforms_in_one, f"{ROWS} rows became {len(expected)}.")
    if not hasattr(make(), "fit_transform"):
        _fail(fits_and_transforms_in_one, "There is no `fit_transform`: inherit from sklearn.base.TransformerMixin.")
    _compare(make().fit_transform(X), expected, _says(fits_and_transforms_in_one), 1e-9, 1e-9)


def labels_its_rows(make: Make, kind: Kind) -> None:
    """`labels_` has a whole number for each row that it was fitted on, and `fit_predict(X)` returns them."""
    __tracebackhide__ = True
    X, _ = _data(kind)
    labels = np.asarray(make().fit(X).labels_)
    if labels.shape != (ROWS,) or labels.dtype.kind not in "iu":
        _fail(labels_its_rows, f"labels_ is of shape {labels.shape} and dtype {labels.dtype}.")
    if not hasattr(make(), "fit_predict"):
        _fail(labels_its_rows, "There is no `fit_predict`: inherit from sklearn.base.ClusterMixin.")
    _compare(make().fit_predict(X), labels, _says(labels_its_rows), 0, 0)


def _all(*more: Callable[[Make, Kind], None]) -> Iterator[Callable[[Make, Kind], None]]:
    yield from (stores_its_settings, is_cloned_by_its_settings, fit_returns_itself, fit_learns_under_its_own_names)
    yield from (a_second_fit_forgets_the_first, two_are_apart, is_the_same_every_time, leaves_its_input_alone)
    yield from (takes_lists_and_tables, takes_each_row_by_itself, refuses_to_predict_before_fit)
    yield from (refuses_another_number_of_columns, refuses_what_is_no_table, refuses_missing_values)
    yield from more


_TAUGHT = (refuses_targets_that_do_not_fit, scores_itself)
_CONVENTIONS: dict[str, tuple[Callable[[Make, Kind], None], ...]] = {
    "classifier": (*_all(*_TAUGHT, gives_back_the_labels, has_an_answer_to_one_class, gives_probabilities),),
    "regressor": (*_all(*_TAUGHT),),
    "transformer": (*_all(takes_no_y, fits_and_transforms_in_one),),
    "clusterer": (*_all(takes_no_y, labels_its_rows),),
}
