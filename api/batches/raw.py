"""A row as a file gives it, before anything is known of its values."""

from dataclasses import dataclass, field
from typing import Any

from api.problems import Problem

BOM = b"\xef\xbb\xbf"
ALIASES = {"productid": "product_id"}
"""The challenge's names, where they aren't the API's."""


@dataclass(frozen=True)
class Raw:
    """Fields by the API's names, or the problem that there are none.

    `size`: bytes that it took in the file, about. `names_image`: whether `image` is the name of a
    file, not the file itself.
    """

    size: int
    fields: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    names_image: bool = False


def refused(detail: str, reason: str, **extra: Any) -> Problem:
    """The file as a whole can't be used."""
    return Problem(422, detail, "batch", reason=reason, **extra)


def malformed(reason: str, line: int, expected: int = 0, found: int = 0) -> Problem:
    """One row can't be read; `line` is where it begins in the file."""
    details = {
        "malformed": "un guillemet est mal placé, ou n'est jamais fermé",
        "columns": f"il y a {found} cellules pour {expected} colonnes",
        "too_long": "la ligne est trop longue",
        "json": "ce n'est pas un objet JSON",
    }
    return Problem(
        422, f"Ligne {line} du fichier : {details[reason]}.", "row", reason=reason, line=line
    )
