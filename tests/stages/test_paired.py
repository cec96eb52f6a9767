"""The paired bootstrap, against the figures of evaluate, a slow loop, and simulated truth."""

from dataclasses import astuple

import numpy as np
import pytest
from sklearn import metrics

from stages import scoring
from stages.paired import Difference, PairedError, compare

NAMES = {
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "negative_log_likelihood",
    "expected_calibration_error",
}


def answers(
    truth: np.ndarray, classes: int, skill: float, generator: np.random.Generator
) -> np.ndarray:
    """float32 (N, C) probabilities that lean towards the truth."""
    scores = generator.normal(size=(len(truth), classes))
    scores[np.arange(len(truth)), truth] += skill
    exponent = np.exp(scores - scores.max(axis=1, keepdims=True))
    made: np.ndarray = (exponent / exponent.sum(axis=1, keepdims=True)).astype(np.float32)
    return made


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    truth = generator.integers(5, size=120)
    return truth, answers(truth, 6, 2, generator), answers(truth, 6, 3, generator)


def test_its_figures_are_those_of_evaluate(pair) -> None:
    truth, before, after = pair
    found = compare(*pair, resamples=10, seed=0, bins=15)
    assert set(found) == NAMES
    for answer, side in ((before, "before"), (after, "after")):
        expected = scoring.correctness(truth, answer.argmax(axis=1))
        expected |= scoring.confidence(truth, answer, 15)
        for name, difference in found.items():
            assert getattr(difference, side) == pytest.approx(expected[name], abs=1e-6), name


def test_the_interval_is_that_of_a_plain_loop(pair) -> None:
    """The same quantiles from scikit-learn's figures of each resample, row by row."""
    truth, before, after = pair
    rows = np.random.default_rng(7).integers(len(truth), size=(60, len(truth)))
    drawn = [
        metrics.f1_score(truth[at], after[at].argmax(1), average="macro")
        - metrics.f1_score(truth[at], before[at].argmax(1), average="macro")
        for at in rows
    ]
    found = compare(*pair, resamples=60, seed=7, level=0.9)["macro_f1"]
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.05, 0.95]))
    assert found.difference == pytest.approx(found.after - found.before)


def test_the_same_answers_differ_by_nothing_whatever_is_drawn(pair) -> None:
    truth, before, _ = pair
    for difference in compare(truth, before, before, resamples=50, seed=1).values():
        assert difference == Difference(difference.before, difference.before, 0, 0, 0)


def test_changing_sides_changes_the_sign(pair) -> None:
    truth, before, after = pair
    there = compare(truth, before, after, resamples=80, seed=1)
    back = compare(truth, after, before, resamples=80, seed=1)
    for name, difference in there.items():
        assert back[name].difference == pytest.approx(-difference.difference)
        assert back[name].low == pytest.approx(-difference.high)


def test_many_rows_are_drawn_in_pieces_with_the_same_result(pair, monkeypatch) -> None:
    whole = compare(*pair, resamples=60, seed=5)
    monkeypatch.setattr("stages.paired.CHUNK", 7 * len(pair[0]))
    for name, pieces in compare(*pair, resamples=60, seed=5).items():
        assert astuple(pieces) == pytest.approx(astuple(whole[name])), name


def test_a_class_that_the_model_never_thought_of_costs_a_finite_loss() -> None:
    truth = np.array([0, 1])
    sure = np.array([[1, 0], [1, 0]], np.float32)
    found = compare(truth, sure, np.full((2, 2), 0.5), resamples=20, seed=0)
    assert found["negative_log_likelihood"].before == pytest.approx(87.3365 / 2, rel=1e-3)
    assert found["negative_log_likelihood"].after == pytest.approx(np.log(2))


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    """200 draws of 200 rows from two models of known accuracies; a 90 % interval misses 20."""
    generator = np.random.default_rng(11)
    truth = generator.integers(4, size=50_000)
    before, after = answers(truth, 4, 2, generator), answers(truth, 4, 2.2, generator)
    whole = compare(truth, before, after, resamples=1, seed=0)
    held = dict.fromkeys(("accuracy", "weighted_f1", "negative_log_likelihood"), 0)
    for seed in range(200):
        at = generator.integers(len(truth), size=200)
        found = compare(truth[at], before[at], after[at], resamples=100, seed=seed, level=0.9)
        for name in held:
            held[name] += found[name].low <= whole[name].difference <= found[name].high
    # Of 200 at 90 %, fewer than 165 or more than 194 happen once in 500 times.
    assert all(165 <= times <= 194 for times in held.values()), held


@pytest.mark.parametrize(
    ("rows", "shape", "reason"),
    [(3, (4, 2), "same rows"), (4, (4, 3), "same classes"), (0, (0, 2), "empty")],
)
def test_answers_that_do_not_pair_are_refused(rows, shape, reason) -> None:
    other = (shape[0], 2)
    with pytest.raises(PairedError, match=reason):
        compare(np.zeros(rows, int), np.ones(shape), np.ones(other), resamples=5, seed=0)


def test_a_truth_outside_the_classes_is_refused() -> None:
    with pytest.raises(PairedError, match="none of the 2"):
        compare(np.array([2]), np.ones((1, 2)), np.ones((1, 2)), resamples=5, seed=0)
