"""Products a second through /predict/batch and `python -m api.batch`, beside a bare loop.

`python -m tests.bench.batch [FOLDER] [ROWS]`: products and images of a folder in the challenge's
layout (default data/raw), the bundle in models/bundle. All in one run and in turn, as machines are
noisy: what counts is the ratio to the loop of the same round.
"""

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx

from api import bundle
from api.archive import ImageArchive, image_name
from api.bundle import Bundle, Product
from tests.api.batch_files import as_csv, read
from tests.api.service import LIMITLESS, ROOT, Server

BUNDLE = ROOT / "models" / "bundle"
ROUNDS = 3
THREADS = 2


def main(folder: Path, rows: int) -> None:
    """Prints the medians of all rounds, and the ratios within them."""
    table = [HEADER, *read_rows(folder, rows)]
    with tempfile.TemporaryDirectory() as made, ImageArchive(folder / "images.zip") as archive:
        scratch = Path(made)
        (scratch / "products.csv").write_bytes(as_csv(table))
        opened = bundle.load(BUNDLE)
        products = [product(row, archive) for row in table[1:]]
        given = {"bundle_dir": BUNDLE, "threads": THREADS, "batch_limit": LIMITLESS}
        with Server(scratch, **given) as server:
            ways: dict[str, Callable[[], None]] = {
                "loop, 1 thread": lambda: loop(opened, products, 1),
                f"loop, {THREADS} threads": lambda: loop(opened, products, THREADS),
                "/predict/batch": lambda: online(server, scratch, folder),
                "api.batch, its start included": lambda: offline(scratch, folder),
            }
            report({way: [] for way in ways}, ways, len(products))


def report(speeds: dict[str, list[float]], ways: dict[str, Callable[[], None]], rows: int) -> None:
    """Runs every way in each round."""
    for _ in range(ROUNDS):
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            speeds[way].append(rows / (time.perf_counter() - start))
    reference = speeds[f"loop, {THREADS} threads"]
    for way, found in speeds.items():
        ratio = statistics.median(one / other for one, other in zip(found, reference, strict=True))
        print(f"{way:30} {statistics.median(found):7.1f} products/s, {ratio:.2f} of the loop")


HEADER = ["", "designation", "description", "productid", "imageid"]


def read_rows(folder: Path, rows: int) -> list[list[str]]:
    """The first products of X_train_update.csv."""
    with (folder / "X_train_update.csv").open(encoding="utf-8", newline="") as file:
        return list(islice(csv.reader(file), 1, rows + 1))


def product(row: list[str], archive: ImageArchive) -> Product:
    """One of them with its image."""
    _, designation, description, productid, imageid = row
    return Product(designation, description, archive.read(image_name(int(imageid), int(productid))))


def loop(opened: Bundle, products: list[Product], threads: int) -> None:
    """Images already read; nothing is kept or written."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda one: opened.probabilities([one], strict=False), products):
            pass


def online(server: Server, scratch: Path, folder: Path) -> None:
    """Upload, answer and commits."""
    with (
        (scratch / "products.csv").open("rb") as products,
        (folder / "images.zip").open("rb") as zip_,
    ):
        answer = httpx.post(
            f"{server.url}/predict/batch",
            files={"products": products, "images": zip_},
            headers=server.headers(),
            timeout=3600,
        )
    summary = read(answer.content)[-1]["summary"]
    assert summary["predicted"] + summary["errors"] == summary["rows"]


def offline(scratch: Path, folder: Path) -> None:
    """A process of its own."""
    command = [sys.executable, "-m", "api.batch", str(scratch / "products.csv")]
    command += ["--images", str(folder / "images.zip"), "--bundle", str(BUNDLE)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    assert done.returncode in {0, 3}


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0] if given else "data/raw"), int(given[1]) if len(given) > 1 else 300)
