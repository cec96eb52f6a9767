"""Objects in the generated photos, drawn from the parts that looks.yaml lists."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from stages.sample.clusters import CLUSTERS
from stages.sample.draws import pick
from stages.sample.pen import UNIT, Pen, palette, pixels
from stages.sample.shapes import SHAPES, print_art
from stages.sample.surfaces import Colour

_SHAPES = SHAPES | CLUSTERS


def paint(
    rng: np.random.Generator, look: Sequence[Any], main: Colour, words: str, side: int
) -> Image.Image:
    """An object, RGBA on nothing, its longer side about `side` pixels."""
    aspect = look[0] * rng.uniform(0.9, 1.1)
    size = (side, int(side / aspect)) if aspect > 1 else (int(side * aspect), side)
    image = Image.new("RGBA", (max(size[0], 8), max(size[1], 8)), (128, 128, 128, 0))
    pen = Pen(image, rng, palette(rng, main), words)
    _paint_parts(pen, look[1:])
    return pen.image


def _paint_parts(pen: Pen, parts: Sequence[Any]) -> None:
    for part in parts:
        if isinstance(part, dict):
            _paint_parts(pen, pick(pen.rng, part["any"]))
        else:
            _paint_part(pen, *part)


def _paint_part(pen: Pen, shape: str, choice: str, *numbers: float) -> None:
    name = pen.chosen(choice)
    if shape == "art":
        print_art(pen, name, pixels(pen, numbers))
    elif shape == "poly":
        width, height = pen.image.size
        points = np.array(numbers).reshape(-1, 2) * (width / UNIT, height / UNIT)
        points += pen.rng.uniform(-0.012, 0.012, points.shape) * max(width, height)
        pen.draw.polygon([(x, y) for x, y in points], pen.colours[name])
    else:
        _SHAPES[shape](pen, pen.colours[name], pixels(pen, numbers), *numbers[4:])
