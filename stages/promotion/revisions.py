"""A revision as promotion sees it: what its dvc.lock and its committed metrics say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from api.errors import ProductCodeError
from stages.promotion import git

LOCK = "dvc.lock"
BUNDLE = "models/bundle"
PREPROCESSED = "data/preprocessed"
IMAGES = "data/raw/images.zip"
PREDICTIONS = "metrics/evaluate/predictions.parquet"
EVALUATION = "metrics/evaluate/metrics.json"
BENCHMARK = "metrics/benchmark/metrics.json"
MACHINE = "metrics/benchmark/machine.json"
SHORT = 10  # digits of a commit in messages


class RevisionError(ProductCodeError):
    """A revision that is unknown, or that has no finished run of the pipeline."""


@dataclass(frozen=True)
class Revision:
    """A commit whose dvc.lock records a whole run; `name` is what it was asked for by."""

    name: str
    sha: str
    stages: Mapping[str, Any]

    @classmethod
    def read(cls, name: str) -> "Revision":
        """The revision of a commit, branch, tag or DVC experiment.

        Raises:
            RevisionError: There is none, or its dvc.lock holds no bundle.
        """
        sha = resolve(name)
        text = git.show(sha, LOCK)
        if text is None:
            raise RevisionError(
                f"{name} ({sha[:SHORT]}) has no {LOCK}: commit that of a finished `make repro`"
            )
        found = cls(name, sha, stages_of(text))
        if not bundle_in(found.stages):
            raise RevisionError(
                f"{LOCK} of {name} ({sha[:SHORT]}) has no {BUNDLE}: the run that it records "
                "ended before training; run `make repro` and commit"
            )
        return found

    @property
    def version(self) -> str:
        """The md5 that dvc.lock holds for the bundle: the `model_version` of every answer."""
        return bundle_in(self.stages) or ""

    @property
    def short(self) -> str:
        """What messages call it."""
        plain = self.sha[:SHORT]
        return plain if self.sha.startswith(self.name) else f"{self.name} ({plain})"

    def dependency(self, stage: str, path: str) -> str | None:
        """The md5 of what a stage read, None if it isn't recorded."""
        return _md5(self.stages, stage, "deps", path)

    def metrics(self, path: str) -> dict[str, Any]:
        """A committed JSON file of figures.

        Raises:
            RevisionError: It isn't there, or is no JSON object.
        """
        text = git.show(self.sha, path)
        if text is None:
            raise RevisionError(f"{self.short} has no {path}: run `make repro` and commit it")
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise RevisionError(f"{path} of {self.short} is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise RevisionError(f"{path} of {self.short} holds no JSON object")
        return content


def resolve(name: str) -> str:
    """The full hash of a commit, branch, tag or DVC experiment.

    Raises:
        RevisionError: There is none, or several experiments have that name.
    """
    if sha := git.commit(name):
        return sha
    shas = {sha for sha, _ in git.experiments().get(name, [])}
    if len(shas) > 1:
        raise RevisionError(f"{len(shas)} experiments are called {name}: name one by its commit")
    if not shas:
        raise RevisionError(
            f"{name} is no commit, branch, tag or experiment here: look at `git log --all` and "
            "`dvc exp list --all-commits`, or `git fetch --tags`"
        )
    return shas.pop()


def stages_of(text: str) -> Mapping[str, Any]:
    """The stages of a dvc.lock, none where the text isn't one."""
    try:
        content = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return {}
    stages = content.get("stages") if isinstance(content, dict) else None
    return stages if isinstance(stages, dict) else {}


def bundle_in(stages: Mapping[str, Any]) -> str | None:
    """The md5 of the bundle that `train` wrote."""
    return _md5(stages, "train", "outs", BUNDLE)


def _md5(stages: Mapping[str, Any], stage: str, kind: str, path: str) -> str | None:
    entries = stages.get(stage, {}).get(kind, [])
    return next((entry.get("md5") for entry in entries if entry.get("path") == path), None)
