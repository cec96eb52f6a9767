"""Probabilities of rows that weren't learnt from, as evaluate and train leave them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.out_of_sample import OutOfSampleError, of_held_out, read_held_out, read_training

CODES = [10, 40]


def held_out() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": [7, 5],
            "code": [10, 40],
            "predicted": [10, 10],
            "confidence": np.float32([0.75, 0.6]),
            "predicted_text": [10, 10],
            "predicted_image": [10, 40],
            "has_text": [True, True],
            "has_image": [True, False],
            "log_10": np.log(np.float32([0.75, 0.6])),
            "log_40": np.log(np.float32([0.25, 0.4])),
        }
    )


def training(rows: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": np.arange(rows),
            "split": (["train", "train", "validation"] * rows)[:rows],
            "label": np.array(([0, 1, 1] * rows)[:rows], np.int32),
            "probabilities": ([np.float32([0.1 * at, 1 - 0.1 * at]) for at in range(rows)]),
        }
    )


def test_held_out_rows_have_their_probabilities_in_the_order_of_the_codes(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    held_out().to_parquet(path, index=False)

    found = of_held_out(read_held_out(path, CODES), CODES)

    assert found.rows.to_dict("list") == {"row": [7, 5], "code": [10, 40], "split": ["test"] * 2}
    assert found.probabilities == pytest.approx(np.array([[0.75, 0.25], [0.6, 0.4]]))
    assert found.probabilities.sum(axis=1) == pytest.approx([1, 1], abs=1e-15)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda table: table.drop(columns="has_text"), "has_text"),
        (lambda table: table.drop(columns="log_40"), "log_<code>"),
        (lambda table: table.assign(log_50=0.0), "log_<code>"),
        (lambda table: table[[*table.columns[:8], "log_40", "log_10"]], "log_<code>"),
        (lambda table: table.assign(code=50), r"codes \[50\]"),
        (lambda table: table.head(0), "0 rows"),
    ],
)
def test_predictions_of_another_bundle_are_refused(
    tmp_path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    path = tmp_path / "predictions.parquet"
    edit(held_out()).to_parquet(path, index=False)

    with pytest.raises(OutOfSampleError, match=rf"predictions.parquet.*{reason}.*repro evaluate"):
        read_held_out(path, CODES)


@pytest.mark.parametrize("group", [1, 100])
def test_training_rows_have_codes_instead_of_positions(tmp_path: Path, group: int) -> None:
    """However many row groups the file has."""
    path = tmp_path / "out_of_fold.parquet"
    training().to_parquet(path, index=False, row_group_size=group)

    found = read_training(path, CODES)

    assert found.rows.to_dict("list") == {
        "row": [0, 1, 2],
        "split": ["train", "train", "validation"],
        "code": [10, 40, 40],
    }
    assert found.probabilities == pytest.approx(np.array([[0, 1], [0.1, 0.9], [0.2, 0.8]]))


def test_there_may_be_no_training_rows(tmp_path: Path) -> None:
    path = tmp_path / "out_of_fold.parquet"
    training().head(0).to_parquet(path, index=False)

    found = read_training(path, CODES)

    assert found.rows.empty
    assert found.probabilities.shape == (0, 2)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda table: table.drop(columns="split"), "split"),
        (lambda table: table.assign(label=2), "expected 2 of each"),
        (lambda table: table.assign(probabilities=[[1.0]] * 3), "3 probabilities of 3 rows"),
    ],
)
def test_out_of_fold_probabilities_of_another_training_are_refused(
    tmp_path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    path = tmp_path / "out_of_fold.parquet"
    edit(training()).to_parquet(path, index=False)

    with pytest.raises(OutOfSampleError, match=rf"out_of_fold.parquet.*{reason}.*repro train"):
        read_training(path, CODES)


def test_missing_and_broken_files_say_which_stage_makes_them(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")

    with pytest.raises(OutOfSampleError, match=r"broken.parquet: can't be read.*repro train"):
        read_training(broken, CODES)
    with pytest.raises(OutOfSampleError, match=r"none.parquet: can't be read.*repro evaluate"):
        read_held_out(tmp_path / "none.parquet", CODES)
