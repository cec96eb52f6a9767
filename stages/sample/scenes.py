"""Objects in the generated photos: where they stand, how they are turned, their shadows."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from stages.sample.draws import chance, pick
from stages.sample.settings import AMATEUR, CANVAS
from stages.sample.surfaces import ramp, scaled

LIT, UNLIT = (255, 255, 255), (204, 204, 208)  # from an object's top to its foot
SOFT = 8  # pixels over which shadows fade
LEVEL = 1.0  # degrees below which a turn isn't worth its work
GRIDS = ((2, 1), (3, 1), (2, 2), (3, 2), (3, 3))  # columns and rows of a lot


@dataclass(frozen=True)
class Place:
    """Where an object stands: its middle and longer side in pixels of the canvas, its turn."""

    x: float
    y: float
    side: int
    degrees: float


def single(rng: np.random.Generator, setting: str) -> list[Place]:
    """One object, as large as its setting shows objects."""
    low, high = {"margin": (0.4, 0.62), "room": (0.5, 0.8), "garden": (0.55, 0.85)}.get(
        setting, (0.62, 1.0)
    )
    drift = 0.06 if setting in AMATEUR else 0.02
    x, y = CANVAS * (0.5 + rng.normal(0, drift, 2))
    if setting in {"room", "garden"}:
        y += CANVAS * 0.1
    return [Place(x, y, int(CANVAS * rng.uniform(low, high)), _turn(rng, setting))]


def _turn(rng: np.random.Generator, setting: str) -> float:
    """Degrees: studios show things level, sellers more or less so, a few quite otherwise."""
    if setting in {"room", "garden"} or (setting not in AMATEUR and chance(rng, 0.5)):
        return 0.0
    if setting != "margin" and chance(rng, 0.2):
        return float(rng.uniform(-45, 45))
    return float(rng.normal(0, 6 if setting in AMATEUR else 3))


def several(rng: np.random.Generator, setting: str) -> list[Place]:
    """Two to nine objects, in rows or thrown together."""
    columns, rows = pick(rng, GRIDS)
    loose = chance(rng, 0.6 if setting in AMATEUR else 0.2)
    side = CANVAS / max(columns, rows) * rng.uniform(0.85, 1.05) * (1.25 if loose else 1.0)
    return [
        Place(
            CANVAS * ((column + 0.5) / columns + rng.normal(0, 0.05) * loose),
            CANVAS * ((row + 0.5) / rows + rng.normal(0, 0.05) * loose),
            int(side),
            float(rng.normal(0, 18 if loose else 1)),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def put(
    rng: np.random.Generator, scene: Image.Image, thing: Image.Image, place: Place, shadow: float
) -> None:
    """Lays an object into the scene, lit from above, turned, over its shadow."""
    lit = ImageChops.multiply(thing.convert("RGB"), ramp(thing.size, LIT, UNLIT))
    lit.putalpha(thing.getchannel("A"))
    turned = lit
    if abs(place.degrees) > LEVEL:
        turned = lit.rotate(place.degrees, Image.Resampling.BILINEAR, expand=True)
    corner = (int(place.x - turned.width / 2), int(place.y - turned.height / 2))
    outline = turned.getchannel("A")
    if shadow:
        soft = _softened(outline).point(scaled(shadow))
        across, down = int(rng.integers(-6, 7)), int(rng.integers(2, 9))
        offset = (corner[0] + across - 2 * SOFT, corner[1] + down - 2 * SOFT)
        scene.paste((20, 20, 24), offset, soft)
    scene.paste(turned, corner, outline)


def _softened(outline: Image.Image) -> Image.Image:
    """An outline without sharp edges, larger by 2 x SOFT pixels on each side."""
    small = outline.reduce(SOFT)
    roomy = Image.new("L", (small.width + 4, small.height + 4))
    roomy.paste(small, (2, 2))
    blurred = roomy.filter(ImageFilter.BoxBlur(1))
    return blurred.resize((roomy.width * SOFT, roomy.height * SOFT), Image.Resampling.BILINEAR)
