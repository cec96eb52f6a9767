"""A tiny catalogue with all that `review` reads, and labels changed on purpose."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tiny_catalogue
import yaml

from api import bundle
from api.archive import ImageArchive
from stages import evaluate, held_out

PATHS = (
    "models/bundle",
    "data/preprocessed",
    "data/raw/images.zip",
    "metrics/evaluate/predictions.parquet",
    "metrics/train/out_of_fold.parquet",
    "metrics/review",
)
REVIEW = {"examples": 2, "pairs": 3, "candidates": 40}
CODES = list(tiny_catalogue.WORDS)


def write(root: Path, rows: int = 200, flips: tuple[int, ...] = ()) -> Path:
    """The workspace before `review` runs, as the current directory's content.

    Args:
        root: Where.
        rows: Of each split; all splits hold the same products.
        flips: Positions of test rows that get the next code but one.
    """
    tiny_catalogue.write_workspace(root, rows)
    params = {**tiny_catalogue.PARAMS, "review": REVIEW}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    table = pd.read_parquet(root / "data/preprocessed/test.parquet")
    labels = table["label"].to_numpy().copy()
    labels[list(flips)] = (labels[list(flips)] + 2) % len(CODES)
    table = table.assign(label=labels, code=np.array(CODES, np.int32)[labels])
    table.to_parquet(root / "data/preprocessed/test.parquet", index=False)
    score(root)
    return root


def score(root: Path) -> None:
    """What `evaluate` and `train` leave for `review`, of the splits as they are now.

    The bundle's weights were set by hand, so its probabilities of any row are out of fold.
    """
    model = bundle.load(root / "models/bundle")
    here = Path.cwd()
    os.chdir(root)
    try:
        evaluate.main(*map(Path, tiny_catalogue.paths("metrics/evaluate")))
    finally:
        os.chdir(here)
    parts = []
    with ImageArchive(root / "data/raw/images.zip") as archive:
        for split in ("train", "validation"):
            scored = held_out.score(model, root / f"data/preprocessed/{split}.parquet", archive)
            parts.append(
                pd.DataFrame(
                    {
                        "row": scored.row,
                        "split": split,
                        "label": scored.truth.astype(np.int32),
                        "probabilities": list(scored.probabilities["fused"]),
                    }
                )
            )
    (root / "metrics/train").mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_parquet(root / "metrics/train/out_of_fold.parquet", index=False)


def run(root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The stage as dvc.yaml runs it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "stages.review", *PATHS],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(tiny_catalogue.ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
