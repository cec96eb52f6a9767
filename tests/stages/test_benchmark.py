"""The stage benchmark: its figures are times, so what is checked is what they must satisfy."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tiny_catalogue
import yaml

from api import bundle
from api.bundle import Product
from stages import benchmark, cold_start
from stages.cold_start import ColdStartError
from stages.params import ParamsError

PRODUCTS = [Product("livre", None, None), Product("jouet", "à \n bois", b"\x00\xff"), Product()]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the stage ran as dvc.yaml runs it."""
    root = tiny_catalogue.write_workspace(tmp_path_factory.mktemp("measured"))
    done = tiny_catalogue.run_stage(root, "benchmark", "metrics/benchmark")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def figures(measured: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(
        (measured / "metrics/benchmark/metrics.json").read_text()
    )
    return found


def test_every_figure_is_there_and_positive(figures: dict[str, dict[str, float]]) -> None:
    assert {name: set(values) for name, values in figures.items()} == {
        "latency": {"p50_ms", "p95_ms", "p99_ms"},
        "throughput": {"products_per_s", "p95_ms"},
        "batch": {"products_per_s"},
        "size": {"bundle_mb", "model_mb"},
        "cold_start": {"s", "load_s"},
        "memory": {"peak_mb"},
        "cost": {"core_ms_per_product", "per_1000_products"},
    }
    assert min(value for values in figures.values() for value in values.values()) > 0


def test_figures_agree_with_one_another(figures: dict[str, dict[str, float]]) -> None:
    latency, cold = figures["latency"], figures["cold_start"]

    assert latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"]
    assert cold["load_s"] < cold["s"]


def test_sizes_are_those_of_the_files(measured: Path, figures: dict[str, dict[str, float]]) -> None:
    sizes = {p.name: p.stat().st_size / 1e6 for p in (measured / "models/bundle").iterdir()}

    assert figures["size"]["bundle_mb"] == pytest.approx(sum(sizes.values()), rel=1e-3)
    assert figures["size"]["model_mb"] == pytest.approx(sizes["model.onnx"], rel=1e-3)


def test_the_machine_is_named_beside_the_figures(measured: Path) -> None:
    machine = json.loads((measured / "metrics/benchmark/machine.json").read_text())

    assert set(machine) == {"processor", "cores", "system", "python", "onnxruntime"}
    assert machine["cores"] >= 1
    assert machine["processor"]


def test_it_writes_its_files_and_no_others(measured: Path) -> None:
    assert set(tiny_catalogue.contents(measured / "metrics")) == {
        "benchmark/metrics.json",
        "benchmark/machine.json",
    }


def test_cost_by_hand() -> None:
    """20 ms of a core for each of 1,000 products are 20 s: 20 / 3600 of 0.18 an hour."""
    assert benchmark.cost(0.02, 0.18) == {
        "core_ms_per_product": pytest.approx(20),
        "per_1000_products": pytest.approx(0.001),
    }


def test_percentiles_by_hand() -> None:
    """Of 0, 1, ... 100 ms each percentile is its own number."""
    assert benchmark.percentiles((np.arange(101) / 1000).tolist()) == pytest.approx(
        {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
    )


class Slow:
    """Stands in for a bundle, which takes nobody knows how long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def probabilities(self, products: Sequence[Product], strict: bool = True) -> None:
        """Answers after a known time."""
        assert not strict
        time.sleep(self.seconds * len(products))


def test_more_clients_than_threads_wait_for_one_another() -> None:
    """40 products of 20 ms on two threads take 0.4 s; each of 8 clients waits about 80 ms."""
    found = benchmark.concurrently(Slow(0.02), [Product("a")] * 40, clients=8)

    assert 50 < found["products_per_s"] <= 100
    assert 75 <= found["p95_ms"] < 250


def test_core_time_is_not_time_on_the_clock() -> None:
    """Waiting costs nothing: 10 requests of 20 ms asleep."""
    seconds, core_s = benchmark.one_by_one(Slow(0.02), [Product("a")] * 10)

    assert min(seconds) >= 0.02
    assert 0 <= core_s < 0.01


def test_batches_hold_every_request_once() -> None:
    """30 products of 5 ms, one at a time or together, take 150 ms."""
    found = benchmark.in_batches(Slow(0.005), [Product("a")] * 30)

    assert 100 < found["products_per_s"] <= 200


def test_products_survive_the_way_to_another_process(tmp_path: Path) -> None:
    path = tmp_path / "products.jsonl"
    path.write_text(cold_start.dumps(PRODUCTS), encoding="utf-8")

    assert list(cold_start.read(path)) == PRODUCTS


def test_memory_is_that_of_the_serving_process_and_not_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux hands a parent's peak on to `ru_maxrss` of its children."""
    monkeypatch.setattr(cold_start, "STARTS", 1)
    held = np.ones(600_000_000, np.uint8)

    found = cold_start.measure(tiny_catalogue.write_bundle(tmp_path / "bundle"), PRODUCTS)

    assert held.all()
    assert 20 < found["peak_mb"] < 400


def test_a_process_that_can_not_serve_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its own message says why, just before."""
    path = tiny_catalogue.write_bundle(tmp_path / "bundle")
    (path / bundle.MODEL).write_bytes(b"not a network")

    with pytest.raises(ColdStartError, match=r"ended with code 1, expected 0"):
        cold_start.measure(path, PRODUCTS)
    assert "BundleError" in capfd.readouterr().err


def test_a_processor_that_is_not_listed_is_named_by_its_architecture(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Chip 9000\nmodel name\t: Chip 9000\n")

    assert benchmark.processor(info) == "Chip 9000"
    assert benchmark.processor(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "value"), [("requests", 5), ("clients", 0), ("price_per_core_hour", -1.0)]
)
def test_values_out_of_bounds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    monkeypatch.chdir(tmp_path)
    section = {**tiny_catalogue.PARAMS["benchmark"], name: value}
    Path("params.yaml").write_text(yaml.safe_dump({"benchmark": section}))

    with pytest.raises(ParamsError, match=rf"benchmark\.{name} = {value}"):
        benchmark.main(*map(Path, tiny_catalogue.paths("metrics/benchmark")))
