"""Linear experts: what scikit-learn fits, the graph carries.

A network trained on the scores an expert gives its own training rows would believe them too much.
So each expert also scores every training row from a fit that never saw it (out of fold).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

Matrix: TypeAlias = Any  # an array or a sparse matrix, (N, D); scipy is untyped
MINIMUM_ROWS = 2  # fewer can't be split into folds
MANY_ROWS = 8_000  # where half of the rows teach an expert about as much as most of them


class Classifier(Protocol):
    """What is used of a linear scikit-learn classifier."""

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    def fit(self, x: Matrix, y: np.ndarray) -> "Classifier":
        """Fits rows x (N, D) to labels y (N,)."""


class MakeClassifier(Protocol):
    """Gives a fresh classifier for each fit."""

    def __call__(self) -> Classifier:
        """A classifier not fitted yet."""


@dataclass(frozen=True)
class FoldParams:
    """Folds in which an expert scores its training rows, seed of their shuffle, class weights.

    `class_weight` is scikit-learn's: "balanced" or None.
    """

    folds: int
    seed: int
    class_weight: str | None

    def parts(self, rows: int) -> int:
        """Folds of so many rows: two from `MANY_ROWS` on, where more cost time for nothing."""
        return min(self.folds, 2 if rows >= MANY_ROWS else rows)


@dataclass(frozen=True)
class Expert:
    """A linear model: weights float32 (D, classes), bias float32 (classes,)."""

    weights: np.ndarray
    bias: np.ndarray

    def scores(self, x: Matrix) -> np.ndarray:
        """Scores, float32 (N, classes)."""
        return np.asarray(x @ self.weights + self.bias, np.float32)


def fit(make: MakeClassifier, x: Matrix, labels: np.ndarray, classes: int) -> Expert:
    """Fits rows x (N, D); a class that has no row here always scores lowest."""
    present = np.unique(labels)
    weights = np.zeros((x.shape[1], classes), np.float32)
    bias = np.full(classes, -1.0, np.float32)
    if len(present) < 2:  # noqa: PLR2004  nothing to tell apart
        bias[present] = 1.0
        return Expert(weights, bias)
    with threadpool_limits(1):  # the same sums in the same order, however busy the machine is
        model = make().fit(x, labels)
    coefficients, intercept = model.coef_, model.intercept_
    if len(present) == 2:  # noqa: PLR2004  scikit-learn keeps one column for two classes
        coefficients = np.concatenate([-coefficients, coefficients])
        intercept = np.concatenate([-intercept, intercept])
    bias[:] = intercept.min() - 1.0
    weights[:, present] = coefficients.T
    bias[present] = intercept
    return Expert(weights, bias)


def fit_with_scores(
    make: MakeClassifier,
    views: Sequence[Matrix],
    labels: np.ndarray,
    classes: int,
    folds: FoldParams,
) -> tuple[Expert, np.ndarray]:
    """An expert fitted on all rows, and scores from fits without the row's own fold.

    Args:
        make: Gives a fresh classifier.
        views: V matrices of the same N rows, (N, D) each.
        labels: int (N,).
        classes: Number of classes C.
        folds: How rows are parted for the scores.

    Returns:
        The expert, and scores float32 (N, V, C).
    """
    scores = np.zeros((len(labels), len(views), classes), np.float32)
    if len(labels) < MINIMUM_ROWS:
        return fit(make, views[0], labels, classes), scores
    parts = folds.parts(len(labels))
    splitter = KFold(parts, shuffle=True, random_state=folds.seed)
    for seen, unseen in splitter.split(labels):
        expert = fit(
            make, _stack([view[seen] for view in views]), _tile(labels[seen], views), classes
        )
        for position, view in enumerate(views):
            scores[unseen, position] = expert.scores(view[unseen])
    return fit(make, _stack(views), _tile(labels, views), classes), scores


def _stack(views: Sequence[Matrix]) -> Matrix:
    if len(views) == 1:
        return views[0]
    return sp.vstack(views).tocsr() if sp.issparse(views[0]) else np.concatenate(views)


def _tile(labels: np.ndarray, views: Sequence[Matrix]) -> np.ndarray:
    return np.tile(labels, len(views))
