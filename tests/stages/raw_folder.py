"""data/raw as the import stage leaves it, made of products that a test lists."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml

from api.archive import image_name
from stages.raw import X_TEST, X_TRAIN, Y_TRAIN

ROOT = Path(__file__).parents[2]
CODES = (10, 40, 1140)
X_HEADER = ["", "designation", "description", "productid", "imageid"]
PARAMS = yaml.safe_load((ROOT / "conf/config.yaml").read_text(encoding="utf-8"))["preprocess"]


@dataclass
class Raw:
    """Records of the three tables, and images by name; a test changes what it is about."""

    x: list[list[str]] = field(default_factory=list)
    y: list[list[str]] = field(default_factory=list)
    challenge: list[list[str]] = field(default_factory=list)
    images: dict[str, bytes] = field(default_factory=dict)
    synthetic: bool = False

    def write(self, root: Path) -> Path:
        """Writes params.yaml and data/raw below a folder, and returns data/raw."""
        raw = root / "data" / "raw"
        raw.mkdir(parents=True)
        (root / "params.yaml").write_text(yaml.safe_dump({"preprocess": PARAMS}))
        tables = {X_TRAIN: self.x, Y_TRAIN: self.y, X_TEST: self.challenge}
        for name, records in tables.items():
            header = ["", "prdtypecode"] if name == Y_TRAIN else X_HEADER
            (raw / name).write_bytes(text([header, *records]).encode())
        with zipfile.ZipFile(raw / "images.zip", "w") as archive:
            for name, content in self.images.items():
                archive.writestr(f"images/image_train/{name}", content)
        source = {"source": "sample", "synthetic": self.synthetic, "files": {}}
        (raw / "source.json").write_text(json.dumps(source))
        return raw


def catalogue(products: int = 60) -> Raw:
    """Different products without a fault, indexed from 100 on, and four challenge products."""
    raw = Raw()
    for position in range(products):
        raw.x.append(product(100 + position, f"Produit {position}"))
        raw.y.append([str(100 + position), str(CODES[position % len(CODES)])])
        raw.images[image(100 + position)] = f"photo {position}".encode()
    for row in range(900, 904):
        raw.challenge.append(product(row, f"Inconnu {row}"))
        raw.images[image(row)] = f"photo {row}".encode()
    return raw


def product(row: int, designation: str, description: str = "") -> list[str]:
    return [str(row), designation, description, str(10_000 + row), str(20_000 + row)]


def image(row: int) -> str:
    """The name of the image that `product` refers to."""
    return image_name(20_000 + row, 10_000 + row)


def text(records: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(records)
    return buffer.getvalue()


def run(root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the stage as dvc.yaml does, in a process of its own."""
    paths = ["data/raw", "data/preprocessed", "metrics/preprocess"]
    return subprocess.run(
        [sys.executable, "-m", "stages.preprocess", *paths],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def tables(preprocessed: Path) -> dict[str, pd.DataFrame]:
    names = ("train", "validation", "test", "challenge")
    return {name: pd.read_parquet(preprocessed / f"{name}.parquet") for name in names}


def labelled(preprocessed: Path) -> pd.DataFrame:
    """The three labelled tables in one, with a column `split`, by row index."""
    parts = tables(preprocessed)
    del parts["challenge"]
    return pd.concat(parts, names=["split", None]).reset_index("split").set_index("row")


def contents(root: Path) -> dict[str, bytes]:
    """Every file that the stage wrote below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for part in ("data/preprocessed", "metrics")
        for path in sorted((root / part).rglob("*"))
        if path.is_file()
    }
