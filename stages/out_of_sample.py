"""What models say of rows they did not learn from, with the rows' own labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from api.errors import ProductCodeError
from stages.split import TEST

OUT_OF_FOLD = ("row", "split", "label", "probabilities")
SCORED = (
    "row",
    "code",
    "predicted",
    "confidence",
    "predicted_text",
    "predicted_image",
    "has_text",
    "has_image",
)


class OutOfSampleError(ProductCodeError):
    """Probabilities that are missing or don't belong to the bundle at hand."""

    def __init__(self, path: Path, reason: str, stage: str) -> None:
        super().__init__(f"{path}: {reason}; run `dvc repro {stage}`")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class OutOfSample:
    """N rows: a table with the columns row, split and code; probabilities float64 (N, C)."""

    rows: pd.DataFrame
    probabilities: np.ndarray


def read_held_out(path: Path, codes: Sequence[int]) -> pd.DataFrame:
    """predictions.parquet of `evaluate`: columns `SCORED` and log_<code> for each code.

    Raises:
        OutOfSampleError: It is missing or empty, or is of other classes.
    """
    table: pd.DataFrame = _read(path, "evaluate").to_pandas()
    logs = [name.removeprefix("log_") for name in table.columns if name.startswith("log_")]
    missing = [name for name in SCORED if name not in table]
    if missing or logs != [str(code) for code in codes]:
        reason = f"columns {list(table)}, expected {list(SCORED)} and log_<code> of {list(codes)}"
        raise OutOfSampleError(path, reason, "evaluate")
    unknown = sorted(set(table["code"]) - set(codes))
    if unknown or table.empty:
        reason = f"{len(table)} rows, codes {unknown} not in the bundle; expected rows of its codes"
        raise OutOfSampleError(path, reason, "evaluate")
    return table


def of_held_out(table: pd.DataFrame, codes: Sequence[int]) -> OutOfSample:
    """The bundle's probabilities of the held-out split, from `read_held_out`'s table."""
    logs = table[[f"log_{code}" for code in codes]].to_numpy(np.float64)
    return OutOfSample(table[["row", "code"]].assign(split=TEST), _normalised(np.exp(logs)))


def read_training(path: Path, codes: Sequence[int]) -> OutOfSample:
    """out_of_fold.parquet of `train`: train and validation rows, some, or none.

    Args:
        path: The file, with the columns `OUT_OF_FOLD`.
        codes: Every code, in the order of the probabilities.

    Raises:
        OutOfSampleError: It is missing, or is of other classes.
    """
    table = _read(path, "train")
    missing = [name for name in OUT_OF_FOLD if name not in table.column_names]
    if missing:
        raise OutOfSampleError(path, f"no columns {missing}", "train")
    # Lists of 27 numbers stay one array: 85,000 of them as Python lists would take 100 MB.
    chunks = table["probabilities"].chunks if len(table) else []  # an empty list has no type
    lists = [chunk.flatten() for chunk in chunks]
    values = np.concatenate([np.zeros(0), *(np.asarray(part, np.float64) for part in lists)])
    labels = table["label"].to_numpy()
    if len(values) != len(labels) * len(codes) or not np.isin(labels, np.arange(len(codes))).all():
        reason = f"{len(values)} probabilities of {len(labels)} rows, expected {len(codes)} of each"
        raise OutOfSampleError(path, reason, "train")
    rows = table.select(["row", "split"]).to_pandas()
    probabilities = _normalised(values.reshape(len(labels), len(codes)))
    return OutOfSample(rows.assign(code=np.asarray(codes)[labels]), probabilities)


def _read(path: Path, stage: str) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise OutOfSampleError(path, f"can't be read: {error}", stage) from error


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    """Rows that sum to 1 in float64, as float32 sums miss it."""
    total = probabilities.sum(axis=1, keepdims=True)
    divided: np.ndarray = probabilities / np.maximum(total, np.finfo(np.float64).tiny)
    return divided
