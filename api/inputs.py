"""From a raw product to model inputs: shared, line for line, by training and serving."""

import io

import ftfy
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from selectolax.lexbor import LexborHTMLParser

from api.errors import ProductCodeError

MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")  # others start programs, or are not photos
FIELD_SEPARATOR = "\n"
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class ImageError(ProductCodeError):
    """An image that can't be used; `reason` is one short word for counters.

    Reasons: empty, unreadable, truncated, too_large, animated.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"image {reason}: {detail}")
        self.reason = reason


def clean_text(raw: str | None) -> str:
    """Plain text on one line: tags and entities resolved, mojibake repaired, spaces folded."""
    if not raw:
        return ""
    # ftfy, which takes most of the time, leaves printable ASCII as it is
    text = raw if raw.isascii() and raw.isprintable() else ftfy.fix_text(raw, unescape_html=False)
    if "<" in text or "&" in text:
        page = LexborHTMLParser(text)
        page.strip_tags(["script", "style"])
        text = page.text(separator=" ")
    return " ".join(text.split())


def join_text(designation: str | None, description: str | None) -> str:
    """Title, a line break, description; either may be missing. Both missing gives ''."""
    title, body = clean_text(designation), clean_text(description)
    return title + FIELD_SEPARATOR + body if body else title


def decode_image(data: bytes, size: int, resampling: str = "bilinear") -> np.ndarray:
    """Pixels of one image file.

    Args:
        data: The bytes of a JPEG, PNG, GIF, WebP, BMP or TIFF file.
        size: Side of the square output, in pixels; the aspect ratio is not kept.
        resampling: A key of `RESAMPLING`.

    Returns:
        pixels: uint8 (size, size, 3), RGB; transparency is laid on white.

    Raises:
        ImageError: The file is empty, unreadable, truncated, animated or over `MAX_PIXELS`.
    """
    if not data:
        raise ImageError("empty", "the file has no bytes; send the image again")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _to_pixels(image, size, resampling)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("too_large", str(error)) from error
    except UnidentifiedImageError as error:
        raise ImageError("unreadable", "the content is no image format known here") from error
    except Exception as error:  # Pillow's decoders raise almost any type on broken files
        reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise ImageError(reason, str(error) or type(error).__name__) from error


def _to_pixels(image: Image.Image, size: int, resampling: str) -> np.ndarray:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError("too_large", f"{width} x {height} pixels; the limit is {MAX_PIXELS:,}")
    # A phone's JPEG can hold a second picture (MPO), such as a depth map: the first is the photo.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ImageError("animated", "several frames; send a still image")
    image.draft("RGB", (size, size))  # JPEG only: decodes at the nearest power-of-two scale
    flat = _flatten(ImageOps.exif_transpose(image))
    return np.asarray(flat.resize((size, size), RESAMPLING[resampling]), dtype=np.uint8)


def _flatten(image: Image.Image) -> Image.Image:
    """RGB, with transparent parts laid on white, as catalogue photos are."""
    if image.mode == "RGB":
        return image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    elif image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    return image.convert("RGB")
