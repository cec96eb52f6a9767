"""One file from the Hugging Face hub, gone on with where an earlier try, or run, stopped.

`hf_hub_download` throws a partial file away when it fails or is killed, and doesn't repeat a
download that meets a 5xx answer or a reset connection; for 2.5 GB both matter. So the library's
`http_get`, which shows progress and resumes by Range, is called here on a file that is kept.
"""

import logging
import time
from pathlib import Path

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from stages.progress import Progress
from stages.raw import require_room

TRIES = 6  # without a byte gained
LONGEST_WAIT = 60  # seconds, where the server names no other

logger = logging.getLogger(__name__)


def download(url: str, name: str, path: Path, size: int | None) -> None:
    """Downloads what a partial file still lacks.

    The library itself repeats on 408, 429, a timeout, a refused or a cut connection.

    Args:
        url: Where the file is; a token is sent there, but not to where it redirects.
        name: What progress and log call the file.
        path: The partial file; made if absent.
        size: In bytes, where the server tells.

    Raises:
        httpx2.HTTPError: The server refuses or can't be reached, after some tries.
        OSError: The disk is full, or the file ends before its size (with no `errno`).
    """
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}  # bytes that Range can count
    failures = 0
    while True:
        have = _resumable_bytes(path, size)
        try:
            with path.open("ab") as file:
                http_get(
                    url,
                    file,
                    resume_size=have,
                    headers=headers,
                    expected_size=size,
                    displayed_filename=name,
                    tqdm_class=Progress,
                )
        except (HfHubHTTPError, httpx2.ReadError) as error:
            failures = 0 if path.stat().st_size > have else failures + 1
            if failures == TRIES or not _transient(error):
                raise
            wait = _seconds_to_wait(error, failures)
            logger.warning("%s: %s, trying again in %d s", name, symptom(error), wait)
            time.sleep(wait)
        else:
            return


def symptom(error: Exception) -> str:
    """What happened, without the address, which may be a signed one."""
    if isinstance(error, HfHubHTTPError):
        return f"HTTP {error.response.status_code}"
    return str(error).partition("\n")[0] or type(error).__name__


def _resumable_bytes(path: Path, size: int | None) -> int:
    """Bytes that have arrived before; none where there is no size to compare them with."""
    have = path.stat().st_size if path.exists() else 0
    if have and (size is None or have > size):
        path.unlink()
        return 0
    if size is not None:
        require_room(path.parent, size - have)
    if have:
        logger.info("%s: going on from byte %s of %s", path.name, f"{have:,}", f"{size:,}")
    return have


def _transient(error: Exception) -> bool:
    return not isinstance(error, HfHubHTTPError) or error.response.is_server_error


def _seconds_to_wait(error: Exception, failures: int) -> int:
    if isinstance(error, HfHubHTTPError):
        asked = error.response.headers.get("Retry-After", "")
        if asked.isdigit():
            return int(asked)
    return int(min(2**failures, LONGEST_WAIT))
