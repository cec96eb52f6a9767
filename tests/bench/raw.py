"""ONNX Runtime on a bundle without a service: decode, tokenise, run; for a process of its own."""

import csv
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from api import bundle
from api.archive import ImageArchive, image_name
from api.bundle import Bundle, Product
from api.inputs import ImageError, decode_image
from stages.sample.catalogue import write_catalogue

SEED = 7
_opened: list[Bundle] = []
"""This process's bundle."""


def open_bundle(path: Path) -> None:
    """Opens it as the service does; an initialiser of a process."""
    _opened.append(bundle.load(path))


def answer(products: Sequence[Product]) -> list[float]:
    """Seconds of each product, one after the other."""
    times = []
    for product in products:
        start = time.perf_counter()
        _opened[0].probabilities([product])
        times.append(time.perf_counter() - start)
    return times


def generate(count: int) -> list[Product]:
    """Products of the generated catalogue, each with a title and a photo that can be read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_catalogue(folder, products=count, test_products=10, seed=SEED)
        rows = list(csv.DictReader((folder / "X_train_update.csv").open(encoding="utf-8")))
        with ImageArchive(folder / "images.zip") as archive:
            photos = [
                archive.read(image_name(int(row["imageid"]), int(row["productid"]))) for row in rows
            ]
    return [
        Product(row["designation"], row["description"], photo)
        for row, photo in zip(rows, photos, strict=True)
        if photo and _readable(photo)
    ]


def _readable(photo: bytes) -> bool:
    try:
        decode_image(photo, 8)
    except ImageError:
        return False
    return True
