"""The quarantine: every row that was not taken over as it came, and why.

Dropped rows appear in no table. Repaired rows are there, changed or with a part masked. Kept rows
are there unchanged, although something about them is odd.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd

COLUMNS = ["file", "row", "action", "reason", "designation"]
DESIGNATION_LENGTH = 200  # characters


class Action(StrEnum):
    """What became of a row."""

    DROPPED = "dropped"
    REPAIRED = "repaired"
    KEPT = "kept"


class Reason(StrEnum):
    """What was wrong with a row, in the order in which it is looked for."""

    RAGGED = "ragged line"
    NULS = "null characters"
    ROW_INDEX = "row index not a whole number"
    DUPLICATE = "duplicate row index"
    IDS = "product or image id not a positive integer"
    LABEL = "label not a positive integer"
    ORPHAN = "label without a product"
    NO_LABEL = "no label"
    NO_IMAGE = "image missing"
    EMPTY_IMAGE = "image empty"
    HTML = "html"
    ENTITIES = "entities"
    MOJIBAKE = "mojibake"
    CHARACTERS = "characters"  # curly quotes, ligatures, full-width forms, control characters
    UNUSABLE = "neither text nor image"
    CONFLICT = "conflicting labels"


@dataclass(frozen=True)
class Fault:
    """Something wrong with one record of a file; `position` counts its records from 0."""

    position: int
    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of quarantine.csv; `row` is the row index as the file has it."""

    file: str
    position: int
    row: str
    action: Action
    reason: Reason
    detail: str
    designation: str


class Quarantine:
    """Collects what happened to the rows of the source files."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, file: str, table: pd.DataFrame, faults: Iterable[Fault], action: Action) -> None:
        """Records faults of a file.

        Args:
            file: The name of the file.
            table: Its records, indexed by position, with a column `row` and, for products,
                `designation`.
            faults: What is wrong with which record.
            action: What is done about it.
        """
        faults = list(faults)
        found = table.loc[[fault.position for fault in faults]]
        titles = found["designation"] if "designation" in found else [""] * len(found)
        for fault, row, title in zip(faults, found["row"], titles, strict=True):
            self._entries.append(
                Entry(file, fault.position, str(row), action, fault.reason, fault.detail, title)
            )

    def table(self) -> pd.DataFrame:
        """The entries in the order of the files and their records, with the columns `COLUMNS`."""
        order = list(Reason)
        entries = sorted(self._entries, key=lambda e: (e.file, e.position, order.index(e.reason)))
        return pd.DataFrame([_line(entry) for entry in entries], columns=COLUMNS, dtype="str")

    def counts(self) -> Counter[tuple[Action, Reason]]:
        """Entries by action and reason; a row with two reasons counts under both."""
        return Counter((entry.action, entry.reason) for entry in self._entries)

    def rows(self, action: Action) -> int:
        """Rows that an action was taken on, each once."""
        return len({(e.file, e.position) for e in self._entries if e.action == action})

    def write(self, path: Path) -> None:
        """Writes quarantine.csv."""
        self.table().to_csv(path, index=False, lineterminator="\n")


def faults(positions: Iterable[Hashable], reason: Reason, details: Iterable[str]) -> list[Fault]:
    """One fault for each position, with its detail."""
    pairs = zip(positions, details, strict=True)
    return [Fault(int(str(position)), reason, detail) for position, detail in pairs]


def _line(entry: Entry) -> tuple[str, ...]:
    reason = f"{entry.reason}: {entry.detail}" if entry.detail else str(entry.reason)
    title = entry.designation[:DESIGNATION_LENGTH]
    return entry.file, entry.row, str(entry.action), reason, title
