"""A copy of this project as a repository of its own, with a DAG small enough to run in tests."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from stages.compose import compose

ROOT = Path(__file__).parents[2]
COPIED = (
    "api",
    "stages",
    "conf",
    "dvc.yaml",
    "requirements",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
)
SMALL = {
    "data/sample": {"products": 270, "test_products": 100},
    "image/efficientnet_lite0": {"size": 32, "weights": "random"},
    "training/default": {"epochs": 2, "folds": 2},
    "config": {"benchmark": {"requests": 60, "clients": 2, "price_per_core_hour": 0.05}},
}
IDENTITY = {
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.invalid",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.invalid",
}


def environment(**variables: str) -> dict[str, str]:
    """The programs of this environment first on the path, and an author for commits."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | IDENTITY | {"PATH": path, "DVC_NO_ANALYTICS": "1"} | variables


def run(folder: Path, *command: str, check: bool = True, **variables: str) -> str:
    """A command's output, both streams; it has to succeed unless `check` is false."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, f"{command}\n{done.stdout}"
    return done.stdout


def create(folder: Path) -> Path:
    """A repository with one commit; small by the values in its conf/, otherwise this project."""
    folder.mkdir(parents=True)
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    for name, values in SMALL.items():
        file = folder / "conf" / f"{name}.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | values, sort_keys=False))
    compose(folder / "params.yaml", [], folder / "conf")
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    commit(folder, "Start")
    return folder


def commit(folder: Path, message: str) -> None:
    """Everything that git sees, committed."""
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", message)


def clone(source: Path, target: Path) -> Path:
    """A fresh clone: what is committed, and nothing of DVC's cache."""
    run(source, "git", "clone", "--quiet", str(source), str(target))
    return target


def reproducible_lock(folder: Path) -> dict[str, object]:
    """dvc.lock without the stage that measures time."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {name: stage for name, stage in lock.items() if name != "benchmark"}


def metrics(folder: Path) -> dict[str, object]:
    """`dvc metrics show` by file."""
    shown = json.loads(run(folder, "dvc", "metrics", "show", "--json"))
    return {name: file["data"] for name, file in shown[""]["data"].items()}
