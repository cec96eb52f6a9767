"""Where a batch's images are: a zip file, a folder, or nowhere."""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from api.archive import ImageArchive, Limits
from api.product_form import image_too_large
from api.zip_safety import REBUILD, ArchiveError

NESTED = {".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"}
Kept = TypeVar("Kept")


class Images(Protocol):
    """Images by name: a path from the top, or the last part of one if no other has the same."""

    def __contains__(self, name: object) -> bool:
        """Whether there is one of that name."""

    def read(self, name: str) -> bytes | None:
        """Its bytes; None when there is none of that name."""


class NoImages:
    """Nowhere."""

    def __contains__(self, name: object) -> bool:
        """There is none."""
        return False

    def read(self, name: str) -> bytes | None:  # noqa: ARG002  # Images has it
        """There is none."""
        return None


class ZipImages(ImageArchive):
    """A zip file: images as the challenge names them wherever they are, others by their name."""

    def __init__(self, path: Path, entries: int, image_bytes: int) -> None:
        """Checks it whole.

        Args:
            path: The file.
            entries: How many it may have.
            image_bytes: How many an image may have.

        Raises:
            ArchiveError: It can't be trusted or read.
        """
        super().__init__(path, Limits(entries=entries))
        self._image_bytes = image_bytes
        files = [info for info in self._zip.infolist() if not info.is_dir()]
        for info in files:
            if PurePosixPath(info.filename).suffix.lower() in NESTED:
                self.close()
                raise ArchiveError(path, info.filename, "is an archive inside the archive", REBUILD)
        self.members = _by_name((info.filename, info) for info in files) | self.members

    def __contains__(self, name: object) -> bool:
        """Whether there is one of that name."""
        return name in self.members

    def read(self, name: str) -> bytes | None:
        """Its bytes.

        Raises:
            ArchiveError: The entry is corrupt.
            Problem: 413, it is too large.
        """
        info: zipfile.ZipInfo | None = self.members.get(name)
        if info and info.file_size > self._image_bytes:
            raise image_too_large(self._image_bytes)
        return super().read(name)


class FolderImages:
    """A folder of one's own."""

    def __init__(self, path: Path, image_bytes: int) -> None:
        self._image_bytes = image_bytes
        found = (Path(top) / name for top, _, names in os.walk(path) for name in names)
        self._files = _by_name((file.relative_to(path).as_posix(), file) for file in sorted(found))

    def __contains__(self, name: object) -> bool:
        """Whether there is one of that name."""
        return name in self._files

    def read(self, name: str) -> bytes | None:
        """Its bytes.

        Raises:
            Problem: 413, it is too large.
        """
        file = self._files.get(name)
        if file is None or not file.is_file():
            return None
        with file.open("rb") as stream:
            data = stream.read(self._image_bytes + 1)
        if len(data) > self._image_bytes:
            raise image_too_large(self._image_bytes)
        return data


def _by_name(named: Iterable[tuple[str, Kept]]) -> dict[str, Kept]:
    """By path; by the last part of it too, unless several have the same."""
    paths = dict(named)
    last: dict[str, Kept] = {}
    several: set[str] = set()
    for path, kept in paths.items():
        name = path.rpartition("/")[2]
        if name in last:
            several.add(name)
        last[name] = kept
    return {name: kept for name, kept in last.items() if name not in several} | paths
