"""Cross-validation of the whole classifier beside baselines, on any data source.

`python -m stages.crossval OUTPUT [--folds 5] [--repeats 2] [overrides of conf/ ...]`

Not a stage of the DAG: it answers how good the method is, with an interval, where the DAG answers
how good one bundle is. Rows are imported, preprocessed and embedded by the stages themselves, in
a folder of their own; then each fold trains as the train stage does and is scored on rows that
neither training nor any choice has seen.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
import yaml
from dvclive import Live

from api.errors import ProductCodeError
from stages import baselines, compose, embedded, scoring
from stages.batches import Inputs
from stages.folds import Fold, folds, take
from stages.head_training import Experts, HeadParams, finish, train_trunk
from stages.heads import normalised
from stages.params import load
from stages.preprocess import Params as PreprocessParams
from stages.split import SPLITS, group
from stages.training_data import TrainingData

WORK = Path(".crossval")
CODE = Path(__file__).parent
STAGES = {
    "import_data": ("data/raw",),
    "preprocess": ("data/raw", "data/preprocessed", "metrics/preprocess"),
    "embed": ("data/all", "data/raw/images.zip", "data/embedded"),
}
EMBEDDED = (
    "data",
    "preprocess",
    "image",
    "sentence",
    "tokens",
)  # sections that decide data/embedded
BATCH = 256

logger = logging.getLogger(__name__)


class CrossvalError(ProductCodeError):
    """Data that can't be embedded or folded."""


def main(output: Path, parts: int, repeats: int, overrides: list[str]) -> None:
    """Writes OUTPUT/folds.csv, a line for each model and fold, and OUTPUT/metrics.json."""
    folder = prepare(overrides)
    params = load(HeadParams, folder / "params.yaml")
    data = TrainingData.read(folder / "data/embedded", params.text)
    tf.config.experimental.enable_op_determinism()
    table = pd.read_parquet(folder / "data/all/train.parquet")
    share = load(PreprocessParams, folder / "params.yaml").preprocess
    inner = share.validation_fraction / (1 - share.test_fraction)
    groups = group(table["designation"].tolist(), [name or None for name in table["image"]], 20)
    labels = np.asarray(data.splits[0].labels)
    lines: list[dict[str, Any]] = []
    output.mkdir(parents=True, exist_ok=True)
    for fold in folds(labels, groups, parts, repeats, inner, params.training.seed):
        for model, predicted in predictions(params, data, table, fold):
            figures = scoring.correctness(labels[fold.test], predicted)
            lines.append({"model": model, "repeat": fold.repeat, "fold": fold.number, **figures})
        done = pd.DataFrame(lines)
        done.to_csv(output / "folds.csv", index=False, float_format="%.4f", lineterminator="\n")
        logger.info("repeat %d, fold %d\n%s", fold.repeat, fold.number, summary(done).to_string())
    write(output, done, data)


def prepare(overrides: list[str]) -> Path:
    """Imports, preprocesses and embeds every row; embeds again only if something changed.

    Returns:
        The folder with params.yaml, data/all (every labelled row as one split) and data/embedded.

    Raises:
        CrossvalError: A stage failed.
    """
    name = hashlib.sha256(json.dumps(overrides).encode()).hexdigest()[:12]
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    compose.compose(folder / "params.yaml", overrides)
    for stage in ("import_data", "preprocess"):
        run_stage(folder, stage)
    merge(folder / "data/preprocessed", folder / "data/all")
    stamp = fingerprint(folder)
    if not (folder / "stamp").is_file() or (folder / "stamp").read_text() != stamp:
        shutil.rmtree(folder / "data/embedded", ignore_errors=True)
        run_stage(folder, "embed")
        (folder / "stamp").write_text(stamp)
    return folder


def run_stage(folder: Path, stage: str) -> None:
    """Runs one stage of this checkout with the folder's params.yaml."""
    command = [sys.executable, "-m", f"stages.{stage}", *STAGES[stage]]
    environment = {"PYTHONPATH": str(CODE.parent)}
    done = subprocess.run(  # noqa: S603  a stage of this checkout
        command, cwd=folder, env=os.environ | environment, check=False
    )
    if done.returncode:
        raise CrossvalError(f"{stage} failed on {folder}: see its message above")


def merge(preprocessed: Path, output: Path) -> None:
    """All labelled rows as the train split; a few of them again as the validation split."""
    output.mkdir(parents=True, exist_ok=True)
    rows = pd.concat([pd.read_parquet(preprocessed / f"{name}.parquet") for name in SPLITS])
    rows = rows.sort_values("row", ignore_index=True)
    rows.to_parquet(output / "train.parquet", index=False)
    rows.head(1).to_parquet(output / "validation.parquet", index=False)
    for name in (embedded.LABELS, embedded.SOURCE):
        shutil.copyfile(preprocessed / name, output / name)


def fingerprint(folder: Path) -> str:
    """Of what data/embedded is made from."""
    sections = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    digest = hashlib.sha256(json.dumps([sections[name] for name in EMBEDDED]).encode())
    digest.update((folder / "data/all/train.parquet").read_bytes())
    for module in sorted(CODE.glob("*.py")):
        if module.stem in {"embed", "embedded", "image_features", "sentence_features", "views"}:
            digest.update(module.read_bytes())
    return digest.hexdigest()


def predictions(
    params: HeadParams, data: TrainingData, table: pd.DataFrame, fold: Fold
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and predicted labels, int (test rows,), of the classifier and of each baseline."""
    every = data.splits[0]
    inputs = data.head_inputs(every, fold.test)
    head = train(params, data, fold)
    for name, changes in {
        "fused": {},
        "text": {"has_image": np.zeros(len(fold.test), np.bool_)},
        "image": {"has_text": np.zeros(len(fold.test), np.bool_)},
    }.items():
        yield name, classify(head, inputs | changes)
    keras.backend.clear_session()
    texts = table["text"].to_numpy(object)
    labels = np.asarray(every.labels)
    images = normalised(every.features[:, 0])
    seed = params.training.seed
    yield from baselines.predictions(texts[fold.seen], labels[fold.seen], texts[fold.test], seed)
    yield baselines.with_images(
        (texts[fold.seen], images[fold.seen]),
        labels[fold.seen],
        (texts[fold.test], images[fold.test]),
        seed,
    )


def train(params: HeadParams, data: TrainingData, fold: Fold) -> keras.Model:
    """The head that the train stage would serve, of one fold's rows."""
    keras.utils.set_random_seed(params.training.seed)
    splits = (take(data.splits[0], fold.train), take(data.splits[0], fold.validation))
    experts = Experts(params, data.tokenizer, splits, data.sizes)
    with (
        tempfile.TemporaryDirectory() as curves,
        Live(curves, save_dvc_exp=False, dvcyaml=None, monitor_system=False) as live,
    ):
        return finish(train_trunk(experts, live), experts)


def classify(head: keras.Model, inputs: Inputs) -> np.ndarray:
    """Predicted labels, int (N,)."""
    starts = range(0, len(inputs["has_text"]), BATCH)
    batches = [{name: array[at : at + BATCH] for name, array in inputs.items()} for at in starts]
    return np.concatenate(
        [np.asarray(head(batch, training=False)).argmax(axis=1) for batch in batches]
    )


def summary(done: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the folds, a row for each model."""
    figures = done.groupby("model", sort=False)[["weighted_f1", "macro_f1"]]
    table = figures.agg(["mean", "std"])
    table.columns = ["weighted_f1", "weighted_f1_std", "macro_f1", "macro_f1_std"]
    return table.fillna(0.0).round(4)


def write(output: Path, done: pd.DataFrame, data: TrainingData) -> None:
    """The summary as metrics.json."""
    figures = {
        "rows": len(data.splits[0].labels),
        "folds": int(done["fold"].nunique()),
        "repeats": int(done["repeat"].nunique()),
        "synthetic": bool(data.source["synthetic"]),
        **summary(done).to_dict("index"),
    }
    text = json.dumps(figures, indent=1)
    (output / "metrics.json").write_text(text + "\n", encoding="utf-8")
    logger.info("%d rows%s", figures["rows"], " (SYNTHETIC)" if figures["synthetic"] else "")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.crossval")
    parser.add_argument("output", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("overrides", nargs="*", help="of conf/, as data=folder data.path=...")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s")
    given = arguments()
    try:
        main(given.output, given.folds, given.repeats, given.overrides)
    except ProductCodeError as error:
        sys.exit(f"crossval: {error}")
