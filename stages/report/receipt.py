"""What it takes to get the same figures again: commits, hashes, versions, processor."""

import hashlib
from importlib import metadata

from stages import benchmark
from stages.report.markdown import code, plain, table
from stages.report.revision import LOCK, Revision, git

HASHED = ("data/raw", "data/preprocessed", "data/embedded", "models/bundle")
FILES = (LOCK, "params.yaml", "requirements/pipeline.txt")
SHOWN = 3  # changed files that are named
PACKAGES = ("dvc", "tensorflow-cpu", "keras", "onnxruntime", "numpy", "scikit-learn", "pandas")


def render(before: Revision | None, after: Revision) -> str:
    """A table of both revisions, then what this machine is."""
    sides = [after] if before is None else [before, after]
    rows = [["commit", *(code(_commit(side)) for side in sides)]]
    rows += [[f"md5 of {name}", *(code(_md5(side.text(name))) for side in sides)] for name in FILES]
    rows += [[f"md5 of {path}", *(code(side.lock.md5(path) or "–") for side in sides)]
             for path in HASHED]  # fmt: skip
    columns = ["", *(["base"] if before else []), "this revision"]
    return f"{table(columns, rows)}\n\n{_machine()}"


def _commit(revision: Revision) -> str:
    """The commit; for the working tree HEAD, and whether anything tracked differs from it."""
    if revision.commit:
        return revision.commit
    head = git(revision.root, "rev-parse", "HEAD").stdout.strip()
    changed = git(revision.root, "status", "--porcelain", "--untracked-files=no").stdout.split("\n")
    files = [line[3:] for line in changed if line]
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"{head} with changes in {', '.join(files[:SHOWN])}{more}" if files else head


def _md5(text: str | None) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() if text else "–"


def _machine() -> str:
    machine = benchmark.machine()
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return (
        f"This page was made on {plain(machine['processor'])}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, {versions}. Another processor may give "
        "other last digits."
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
