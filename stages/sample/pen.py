"""What the objects in the generated photos are drawn with: colours, places, clipping."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from stages.sample.draws import pick
from stages.sample.lettering import INK
from stages.sample.surfaces import Colour, bright, shaded

COLOURS: dict[str, Colour] = {
    "blue": (38, 92, 180),
    "brown": (112, 78, 50),
    "dark": (40, 40, 46),
    "glass": (176, 204, 214),
    "gold": (198, 160, 70),
    "green": (62, 130, 62),
    "grey": (140, 142, 146),
    "hair": (70, 46, 30),
    "ink": INK,
    "leather": (92, 54, 34),
    "light": (232, 230, 222),
    "maroon": (96, 28, 36),
    "metal": (176, 180, 186),
    "navy": (28, 40, 82),
    "old": (206, 184, 140),
    "orange": (226, 120, 36),
    "paper": (240, 234, 218),
    "paving": (206, 196, 180),
    "red": (188, 36, 40),
    "rose": (232, 150, 170),
    "skin": (232, 190, 156),
    "water": (64, 160, 206),
    "white": (248, 248, 248),
    "wood": (170, 122, 76),
    "yellow": (238, 204, 60),
}
UNIT = 100  # parts are placed in hundredths of their object's box
JITTER = 10  # how far a colour may stray

Box = tuple[int, int, int, int]
Cell = tuple[float, float, float, float]


class Pen:
    """What a part is drawn with; `words` is the product's title."""

    def __init__(
        self,
        image: Image.Image,
        rng: np.random.Generator,
        colours: Mapping[str, Colour],
        words: str,
    ) -> None:
        self.image, self.rng, self.colours, self.words = image, rng, colours, words
        self.draw = ImageDraw.Draw(image)
        self._chosen: dict[str, str] = {}

    def chosen(self, choice: str) -> str:
        """One of a|b|c, the same all over an object: the four legs of a table match."""
        if choice not in self._chosen:
            self._chosen[choice] = pick(self.rng, choice.split("|"))
        return self._chosen[choice]


def palette(rng: np.random.Generator, main: Colour) -> dict[str, Colour]:
    """The colours that looks.yaml names, a little astray; `main` is the product's own."""
    names = {**COLOURS, "main": main, "second": bright(rng)}
    names |= {"shade": shaded(main, 0.72), "tint": shaded(main, 1.6)}
    noise = rng.integers(-JITTER, JITTER + 1, (len(names), 3))
    values = np.clip(np.array(list(names.values())) + noise, 0, 255)
    return {name: (int(r), int(g), int(b)) for name, (r, g, b) in zip(names, values, strict=True)}


def pixels(pen: Pen, numbers: Sequence[float]) -> Box:
    """Left, top, right and bottom in pixels, of a box in hundredths."""
    width, height = pen.image.size
    scales = (width, height, width, height)
    left, top, right, bottom = (
        round(number * scale / UNIT) for number, scale in zip(numbers, scales, strict=False)
    )
    return left, top, right, bottom


def ordered(box: Box) -> Box:
    """The same box with left before right and top before bottom."""
    return min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])


def thick(pen: Pen, width: float) -> int:
    """A width in pixels, of one in hundredths of the object's shorter side."""
    return max(round(width * min(pen.image.size) / UNIT), 1)


def grid(box: Box, columns: int, rows: int, gap: float) -> list[Cell]:
    """The cells of a grid, row by row, each smaller by a share `gap`."""
    width, height = max(box[2] - box[0], 2) / columns, max(box[3] - box[1], 2) / rows
    return [
        (
            box[0] + width * (column + gap / 2),
            box[1] + height * (row + gap / 2),
            box[0] + width * (column + 1 - gap / 2),
            box[1] + height * (row + 1 - gap / 2),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def clipped(pen: Pen, paint_on: Callable[[ImageDraw.ImageDraw], None]) -> None:
    """Draws where something is drawn already; on an empty image, everywhere."""
    before = pen.image.getchannel("A")
    paint_on(pen.draw)
    if before.getbbox():
        pen.image.putalpha(before)


def replace(pen: Pen, image: Image.Image) -> None:
    """Goes on with another image."""
    pen.image = image
    pen.draw = ImageDraw.Draw(image)
