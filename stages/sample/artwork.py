"""Pictures printed on the generated products: covers, screens, labels."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from stages.sample.draws import chance, pick
from stages.sample.lettering import INK
from stages.sample.surfaces import Colour, bright, ramp, shaded, tinted

SKINS: tuple[Colour, ...] = ((240, 205, 175), (224, 172, 130), (150, 100, 70), (96, 64, 48))


def artwork(rng: np.random.Generator, name: str, size: tuple[int, int]) -> Image.Image:
    """A picture of one kind, RGB; `name` is a key of `_KINDS`."""
    width, height = max(size[0], 2), max(size[1], 2)
    return _KINDS[name](rng, width, height)


def _scene(rng: np.random.Generator, width: int, height: int, dark: bool = False) -> Image.Image:
    top, bottom = (bright(rng, 5, 90), bright(rng, 30, 150)) if dark else (bright(rng), bright(rng))
    return ramp((width, height), top, bottom)


def _landscape(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = _scene(rng, width, height)
    draw = ImageDraw.Draw(image)
    x, y, radius = rng.uniform([0.1, 0.1, 0.05], [0.9, 0.4, 0.16]) * width
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), bright(rng, 200, 255))
    tone = bright(rng, 20, 150)
    for layer in range(3):
        crest = height * (0.45 + 0.17 * layer + rng.uniform(-0.12, 0.12, 6))
        points = [(width * step / 5, level) for step, level in enumerate(crest)]
        shade = shaded(tone, 1 - 0.25 * layer)
        draw.polygon([(0, height), *points, (width, height)], shade)
    return image


def _portrait(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = _blur(rng, width, height)
    draw = ImageDraw.Draw(image)
    unit = min(width, height) * rng.uniform(0.8, 1.15)
    x, y = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.38, 0.48)
    skin, hair = pick(rng, SKINS), bright(rng, 10, 130)
    draw.ellipse((x - 0.5 * unit, y + 0.26 * unit, x + 0.5 * unit, y + 1.4 * unit), bright(rng))
    draw.rectangle((x - 0.09 * unit, y, x + 0.09 * unit, y + 0.36 * unit), shaded(skin, 0.85))
    draw.ellipse((x - 0.26 * unit, y - 0.34 * unit, x + 0.26 * unit, y + 0.2 * unit), hair)
    draw.ellipse((x - 0.19 * unit, y - 0.24 * unit, x + 0.19 * unit, y + 0.25 * unit), skin)
    for side in (-0.08, 0.08):
        eye, level, size = x + side * unit, y - 0.04 * unit, 0.02 * unit
        draw.ellipse((eye - size, level - size, eye + size, level + size), INK)
    draw.line(
        (x - 0.06 * unit, y + 0.13 * unit, x + 0.06 * unit, y + 0.13 * unit), (170, 60, 60), 2
    )
    return image


def _hero(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = _scene(rng, width, height, dark=True)
    draw = ImageDraw.Draw(image)
    glow = bright(rng, 110, 255)
    x, y = width * rng.uniform(0.35, 0.65), height * 0.4
    for angle in rng.uniform(0, 2 * math.pi, 7):
        end = (x + math.cos(angle) * width, y + math.sin(angle) * height)
        draw.line((x, y, *end), shaded(glow, 0.6), max(width // 28, 1))
    unit = height * rng.uniform(0.28, 0.4)
    tone = bright(rng, 10, 90)
    body = [(-0.5, 0.2), (0.5, 0.2), (0.35, 1.0), (0.55, 2.2), (-0.55, 2.2), (-0.35, 1.0)]
    draw.polygon([(x + a * unit, y + b * unit) for a, b in body], tone)
    draw.ellipse((x - 0.22 * unit, y - 0.3 * unit, x + 0.22 * unit, y + 0.2 * unit), tone)
    draw.line((x + 0.4 * unit, y + 0.6 * unit, x + unit, y - 0.7 * unit), glow, max(width // 30, 2))
    return image


def _creature(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = _scene(rng, width, height, dark=chance(rng, 0.4))
    draw = ImageDraw.Draw(image)
    tone = bright(rng, 60, 240)
    x, y, unit = width / 2, height * 0.56, min(width, height) * rng.uniform(0.28, 0.4)
    for side in (-1, 1):
        tip = (x + side * unit * rng.uniform(0.4, 1.1), y - unit * rng.uniform(1.1, 1.7))
        draw.polygon(
            [(x + side * 0.2 * unit, y - 0.5 * unit), tip, (x + side * 0.8 * unit, y)], tone
        )
    draw.ellipse((x - unit, y - 0.8 * unit, x + unit, y + unit), tone)
    draw.ellipse((x - 0.5 * unit, y, x + 0.5 * unit, y + 0.9 * unit), shaded(tone, 1.6))
    for across in (-0.4, 0.4):
        eye = x + across * unit
        draw.ellipse((eye - 0.2 * unit, y - 0.5 * unit, eye + 0.2 * unit, y - 0.1 * unit), "white")
        draw.ellipse((eye - 0.08 * unit, y - 0.4 * unit, eye + 0.08 * unit, y - 0.2 * unit), INK)
    return image


def _abstract(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), bright(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 9))):
        points = rng.uniform(-0.1, 1.1, (4, 2)) * (width, height)
        if chance(rng, 0.5):
            draw.polygon([(x, y) for x, y in points[:3]], bright(rng))
        else:
            (left, top), (right, bottom) = points[:2].min(axis=0), points[:2].max(axis=0)
            draw.ellipse((left, top, right, bottom), bright(rng))
    return image


def _blur(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    return tinted(rng, "smooth", (width, height), bright(rng, 0, 140), bright(rng, 110, 255))


def _space(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = ramp((width, height), (6, 6, 18), bright(rng, 10, 110))
    draw = ImageDraw.Draw(image)
    for x, y in rng.uniform(0, 1, (50, 2)) * (width, height):
        draw.point((x, y), (235, 235, 255))
    x, y, radius = rng.uniform([0.1, 0.2, 0.15], [0.9, 0.8, 0.45]) * min(width, height)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), bright(rng, 60, 220))
    draw.ellipse((x - radius, y - radius, x + 0.7 * radius, y + 0.7 * radius), bright(rng, 60, 220))
    return image


def _vehicle(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = _landscape(rng, width, height)
    draw = ImageDraw.Draw(image)
    tone, x, y, unit = bright(rng, 20, 255), width / 2, height * 0.72, width * 0.4
    draw.rectangle((0, y, width, height), bright(rng, 50, 110))
    draw.polygon([(x - 0.5 * unit, y - 0.2 * unit), (x - 0.2 * unit, y - 0.55 * unit),
                  (x + 0.4 * unit, y - 0.55 * unit), (x + 0.7 * unit, y - 0.2 * unit)],
                 shaded(tone, 0.6))  # fmt: skip
    draw.rounded_rectangle((x - unit, y - 0.25 * unit, x + unit, y + 0.15 * unit), unit / 8, tone)
    for side in (-0.6, 0.6):
        wheel, size = x + side * unit, 0.2 * unit
        draw.ellipse((wheel - size, y, wheel + size, y + 2 * size), INK)
    return image


def _engraving(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = _landscape(rng, width, height).convert("L").convert("RGB")
    draw = ImageDraw.Draw(image)
    for y in range(0, height, 3):
        draw.line((0, y, width, y + int(rng.integers(-2, 3))), (206, 196, 170))
    return image


def _emblem(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), bright(rng, 150, 256))
    draw = ImageDraw.Draw(image)
    x, y, unit = width / 2, height / 2, min(width, height) * 0.42
    corners, tone = int(rng.integers(3, 9)), bright(rng, 0, 160)
    turn = rng.uniform(0, math.pi)
    radii = [unit, unit * rng.uniform(0.35, 1.0)] * corners
    angles = [turn + math.pi * step / corners for step in range(2 * corners)]
    draw.polygon([(x + radius * math.cos(angle), y + radius * math.sin(angle))
                  for radius, angle in zip(radii, angles, strict=True)], tone)  # fmt: skip
    return image


def _food(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), bright(rng, 190, 256))
    draw = ImageDraw.Draw(image)
    for x, y in rng.uniform(0.1, 0.9, (12, 2)) * (width, height):
        size = min(width, height) * rng.uniform(0.08, 0.2)
        tone = (int(rng.integers(120, 250)), int(rng.integers(60, 170)), int(rng.integers(10, 70)))
        draw.ellipse((x - size, y - size, x + size, y + size), tone)
    return image


_KINDS: dict[str, Callable[[np.random.Generator, int, int], Image.Image]] = {
    "abstract": _abstract,
    "blur": _blur,
    "creature": _creature,
    "emblem": _emblem,
    "engraving": _engraving,
    "food": _food,
    "hero": _hero,
    "landscape": _landscape,
    "portrait": _portrait,
    "space": _space,
    "vehicle": _vehicle,
}
