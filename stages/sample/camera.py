"""What happens to a generated scene on its way to a photo: sellers' badges, focus, light, noise."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from stages.sample.draws import chance, pick
from stages.sample.lettering import INK, lettering
from stages.sample.settings import CANVAS
from stages.sample.surfaces import Colour, bright, cut, grain, scaled

PHOTO = 500  # pixels of the finished photo, as on the marketplace
GRAINS: tuple[Sequence[int], Sequence[int]] = ((0, 0, 2, 3), (2, 4, 6))  # of studios, of sellers
CORNERS = (6, 182)  # pixels of the canvas, across and down
WHITE = (255, 255, 255)


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
    photo = scene.point(scaled(*gains)) if amateur or chance(rng, 0.3) else scene
    photo = photo.resize((PHOTO, PHOTO), Image.Resampling.BILINEAR)
    strength = pick(rng, GRAINS[amateur])
    if not strength:
        return photo
    return ImageChops.add(photo, cut(rng, grain(strength), photo.size), offset=-128)


def tone_of(rng: np.random.Generator, colour: Sequence[int]) -> Colour:
    """A product's colour as the light of one photo shows it."""
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, 14, 3), 0, 255).astype(int)
    return int(red), int(green), int(blue)
