"""Records of a CSV file, one at a time; one that is malformed spoils no other."""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO


class TooLongError(Exception):
    """A record of more bytes than two texts may have."""


@dataclass(frozen=True)
class Record:
    """Cells, or else why there are none; `line` is where it begins in the file, from 1."""

    line: int
    size: int
    cells: list[str]
    reason: str = ""
    several: bool = False
    """Whether it spans lines."""


class Records:
    """Reads records of at most `limit` bytes.

    A quote that is never closed would swallow all that follows. So, after a record that can't be
    used, reading goes on with the line after its first.
    """

    def __init__(self, file: BinaryIO, separator: str, limit: int) -> None:
        self._file = file
        self._separator = separator
        self._limit = limit
        self._ahead: deque[str] = deque()
        self._taken: list[str] = []
        self._size = 0
        self._line = 0
        # The module's own limit is lower, and one for the whole process.
        csv.field_size_limit(max(csv.field_size_limit(), limit))

    def next(self) -> Record | None:
        """The next record that isn't blank; None at the end."""
        while True:
            begin, self._taken, self._size = self._line + 1, [], 0
            cells, reason = self._parse()
            if not self._taken:
                return None
            if cells or reason:
                several = len(self._taken) > 1
                return Record(begin, self._size, cells, reason, several)

    def give_back(self) -> None:
        """Reads all lines but the first of the last record again."""
        again = self._taken[1:]
        self._ahead.extendleft(reversed(again))
        self._line -= len(again)

    def __iter__(self) -> Iterator[str]:
        """The lines, for the csv module."""
        return self

    def __next__(self) -> str:
        """The next line."""
        line = self._ahead.popleft() if self._ahead else self._read()
        if not line:
            raise StopIteration
        self._taken.append(line)
        self._size += len(line)
        self._line += 1
        if self._size > self._limit:
            raise TooLongError
        return line

    def _parse(self) -> tuple[list[str], str]:
        try:
            # A reader for each record, as one that failed keeps what it had begun.
            return next(csv.reader(self, delimiter=self._separator, strict=True), []), ""
        except csv.Error:
            return [], "malformed"
        except TooLongError:
            return [], "too_long"

    def _read(self) -> str:
        data = self._file.readline(self._limit + 1)
        if len(data) > self._limit and not data.endswith(b"\n"):
            _skip_line(self._file)
        return data.decode(errors="replace")  # only what was cut: the file was checked


def _skip_line(file: BinaryIO) -> None:
    while (data := file.readline(65_536)) and not data.endswith(b"\n"):
        pass
