"""A repository with this project's paths, quick enough to run often: four classes, no training.

`python -m tests.pipeline.tiny_project STAGE` is what its dvc.yaml calls. `train` writes a bundle
whose two weights are parameters, so that better and worse models are a parameter away; answers come
from the real bundle by the real evaluation. `run` does what `dvc repro` would, in this process.
"""

import json
import shutil
import sys
import zipfile
from contextlib import chdir
from pathlib import Path
from typing import Any

import onnx
import yaml
from onnx import numpy_helper

from api import bundle, labels
from api.archive import ImageArchive
from stages import held_out
from stages.compose import compose
from tests.pipeline import project
from tests.stages import tiny_catalogue

ROOT = Path(__file__).parents[2]
CONFIG = """\
# Comments stay.
defaults:
  - text: loud  # what words say
  - image: seen
  - promotion: default
  - _self_

preprocess:
  rows: 480
  first: 0  # of the held-out rows
"""
GROUPS = {
    "text/loud": "# Words that count.\nkind: ngrams\nweight: 2.0  # of a word\n",
    "text/mute": "# No words.\nkind: none\nweight: 0.0\n",
    "image/seen": "weight: 3.0\nsizes: [8, 8]\n",
}
STAGES: dict[str, Any] = {
    "preprocess": {
        "params": ["preprocess"],
        "outs": ["data/preprocessed", "data/raw/images.zip"],
    },
    "train": {
        "deps": ["data/preprocessed"],
        "params": ["text", "image"],
        "outs": ["models/bundle"],
        "metrics": [{"metrics/train/metrics.json": {"cache": False}}],
    },
    "evaluate": {
        "deps": ["models/bundle", "data/preprocessed", "data/raw/images.zip"],
        "outs": ["metrics/evaluate/predictions.parquet"],
        "metrics": [{"metrics/evaluate/metrics.json": {"cache": False}}],
    },
    "benchmark": {
        "deps": ["models/bundle"],
        "outs": [{"metrics/benchmark/machine.json": {"cache": False}}],
        "metrics": [{"metrics/benchmark/metrics.json": {"cache": False}}],
    },
}


def create(folder: Path, remote: str = "s3://dvc") -> Path:
    """A repository after its first run, committed."""
    for name, text in GROUPS.items():
        file = folder / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    shutil.copytree(ROOT / "conf/promotion", folder / "conf/promotion")
    (folder / "conf/config.yaml").write_text(CONFIG)
    command = f"{sys.executable} -m tests.pipeline.tiny_project"
    stages = {name: {"cmd": f"{command} {name}", **stage} for name, stage in STAGES.items()}
    artifacts = {"product-code-classifier": {"path": "models/bundle", "type": "model"}}
    document = {"stages": stages, "artifacts": artifacts}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / ".gitignore").write_text("/data\n/models\n*.parquet\nmlflow.db\n/logs\n")
    project.run(folder, "git", "init", "--quiet", "--initial-branch=main")
    for key, value in (("name", "test"), ("email", "test@example.invalid")):
        project.run(folder, "git", "config", f"user.{key}", value)
    project.run(folder, "dvc", "init", "--quiet")
    (folder / ".dvc/config").write_text((ROOT / ".dvc/config").read_text())
    project.run(folder, "dvc", "remote", "modify", "storage", "url", remote)
    run(folder)
    return folder


def run(folder: Path, *overrides: str, message: str = "Run") -> str:
    """Composes the parameters, runs every stage, commits; returns the commit."""
    compose(folder / "params.yaml", list(overrides), folder / "conf")
    with chdir(folder):
        for stage in STAGES:
            work(stage)
    project.run(folder, "dvc", "commit", "--force", "--quiet")
    project.commit(folder, message)
    return project.run(folder, "git", "rev-parse", "HEAD").strip()


def work(stage: str) -> None:
    """Runs a stage in the working directory."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    {"preprocess": preprocess, "train": train, "evaluate": evaluate, "benchmark": benchmark}[stage](
        params
    )


def preprocess(params: dict[str, Any]) -> None:
    """Half of the rows is held out from the row `first` on; the rest trains and validates."""
    rows, first = params["preprocess"]["rows"], params["preprocess"]["first"]
    folder, archive = Path("data/preprocessed"), Path("data/raw/images.zip")
    for path in (folder, archive.parent):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    table = tiny_catalogue.catalogue(rows)
    with zipfile.ZipFile(archive, "w") as images:
        for position, row in table[table["image"] != ""].iterrows():
            entry = zipfile.ZipInfo(f"images/{row['image']}")  # of 1980: the same bytes each time
            images.writestr(entry, tiny_catalogue.photo(row["shown"], position))
    table = table.drop(columns="shown")
    held = (table.index >= first) & (table.index < first + rows // 2)
    table[held].to_parquet(folder / "test.parquet", index=False)
    table[~held].iloc[::2].to_parquet(folder / "train.parquet", index=False)
    table[~held].iloc[1::2].to_parquet(folder / "validation.parquet", index=False)
    labels.write(tiny_catalogue.LABELS, folder / "labels.json")


def train(params: dict[str, Any]) -> None:
    """The hand-made network with other weights for words and colours."""
    path = Path("models/bundle")
    shutil.rmtree(path, ignore_errors=True)
    tiny_catalogue.write_bundle(path)
    opened = bundle.load(path)
    model = onnx.load(path / "model.onnx")
    factors = {"words": params["text"]["weight"] / 2, "colours": params["image"]["weight"] / 3}
    for constant in model.graph.initializer:
        if constant.name in factors:
            scaled = numpy_helper.to_array(constant) * factors[constant.name]
            constant.CopyFrom(numpy_helper.from_array(scaled.astype("float32"), constant.name))
    bundle.write(
        path,
        model.SerializeToString(),
        {"tokenizer.json": (path / "tokenizer.json").read_text()},
        opened.labels,
        opened.meta.input,
        {"source": "folder", "synthetic": False},
        {"text": params["text"], "fusion": {"kind": "weighted"}},
    )
    write_json("metrics/train/metrics.json", {"epochs": 1})


def evaluate(params: dict[str, Any]) -> None:
    """The held-out split through the real bundle."""
    del params
    model = bundle.load(Path("models/bundle"))
    with ImageArchive(Path("data/raw/images.zip")) as images:
        scored = held_out.score(model, Path("data/preprocessed/test.parquet"), images)
    accuracy = float((scored.predicted("fused") == scored.truth).mean())
    figures = {"fused": {"accuracy": accuracy, "macro_f1": accuracy, "weighted_f1": accuracy}}
    write_json("metrics/evaluate/metrics.json", {**figures, "rows": len(scored.row)})
    table = held_out.as_table(scored, model.labels)
    table.to_parquet("metrics/evaluate/predictions.parquet", index=False)


def benchmark(params: dict[str, Any]) -> None:
    """Figures of a machine that always measures the same."""
    del params
    figures = {"latency": {"p50_ms": 12.0}, "size": {"bundle_mb": 0.1}}
    write_json("metrics/benchmark/metrics.json", figures)
    write_json("metrics/benchmark/machine.json", {"processor": "test"})


def write_json(path: str, content: dict[str, Any]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    work(sys.argv[1])
