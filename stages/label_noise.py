"""Rows whose label is probably wrong, by confident learning.

Source: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels,
JAIR 2021. It gives the number of candidates; which rows they are, the least self-confidence says,
which found more of the labels changed on purpose than the other rankings and filters of cleanlab
(docs/decisions/label-noise.md).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues

from stages.out_of_sample import OutOfSample

COLUMNS = (
    "rank",
    "row",
    "split",
    "code",
    "suggested_code",
    "self_confidence",
    "suggested_confidence",
)
LEAST_CLASSES = 2  # with one class among the labels there is nothing to mistake it for


def candidates(sources: Sequence[OutOfSample], codes: Sequence[int]) -> pd.DataFrame:
    """Candidates of all sources, the least self-confident first, with the columns `COLUMNS`.

    Each source is searched on its own, as the probabilities of two models don't compare.

    Args:
        sources: Rows with probabilities that were given without having seen the row's label.
        codes: Every code, in the order of the probabilities.
    """
    found = pd.concat([_of(source, np.asarray(codes)) for source in sources], ignore_index=True)
    by = ["self_confidence", "split", "row"]
    ranked = found.sort_values(by, ignore_index=True, kind="stable")
    return ranked.assign(rank=np.arange(1, len(ranked) + 1))[list(COLUMNS)]


def _of(source: OutOfSample, codes: np.ndarray) -> pd.DataFrame:
    labels = np.searchsorted(codes, source.rows["code"].to_numpy())
    suggested = source.probabilities.argmax(axis=1)
    issues = find(labels, source.probabilities) & (suggested != labels)
    at = np.flatnonzero(issues)
    return source.rows.iloc[at].assign(
        suggested_code=codes[suggested[at]],
        self_confidence=source.probabilities[at, labels[at]],
        suggested_confidence=source.probabilities[at, suggested[at]],
    )


def find(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Which labels are probably wrong, bool (N,).

    Args:
        labels: int (N,), columns of `probabilities`; classes may have no row.
        probabilities: float64 (N, C), rows sum to 1.
    """
    if len(np.unique(labels)) < LEAST_CLASSES:
        return np.zeros(len(labels), np.bool_)
    mask: np.ndarray = find_label_issues(
        labels, probabilities, filter_by="low_self_confidence", n_jobs=1
    )
    return mask


def by_split(found: pd.DataFrame, sources: Sequence[OutOfSample]) -> pd.DataFrame:
    """Columns split, rows (searched), candidates and share (of the rows), in the splits' order."""
    rows = pd.concat([source.rows["split"] for source in sources]).value_counts(sort=False)
    counts = found["split"].value_counts().reindex(rows.index, fill_value=0)
    return pd.DataFrame(
        {
            "split": rows.index,
            "rows": rows.to_numpy(),
            "candidates": counts.to_numpy(),
            "share": (counts / rows).to_numpy(),
        }
    )


def by_class(
    found: pd.DataFrame, sources: Sequence[OutOfSample], codes: Sequence[int]
) -> pd.DataFrame:
    """Columns code, rows (searched), candidates and share, for every code."""
    rows = pd.concat([source.rows["code"] for source in sources]).value_counts()
    counts = found["code"].value_counts()
    table = pd.DataFrame({"rows": rows, "candidates": counts}, index=pd.Index(codes, name="code"))
    table = table.fillna(0).astype("int64").reset_index()
    return table.assign(share=table["candidates"] / table["rows"].clip(lower=1))
