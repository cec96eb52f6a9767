"""The text expert: LinearSVC over hashed n-grams, carried by the graph."""

from collections.abc import Sequence

import keras
import numpy as np
import scipy.sparse as sp
from sklearn.svm import LinearSVC

from stages import experts, ngrams
from stages.embedded import Split
from stages.experts import FoldParams
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

    def scores(self, train: Split, validation: Split) -> tuple[np.ndarray, np.ndarray]:
        """Scores, float32 (N, C), of train rows (out of fold) and of validation rows."""
        counts = self.counts(train)
        idf = ngrams.inverse_document_frequency(counts)
        rows, matrix = _with_text(ngrams.weigh(counts, idf))
        labels = np.asarray(train.labels)[rows]
        expert, out_of_fold = experts.fit_with_scores(
            self._classifier, [matrix], labels, self.classes, self.folds
        )
        everywhere = np.zeros((len(train.labels), self.classes), np.float32)
        everywhere[rows] = out_of_fold[:, 0]
        return everywhere, expert.scores(ngrams.weigh(self.counts(validation), idf))

    def fit(self, splits: Sequence[Split]) -> tuple[keras.Layer, NgramLinear]:
        """The layers to serve, fitted on all rows of some splits."""
        counts = sp.vstack([self.counts(split) for split in splits]).tocsr()
        idf = ngrams.inverse_document_frequency(counts)
        rows, matrix = _with_text(ngrams.weigh(counts, idf))
        labels = np.concatenate([split.labels for split in splits])[rows]
        expert = experts.fit(self._classifier, matrix, labels, self.classes)
        return self.hashing, NgramLinear(
            f"{self.hashing.name}_linear", idf, expert.weights, expert.bias
        )

    def counts(self, split: Split) -> sp.csr_matrix:
        """Sublinear counts of a split's n-grams, (N, BUCKETS), computed once."""
        if id(split) not in self._counts:
            self._counts[id(split)] = ngrams.counts(split.characters, self.hashing)
        return self._counts[id(split)]

    def _classifier(self) -> LinearSVC:
        return LinearSVC(
            C=self.regularisation, class_weight=self.folds.class_weight, random_state=0
        )


def _with_text(matrix: sp.csr_matrix) -> tuple[np.ndarray, sp.csr_matrix]:
    """Rows that have any n-gram, and their part of the matrix."""
    rows = np.flatnonzero(np.diff(matrix.indptr))
    return rows, matrix if len(rows) == matrix.shape[0] else matrix[rows]
