"""Figures that say how good predictions are: pure functions on arrays.

Truth and predictions are int (N,). Where there are labels or probabilities, float (N, C), they
are positions in the order of the labels; elsewhere any codes do.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from sklearn import metrics

from api.labels import Label

TOP = 3
LEVEL = 0.95  # of the interval


class ClassScore(TypedDict):
    """One class: its rows in the split, its figures, and where its rows go wrong most often."""

    code: int
    name: str
    rows: int
    precision: float
    recall: float
    f1: float
    confused_with: int | None
    confused_rows: int


def correctness(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Accuracy and F1; classes that occur in neither array don't count in macro F1."""
    return {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "macro_f1": float(metrics.f1_score(truth, predicted, average="macro", zero_division=0)),
        "weighted_f1": float(
            metrics.f1_score(truth, predicted, average="weighted", zero_division=0)
        ),
    }


def confidence(truth: np.ndarray, probabilities: np.ndarray, bins: int) -> dict[str, float]:
    """Figures that need probabilities: how often the top 3 hold the truth, and calibration."""
    return {
        "top_3_accuracy": top_accuracy(truth, probabilities),
        "expected_calibration_error": expected_calibration_error(truth, probabilities, bins),
        "negative_log_likelihood": negative_log_likelihood(truth, probabilities),
    }


def top_accuracy(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of rows whose true class is among the three most probable."""
    classes = probabilities.shape[1]
    if classes <= TOP:  # scikit-learn warns of it, and takes no matrix for two classes
        return 1.0
    return float(
        metrics.top_k_accuracy_score(truth, probabilities, k=TOP, labels=np.arange(classes))
    )


def expected_calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Mean gap between confidence and accuracy over equal bins of confidence, by rows.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    hits = probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=hits - confidences, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


def negative_log_likelihood(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of -log p(true class), in nats."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)  # float32 sums miss 1 by more than float64 allows
    return float(metrics.log_loss(truth, exact, labels=np.arange(exact.shape[1])))


def weighted_f1_interval(
    truth: np.ndarray, predicted: np.ndarray, resamples: int, seed: int
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of weighted F1.

    Drawing N rows with replacement and tabulating them is one multinomial draw of the confusion
    matrix, so no row is touched again.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    confusion = metrics.confusion_matrix(truth, predicted)
    draws = np.random.default_rng(seed).multinomial(
        len(truth), confusion.ravel() / len(truth), size=resamples
    )
    scores = weighted_f1(draws.reshape(resamples, *confusion.shape))
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def weighted_f1(confusions: np.ndarray) -> np.ndarray:
    """Weighted F1 (R,) of R confusion matrices (R, C, C), rows of each being the truth."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    support, chosen = confusions.sum(axis=2), confusions.sum(axis=1)
    f1 = 2 * hits / np.maximum(support + chosen, 1)
    weighted: np.ndarray = (f1 * support).sum(axis=1) / support.sum(axis=1)
    return weighted


def by_class(truth: np.ndarray, predicted: np.ndarray, labels: Sequence[Label]) -> list[ClassScore]:
    """The figures of each class, in the order of the labels."""
    every = np.arange(len(labels))
    confusion = metrics.confusion_matrix(truth, predicted, labels=every)
    np.fill_diagonal(errors := confusion.copy(), 0)
    precision, recall, f1, rows = metrics.precision_recall_fscore_support(
        truth, predicted, labels=every, zero_division=0
    )
    return [
        ClassScore(
            code=label["code"],
            name=label["name"],
            rows=int(rows[at]),
            precision=float(precision[at]),
            recall=float(recall[at]),
            f1=float(f1[at]),
            confused_with=labels[errors[at].argmax()]["code"] if errors[at].any() else None,
            confused_rows=int(errors[at].max()),
        )
        for at, label in enumerate(labels)
    ]
