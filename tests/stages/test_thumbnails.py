"""Photos inside a page."""

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from api.archive import ImageArchive
from stages.thumbnails import SIDE, Thumbnails

TILES = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
NOISE = TILES.repeat(10, axis=0).repeat(10, axis=1)


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "images.zip"
    with zipfile.ZipFile(path, "w") as file:
        red = np.full((300, 200, 3), (255, 0, 0), np.uint8)
        file.writestr("image_1_product_1.jpg", jpeg(red))
        file.writestr("image_2_product_2.jpg", b"")
        file.writestr("image_3_product_3.jpg", b"\xff\xd8 cut short")
        file.writestr("image_4_product_4.jpg", jpeg(NOISE))
    return path


def test_a_photo_is_a_small_jpeg(archive: Path) -> None:
    with ImageArchive(archive) as images:
        uri = Thumbnails(images, 10_000).uri("image_1_product_1.jpg")

    kind, _, content = str(uri).partition(",")
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
        assert kind == "data:image/jpeg;base64"
        assert (image.format, image.size) == ("JPEG", (SIDE, SIDE))
        assert np.asarray(image).reshape(-1, 3).mean(axis=0) == pytest.approx([254, 0, 0], abs=3)


@pytest.mark.parametrize(
    "name",
    ["", "image_2_product_2.jpg", "image_3_product_3.jpg", "image_9_product_9.jpg"],
    ids=["no image", "empty", "broken", "not in the archive"],
)
def test_what_can_not_be_shown_is_none(archive: Path, name: str) -> None:
    with ImageArchive(archive) as images:
        thumbnails = Thumbnails(images, 10_000)

        assert thumbnails.uri(name) is None
        assert thumbnails.left == 10_000


def test_photos_take_no_more_than_their_budget(archive: Path) -> None:
    """Once there is no room for one, a smaller one may still have a place."""
    with ImageArchive(archive) as images:
        thumbnails = Thumbnails(images, 10_000)
        found = [thumbnails.uri("image_4_product_4.jpg") for _ in range(10)]
        small = thumbnails.uri("image_1_product_1.jpg")

    given = [uri for uri in found if uri]
    assert 0 < len(given) < 10
    assert found[: len(given)] == given
    assert small
    assert sum(map(len, [*given, small])) == 10_000 - thumbnails.left
