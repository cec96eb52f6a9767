"""What dvc.lock records: of each stage what it read and wrote, as hashes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import yaml

from stages.tracking import flatten


@dataclass(frozen=True)
class Entry:
    """A file or directory: hash, bytes, files in it (None for a file)."""

    md5: str
    size: int
    files: int | None


@dataclass(frozen=True)
class Stage:
    """A stage as it last ran: hashes of what it read, parameters by dotted name, what it wrote."""

    command: str
    deps: Mapping[str, str]
    params: Mapping[str, Any]
    outs: Mapping[str, Entry]

    def reasons(self, earlier: "Stage | None") -> list[str]:
        """Why it ran again: code, data, parameters or command that are not those of before."""
        if earlier is None:
            return ["new stage"]
        changed = ["command"] if self.command != earlier.command else []
        changed += [path for path in sorted({*self.deps, *earlier.deps})
                    if self.deps.get(path) != earlier.deps.get(path)]  # fmt: skip
        names = sorted({*self.params, *earlier.params})
        return changed + [n for n in names if self.params.get(n) != earlier.params.get(n)]


@dataclass(frozen=True)
class Lock:
    """The stages of a dvc.lock by name, in the order of the pipeline."""

    stages: Mapping[str, Stage] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """As the file has it; no stages where there is no file."""
        document = yaml.safe_load(text or "") or {}
        return cls({name: _stage(found) for name, found in document.get("stages", {}).items()})

    @property
    def outs(self) -> dict[str, Entry]:
        """Every output by its path."""
        return {path: out for stage in self.stages.values() for path, out in stage.outs.items()}

    def md5(self, path: str) -> str | None:
        """The hash of an output; None if there is none."""
        out = self.outs.get(path)
        return out.md5 if out else None


def _stage(found: Mapping[str, Any]) -> Stage:
    sections: dict[str, Any] = {}
    for values in found.get("params", {}).values():
        sections |= values
    return Stage(
        found["cmd"],
        {dep["path"]: dep.get("md5", "") for dep in found.get("deps", [])},
        flatten(sections),
        {
            out["path"]: Entry(out.get("md5", ""), out.get("size", 0), out.get("nfiles"))
            for out in found.get("outs", [])
        },
    )
