"""From a model_version back to the commits, parameters, data and figures it came from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from api.errors import ProductCodeError
from stages.promotion import git
from stages.promotion.revisions import BENCHMARK, BUNDLE, EVALUATION, LOCK, bundle_in, stages_of

DIGITS = 6  # of a prefix, at least
DATA = ("data/raw", "data/preprocessed", "data/embedded")


class LineageError(ProductCodeError):
    """A model_version that no commit here has, or a prefix of several."""


@dataclass(frozen=True)
class Origin:
    """A commit whose dvc.lock brought a bundle in."""

    sha: str
    date: str
    author: str
    subject: str
    names: tuple[str, ...]
    version: str
    stages: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """Sections of params.yaml that the bundle's stages read, as dvc.lock recorded them."""
        found: dict[str, Any] = {}
        for stage in self.stages.values():
            found |= stage.get("params", {}).get("params.yaml", {})
        return found

    @property
    def data(self) -> dict[str, str]:
        """The md5 of each folder of data, by path."""
        outs = [out for stage in self.stages.values() for out in stage.get("outs", [])]
        return {out["path"]: out["md5"] for out in outs if out["path"] in DATA}

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures that were committed with it, by file; none where they are of another bundle."""
        deps = self.stages.get("evaluate", {}).get("deps", [])
        scored = {dep["path"]: dep.get("md5") for dep in deps}.get(BUNDLE)
        if scored != self.version:
            return {}
        texts = {path: git.show(self.sha, path) for path in (EVALUATION, BENCHMARK)}
        return {path: json.loads(text) for path, text in texts.items() if text}


def trace(prefix: str) -> list[Origin]:
    """The commits that brought a bundle in, the first one last.

    Args:
        prefix: A model_version, or its first digits.

    Raises:
        LineageError: None has it, or the prefix is of several.
    """
    wanted = prefix.strip().lower().removesuffix(".dir")
    if len(wanted) < DIGITS or not set(wanted) <= set("0123456789abcdef"):
        raise LineageError(
            f"{prefix!r} is no model_version: that is a md5, such as GET /model and every answer "
            f"give it, or its first {DIGITS} digits or more"
        )
    origins = list(_origins(wanted))
    found = sorted({origin.version for origin in origins})
    if len(found) > 1:
        raise LineageError(f"{prefix} is the beginning of {', '.join(found)}: give more digits")
    if not origins:
        raise LineageError(
            f"no commit here has a {LOCK} with bundle {prefix}{_shallow()}: run `git fetch --all "
            "--tags`, or it was trained in a working tree that was never committed (MLflow has its "
            "run)"
        )
    return origins


def _origins(wanted: str) -> Iterator[Origin]:
    """Commits of every branch, tag and experiment that added such a bundle to dvc.lock."""
    line = "%H%x1f%aI%x1f%an%x1f%s"
    logged = git.git("log", "--all", "-m", f"-S{wanted}", f"--format={line}", "--", LOCK)
    done = set()
    for entry in filter(None, logged.splitlines()):
        sha, date, author, subject = entry.split("\x1f", 3)
        stages = stages_of(git.show(sha, LOCK) or "")
        version = bundle_in(stages) or ""
        if version.startswith(wanted) and sha not in done:
            done.add(sha)
            yield Origin(sha, date, author, subject, _names(sha), version, stages)


def _names(sha: str) -> tuple[str, ...]:
    """Branches, tags and experiments that point at a commit, and tags of GTO among them."""
    listed = git.git("for-each-ref", f"--points-at={sha}", "--format=%(refname)")
    prefixes = ("refs/heads/", "refs/tags/", "refs/remotes/")
    names = []
    for ref in listed.splitlines():
        if ref.startswith("refs/exps/"):
            names.append(f"experiment {ref.rsplit('/', 1)[1]}")
        names += [ref.removeprefix(each) for each in prefixes if ref.startswith(each)]
    return tuple(names)


def _shallow() -> str:
    shallow = git.git("rev-parse", "--is-shallow-repository") == "true"
    return " (this clone is shallow: `git fetch --unshallow`)" if shallow else ""
