# pyright: basic
"""Ways to get fewer dimensions wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.dimensionality.dimensionality import EMPTY, Quadtree


@mistake("principal_components", edit=("np.linalg.svd(X - mean, ", "np.linalg.svd(X, "))
def does_not_center():
    """You take the directions of X as it is. The first then points at the mean: take the mean away before."""


@mistake("principal_components", edit=("singular**2 / (len(X) - 1)", "singular / (len(X) - 1)"))
def forgets_to_square():
    """You divide the singular values themselves. A variance is a mean square: square them first."""


@mistake("principal_components", edit=("components * signs[:, None]", "components"))
def leaves_the_sign_to_chance():
    """Your directions point either way, as the algorithm happens to end. Turn them: the largest entry is positive."""


@mistake("principal_components", edit=("components * signs[:, None]", "(components * signs[:, None]).T"))
def returns_columns():
    """Your directions are columns. One row is one direction: the result has the shape (n_components, n_features)."""


@mistake("conditional_affinities", edit=("np.log(perplexity)", "perplexity"))
def takes_entropy_for_perplexity():
    """You compare the entropy with the perplexity itself. Perplexity is e to the entropy: take its logarithm."""


@mistake(
    "conditional_affinities", edit=("squares = squares - squares.min(axis=1, keepdims=True)", "squares = squares + 0.0")
)
def lets_all_weights_vanish():
    """Where all neighbours are far, all weights underflow: 0 / 0 is NaN. Take the least square away: p stays."""


@mistake(
    "conditional_affinities",
    edit=(
        "np.where(too_many, beta, low), np.where(too_many, high, beta)",
        "np.where(too_many, low, beta), np.where(too_many, beta, high)",
    ),
)
def searches_the_wrong_way():
    """You widen where there are too many neighbours already. A larger β is a narrower bell: there, β must rise."""


@mistake(
    "conditional_affinities",
    edit=("return weights / weights.sum(axis=1, keepdims=True)", "return weights / weights.sum()"),
)
def shares_one_sum():
    """You divide by the sum of all rows. Each row is a distribution of its own: divide it by its own sum."""


@mistake("kl_gradient", edit=("np.fill_diagonal(near, 0.0)", "np.fill_diagonal(near, 1.0)"))
def is_near_to_itself():
    """You count each place as near to itself. Only pairs of different rows have a q: set the diagonal to 0."""


@mistake("kl_gradient", edit=("((P - Q) * near)", "(P - Q)"))
def forgets_the_heavy_tail():
    """You leave out the factor 1 / (1 + d²). That is the slope of a Gaussian picture; t-SNE has a heavier tail."""


@mistake("kl_gradient", edit=("(P - Q)", "(Q - P)"))
def climbs():
    """Your gradient has the wrong sign: neighbours would be pushed apart. The slope at y_i pulls where p is above q."""


@mistake("quadtree", edit=("if (low[cell] < high[cell]).any():", "if (low[cell] < high[cell]).all():"))
def leaves_lines_whole():
    """You cut a cell only if it has an extent both ways. Places on a line are different, too: cut if it has any."""


@mistake("quadtree", edit=("quarter += (axis + 1) *", "quarter += 2 * (1 - axis) * (axis + 1) + axis *"))
def swaps_right_and_up():
    """You number quarters by up + 2 · right. They are numbered by right + 2 · up: the first column counts 1."""


@mistake(
    "quadtree",
    edit=("order[begin : begin + len(members)] = members", "order[first[cell] : first[cell] + len(members)] = members"),
)
def writes_all_quarters_to_one_place():
    """Each quarter's rows overwrite those of the quarter before. Write them one after the other, from `begin` on."""


@mistake("repulsion", edit=("total += tree.size[cell] * near", "total += near"))
def counts_a_cell_once():
    """A cell adds 1 to the sum, however many places it holds. It stands for all of them: multiply by its size."""


@mistake("repulsion", edit=("tree.size[cell] * near * near * x", "tree.size[cell] * near * x"))
def pushes_with_the_wrong_power():
    """A push has the square of 1 / (1 + d²). You use it once, as the sum of all pairs does."""


@mistake("repulsion", edit=("side * side < angle * angle * square", "side < angle * square"))
def compares_a_side_with_a_square():
    """You compare a length with a squared distance, so all depends on the unit. Square both, or neither."""


@mistake("repulsion", edit=("total - len(Y)", "total"))
def meets_itself():
    """Each place has met itself, at the distance 0, and has added 1. Only pairs i ≠ j count: take n away."""


@mistake("descend", edit=("Y = Y.copy()", "Y = np.asarray(Y)"))
def moves_the_beginning():
    """You move the array that you were given. Copy it first: the caller still needs it."""


@mistake("descend", edit=("step * slope < 0", "step * slope > 0"))
def rewards_turning():
    """You raise the gain where the step went uphill. A step downhill has not the sign of the slope: product < 0."""


@variant("principal_components")
def by_eigenvectors(X):
    """Eigenvectors of the covariance, or of the small side's products."""
    mean = X.mean(axis=0)
    _, vectors = np.linalg.eigh((X - mean).T @ (X - mean) / (len(X) - 1))
    components = vectors.T[::-1][: min(X.shape)]
    for component in components:
        component *= np.sign(component[np.abs(component).argmax()])
    return mean, components, ((X - mean) @ components.T).var(axis=0, ddof=1)


@variant("conditional_affinities")
def row_by_row(squares, perplexity, n_iter=60):
    """A loop over the rows, and halving in the logarithm of β."""
    p = np.empty(squares.shape)
    for i, row in enumerate(squares):
        row = (row - row.min()) / (np.ptp(row) or 1.0)
        low, high = -30.0, 60.0
        for _ in range(2 * n_iter):
            middle = (low + high) / 2
            weights = np.exp(-np.exp(middle) * row)
            p[i] = weights / weights.sum()
            if -np.sum(p[i] * np.log(np.maximum(p[i], 1e-300))) > np.log(perplexity):
                low = middle
            else:
                high = middle
    return p


@variant("kl_gradient")
def as_a_laplacian(P, Y):
    """The gradient as a product with a graph's Laplacian, and p · log p - p · log q apart."""
    squares = (Y**2).sum(axis=1)
    near = 1 / (1 + np.maximum(squares[:, None] + squares - 2 * Y @ Y.T, 0))
    near[np.diag_indices(len(Y))] = 0
    Q = near / near.sum()
    W = (P - Q) * near
    some = P > 0
    divergence = (P[some] * np.log(P[some])).sum() - (P[some] * np.log(Q[some])).sum()
    return divergence, 4 * (np.diag(W.sum(axis=1)) - W) @ Y


@variant("quadtree")
def with_a_queue(Y):
    """A queue of arrays of places, and lists of cells."""
    queue, children, centers = [np.array(Y, dtype=float)], [], []
    for places in queue:
        low, high = places.min(axis=0), places.max(axis=0)
        row = [EMPTY] * 4
        if (low != high).any():
            sides = (places - low) > (high - places)
            for q in range(4):
                part = places[(sides[:, 0] == q % 2) & (sides[:, 1] == q // 2)]
                if len(part):
                    row[q] = len(queue)
                    queue.append(part)
        children.append(row)
        centers.append(places.mean(axis=0) if (low != high).any() else low)
    corners = [[getattr(places, end)(axis=0) for places in queue] for end in ("min", "max")]
    sizes = np.array([len(places) for places in queue])
    return Quadtree(np.array(children), sizes, np.array(centers), np.array(corners[0]), np.array(corners[1]))


@variant("repulsion")
def cell_by_cell(tree, Y, angle):
    """All places ask a cell at a time."""
    push, total, asked = np.zeros(Y.shape), 0.0, 0
    waiting = [(0, np.arange(len(Y)))]
    while waiting:
        cell, rows = waiting.pop()
        asked += len(rows)
        apart = Y[rows] - tree.center[cell]
        squares = (apart**2).sum(axis=1)
        side = (tree.high[cell] - tree.low[cell]).max()
        far = (side == 0) | (side < angle * np.sqrt(squares))
        near = tree.size[cell] / (1 + squares[far])
        total += near.sum()
        push[rows[far]] += (near / (1 + squares[far]))[:, None] * apart[far]
        if not far.all():
            waiting += [(child, rows[~far]) for child in tree.children[cell] if child != EMPTY]
    return push, total - len(Y), asked


@variant("descend")
def with_gains_by_sign(gradient, Y, n_iter, learning_rate, momentum):
    """Gains by signs, and a fresh array for each place."""
    step, gains = np.zeros(Y.shape), np.ones(Y.shape)
    for _ in range(n_iter):
        slope = gradient(Y)
        downhill = np.sign(step) * np.sign(slope) == -1
        gains[downhill] += 0.2
        gains[~downhill] *= 0.8
        gains = gains.clip(min=0.01)
        step = momentum * step - learning_rate * (gains * slope)
        Y = Y + step
    return Y.copy()
