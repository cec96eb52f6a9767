"""Rows of a CSV file, by the names in its header."""

from collections.abc import Iterator
from typing import BinaryIO

from api.batches.raw import ALIASES, BOM, Raw, malformed, refused
from api.batches.records import Record, Records

SEPARATORS = (",", ";", "\t")
COLUMNS = ("product_identifier", "designation", "description", "product_id", "imageid", "image")
UNNAMED = "unnamed:"
"""What pandas makes of a column without a name starts so."""


class CsvRows:
    """The rows of a CSV file with a header.

    `separator` is the one under which the header has most of the known columns; other columns
    are `ignored`.
    """

    def __init__(self, file: BinaryIO, limit: int) -> None:
        """Reads the header.

        Raises:
            Problem: 422, it has no usable columns.
        """
        self._file = file
        self._limit = limit
        headers = {separator: self._header(separator) for separator in SEPARATORS}
        self.separator = max(SEPARATORS, key=lambda separator: len(_known(headers[separator])))
        self._columns = _named(headers[self.separator])
        _check(self._columns)
        self.ignored = [name for name in self._columns if name and name not in COLUMNS]

    def __iter__(self) -> Iterator[Raw]:
        """Every row, from the first."""
        records = self._records(self.separator)
        records.next()
        while record := records.next():
            reason = record.reason or self._misfit(record)
            if reason and record.several:
                records.give_back()
            yield self._raw(record, reason)

    def _raw(self, record: Record, reason: str) -> Raw:
        if reason:
            found = len(record.cells)
            return Raw(
                record.size, problem=malformed(reason, record.line, len(self._columns), found)
            )
        fields = {
            name: cell
            for name, cell in zip(self._columns, record.cells, strict=True)
            if cell and name in COLUMNS
        }
        return Raw(record.size, fields, names_image="image" in fields)

    def _misfit(self, record: Record) -> str:
        return "" if len(record.cells) == len(self._columns) else "columns"

    def _records(self, separator: str) -> Records:
        self._file.seek(0)
        if self._file.read(len(BOM)) != BOM:
            self._file.seek(0)
        return Records(self._file, separator, self._limit)

    def _header(self, separator: str) -> list[str]:
        record = self._records(separator).next()
        return record.cells if record else []


def _plain(name: str) -> str:
    name = name.strip().lower()
    return "" if name.startswith(UNNAMED) else ALIASES.get(name, name)


def _known(header: list[str]) -> set[str]:
    return {name for name in map(_plain, header) if name in COLUMNS}


def _named(header: list[str]) -> list[str]:
    """The columns; a first one without a name, as pandas writes its index, identifies the row."""
    names = list(map(_plain, header))
    if names and not names[0] and "product_identifier" not in names:
        names[0] = "product_identifier"
    return names


def _check(columns: list[str]) -> None:
    twice = sorted({name for name in columns if name in COLUMNS and columns.count(name) > 1})
    if twice:
        raise refused(
            f"La colonne « {twice[0]} » figure plusieurs fois (« productid » et « product_id » "
            "sont la même) : gardez-en une.",
            "duplicate_columns",
        )
    if not {"designation", "image"} & set(columns) and not {"imageid", "product_id"} <= set(
        columns
    ):
        raise refused(
            "La première ligne doit nommer les colonnes, dont « designation », ou « image », ou "
            f"« imageid » et « productid » ; colonnes connues : {', '.join(COLUMNS)}.",
            "missing_columns",
        )
