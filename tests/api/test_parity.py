"""One product, one answer: /predict, /predict/batch, python -m api.batch and the evaluate stage."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from api import bundle
from api.archive import ImageArchive, image_name
from api.inputs import join_text
from stages import held_out
from tests.api import service
from tests.api.batch_files import lines, read, send
from tests.api.service import LIMITLESS, ROOT, parts
from tests.stages import tiny_catalogue

SAMPLE = ROOT.parent / "shared" / "rakuten-sample"
SERVED = ROOT / "models" / "bundle"
TOLERANCE = 1e-5
REAL_ROWS = 24


@dataclass(frozen=True)
class Catalogue:
    """A bundle, and products with their images, as files."""

    bundle: Path
    table: Path
    products: Path
    images: Path

    def rows(self) -> list[dict[str, Any]]:
        """Each with its image, if that is to be had."""
        with ImageArchive(self.images) as archive:
            return [
                {**row, "photo": archive.read(row["image"]) if row["image"] else None}
                for row in pd.read_parquet(self.table).to_dict("records")
            ]


def tiny(folder: Path) -> Catalogue:
    tiny_catalogue.write_workspace(folder)
    table = folder / "data" / "preprocessed" / "test.parquet"
    columns = ["row", "designation", "description", "productid", "imageid"]
    products = folder / "products.csv"
    pd.read_parquet(table)[columns].rename(columns={"row": ""}).to_csv(products, index=False)
    return Catalogue(
        folder / "models" / "bundle", table, products, folder / "data" / "raw" / "images.zip"
    )


def real(folder: Path) -> Catalogue:
    """Some real products, and the bundle that DVC checked out."""
    if not SAMPLE.is_dir():
        pytest.skip(f"{SAMPLE} is absent")
    if not (SERVED / "bundle.json").is_file():
        pytest.skip(f"{SERVED} is not checked out")
    every = pd.read_csv(SAMPLE / "X_train_update.csv", index_col=0)
    codes = pd.read_csv(SAMPLE / "Y_train_CVw08PX.csv", index_col=0)
    chosen = every.join(codes).iloc[:: len(every) // REAL_ROWS].head(REAL_ROWS)
    products = folder / "products.csv"
    chosen[every.columns].to_csv(products)
    text = chosen[["designation", "description"]].fillna("")
    table = chosen.assign(
        **text,
        row=chosen.index,
        text=list(map(join_text, text["designation"], text["description"])),
        image=list(map(image_name, chosen["imageid"], chosen["productid"])),
        code=chosen["prdtypecode"],
    )
    table.to_parquet(folder / "test.parquet", index=False)
    return Catalogue(SERVED, folder / "test.parquet", products, SAMPLE / "images.zip")


@pytest.fixture(scope="module", params=[tiny, real], ids=["tiny", "real"])
def catalogue(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Catalogue:
    made: Catalogue = request.param(tmp_path_factory.mktemp("catalogue"))
    return made


@pytest.fixture(scope="module")
def client(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    given = {"bundle_dir": catalogue.bundle, "top_k": 100, "batch_limit": LIMITLESS}
    with service.client(folder, **given) as made:
        yield made


@pytest.fixture(scope="module")
def expected(catalogue: Catalogue) -> dict[int, dict[int, float]]:
    """What the evaluate stage scores: by row, the probability of each code."""
    opened = bundle.load(catalogue.bundle)
    with ImageArchive(catalogue.images) as archive:
        scored = held_out.score(opened, catalogue.table, archive)
    codes = [label["code"] for label in opened.labels]
    return {
        int(row): dict(zip(codes, map(float, probabilities), strict=True))
        for row, probabilities in zip(scored.row, scored.probabilities["fused"], strict=True)
    }


def usable(row: dict[str, Any]) -> bool:
    """The service refuses an empty image file, which a stage counts as missing."""
    return row["photo"] != b""


def compare(answer: dict[str, Any], wanted: dict[int, float]) -> None:
    found = {one["code"]: one["confidence"] for one in answer["predictions"]}
    codes = sorted(wanted)
    assert sorted(found) == codes
    difference = np.abs([found[code] - wanted[code] for code in codes])
    assert difference.max() <= TOLERANCE


def test_predict_gives_what_evaluate_scores(
    catalogue: Catalogue, client: TestClient, expected: dict[int, dict[int, float]]
) -> None:
    compared = 0
    for row in filter(usable, catalogue.rows()):
        texts = {name: row[name] for name in ("designation", "description")}
        photo = row["photo"]
        compare(parts(client, texts, photo).json(), expected[row["row"]])
        image = base64.b64encode(photo).decode() if photo else None
        compare(client.post("/predict", json=texts | {"image": image}).json(), expected[row["row"]])
        compared += 1
    assert compared >= REAL_ROWS


def compare_all(
    told: list[dict[str, Any]], catalogue: Catalogue, expected: dict[int, dict[int, float]]
) -> None:
    """Row by row; what is refused has to be what can't be used."""
    rows = catalogue.rows()
    assert [line["row"] for line in told] == list(range(1, len(rows) + 1))
    for row, line in zip(rows, told, strict=True):
        assert line["product_identifier"] == str(row["row"])
        assert ("predicted" in line) is usable(row)
        if usable(row):
            assert line["has_image"] is bool(row["photo"])
            compare(line, expected[row["row"]])
        else:
            assert line["error"]["reason"] == "empty"


def test_a_batch_gives_what_evaluate_scores(
    catalogue: Catalogue, client: TestClient, expected: dict[int, dict[int, float]]
) -> None:
    answer = send(client, catalogue.products.read_bytes(), catalogue.images.read_bytes())
    compare_all(lines(answer), catalogue, expected)


def test_json_lines_give_what_evaluate_scores(
    catalogue: Catalogue, client: TestClient, expected: dict[int, dict[int, float]]
) -> None:
    content = pd.DataFrame(
        {
            "product_identifier": str(row["row"]),
            "designation": row["designation"],
            "description": row["description"],
            "image": None if row["photo"] is None else base64.b64encode(row["photo"]).decode(),
        }
        for row in catalogue.rows()
    ).to_json(orient="records", lines=True)
    kind = {"Content-Type": "application/x-ndjson"}
    answer = client.post("/predict/batch", content=content.encode(), headers=kind)
    compare_all(lines(answer), catalogue, expected)


def test_the_command_gives_what_evaluate_scores(
    catalogue: Catalogue, expected: dict[int, dict[int, float]]
) -> None:
    options = [catalogue.products, "--images", catalogue.images, "--bundle", catalogue.bundle]
    done = subprocess.run(
        [sys.executable, "-m", "api.batch", *map(str, options)],
        cwd=ROOT,
        env={**os.environ, "API_TOP_K": "100"},
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 3}, done.stderr
    compare_all(read(done.stdout)[:-1], catalogue, expected)
