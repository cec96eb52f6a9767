"""Photos around the generated products: background, place, shadow, light, camera."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from stages.sample.artwork import INK, lettering
from stages.sample.draws import chance, pick
from stages.sample.surfaces import Colour, bright, cut, grain, ramp, shaded, tinted

CANVAS = 250  # pixels at which a scene is put together: a quarter of the work
PHOTO = 500  # pixels of the finished photo, as on the marketplace
AMATEUR = {"table", "cloth", "dark"}  # settings that sellers photograph themselves

WHITE = (255, 255, 255)
UNLIT = (204, 204, 208)


LEVEL = 1.0  # degrees below which a turn isn't worth its work
CORNERS = (6, 182)  # pixels of the canvas, across and down
GRIDS = ((2, 1), (3, 1), (2, 2), (3, 2), (3, 3))  # columns and rows of a lot


@dataclass(frozen=True)
class Place:
    """Where an object stands: its middle and longer side in pixels of the canvas, its turn."""

    x: float
    y: float
    side: int
    degrees: float


def background(rng: np.random.Generator, setting: str) -> Image.Image:
    """An empty scene, RGB (CANVAS, CANVAS); `setting` is a key of `_SETTINGS`."""
    return _SETTINGS[setting](rng)


def _white(rng: np.random.Generator) -> Image.Image:
    level = 255 if chance(rng, 0.75) else int(rng.integers(236, 255))
    return Image.new("RGB", (CANVAS, CANVAS), (level, level, level))


def _grey(rng: np.random.Generator) -> Image.Image:
    tone = shaded(bright(rng, 150, 235), 1.5)
    return ramp((CANVAS, CANVAS), shaded(tone, 1.6), shaded(tone, rng.uniform(0.7, 0.95)))


def _table(rng: np.random.Generator) -> Image.Image:
    level = rng.uniform(90, 215)
    wood = (int(level), int(level * rng.uniform(0.62, 0.82)), int(level * rng.uniform(0.38, 0.66)))
    image = tinted(rng, "wood", (CANVAS, CANVAS), shaded(wood, 0.55), shaded(wood, 1.25))
    return image if chance(rng, 0.6) else image.transpose(Image.Transpose.ROTATE_90)


def _cloth(rng: np.random.Generator) -> Image.Image:
    tone = bright(rng, 30, 220)
    return tinted(rng, "cloth", (CANVAS, CANVAS), shaded(tone, 0.5), shaded(tone, 1.4))


def _dark(rng: np.random.Generator) -> Image.Image:
    return ramp((CANVAS, CANVAS), bright(rng, 2, 40), bright(rng, 20, 80))


def _room(rng: np.random.Generator) -> Image.Image:
    wall = shaded(bright(rng, 130, 240), 1.5)
    image = ramp((CANVAS, CANVAS), wall, shaded(wall, 0.88))
    level = int(rng.uniform(0.62, 0.82) * CANVAS)
    floor = _table(rng) if chance(rng, 0.7) else _cloth(rng)
    image.paste(floor.crop((0, 0, CANVAS, CANVAS - level)), (0, level))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, level - 5, CANVAS, level), (240, 240, 236))
    if chance(rng, 0.4):
        left, top, size = (int(value) for value in rng.integers([0, 10, 40], [200, 40, 80]))
        draw.rectangle((left, top, left + size, top + size), (226, 238, 246), (250, 250, 250), 4)
    if chance(rng, 0.4):
        left = int(rng.integers(0, CANVAS - 20))
        draw.polygon([(left, level), (left + 20, level), (left + 24, level - 30),
                      (left - 4, level - 30)], bright(rng))  # fmt: skip
        draw.ellipse((left - 14, level - 80, left + 34, level - 24), (60, 120, 62))
    return image


def _garden(rng: np.random.Generator) -> Image.Image:
    image = ramp((CANVAS, CANVAS), (150, 195, 235), (214, 230, 240))
    level = int(rng.uniform(0.35, 0.6) * CANVAS)
    hedge = tinted(rng, "grass", (CANVAS, CANVAS), (20, 50, 22), (110, 160, 80))
    image.paste(hedge.crop((0, 0, CANVAS, 70)), (0, level - int(rng.integers(10, 66))))
    lawn = (int(rng.integers(60, 130)), int(rng.integers(130, 180)), int(rng.integers(40, 90)))
    if chance(rng, 0.75):
        ground = tinted(rng, "grass", (CANVAS, CANVAS), shaded(lawn, 0.6), shaded(lawn, 1.3))
    else:
        ground = tinted(rng, "smooth", (CANVAS, CANVAS), (170, 160, 145), (222, 212, 198))
    image.paste(ground.crop((0, 0, CANVAS, CANVAS - level)), (0, level))
    return image


_SETTINGS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "cloth": _cloth,
    "dark": _dark,
    "garden": _garden,
    "grey": _grey,
    "margin": _white,
    "room": _room,
    "table": _table,
    "white": _white,
}


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
    if setting in {"room", "garden"}:
        return float(rng.normal(0, 1))
    if chance(rng, 0.15) and setting != "margin":
        return float(rng.uniform(-45, 45))
    return float(rng.normal(0, 6 if setting in AMATEUR else 2))


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
    lit = ImageChops.multiply(thing.convert("RGB"), ramp(thing.size, WHITE, UNLIT))
    lit.putalpha(thing.getchannel("A"))
    turned = lit
    if abs(place.degrees) > LEVEL:
        turned = lit.rotate(place.degrees, Image.Resampling.BILINEAR, expand=True)
    corner = (int(place.x - turned.width / 2), int(place.y - turned.height / 2))
    outline = turned.getchannel("A")
    if shadow:
        soft = outline.reduce(8).filter(ImageFilter.BoxBlur(1)).point(_scaled(shadow))
        soft = soft.resize(turned.size, Image.Resampling.BILINEAR)
        offset = (corner[0] + int(rng.integers(-6, 7)), corner[1] + int(rng.integers(2, 9)))
        scene.paste((20, 20, 24), offset, soft)
    scene.paste(turned, corner, outline)


def _scaled(*gains: float) -> list[int]:
    """A table for `Image.point`: every level of each channel, times the channel's gain."""
    levels = np.arange(256)[None, :] * np.array(gains)[:, None]
    return [int(level) for level in np.minimum(levels, 255).ravel()]


def badge(rng: np.random.Generator, scene: Image.Image) -> None:
    """What sellers lay over their photos: a discount, a brand, the dimensions, a frame."""
    draw, tone = ImageDraw.Draw(scene), bright(rng, 20, 220)
    left, top = pick(rng, CORNERS), pick(rng, CORNERS)
    kind = pick(rng, ("discount", "brand", "dimensions", "frame"))
    if kind == "discount":
        draw.ellipse((left, top, left + 60, top + 60), (200, 30, 36))
        box = (left + 8, top + 16, left + 52, top + 44)
        lettering(draw, box, pick(rng, ("-30%", "NEW", "TOP", "x 10")), WHITE)
    elif kind == "brand":
        box = (left - 4, top + 10, left + 66, top + 36)
        lettering(draw, box, pick(rng, ("LUNARIS", "Zenkai", "OXIVIA", "Fjordan")), tone)
    elif kind == "dimensions":
        draw.line((14, 16, 14, 234), INK)
        draw.line((14, 236, 236, 236), INK)
        lettering(draw, (100, 237, 150, 249), f"{int(rng.integers(10, 200))} cm", INK)
    else:
        draw.rectangle((0, 0, CANVAS - 1, CANVAS - 1), None, tone, 5)


def develop(rng: np.random.Generator, scene: Image.Image, amateur: bool) -> Image.Image:
    """The finished photo, RGB (PHOTO, PHOTO): focus, exposure, size and sensor noise."""
    if chance(rng, 0.35 if amateur else 0.08):
        scene = scene.filter(ImageFilter.BoxBlur(float(rng.uniform(0.4, 1.6))))
    spread = 0.22 if amateur else 0.04
    gains = rng.normal(1 - spread / 2, spread / 2) + rng.normal(0, spread / 6, 3)
    photo = scene.point(_scaled(*gains)) if amateur or chance(rng, 0.3) else scene
    photo = photo.resize((PHOTO, PHOTO), Image.Resampling.BILINEAR)
    strength = pick(rng, _GRAINS[amateur])
    if not strength:
        return photo
    return ImageChops.add(photo, cut(rng, grain(strength), photo.size), offset=-128)


_GRAINS: tuple[Sequence[int], Sequence[int]] = ((0, 0, 2, 3), (2, 4, 6))


def tone_of(rng: np.random.Generator, colour: Sequence[int]) -> Colour:
    """A product's colour as the light of one photo shows it."""
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, 14, 3), 0, 255).astype(int)
    return int(red), int(green), int(blue)
