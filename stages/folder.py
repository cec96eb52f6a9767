"""A catalogue in a local folder; its images are an archive, or files to be packed into one."""

import logging
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from api.archive import is_image_name
from stages.progress import Progress
from stages.raw import COLUMNS, IMAGES, LAYOUT, SourceError, require_room

IMAGE_FOLDERS = {"images", "image_train", "image_test"}
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip file can hold: the same files, the same bytes
MODE = stat.S_IFREG | 0o644

logger = logging.getLogger(__name__)


def fetch(folder: Path, target: Path) -> None:
    """Copies the four files; packs the images where the folder has no archive of them.

    Files are copied, not linked: DVC changes the mode of what it caches, and a later edit of a
    linked file would change the cache.

    Args:
        folder: Holds the tables, and images.zip or image files in any folder named as in
            `IMAGE_FOLDERS`, at any depth.
        target: An existing directory.

    Raises:
        SourceError: The folder or a file is missing, or a link leads out of the folder.
    """
    if not folder.is_dir():
        raise SourceError(
            "every file",
            str(folder),
            f"no such folder ({folder.absolute()})",
            "a relative path starts at the project's root, and `dvc exp run --temp` and queued "
            "experiments run in a root of their own: set data.path to an absolute path",
        )
    root = folder.resolve()
    for name in COLUMNS:
        _copy(root, name, target)
    if (root / IMAGES).exists():
        _copy(root, IMAGES, target)
    else:
        _pack(root, target / IMAGES)


def _copy(root: Path, name: str, target: Path) -> None:
    source = _inside(root / name, root)
    if not source.is_file():
        raise SourceError(name, str(root), "no such file", LAYOUT)
    require_room(target, source.stat().st_size)
    logger.info("copying %s", name)
    shutil.copyfile(source, target / name)


def _inside(path: Path, root: Path) -> Path:
    """Where a path leads, once found to stay below the folder."""
    resolved = path.resolve()
    if not resolved.is_relative_to(root):
        name = path.relative_to(root).as_posix()
        reason = f"is a link that leads out of the folder, to {resolved}"
        raise SourceError(name, str(root), reason, "put the file itself there")
    return resolved


def _pack(root: Path, archive: Path) -> None:
    """Writes the image files into one archive, uncompressed as JPEG gains nothing."""
    names = sorted(_images(root))
    if not names:
        reason = (
            f"no such file, and no image_<imageid>_product_<productid>.jpg in a folder named "
            f"{', '.join(sorted(IMAGE_FOLDERS))}"
        )
        raise SourceError(IMAGES, str(root), reason, LAYOUT)
    logger.info("packing %d images", len(names))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for name in Progress(names, desc="packing images", unit=" images"):
            _add(packed, root, name)


def _add(packed: zipfile.ZipFile, root: Path, name: str) -> None:
    source = _inside(root / name, root)
    entry = zipfile.ZipInfo(name, DATE)
    entry.create_system = 3  # Unix, whichever system packs
    entry.external_attr = MODE << 16
    entry.file_size = source.stat().st_size
    with source.open("rb") as image, packed.open(entry, "w") as out:
        shutil.copyfileobj(image, out)


def _images(root: Path) -> Iterator[str]:
    """Paths, relative to the root, of the image files in image folders.

    A link to a folder inside the root is passed over, as the folder is met at its own place.
    """
    for place, folders, files in os.walk(root):
        parts = Path(place).relative_to(root)
        for folder in folders:
            _inside(Path(place) / folder, root)
        if IMAGE_FOLDERS.isdisjoint(parts.parts):
            continue
        yield from ((parts / file).as_posix() for file in files if is_image_name(file))
