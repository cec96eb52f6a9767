"""One state of the project: its files as git tracks them, its data as DVC keeps them."""

import subprocess
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from dvc.api import DVCFileSystem

from api.errors import ProductCodeError
from stages.report.lock import Lock

LOCK, PARAMS = "dvc.lock", "params.yaml"
SHORT = 9  # digits of a commit that are shown


class RevisionError(ProductCodeError):
    """A revision that is not in this repository."""


class UnavailableError(ProductCodeError):
    """A file that a revision lacks, or that neither DVC's cache nor its remote could give."""


class Revision:
    """The working tree, or a commit.

    Args:
        root: The project's root.
        commit: Full hash; None for the working tree.
    """

    def __init__(self, root: Path, commit: str | None = None) -> None:
        self.root = root
        self.commit = commit
        self._unreachable: str | None = None  # why the remote doesn't answer, once it didn't

    def text(self, path: str) -> str | None:
        """A file that git tracks; None if there is none."""
        if self.commit is None:
            file = self.root / path
            return file.read_text(encoding="utf-8") if file.is_file() else None
        done = git(self.root, "show", f"{self.commit}:{path}")
        return done.stdout if done.returncode == 0 else None

    def read(self, path: str) -> bytes:
        """A file that git or DVC tracks: from the working tree, DVC's cache, or its remote.

        Raises:
            UnavailableError: There is none, or it could not be fetched.
        """
        if not (here := self.local(path)) and self._unreachable:
            raise UnavailableError(f"{path} of {self} is not in the cache; {self._unreachable}")
        try:
            data: bytes = here.read_bytes() if here else self._files.read_bytes(path)
        except FileNotFoundError as error:
            reason = "neither in DVC's cache nor in its remote; run `dvc repro` or `dvc pull`"
            raise UnavailableError(f"{path} of {self} is {reason}") from error
        except Exception as error:  # a remote raises what its own library does
            self._unreachable = f"the remote gave: {str(error).splitlines()[0]}"
            raise UnavailableError(
                f"{path} of {self} is not in DVC's cache, and {self._unreachable}"
            ) from error
        return data

    def local(self, path: str) -> Path | None:
        """Where a file already lies on this machine, so that nothing is downloaded for it."""
        if self.commit is None and (self.root / path).is_file():
            return self.root / path
        try:
            md5 = self._files.info(path).get("md5")
        except Exception:  # noqa: BLE001  a listing that only a remote has fails as that likes
            return None
        cached = Path(self._files.repo.cache.local.oid_to_path(md5)) if md5 else None
        return cached if cached and cached.is_file() else None

    @cached_property
    def lock(self) -> Lock:
        """What dvc.lock records; nothing if there is none."""
        return Lock.parse(self.text(LOCK))

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The content of params.yaml; nothing if there is none."""
        found: Mapping[str, Any] = yaml.safe_load(self.text(PARAMS) or "") or {}
        return found

    @cached_property
    def _files(self) -> DVCFileSystem:
        return DVCFileSystem(str(self.root), rev=self.commit)

    def __str__(self) -> str:
        """A commit's first digits, or what the working tree is called."""
        return self.commit[:SHORT] if self.commit else "this revision"


def base_of(root: Path, name: str) -> Revision:
    """The commit that a change is compared with: where its branch left the named one.

    Raises:
        RevisionError: There is no such revision, or it shares no history with HEAD.
    """
    done = git(root, "merge-base", name, "HEAD")
    if done.returncode:
        reason = done.stderr.strip().removeprefix("fatal: ") or "no history shared with HEAD"
        raise RevisionError(
            f"BASE={name} is nothing to compare with ({reason}): name a branch or commit of this "
            "repository, such as origin/main; a shallow clone needs `git fetch --unshallow` first"
        )
    return Revision(root, done.stdout.strip())


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What git says of the repository; whether that is an error is the caller's to judge."""
    return subprocess.run(  # noqa: S603  the arguments name revisions and files of this project
        ["git", *arguments],  # noqa: S607  git is found on the path, as by DVC
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
