"""Stages that have not run on what the working tree holds, and what they said when they failed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo

from api.errors import ProductCodeError
from stages.report.cost import LOGS, MODULES
from stages.report.markdown import code

NOT_HERE = {"deleted", "not in cache"}  # an output that was not brought here, not one that changed
MESSAGE = 300  # characters of an error
LINE = re.compile(r"^[\d-]+ [\d:]+,\d+ (INFO|ERROR) stages\.(\w+) (.*)$", re.MULTILINE)


class PipelineError(ProductCodeError):
    """Stages that DVC can't read."""


def stages(root: Path) -> list[str]:
    """Stages whose record in dvc.lock is not of the present code, parameters and data.

    What depends on them is among them.

    Raises:
        PipelineError: dvc.yaml or dvc.lock is broken.
    """
    try:
        names = _waiting(root)
    except DvcException as error:
        raise PipelineError(f"{error}: mend it until `dvc status` can read it") from error
    document = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    return [name for name in document["stages"] if name in names]


def _waiting(root: Path) -> set[str]:
    with Repo(str(root)) as repo:
        outputs = {str(Path(out.fs_path).relative_to(root.resolve())) for out in repo.index.outs}
        status: Mapping[str, list[Any]] = repo.status()
        stale = {name for name, parts in status.items() if _stale(parts, outputs)}
        graph = repo.index.graph
        waiting = [stage for stage in graph if stage.addressing in stale]
        for stage in waiting:  # grows: dependents of dependents follow
            waiting += [later for later in graph.predecessors(stage) if later not in waiting]
        return {stage.addressing for stage in waiting}


def _stale(parts: list[Any], outputs: set[str]) -> bool:
    """Whether what `dvc status` says of a stage means that it has to run again."""
    if any(isinstance(part, str) for part in parts):
        return True  # a changed command
    changes = [change for part in parts for found in part.values() for change in found.items()]
    return not all(_absent(kind) and _produced(path, outputs) for path, kind in changes)


def _absent(kind: Any) -> bool:
    """Whether a path is not here; parameters have a dictionary of changes instead."""
    return isinstance(kind, str) and kind in NOT_HERE


def _produced(path: str, outputs: set[str]) -> bool:
    return path in outputs or any(path.startswith(f"{out}/") for out in outputs)


def errors(root: Path) -> dict[str, str]:
    """The error with which a stage's last run on this machine ended, by stage."""
    last: dict[str, tuple[str, str]] = {}
    for log in sorted(root.glob(LOGS)):
        for level, module, message in LINE.findall(
            log.read_text(encoding="utf-8", errors="replace")
        ):
            last[MODULES.get(module, module)] = (level, message)
    return {stage: message for stage, (level, message) in last.items() if level == "ERROR"}


def render(root: Path, names: list[str]) -> str:
    """A line for each stage, with its error if it left one."""
    said = errors(root)
    lines = [
        f"- {code(name)}: {code(said[name][:MESSAGE])}"
        if name in said
        else f"- {code(name)}: not run on this state"
        for name in names
    ]
    return "\n".join(lines)
