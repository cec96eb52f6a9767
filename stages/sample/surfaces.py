"""Surfaces in the generated photos: wood, cloth, noise; made once a process from a fixed seed."""

from functools import cache

import numpy as np
from PIL import Image, ImageChops

SIDE = 640  # pixels: more than a photo, so that crops differ

Colour = tuple[int, int, int]


@cache
def surface(name: str) -> Image.Image:
    """A grey picture (mode L) of SIDE x SIDE: smooth, wood, cloth or grass."""
    rng = np.random.default_rng(0)
    if name == "smooth":
        values = _octaves(rng, (4, 4), 3)
    elif name == "wood":
        values = _octaves(rng, (24, 2), 4)
    elif name == "cloth":
        weave = np.indices((SIDE, SIDE)).sum(axis=0) % 4 * 20
        values = _octaves(rng, (5, 5), 2) * 0.5 + weave + rng.normal(60, 18, (SIDE, SIDE))
    else:
        values = _octaves(rng, (6, 6), 2) * 0.3 + rng.normal(110, 50, (SIDE, SIDE))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


@cache
def grain(strength: int) -> Image.Image:
    """Sensor noise round mid-grey, RGB; `strength` is its standard deviation."""
    rng = np.random.default_rng(1)
    grey = rng.normal(128, strength, (SIDE, SIDE, 1))
    values = grey + rng.normal(0, strength * 0.6, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _octaves(rng: np.random.Generator, cells: tuple[int, int], octaves: int) -> np.ndarray:
    """Noise at ever finer scales, float (SIDE, SIDE) in 0..255."""
    total = np.zeros((SIDE, SIDE))
    for octave in range(octaves):
        shape = (cells[0] << octave, cells[1] << octave)
        coarse = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
        total += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 2**octave
    total -= total.min()
    return np.asarray(total * (255 / total.max()))


def cut(rng: np.random.Generator, image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A crop of `size` somewhere in a surface."""
    left, top = (int(rng.integers(SIDE - length + 1)) for length in size)
    return image.crop((left, top, left + size[0], top + size[1]))


def tinted(
    rng: np.random.Generator, name: str, size: tuple[int, int], dark: Colour, light: Colour
) -> Image.Image:
    """A crop of a surface between two colours, RGB."""
    crop = cut(rng, surface(name), size)
    tables = (_between(dark, light, 256) + 0.5).astype(int).T.tolist()
    return Image.merge("RGB", [crop.point(table) for table in tables])


def ramp(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    """A vertical gradient, RGB."""
    column = _between(top, bottom, size[1]).astype(np.uint8)[:, None, :]
    return Image.fromarray(column).resize(size, Image.Resampling.NEAREST)


def _between(first: Colour, last: Colour, steps: int) -> np.ndarray:
    """Colours from one to another, float (steps, 3)."""
    return np.linspace(first, last, steps)


def textured(
    rng: np.random.Generator, image: Image.Image, name: str, dark: Colour, light: Colour
) -> Image.Image:
    """An RGBA picture darkened by a surface; its outline stays."""
    layer = tinted(rng, name, image.size, dark, light)
    result = ImageChops.multiply(image.convert("RGB"), layer)
    result.putalpha(image.getchannel("A"))
    return result


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter (above)."""
    if factor <= 1:
        red, green, blue = (int(channel * factor) for channel in colour)
    else:
        red, green, blue = (int(255 - (255 - channel) / factor) for channel in colour)
    return red, green, blue


def bright(rng: np.random.Generator, low: int = 40, high: int = 230) -> Colour:
    """Any colour whose channels lie in low..high."""
    red, green, blue = (int(channel) for channel in rng.integers(low, high, 3))
    return red, green, blue


def scaled(*gains: float) -> list[int]:
    """A table for `Image.point`: every level of each channel, times the channel's gain."""
    levels = np.arange(256)[None, :] * np.array(gains)[:, None]
    return [int(level) for level in np.minimum(levels, 255).ravel()]
