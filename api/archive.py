"""The archive of product images: checked whole when opened, read one image at a time."""

import re
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from api.zip_safety import BROKEN, DEFAULT_LIMITS, FETCH_AGAIN, ArchiveError, Limits, open_zip

__all__ = ["ArchiveError", "ImageArchive", "Limits", "image_name", "is_image_name"]

_IMAGE = re.compile(r"image_[0-9]+_product_[0-9]+\.jpg")


def image_name(imageid: int, productid: int) -> str:
    """The file name of a product's image."""
    return f"image_{imageid}_product_{productid}.jpg"


def is_image_name(name: str) -> bool:
    """Whether a file name is one that `image_name` gives."""
    return _IMAGE.fullmatch(name) is not None


class ImageArchive:
    """An open zip archive of images; `read` may be called from several threads.

    `members` maps the base name of an image to its entry; folders inside the archive are ignored,
    as are directories, __MACOSX and files that are not named as `image_name` does.
    """

    members: dict[str, zipfile.ZipInfo]

    def __init__(self, path: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self.path = path
        self._lock = threading.Lock()  # ZipFile's count of its open entries is not guarded
        self._zip = open_zip(path, limits)
        try:
            self.members = _images(path, self._zip.infolist())
        except ArchiveError:
            self._zip.close()
            raise

    def read(self, name: str) -> bytes | None:
        """The bytes of one image, None when the archive has no image of that name.

        Raises:
            ArchiveError: The entry is corrupt.
        """
        info = self.members.get(name)
        if info is None:
            return None
        try:
            with self._lock, self._zip.open(info) as stream:
                # An exact size keeps an entry that lies about its own from filling the memory.
                data = stream.read(info.file_size)
        except BROKEN as error:
            raise ArchiveError(self.path, info.filename, str(error), FETCH_AGAIN) from error
        if len(data) != info.file_size or (info.CRC and not data):
            reason = f"{len(data)} bytes, not the declared {info.file_size} with that checksum"
            raise ArchiveError(self.path, info.filename, reason, FETCH_AGAIN)
        return data

    def close(self) -> None:
        """Closes the file."""
        self._zip.close()

    def __enter__(self) -> Self:
        """The archive itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self.close()


def _images(path: Path, infos: Iterable[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Entries that are images, by base name."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        folders, _, name = info.filename.rpartition("/")
        if not is_image_name(name) or "__MACOSX" in folders.split("/"):
            continue
        twin = members.setdefault(name, info)
        if (twin.CRC, twin.file_size) != (info.CRC, info.file_size):
            reason = f"another image than {twin.filename!r}, which has the same name"
            raise ArchiveError(path, info.filename, reason, "keep one of the two")
    return members
