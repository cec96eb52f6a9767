"""The simple shapes that looks.yaml puts objects together from."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from PIL import ImageChops, ImageDraw

from stages.sample.artwork import artwork
from stages.sample.draws import chance, pick
from stages.sample.lettering import lettering
from stages.sample.pen import Box, Cell, Pen, clipped, grid, ordered, replace, thick
from stages.sample.surfaces import Colour, bright, shaded, textured

_PRINTED = [0] * 100 + [255] * 156  # of an inverted emblem: all but its light ground


def print_art(pen: Pen, name: str, box: Box) -> None:
    """A picture, where something is drawn already and inside the box."""
    picture = artwork(pen.rng, name, (box[2] - box[0], box[3] - box[1]))
    if name == "emblem":  # printed onto the object, not stuck on it
        mask = ImageChops.invert(picture.convert("L")).point(_PRINTED)
        pen.image.paste(picture, box[:2], mask)
        return
    covered = pen.image.crop((box[0], box[1], box[0] + picture.width, box[1] + picture.height))
    whole = covered.getchannel("A").getextrema() == (0, 0)
    pen.image.paste(picture, box[:2], None if whole else covered.getchannel("A"))


def _box(pen: Pen, colour: Colour, box: Box) -> None:
    pen.draw.rectangle(ordered(box), colour)


def _round(pen: Pen, colour: Colour, box: Box, radius: float) -> None:
    pen.draw.rounded_rectangle(ordered(box), thick(pen, radius), colour)


def _oval(pen: Pen, colour: Colour, box: Box) -> None:
    pen.draw.ellipse(ordered(box), colour)


def _line(pen: Pen, colour: Colour, box: Box, width: float) -> None:
    pen.draw.line(box, colour, thick(pen, width))


def _arc(pen: Pen, colour: Colour, box: Box, start: float, end: float, width: float) -> None:
    pen.draw.arc(ordered(box), start, end, colour, thick(pen, width))


def _pie(pen: Pen, colour: Colour, box: Box, start: float, end: float) -> None:
    pen.draw.pieslice(ordered(box), start, end, colour)


def _frame(pen: Pen, colour: Colour, box: Box, width: float) -> None:
    pen.draw.rectangle(ordered(box), None, colour, thick(pen, width))


def _cells(pen: Pen, colour: Colour, box: Box, columns: float, rows: float) -> None:
    for cell in grid(box, int(columns), int(rows), 0.16):
        pen.draw.rounded_rectangle(cell, 2, shaded(colour, pen.rng.uniform(0.85, 1.2)))


def _ovals(pen: Pen, colour: Colour, box: Box, columns: float, rows: float) -> None:
    for cell in grid(box, int(columns), int(rows), 0.1):
        pen.draw.ellipse(cell, colour)


def _slats(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    """Upright bars, or level ones when `count` is negative; only on what is drawn already."""
    columns, rows = (int(count), 1) if count > 0 else (1, int(-count))
    gap = 0.55 if max(columns, rows) > 1 else 0.0
    cells = grid(box, columns, rows, gap)
    clipped(pen, lambda draw: _each(draw.rectangle, cells, colour))


def _each(draw: Callable[[Cell, Colour], None], cells: Iterable[Cell], colour: Colour) -> None:
    for cell in cells:
        draw(cell, colour)


def _checks(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    side = int(count)
    cells = [
        cell
        for position, cell in enumerate(grid(box, side, side, 0.0))
        if (position // side + position) % 2
    ]
    clipped(pen, lambda draw: _each(draw.rectangle, cells, colour))


def _pattern(pen: Pen, colour: Colour, box: Box) -> None:
    """A print as textiles have it, in one of several styles."""
    style, count = pick(pen.rng, _PRINTS), int(pen.rng.integers(4, 9))
    style(pen, colour, box, count)


def _stripes(pen: Pen, colour: Colour, box: Box, count: int) -> None:
    _slats(pen, colour, box, count if chance(pen.rng, 0.5) else -count)


def _dots(pen: Pen, colour: Colour, box: Box, count: int) -> None:
    cells = grid(box, count, count, 0.5)
    clipped(pen, lambda draw: _each(draw.ellipse, cells, colour))


def _flowered(pen: Pen, colour: Colour, box: Box, _count: int) -> None:
    clipped(pen, lambda draw: _flowers(pen, draw, colour, box))


def _flowers(pen: Pen, draw: ImageDraw.ImageDraw, colour: Colour, box: Box) -> None:
    size = (box[2] - box[0]) / 12
    tones = (colour, bright(pen.rng))
    for position, (x, y) in enumerate(pen.rng.uniform(box[:2], box[2:], (14, 2))):
        for turn in range(5):
            a = x + size * 0.8 * math.cos(turn * 1.257)
            b = y + size * 0.8 * math.sin(turn * 1.257)
            draw.ellipse(
                (a - size / 2, b - size / 2, a + size / 2, b + size / 2), tones[position % 2]
            )
        draw.ellipse((x - size / 3, y - size / 3, x + size / 3, y + size / 3), (240, 220, 90))


def _zigzag(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    xs = np.linspace(box[0], box[2], int(count) + 1)
    ys = np.where(np.arange(len(xs)) % 2, box[1], box[3])
    clipped(pen, lambda draw: draw.line(list(zip(xs, ys, strict=True)), colour, thick(pen, 3)))


def _texture(pen: Pen, _colour: Colour, _box: Box) -> None:
    replace(pen, textured(pen.rng, pen.image, "cloth", (150, 150, 150), (255, 255, 255)))


def _stains(pen: Pen, colour: Colour, _box: Box) -> None:
    dark = shaded(colour, 2.2)
    replace(pen, textured(pen.rng, pen.image, "smooth", dark, (255, 255, 255)))


def _words(pen: Pen, colour: Colour, box: Box) -> None:
    lettering(pen.draw, box, pen.words, colour)


def _lines(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    """Print too small to read."""
    for left, top, right, bottom in grid(box, 1, int(count), 0.5):
        end = left + (right - left) * pen.rng.uniform(0.6, 1.0)
        pen.draw.rectangle((left, top, end, min(bottom, top + 3)), colour)


def _bars(pen: Pen, colour: Colour, box: Box) -> None:
    pen.draw.rectangle(box, (250, 250, 250))
    for left, top, _, bottom in grid(box, 9, 1, 0.3):
        width = pen.rng.uniform(0.5, 2.0)
        pen.draw.rectangle((left, top + 1, left + width, bottom - 2), colour)


_PRINTS: tuple[Callable[[Pen, Colour, Box, int], None], ...] = (
    _stripes,
    _checks,
    _dots,
    _flowered,
    _zigzag,
)
SHAPES: dict[str, Callable[..., None]] = {
    "arc": _arc,
    "banner": _box,
    "bars": _bars,
    "box": _box,
    "cells": _cells,
    "checks": _checks,
    "frame": _frame,
    "line": _line,
    "lines": _lines,
    "oval": _oval,
    "ovals": _ovals,
    "pattern": _pattern,
    "pie": _pie,
    "round": _round,
    "slats": _slats,
    "stains": _stains,
    "texture": _texture,
    "words": _words,
    "zigzag": _zigzag,
}
