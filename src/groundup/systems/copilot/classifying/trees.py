"""Trees as plain data: what a trained model is saved as, predicts by and is explained from.

A decision tree, a random forest and XGBoost become the same thing, a `Forest`: arrays of numbers, in JSON. Reading one
runs nothing that is in the file, and predicting needs NumPy only. Every index is checked when it is read: a tree whose
children are not below it would never end.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from groundup.extras import need

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAF = -1


@dataclass(frozen=True)
class Tree:
    """One tree, node by node, the root first. A value goes left if it is at most the threshold.

    Attributes:
        left: the left child; LEAF for a leaf.
        right: the right child.
        unknown: the child that a value goes to which is not known.
        feature: the feature that is compared.
        threshold: what it is compared with.
        values: for each node, what it adds to each output; of a leaf it counts.
        cover: how much of the training data went through the node.
    """

    left: list[int]
    right: list[int]
    unknown: list[int]
    feature: list[int]
    threshold: list[float]
    values: list[list[float]]
    cover: list[float]

    def leaves(self, x: NDArray[np.float32]) -> NDArray[np.intp]:
        """The leaf that each row ends in."""
        import numpy as np

        left, right, unknown = (np.array(part) for part in (self.left, self.right, self.unknown))
        feature, threshold = np.array(self.feature), np.array(self.threshold, dtype=np.float32)
        node = np.zeros(len(x), dtype=np.intp)
        rows = np.flatnonzero(left[node] != LEAF)
        while len(rows):
            here = node[rows]
            value = x[rows, feature[here]]
            below = np.where(value <= threshold[here], left[here], right[here])
            node[rows] = np.where(np.isnan(value), unknown[here], below)
            rows = rows[left[node[rows]] != LEAF]
        return node


@dataclass(frozen=True)
class Forest:
    """Trees whose values are added.

    Attributes:
        trees: the trees.
        base: what is added to each output besides.
        link: `none` where the outputs are probabilities, `logistic` or `softmax` where they are made so.
    """

    trees: list[Tree]
    base: list[float]
    link: str

    def outputs(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sums, of shape (n_rows, n_outputs)."""
        import numpy as np

        total = np.tile(np.array(self.base, dtype=np.float64), (len(x), 1))
        for tree in self.trees:
            total += np.array(tree.values)[tree.leaves(x)]
        return total

    def probabilities(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of each class, of shape (n_rows, n_classes)."""
        import numpy as np

        outputs = self.outputs(x)
        if self.link == "logistic":
            positive = 1 / (1 + np.exp(-outputs[:, 0]))
            return np.stack([1 - positive, positive], axis=1)
        if self.link == "softmax":
            outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return outputs / outputs.sum(axis=1, keepdims=True)

    def shap(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """SHAP values, of shape (n_rows, n_features, n_outputs), and what they are added to: together, the outputs."""
        import numpy as np

        need("Giving reasons", "shap")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the plots that it brings along, and we do not use
            from shap import TreeExplainer
        explainer = TreeExplainer({"trees": [_for_shap(tree) for tree in self.trees]}, data=None)
        values = np.asarray(explainer.shap_values(x, check_additivity=False), dtype=np.float64)
        values = values[:, :, None] if values.ndim == 2 else values
        base = np.atleast_1d(np.asarray(explainer.expected_value, dtype=np.float64))
        return values, base + np.array(self.base)

    def document(self) -> dict[str, Any]:
        """The forest as plain data."""
        return asdict(self)

    @classmethod
    def read(cls, document: Any, features: int) -> Forest:
        """The forest that plain data describes; ValueError with what is wrong with it where it describes none."""
        import numpy as np

        try:
            trees = [Tree(**tree) for tree in document["trees"]]
            forest = cls(trees, [float(value) for value in document["base"]], document["link"])
            for tree in trees:
                np.array([tree.left, tree.right, tree.unknown, tree.feature], dtype=np.intp)
                np.array(
                    [*tree.threshold, *tree.cover, *(number for value in tree.values for number in value)], dtype=float
                )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"its trees cannot be read ({error})") from error
        if forest.link not in ("none", "logistic", "softmax") or not trees:
            raise ValueError("it names no trees, or no way to make probabilities of them")
        for number, tree in enumerate(trees):
            _check(tree, number, features, len(forest.base))
        return forest


def _check(tree: Tree, number: int, features: int, outputs: int) -> None:
    size = len(tree.left)
    parts = (tree.right, tree.unknown, tree.feature, tree.threshold, tree.values, tree.cover)
    if not size or any(len(part) != size for part in parts) or any(len(value) != outputs for value in tree.values):
        raise ValueError(f"tree {number} is not whole")
    for node in range(size):
        children = (tree.left[node], tree.right[node], tree.unknown[node])
        if children[0] == LEAF:
            continue
        # A child stands behind its parent, so that every way down has an end.
        if not all(node < child < size for child in children[:2]) or children[2] not in children[:2]:
            raise ValueError(f"node {node} of tree {number} has no children that can be")
        if not 0 <= tree.feature[node] < features:
            raise ValueError(f"node {node} of tree {number} asks for a feature that there is not")


def _for_shap(tree: Tree) -> dict[str, Any]:
    import numpy as np

    return {
        "children_left": np.array(tree.left, dtype=np.int32),
        "children_right": np.array(tree.right, dtype=np.int32),
        "children_default": np.array(tree.unknown, dtype=np.int32),
        "features": np.array(tree.feature, dtype=np.int32),
        "thresholds": np.array(tree.threshold, dtype=np.float64),
        "values": np.array(tree.values, dtype=np.float64),
        "node_sample_weight": np.array(tree.cover, dtype=np.float64),
    }


# ── from the libraries that train ───────────────────────────────────────────────────────────────────────────────────
def of_sklearn(trees: list[Any]) -> Forest:
    """A forest of scikit-learn's decision trees: the mean of the probabilities in their leaves."""
    return Forest([_of_sklearn(tree.tree_, len(trees)) for tree in trees], [0.0] * len(trees[0].classes_), "none")


def _of_sklearn(tree: Any, share: int) -> Tree:
    import numpy as np

    left, right = tree.children_left, tree.children_right
    values = tree.value[:, 0, :]
    values = values / values.sum(axis=1, keepdims=True) / share
    # A float32 is at most a float64 threshold exactly when it is at most the largest float32 that is not above it.
    threshold = tree.threshold.astype(np.float32)
    over = threshold.astype(np.float64) > tree.threshold
    threshold[over] = np.nextafter(threshold[over], np.float32(-np.inf))
    return Tree(
        left.tolist(), right.tolist(), np.where(tree.missing_go_to_left, left, right).tolist(),
        np.maximum(tree.feature, 0).tolist(), threshold.astype(float).tolist(), values.tolist(),
        tree.weighted_n_node_samples.tolist(),
    )  # fmt: skip


def of_xgboost(booster: Any, classes: int) -> Forest:
    """A forest of XGBoost's trees; for two classes it has one output."""
    import numpy as np

    learner = json.loads(booster.save_raw("json"))["learner"]
    outputs = 1 if classes == 2 else classes
    base = np.atleast_1d(np.array(json.loads(learner["learner_model_param"]["base_score"]), dtype=np.float64))
    base = np.log(base / (1 - base)) if classes == 2 else np.broadcast_to(base, outputs)
    model = learner["gradient_booster"]["model"]
    trees = [
        _of_xgboost(tree, output, outputs) for tree, output in zip(model["trees"], model["tree_info"], strict=True)
    ]
    return Forest(trees, base.tolist(), "logistic" if classes == 2 else "softmax")


def _of_xgboost(tree: dict[str, Any], output: int, outputs: int) -> Tree:
    import numpy as np

    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    leaf = left == LEAF
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    values = np.zeros((len(left), outputs))
    values[leaf, output] = condition[leaf]
    # XGBoost goes left below the threshold, and we go left at it too.
    threshold = np.where(leaf, 0, np.nextafter(condition, np.float32(-np.inf)))
    return Tree(
        left.tolist(), right.tolist(), np.where(np.array(tree["default_left"], dtype=bool), left, right).tolist(),
        np.where(leaf, 0, tree["split_indices"]).tolist(), threshold.astype(float).tolist(), values.tolist(),
        np.maximum(tree["sum_hessian"], 1e-9).tolist(),
    )  # fmt: skip
