"""Measures latency, throughput, size, load time, memory and cost: never the same bytes twice."""

import json
import logging
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnxruntime as ort
from pydantic import Field

from api.archive import ImageArchive
from api.bundle import Bundle, Product
from api.bundle import load as open_bundle
from api.bundle_format import MODEL
from stages import cold_start
from stages.logs import run
from stages.params import Frozen, load
from stages.products import BATCH, batches

DISTINCT = 256  # products held in memory; a longer run goes round them
WARM_UP = 20  # requests
STARTED_ANSWERS = 64  # products that each fresh process answers
MB = 1e6
DIGITS = 4  # that mean something

logger = logging.getLogger(__name__)

Figures = dict[str, float]


class BenchmarkParams(Frozen):
    """The section `benchmark`."""

    requests: int = Field(ge=10, le=1_000_000)
    clients: int = Field(ge=1, le=1_000)
    price_per_core_hour: float = Field(ge=0)


class Params(Frozen):
    """What this stage reads of params.yaml."""

    benchmark: BenchmarkParams


def main(bundle: Path, preprocessed: Path, images: Path, output: Path) -> None:
    """Writes metrics.json and machine.json into `output`."""
    params = load(Params).benchmark
    with ImageArchive(images) as archive:
        products = sample(preprocessed / "test.parquet", archive, params.requests)
    figures = measure(bundle, products, params)
    for name, values in figures.items():
        logger.info("%s: %s", name, ", ".join(f"{key} {value:g}" for key, value in values.items()))
    output.mkdir(parents=True, exist_ok=True)
    for name, content in {"machine": machine(), "metrics": figures}.items():
        text = json.dumps(content, indent=2) + "\n"
        (output / f"{name}.json").write_text(text, encoding="utf-8")


def sample(split: Path, archive: ImageArchive, requests: int) -> list[Product]:
    """The first products of a split, with their images."""
    every = (product for batch in batches(split, archive) for product in batch.products)
    return list(islice(every, min(requests, DISTINCT)))


def measure(
    bundle: Path, products: Sequence[Product], params: BenchmarkParams
) -> dict[str, Figures]:
    """Every figure; each name holds its unit."""
    started = cold_start.measure(bundle, products[:STARTED_ANSWERS])
    model = open_bundle(bundle)
    requests = list(islice(cycle(products), params.requests))
    for product in islice(cycle(products), WARM_UP):
        answer(model, product)
    alone, core_s = one_by_one(model, requests)
    figures = {
        "latency": percentiles(alone),
        "throughput": concurrently(model, requests, params.clients),
        "batch": in_batches(open_bundle(bundle, threads=0), requests),
        "size": sizes(bundle),
        "cold_start": {"s": started["cold_start_s"], "load_s": started["load_s"]},
        "memory": {"peak_mb": started["peak_mb"]},
        "cost": cost(core_s, params.price_per_core_hour),
    }
    return {
        name: {key: float(f"{value:.{DIGITS}g}") for key, value in values.items()}
        for name, values in figures.items()
    }


def answer(model: Bundle, product: Product) -> float:
    """Seconds to decode, tokenise and classify one product."""
    start = time.perf_counter()
    model.probabilities([product], strict=False)
    return time.perf_counter() - start


def one_by_one(model: Bundle, requests: Sequence[Product]) -> tuple[list[float], float]:
    """Seconds of each request of a single client, and core seconds a request."""
    start = time.process_time()
    seconds = [answer(model, product) for product in requests]
    return seconds, (time.process_time() - start) / len(requests)


def percentiles(seconds: Sequence[float]) -> Figures:
    """Median, 95th and 99th percentile in milliseconds."""
    values = np.percentile(seconds, [50, 95, 99]) * 1000
    return dict(zip(("p50_ms", "p95_ms", "p99_ms"), values.tolist(), strict=True))


def concurrently(model: Bundle, requests: Sequence[Product], clients: int) -> Figures:
    """Products a second when each client waits for its answer before it asks again.

    As in the service, whoever asks waits for one of a few threads that do the work.
    """
    with (
        ThreadPoolExecutor(cold_start.WORKERS) as service,
        ThreadPoolExecutor(clients) as asking,
    ):

        def ask(product: Product) -> float:
            start = time.perf_counter()
            service.submit(answer, model, product).result()
            return time.perf_counter() - start

        start = time.perf_counter()
        seconds = list(asking.map(ask, requests))
        elapsed = time.perf_counter() - start
    return {
        "products_per_s": len(requests) / elapsed,
        "p95_ms": float(np.percentile(seconds, 95)) * 1000,
    }


def in_batches(model: Bundle, requests: Sequence[Product]) -> Figures:
    """Products a second as `evaluate` and `predict` read them."""
    model.probabilities(requests[:BATCH], strict=False)
    start = time.perf_counter()
    for at in range(0, len(requests), BATCH):
        model.probabilities(requests[at : at + BATCH], strict=False)
    return {"products_per_s": len(requests) / (time.perf_counter() - start)}


def sizes(bundle: Path) -> Figures:
    """MB (10^6 bytes) of the whole bundle and of its network."""
    files = {file: file.stat().st_size for file in bundle.rglob("*") if file.is_file()}
    return {"bundle_mb": sum(files.values()) / MB, "model_mb": files[bundle / MODEL] / MB}


def cost(core_s: float, price_per_core_hour: float) -> Figures:
    """What 1,000 products cost: core seconds a product x 1000 / 3600 x price of a core hour.

    Core seconds, not time on the clock: on a machine that is shared, or waits, only work counts.
    An idle service costs more a product than this.
    """
    return {
        "core_ms_per_product": core_s * 1000,
        "per_1000_products": core_s * 1000 / 3600 * price_per_core_hour,
    }


def machine() -> dict[str, str | int]:
    """What the figures were measured on; they compare between equal machines only."""
    return {
        "processor": processor(),
        "cores": os.cpu_count() or 0,
        "system": platform.system(),
        "python": platform.python_version(),
        "onnxruntime": ort.__version__,
    }


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, or its architecture where Linux doesn't tell."""
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    run(main, log="test_model")
