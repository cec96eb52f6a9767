"""Linear experts and their out-of-fold scores."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from stages import experts
from stages.experts import Expert, FoldParams, Matrix, Scoring, Task

FOLDS = FoldParams(folds=4, seed=0, class_weight=None)
CLASSIFIER = LogisticRegression(C=1.0)


def rows(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    return generator.normal(size=(count, 6)) + 2 * np.eye(6)[labels], labels


def fit(x: Matrix, labels: np.ndarray, classes: int) -> Expert:
    return experts.fit(Task(CLASSIFIER, x, labels, classes))


def scoring(views: list[np.ndarray], labels: np.ndarray, classes: int = 2) -> Scoring:
    positions = np.arange(len(labels))
    return Scoring(CLASSIFIER, views, labels, positions, views[0], classes, FOLDS)


def out_of_fold(views: list[np.ndarray], labels: np.ndarray, classes: int = 2) -> np.ndarray:
    [(scores, _)] = experts.fit_scorings([scoring(views, labels, classes)], len(labels))
    return scores


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_rank_as_scikit_learn_predicts(classes: int) -> None:
    x, labels = rows(200, classes)
    expected = LogisticRegression(C=1.0).fit(x, labels).predict(x)
    np.testing.assert_array_equal(fit(x, labels, classes).scores(x).argmax(axis=1), expected)


def test_out_of_fold_scores_do_not_know_the_row() -> None:
    """With labels at random, an expert is right by chance on rows it hasn't seen."""
    generator = np.random.default_rng(1)
    x, labels = generator.normal(size=(60, 200)), generator.integers(0, 2, 60)
    assert (fit(x, labels, 2).scores(x).argmax(axis=1) == labels).mean() == 1.0
    assert (out_of_fold([x], labels)[:, 0].argmax(axis=1) == labels).mean() < 0.75


def test_every_view_of_a_row_is_left_out_with_it() -> None:
    x, labels = rows(40, 2)
    views = [x, x + 0.01]
    scores = out_of_fold(views, labels)
    assert scores.shape == (40, 2, 2)
    changed = labels.copy()
    changed[0] = 1 - labels[0]
    np.testing.assert_array_equal(out_of_fold(views, changed)[0], scores[0])


def test_held_out_rows_are_scored_by_the_fit_on_all_rows() -> None:
    x, labels = rows(60, 3)
    [(_, held_out)] = experts.fit_scorings([scoring([x], labels, 3)], 60)
    np.testing.assert_array_equal(held_out, fit(x, labels, 3).scores(x))


def test_rows_without_anything_to_look_at_score_nothing() -> None:
    x, labels = rows(40, 2)
    some = np.arange(40)[::2]
    one = Scoring(CLASSIFIER, [x[some]], labels[some], some, x, 2, FOLDS)
    [(scores, _)] = experts.fit_scorings([one], 40)
    assert not scores[1::2].any()
    np.testing.assert_array_equal(scores[some], out_of_fold([x[some]], labels[some]))


def test_a_class_without_rows_scores_lowest() -> None:
    x, labels = rows(100, 3)
    scores = fit(x, np.where(labels == 2, 4, labels), 6).scores(x)
    assert (scores[:, [2, 3, 5]].max(axis=1) < scores[:, [0, 1, 4]].max(axis=1)).all()


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_no_rows_give_scores_without_opinion(count: int) -> None:
    x, labels = rows(count, 2)
    assert out_of_fold([x], labels, 3).shape == (count, 1, 3)
    assert not fit(x, labels, 3).weights.any()


def test_sparse_rows_give_the_same_as_dense_ones() -> None:
    x, labels = rows(80, 3)
    dense, sparse = (fit(form, labels, 3).scores(x) for form in (x, sp.csr_matrix(x)))
    np.testing.assert_allclose(sparse, dense, atol=1e-3)


def test_fits_side_by_side_give_the_same_bytes_as_one_after_the_other() -> None:
    """With many rows each fit has a process of its own; both solvers, dense and sparse."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(experts.FEW_ROWS, 64)).astype(np.float32)
    labels = generator.integers(0, 9, len(x))
    sparse = sp.random(len(x), 3_000, 0.02, "csr", random_state=generator)
    tasks = [
        Task(LogisticRegression(C=10, class_weight="balanced", max_iter=60), x, labels, 9),
        Task(LinearSVC(C=1.0, random_state=0), sparse, labels, 9),
        Task(LinearSVC(C=0.5, random_state=0), sparse, labels, 9),
    ]
    beside = experts.fit_all(tasks, len(x))
    assert experts.fit_all(tasks[:0], len(x)) == []
    for task, other in zip(tasks, beside, strict=True):
        alone = experts.fit(task)
        assert alone.weights.tobytes() == other.weights.tobytes()
        assert alone.bias.tobytes() == other.bias.tobytes()
