"""Images that take a fifth of a second, and a whole one, to decode: what saturates a service."""

from PIL import Image

from tests.api.photos import packed

SLOW = packed(Image.new("L", (3000, 2000)), "PNG", compress_level=9)
SLOWER = packed(Image.new("L", (6000, 4000)), "PNG", compress_level=9)
