"""Experts over frozen encoders' features: logistic regression, carried by the graph."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from stages import experts, heads
from stages.embedded import Split
from stages.experts import Expert, FoldParams

ITERATIONS = 300


class FeatureExpert(ABC):
    """Logistic regression over features that `embed` left on disk.

    Args:
        regularisation: LogisticRegression's C.
        folds: How it scores rows it is fitted on.
        classes: Number of classes C.
    """

    def __init__(self, regularisation: float, folds: FoldParams, classes: int) -> None:
        self.regularisation = regularisation
        self.folds = folds
        self.classes = classes

    @abstractmethod
    def present(self, split: Split) -> np.ndarray:
        """Rows of a split that have what the expert looks at, int (M,)."""

    @abstractmethod
    def views(self, split: Split, rows: np.ndarray) -> list[np.ndarray]:
        """Each view of some rows, float32 (M, D); the first is the one that is served."""

    def scores(self, train: Split, validation: Split) -> tuple[np.ndarray, np.ndarray]:
        """Scores, float32 (N, V, C), of train rows (out of fold) and of validation rows."""
        rows = self.present(train)
        expert, out_of_fold = experts.fit_with_scores(
            self._classifier,
            self.views(train, rows),
            np.asarray(train.labels)[rows],
            self.classes,
            self.folds,
        )
        everywhere = np.zeros((len(train.labels), *out_of_fold.shape[1:]), np.float32)
        everywhere[rows] = out_of_fold
        everything = np.arange(len(validation.labels))
        return everywhere, expert.scores(self.views(validation, everything)[0])[:, None]

    def fit(self, splits: Sequence[Split]) -> Expert:
        """The expert to serve, fitted on every view of all rows of some splits."""
        views, labels = [], []
        for split in splits:
            rows = self.present(split)
            for view in self.views(split, rows):
                views.append(view)
                labels.append(np.asarray(split.labels)[rows])
        return experts.fit(
            self._classifier, np.concatenate(views), np.concatenate(labels), self.classes
        )

    def _classifier(self) -> LogisticRegression:
        return LogisticRegression(
            C=self.regularisation, class_weight=self.folds.class_weight, max_iter=ITERATIONS
        )


class ImageExpert(FeatureExpert):
    """Over a frozen backbone's features, their scales evened out."""

    def present(self, split: Split) -> np.ndarray:
        """Rows that have an image."""
        return np.flatnonzero(split.has_image)

    def views(self, split: Split, rows: np.ndarray) -> list[np.ndarray]:
        """Normalised features of each cached view."""
        return [
            heads.normalised(split.features[rows, view]) for view in range(split.features.shape[1])
        ]


class SentenceExpert(FeatureExpert):
    """Over a frozen sentence encoder's features."""

    def present(self, split: Split) -> np.ndarray:
        """Rows that have a text."""
        return np.flatnonzero(np.asarray(split.characters[:, 0]) > 0)

    def views(self, split: Split, rows: np.ndarray) -> list[np.ndarray]:
        """The one view there is."""
        return [np.asarray(split.sentence[rows], np.float32)]
