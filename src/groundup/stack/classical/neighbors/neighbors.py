"""Three ideas of a class: ask the nearest rows, weigh the evidence of each column, or draw the widest border.

    KNeighborsClassifier(5, metric="cosine").fit(X, y).predict(X_new)       # the vote of the five nearest rows
    MultinomialNB(alpha=1.0).fit(counts, y).predict_proba(new_counts)       # Bayes' theorem, word by word
    SVC(C=1.0, kernel="rbf").fit(X, y).decision_function(X_new)             # two classes, the widest margin

Not covered: sparse tables, trees that find neighbours without looking at every row, and support vectors for more than
two classes.
"""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

LARGEST = 1e100  # beyond it, squares of sums would soon overflow

BLOCK = 256  # rows whose distances are held at a time
TINY = 1e-12


class Machine(NamedTuple):
    """What `smo` finds: the multipliers (n_samples,), the bias, how many steps it took, the violation that is left."""

    alphas: np.ndarray
    bias: float
    steps: int
    violation: float


# --- neighbours -----------------------------------------------------------------------------------------------------


def squared_distances(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distance of each row of A to each row of B, by one matrix product.

    |a - b|² = |a|² + |b|² - 2 a·b. Far from the origin the three terms are large and their sum is small, so both tables
    are shifted by the mean of B first, which changes no distance.

    Args:
        A: of shape (n_rows, n_features).
        B: of shape (n_others, n_features), at least one row.

    Returns:
        Of shape (n_rows, n_others), none below 0, right up to rounding.
    """
    centre = B.mean(axis=0)
    A, B = A - centre, B - centre
    squares = np.sum(A**2, axis=1)[:, None] + np.sum(B**2, axis=1) - 2 * A @ B.T
    return np.maximum(squares, 0.0)


def nearest(A: np.ndarray, B: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find for each row of A the k rows of B that are nearest.

    They are chosen by `squared_distances`; their own distances are then computed anew from differences, so that a row
    that is also in B has the distance 0.

    Args:
        A: of shape (n_rows, n_features).
        B: of shape (n_others, n_features).
        k: 1 to n_others.

    Returns:
        Distances, ascending, and numbers of rows of B, both of shape (n_rows, k). Of equal distances among the k the
        lower number comes first.
    """
    chosen = np.sort(np.argpartition(squared_distances(A, B), k - 1, axis=1)[:, :k], axis=1)
    distances = np.sqrt(np.sum((A[:, None] - B[chosen]) ** 2, axis=2))
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(chosen, order, axis=1)


def vote_shares(distances: np.ndarray, classes: np.ndarray, n_classes: int, weights: str = "uniform") -> np.ndarray:
    """Return the share of each class in the votes of the neighbours.

    Args:
        distances: of shape (n_rows, k), at least 0.
        classes: numbers of classes of the neighbours, of shape (n_rows, k).
        n_classes: how many classes there are.
        weights: "uniform", one vote each; or "distance", 1 / distance votes each. With "distance", neighbours at the
            distance 0 have one vote each, and the others of that row none.

    Returns:
        Of shape (n_rows, n_classes); rows sum to 1.
    """
    votes = np.ones_like(distances)
    if weights == "distance":
        same = distances == 0
        votes = np.where(same.any(axis=1, keepdims=True), same, 1 / np.where(same, 1.0, distances))
    shares = np.einsum("nk,nkc->nc", votes, np.eye(n_classes)[classes])
    return shares / votes.sum(axis=1, keepdims=True)


# --- naive Bayes ----------------------------------------------------------------------------------------------------


def word_log_probabilities(X: np.ndarray, classes: np.ndarray, n_classes: int, alpha: float) -> np.ndarray:
    """Return the logarithm of the share of each word among all words of each class, smoothed.

    Each word is counted alpha times more than it was seen in each class (Laplace's rule of succession for alpha 1), so
    a word that a class has not shown keeps a probability above 0.

    Args:
        X: counts or weights of words, at least 0, of shape (n_texts, n_words).
        classes: number of the class of each text, of shape (n_texts,).
        n_classes: how many classes there are.
        alpha: above 0.

    Returns:
        Of shape (n_classes, n_words); the exponentials of each row sum to 1.
    """
    counts = np.eye(n_classes)[classes].T @ X + alpha
    return np.log(counts) - np.log(counts.sum(axis=1, keepdims=True))


def gaussian_log_likelihoods(X: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the logarithm of each class's density at each row, with columns that are independent and normal.

    Args:
        X: of shape (n_samples, n_features).
        means: of shape (n_classes, n_features).
        variances: above 0, of shape (n_classes, n_features).

    Returns:
        Of shape (n_samples, n_classes).
    """
    squares = (X[:, None] - means) ** 2 / variances
    return -0.5 * np.sum(squares + np.log(2 * np.pi * variances), axis=2)


# --- support vectors ------------------------------------------------------------------------------------------------


def worst_pair(y: np.ndarray, alphas: np.ndarray, slopes: np.ndarray, C: float) -> tuple[int, int]:
    """Return the two rows that violate the conditions of the optimum most (Keerthi et al., 2001).

    The first has the steepest slope among the rows whose y alpha can rise: with y = 1 where alpha is below C, with
    y = -1 where alpha is above 0. The second has the least slope among the rows whose y alpha can fall.

    Args:
        y: -1 or 1, both of them, of shape (n_samples,).
        alphas: multipliers from 0 to C, with sum(alpha y) = 0, of shape (n_samples,).
        slopes: y less what the machine says without its bias, of shape (n_samples,).
        C: the largest multiplier.
    """
    rising = np.where(y > 0, alphas < C, alphas > 0)
    falling = np.where(y > 0, alphas > 0, alphas < C)
    steepest = np.argmax(np.where(rising, slopes, -np.inf))
    return int(steepest), int(np.argmin(np.where(falling, slopes, np.inf)))


def pair_step(i: int, j: int, K: np.ndarray, y: np.ndarray, alphas: np.ndarray, slopes: np.ndarray, C: float) -> float:
    """Return how far y_i alpha_i may rise while y_j alpha_j falls by as much: to the top of the parabola, or a border.

    Along that line the dual objective grows by (slopes[i] - slopes[j]) t - (K_ii + K_jj - 2 K_ij) t² / 2. Both
    multipliers stay within 0 and C. A curvature below `TINY` counts as `TINY`: there the border decides.

    Args:
        i: the row whose y alpha rises.
        j: the row whose y alpha falls.
        K: kernel of shape (n_samples, n_samples), symmetric.
        y: as for `worst_pair`; so are alphas, slopes and C.
        alphas: multipliers from 0 to C.
        slopes: of shape (n_samples,); slopes[i] > slopes[j].
        C: the largest multiplier.

    Returns:
        The step t, at least 0.
    """
    curvature = K[i, i] + K[j, j] - 2 * K[i, j]
    room_up = C - alphas[i] if y[i] > 0 else alphas[i]
    room_down = alphas[j] if y[j] > 0 else C - alphas[j]
    return min((slopes[i] - slopes[j]) / max(curvature, TINY), room_up, room_down)


def smo(K: np.ndarray, y: np.ndarray, C: float, *, tol: float = 1e-3, max_steps: int = 100_000) -> Machine:
    """Maximise sum(alpha) - sum_ij alpha_i alpha_j y_i y_j K_ij / 2, for 0 <= alpha <= C and sum(alpha y) = 0.

    Sequential minimal optimization (Platt, 1998) begins with zeros and moves two multipliers at a time, the worst
    pair, since one alone would break the sum. Rounding leads none of them beyond a border. It stops when their slopes
    differ by `tol` or less, or after max_steps.

    Args:
        K: kernel of shape (n_samples, n_samples), symmetric and positive semidefinite.
        y: -1 or 1, both of them, of shape (n_samples,).
        C: the largest multiplier, above 0.
        tol: the violation, steepest less least slope, that is allowed.
        max_steps: the largest number of steps.

    Returns:
        The machine; its bias is the middle between the slopes of the last pair.
    """
    alphas, slopes, steps = np.zeros(len(y)), y.astype(float), 0
    i, j = worst_pair(y, alphas, slopes, C)
    while slopes[i] - slopes[j] > tol and steps < max_steps:
        t = pair_step(i, j, K, y, alphas, slopes, C)
        alphas[i] = np.clip(alphas[i] + y[i] * t, 0.0, C)
        alphas[j] = np.clip(alphas[j] - y[j] * t, 0.0, C)
        slopes -= t * (K[i] - K[j])
        steps += 1
        i, j = worst_pair(y, alphas, slopes, C)
    return Machine(alphas, float(slopes[i] + slopes[j]) / 2, steps, float(slopes[i] - slopes[j]))


def rbf_kernel(A: np.ndarray, B: np.ndarray, gamma: float) -> np.ndarray:
    """Return exp(-gamma |a - b|²) for each row of A and of B, of shape (n_rows, n_others)."""
    return np.exp(-gamma * squared_distances(A, B))


# --- estimators -----------------------------------------------------------------------------------------------------


class _Classifier(ClassifierMixin, BaseEstimator):
    """What the classifiers share."""

    classes_: np.ndarray

    def _table(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Check both, remember the classes, and return X with numbers of classes."""
        X, y = validate_data(self, X, y, dtype=float)
        squarable(X)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        return X, numbers

    def _rows(self, X: Any) -> Any:
        check_is_fitted(self)
        return squarable(np.asarray(validate_data(self, X, dtype=float, reset=False)))


class _Probabilistic(_Classifier):
    """A classifier whose answers follow from `predict_log_proba`."""

    log_likelihoods: Callable[[np.ndarray], np.ndarray]
    class_log_prior_: np.ndarray

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of Bayes' theorem: prior times likelihood, over their sum over the classes."""
        rows = self._rows(X)
        joint = self.class_log_prior_ + self.log_likelihoods(rows)
        return joint - logsumexp(joint, axis=1, keepdims=True)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, of shape (n_samples, n_classes)."""
        check_is_fitted(self)
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each row, of shape (n_samples,); of equals the first."""
        check_is_fitted(self)
        return self.classes_[self.predict_log_proba(X).argmax(axis=1)]


class KNeighborsClassifier(_Classifier):
    """The vote of the nearest training rows. It learns nothing: it keeps the rows, and compares when it is asked.

    Args:
        n_neighbors: how many vote.
        weights: "uniform" or "distance", as for `vote_shares`.
        metric: "euclidean"; or "cosine", 1 less the cosine of the angle between two rows. A row of zeros has no angle:
            it is half as far from every other row as a row at a right angle.

    Attributes:
        classes_: the classes, sorted, of shape (n_classes,).
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, n_neighbors: int = 5, *, weights: str = "uniform", metric: str = "euclidean") -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.metric = metric

    def fit(self, X: Any, y: Any) -> Self:
        """Keep numbers X of shape (n_samples, n_features) and classes y of shape (n_samples,).

        Raises:
            ValueError: a setting, a shape or a value that is not allowed; the message names it.
        """
        X, self._numbers = self._table(X, y)
        _one_of("weights", self.weights, ("uniform", "distance"))
        _one_of("metric", self.metric, ("euclidean", "cosine"))
        k = self.n_neighbors
        if isinstance(k, bool) or not isinstance(k, Integral) or not 1 <= k <= len(X):
            raise ValueError(f"n_neighbors must be a whole number from 1 to n_samples={len(X)}, got {k!r}.")
        self._known = self._scaled(X)
        return self

    def kneighbors(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and numbers of the nearest training rows, both of shape (n_samples, n_neighbors)."""
        rows = self._scaled(self._rows(X))
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        parts = [nearest(block, self._known, self.n_neighbors) for block in blocks]
        distances, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
        # Of rows a, b of length 1, |a - b|² / 2 is 1 less their cosine.
        return (distances**2 / 2 if self.metric == "cosine" else distances), numbers

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the share of each class in the vote, of shape (n_samples, n_classes)."""
        distances, rows = self.kneighbors(X)
        return vote_shares(distances, self._numbers[rows], len(self.classes_), self.weights)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class with most votes for each row, of shape (n_samples,); of equals the first."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        if self.metric == "euclidean":
            return X
        lengths = np.linalg.norm(X, axis=1, keepdims=True)
        return X / np.where(lengths > 0, lengths, 1.0)


class MultinomialNB(_Probabilistic):
    """Naive Bayes for counts of words: a text is words drawn independently from its class.

    Args:
        alpha: as for `word_log_probabilities`.

    Attributes:
        class_log_prior_: logarithm of the share of each class among the texts, of shape (n_classes,).
        feature_log_prob_: what `word_log_probabilities` returns.
        classes_: the classes, sorted, of shape (n_classes,).
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, X: Any, y: Any) -> Self:
        """Count the words X, at least 0, of shape (n_texts, n_words), for each class of y, of shape (n_texts,).

        Raises:
            ValueError: alpha is not above 0, or a shape or a value that is not allowed; the message names it.
        """
        X, numbers = self._table(X, y)
        check_non_negative(X, "MultinomialNB: X")
        n_classes = len(self.classes_)
        self.class_log_prior_ = np.log(np.bincount(numbers) / len(numbers))
        self.feature_log_prob_ = word_log_probabilities(X, numbers, n_classes, _above_zero("alpha", self.alpha))
        return self

    def log_likelihoods(self, X: np.ndarray) -> np.ndarray:
        """Return the logarithm of each text's probability in each class, order apart, (n_texts, n_classes)."""
        check_non_negative(X, "MultinomialNB: X")
        return X @ self.feature_log_prob_.T

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = True  # on blobs that no count describes
        return tags


class GaussianNB(_Probabilistic):
    """Naive Bayes for measurements: each column is normal in each class, and independent of the others.

    Args:
        var_smoothing: this share of the largest variance of a column is added to all variances; above 0.

    Attributes:
        class_log_prior_: logarithm of the share of each class among the rows, of shape (n_classes,).
        theta_: mean of each column in each class, of shape (n_classes, n_features).
        var_: variance of each column in each class, of shape (n_classes, n_features).
        classes_: the classes, sorted, of shape (n_classes,).
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, var_smoothing: float = 1e-9) -> None:
        self.var_smoothing = var_smoothing

    def fit(self, X: Any, y: Any) -> Self:
        """Learn means and variances of numbers X, of shape (n_samples, n_features), by classes y, (n_samples,).

        Raises:
            ValueError: var_smoothing is not above 0, or a shape or a value that is not allowed; the message names it.
        """
        X, numbers = self._table(X, y)
        # Where all is constant, nothing varies to take a share of.
        least = _above_zero("var_smoothing", self.var_smoothing) * (X.var(axis=0).max() or 1.0)
        parts = [X[numbers == number] for number in range(len(self.classes_))]
        self.class_log_prior_ = np.log(np.bincount(numbers) / len(numbers))
        self.theta_ = np.array([part.mean(axis=0) for part in parts])
        self.var_ = np.array([part.var(axis=0) for part in parts]) + least
        return self

    def log_likelihoods(self, X: np.ndarray) -> np.ndarray:
        """Return the logarithm of each class's density at each row, of shape (n_samples, n_classes)."""
        return gaussian_log_likelihoods(X, self.theta_, self.var_)


class SVC(_Classifier):
    """A support vector machine for two classes. It holds the kernel of all pairs of training rows in memory.

    Args:
        C: the price of a row on the wrong side of its margin, above 0.
        kernel: "linear" or "rbf".
        gamma: of "rbf", above 0; or "scale", 1 / (n_features · variance of X).
        tol: the violation at which `smo` stops, above 0.
        max_iter: the largest number of steps; a ConvergenceWarning says where they were not enough.

    Attributes:
        support_: numbers of the support vectors, ascending, of shape (n_support,).
        support_vectors_: these rows, of shape (n_support, n_features).
        dual_coef_: y alpha of each, of shape (n_support,).
        intercept_: the bias.
        n_iter_: steps taken.
        classes_: the two classes, sorted.
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(
        self, C: float = 1.0, *, kernel: str = "rbf", gamma: Any = "scale", tol: float = 1e-3, max_iter: int = 100_000
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any) -> Self:
        """Find the support vectors of numbers X, (n_samples, n_features), and two classes y, (n_samples,).

        Raises:
            ValueError: a setting, a shape, a value or a number of classes that is not allowed; the message names it.
        """
        X, numbers = self._table(X, y)
        if len(self.classes_) != 2:
            more = "Only binary classification is supported. " if len(self.classes_) > 2 else ""
            raise ValueError(f"{more}y must hold two classes, got {len(self.classes_)} class(es).")
        _one_of("kernel", self.kernel, ("linear", "rbf"))
        C, tol = _above_zero("C", self.C), _above_zero("tol", self.tol)
        scale = self.kernel == "linear" or (isinstance(self.gamma, str) and self.gamma == "scale")
        self._gamma = 1 / (X.shape[1] * (X.var() or 1.0)) if scale else _above_zero("gamma", self.gamma)
        machine = smo(self._kernel(X, X), 2.0 * numbers - 1, C, tol=tol, max_steps=self.max_iter)
        if machine.violation > tol:
            message = f"max_iter={self.max_iter} steps leave a violation of {machine.violation:.3g}, above tol={tol:g}."
            warnings.warn(f"{message} Scale X, lower C, or raise max_iter.", ConvergenceWarning, stacklevel=2)
        self.support_ = np.flatnonzero(machine.alphas)
        self.support_vectors_ = X[self.support_]
        self.dual_coef_ = (2.0 * numbers - 1)[self.support_] * machine.alphas[self.support_]
        self.intercept_, self.n_iter_ = machine.bias, max(1, machine.steps)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return for each row a number above 0 for the second class, ±1 at the margins, of shape (n_samples,)."""
        rows = self._rows(X)
        return self._kernel(rows, self.support_vectors_) @ self.dual_coef_ + self.intercept_

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each row, of shape (n_samples,)."""
        check_is_fitted(self)
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def _kernel(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return A @ B.T if self.kernel == "linear" else rbf_kernel(A, B, self._gamma)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


# --- checks of arguments --------------------------------------------------------------------------------------------


def _above_zero(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}.")
    return float(value)


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")


def squarable(X: np.ndarray) -> np.ndarray:
    """Return X, if its values can be squared and added up. Raises ValueError."""
    largest = max(X.max(), -X.min())
    if largest > LARGEST:
        raise ValueError(f"X must be within ±{LARGEST:g}, or its squares overflow, got {largest:g}. Divide X.")
    return X
