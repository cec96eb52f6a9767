"""The figures, against values worked out by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from api.labels import Label
from stages import scoring

TRUTH = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])


def test_correctness_by_hand() -> None:
    """F1 is 2 hits / (rows + times chosen): 4/5, 2/4 and 2/3 for classes of 3, 2 and 1 rows."""
    figures = scoring.correctness(TRUTH, PREDICTED)

    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["macro_f1"] == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)
    assert figures["weighted_f1"] == pytest.approx((3 * 4 / 5 + 2 * 2 / 4 + 2 / 3) / 6)


def test_a_class_that_is_never_right_counts_as_zero_without_a_warning() -> None:
    figures = scoring.correctness(np.array([0, 1]), np.array([0, 0]))

    assert figures["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_top_three_by_hand() -> None:
    """The first row's class is third, the second row's last of four."""
    probabilities = np.array([[0.2, 0.4, 0.3, 0.1], [0.2, 0.4, 0.3, 0.1]])

    assert scoring.top_accuracy(np.array([0, 3]), probabilities) == 0.5


@pytest.mark.parametrize("classes", [2, 3])
def test_three_guesses_are_enough_for_three_classes(classes: int) -> None:
    probabilities = np.full((5, classes), 1 / classes)

    assert scoring.top_accuracy(np.arange(5) % classes, probabilities) == 1.0


def test_calibration_error_by_hand() -> None:
    """Two rows of five bins' fourth: mean confidence 0.65, one right. Two of the last: 0.9, both.

    2/4 x |0.5 - 0.65| + 2/4 x |1 - 0.9| = 0.125
    """
    probabilities = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.1, 0.9]], np.float32)
    truth = np.array([0, 1, 0, 1])

    error = scoring.expected_calibration_error(truth, probabilities, bins=5)

    assert error == pytest.approx(0.125, abs=1e-6)


def test_certainty_falls_into_the_last_bin_and_not_behind_it() -> None:
    """One wrong with confidence 1, one right with 0.95, in one bin: |0.5 - 0.975| = 0.475."""
    probabilities = np.array([[1.0, 0.0], [0.95, 0.05]])

    error = scoring.expected_calibration_error(np.array([1, 0]), probabilities, bins=15)

    assert error == pytest.approx(0.475)


def test_calibration_error_agrees_with_the_definition_bin_by_bin() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(5), size=500)
    truth = random.integers(0, 5, size=500)
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence >= low) & (confidence < low + 0.1)
        if inside.any():
            gap = abs(hits[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap

    error = scoring.expected_calibration_error(truth, probabilities, bins=10)

    assert error == pytest.approx(expected)


def test_likelihood_by_hand() -> None:
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25]], np.float32)

    value = scoring.negative_log_likelihood(np.array([0, 1]), probabilities)

    assert value == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)


def test_likelihood_takes_single_precision_sums_and_classes_without_rows() -> None:
    """Float32 probabilities of 27 classes don't sum to 1 exactly; scikit-learn would warn."""
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(27), size=50).astype(np.float32)

    value = scoring.negative_log_likelihood(np.full(50, 3), probabilities)

    assert value == pytest.approx(-np.log(probabilities[:, 3].astype(float)).mean(), rel=1e-5)


def test_likelihood_of_an_impossible_truth_is_finite() -> None:
    assert math.isfinite(scoring.negative_log_likelihood(np.array([1]), np.array([[1.0, 0.0]])))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_weighted_f1_of_a_confusion_matrix_is_that_of_its_rows(rows: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(rows).T
    confusion = metrics.confusion_matrix(truth, predicted, labels=np.arange(5))
    expected = metrics.f1_score(truth, predicted, average="weighted", zero_division=0)

    assert scoring.weighted_f1(confusion[None])[0] == pytest.approx(expected)


def test_interval_is_the_one_that_resampling_rows_gives() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 4, size=300)
    predicted = np.where(random.random(300) < 0.7, truth, random.integers(0, 4, size=300))
    draws = random.integers(0, 300, size=(400, 300))
    by_rows = [
        metrics.f1_score(truth[draw], predicted[draw], average="weighted", zero_division=0)
        for draw in draws
    ]

    interval = scoring.weighted_f1_interval(truth, predicted, resamples=5_000, seed=3)

    assert interval == pytest.approx(np.quantile(by_rows, [0.025, 0.975]), abs=0.02)


def test_interval_depends_on_nothing_but_its_seed() -> None:
    first, again, other = (
        scoring.weighted_f1_interval(TRUTH, PREDICTED, resamples=100, seed=seed)
        for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other


def test_interval_of_faultless_predictions_has_no_width() -> None:
    assert scoring.weighted_f1_interval(TRUTH, TRUTH, resamples=100, seed=0) == (1.0, 1.0)


def test_interval_takes_codes_as_well_as_positions() -> None:
    codes = np.array([10, 1280, 2583])

    assert scoring.weighted_f1_interval(
        codes[TRUTH], codes[PREDICTED], 100, 0
    ) == scoring.weighted_f1_interval(TRUTH, PREDICTED, 100, 0)


def test_classes_by_hand() -> None:
    labels = [Label(code=code, name=f"n{code}") for code in (10, 40, 50, 60)]

    first, _, third, absent = scoring.by_class(TRUTH, PREDICTED, labels)

    assert first == {
        "code": 10,
        "name": "n10",
        "rows": 3,
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(0.8),
        "confused_with": 40,
        "confused_rows": 1,
    }
    assert (third["confused_with"], third["confused_rows"]) == (None, 0)
    assert (absent["rows"], absent["f1"]) == (0, 0.0)
