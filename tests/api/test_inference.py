"""Inference in threads: a bounded queue, dropped work, and an event loop that stays free."""

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api import bundle
from api.bundle import Bundle, Product
from api.inference import Inference, OverloadedError
from api.inputs import ImageError
from api.metrics import Metrics
from tests.api.photos import UNUSABLE
from tests.api.service import RED, Server, until
from tests.api.slow import SLOW, SLOWER
from tests.stages import tiny_catalogue

PHOTO = {"image": ("photo.png", SLOW)}
LARGE = {"image": ("photo.png", SLOWER)}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle.load(tiny_catalogue.write_bundle(tmp_path_factory.mktemp("served") / "bundle"))


@pytest.fixture
def inference(opened: Bundle) -> Iterator[Inference]:
    """One thread, and two more may wait."""
    made = Inference(opened, 1, 2, Metrics())
    yield made
    made.close()


class Work:
    """Something that takes until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go, self.done = threading.Event(), threading.Event(), False

    def __call__(self) -> None:
        """In a thread."""
        self.begun.set()
        assert self.let_go.wait(30)
        self.done = True


def test_it_gives_what_the_bundle_gives(inference: Inference, opened: Bundle) -> None:
    product = Product("livre", image=RED)
    given = asyncio.run(inference.run(lambda: opened.probabilities([product])))
    assert given.tolist() == opened.probabilities([product]).tolist()


def test_an_error_reaches_the_caller_and_frees_the_place(
    inference: Inference, opened: Bundle
) -> None:
    broken = Product(image=UNUSABLE["svg"][0])
    with pytest.raises(ImageError):
        asyncio.run(inference.run(lambda: opened.probabilities([broken])))
    assert inference.present == 0


def test_what_the_queue_cannot_hold_is_refused(inference: Inference) -> None:
    async def fill() -> None:
        works = [Work() for _ in range(3)]
        calls = [asyncio.ensure_future(inference.run(work)) for work in works]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="3 predictions wait"):
            await inference.run(Work())
        for work in works:
            work.let_go.set()
        await asyncio.gather(*calls)
        assert [work.done for work in works] == [True] * 3
        assert await inference.run(lambda: 1) == 1

    asyncio.run(fill())


def test_a_cancelled_call_is_dropped_if_it_waits_and_counts_while_it_runs(
    inference: Inference,
) -> None:
    async def leave() -> None:
        running, waiting = Work(), Work()
        calls = [asyncio.ensure_future(inference.run(work)) for work in (running, waiting)]
        await asyncio.to_thread(running.begun.wait, 30)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert inference.present == 1  # a thread can't be interrupted
        running.let_go.set()
        assert await inference.run(lambda: 1) == 1
        assert (running.done, waiting.begun.is_set()) == (True, False)

    asyncio.run(leave())
    assert inference.present == 0


def test_a_closed_one_takes_nothing(opened: Bundle) -> None:
    closed = Inference(opened, 1, 0, Metrics())
    closed.close()
    with pytest.raises(RuntimeError):
        asyncio.run(closed.run(lambda: 1))
    assert closed.present == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("served"), queue_size=4) as started:
        yield started


def test_status_answers_while_predictions_take_every_core(
    server: Server, record_testsuite_property
) -> None:
    """The figure is printed with -s; the bound is far off, as the machine may be busy otherwise."""
    stop, headers = threading.Event(), server.headers()
    statuses: list[int] = []

    def predict() -> None:
        with httpx.Client(base_url=server.url, timeout=60, headers=headers) as client:
            while not stop.is_set():
                statuses.append(client.post("/predict", files=PHOTO).status_code)

    with ThreadPoolExecutor(4) as pool, httpx.Client(base_url=server.url, timeout=60) as client:
        for _ in range(4):
            pool.submit(predict)
        times = []
        for _ in range(60):
            start = time.perf_counter()
            assert client.get("/status").status_code == 200
            times.append((time.perf_counter() - start) * 1000)
            time.sleep(0.03)
        stop.set()
    median = statistics.median(times)
    worst = statistics.quantiles(times, n=20)[-1]
    print(f"/status under load: median {median:.1f} ms, 95th percentile {worst:.1f} ms")
    record_testsuite_property("status_under_load_milliseconds", f"{median:.1f}")
    assert set(statuses) == {200}
    assert len(statuses) >= 4
    assert median < 250


def test_a_full_queue_answers_503_with_retry_after(server: Server) -> None:
    headers = server.headers()
    with (
        httpx.Client(base_url=server.url, timeout=60, headers=headers) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        answers = list(pool.map(lambda _: client.post("/predict", files=PHOTO), range(16)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {503}
    assert len(answers) - len(refused) >= 6  # two threads and four places in the queue
    assert all(answer.headers["Retry-After"] == "1" for answer in refused)
    assert all(answer.json()["type"] == "urn:product-codes:overloaded" for answer in refused)


def test_work_of_a_client_that_left_is_dropped(server: Server) -> None:
    """Two run and four wait; the four leave, so that nothing is computed or kept for them."""
    headers = server.headers()
    before, stored = server.metric("inference_seconds_count"), server.metric("predictions_total")

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
            calls = [asyncio.ensure_future(client.post("/predict", files=LARGE)) for _ in range(6)]
            await asyncio.to_thread(until, lambda: server.metric("requests_in_flight") > 6)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(leave())
    until(lambda: server.metric("requests_in_flight") < 2)
    answer = httpx.post(f"{server.url}/predict", files=LARGE, headers=headers, timeout=60)
    assert answer.status_code == 200
    computed = server.metric("inference_seconds_count") - before
    assert computed < 7
    assert server.metric("predictions_total") - stored < 7
    log = (server.folder / "logs" / "serving_logger.log").read_text()
    assert '"status": 499' in log
    assert server.metric('http_requests_total{handler="/predict",method="POST",status="499"') > 0
    assert "traceback" not in log


def test_idle_threads_do_not_spin(tmp_path: Path) -> None:
    """With spinning on, this takes 0.4 s of processor time."""
    opened = bundle.load(tiny_catalogue.write_bundle(tmp_path / "bundle"), threads=2)
    inputs = opened.encode([Product("livre")] * 500)
    spent = 0.0
    for _ in range(20):
        opened.run(inputs)
        start = time.process_time()
        time.sleep(0.02)
        spent += time.process_time() - start
    assert spent < 0.1
