"""What each row of the generated catalogue is: its class, and how much text and photo tell of it.

Row i depends on the seed and on the rows before it alone: a larger catalogue begins with the
smaller one. The settings that decide how hard the catalogue is stand here and nowhere else; the
shares of each class stand in vocabulary.yaml.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from stages.sample.draws import COLOUR, DEFECT, PLAN, chance, generator, pick, weighted

VOCABULARY = Path(__file__).with_name("vocabulary.yaml")
LANGUAGES = ("fr", "en", "de")

# How hard it is. Text and photo are drawn apart, so that their errors are nearly independent.
ANY_TITLE = 0.05  # titles that any class could have
SHARED_TITLES = 1.0  # times each class's `titles`: titles that its group could have
TELLING = 0.55  # descriptions that say what the product is
COPIED = 0.08  # descriptions that repeat the title
BLANK_PHOTO = 0.09  # photos that show no product
SHARED_PHOTOS = 1.0  # times each class's `photos`: photos that its group could have
MISLABELLED = 0.013  # products filed under another class of their group

# How untidy it is: shares of products that repeat something of an earlier one of their class (a
# variant has another colour or size), and broken or unusual image files.
REPEATS = {"title": 0.015, "photo": 0.015, "both": 0.01, "variant": 0.06, "": 0.9}
DEFECTS_PER_THOUSAND = {"absent": 3, "truncated": 2, "cmyk": 2, "grey": 2, "png": 2, "empty": 1}

MINIMUM = 7.5  # products of each class to begin with: six are there at 270, come what may
REMEMBERED = 20  # earlier products of a class that a row may repeat

TextKind = Literal["own", "shared", "any"]
DescriptionKind = Literal["missing", "telling", "vague", "copied"]
PhotoKind = Literal["own", "shared", "blank"]


@dataclass(frozen=True)
class TextPlan:
    """A title and a description; `variant` chooses colour, size and seller, `row` all the rest."""

    row: int
    variant: int
    code: int
    group: str
    language: str
    title: TextKind
    description: DescriptionKind


@dataclass(frozen=True)
class PhotoPlan:
    """A photo, with the words of `text` on covers and labels; the same plan, the same file."""

    text: TextPlan
    row: int
    variant: int
    code: int
    group: str
    kind: PhotoKind
    defect: str


@dataclass(frozen=True)
class Plan:
    """One row; `code` is its label, which a few rows don't deserve."""

    row: int
    code: int
    text: TextPlan
    photo: PhotoPlan


@cache
def vocabulary() -> Any:
    """The parsed vocabulary.yaml."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # forty times as fast where it's built
    return yaml.load(VOCABULARY.read_text(encoding="utf-8"), loader)  # noqa: S506


def colour_of(seed: int, part: int, row: int) -> int:
    """Position of a product's colour among the vocabulary's: its text and its photo agree."""
    return int(generator(seed, part, row, COLOUR).integers(len(vocabulary()["colours"])))


def plans(seed: int, part: int) -> Iterator[Plan]:
    """Rows without end; `part` 0 is train, 1 is test."""
    recent: dict[int, deque[Plan]] = {code: deque(maxlen=REMEMBERED) for code in _codes()}
    for row, code in enumerate(_order(seed, part)):
        rng = generator(seed, part, row, PLAN)
        plan = _draw(rng, row, code, _defect(seed, part, row))
        if recent[code]:
            earlier = recent[code][int(rng.integers(len(recent[code])))]
            plan = _repeat(rng, plan, earlier)
        recent[code].append(plan)
        yield plan


def _codes() -> list[int]:
    return list(vocabulary()["classes"])


def groups_of(code: int) -> list[str]:
    """The groups that a class is in, in the order of the vocabulary."""
    return [name for name, codes in vocabulary()["groups"].items() if code in codes]


def _order(seed: int, part: int) -> Iterator[int]:
    """Codes at their real frequencies, rare ones brought forward until each has a few."""
    codes = _codes()
    rows = np.array([vocabulary()["classes"][code]["rows"] for code in codes])
    counts = np.zeros(len(codes))
    rng = generator(seed, part)
    while True:
        done = counts.sum() + 1
        wanted = np.maximum(rows / rows.sum() * done, min(MINIMUM, done / len(codes)))
        behind = wanted - counts + rng.uniform(0, 0.5, len(codes))
        chosen = int(behind.argmax())
        counts[chosen] += 1
        yield codes[chosen]


def _defect(seed: int, part: int, row: int) -> str:
    """What is wrong with the row's image file: each defect's rate is exact in a thousand rows."""
    names = [name for name, count in DEFECTS_PER_THOUSAND.items() for _ in range(count)]
    block, position = divmod(row, 1000)
    slot = int(_shuffled(seed, part, block)[position])
    return names[slot] if slot < len(names) else ""


@lru_cache(maxsize=2)
def _shuffled(seed: int, part: int, block: int) -> np.ndarray:
    return generator(seed, part, block, DEFECT).permutation(1000)


def _draw(rng: np.random.Generator, row: int, code: int, defect: str) -> Plan:
    groups = groups_of(code)
    shown = code
    if groups and chance(rng, MISLABELLED):
        members = vocabulary()["groups"][pick(rng, groups)]
        shown = pick(rng, [member for member in members if member != code])
    facts = vocabulary()["classes"][shown]
    language = LANGUAGES[int(rng.choice(len(LANGUAGES), p=facts["languages"]))]
    shown_groups = groups_of(shown)
    title_group, photo_group = (pick(rng, shown_groups) if shown_groups else "" for _ in range(2))
    title = _kind(rng, "any", ANY_TITLE, facts["titles"] * SHARED_TITLES * bool(shown_groups))
    photo = _kind(rng, "blank", BLANK_PHOTO, facts["photos"] * SHARED_PHOTOS * bool(shown_groups))
    description = _description(rng, facts["missing"])
    text = TextPlan(row, row, shown, title_group, language, title, description)
    return Plan(row, code, text, PhotoPlan(text, row, row, shown, photo_group, photo, defect))


def _kind(rng: np.random.Generator, least: Any, least_share: float, shared: float) -> Any:
    if chance(rng, least_share):
        return least
    return "shared" if chance(rng, shared) else "own"


def _description(rng: np.random.Generator, missing: float) -> DescriptionKind:
    if chance(rng, missing):
        return "missing"
    if chance(rng, COPIED):
        return "copied"
    return "telling" if chance(rng, TELLING) else "vague"


def _repeat(rng: np.random.Generator, plan: Plan, earlier: Plan) -> Plan:
    """The plan, or what makes it a duplicate or a variant of an earlier product."""
    repeat = weighted(rng, REPEATS)
    if repeat == "title":
        return replace(plan, text=earlier.text, photo=replace(plan.photo, text=earlier.text))
    if repeat == "photo":
        return replace(plan, photo=earlier.photo)
    if repeat == "both":
        return replace(plan, text=earlier.text, photo=earlier.photo)
    if repeat == "variant":
        text = replace(earlier.text, variant=plan.row)
        defect = plan.photo.defect
        photo = replace(earlier.photo, text=text, variant=plan.row, defect=defect)
        return replace(plan, text=text, photo=photo)
    return plan
