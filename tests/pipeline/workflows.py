"""The workflows as data: their jobs, and the commands that these run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
FILES = sorted(FOLDER.glob("*.yml"))
TARGET = re.compile(r"make ([a-z-]+)((?: [A-Z]+=\S+)*)")
PROGRAM = re.compile(r"python -m ((?:stages|api)[a-z_.]*)(?: .*)?")


@dataclass(frozen=True)
class Step:
    """A step that runs a command, with the environment that the workflow gives it."""

    job: str
    run: str
    condition: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> dict[str, Any]:
    """A workflow; YAML takes its key `on` for a truth value."""
    document = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in document.items()}


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """The jobs of a workflow by name."""
    found: dict[str, dict[str, Any]] = read(path)["jobs"]
    return found


def commands(path: Path) -> Iterator[Step]:
    """Every step with `run:`, in order; values that GitHub would fill in are left out."""
    for name, job in jobs(path).items():
        for step in job["steps"]:
            if "run" in step:
                given = {**job.get("env", {}), **step.get("env", {})}
                known = {key: str(v) for key, v in given.items() if "${{" not in str(v)}
                yield Step(name, step["run"], str(step.get("if", "")), known)
