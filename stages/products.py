"""Products of a preprocessed table with their images, a batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from api.archive import ImageArchive
from api.bundle import Product
from api.errors import ProductCodeError
from stages.progress import Progress

BATCH = 8  # products; larger ones leave the cache and take a fifth more core time


class ProductsError(ProductCodeError):
    """A table of products that is missing, empty, or names an image the archive lacks."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a table as dictionaries, and the same products as a bundle takes them."""

    rows: list[dict[str, Any]]
    products: list[Product]


def batches(table: Path, archive: ImageArchive, size: int = BATCH) -> Iterator[Batch]:
    """Every product of a table, in its order.

    Args:
        table: A Parquet file of data/preprocessed.
        archive: Where the images are.
        size: Products a batch, at most.

    Raises:
        ProductsError: The table is missing or empty, or the archive lacks an image it names.
    """
    with Progress(total=_count(table), desc=table.stem, unit=" products") as bar:
        for record in pq.ParquetFile(table).iter_batches(batch_size=size):
            rows = record.to_pylist()
            yield Batch(rows, [_product(row, archive, table) for row in rows])
            bar.update(len(rows))


def _count(table: Path) -> int:
    if not table.is_file():
        raise ProductsError(f"{table} not found: run `dvc repro preprocess`")
    total: int = pq.read_metadata(table).num_rows
    if not total:
        raise ProductsError(
            f"{table} has no rows, at least one is needed: bring more data, or raise the "
            "fractions of the preprocess section in conf/"
        )
    return total


def _product(row: dict[str, Any], archive: ImageArchive, table: Path) -> Product:
    image = archive.read(row["image"]) if row["image"] else None
    if row["image"] and image is None:
        raise ProductsError(
            f"{archive.path} has no {row['image']}, which {table} names for row {row['row']}: "
            "the two come from different imports; run `dvc repro preprocess`"
        )
    return Product(row["designation"], row["description"], image)
