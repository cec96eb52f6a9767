"""Image files of every kind a seller might send, and of kinds that no one should."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

COLOUR = (200, 100, 50)
GREY = 124  # of that colour
BASE = Image.new("RGB", (60, 40), COLOUR)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8))


def packed(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    """Two frames."""
    return packed(BASE, kind, save_all=True, append_images=[Image.new("RGB", BASE.size)])


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes that would unpack to width x height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def rotated() -> bytes:
    """Red on the left and blue on the right as stored; EXIF says to turn it clockwise."""
    image = Image.new("RGB", (80, 40), (255, 0, 0))
    image.paste((0, 0, 255), (40, 0, 80, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    return packed(image, "JPEG", exif=exif)


SIXTEEN_BIT = Image.fromarray(np.full((40, 60), 200 * 257, np.uint16))
PALETTE = BASE.convert("P", palette=Image.Palette.ADAPTIVE)
JPEG, PNG = packed(NOISE, "JPEG"), packed(NOISE, "PNG")

USABLE = {
    "jpeg": (packed(BASE, "JPEG"), COLOUR),
    "progressive jpeg": (packed(BASE, "JPEG", progressive=True), COLOUR),
    "cmyk jpeg": (packed(BASE.convert("CMYK"), "JPEG"), COLOUR),
    "grey jpeg": (packed(BASE.convert("L"), "JPEG"), (GREY,) * 3),
    "two pictures of a phone": (animated("MPO"), COLOUR),
    "corrupt exif": (packed(BASE, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01"), COLOUR),
    "palette png": (packed(PALETTE, "PNG"), COLOUR),
    "16-bit png": (packed(SIXTEEN_BIT, "PNG"), (200,) * 3),
    "16-bit tiff": (packed(SIXTEEN_BIT, "TIFF"), (200,) * 3),
    "grey png with alpha": (packed(BASE.convert("LA"), "PNG"), (GREY,) * 3),
    "transparent png": (packed(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "PNG"), (255,) * 3),
    "still gif": (packed(BASE, "GIF"), COLOUR),
    "still webp": (packed(BASE, "WEBP"), COLOUR),
    "bmp": (packed(BASE, "BMP"), COLOUR),
    "1 x 1": (packed(Image.new("RGB", (1, 1), COLOUR), "PNG"), COLOUR),
    "1 x 4000": (packed(Image.new("RGB", (1, 4000), COLOUR), "PNG"), COLOUR),
    "4000 x 1": (packed(Image.new("RGB", (4000, 1), COLOUR), "JPEG"), COLOUR),
}
UNUSABLE = {
    "zero bytes": (b"", "empty"),
    "web page": (b"<html><body>404</body></html>", "unreadable"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "unreadable"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unreadable"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "truncated"),
    "start of a jpeg": (JPEG[:30], "truncated"),
    "start of a png": (PNG[:2000], "truncated"),
    "overwritten jpeg": (JPEG[:300] + bytes(1700) + JPEG[2000:], "unreadable"),
    "60 megapixels": (png_that_claims(10_000, 6_000), "too_large"),
    "100 megapixels": (png_that_claims(10_000, 10_000), "too_large"),
    "decompression bomb": (png_that_claims(60_000, 60_000), "too_large"),
    "animated gif": (animated("GIF"), "animated"),
    "animated webp": (animated("WEBP"), "animated"),
    "animated png": (animated("PNG"), "animated"),
}
