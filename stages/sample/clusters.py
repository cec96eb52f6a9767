"""Shapes that are several things at once: spines on a shelf, a pile of books, a fan of cards."""

import math
from collections.abc import Callable

from stages.sample.artwork import artwork
from stages.sample.draws import chance
from stages.sample.lettering import lettering
from stages.sample.pen import Box, Pen, grid, thick
from stages.sample.surfaces import Colour, bright, shaded


def _spines(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    """Books side by side: of one series, or all different."""
    series = chance(pen.rng, 0.4)
    left, width = float(box[0]), (box[2] - box[0]) / count
    while left < box[2] - width / 2:
        step = width * (1.0 if series else pen.rng.uniform(0.5, 1.5))
        top = box[1] + (0.0 if series else pen.rng.uniform(0, 0.25)) * (box[3] - box[1])
        tone = colour if series else bright(pen.rng, 20, 230)
        right = min(left + step - 1, box[2])
        pen.draw.rectangle((left, top, max(right, left), box[3]), tone)
        pen.draw.line((left, top, left, box[3]), shaded(tone, 0.6))
        for share in (0.14, 0.2, 0.8):
            level = top + share * (box[3] - top)
            pen.draw.line((left + 1, level, max(right - 1, left + 1), level), shaded(tone, 2.0))
        left += step


def _pile(pen: Pen, _colour: Colour, box: Box, count: float) -> None:
    """Books lying one on another, the spines in front."""
    rows = int(pen.rng.integers(3, int(count) + 3))
    width = box[2] - box[0]
    for left, top, right, bottom in grid(box, 1, rows, 0.06):
        tone, inset = bright(pen.rng, 20, 230), pen.rng.uniform(0, 0.14, 2) * width
        edges = (left + inset[0], top, right - inset[1], bottom)
        pen.draw.rectangle(edges, tone)
        pen.draw.rectangle((edges[2] - 0.06 * width, top, edges[2], bottom), (236, 228, 208))
        middle = (top + bottom) / 2
        pen.draw.line((edges[0] + 0.1 * width, middle, edges[0] + 0.6 * width, middle),
                      shaded(tone, 2.4), max(int((bottom - top) / 5), 1))  # fmt: skip


def _fan(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    """Playing cards in a row, each over the one before."""
    step = (box[2] - box[0]) / (count + 1)
    for position in range(int(count)):
        left = box[0] + position * step
        top = box[1] + abs(position - count / 2) * (box[3] - box[1]) * 0.06
        right, bottom = left + 2 * step, box[3] - (box[3] - box[1]) * 0.1
        pen.draw.rounded_rectangle((left, top, right, bottom), 4, colour, (120, 120, 120))
        suit = (190, 30, 40) if chance(pen.rng, 0.5) else (20, 20, 20)
        size = step * 0.3
        pen.draw.ellipse((left + size, top + size, left + 2 * size, top + 2.4 * size), suit)
    picture = artwork(pen.rng, "portrait", (int(step), int((bottom - top) * 0.6)))
    pen.image.paste(picture, (int(left + 0.5 * step), int(top + (bottom - top) * 0.2)))


def _minis(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    """Unpainted soldiers on round bases."""
    for left, top, right, bottom in grid(box, int(pen.rng.integers(1, int(count) + 1)), 1, 0.2):
        x, unit = (left + right) / 2, min(right - left, (bottom - top) * 0.6) / 2
        foot = bottom - pen.rng.uniform(0, 0.25) * (bottom - top)
        head = max(foot - 3.4 * unit, top)
        pen.draw.ellipse((x - unit, foot - 0.6 * unit, x + unit, foot), (36, 34, 34))
        pen.draw.polygon([(x - 0.3 * unit, head + 0.7 * unit), (x + 0.3 * unit, head + 0.7 * unit),
                          (x + 0.5 * unit, foot - 0.3 * unit), (x - 0.5 * unit, foot - 0.3 * unit)],
                         colour)  # fmt: skip
        helmet = (x - 0.28 * unit, head, x + 0.28 * unit, head + 0.7 * unit)
        pen.draw.ellipse(helmet, shaded(colour, 1.3))
        lean = pen.rng.uniform(0.5, 0.9) * unit
        spear = (x + 0.3 * unit, foot - unit, x + lean, head - 0.2 * unit)
        pen.draw.line(spear, shaded(colour, 0.6), max(thick(pen, 2), 2))


def _balls(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    """Billiard balls, numbered and shiny."""
    side = round(math.sqrt(count))
    for number, cell in enumerate(grid(box, side, side, 0.04)):
        tone = colour if chance(pen.rng, 0.4) else bright(pen.rng, 20, 230)
        unit = (cell[2] - cell[0]) / 4
        pen.draw.ellipse(cell, tone)
        middle = (cell[0] + unit, cell[1] + unit, cell[2] - unit, cell[3] - unit)
        pen.draw.ellipse(middle, (246, 244, 236))
        left, top, right, bottom = (int(edge) for edge in middle)
        lettering(pen.draw, (left, top, right, bottom), str(number + 1), (20, 20, 20))


def _gear(pen: Pen, colour: Colour, box: Box, teeth: float) -> None:
    x, y, radius = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2
    points = []
    for step, reach in enumerate((1.0, 1.0, 0.82, 0.82) * int(teeth)):
        angle, length = math.pi * step / (2 * teeth), radius * reach
        points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    pen.draw.polygon(points, colour)
    for share, tone in ((0.6, shaded(colour, 0.8)), (0.25, (250, 250, 250))):
        size = radius * share
        pen.draw.ellipse((x - size, y - size, x + size, y + size), tone)


def _ticks(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    x, y, radius = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2
    for step in range(int(count)):
        across, down = math.cos(2 * math.pi * step / count), math.sin(2 * math.pi * step / count)
        inner, outer = radius * 0.86, radius * 0.97
        mark = (x + inner * across, y + inner * down, x + outer * across, y + outer * down)
        pen.draw.line(mark, colour, 2)


def _track(pen: Pen, colour: Colour, box: Box, count: float) -> None:
    """The squares that pawns walk on, in a spiral."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    for step in range(int(count)):
        share, angle = 0.25 + 0.75 * step / count, step * 0.5
        a = x + share * math.cos(angle) * (box[2] - box[0]) / 2
        b = y + share * math.sin(angle) * (box[3] - box[1]) / 2
        size = max((box[2] - box[0]) / 22, 2)
        tone = colour if step % 3 else bright(pen.rng)
        pen.draw.ellipse((a - size, b - size, a + size, b + size), tone, (60, 60, 60))


def _waves(pen: Pen, colour: Colour, box: Box) -> None:
    """Light on water."""
    for _ in range(14):
        x, y = pen.rng.uniform(box[0], box[2]), pen.rng.uniform(box[1], box[3])
        size = (box[2] - box[0]) * pen.rng.uniform(0.03, 0.1)
        pen.draw.arc((x - size, y - size / 3, x + size, y + size / 3), 200, 340, colour, 1)


def _grass(pen: Pen, colour: Colour, box: Box) -> None:
    for x, y in pen.rng.uniform(box[:2], box[2:], (220, 2)):
        tone = shaded(colour, pen.rng.uniform(0.6, 1.5))
        pen.draw.line((x, y, x + pen.rng.uniform(-3, 3), y - pen.rng.uniform(3, 9)), tone)


CLUSTERS: dict[str, Callable[..., None]] = {
    "balls": _balls,
    "fan": _fan,
    "gear": _gear,
    "grass": _grass,
    "minis": _minis,
    "pile": _pile,
    "spines": _spines,
    "ticks": _ticks,
    "track": _track,
    "waves": _waves,
}
