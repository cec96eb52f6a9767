"""dvc.lock against the committed one: which stages gave something else here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

LOCK = "dvc.lock"
MACHINE = "metrics/benchmark/machine.json"
MEASURING = ("benchmark",)  # never gives the same bytes twice


def differing(first: str, second: str) -> list[str]:
    """Stages that two dvc.lock texts record differently, those that measure time left out."""
    one, other = (yaml.safe_load(text)["stages"] for text in (first, second))
    names = sorted({*one, *other} - {*MEASURING})
    return [name for name in names if one.get(name) != other.get(name)]


def committed(path: str, revision: str) -> str:
    """A file's text at a revision."""
    return subprocess.run(  # noqa: S603  the arguments name a revision and a file of this project
        ["git", "show", f"{revision}:{path}"],  # noqa: S607  git is found on the path, as by DVC
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def same_processor(first: str, second: str) -> bool:
    """Whether two machine.json texts name one processor."""
    one, other = (_processor(json.loads(text)) for text in (first, second))
    return bool(one == other)


def _processor(machine: dict[str, Any]) -> Any:
    return machine["processor"]


def main(revision: str = "HEAD") -> int:
    """Prints what differs; 1 if something does though the processor is the same."""
    stages = differing(committed(LOCK, revision), Path(LOCK).read_text(encoding="utf-8"))
    if not stages:
        print(f"{LOCK} equals that of {revision}, {', '.join(MEASURING)} aside")
        return 0
    print(f"{LOCK} differs from that of {revision} in: {', '.join(stages)}")
    machine = Path(MACHINE).read_text(encoding="utf-8")
    if same_processor(committed(MACHINE, revision), machine):
        print("The processor is the same: something isn't reproducible")
        return 1
    print("The processor is another one: see docs/decisions/reproducibility.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
