"""Titles, image names and codes of every labelled row, to look rows up by split and index."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from api.errors import ProductCodeError
from stages.split import SPLITS, title_key

COLUMNS = ["row", "code", "designation", "image"]
KEY = ["split", "row"]


class ProductTableError(ProductCodeError):
    """A table of products that is missing, or not the one that something was measured on."""


def read(preprocessed: Path) -> pd.DataFrame:
    """All splits, indexed by split and row, with the columns code, designation and image.

    Raises:
        ProductTableError: A split is missing.
    """
    parts = []
    for split in SPLITS:
        path = preprocessed / f"{split}.parquet"
        if not path.is_file():
            raise ProductTableError(f"{path} not found: run `dvc repro preprocess`")
        parts.append(pd.read_parquet(path, columns=COLUMNS).assign(split=split))
    return pd.concat(parts).set_index(KEY)


def check(products: pd.DataFrame, rows: pd.DataFrame, path: Path) -> None:
    """Holds rows that were measured, with split, row and code, against the products.

    Raises:
        ProductTableError: A row is not there, or has another code now.
    """
    now = products["code"].reindex(pd.MultiIndex.from_frame(rows[KEY])).to_numpy()
    different = rows[now != rows["code"].to_numpy()]
    if len(different):
        first = different.iloc[0]
        raise ProductTableError(
            f"{path}: {len(different)} rows are not in data/preprocessed with the code they have "
            f"here, such as row {first['row']} of {first['split']} with code {first['code']}: the "
            "two come from different runs; run `dvc repro`"
        )


class Twins:
    """Rows with the same title but for case, accents, punctuation and spaces."""

    def __init__(self, products: pd.DataFrame) -> None:
        self._rows: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        for (split, row), code, title in zip(
            products.index, products["code"], products["designation"], strict=True
        ):
            if key := title_key(title):
                self._rows[key].append((split, row, code))

    def under_another_code(self, title: str, code: int) -> Sequence[tuple[str, int, int]]:
        """Split, row and code of those that have another code."""
        return [twin for twin in self._rows.get(title_key(title), ()) if twin[2] != code]
