"""A serving process in miniature, and how long and how much memory its start takes.

The process imports what the service imports for inference, and nothing else of the pipeline. It
prints one line of JSON after its first answer, and one at the end.
"""

import base64
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api.bundle import Product, load
from api.errors import ProductCodeError

WORKERS = 2  # threads that decode and infer, as in the service
STARTS = 3  # processes; the median is reported
STATUS = Path("/proc/self/status")
ROOT = Path(__file__).parents[1]


class ColdStartError(ProductCodeError):
    """A serving process that ended before it had answered."""


def main(bundle: Path, products: Path) -> None:
    """Answers every product of a file that `dumps` wrote."""
    start = time.perf_counter()
    model = load(bundle)
    load_s = time.perf_counter() - start
    waiting = read(products)
    model.probabilities([next(waiting)], strict=False)
    print(json.dumps({"load_s": load_s}), flush=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda product: model.probabilities([product], strict=False), waiting))
    print(json.dumps({"peak_mb": peak_mb()}))


def dumps(products: Iterable[Product]) -> str:
    """Products as JSON Lines."""
    return "".join(json.dumps(_fields(product)) + "\n" for product in products)


def _fields(product: Product) -> list[str | None]:
    image = None if product.image is None else base64.b64encode(product.image).decode()
    return [product.designation, product.description, image]


def read(path: Path) -> Iterator[Product]:
    """The products that `dumps` wrote."""
    with path.open(encoding="utf-8") as lines:
        for designation, description, image in map(json.loads, lines):
            data = None if image is None else base64.b64decode(image)
            yield Product(designation, description, data)


def peak_mb() -> float:
    """The most memory that this process had resident, in MB (10^6 bytes).

    `ru_maxrss` serves only where there is no /proc: Linux starts it at what the parent held when
    it forked.
    """
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes
    rows = dict(row.split(":", 1) for row in STATUS.read_text().splitlines())
    return int(rows["VmHWM"].split()[0]) * 1024 / 1e6


def measure(bundle: Path, products: Sequence[Product]) -> dict[str, float]:
    """Medians over some starts of a serving process: cold_start_s, load_s, peak_mb.

    A cold start is from the interpreter's launch to the first answer. Files are in the system's
    cache from the second start on.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "products.jsonl"
        path.write_text(dumps(products), encoding="utf-8")
        starts = [_start(bundle, path) for _ in range(STARTS)]
    return {name: statistics.median(start[name] for start in starts) for name in starts[0]}


def _start(bundle: Path, products: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "stages.cold_start", str(bundle.resolve()), str(products)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603
        lines = [process.stdout.readline() if process.stdout else ""]
        seconds = time.perf_counter() - start
        lines += process.communicate()[0].splitlines()
    if process.returncode:
        raise ColdStartError(
            f"a serving process of bundle {bundle} ended with code {process.returncode}, expected "
            "0: its message stands above"
        )
    loaded, peak = map(json.loads, lines)
    return {"cold_start_s": seconds, **loaded, **peak}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
