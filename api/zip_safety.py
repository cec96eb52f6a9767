"""Zip files from anywhere: opened only if nothing in them can do harm."""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

# The very reader that ZipFile uses, so that both see the same directory.
from zipfile import _EndRecData  # type: ignore[attr-defined]

from api.errors import ProductCodeError

REBUILD = "build the archive again from image files that you trust"
FETCH_AGAIN = "fetch the archive again"
SPLIT = "split it, or raise the limit"

# What zipfile raises on broken files, when it opens them and when it reads.
BROKEN = (
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

_DRIVE = re.compile(r"[A-Za-z]:")
_COUNT, _DIRECTORY_BYTES = 4, 5  # positions in what _EndRecData returns
_ENTRY_BYTES = 128  # of the directory, for one image in a folder; longer names are not expected
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # traditional, strong, and a hidden directory
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # those whose output zipfile can bound


class ArchiveError(ProductCodeError):
    """An archive that can't be trusted or read."""

    def __init__(self, archive: Path, entry: str | None, reason: str, remedy: str) -> None:
        subject = f"archive {archive}" + (f", entry {entry[:200]!r}" if entry is not None else "")
        super().__init__(f"{subject}: {reason}; {remedy}")
        self.archive = archive
        self.entry = entry
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: bytes of one entry and of all, once unpacked; entries; ratio."""

    entry_bytes: int = 50_000_000
    total_bytes: int = 40_000_000_000
    entries: int = 2_000_000
    ratio: int = 200


DEFAULT_LIMITS = Limits()


def open_zip(path: Path, limits: Limits) -> zipfile.ZipFile:
    """Opens a zip file after checking every entry in its directory.

    Raises:
        ArchiveError: It is no zip file, or an entry is not a harmless file.
    """
    archive = _open(path, limits)
    try:
        _check_entries(path, archive, limits)
    except ArchiveError:
        archive.close()
        raise
    return archive


def _open(path: Path, limits: Limits) -> zipfile.ZipFile:
    try:
        with path.open("rb") as file:
            end = _EndRecData(file)
        if end and (
            end[_COUNT] > limits.entries or end[_DIRECTORY_BYTES] > limits.entries * _ENTRY_BYTES
        ):  # before ZipFile makes an object of every entry
            reason = f"more than {limits.entries:,} entries"
            raise ArchiveError(path, None, reason, SPLIT)
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ArchiveError(path, None, "no such file", "run the import stage") from error
    except BROKEN as error:
        raise ArchiveError(path, None, f"not a whole zip file: {error}", FETCH_AGAIN) from error


def _check_entries(path: Path, archive: zipfile.ZipFile, limits: Limits) -> None:
    infos = archive.infolist()
    for info in infos:
        reason = _unsafe_name(info.orig_filename) or _unsafe_entry(info, limits)
        if reason:
            raise ArchiveError(path, info.orig_filename, reason, REBUILD)
    if len(infos) > limits.entries:
        reason = f"{len(infos):,} entries, the limit is {limits.entries:,}"
        raise ArchiveError(path, None, reason, SPLIT)
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        reason = f"{total:,} bytes once unpacked, the limit is {limits.total_bytes:,}"
        raise ArchiveError(path, None, reason, SPLIT)
    _check_overlap(path, infos, archive.start_dir)


def _unsafe_name(name: str) -> str | None:
    """Why unpacking an entry of this name could write outside its folder, if it could."""
    if not name or "\0" in name:
        return "its name is empty or holds a null character"
    if "\\" in name or _DRIVE.match(name):
        return "its name holds a backslash or a drive letter"
    if name.startswith("/"):
        return "its name is an absolute path"
    if ".." in name.split("/"):
        return "its name leads out of the archive by '..'"
    return None


def _unsafe_entry(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    """Why an entry is not a plain file or directory of an acceptable size, if it isn't."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a symbolic link or a special file"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return f"compression method {info.compress_type} is not supported"
    if info.file_size > limits.entry_bytes:
        return f"{info.file_size:,} bytes once unpacked, the limit is {limits.entry_bytes:,}"
    if info.file_size > limits.ratio * max(info.compress_size, 1):
        return f"unpacks to more than {limits.ratio} times its size"
    return None


def _check_overlap(path: Path, infos: Iterable[zipfile.ZipInfo], directory: int) -> None:
    """Refuses entries that share bytes, as zip bombs do (zipfile checks it from 3.11.8 on).

    Each is taken at the least size that the central directory allows, so no local header has to
    be read: what is unpacked is bounded by the file's size times the ratio.

    Source: D. Fifield, A better zip bomb, WOOT 2019.
    """
    ordered = sorted(infos, key=lambda info: info.header_offset)
    starts = [*(info.header_offset for info in ordered), directory]
    for info, (start, following) in zip(ordered, pairwise(starts), strict=True):
        least = _LOCAL_HEADER_BYTES + len(info.orig_filename) + info.compress_size
        if start < 0 or start + least > following:
            reason = "overlaps another entry or the end of the file"
            raise ArchiveError(path, info.orig_filename, reason, REBUILD)
