"""Random draws of the generated catalogue: each purpose of each row has numbers of its own."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

PLAN, DEFECT, TEXT, COLOUR, SLOTS, PHOTO = range(6)  # what a row's numbers are drawn for


def generator(seed: int, *path: int) -> np.random.Generator:
    """The random numbers of one purpose: the same whatever was drawn elsewhere."""
    return np.random.default_rng((seed, *path))


def chance(rng: np.random.Generator, share: float) -> bool:
    """True in a share of the cases."""
    return bool(rng.random() < share)


def pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """One of the items, each as likely."""
    return items[int(rng.integers(len(items)))]


def some(rng: np.random.Generator, items: Sequence[Item], count: int) -> list[Item]:
    """So many different items, or all, in any order."""
    return [items[int(position)] for position in rng.permutation(len(items))[:count]]


def weighted(rng: np.random.Generator, weights: Mapping[Item, float]) -> Item:
    """One of the keys, as likely as its weight says."""
    totals = np.cumsum(list(weights.values()))
    position = int(np.searchsorted(totals, rng.uniform(0, totals[-1]), side="right"))
    return list(weights)[position]
