"""Cross-validation: folds that don't leak, and a whole run on generated products."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.folds import folds

ROOT = Path(__file__).parents[2]
SMALL = ["data.products=270", "data.test_products=100", "image.size=32", "image.weights=random"]
SMALL += ["sentence=none", "training.epochs=1", "training.folds=2"]
MODELS = {"fused", "text", "image"}
MODELS |= {"baseline_words", "baseline_characters", "baseline_characters_image"}


def test_every_row_is_scored_once_a_repeat_and_duplicates_stay_together() -> None:
    labels = np.arange(300) % 6
    groups = np.arange(300) // 12 * 6 + labels  # two rows each, of one label
    for repeat in range(2):
        parts = [f for f in folds(labels, groups, 5, 2, 0.2, seed=0) if f.repeat == repeat]
        scored = np.concatenate([fold.test for fold in parts])
        np.testing.assert_array_equal(np.sort(scored), np.arange(300))
    for fold in parts:
        assert not np.intersect1d(groups[fold.test], groups[fold.seen]).size
        assert not np.intersect1d(fold.train, fold.validation).size
        assert set(labels[fold.validation]) == set(range(6))
        assert len(fold.validation) == pytest.approx(0.2 * len(fold.seen), abs=1)


def test_a_class_with_a_single_row_is_no_obstacle() -> None:
    labels = np.r_[np.arange(40) % 2, 2]
    with pytest.warns(UserWarning, match="least populated"):
        parts = list(folds(labels, np.arange(41), 5, 1, 0.2, seed=0))
    assert sum(len(fold.test) for fold in parts) == 41


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_scores_the_classifier_and_every_baseline(tmp_path: Path) -> None:
    """And a second run embeds nothing again."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    command = [sys.executable, "-m", "stages.crossval", "out", "--folds", "2", "--repeats", "1"]
    logs = [
        subprocess.run(
            [*command, *SMALL],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        ).stderr
        for _ in range(2)
    ]
    assert ["embed done" in log for log in logs] == [True, False]
    table = pd.read_csv(tmp_path / "out/folds.csv")
    assert {(model, fold) for model in MODELS for fold in (0, 1)} == set(
        zip(table["model"], table["fold"], strict=True)
    )
    figures = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (figures["rows"], figures["synthetic"], figures["folds"]) == (270, True, 2)
    assert figures["text"]["weighted_f1"] > 1.5 / 27
    expected = table.loc[table["model"] == "fused", "weighted_f1"].mean()
    assert figures["fused"]["weighted_f1"] == pytest.approx(expected, abs=1e-3)


def test_a_failing_stage_is_named(tmp_path: Path) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    done = subprocess.run(
        [sys.executable, "-m", "stages.crossval", "out", "data=folder", "data.path=/nowhere"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "/nowhere" in done.stderr
    assert "import_data failed" in done.stderr
