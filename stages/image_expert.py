"""The image expert: logistic regression over a frozen backbone's features, carried by the graph."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from stages import experts, heads
from stages.embedded import Split
from stages.experts import Expert, FoldParams

ITERATIONS = 300


def scores(
    regularisation: float, folds: FoldParams, splits: tuple[Split, Split], classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores, float32 (N, V, classes), of train rows (out of fold) and of validation rows."""
    train, validation = splits
    rows = np.flatnonzero(train.has_image)
    labels = np.asarray(train.labels)[rows]
    expert, out_of_fold = experts.fit_with_scores(
        _make(regularisation, folds), _views(train, rows), labels, classes, folds
    )
    everywhere = np.zeros((len(train.labels), *out_of_fold.shape[1:]), np.float32)
    everywhere[rows] = out_of_fold
    return everywhere, expert.scores(heads.normalised(validation.features[:, 0]))[:, None]


def fit(
    regularisation: float, folds: FoldParams, splits: tuple[Split, ...], classes: int
) -> Expert:
    """The expert to serve, fitted on every view of all images of some splits."""
    views, labels = [], []
    for split in splits:
        rows = np.flatnonzero(split.has_image)
        for view in _views(split, rows):
            views.append(view)
            labels.append(np.asarray(split.labels)[rows])
    return experts.fit(
        _make(regularisation, folds), np.concatenate(views), np.concatenate(labels), classes
    )


def _make(regularisation: float, folds: FoldParams) -> experts.MakeClassifier:
    return lambda: LogisticRegression(
        C=regularisation, class_weight=folds.class_weight, max_iter=ITERATIONS
    )


def _views(split: Split, rows: np.ndarray) -> list[np.ndarray]:
    """Normalised features of each view, float32 (len(rows), D)."""
    return [heads.normalised(split.features[rows, view]) for view in range(split.features.shape[1])]
