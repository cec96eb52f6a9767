"""Which classes are mistaken for one another, and on which rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

BY_ERRORS, BY_RATE = "rank_by_errors", "rank_by_rate"


def pairs(truth: np.ndarray, predicted: np.ndarray, codes: Sequence[int]) -> pd.DataFrame:
    """Every two classes of which one was taken for the other, those with most errors first.

    Args:
        truth: Codes, int (N,), N at least 1.
        predicted: Codes, int (N,).
        codes: Every code, ascending.

    Returns:
        Columns first and second, the two codes, the lower one first; first_as_second and
        second_as_first, rows; errors, their sum; rows that truly are of either class; rate, errors
        per such row; share of all errors; rank_by_errors and rank_by_rate, from 1.
    """
    confusion = confusion_matrix(truth, predicted, labels=codes)
    np.fill_diagonal(wrong := confusion.copy(), 0)
    first, second = np.nonzero(np.triu(wrong + wrong.T))
    rows = confusion.sum(axis=1)
    errors = wrong[first, second] + wrong[second, first]
    table = pd.DataFrame(
        {
            "first": np.asarray(codes)[first],
            "second": np.asarray(codes)[second],
            "first_as_second": wrong[first, second],
            "second_as_first": wrong[second, first],
            "errors": errors,
            "rows": rows[first] + rows[second],
            "rate": errors / np.maximum(rows[first] + rows[second], 1),
            "share": errors / max(int(wrong.sum()), 1),
        }
    )
    table[BY_ERRORS] = _ranks(table, ["errors", "rate"])
    table[BY_RATE] = _ranks(table, ["rate", "errors"])
    return table.sort_values(BY_ERRORS, ignore_index=True)


def _ranks(table: pd.DataFrame, by: list[str]) -> np.ndarray:
    """From 1, highest first; pairs that are level keep the order of their codes."""
    order = table.sort_values(by, ascending=False, kind="stable").index
    ranks = np.empty(len(table), np.int64)
    ranks[order] = np.arange(1, len(table) + 1)
    return ranks


def leading(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Pairs that are among the first `limit` by errors or by rate."""
    return table[(table[BY_ERRORS] <= limit) | (table[BY_RATE] <= limit)].copy()


def examples(scored: pd.DataFrame, first: int, second: int, limit: int) -> pd.DataFrame:
    """Rows in which one class was taken for the other, the most confident first.

    Args:
        scored: Columns row, code, predicted, confidence.
        first: A code.
        second: Another one.
        limit: Rows at most.
    """
    there = (scored["code"] == first) & (scored["predicted"] == second)
    back = (scored["code"] == second) & (scored["predicted"] == first)
    return most_confident(scored[there | back], limit)


def most_confident(scored: pd.DataFrame, limit: int) -> pd.DataFrame:
    """The rows whose prediction is surest, by row index where two are level."""
    ordered = scored.sort_values(["confidence", "row"], ascending=[False, True])
    return ordered.head(limit)
