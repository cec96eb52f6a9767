"""Print on the generated products: as much of a title as a cover or a label holds."""

import html
import math
import textwrap
import unicodedata
from functools import cache, lru_cache

from PIL import ImageDraw, ImageFont

from stages.sample.surfaces import Colour

INK = (24, 22, 24)
LETTERS = 40  # most that are printed of a text
SMALLEST = 5  # pixels of a letter
LINE_HEIGHT = 1.3  # of the font's size
LETTER_WIDTH = 0.56  # of the font's size: Pillow's own font, on average


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: no font of the system can be counted on."""
    return ImageFont.load_default(size)


def lettering(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], text: str, colour: Colour
) -> None:
    """As much of a text as a box holds, in the largest letters that suit it."""
    width, height = box[2] - box[0], box[3] - box[1]
    text = _legible(text)[:LETTERS]
    if not text or min(width, height) < SMALLEST:
        return
    suitable = math.sqrt(width * height / (LETTER_WIDTH * LINE_HEIGHT * len(text)))
    size = int(min(height, max(SMALLEST, suitable)))
    lines = textwrap.wrap(text, max(int(width / (LETTER_WIDTH * size)), 3))
    lines = lines[: max(height // size, 1)]
    left, top = (box[0] + box[2]) // 2, (box[1] + box[3] - size * len(lines)) // 2
    for position, line in enumerate(lines):
        draw.text((left, top + position * size), line, colour, font(size), anchor="mt")


@lru_cache(maxsize=64)
def _legible(text: str) -> str:
    """Letters that Pillow's own font has: none with accents."""
    plain = unicodedata.normalize("NFKD", html.unescape(text))
    return plain.encode("ascii", "ignore").decode().strip()
