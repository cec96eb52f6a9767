"""Which rows train a model, which choose it, and which only score it.

Rows that show the same product form a group, and a group never crosses a split: a model that has
seen one of its rows would be scored on what it remembers. Two rows show the same product if their
titles are the same but for case, accents, punctuation and spaces, or if their images are the same
bytes. What a row is linked to, its own links are linked to as well.

Every class is divided exactly by the fractions, as far as its groups allow, rather than by a hash
of each row alone: at 20 rows a class a hash would leave some classes out of a split. A seeded hash
still gives the order in which the groups of a class are dealt out, so the order of the rows in the
file plays no part, and when rows are appended only the groups at a class's boundaries move.

scikit-learn's StratifiedGroupKFold does much the same, but took 37 s at 85,000 rows, and its
fractions are those of folds.
"""

import hashlib
import re
import unicodedata
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from api.errors import ProductCodeError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

MORE = 1.1  # times its share that a class may give to make up for others
_NOT_A_WORD = re.compile(r"[\W_]+")


class SplitError(ProductCodeError):
    """Too few groups to fill every split."""


def title_key(title: str) -> str:
    """What is left of a title without case, accents, punctuation and spacing; may be ''."""
    letters = unicodedata.normalize("NFKD", title.casefold())
    if not letters.isascii():
        letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return _NOT_A_WORD.sub(" ", letters).strip()


def group(titles: Sequence[str], images: Sequence[Hashable | None], limit: int) -> np.ndarray:
    """Numbers the groups of rows that show the same product.

    Args:
        titles: N titles; one without a letter or digit links to no other.
        images: N identities of images, None where there is no image.
        limit: Rows that may share an image and be linked by it. What more rows share is a
            placeholder, which would make one group of half the catalogue.

    Returns:
        groups: int64 (N,).
    """
    keys = pd.Series([title_key(title) or None for title in titles], dtype=object)
    identities = pd.Series(list(images), dtype=object)
    shared = identities.map(identities.value_counts())
    rows, links = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    offset = len(titles)
    for column in (keys, identities.where(shared <= limit)):
        codes, values = pd.factorize(column)
        linked = np.flatnonzero(codes >= 0)
        rows.append(linked)
        links.append(codes[linked] + offset)
        offset += len(values)
    pairs = (np.concatenate(rows), np.concatenate(links))
    graph = coo_array((np.ones(len(pairs[0]), np.bool_), pairs), shape=(offset, offset))
    _, components = connected_components(graph, directed=False)
    return np.asarray(components[: len(titles)], np.int64)


def assign(
    groups: np.ndarray,
    codes: np.ndarray,
    rows: np.ndarray,
    fractions: Mapping[str, float],
    seed: int,
) -> np.ndarray:
    """Deals groups out to the splits, class by class.

    A group counts for the class that most of its rows have. One group of every class is set aside
    for training first, so a class with a single group is in no other split, and one with two in
    one other at most. What the groups of small classes don't allow, larger ones make up for.

    Args:
        groups: (N,) as `group` gives them.
        codes: (N,) the class of each row.
        rows: (N,) row indices, unique; they identify a group whatever the order of the rows.
        fractions: Of all rows, for each split but train.
        seed: Changes which groups go where.

    Returns:
        splits: str (N,), each one of `SPLITS`.

    Raises:
        SplitError: A split would stay empty.
    """
    table = pd.DataFrame({"group": groups, "code": codes, "row": rows})
    summary = _summarise(table, seed)
    reserved = _reserve(table, summary)
    chosen: dict[int, str] = {}
    quotas = _Quotas(fractions)
    for code in _smallest_first(summary):
        members = summary[summary["code"] == code]
        quotas.add_class(members["size"].to_numpy())
        for number, size in zip(members.index, members["size"], strict=True):
            chosen[number] = TRAIN if number in reserved else quotas.take(int(size))
    splits = table["group"].map(chosen).to_numpy(dtype=object)
    _check_filled(splits, fractions)
    return splits


class _Quotas:
    """How many rows each split may still take."""

    def __init__(self, fractions: Mapping[str, float]) -> None:
        self._fractions = fractions
        self._rows = 0
        self._taken = dict.fromkeys(fractions, 0)
        self._left = dict.fromkeys(fractions, 0)

    def add_class(self, sizes: np.ndarray) -> None:
        """Opens a class with groups of so many rows.

        The quota brings the split to its fraction of all rows so far, which keeps roundings from
        adding up. It is at most a tenth and one row above the class's own share, or one group where
        groups are larger, which keeps each class near its share.
        """
        rows, smallest = int(sizes.sum()), int(sizes.min())
        self._rows += rows
        for split, fraction in self._fractions.items():
            owed = round(fraction * self._rows) - self._taken[split]
            self._left[split] = min(owed, max(int(MORE * fraction * rows) + 1, smallest))

    def take(self, size: int) -> str:
        """The split that a group of so many rows goes to."""
        for split, left in self._left.items():
            if size <= left:
                self._left[split] -= size
                self._taken[split] += size
                return split
        return TRAIN


def _summarise(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Size and majority class of each group, the smaller code winning a tie, in dealing order."""
    counts = table.value_counts(["group", "code"]).rename("rows").reset_index()
    counts = counts.sort_values(["group", "rows", "code"], ascending=[True, False, True])
    majority = counts.drop_duplicates("group").set_index("group")["code"]
    grouped = table.groupby("group")
    summary = pd.DataFrame({"code": majority, "size": grouped.size()})
    summary["order"] = [_hash(seed, int(row)) for row in grouped["row"].min()]
    return summary.sort_values("order")


def _smallest_first(summary: pd.DataFrame) -> list[int]:
    """Classes by rows, then by code."""
    rows = summary.groupby("code")["size"].sum().sort_index()
    return [int(code) for code in rows.sort_values(kind="stable").index]


def _reserve(table: pd.DataFrame, summary: pd.DataFrame) -> set[int]:
    """For each class, the group with a row of it that comes last in dealing order."""
    ordered = table.assign(order=table["group"].map(summary["order"])).sort_values("order")
    return set(ordered.drop_duplicates("code", keep="last")["group"])


def _hash(seed: int, row: int) -> str:
    return hashlib.blake2b(f"{seed}:{row}".encode(), digest_size=8).hexdigest()


def _check_filled(splits: np.ndarray, fractions: Mapping[str, float]) -> None:
    for name in (TRAIN, *fractions):
        if name not in splits:
            raise SplitError(
                f"split {name!r} is empty: {len(splits)} rows can't be divided by "
                f"{dict(fractions)} without parting duplicates; bring more rows, or raise the "
                "fraction"
            )
