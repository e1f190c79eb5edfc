"""Checks of dimensionality."""

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA as TheirPCA

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_order_free,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
    numerical_gradient,
)
from groundup.stack.classical.dimensionality import (
    EMPTY,
    PCA,
    TSNE,
    barnes_hut_gradient,
    conditional_affinities,
    descend,
    joint_affinities,
    kl_gradient,
    principal_components,
    quadtree,
    repulsion,
)

SQUARE = np.array([[0.0, 0.0], [8.0, 8.0], [1.0, 0.0], [0.0, 1.0]])


def affinities(rng, n):
    """Symmetric, 0 on the diagonal, with the sum 1; some are 0."""
    P = rng.random((n, n)) * (rng.random((n, n)) < 0.7)
    P = P + P.T
    np.fill_diagonal(P, 0.0)
    return P / P.sum()


def pairs(Y):
    """Differences and nearness 1 / (1 + d²) of all pairs, 0 for a place with itself."""
    apart = Y[:, None] - Y
    near = 1 / (1 + (apart**2).sum(axis=2))
    np.fill_diagonal(near, 0.0)
    return apart, near


def held(tree, cell):
    """How many places the childless cells below a cell hold."""
    children = tree.children[cell][tree.children[cell] != EMPTY]
    return sum(held(tree, child) for child in children) if len(children) else int(tree.size[cell])


# --- principal components -------------------------------------------------------------------------------------------


def test_principal_components_by_hand():
    """Rows on the line through (2, 1) with the direction (3, 4): one direction has all variance."""
    X = np.array([2.0, 1.0]) + np.outer([-1.0, 0.0, 1.0], [3.0, 4.0])
    mean, components, variances = principal_components(X)
    assert_close(mean, [2, 1], "the mean of the rows")
    assert_close(components[0], [0.6, 0.8], "the first direction: (3, 4) / 5")
    assert_close(variances, [25, 0], "variances along both: (25 + 0 + 25) / 2, and 0", atol=1e-12)
    assert_close(abs(components[1] @ [0.8, -0.6]), 1, "the second direction is at a right angle to the first")


def test_principal_components_are_eigenvectors_of_the_covariance(rng):
    """They are orthogonal, of length 1, by descending variance, and np.cov times one is its variance times it."""
    X = rng.normal(size=(40, 5)) * [1, 4, 2, 0.5, 3] + 10
    mean, components, variances = principal_components(X)
    assert_close(components @ components.T, np.eye(5), "directions at right angles, of length 1")
    assert_close(np.cov(X.T) @ components.T, components.T * variances, "covariance times direction")
    assert (np.diff(variances) <= 0).all(), f"variances descend, got {variances}"
    assert_close(np.var((X - mean) @ components.T, axis=0, ddof=1), variances, "the variance of the projected rows")


def test_principal_components_have_a_sign(rng):
    """The entry of the largest size is positive, whichever way the rows point."""
    X = rng.normal(size=(30, 4))
    for rows in (X, -X):
        _, components, _ = principal_components(rows)
        largest = components[np.arange(4), np.abs(components).argmax(axis=1)]
        assert (largest > 0).all(), f"the largest entries of the directions are {largest}"
    assert_close(principal_components(-X)[1], principal_components(X)[1], "directions of X and -X")


def test_more_columns_than_rows(rng):
    """Of 3 rows with 6 columns there are 3 directions; X stays as it is, and the order of rows does not matter."""
    X = rng.normal(size=(3, 6))
    _, components, variances = principal_components(X)
    assert_shape(components, (3, 6), "as many directions as the smaller side")
    assert_close(variances.sum(), np.var(X, axis=0, ddof=1).sum(), "all variance is in them")
    assert_unchanged(principal_components, X)
    assert_order_free(lambda A: principal_components(A)[2], X)


# --- affinities -----------------------------------------------------------------------------------------------------


def test_affinities_have_the_perplexity(rng):
    """The entropy of each row is log perplexity, whatever the scale of the row."""
    squares = np.logspace(-100, 100, 8)[:, None] * rng.exponential(size=(8, 20))
    for perplexity in (2.0, 5.0, 15.0):
        p = conditional_affinities(squares, perplexity)
        assert_close(p.sum(axis=1), np.ones(8), "each row sums to 1")
        entropy = -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=1)
        assert_close(np.exp(entropy), np.full(8, perplexity), "perplexity of rows from 1e-100 to 1e100", rtol=1e-4)


def test_affinities_are_gaussian(rng):
    """In each row log p falls in proportion to the square, each row with its own β: the scale of a row is its own."""
    squares = rng.exponential(size=(5, 12))
    p = conditional_affinities(squares, 4.0)
    slopes = (np.log(p[:, 1:]) - np.log(p[:, :1])) / (squares[:, 1:] - squares[:, :1])
    assert_close(slopes, np.repeat(slopes[:, :1], 11, axis=1), "log p is a line in the squares", rtol=1e-5)
    scaled = squares * [[1], [10], [0.1], [1000], [1]]
    assert_close(conditional_affinities(scaled, 4.0), p, "rows at other scales", rtol=1e-4, atol=1e-6)
    assert_rows_alone(lambda A: conditional_affinities(A, 4.0), squares)
    assert_unchanged(lambda A: conditional_affinities(A, 4.0), squares)


def test_affinities_far_away():
    """Neighbours at squares of 10⁶ and a little more have affinities: the nearest never underflows."""
    squares = np.array([[0.0, 1.0, 2.0, 3.0], [1e6, 1e6 + 1, 1e6 + 2, 1e6 + 3]])
    p = conditional_affinities(squares, 2.0)
    assert np.isfinite(p).all(), f"no NaN, got {p}"
    assert_close(p[1], p[0], "the far row's shares are those of the near row", rtol=1e-4)


def test_affinities_where_there_is_no_choice():
    """Equal distances give equal shares; two equal nearest share all where the perplexity asks for fewer."""
    assert_close(conditional_affinities(np.zeros((2, 4)), 2.0), np.full((2, 4), 0.25), "four neighbours at 0")
    assert_close(conditional_affinities(np.full((1, 4), 3.0), 2.0), np.full((1, 4), 0.25), "four neighbours at 3")
    p = conditional_affinities(np.array([[1.0, 1.0, 5.0]]), 1.5)
    assert_close(p, [[0.5, 0.5, 0.0]], "two equal nearest, perplexity 1.5", atol=1e-6)


def test_joint_affinities_are_symmetric(rng):
    """They sum to 1, are 0 for a row with itself, and equal rows do not break them."""
    X = np.vstack([rng.normal(size=(20, 3)), np.zeros((12, 3))])
    P = joint_affinities(X, 3.0).toarray()
    assert_close(P, P.T, "p_ij = p_ji")
    assert_close(P.sum(), 1, "the sum of all")
    assert_close(np.diag(P), np.zeros(32), "no row is its own neighbour")


# --- the exact gradient ---------------------------------------------------------------------------------------------


def test_the_divergence_by_hand():
    """Three places, two at the distance 1 and both far from the third: q is 1/2 of 2 · (1/2 + 2/(1 + d²)) and so on."""
    Y, P = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]), np.array([[0, 2, 1], [2, 0, 1], [1, 1, 0]]) / 8
    weights = np.array([1 / 2, 1 / 10, 1 / 11])
    q = weights / (2 * weights.sum())
    expected = 2 * np.sum(np.array([2, 1, 1]) / 8 * np.log(np.array([2, 1, 1]) / 8 / q))
    assert_close(kl_gradient(P, Y)[0], expected, "2 Σ p log(p / q) over the three pairs")


def test_the_gradient_is_the_slope(rng):
    """It is what central differences of the divergence give."""
    P, Y = affinities(rng, 7), rng.normal(size=(7, 2))
    divergence, gradient = kl_gradient(P, Y)
    assert divergence > 0, f"a divergence is not below 0, got {divergence}"
    assert_close(gradient, numerical_gradient(lambda Z: kl_gradient(P, Z)[0], Y), "gradient", rtol=1e-4, atol=1e-7)
    assert_close(gradient.sum(axis=0), [0, 0], "forces add up to nothing", atol=1e-12)
    assert_unchanged(kl_gradient, P, Y)


def test_a_perfect_picture_has_no_slope(rng):
    """Where p is q, the divergence and its slope are 0."""
    Y = rng.normal(size=(6, 2))
    _, near = pairs(Y)
    divergence, gradient = kl_gradient(near / near.sum(), Y)
    assert_close(divergence, 0, "p = q", atol=1e-12)
    assert_close(gradient, np.zeros((6, 2)), "slope where p = q", atol=1e-12)


# --- the quadtree ---------------------------------------------------------------------------------------------------


def test_a_quadtree_by_hand():
    """Of (0, 0), (8, 8), (1, 0), (0, 1) the far one is in quarter 3 of the root, the others in quarter 0, cut again."""
    tree = quadtree(SQUARE)
    assert_close(tree.size, [4, 3, 1, 1, 1, 1], "places in each cell, level by level")
    assert_close(tree.children[0], [1, EMPTY, EMPTY, 2], "children of the root")
    assert_close(tree.children[1], [3, 4, 5, EMPTY], "children of the cell with three places")
    assert_close(tree.center[0], [9 / 4, 9 / 4], "the mean of all")
    assert_close(tree.center[1], [1 / 3, 1 / 3], "the mean of three")
    assert_close(tree.high[1] - tree.low[1], [1, 1], "the box around the three places is not a quarter of the root")
    assert_close(tree.center[[2, 3, 4, 5]], SQUARE[[1, 0, 2, 3]], "cells of one place")


def test_cells_share_out_their_places(rng):
    """Children share the places of a cell, boxes lie in boxes, and there are at most 2n - 1 cells."""
    Y = rng.normal(size=(60, 2))
    tree = quadtree(Y)
    assert len(tree.size) <= 119, f"at most 2n - 1 = 119 cells, got {len(tree.size)}"
    for cell in range(len(tree.size)):
        children = tree.children[cell][tree.children[cell] != EMPTY]
        assert held(tree, cell) == tree.size[cell], f"cell {cell} holds what its childless cells hold"
        assert len(children) != 1, f"cell {cell} has one child: a cut parts something"
        for child in children:
            inside = (tree.low[child] >= tree.low[cell]).all() and (tree.high[child] <= tree.high[cell]).all()
            assert inside, f"the box of cell {child} lies in that of its parent {cell}"
        if len(children):
            mean = np.average(tree.center[children], axis=0, weights=tree.size[children])
            assert_close(tree.center[cell], mean, f"the centre of cell {cell} is the mean of its places")
    single = tree.size == 1
    assert_close(np.sort(tree.center[single], axis=0), np.sort(Y, axis=0), "each place has a cell of its own")
    assert_unchanged(quadtree, Y)


def test_equal_and_close_places():
    """Equal places share a childless cell at their very place; neighbouring floats are parted; one place is a root."""
    tree = quadtree(np.array([[0.1, 0.3]] * 7 + [[5.0, 5.0]]))
    assert_close(tree.size, [8, 7, 1], "seven equal places, and one")
    assert (tree.center[1] == [0.1, 0.3]).all(), f"the cell of equal places is where they are, got {tree.center[1]}"
    close = quadtree(np.array([[1.0, 0.0], [np.nextafter(1.0, 2.0), 0.0]]))
    assert_close(close.size, [2, 1, 1], "two places with no float between them")
    assert_close(quadtree(np.array([[3.0, 4.0]])).size, [1], "one place")
    middle = quadtree(np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]]))
    assert_close(middle.children[0], [1, 2, EMPTY, EMPTY], "places on a line are left or right, and none is up")
    assert_close(middle.size, [3, 2, 1, 1, 1], "a place in the very middle goes left")


# --- Barnes and Hut -------------------------------------------------------------------------------------------------


def test_repulsion_by_hand():
    """Two places at the distance 2: each is pushed by 2 / 25, and the sum over both ordered pairs is 2 / 5."""
    Y = np.array([[0.0, 0.0], [2.0, 0.0]])
    push, total, asked = repulsion(quadtree(Y), Y, 0.5)
    assert_close(push, [[-2 / 25, 0], [2 / 25, 0]], "(y_i - y_j) / (1 + 4)²")
    assert_close(total, 2 / 5, "1/5 for each of two ordered pairs: no place with itself")
    assert asked == 6, f"for each place the root and both cells are asked: 6, not {asked}"


def test_repulsion_is_exact_at_angle_0(rng):
    """With angle 0 it is the sum over all pairs, for equal places as well."""
    Y = np.vstack([rng.normal(size=(25, 2)), np.full((3, 2), 0.7)])
    apart, near = pairs(Y)
    push, total, _ = repulsion(quadtree(Y), Y, 0.0)
    assert_close(push, (near[:, :, None] ** 2 * apart).sum(axis=1), "forces on 28 places, three of them equal")
    assert_close(total, near.sum(), "the sum over all pairs of different rows, equal places among them")


def test_a_far_cell_counts_as_one():
    """Four places around (128, 0) are one for (0, 0), where the side of their box is below angle · 128."""
    for axis in (0, 1):
        Y = np.roll([[0.0, 0.0], [128.0, 0.5], [128.0, -0.5], [129.0, 0.0], [127.0, 0.0]], axis, axis=1)
        push, _, asked = repulsion(quadtree(Y), Y, 0.5)
        one = np.roll([-4 * 128 / (1 + 128**2) ** 2, 0], axis)
        assert_close(push[0], one, f"force on (0, 0), from four as one, along axis {axis}", rtol=1e-12)
        _, _, every = repulsion(quadtree(Y), Y, 0.0)
        assert asked < every, f"with angle 0.5 fewer cells are asked ({asked}) than with angle 0 ({every})"
        far, _, _ = repulsion(quadtree(Y), Y, 0.0157)
        assert_close(far[0], one, "side 2 is below 0.0157 · 128: the cell stands for its places", rtol=1e-12)
        for angle in (0.01, 2 / 128):
            near, _, _ = repulsion(quadtree(Y), Y, angle)
            assert abs(near[0, axis] / one[axis] - 1) > 1e-6, f"side 2 is not below {angle:g} · 128: ask the children"


def test_a_larger_angle_asks_fewer_cells_and_errs_more(rng):
    """From angle 0 to 0.7 the work falls and the error rises, and stays small."""
    Y = rng.normal(size=(60, 2)) * 3
    tree, (apart, near) = quadtree(Y), pairs(Y)
    exact = (near[:, :, None] ** 2 * apart).sum(axis=1)
    results = [repulsion(tree, Y, angle) for angle in (0.0, 0.35, 0.7)]
    errors = [np.linalg.norm(push - exact) / np.linalg.norm(exact) for push, _, _ in results]
    work = [asked for _, _, asked in results]
    assert work[0] > work[1] > work[2], f"cells asked at angle 0, 0.35, 0.7: {work}"
    assert errors[0] < errors[1] < errors[2] < 0.1, f"relative errors at angle 0, 0.35, 0.7: {errors}"
    assert_unchanged(lambda Z: repulsion(tree, Z, 0.5), Y)


def test_both_gradients_agree(rng):
    """By the tree, with angle 0, the gradient is the exact one."""
    P, Y = joint_affinities(rng.normal(size=(30, 4)), 5.0), rng.normal(size=(30, 2))
    assert_close(barnes_hut_gradient(P, Y, 0.0), kl_gradient(P.toarray(), Y)[1], "gradient of 30 places")


# --- going downhill -------------------------------------------------------------------------------------------------


def test_descent_by_hand():
    """On slope 1 with rate 0.1 and momentum 0.5: gains 0.8, 1.0, 1.2 make steps of 0.08, 0.14 and 0.19."""
    Y = np.zeros((1, 2))
    for n_iter, place in ((0, 0), (1, -0.08), (2, -0.22), (3, -0.41)):
        end = descend(lambda Z: np.array([[1.0, -1.0]]), Y, n_iter, 0.1, 0.5)
        assert_close(end, [[place, -place]], f"after {n_iter} steps", atol=1e-12)
    first = descend(lambda Z: np.ones((1, 2)), np.array([[2.0, -3.0]]), 1, 0.1, 0.5)
    assert_close(first, [[1.92, -3.08]], "no step goes before the first, wherever it begins")
    assert_unchanged(lambda Z: descend(lambda A: 2 * A, Z, 3, 0.1, 0.5), np.ones((2, 2)))


def test_a_gain_shrinks_where_the_slope_turns():
    """Where each step goes against the one before, gains shrink to 0.8 of themselves, and end at 0.01."""
    slopes = []

    def turning(Z):
        slopes.append(1.0 if len(slopes) % 2 == 0 else -1.0)
        return np.full((1, 1), slopes[-1])

    places = [0.0]
    for n_iter in (1, 2, 3):
        slopes.clear()
        places.append(float(descend(turning, np.zeros((1, 1)), n_iter, 1.0, 0.0)[0, 0]))
    assert_close(np.diff(places), [-0.8, 0.64, -0.512], "steps where the slope turns each time, without momentum")
    ends = []
    for n_iter in (60, 61):
        slopes.clear()
        ends.append(float(descend(turning, np.zeros((1, 1)), n_iter, 1.0, 0.0)[0, 0]))
    assert_close(ends[1] - ends[0], -0.01, "the 61st step: the gain is 0.01 at least")


def test_descent_finds_the_bottom(rng):
    """On a bowl it ends at the bottom."""
    bottom = rng.normal(size=(4, 2))
    end = descend(lambda Y: 2 * (Y - bottom), np.zeros((4, 2)), 300, 0.05, 0.5)
    assert_close(end, bottom, "the bottom of a bowl", atol=1e-3)


# --- estimators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", estimator_conventions("transformer"))
def test_pca_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions."""
    convention(lambda: PCA(2))


@pytest.mark.parametrize("convention", estimator_conventions("transformer", without=["fits_and_transforms_in_one"]))
def test_tsne_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions; it has no transform, since it places no new rows."""
    convention(lambda: TSNE(perplexity=3, max_iter=1))


def test_pca_is_scikit_learns(rng):
    """Projections, shares and the way back are scikit-learn's, whitened or not, and for a share of the variance."""
    X = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6))
    cases: list[dict[str, Any]] = [{"n_components": 3}, {"n_components": 0.9}, {"n_components": 2, "whiten": True}]
    for options in cases:
        ours, theirs = PCA(**options).fit(X), TheirPCA(svd_solver="full", **options).fit(X)
        assert_close(np.abs(ours.transform(X)), np.abs(theirs.transform(X)), f"projections up to a sign, {options}")
        assert_close(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, f"shares, {options}")
        back = ours.inverse_transform(ours.transform(X))
        assert_close(back, theirs.inverse_transform(theirs.transform(X)), f"the way back, {options}")


def test_tsne_parts_groups(rng):
    """Two groups of rows far apart in five columns are apart in the plane, and the divergence falls with steps."""
    X = rng.normal(size=(14, 5)) + np.repeat([[0.0], [20.0]], 7, axis=0)
    settings = {"perplexity": 3, "learning_rate": 5.0, "early_exaggeration": 1.0}
    model = TSNE(max_iter=40, **settings).fit(X)
    Y, groups = model.embedding_, np.repeat([0, 1], 7)
    distances = cdist(Y, Y) + np.diag(np.full(14, np.inf))
    assert (groups[distances.argmin(axis=1)] == groups).all(), "each row's nearest in the plane is of its group"
    P = joint_affinities(X, model.perplexity_).toarray()
    assert_close(model.kl_divergence_, kl_gradient(P, Y)[0], "kl_divergence_ of the picture", rtol=0.05, atol=0.02)
    assert model.kl_divergence_ < TSNE(max_iter=1, **settings).fit(X).kl_divergence_, "steps lower the divergence"
    assert_draws_from(lambda rng: TSNE(perplexity=3, init="random", max_iter=2, random_state=rng).fit_transform(X))


def test_what_cannot_be_is_refused(rng):
    """Settings out of range are refused by name."""
    X = rng.normal(size=(8, 3))
    assert_refuses_values(lambda n: PCA(n).fit(X), "n_components", 0, 4, 1.5, "few")
    assert_refuses_values(lambda p: TSNE(perplexity=p).fit(X), "perplexity", 0, -5.0, "many")
    assert_refuses_values(lambda a: TSNE(angle=a).fit(X), "angle", -0.1, 0.8, "wide")
    assert_refuses_values(lambda n: TSNE(max_iter=n).fit(X), "max_iter", 0, 2.5)
    assert_refuses_values(lambda i: TSNE(init=i).fit(X), "init", "spectral", 3)
    assert_refuses(lambda: TSNE(learning_rate="fast").fit(X), "learning_rate", "fast")
