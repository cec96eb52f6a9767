"""Experts over frozen encoders' features: logistic regression, carried by the graph."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from stages import heads
from stages.embedded import Split
from stages.experts import Expert, FoldParams, Scoring, Task

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

    def scoring(self, train: Split, validation: Split) -> Scoring:
        """The fits that score train rows, from fits without them, and validation rows."""
        rows = self.present(train)
        everything = np.arange(len(validation.labels))
        return Scoring(
            self._classifier(),
            self.views(train, rows),
            np.asarray(train.labels)[rows],
            rows,
            self.views(validation, everything)[0],
            self.classes,
            self.folds,
        )

    def task(self, splits: Sequence[Split]) -> Task:
        """The fit to serve, on every view of all rows of some splits."""
        views, labels = [], []
        for split in splits:
            rows = self.present(split)
            for view in self.views(split, rows):
                views.append(view)
                labels.append(np.asarray(split.labels)[rows])
        return Task(self._classifier(), np.concatenate(views), np.concatenate(labels), self.classes)

    @staticmethod
    def served(fitted: Expert, _splits: Sequence[Split]) -> Expert:
        """What the graph carries of a fit on some splits."""
        return fitted

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
