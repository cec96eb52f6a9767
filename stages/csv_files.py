"""A CSV file as a table of strings, strictly: what doesn't fit is named, never skipped."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from api.errors import ProductCodeError
from stages.quarantine import Fault, Reason

ROW = "row"  # the name given to the first column, which the files leave unnamed


class CsvError(ProductCodeError):
    """A file that can't be read as CSV in UTF-8."""


@dataclass(frozen=True)
class CsvTable:
    """A file's records as str columns, the first one named `ROW`, indexed by position from 0.

    Missing values are ''. `faults` are ragged lines, which are filled up with '' or cut off at
    the width of the header, and null characters, which are removed.
    """

    path: Path
    records: pd.DataFrame
    faults: list[Fault]


def read(path: Path) -> CsvTable:
    """Reads a whole file.

    Raises:
        CsvError: The file is missing, is not UTF-8, or its quotes don't close.
    """
    faults: list[Fault] = []
    with _reader(path) as reader:
        header = next(reader, None)
        if not header:
            raise CsvError(f"{path}: no header line; bring the file again: `dvc repro import`")
        names = [ROW, *(name.strip() for name in header[1:])]
        if len(set(names)) < len(names):
            raise CsvError(f"{path}: two columns have one name, {header}; rename one of them")
        records = list(_records(reader, len(header), faults))
    return CsvTable(path, pd.DataFrame(records, columns=names, dtype="str"), faults)


def _records(
    reader: Iterator[list[str]], width: int, faults: list[Fault]
) -> Iterator[tuple[str, ...]]:
    """Records of one width; what had to be done for it is added to `faults`."""
    position = 0
    for fields in reader:
        if not fields:  # a blank line
            continue
        if len(fields) != width:
            detail = f"{len(fields)} fields, expected {width}, up to line {reader.line_num}"  # type: ignore[attr-defined]
            faults.append(Fault(position, Reason.RAGGED, detail))
            fields = (fields + [""] * width)[:width]  # noqa: PLW2901
        if any("\0" in field for field in fields):
            faults.append(Fault(position, Reason.NULS))
            fields = [field.replace("\0", "") for field in fields]  # noqa: PLW2901
        yield tuple(fields)
        position += 1


@contextmanager
def _reader(path: Path) -> Iterator[Iterator[list[str]]]:
    """The records of a file; errors met while they are read are told in its terms."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            yield reader
    except FileNotFoundError as error:
        raise CsvError(f"{path}: no such file; bring it: `dvc repro import`") from error
    except UnicodeDecodeError as error:
        raise CsvError(
            f"{path}: {_bad_byte(path)}, expected UTF-8; save the file as UTF-8, for instance "
            "with `iconv -f latin1 -t utf-8`"
        ) from error
    except csv.Error as error:
        raise CsvError(
            f"{path}: line {reader.line_num}: {error}; look for a quote that doesn't close, at "
            "this line or in the lines before it"
        ) from error


def _bad_byte(path: Path) -> str:
    """Where a file stops being UTF-8."""
    offset = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                place = f"(byte {offset + error.start} of the file)"
                return f"line {number} has the byte 0x{line[error.start]:02x} {place}"
            offset += len(line)
    return "it changed while it was read"
