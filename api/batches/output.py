"""A file of answers that a run which was stopped can go on with."""

import csv
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from api.batches.answers import Tally
from api.batches.formats import Format
from api.errors import ProductCodeError


class OutputError(ProductCodeError):
    """An output that exists, or isn't what an earlier run would have left."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


@dataclass
class Written:
    """What is in an output: `row` is the last whole one (0: none), `last` its line, `end` its end.

    `tally` counts the rows before it.
    """

    row: int = 0
    last: bytes = b""
    end: int = 0
    tally: Tally = field(default_factory=Tally)
    complete: bool = False


class Output:
    """Lines in a file, or printed; an earlier run's last row is compared, not written again."""

    def __init__(self, path: Path | None, form: Format, resume: bool) -> None:
        """Looks at what an earlier run left.

        Raises:
            OutputError: It exists, and isn't to be gone on with, or can't be.
        """
        self.path = path
        self.form = form
        self.before = Written()
        if path is not None and path.exists():
            if not resume:
                raise OutputError(path, "it exists: --resume goes on with it; or name another")
            self.before = read(path, form)

    def open(self, stack: ExitStack, rows: int) -> None:
        """Behind what is kept; `rows` is how many there will be.

        Raises:
            OutputError: There are more already.
        """
        if self.path and self.before.row > rows:
            raise OutputError(
                self.path, f"the input has fewer rows, {rows}: resume with that it was begun with"
            )
        self._file: BinaryIO = sys.stdout.buffer
        if self.path is not None:
            self.path.touch()
            self._file = stack.enter_context(self.path.open("r+b"))
            self._file.seek(self.before.end)
            self._file.truncate()
        if not self.before.row:
            self.write(self.form.head())

    def row(self, number: int, line: bytes) -> None:
        """Writes the line of a row.

        Raises:
            OutputError: It was written by an earlier run, and otherwise.
        """
        if number != self.before.row:
            self.write(line)
        elif line != self.before.last:
            raise OutputError(
                self.path or Path(),
                f"its row {number} is another than this file and bundle give: resume with those "
                "it was begun with, or name another --output",
            )

    def write(self, line: bytes) -> None:
        """Writes, and flushes: what is there when the program is killed need not be done again."""
        self._file.write(line)
        self._file.flush()


def read(path: Path, form: Format) -> Written:
    """Reads an output as far as it is whole.

    Raises:
        OutputError: It is no output of this format.
    """
    written, last = Written(), None
    for end, line in _lines(path, form):
        try:
            number, *found = form.read(line)
        except (ValueError, csv.Error, StopIteration) as error:
            reason = f"the line that ends at byte {end} is none of this program's"
            raise OutputError(path, f"{reason}: name another --output") from error
        if last:
            written.tally.count(*last)
        if number is None:
            written.complete = True
            return written
        if number != written.row + 1:
            raise OutputError(
                path, f"row {number} follows row {written.row}: name another --output"
            )
        written.row, written.last, written.end = number, line, end
        last = found
    return written


def _lines(path: Path, form: Format) -> Iterator[tuple[int, bytes]]:
    """Whole lines after the head, each with where it ends."""
    offset = 0
    with path.open("rb") as file:
        head = file.read(len(form.head()))
        if not form.head().startswith(head):
            raise OutputError(
                path, "it begins otherwise than this program's: name another --output"
            )
        offset += len(head)
        for line in file:
            offset += len(line)
            if line.endswith(b"\n"):
                yield offset, line
