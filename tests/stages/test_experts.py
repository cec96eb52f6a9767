"""Linear experts and their out-of-fold scores."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from stages import experts
from stages.experts import FoldParams

FOLDS = FoldParams(folds=4, seed=0, class_weight=None)


def make() -> LogisticRegression:
    return LogisticRegression(C=1.0)


def rows(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    return generator.normal(size=(count, 6)) + 2 * np.eye(6)[labels], labels


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_rank_as_scikit_learn_predicts(classes: int) -> None:
    x, labels = rows(200, classes)
    expert = experts.fit(make, x, labels, classes)
    np.testing.assert_array_equal(expert.scores(x).argmax(axis=1), make().fit(x, labels).predict(x))


def test_out_of_fold_scores_do_not_know_the_row() -> None:
    """With labels at random, an expert is right by chance on rows it hasn't seen."""
    generator = np.random.default_rng(1)
    x, labels = generator.normal(size=(60, 200)), generator.integers(0, 2, 60)
    expert, scores = experts.fit_with_scores(make, [x], labels, 2, FOLDS)
    assert (expert.scores(x).argmax(axis=1) == labels).mean() == 1.0
    assert (scores[:, 0].argmax(axis=1) == labels).mean() < 0.75


def test_every_view_of_a_row_is_left_out_with_it() -> None:
    x, labels = rows(40, 2)
    views = [x, x + 0.01]
    _, scores = experts.fit_with_scores(make, views, labels, 2, FOLDS)
    assert scores.shape == (40, 2, 2)
    changed = labels.copy()
    changed[0] = 1 - labels[0]
    _, again = experts.fit_with_scores(make, views, changed, 2, FOLDS)
    np.testing.assert_array_equal(again[0], scores[0])


def test_a_class_without_rows_scores_lowest() -> None:
    x, labels = rows(100, 3)
    scores = experts.fit(make, x, np.where(labels == 2, 4, labels), 6).scores(x)
    assert (scores[:, [2, 3, 5]].max(axis=1) < scores[:, [0, 1, 4]].max(axis=1)).all()


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_no_rows_give_scores_without_opinion(count: int) -> None:
    x, labels = rows(count, 2)
    expert, scores = experts.fit_with_scores(make, [x], labels, 3, FOLDS)
    assert scores.shape == (count, 1, 3)
    assert not expert.weights.any()


def test_sparse_rows_give_the_same_as_dense_ones() -> None:
    x, labels = rows(80, 3)
    dense, sparse = (experts.fit(make, form, labels, 3).scores(x) for form in (x, sp.csr_matrix(x)))
    np.testing.assert_allclose(sparse, dense, atol=1e-3)
