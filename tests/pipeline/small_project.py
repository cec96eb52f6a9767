"""A repository with the outputs of this project's DAG, made in seconds by `small_stages`."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.pipeline import project

PARAMS: dict[str, dict[str, Any]] = {
    "data": {"products": 240, "reordered": False},
    "preprocess": {"seed": 1, "codes": [10, 40, 1280, 2583], "code_40": 40},
    "training": {"skill": 1.5},
    "evaluate": {"resamples": 200, "seed": 1},
    "benchmark": {"processor": "one", "price_per_core_hour": 0.05},
}
CODE = "small_stages.py"
SCORING = "bins.py"  # code that `evaluate` alone depends on
STAGES = {
    "import": ("import_data", ["data"], [], ["data/raw"], []),
    "preprocess": ("preprocess", ["preprocess"], ["data/raw"], ["data/preprocessed"], []),
    "train": (
        "train",
        ["training"],
        ["data/preprocessed"],
        ["models/bundle", "metrics/train/plots"],
        ["metrics/train/metrics.json"],
    ),
    "evaluate": (
        "evaluate",
        ["evaluate"],
        ["data/preprocessed", "models/bundle", SCORING],
        ["metrics/evaluate/predictions.parquet"],
        ["metrics/evaluate/metrics.json"],
    ),
    "benchmark": (
        "benchmark",
        ["benchmark"],
        ["models/bundle"],
        [],
        ["metrics/benchmark/metrics.json", "metrics/benchmark/machine.json"],
    ),
}


def create(folder: Path) -> Path:
    """The project before its first run, committed on `main`."""
    folder.mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name(CODE), folder / CODE)
    (folder / SCORING).write_text("BINS = 15\n")
    shutil.copytree(project.ROOT / ".dvc", folder / ".dvc", ignore=lambda *_: ["cache", "tmp"])
    shutil.copyfile(project.ROOT / ".gitignore", folder / ".gitignore")
    (folder / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": dict(map(_stage, STAGES))}, sort_keys=False)
    )
    configure(folder)
    project.run(folder, "git", "init", "--quiet", "--initial-branch=main")
    project.run(folder, "git", "config", "user.name", "test")
    project.run(folder, "git", "config", "user.email", "test@example.invalid")
    project.commit(folder, "Start")
    return folder


def _stage(name: str) -> tuple[str, dict[str, Any]]:
    module, params, deps, outs, metrics = STAGES[name]
    return name, {
        "cmd": f"python {CODE} {module}",
        "deps": [CODE, *deps],
        "params": params,
        "outs": outs,
        "metrics": [{path: {"cache": False}} for path in metrics],
    }


def configure(folder: Path, **changed: dict[str, Any]) -> None:
    """Writes params.yaml: the defaults, with some values of some sections changed."""
    params = {name: values | changed.get(name, {}) for name, values in PARAMS.items()}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def repro(folder: Path, check: bool = True) -> str:
    """`dvc repro` with this project on the path of the stages."""
    return project.run(folder, "dvc", "repro", check=check, PYTHONPATH=str(project.ROOT))


def copy(source: Path, target: Path) -> Path:
    """A copy with its cache and outputs, to be changed."""
    return Path(shutil.copytree(source, target, symlinks=True))
