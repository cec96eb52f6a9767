"""Linear experts: what scikit-learn fits, the graph carries.

A network trained on the scores an expert gives its own training rows would believe them too much.
So each expert also scores every training row from a fit that never saw it (out of fold).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

Matrix: TypeAlias = Any  # an array or a sparse matrix, (N, D); scipy is untyped
MINIMUM_ROWS = 2  # fewer can't be split into folds
MANY_ROWS = 8_000  # where half of the rows teach an expert about as much as most of them
FEW_ROWS = 2_000  # whose fits are over before other processes have started


class Classifier(Protocol):
    """What is used of a linear scikit-learn classifier."""

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    def fit(self, x: Matrix, y: np.ndarray) -> "Classifier":
        """Fits rows x (N, D) to labels y (N,)."""


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


@dataclass(frozen=True)
class Task:
    """One fit: a classifier, rows x (N, D), their labels int (N,), number of classes."""

    classifier: Classifier
    x: Matrix
    labels: np.ndarray
    classes: int


def fit(task: Task) -> Expert:
    """Fits an expert; a class that has no row here always scores lowest."""
    present = np.unique(task.labels)
    weights = np.zeros((task.x.shape[1], task.classes), np.float32)
    bias = np.full(task.classes, -1.0, np.float32)
    if len(present) < 2:  # noqa: PLR2004  nothing to tell apart
        bias[present] = 1.0
        return Expert(weights, bias)
    with threadpool_limits(1):  # the same sums in the same order, however busy the machine is
        model = clone(task.classifier).fit(task.x, task.labels)
    coefficients, intercept = model.coef_, model.intercept_
    if len(present) == 2:  # noqa: PLR2004  scikit-learn keeps one column for two classes
        coefficients = np.concatenate([-coefficients, coefficients])
        intercept = np.concatenate([-intercept, intercept])
    bias[:] = intercept.min() - 1.0
    weights[:, present] = coefficients.T
    bias[present] = intercept
    return Expert(weights, bias)


def fit_all(tasks: Iterable[Task], rows: int) -> list[Expert]:
    """Fits experts side by side, one a core, to the same bytes as one after the other.

    In processes, not threads: liblinear draws from one generator a process, and scikit-learn's
    loops in OpenMP add in another order when they share a core.

    Args:
        tasks: Each is taken when a core is free for it; those that take longest come first.
        rows: Of the largest; few are fitted in this process.
    """
    workers = Parallel(
        n_jobs=1 if rows < FEW_ROWS else -1, pre_dispatch="n_jobs", batch_size=1, max_nbytes=None
    )
    fitted: list[Expert] = workers(delayed(fit)(task) for task in tasks)
    return fitted


@dataclass(frozen=True)
class Scoring:
    """Fits from which an expert scores rows that they haven't seen, its training rows among them.

    Args:
        classifier: Unfitted.
        views: V matrices of the same N rows, (N, D) each.
        labels: int (N,).
        positions: Of these rows among all training rows, int (N,); the others get scores of 0.
        held_out: Rows of another split, (M, D).
        classes: Number of classes C.
        folds: How rows are parted.
    """

    classifier: Classifier
    views: Sequence[Matrix]
    labels: np.ndarray
    positions: np.ndarray
    held_out: Matrix
    classes: int
    folds: FoldParams

    @property
    def fits(self) -> int:
        """Number of tasks."""
        return 1 + len(self._parts())

    def tasks(self) -> Iterator[Task]:
        """The fits: on all rows, then without one fold each."""
        yield self._task(self.views, self.labels)
        for seen, _ in self._parts():
            yield self._task([view[seen] for view in self.views], self.labels[seen])

    def scores(self, fitted: Sequence[Expert], rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores of all `rows` training rows, float32 (rows, V, C), and of held-out ones, (M, C).

        Args:
            fitted: What came of `tasks`, in their order.
            rows: Training rows there are.
        """
        scores = np.zeros((rows, len(self.views), self.classes), np.float32)
        for (_, unseen), expert in zip(self._parts(), fitted[1:], strict=True):
            for position, view in enumerate(self.views):
                scores[self.positions[unseen], position] = expert.scores(view[unseen])
        return scores, fitted[0].scores(self.held_out)

    def _task(self, views: Sequence[Matrix], labels: np.ndarray) -> Task:
        return Task(self.classifier, _stack(views), np.tile(labels, len(views)), self.classes)

    def _parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        count = len(self.labels)
        if count < MINIMUM_ROWS:
            return []
        splitter = KFold(self.folds.parts(count), shuffle=True, random_state=self.folds.seed)
        return list(splitter.split(self.labels))


def fit_scorings(scorings: Sequence[Scoring], rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """What `Scoring.scores` gives of each, all fits side by side."""
    fitted = iter(fit_all((task for scoring in scorings for task in scoring.tasks()), rows))
    return [scoring.scores(list(islice(fitted, scoring.fits)), rows) for scoring in scorings]


def _stack(views: Sequence[Matrix]) -> Matrix:
    if len(views) == 1:
        return views[0]
    return sp.vstack(views).tocsr() if sp.issparse(views[0]) else np.concatenate(views)
