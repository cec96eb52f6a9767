"""The real data, from the Hugging Face hub."""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import HfFileMetadata, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from stages.download import download, symptom
from stages.raw import FILES, LAYOUT, X_TEST, X_TRAIN, Y_TRAIN, SourceError, digest

# Bytes and md5 of the challenge's tables, by repository.
KNOWN = {
    "ndiguesene/ml-datasets-image-rakuten-ecommerce": {
        X_TRAIN: (54_129_120, "c936389910c88bb29bf2c438af3476df"),
        X_TEST: (8_818_548, "d52ec4a79f8f01da099bd3bca4c619d1"),
        Y_TRAIN: (906_705, "52d45c998ddc0c10f05987bb233ff5e7"),
    }
}
KEPT = "what has arrived is kept: run the stage again to go on from there"
DAMAGED = "run the stage again; if that repeats, set data.revision to an earlier commit"

# The first that fits counts: `HfHubHTTPError` is the base of those above it.
_FAILURES: dict[type[Exception], tuple[str, str]] = {
    RepositoryNotFoundError: (
        "no such data set, or a private one",
        "check data.repository; a private or gated one needs HF_TOKEN",
    ),
    RevisionNotFoundError: ("no such revision", "set data.revision to a branch, tag or commit"),
    RemoteEntryNotFoundError: ("the data set has no such file", LAYOUT),
    HfHubHTTPError: ("the hub refuses it", f"try again later; {KEPT}"),
    httpx2.HTTPError: ("no connection", f"check the network, the proxy and HF_ENDPOINT; {KEPT}"),
    OfflineModeIsEnabled: ("HF_HUB_OFFLINE is set", "unset it, or choose another data source"),
    HFValidationError: ("not a name on the hub", "set data.repository to owner/name"),
}


def fetch(
    repository: str, revision: str, target: Path, partial: Path, endpoint: str | None = None
) -> None:
    """Downloads the four files of one commit.

    Args:
        repository: A data set, owner/name.
        revision: Branch, tag or commit.
        target: An existing directory; gets all four files, or none.
        partial: An existing directory for unfinished downloads; a later call resumes from it.
        endpoint: The hub's address; by default the one in HF_ENDPOINT, else the public hub.

    Raises:
        SourceError: A file can't be had, or is not the one that was published.
    """
    _log_once()
    complete = {}
    for name in FILES:
        place = f"huggingface {repository}@{revision}"
        with _explained(name, place):
            found = _locate(_url(repository, name, revision, endpoint), name, place, endpoint)
            # A branch may move while files are fetched: all come from the commit of the first.
            revision = str(found.commit_hash)
            size, checksums = _expected(found, KNOWN.get(repository, {}).get(name))
            if found.size not in {None, size}:
                reason = f"{found.size:,} bytes, expected {size:,}"
                raise SourceError(name, place, reason, DAMAGED)
            complete[name] = _partial_file(partial, name, found)
            download(_url(repository, name, revision, endpoint), name, complete[name], size)
            _verify(complete[name], name, place, checksums)
    for name, path in complete.items():
        path.replace(target / name)


def _log_once() -> None:
    """Sends the library's warnings through the root logger alone, and no request's address."""
    logging.getLogger("huggingface_hub").handlers.clear()
    logging.getLogger("httpx2").setLevel(logging.WARNING)


@contextmanager
def _explained(name: str, place: str) -> Iterator[None]:
    """Turns the library's errors into ones that say what to do."""
    try:
        yield
    except tuple(_FAILURES) as error:
        reason, remedy = next(text for kind, text in _FAILURES.items() if isinstance(error, kind))
        raise SourceError(name, place, f"{reason} ({symptom(error)})", remedy) from error
    except OSError as error:
        if error.errno is not None:  # of this machine; the library gives its own none
            raise
        raise SourceError(name, place, f"ends early ({symptom(error)})", KEPT) from error


def _url(repository: str, name: str, revision: str, endpoint: str | None) -> str:
    return hf_hub_url(repository, name, repo_type="dataset", revision=revision, endpoint=endpoint)


def _locate(url: str, name: str, place: str, endpoint: str | None) -> HfFileMetadata:
    """Commit, checksum and size of a file, after up to five more tries if the hub is busy."""
    found = get_hf_file_metadata(url, endpoint=endpoint, retry_on_errors=True)
    if found.commit_hash is None or found.etag is None:
        reason = f"{url} is not answered by a hub: it names no commit or no checksum"
        raise SourceError(name, place, reason, "check HF_ENDPOINT and the proxy")
    return found


def _expected(
    found: HfFileMetadata, known: tuple[int, str] | None
) -> tuple[int | None, dict[str, str]]:
    """Size in bytes, and checksums by algorithm: those known here, and what the hub tells."""
    size, checksums = found.size, {}
    if known:
        size, checksums["md5"] = known
    if re.fullmatch("[0-9a-f]{64}", str(found.etag)):  # as it is for large files
        checksums["sha256"] = str(found.etag)
    return size, checksums


def _partial_file(directory: Path, name: str, found: HfFileMetadata) -> Path:
    """Where the bytes of just this content gather: another version never continues them."""
    content = hashlib.sha256(str(found.etag).encode()).hexdigest()[:16]
    return directory / f"{name}.{content}.partial"


def _verify(path: Path, name: str, place: str, checksums: dict[str, str]) -> None:
    """Deletes and refuses a download whose content is not the published one."""
    for algorithm, expected in checksums.items():
        actual = digest(path, algorithm)
        if actual != expected:
            path.unlink()
            reason = f"its {algorithm} is {actual}, expected {expected}"
            raise SourceError(name, place, reason, DAMAGED)
