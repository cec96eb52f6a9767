"""Puts a folder in another's place at once: whoever opens the path finds the old one or the new."""

import ctypes
import os
import shutil
import sys
import tempfile
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def replace(new: Path, place: Path) -> None:
    """Moves `new` to `place`, on the same file system, and deletes what was there.

    Linux exchanges two names in one step. Elsewhere, and on file systems that can't, the old folder
    is moved away first: for a moment there is none, but never half of one.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        new.rename(place)
        return
    if exchange(new, place):
        shutil.rmtree(new)
        return
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".old-") as aside:
        kept = Path(aside) / place.name
        place.rename(kept)
        try:
            new.rename(place)
        except OSError:
            kept.rename(place)
            raise


def exchange(first: Path, second: Path) -> bool:
    """Whether the system could exchange both names.

    Source: renameat2(2).
    """
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(first), os.fsencode(second)
    done: int = rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE)
    return done == 0
