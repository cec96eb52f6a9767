"""What DVC tracks, of any revision: from the cache where it is there, else from the remote."""

import logging
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo

from api.errors import ProductCodeError
from stages.promotion.revisions import SHORT, Revision

logger = logging.getLogger(__name__)


class TrackedError(ProductCodeError):
    """A revision's file is in neither the cache nor the remote, or can't be brought."""


def fetch(revision: Revision, path: str, target: Path) -> Path:
    """Brings a file or folder of a revision to `target`, which must not be there yet.

    Raises:
        TrackedError: It can't be had.
    """
    logger.info("bringing %s of %s", path, revision.short)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        files = _files(revision)
        files.get(path, str(target), recursive=files.isdir(path))
    except Exception as error:  # whatever the remote's client raises; there is no common base
        raise TrackedError(_reason(revision, path, error)) from error
    return target


def borrow(revision: Revision, path: str, folder: Path) -> Path:
    """A single file of a revision, to be read only: the cache's own where it holds one.

    An archive of 2.5 GB is not copied to be read once.
    """
    try:
        files = _files(revision)
        md5 = files.info(path)["dvc_info"]["md5"]
        cached = Path(files.repo.cache.local.oid_to_path(md5))
    except Exception as error:
        raise TrackedError(_reason(revision, path, error)) from error
    return cached if cached.is_file() else fetch(revision, path, folder / Path(path).name)


def _files(revision: Revision) -> Any:
    """The revision's files, with the remotes that are configured now: old ones may be gone."""
    with Repo() as repo:
        remotes = {
            key: repo.config[key] for key in ("remote", "core", "cache") if repo.config.get(key)
        }
    return DVCFileSystem(rev=revision.sha, config=remotes)


def _reason(revision: Revision, path: str, error: Exception) -> str:
    kind = "" if isinstance(error, DvcException) else f"{type(error).__name__}: "
    return (
        f"{path} of {revision.name} ({revision.sha[:SHORT]}) is in neither the cache nor the "
        f"remote, or can't be brought ({kind}{str(error).splitlines()[0] if str(error) else ''}): "
        "check the remote's settings, or `dvc push` where that revision was run"
    )
