"""Repeated stratified folds of embedded rows, in which duplicates never part."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from stages.embedded import Split


@dataclass(frozen=True)
class Fold:
    """Positions of rows: to train on, to choose by, and to score; int arrays."""

    repeat: int
    number: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """What a baseline may be fitted on: train and validation rows."""
        return np.concatenate([self.train, self.validation])


def folds(
    labels: np.ndarray, groups: np.ndarray, parts: int, repeats: int, validation: float, seed: int
) -> Iterator[Fold]:
    """Each row is scored once a repeat.

    Args:
        labels: int (N,).
        groups: int (N,), equal for rows that show the same product.
        parts: Folds a repeat.
        repeats: How often the rows are shuffled and parted anew.
        validation: Share of the rows that aren't scored which choose instead of training.
        seed: Of the first repeat's shuffle; the next one's is one more.
    """
    for repeat in range(repeats):
        splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed + repeat)
        for number, (seen, test) in enumerate(splitter.split(labels, labels, groups)):
            train, chosen = _choose(seen, labels, validation, seed + repeat)
            yield Fold(repeat, number, train, chosen, test)


def take(split: Split, rows: np.ndarray) -> Split:
    """Some rows of a split, in memory."""
    return Split(
        **{field.name: np.asarray(getattr(split, field.name)[rows]) for field in fields(Split)}
    )


def _choose(
    seen: np.ndarray, labels: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Train and validation rows, stratified where every class has two rows at least."""
    counts = np.unique(labels[seen], return_counts=True)[1]
    enough = counts.min() > 1 and round(share * len(seen)) >= len(counts)
    train, chosen = train_test_split(
        seen, test_size=share, random_state=seed, stratify=labels[seen] if enough else None
    )
    return np.sort(train), np.sort(chosen)
