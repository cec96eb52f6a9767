"""Two workers, as served: one limit through Redis, one store in PostgreSQL, one set of metrics."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from prometheus_client.mmap_dict import MmapedDict

from api.metrics_folder import forget_dead_workers, open_folder
from tests.api import servers
from tests.api.service import Server, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgresql() -> Iterator[servers.PostgreSQL]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[servers.Redis]:
    with servers.redis_server() as server:
        yield server


@contextmanager
def two_workers(folder: Path, **given: Any) -> Iterator[Server]:
    """Once both serve."""
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}
    with Server(folder, "--workers", "2", environment=shared, **given) as server:
        until(lambda: server.log.read_text().count("startup complete") == 2)
        yield server


def predictions(server: Server, count: int) -> Counter[int]:
    """Statuses of predictions that are asked for together, each on a connection of its own."""
    headers = server.headers()

    def ask(_: int) -> int:
        answer = httpx.post(
            f"{server.url}/predict", json={"designation": "livre"}, headers=headers, timeout=60
        )
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(ask, range(count)))


def answered(folder: Path) -> list[int]:
    """How many predictions each worker answered, by its file of counters."""
    counts = []
    for file in (folder / "metrics").glob("counter_*.db"):
        values = MmapedDict.read_all_values_from_file(str(file))
        counts.append(int(sum(value for key, value, *_ in values if '"predictions_total"' in key)))
    return counts


def test_workers_share_limits_store_and_metrics(
    tmp_path: Path, postgresql: servers.PostgreSQL, redis: servers.Redis
) -> None:
    url = postgresql.new_database("shared")
    given = {"database_url": url, "limits_storage": redis.url, "predict_limit": "60/minute"}
    with two_workers(tmp_path, **given) as server:
        told = predictions(server, 100)
        by_worker = answered(tmp_path)
        metrics = httpx.get(f"{server.url}/metrics").text
        predicted = server.metric("predictions_total{")
        requests = server.metric('http_requests_total{handler="/predict"')
        refused = server.metric('http_requests_total{handler="/predict",method="POST",status="429"')
        observed = server.metric("prediction_confidence_count{")
        seconds = server.metric("inference_seconds_count")
        informed = server.metric("model_info{")
    assert told == {200: 60, 429: 40}
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (60,)
    assert len(by_worker) == 2
    assert min(by_worker) > 0
    assert sum(by_worker) == 60
    assert (predicted, requests, refused, observed, seconds) == (60, 100, 40, 60, 60)
    assert informed == 1
    assert "pid=" not in metrics
    assert not list((tmp_path / "metrics").glob("gauge_live*.db"))


def test_each_run_counts_from_zero(tmp_path: Path) -> None:
    for _ in range(2):
        with two_workers(tmp_path) as server:
            assert predictions(server, 20) == {200: 20}
            assert server.metric("predictions_total{") == 20


def test_a_killed_worker_is_replaced_and_what_it_counted_is_not_lost(tmp_path: Path) -> None:
    with two_workers(tmp_path) as server:
        assert predictions(server, 30) == {200: 30}
        workers = [
            child.pid
            for child in psutil.Process(server.process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: server.log.read_text().count("startup complete") == 3)
        assert predictions(server, 30) == {200: 30}
        assert server.metric("predictions_total{") == 60
        assert server.metric("requests_in_flight") == 1
        assert server.metric("model_info{") == 1


def test_an_earlier_run_is_forgotten_and_this_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    open_folder(folder)
    (folder / "counter_1.db").touch()
    open_folder(folder)
    assert (folder / "counter_1.db").exists()
    (folder / "run").write_text("1 another")
    open_folder(folder)
    assert not (folder / "counter_1.db").exists()


def test_gauges_of_killed_workers_are_forgotten(tmp_path: Path) -> None:
    dead, alive = tmp_path / "gauge_livesum_999999999.db", tmp_path / "gauge_livesum_1.db"
    for file in (dead, alive, tmp_path / "counter_999999999.db"):
        file.touch()
    forget_dead_workers(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "counter_999999999.db",
        "gauge_livesum_1.db",
    ]
