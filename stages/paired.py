"""Two revisions' answers on the same rows: what differs, and by how much it may be chance.

Rows are drawn once for both revisions, so that what makes a row hard for both cancels out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from api.errors import ProductCodeError

BINS = 15
CHUNK = 4_000_000  # counts in memory at a time
TINY = np.finfo(np.float32).tiny


class PairedError(ProductCodeError):
    """Answers that can't be compared row by row."""


@dataclass(frozen=True)
class Difference:
    """A figure of both revisions, `difference` (after - before), and its bootstrap interval."""

    before: float
    after: float
    difference: float
    low: float
    high: float


def compare(
    truth: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    resamples: int,
    seed: int,
    level: float = 0.95,
    bins: int = BINS,
) -> dict[str, Difference]:
    """Figures of two revisions and the paired bootstrap interval of their difference.

    Args:
        truth: int (N,), positions of the true classes.
        before: float (N, C), probabilities of the first revision.
        after: float (N, C), those of the second, for the same rows and classes.
        resamples: How often N rows are drawn with replacement.
        seed: Of the draws.
        level: Of the two-sided percentile interval.
        bins: Of the calibration error.

    Raises:
        PairedError: The arrays don't fit one another, or there are no rows.
    """
    check(truth, before, after)
    parts = [Parts.of(truth, answers, bins) for answers in (before, after)]
    drawn: list[dict[str, np.ndarray]] = []
    for counts in draws(len(truth), resamples, seed):
        first, second = (part.figures(counts) for part in parts)
        drawn.append({name: second[name] - first[name] for name in first})
    whole = np.ones((1, len(truth)))
    first, second = (part.figures(whole) for part in parts)
    tails = [(1 - level) / 2, (1 + level) / 2]
    found = {}
    for name in first:
        low, high = np.quantile(np.concatenate([chunk[name] for chunk in drawn]), tails)
        one, other = float(first[name][0]), float(second[name][0])
        found[name] = Difference(one, other, other - one, float(low), float(high))
    return found


def check(truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    """Refuses what can't be paired."""
    if before.ndim != 2 or before.shape != after.shape or len(truth) != len(before):  # noqa: PLR2004  # rows, classes
        raise PairedError(
            f"{len(truth)} rows, answers of shapes {before.shape} and {after.shape}: both "
            "revisions have to answer the same rows with the same classes"
        )
    if not len(truth):
        raise PairedError("no rows to compare: the test split is empty")
    if truth.min() < 0 or truth.max() >= before.shape[1]:
        raise PairedError(f"a true class is none of the {before.shape[1]} that were answered")


def draws(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row was drawn, float64 (at most CHUNK / rows, rows) at a time."""
    generator = np.random.default_rng(seed)
    most = max(1, CHUNK // rows)
    for start in range(0, resamples, most):
        size = min(most, resamples - start)
        picked = generator.integers(rows, size=(size, rows)) + rows * np.arange(size)[:, None]
        counts = np.bincount(picked.ravel(), minlength=size * rows).reshape(size, rows)
        yield counts.astype(np.float64)


@dataclass(frozen=True)
class Parts:
    """What the figures are sums of, so that a resample is one product of matrices.

    float64: `truth`, `chosen` and `hit` (N, C) are indicators of classes, `right` and `loss` (N,),
    `gap` (N, bins) is right - confidence in the bin of the confidence.
    """

    truth: np.ndarray
    chosen: np.ndarray
    hit: np.ndarray
    right: np.ndarray
    loss: np.ndarray
    gap: np.ndarray

    @classmethod
    def of(cls, truth: np.ndarray, probabilities: np.ndarray, bins: int) -> "Parts":
        """The parts of one revision's answers."""
        rows, predicted = np.arange(len(truth)), probabilities.argmax(axis=1)
        every = np.eye(probabilities.shape[1])
        right = (predicted == truth).astype(np.float64)
        gap = np.zeros((len(truth), bins))
        confidences = probabilities.max(axis=1).astype(np.float64)
        gap[rows, np.minimum((confidences * bins).astype(int), bins - 1)] = right - confidences
        exact = np.maximum(probabilities.astype(np.float64), TINY)
        loss = np.log(exact.sum(axis=1)) - np.log(exact[rows, truth])
        true, chosen = every[truth], every[predicted]
        return cls(true, chosen, true * chosen, right, loss, gap)

    def figures(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Each figure (R,) of R resamples; `counts` (R, N) says how often each row is in one."""
        rows = counts.sum(axis=1)
        support, chosen, hits = (counts @ part for part in (self.truth, self.chosen, self.hit))
        f1 = 2 * hits / np.maximum(support + chosen, 1)
        return {
            "accuracy": counts @ self.right / rows,
            "macro_f1": f1.sum(axis=1) / (support + chosen > 0).sum(axis=1),
            "weighted_f1": (f1 * support).sum(axis=1) / rows,
            "negative_log_likelihood": counts @ self.loss / rows,
            "expected_calibration_error": np.abs(counts @ self.gap).sum(axis=1) / rows,
        }
