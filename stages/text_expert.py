"""The text expert: LinearSVC over hashed n-grams, carried by the graph."""

from collections.abc import Sequence

import keras
import numpy as np
import scipy.sparse as sp
from sklearn.svm import LinearSVC

from stages import ngrams
from stages.embedded import Split
from stages.experts import Expert, FoldParams, Scoring, Task
from stages.ngrams import NgramLinear


class TextExpert:
    """LinearSVC over the TF-IDF of hashed n-grams.

    Args:
        hashing: Which n-grams: `NgramHash` or `WordHash`, of ids the splits hold in `characters`.
        regularisation: LinearSVC's C.
        folds: How it scores rows it is fitted on.
        classes: Number of classes C.
    """

    def __init__(
        self, hashing: keras.Layer, regularisation: float, folds: FoldParams, classes: int
    ) -> None:
        self.hashing = hashing
        self.regularisation = regularisation
        self.folds = folds
        self.classes = classes
        self._counts: dict[int, sp.csr_matrix] = {}

    def scoring(self, train: Split, validation: Split) -> Scoring:
        """The fits that score train rows, from fits without them, and validation rows."""
        counts = self.counts(train)
        idf = ngrams.inverse_document_frequency(counts)
        rows, matrix = _with_text(ngrams.weigh(counts, idf))
        return Scoring(
            self._classifier(),
            [matrix],
            np.asarray(train.labels)[rows],
            rows,
            ngrams.weigh(self.counts(validation), idf),
            self.classes,
            self.folds,
        )

    def task(self, splits: Sequence[Split]) -> Task:
        """The fit to serve, on all rows of some splits."""
        counts = self._all_counts(splits)
        rows, matrix = _with_text(ngrams.weigh(counts, ngrams.inverse_document_frequency(counts)))
        labels = np.concatenate([split.labels for split in splits])[rows]
        return Task(self._classifier(), matrix, labels, self.classes)

    def served(self, fitted: Expert, splits: Sequence[Split]) -> tuple[keras.Layer, NgramLinear]:
        """The layers that the graph carries of a fit on some splits."""
        idf = ngrams.inverse_document_frequency(self._all_counts(splits))
        name = f"{self.hashing.name}_linear"
        return self.hashing, NgramLinear(name, idf, fitted.weights, fitted.bias)

    def counts(self, split: Split) -> sp.csr_matrix:
        """Sublinear counts of a split's n-grams, (N, BUCKETS), computed once."""
        if id(split) not in self._counts:
            self._counts[id(split)] = ngrams.counts(split.characters, self.hashing)
        return self._counts[id(split)]

    def _all_counts(self, splits: Sequence[Split]) -> sp.csr_matrix:
        return sp.vstack([self.counts(split) for split in splits]).tocsr()

    def _classifier(self) -> LinearSVC:
        return LinearSVC(
            C=self.regularisation, class_weight=self.folds.class_weight, random_state=0
        )


def _with_text(matrix: sp.csr_matrix) -> tuple[np.ndarray, sp.csr_matrix]:
    """Rows that have any n-gram, and their part of the matrix."""
    rows = np.flatnonzero(np.diff(matrix.indptr))
    return rows, matrix if len(rows) == matrix.shape[0] else matrix[rows]
