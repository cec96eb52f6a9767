"""Products as the bundle takes them, read from a table and an archive of images."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import tiny_catalogue

from api.archive import ImageArchive
from api.bundle import Product
from stages.products import ProductsError, batches


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_catalogue.write_workspace(tmp_path_factory.mktemp("products"), rows=30)


@pytest.fixture
def archive(workspace: Path) -> Iterator[ImageArchive]:
    with ImageArchive(workspace / "data/raw/images.zip") as opened:
        yield opened


def test_every_product_comes_once_in_order_with_its_raw_fields(
    workspace: Path, archive: ImageArchive
) -> None:
    path = workspace / "data/preprocessed/test.parquet"
    table = pd.read_parquet(path)

    found = list(batches(path, archive, size=7))

    assert [len(batch.products) for batch in found] == [7, 7, 7, 7, 2]
    assert [row["row"] for batch in found for row in batch.rows] == table["row"].tolist()
    assert [product for batch in found for product in batch.products] == [
        Product(row.designation, row.description, archive.read(row.image) if row.image else None)
        for row in table.itertuples()
    ]


def test_a_photo_without_bytes_is_told_from_no_photo(
    workspace: Path, archive: ImageArchive
) -> None:
    """Row 5's file is empty, row 2 has none: the bundle's reader decides about the first."""
    (batch,) = batches(workspace / "data/preprocessed/test.parquet", archive, size=100)

    assert (batch.products[5].image, batch.products[2].image) == (b"", None)


def test_an_image_that_the_archive_lacks_is_an_error(
    workspace: Path, archive: ImageArchive, tmp_path: Path
) -> None:
    table = pd.read_parquet(workspace / "data/preprocessed/test.parquet")
    table.loc[4, "image"] = "image_1_product_2.jpg"
    table.to_parquet(tmp_path / "test.parquet")

    with pytest.raises(ProductsError, match=r"has no image_1_product_2\.jpg.*row 504.*dvc repro"):
        list(batches(tmp_path / "test.parquet", archive))


def test_an_empty_table_is_an_error(workspace: Path, archive: ImageArchive, tmp_path: Path) -> None:
    table = pd.read_parquet(workspace / "data/preprocessed/test.parquet")
    table.head(0).to_parquet(tmp_path / "test.parquet")

    with pytest.raises(ProductsError, match=r"no rows, at least one is needed"):
        list(batches(tmp_path / "test.parquet", archive))


def test_a_missing_table_is_an_error(archive: ImageArchive, tmp_path: Path) -> None:
    with pytest.raises(ProductsError, match=r"not found: run `dvc repro preprocess`"):
        list(batches(tmp_path / "test.parquet", archive))
