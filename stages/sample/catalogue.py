"""Writes the generated catalogue: three tables and an archive of photos, row by row."""

import csv
import os
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

from api.archive import image_name
from api.errors import ProductCodeError
from stages.progress import Progress
from stages.raw import COLUMNS, IMAGES, X_TEST, X_TRAIN, Y_TRAIN
from stages.sample.draws import generator
from stages.sample.photos import photograph
from stages.sample.plan import Plan, plans
from stages.sample.text import write

COMMENT = b"synthetic catalogue"
DATE = (1980, 1, 1, 0, 0, 0)  # the first a zip file can hold: the same bytes at any time
CHUNK = 32  # products that a process makes at a time
ALONE = 10 * CHUNK  # products below which it isn't worth while to start processes

PRIME = 1_000_003  # numbers below it, times any other modulo it, stay apart
PRODUCT_IDS = (80_000_000, 4_100, 617_077)  # the lowest, how far apart, what scatters them
IMAGE_IDS = (830_000_000, 500, 294_001)


class CatalogueError(ProductCodeError):
    """A catalogue of a size that can't be generated."""


@dataclass(frozen=True)
class Made:
    """A finished product: what its row says, and its image file, or None where there is none."""

    code: int
    title: str
    description: str
    image: bytes | None


@dataclass(frozen=True)
class _Job:
    """Products for one process to make."""

    seed: int
    part: int
    plans: list[Plan]


def write_catalogue(target: Path, products: int, test_products: int, seed: int) -> None:
    """Writes the three tables and images.zip.

    The first rows of the train tables do not depend on `products`; nothing depends on the number
    of processes. Memory stays flat but for the archive's directory, some 500 bytes an image.

    Args:
        target: The directory for the four files; made if absent.
        products: Labelled rows.
        test_products: Rows without a label.
        seed: The same gives the same bytes.

    Raises:
        CatalogueError: More products are asked for than there are ids.
    """
    if products + test_products >= PRIME:
        raise CatalogueError(
            f"data.products + data.test_products = {products + test_products:,}: "
            f"at most {PRIME - 1:,} can be generated; ask for fewer"
        )
    target.mkdir(parents=True, exist_ok=True)
    total = products + test_products
    with (
        zipfile.ZipFile(target / IMAGES, "w", zipfile.ZIP_STORED) as archive,
        _processes(total) as pool,
        Progress(total=total, desc="generated products") as progress,
    ):
        archive.comment = COMMENT
        writer = _Writer(target, archive, seed, progress)
        writer.write_train(_make(pool, seed, 0, products))
        writer.write_test(_make(pool, seed, 1, test_products), products)


class _Writer:
    """Rows and images to their files, in the order of the rows."""

    def __init__(
        self, target: Path, archive: zipfile.ZipFile, seed: int, progress: Progress
    ) -> None:
        self.target, self.archive, self.seed, self.progress = target, archive, seed, progress

    def write_train(self, products: Iterable[Made]) -> None:
        """The X and Y tables of the labelled products, and their images."""
        with _table(self.target / X_TRAIN) as texts, _table(self.target / Y_TRAIN) as labels:
            y = _headed(labels, Y_TRAIN)
            x = _headed(texts, X_TRAIN)
            for number, product in enumerate(products):
                x.writerow(self._row(number, product, "image_train"))
                y.writerow([number, product.code])

    def write_test(self, products: Iterable[Made], first: int) -> None:
        """The X table of unlabelled products, whose rows go on from `first`, and their images."""
        with _table(self.target / X_TEST) as texts:
            x = _headed(texts, X_TEST)
            for number, product in enumerate(products, first):
                x.writerow(self._row(number, product, "image_test"))

    def _row(self, number: int, product: Made, folder: str) -> list[str | int]:
        productid, imageid = _ids(self.seed, number)
        if product.image is not None:
            name = f"images/{folder}/{image_name(imageid, productid)}"
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16
            self.archive.writestr(entry, product.image)
        self.progress.update()
        return [number, product.title, product.description, productid, imageid]


def _table(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", newline="")


def _headed(file: IO[str], name: str) -> Any:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS[name])
    return table


def _ids(seed: int, number: int) -> tuple[int, int]:
    """A row's product and image id: far apart, in no order, each once."""
    jitter = generator(seed, 2, number).random(2)
    product, image = (
        low + (number * factor + seed) % PRIME * apart + int(share * apart)
        for (low, apart, factor), share in zip((PRODUCT_IDS, IMAGE_IDS), jitter, strict=True)
    )
    return product, image


def _processes(total: int) -> ProcessPoolExecutor | nullcontext[None]:
    """Processes for the work; spawned, for a fork would copy TensorFlow's locks if it is loaded."""
    workers = len(os.sched_getaffinity(0))
    if workers == 1 or total < ALONE:
        return nullcontext()
    return ProcessPoolExecutor(workers, get_context("spawn"))


def _make(pool: Executor | None, seed: int, part: int, count: int) -> Iterator[Made]:
    """Products in the order of their rows, a few jobs ahead of what is written."""
    jobs = _jobs(seed, part, count)
    if pool is None:
        for job in jobs:
            yield from _work(job)
        return
    ahead = 2 * len(os.sched_getaffinity(0))
    pending: deque[Future[list[Made]]] = deque()
    for job in jobs:
        pending.append(pool.submit(_work, job))
        if len(pending) > ahead:
            yield from pending.popleft().result()
    for future in pending:
        yield from future.result()


def _jobs(seed: int, part: int, count: int) -> Iterator[_Job]:
    rows = islice(plans(seed, part), count)
    while chunk := list(islice(rows, CHUNK)):
        yield _Job(seed, part, chunk)


def _work(job: _Job) -> list[Made]:
    return [
        Made(
            plan.code,
            *write(job.seed, job.part, plan.text),
            photograph(job.seed, job.part, plan.photo),
        )
        for plan in job.plans
    ]
