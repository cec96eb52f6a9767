"""Rows of a JSON Lines file: one object a line, with the fields that POST /predict takes."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from pydantic_core import from_json

from api.batches.raw import ALIASES, BOM, Raw, malformed
from api.problems import invalid


class JsonRows:
    """The rows of a JSON Lines file; a line has at most `limit` bytes."""

    separator = ","
    ignored: tuple[str, ...] = ()

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit

    def __iter__(self) -> Iterator[Raw]:
        """Every row, from the first."""
        self._file.seek(0)
        for number, line in enumerate(self._lines(), 1):
            if content := line.removeprefix(BOM if number == 1 else b"").strip():
                yield self._raw(number, content)

    def _raw(self, number: int, content: bytes) -> Raw:
        if len(content) > self._limit:
            return Raw(len(content), problem=malformed("too_long", number))
        try:
            fields = from_json(content)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return Raw(len(content), problem=malformed("json", number))
        return _renamed(fields, len(content))

    def _lines(self) -> Iterator[bytes]:
        """Lines; of one that is too long, only more than the limit."""
        while line := self._file.readline(self._limit + 2):
            yield line
            while line and not line.endswith(b"\n"):
                line = self._file.readline(65_536)


def _renamed(fields: dict[str, Any], size: int) -> Raw:
    for alias, name in ALIASES.items():
        if alias in fields and name in fields:
            fault = {"loc": ("body", alias), "msg": f"c'est aussi « {name} »", "type": "repeated"}
            return Raw(size, fields, invalid([fault]))
    return Raw(size, {ALIASES.get(name, name): value for name, value in fields.items()})
