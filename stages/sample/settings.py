"""Where the generated photos are taken: empty scenes, before an object is put into them."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from stages.sample.draws import chance
from stages.sample.surfaces import bright, ramp, shaded, tinted

CANVAS = 250  # pixels at which a scene is put together: a quarter of the work
AMATEUR = {"table", "cloth", "dark"}  # settings that sellers photograph themselves


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
