"""data/raw: the four files of a catalogue, whichever source they were brought from."""

import csv
import errno
import hashlib
import json
import shutil
from pathlib import Path

from api.archive import ArchiveError, ImageArchive
from api.errors import ProductCodeError

X_TRAIN, X_TEST, Y_TRAIN = "X_train_update.csv", "X_test_update.csv", "Y_train_CVw08PX.csv"
IMAGES = "images.zip"
SOURCE = "source.json"

# The first column holds row numbers and has no name.
X_COLUMNS = ["", "designation", "description", "productid", "imageid"]
COLUMNS = {Y_TRAIN: ["", "prdtypecode"], X_TEST: X_COLUMNS, X_TRAIN: X_COLUMNS}
FILES = (*COLUMNS, IMAGES)  # smallest first, so that a wrong source is found out early
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LAYOUT = f"it has to hold {', '.join(FILES)} in the challenge's layout"


class SourceError(ProductCodeError):
    """A file that a source doesn't have, doesn't give, or has in another form than expected."""

    def __init__(self, file: str, place: str, reason: str, remedy: str) -> None:
        super().__init__(f"{file} from {place}: {reason}; {remedy}")
        self.file = file


def check(directory: Path, place: str) -> None:
    """Refuses files that no later stage could use.

    Args:
        directory: Holds the four files.
        place: Where they were brought from, for the message.

    Raises:
        SourceError: A file is missing, a table has other columns, or the archive is not safe.
    """
    for name in FILES:
        if not (directory / name).is_file():
            raise SourceError(name, place, "no such file", LAYOUT)
    for name, columns in COLUMNS.items():
        _check_columns(directory / name, columns, place)
    try:
        with ImageArchive(directory / IMAGES) as archive:
            found = len(archive.members)
    except ArchiveError as error:
        raise SourceError(IMAGES, place, str(error), "or choose another source") from error
    if not found:
        reason = "no entry is named image_<imageid>_product_<productid>.jpg"
        raise SourceError(IMAGES, place, reason, "name the images so")


def _check_columns(path: Path, expected: list[str], place: str) -> None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        remedy = "save it as comma-separated values in UTF-8"
        raise SourceError(path.name, place, f"not readable as a table: {error}", remedy) from error
    if [name.strip() for name in found[1:]] != expected[1:]:
        reason = f"its columns are {str(found)[:200]}, expected row numbers, then {expected[1:]}"
        raise SourceError(path.name, place, reason, LAYOUT)


def require_room(directory: Path, size: int) -> None:
    """Raises the error of a full disk, ENOSPC, before it is met in the middle of a file."""
    if shutil.disk_usage(directory).free < size:
        raise OSError(errno.ENOSPC, f"{size:,} bytes are needed", str(directory))


def describe(directory: Path, source: str, synthetic: bool) -> str:
    """The text of source.json: what the data are, and the size and md5 of each file."""
    files = {
        name: {"bytes": (directory / name).stat().st_size, "md5": digest(directory / name, "md5")}
        for name in FILES
    }
    document = {"source": source, "synthetic": synthetic, "files": files}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def digest(path: Path, algorithm: str) -> str:
    """A file's checksum in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
