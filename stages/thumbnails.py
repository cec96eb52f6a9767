"""Small photos inside a page, as many as the page has room for."""

import base64
import io

from PIL import Image

from api.archive import ImageArchive
from api.inputs import ImageError, decode_image

SIDE = 72  # pixels; a square, as the model sees it
QUALITY = 60


class Thumbnails:
    """Data URIs of product photos.

    Args:
        archive: Where the photos are.
        budget: Characters that all of them may take; what comes later gets none.
    """

    def __init__(self, archive: ImageArchive, budget: int) -> None:
        self.archive = archive
        self.left = budget

    def uri(self, name: str) -> str | None:
        """The photo of that file name; None if there is none that can be shown, or no room."""
        data = self.archive.read(name) if name else None
        if data is None:
            return None
        try:
            pixels = decode_image(data, SIDE)
        except ImageError:
            return None
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, optimize=True)
        text = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        if len(text) > self.left:
            return None
        self.left -= len(text)
        return text
