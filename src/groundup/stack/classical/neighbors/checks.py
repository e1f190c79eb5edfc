"""Checks of neighbours, naive Bayes and the support vector machine."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from sklearn import naive_bayes, neighbors, svm

from groundup.checking import (
    assert_close,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_unchanged,
    estimator_conventions,
)
from groundup.stack.classical.neighbors import (
    SVC,
    GaussianNB,
    KNeighborsClassifier,
    MultinomialNB,
    gaussian_log_likelihoods,
    nearest,
    pair_step,
    rbf_kernel,
    smo,
    squared_distances,
    vote_shares,
    word_log_probabilities,
    worst_pair,
)

STEPS = 1_000  # more than is needed: a machine that never stops is told so soon


def labelled(rng, n=30):
    """Rows in the plane, a kernel of them, and y of -1 and 1 that no line separates."""
    X = rng.normal(size=(n, 2))
    y = np.where(X[:, 0] + 0.7 * rng.normal(size=n) > 0, 1.0, -1.0)
    y[:2] = 1.0, -1.0
    return X, rbf_kernel(X, X, 0.5), y


def slopes_of(K, y, alphas):
    """What `slopes` is for these multipliers."""
    return y - K @ (alphas * y)


def dual(K, y, alphas):
    """What the machine maximises."""
    return alphas.sum() - 0.5 * (alphas * y) @ K @ (alphas * y)


# --- neighbours -----------------------------------------------------------------------------------------------------


def test_squared_distances_by_hand():
    """From (0, 0) and (3, 4) to (0, 0), (3, 0) and (6, 8): 0, 9 and 100, then 25, 16 and 25."""
    A, B = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 0.0], [6.0, 8.0]])
    assert_close(squared_distances(A, B), [[0, 9, 100], [25, 16, 25]], atol=1e-12)


def test_squared_distances_are_scipys(rng):
    """They are those of scipy, of shape (n_rows, n_others)."""
    A, B = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    assert_close(squared_distances(A, B), cdist(A, B, "sqeuclidean"))


def test_squared_distances_hold_far_from_the_origin(rng):
    """A shift changes no distance: rows 10⁷ away keep theirs, since both tables are shifted by the mean row of B."""
    A, B, far = rng.normal(size=(5, 3)), rng.normal(size=(6, 3)), np.array([1e7, -1e7, 0.0])
    assert_close(squared_distances(A + far, B + far), cdist(A, B, "sqeuclidean"), rtol=1e-6, atol=1e-6)


def test_squared_distances_are_never_below_0(rng):
    """Rounding leaves no square below 0, also of rows that are in both tables."""
    A = rng.normal(size=(40, 6)) * 1e3
    squares = squared_distances(A, A)
    assert squares.min() >= 0, f"the least of 1600 squares is {squares.min()}"


def test_squared_distances_leave_the_tables_alone(rng):
    """Each row stands by itself, and both tables stay as they are."""
    A, B = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    assert_rows_alone(lambda rows: squared_distances(rows, B), A)
    assert_unchanged(squared_distances, A, B)


def test_nearest_by_hand():
    """Of 0, 2, 5 and 9 the two nearest to 3 are 2 and 5; to 9 they are 9, at the distance 0, and 5."""
    distances, rows = nearest(np.array([[3.0], [9.0]]), np.array([[0.0], [2.0], [5.0], [9.0]]), 2)
    assert_close(rows, [[1, 2], [3, 2]], "numbers of the rows, the nearest first")
    assert_close(distances, [[1, 2], [0, 4]], "their distances")


def test_vote_shares_by_hand():
    """Neighbours at 1, 2 and 4 have classes 0, 1, 1: one vote each is 1 to 2, votes by distance are 1 to 3/4."""
    distances, classes = np.array([[1.0, 2.0, 4.0]]), np.array([[0, 1, 1]])
    assert_close(vote_shares(distances, classes, 2), [[1 / 3, 2 / 3]], "one vote each")
    assert_close(vote_shares(distances, classes, 2, "distance"), [[4 / 7, 3 / 7]], "votes of 1 / distance")
    assert_close(vote_shares(distances, classes, 3), [[1 / 3, 2 / 3, 0]], "a third class that no neighbour has")


def test_neighbours_at_the_distance_0_decide():
    """By distance, two neighbours at 0 share the vote, and those farther away have none; other rows are not touched."""
    distances, classes = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 2.0]]), np.array([[1, 2, 0], [0, 0, 1]])
    expected = [[0, 0.5, 0.5], [0.8, 0.2, 0]]
    with np.errstate(all="raise"):
        assert_close(vote_shares(distances, classes, 3, "distance"), expected)


def test_vote_shares_are_scikit_learns(rng):
    """On 40 rows of three classes they are those of scikit-learn, with either kind of votes; nothing is changed."""
    X, y, new = rng.normal(size=(40, 3)), rng.integers(0, 3, 40), rng.normal(size=(10, 3))
    for weights in ("uniform", "distance"):
        theirs = neighbors.KNeighborsClassifier(6, weights=weights).fit(X, y)
        distances, rows = theirs.kneighbors(new)
        shares = vote_shares(distances, y[rows], 3, weights)
        assert_close(shares, theirs.predict_proba(new), f"shares with weights={weights!r}")
        assert_unchanged(lambda d, c, w=weights: vote_shares(d, c, 3, w), distances, y[rows])


# --- naive Bayes ----------------------------------------------------------------------------------------------------


def test_word_log_probabilities_by_hand():
    """Class 0 has the words 2, 0, 1: with alpha 1 they are 3/6, 1/6, 2/6. Class 1 has 0, 3, 1: 1/7, 4/7, 2/7."""
    X, classes = np.array([[2.0, 0, 1], [0, 1, 0], [0, 2, 1]]), np.array([0, 1, 1])
    expected = [[3 / 6, 1 / 6, 2 / 6], [1 / 7, 4 / 7, 2 / 7]]
    assert_close(np.exp(word_log_probabilities(X, classes, 2, 1.0)), expected, "alpha 1")
    expected = [[2.5 / 4.5, 0.5 / 4.5, 1.5 / 4.5], [0.5 / 5.5, 3.5 / 5.5, 1.5 / 5.5]]
    assert_close(np.exp(word_log_probabilities(X, classes, 2, 0.5)), expected, "alpha 1/2")


def test_word_log_probabilities_are_scikit_learns(rng):
    """On 30 texts of three classes they are those of scikit-learn, whole counts or weights; nothing is changed."""
    X, classes = rng.poisson(1.0, (30, 8)) * rng.random((30, 8)), rng.permutation(np.arange(30) % 3)
    theirs = naive_bayes.MultinomialNB(alpha=0.3).fit(X, classes)
    assert_close(word_log_probabilities(X, classes, 3, 0.3), theirs.feature_log_prob_)
    assert_unchanged(lambda A, c: word_log_probabilities(A, c, 3, 0.3), X, classes)


def test_naive_bayes_by_hand():
    """Three of four texts are ham; a word is 1/2 of the words of ham, and 1/3 of spam's: ham has 9/11."""
    X, y = [[1, 1], [1, 0], [0, 1], [0, 2]], ["ham", "ham", "ham", "spam"]
    model = MultinomialNB(alpha=2.0).fit(X, y)
    assert_close(np.exp(model.feature_log_prob_), [[4 / 8, 4 / 8], [2 / 6, 4 / 6]], "shares of the words")
    assert_close(model.predict_proba([[1, 0]]), [[9 / 11, 2 / 11]], "prior times likelihood, over their sum")
    assert_close(model.predict_proba([[0, 0]]), [[3 / 4, 1 / 4]], "without a word the prior is left")


def test_long_texts_have_probabilities():
    """A text of 20,000 words is no 0 / 0: logarithms are added, and the largest is taken out before the exponential."""
    model = MultinomialNB().fit([[5, 1], [1, 5]], [0, 1])
    assert_close(model.predict_proba([[10_000, 10_000], [20_000, 0]]), [[0.5, 0.5], [1, 0]])


def test_gaussian_naive_bayes_is_scikit_learns(rng):
    """Densities by hand, and probabilities as scikit-learn's."""
    one = gaussian_log_likelihoods(np.array([[1.0, 0.0]]), np.zeros((1, 2)), np.array([[1.0, 4.0]]))
    assert_close(one, [[-0.5 - np.log(2 * np.pi) - np.log(2)]], "at (1, 0), variances 1 and 4")
    X, y, new = rng.normal(size=(40, 3)), np.arange(40) % 3, rng.normal(size=(9, 3))
    theirs = naive_bayes.GaussianNB().fit(X, y)
    assert_close(GaussianNB().fit(X, y).predict_proba(new), theirs.predict_proba(new), "probabilities of 9 new rows")


# --- support vectors ------------------------------------------------------------------------------------------------


def test_worst_pair_by_hand():
    """A multiplier at a border moves one way: the steepest slope that can rise, the least that can fall."""
    y, slopes = np.array([1.0, 1, -1, -1]), np.array([0.9, 0.2, 0.5, -0.3])
    assert tuple(worst_pair(y, np.zeros(4), np.array([1.0, 1, -1, -1]), 1.0)) == (0, 2), (
        "at 0, y alpha rises where y is 1 and falls where y is -1; of equal slopes the first"
    )
    assert tuple(worst_pair(y, np.full(4, 0.5), slopes, 1.0)) == (0, 3), "between the borders all can rise and fall"
    assert tuple(worst_pair(y, np.array([1, 0.5, 0.5, 1.0]), slopes, 1.0)) == (2, 1), (
        "row 0, y = 1 at C, cannot rise; row 3, y = -1 at C, cannot fall"
    )
    assert tuple(worst_pair(y, np.array([0.5, 0.0, 0.5, 0.0]), slopes[[0, 3, 2, 1]], 1.0)) == (0, 3), (
        "row 1, y = 1 at 0, cannot fall, though its slope is the least"
    )
    assert tuple(worst_pair(y, np.array([2.0, 0.5, 0.0, 0.5]), slopes[[2, 1, 0, 3]], 2.0)) == (1, 3), (
        "row 2, y = -1 at 0, cannot rise; row 0 is at C = 2"
    )


def test_pair_step_by_hand():
    """Kernel (2, 1; 1, 3): curvature 3. Slopes that differ by 1.5 give a step of 1/2, unless a border comes first."""
    K, y, slopes = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, -1.0]), np.array([1.0, -0.5])
    assert_close(pair_step(0, 1, K, y, np.zeros(2), slopes, 10.0), 0.5, "to the top of the parabola")
    assert_close(pair_step(0, 1, K, y, np.array([0.7, 0.0]), slopes, 1.0), 0.3, "y = 1 rises to C")
    assert_close(pair_step(0, 1, K, y, np.array([0.0, 0.8]), slopes, 1.0), 0.2, "y = -1: its alpha rises to C")
    down = pair_step(1, 0, K, y, np.array([0.1, 0.9]), -slopes, 1.0)
    assert_close(down, 0.1, "y = 1 falls to 0")
    assert_close(pair_step(1, 0, K, y, np.array([0.9, 0.2]), -slopes, 1.0), 0.2, "y = -1: its alpha falls to 0")


def test_pair_step_is_the_best_on_its_line(rng):
    """No other step along the line, of 200 within the borders, has a larger dual objective."""
    for _ in range(5):
        _, K, y = labelled(rng, 8)
        i, j = rng.choice(8, 2, replace=False)
        alphas = rng.uniform(0.1, 0.9, 8)
        slopes = slopes_of(K, y, alphas)
        i, j = (i, j) if slopes[i] > slopes[j] else (j, i)
        step = pair_step(i, j, K, y, alphas, slopes, 1.0)
        direction = np.zeros(8)
        direction[i], direction[j] = y[i], -y[j]
        moved = alphas + np.linspace(0, 1, 200)[:, None] * direction
        allowed = moved[(moved.min(axis=1) >= 0) & (moved.max(axis=1) <= 1)]
        best = max(dual(K, y, others) for others in allowed)
        assert dual(K, y, alphas + step * direction) >= best - 1e-12, f"the step {step} is not the best"


def test_pair_step_of_twins_ends_at_a_border():
    """Two equal rows with opposite labels have no curvature: the step goes to the border, without a division by 0."""
    K = np.ones((2, 2))
    with np.errstate(all="raise"):
        step = pair_step(0, 1, K, np.array([1.0, -1.0]), np.array([0.25, 0.0]), np.array([1.0, -1.0]), 1.0)
    assert_close(step, 0.75)


def test_smo_by_hand():
    """Rows -1 and 3 on a line: the border is in the middle, at 1, and both multipliers are 1/8, so that w is 1/2."""
    X, y = np.array([[-1.0], [3.0]]), np.array([-1.0, 1.0])
    machine = smo(X @ X.T, y, 10.0)
    assert_close(machine.alphas, [1 / 8, 1 / 8], "multipliers: 2 / distance²")
    assert_close(machine.bias, -0.5, "bias: x / 2 - 1 / 2 is 0 at 1")
    assert machine.steps == 1, f"one step is enough, got {machine.steps}"
    assert_close(machine.violation, 0.0, "nothing is violated", atol=1e-9)
    assert smo(X @ X.T, y, 10.0, tol=2.0).steps == 0, "the slopes differ by 2 at the beginning: with tol=2 no step"


def test_smo_stays_within_its_borders(rng):
    """All multipliers are within 0 and C, exactly, and sum(alpha y) is 0; arguments stay as they are."""
    _, K, y = labelled(rng)
    machine = smo(K, y, 0.5, max_steps=STEPS)
    assert machine.alphas.min() >= 0, f"the least multiplier is {machine.alphas.min()}"
    assert machine.alphas.max() <= 0.5, f"the largest multiplier is {machine.alphas.max()}"
    assert_close(machine.alphas @ y, 0.0, "sum(alpha y)", atol=1e-10)
    _, K, y = labelled(np.random.default_rng(1))
    machine = smo(K, y, 27 / 7, max_steps=STEPS)
    assert machine.alphas.max() <= 27 / 7, "C = 27/7, where alpha + (C - alpha) may exceed C by rounding: clip"
    assert_unchanged(lambda A, b: smo(A, b, 0.5, max_steps=STEPS), K, y)


def test_smo_finds_the_optimum(rng):
    """The dual objective is that which a general optimizer finds, and the conditions of the optimum hold within tol."""
    _, K, y = labelled(rng, 12)
    machine = smo(K, y, 1.0, tol=1e-6, max_steps=STEPS)
    reference = minimize(
        lambda a: -dual(K, y, a),
        np.zeros(12),
        jac=lambda a: -(1 - y * (K @ (a * y))),
        bounds=[(0, 1.0)] * 12,
        constraints={"type": "eq", "fun": lambda a: a @ y, "jac": lambda a: y},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert_close(dual(K, y, machine.alphas), -reference.fun, "dual objective", rtol=1e-5)
    margins = y * (K @ (machine.alphas * y) + machine.bias)
    inside = (machine.alphas > 0) & (machine.alphas < 1.0)
    assert_close(
        margins[inside], np.ones(inside.sum()), "support vectors within the borders are on the margin", atol=1e-5
    )
    assert (margins[machine.alphas == 0] >= 1 - 1e-5).all(), "rows without a multiplier are outside of the margin"
    assert (margins[machine.alphas == 1.0] <= 1 + 1e-5).all(), "rows at C are within the margin or on the wrong side"


def test_smo_is_scikit_learns(rng):
    """Multipliers and bias are those of libsvm, where not every row costs the same."""
    _, K, y = labelled(rng, 40)
    machine = smo(K, y, 2.0, tol=1e-7, max_steps=STEPS)
    theirs = svm.SVC(C=2.0, kernel="precomputed", tol=1e-7).fit(K, y)
    expected = np.zeros(40)
    expected[theirs.support_] = np.abs(theirs.dual_coef_[0])
    assert_close(machine.alphas, expected, "multipliers", atol=1e-4)
    assert_close(machine.bias, theirs.intercept_[0], "bias", atol=1e-4)


def test_smo_stops_when_it_may(rng):
    """It stops at the first violation of tol or less, or after max_steps, and says how many steps and what is left."""
    _, K, y = labelled(rng)
    loose, tight = smo(K, y, 1.0, tol=0.5, max_steps=STEPS), smo(K, y, 1.0, tol=1e-5, max_steps=STEPS)
    assert loose.steps < tight.steps, f"tol 0.5 took {loose.steps} steps, tol 0.00001 {tight.steps}"
    assert loose.violation <= 0.5, f"tol is 0.5, and a violation of {loose.violation} is left"
    three = smo(K, y, 1.0, max_steps=3)
    assert three.steps == 3, f"max_steps is 3, got {three.steps} steps"
    assert three.violation > 1e-3, "three steps are not enough, and the violation says so"
    before = smo(K, y, 1.0, tol=0.5, max_steps=loose.steps - 1)
    assert before.violation > 0.5, "one step earlier the violation is above tol"
    slopes = slopes_of(K, y, loose.alphas)
    i, j = worst_pair(y, loose.alphas, slopes, 1.0)
    assert_close(loose.violation, slopes[i] - slopes[j], "violation: of the multipliers that are returned")
    assert_close(loose.bias, (slopes[i] + slopes[j]) / 2, "bias: the middle of the two slopes at the end")
    assert smo(K, y, 1.0, max_steps=0).steps == 0, "no step is a machine of zeros"


# --- estimators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", estimator_conventions("classifier"))
@pytest.mark.parametrize(
    "make",
    [
        lambda: KNeighborsClassifier(3, weights="distance"),
        MultinomialNB,
        GaussianNB,
        lambda: SVC(C=2.0, max_iter=STEPS),
    ],
    ids=["KNeighborsClassifier", "MultinomialNB", "GaussianNB", "SVC"],
)
def test_each_keeps_scikit_learns_conventions(make, convention):
    """It keeps scikit-learn's conventions."""
    convention(make)


def test_neighbours_by_angle_ignore_length(rng):
    """With metric="cosine" a row ten times as long is as near, and the distance is 1 less the cosine."""
    X = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    distances, rows = KNeighborsClassifier(3, metric="cosine").fit(X, [0, 1, 1]).kneighbors([[10.0, 1.0]])
    assert_close(rows, [[0, 2, 1]], "by angle")
    assert_close(distances, [[1 - 10 / np.sqrt(101), 1 - 11 / np.sqrt(202), 1 - 1 / np.sqrt(101)]], "1 - cosine")


def test_a_support_vector_machine_is_scikit_learns(rng):
    """Decisions of both kernels are those of libsvm; a row without a multiplier is no support vector."""
    X, _, y = labelled(rng, 40)
    new = rng.normal(size=(20, 2))
    for kernel in ("linear", "rbf"):
        ours, theirs = (kind(C=1.5, kernel=kernel, max_iter=STEPS).fit(X, y) for kind in (SVC, svm.SVC))
        assert_close(ours.decision_function(new), theirs.decision_function(new), f"{kernel}: decisions", atol=0.01)
        assert_close(ours.support_, np.sort(theirs.support_), f"{kernel}: support vectors")


def test_what_cannot_be_is_refused():
    """Settings out of range and tables of another kind are refused by name."""
    X, y = np.arange(6.0).reshape(3, 2), [0, 1, 1]
    assert_refuses_values(lambda k: KNeighborsClassifier(k).fit(X, y), "n_neighbors", 0, 4, 1.5, "few")
    assert_refuses_values(lambda w: KNeighborsClassifier(1, weights=w).fit(X, y), "weights", "near")
    assert_refuses_values(lambda m: KNeighborsClassifier(1, metric=m).fit(X, y), "metric", "angle")
    assert_refuses_values(lambda a: MultinomialNB(a).fit(X, y), "alpha", 0, -1, np.inf, "some")
    assert_refuses(lambda: MultinomialNB().fit(-X, y), "X", message="counts below 0")
    assert_refuses(lambda: MultinomialNB().fit(X, y).predict(-X), "X", message="counts below 0, when it is asked")
    assert_refuses_values(lambda v: GaussianNB(v).fit(X, y), "var_smoothing", 0, -1)
    assert_refuses_values(lambda c: SVC(c).fit(X, y), "C", 0, -1, np.nan)
    assert_refuses_values(lambda g: SVC(gamma=g).fit(X, y), "gamma", 0, "auto")
    assert_refuses_values(lambda k: SVC(kernel=k).fit(X, y), "kernel", "poly")
    assert_refuses(lambda: SVC().fit(X, [0, 1, 2]), "class", 3, message="three classes")
