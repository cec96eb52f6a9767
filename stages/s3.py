"""A catalogue in an S3 bucket, or in any storage that speaks S3."""

import logging
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from fsspec.callbacks import TqdmCallback
from s3fs import S3FileSystem

from stages.progress import Progress
from stages.raw import DISK_FULL, FILES, LAYOUT, SourceError, require_room

logger = logging.getLogger(__name__)


def fetch(url: str, target: Path) -> None:
    """Downloads the four files.

    Credentials, region and endpoint come from where AWS tools look for them: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_PROFILE, a role.

    Args:
        url: s3://bucket/prefix; the files stand right below it.
        target: An existing directory.

    Raises:
        SourceError: The bucket or a file is missing, closed, or can't be reached.
    """
    # A fresh one, as fsspec would keep an earlier one with its endpoint and credentials.
    storage = S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    for name in FILES:
        source = f"{url.rstrip('/')}/{name}"
        logger.info("downloading %s", source)
        try:
            _download(storage, source, target / name)
        except (BotoCoreError, ClientError, OSError) as error:
            raise _explained(error, name, url) from error


def _download(storage: Any, source: str, path: Path) -> None:
    """Downloads one object in a single stream, which goes on by Range after a cut connection."""
    size = storage.info(source)["size"]
    require_room(path.parent, size)
    bar = TqdmCallback(
        {"desc": path.name, "unit": "B", "unit_scale": True}, tqdm_cls=Progress, size=size
    )
    with bar:
        storage.get_file(source, str(path), callback=bar, max_concurrency=1)


def _explained(error: Exception, name: str, url: str) -> Exception:
    """The error to raise: a local one as it is, one of the storage with what to do about it."""
    if isinstance(error, FileNotFoundError):
        return SourceError(name, url, f"no such file or bucket ({error})", LAYOUT)
    if isinstance(error, PermissionError):
        remedy = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy"
        return SourceError(name, url, f"access refused ({error})", remedy)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return error
    remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; check AWS_ENDPOINT_URL"
    return SourceError(name, url, f"can't be had ({error})", remedy)
