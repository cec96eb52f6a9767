"""Stages that write in a second what the real ones take minutes for: `python small_stages.py NAME`.

Paths, columns and file formats are those of the real stages; answers are drawn at random around
the truth, the better the higher `training.skill`.
"""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from api import labels
from api.errors import ProductCodeError
from stages.logs import run

RAW, PREPROCESSED, BUNDLE = Path("data/raw"), Path("data/preprocessed"), Path("models/bundle")
PARAMS = yaml.safe_load(Path("params.yaml").read_text())


def import_data() -> None:
    """Products and photos; `data.reordered` gives the same products other rows."""
    from tests.stages import tiny_catalogue  # noqa: PLC0415  its imports take a second

    RAW.mkdir(parents=True)
    table = tiny_catalogue.catalogue(PARAMS["data"]["products"])
    with zipfile.ZipFile(RAW / "images.zip", "w") as archive:
        for position, row in table[table["image"] != ""].iterrows():
            archive.writestr(row["image"], tiny_catalogue.photo(row["shown"], position))
    if PARAMS["data"]["reordered"]:
        table = table.assign(row=table["row"].to_numpy()[::-1])
    table.drop(columns="shown").to_parquet(RAW / "products.parquet", index=False)


def preprocess() -> None:
    """Three splits; `preprocess.codes` are the classes that are kept."""
    params = PARAMS["preprocess"]
    PREPROCESSED.mkdir(parents=True)
    table = pd.read_parquet(RAW / "products.parquet")
    table = table[table["code"].isin(params["codes"])].reset_index(drop=True)
    table["code"] = table["code"].replace(40, params["code_40"]).astype(np.int32)
    order = labels.ordered(table["code"].tolist())
    split = np.random.default_rng(params["seed"]).permutation(len(table)) % 3
    for at, name in enumerate(("train", "validation", "test")):
        table[split == at].to_parquet(PREPROCESSED / f"{name}.parquet", index=False)
    labels.write(order, PREPROCESSED / "labels.json")


def train() -> None:
    """A file in place of a bundle, and curves."""
    skill = PARAMS["training"]["skill"]
    if skill < 0:
        raise ProductCodeError(f"training.skill is {skill}, at least 0 is needed")
    BUNDLE.mkdir(parents=True)
    (BUNDLE / "model.onnx").write_text(str(skill))
    for part in ("train", "eval"):
        folder = Path("metrics/train/plots/metrics") / part
        folder.mkdir(parents=True)
        for name in ("macro_f1", "loss"):
            curve = pd.DataFrame({"step": range(5), name: np.linspace(0, skill, 5)})
            curve.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    _write("train", {"val_macro_f1": skill / 10})


def evaluate() -> None:
    """Answers whose noise is that of the product, whatever the skill: two runs are paired."""
    from bins import BINS  # noqa: PLC0415  a file of the small project

    from stages import held_out, scoring  # noqa: PLC0415  their imports take seconds

    table = pd.read_parquet(PREPROCESSED / "test.parquet")
    order = labels.read(PREPROCESSED / "labels.json")
    positions = [label["code"] for label in order]
    truth = np.array([positions.index(code) for code in table["code"]])
    noise = [np.random.default_rng(number).normal(size=len(order)) for number in table["imageid"]]
    skill = float((BUNDLE / "model.onnx").read_text())
    logits = np.array(noise) + skill * np.eye(len(order))[truth]
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    every = dict.fromkeys(held_out.MODALITIES, probabilities)
    there = np.ones(len(truth), bool)
    scored = held_out.Scored(table["row"].to_numpy(), truth, there, there, every)
    Path("metrics/evaluate").mkdir(parents=True, exist_ok=True)
    held_out.as_table(scored, order).to_parquet("metrics/evaluate/predictions.parquet", index=False)
    predicted = scored.predicted("fused")
    low, high = scoring.weighted_f1_interval(truth, predicted, 100, 0)
    figures = {
        **scoring.correctness(truth, predicted),
        **scoring.confidence(truth, probabilities, BINS),
        "weighted_f1_low": low,
        "weighted_f1_high": high,
    }
    _write("evaluate", {"fused": figures, "rows": len(truth), "synthetic": 1})


def benchmark() -> None:
    """Figures that follow from the skill, on a machine that the environment names."""
    skill = PARAMS["training"]["skill"]
    figures = {"latency": {"p50_ms": 10 + skill}, "size": {"bundle_mb": 80 + skill}}
    _write("benchmark", figures)
    machine = {"processor": PARAMS["benchmark"]["processor"], "cores": 2}
    Path("metrics/benchmark/machine.json").write_text(json.dumps(machine))


def _write(stage: str, figures: dict) -> None:
    folder = Path("metrics") / stage
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    name = sys.argv.pop()
    sys.argv[0] = name
    run({f.__name__: f for f in (import_data, preprocess, train, evaluate, benchmark)}[name], "all")
