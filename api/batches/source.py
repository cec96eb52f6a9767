"""A file of products: checked as a whole, then read row by row."""

import codecs
from itertools import islice
from typing import BinaryIO

from api.batches.csv_rows import CsvRows
from api.batches.json_rows import JsonRows
from api.batches.raw import BOM, refused
from api.problems import Problem
from api.settings import Settings

BLOCK = 1 << 20
ROOM = 65_536
"""Bytes of a row besides its texts and its image."""
Rows = CsvRows | JsonRows


def open_rows(file: BinaryIO, settings: Settings) -> Rows:
    """The rows of a file, CSV or JSON Lines as its first character tells.

    Raises:
        Problem: 422, it is empty, not in UTF-8, or its columns can't be used.
    """
    check_encoding(file)
    if _first_character(file) == b"{":
        base64 = settings.max_image_bytes * 4 // 3
        # A character may be written \uXXXX, twice that beyond the first plane.
        return JsonRows(file, base64 + 2 * 12 * settings.max_text_characters + ROOM)
    return CsvRows(file, 2 * 4 * settings.max_text_characters + ROOM)


def check_encoding(file: BinaryIO) -> None:
    """Reads it all once, so that nothing is answered of a file that turns out to be in Latin-1.

    Raises:
        Problem: 422, with the first line that isn't UTF-8.
    """
    file.seek(0)
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
    try:
        while block := file.read(BLOCK):
            decoder.decode(block)
            lines += block.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        # What the decoder kept of earlier blocks is part of a character, so no line ends in it.
        line = lines + bytes(error.object[: error.start]).count(b"\n")
        raise refused(
            f"Ligne {line} : le fichier n'est pas en UTF-8. Enregistrez-le en UTF-8 "
            "(« CSV UTF-8 » dans un tableur) et renvoyez-le.",
            "encoding",
            line=line,
        ) from None


def count_rows(rows: Rows, most: int | None = None) -> int:
    """How many rows there are, or one more than `most`."""
    return sum(1 for _ in islice(rows, most and most + 1))


def check_count(rows: Rows, most: int) -> None:
    """Raises a Problem, 413, if there are more rows than that."""
    if count_rows(rows, most) > most:
        raise Problem(
            413,
            f"Le fichier a plus de {most} produits : partagez-le.",
            "batch",
            reason="too_many_rows",
            limit_rows=most,
        )


def _first_character(file: BinaryIO) -> bytes:
    file.seek(0)
    found = file.read(ROOM).removeprefix(BOM).lstrip()[:1]
    if not found:
        raise refused("Le fichier est vide : envoyez des produits, en CSV ou JSON Lines.", "empty")
    return found
