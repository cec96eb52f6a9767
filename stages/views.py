"""Views of an image: itself, then variations of it that would be the same product."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageEnhance

from api.inputs import RESAMPLING, decode_image

MARGIN = 1.25  # a variation crops from an image this much larger, so it never enlarges pixels
STRENGTH = 0.2  # brightness and colour go up or down by this share at most


def views(data: bytes, size: int, resampling: str, row: int, count: int) -> Iterator[np.ndarray]:
    """Views of one image file, uint8 (size, size, 3) each, the first being the image as it is.

    Args:
        data: The bytes of the file.
        size: Side of the square outputs, in pixels.
        resampling: A key of `api.inputs.RESAMPLING`.
        row: Row index of the product; with the view's number it decides the variation.
        count: Number of views.

    Raises:
        ImageError: The image can't be used.
    """
    yield decode_image(data, size, resampling)
    if count > 1:
        image = Image.fromarray(decode_image(data, round(size * MARGIN), resampling))
        for view in range(1, count):
            yield _variation(image, size, resampling, np.random.default_rng((row, view)))


def _variation(
    image: Image.Image, size: int, resampling: str, generator: np.random.Generator
) -> np.ndarray:
    """A random crop, perhaps mirrored, a little brighter or darker, more or less coloured."""
    width, height = generator.uniform(size, image.width, 2)
    left = generator.uniform(0, image.width - width)
    top = generator.uniform(0, image.height - height)
    box = (left, top, left + width, top + height)
    image = image.resize((size, size), RESAMPLING[resampling], box)
    if generator.integers(2):
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhancement in (ImageEnhance.Brightness, ImageEnhance.Color):
        image = enhancement(image).enhance(generator.uniform(1 - STRENGTH, 1 + STRENGTH))
    return np.asarray(image)
