"""The answers of two revisions to the same held-out products, row by row."""

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

from api.errors import ProductCodeError
from stages.report.revision import Revision, UnavailableError

PREDICTIONS = "metrics/evaluate/predictions.parquet"
RAW, PREPROCESSED, TEST = "data/raw", "data/preprocessed", "data/preprocessed/test.parquet"
PRODUCT = ["productid", "imageid", "designation"]  # what a product is, wherever its row went
LOG = "log_"


class NotComparableError(ProductCodeError):
    """No product that both revisions held out and labelled alike."""


@dataclass(frozen=True)
class Answers:
    """N products that both revisions were scored on.

    `rows` has a line for each: its row number in this revision; `codes` are the classes of either;
    `truth` int (N,) positions in them; `before` and `after` float64 (N, C) probabilities; `notes`
    say which products were left out.
    """

    rows: np.ndarray
    codes: list[int]
    truth: np.ndarray
    before: np.ndarray
    after: np.ndarray
    notes: list[str]

    @property
    def whole(self) -> bool:
        """Whether the two were scored on the same products, with the same labels."""
        return not self.notes


def pair(before: Revision, after: Revision) -> Answers:
    """What both answered to the products that both held out.

    Raises:
        UnavailableError: One of the two has no predictions that can be read.
        NotComparableError: No product is held out by both with the same label.
    """
    first, second = _predictions(before), _predictions(after)
    if before.lock.md5(RAW) == after.lock.md5(RAW):
        return _paired(first, second, ["row"])
    # A row may be another product now.
    return _paired(_identified(first, before), _identified(second, after), PRODUCT)


def read_table(revision: Revision, path: str, columns: list[str] | None = None) -> pd.DataFrame:
    """A Parquet file of a revision."""
    return pd.read_parquet(io.BytesIO(revision.read(path)), columns=columns)


def _predictions(revision: Revision) -> pd.DataFrame:
    if PREDICTIONS not in revision.lock.outs and revision.commit:
        raise UnavailableError(f"{revision} has no {PREDICTIONS} in its dvc.lock")
    return read_table(revision, PREDICTIONS)


def _identified(table: pd.DataFrame, revision: Revision) -> pd.DataFrame:
    """With the columns `PRODUCT`; products that can't be told apart are left out."""
    products = read_table(revision, TEST, ["row", *PRODUCT])
    return table.merge(products, on="row").drop_duplicates(PRODUCT, keep=False)


def _paired(before: pd.DataFrame, after: pd.DataFrame, key: list[str]) -> Answers:
    both = before[[*key, "code"]].reset_index().merge(
        after[[*key, "code"]].reset_index(), on=key, suffixes=("_before", "_after")
    )  # fmt: skip
    kept = both[both["code_before"] == both["code_after"]]
    notes = _left_out(len(before) - len(both), len(after) - len(both), len(both) - len(kept))
    if kept.empty:
        raise NotComparableError(
            "figures are not comparable: no product is held out by both revisions with the same "
            f"label ({'; '.join(notes)})"
        )
    codes = sorted(_codes(before) | _codes(after))
    truth = np.searchsorted(codes, kept["code_after"].to_numpy())
    first, second = before.loc[kept["index_before"]], after.loc[kept["index_after"]]
    return Answers(
        second["row"].to_numpy(),
        codes,
        truth,
        _probabilities(first, codes),
        _probabilities(second, codes),
        notes,
    )


def _left_out(only_before: int, only_after: int, relabelled: int) -> list[str]:
    """Which products are not compared, in words."""
    reasons = {
        "products that only the base held out are left out": only_before,
        "products that only this revision held out are left out": only_after,
        "products have another label now and are left out": relabelled,
    }
    return [f"{count:,} {reason}" for reason, count in reasons.items() if count]


def _codes(table: pd.DataFrame) -> set[int]:
    return {int(name.removeprefix(LOG)) for name in table.columns if name.startswith(LOG)}


def _probabilities(table: pd.DataFrame, codes: list[int]) -> np.ndarray:
    """float64 (N, C); a class that a revision doesn't know has none."""
    logs = table.reindex(columns=[f"{LOG}{code}" for code in codes], fill_value=-np.inf)
    exact: np.ndarray = np.exp(logs.to_numpy(np.float64))
    exact /= exact.sum(axis=1, keepdims=True)
    return exact
