"""Batches on a real server: streamed, bounded, left, killed, and beside single predictions."""

import json
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.store import Store
from tests.api.batch_files import CSV_TYPE, as_csv, challenge, read, zipped
from tests.api.service import LIMITLESS, RED, Server, until
from tests.api.slow import SLOW, SLOWER

SLOW_ROWS = 60
SLOW_CSV = as_csv(
    [["designation", "image"], *([f"livre {n}", "slow.png"] for n in range(SLOW_ROWS))]
)
SLOW_FILES = {
    "products": ("products.csv", SLOW_CSV),
    "images": ("images.zip", zipped({"slow.png": SLOW})),
}


def served(folder: Path, environment: Mapping[str, str] | None = None, **given: Any) -> Server:
    """Spools into a folder of its own."""
    spool = folder / "spool"
    spool.mkdir(exist_ok=True)
    variables = {"TMPDIR": str(spool), **(environment or {})}
    return Server(folder, environment=variables, batch_limit=LIMITLESS, **given)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("served"), queue_size=4, max_batches=2) as started:
        yield started


@contextmanager
def streaming(server: Server, **given: Any) -> Iterator[tuple[httpx.Response, Iterator[str]]]:
    """A batch whose answer is read as it comes."""
    url, headers = f"{server.url}/predict/batch", server.headers() | given.pop("headers", {})
    with httpx.stream("POST", url, headers=headers, timeout=120, **given) as answer:
        yield answer, answer.iter_lines()


def spooled(server: Server) -> list[str]:
    """Uploads that the server has open: files without a name, in its folder."""
    found = []
    for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            target = str(file.readlink())
        except OSError:
            continue
        if target.startswith(str(server.folder / "spool")):
            found.append(target)
    return found


def temporary(folder: Path) -> list[Path]:
    """Files of the tempfile module; ONNX Runtime leaves a `.ses` of its own there."""
    return list((folder / "spool").glob("tmp*"))


def idle(server: Server) -> None:
    """Waits until nothing but the question itself is answered, and checks that nothing is left."""
    until(lambda: server.metric("requests_in_flight") < 2)
    assert spooled(server) == []
    assert temporary(server.folder) == []


def outcomes(server: Server) -> list[str]:
    log = (server.folder / "logs" / "serving_logger.log").read_text().splitlines()
    told = [json.loads(line) for line in log]
    return [line["outcome"] for line in told if line["logger"] == "api.batches" and "rows" in line]


def test_first_results_come_while_the_last_rows_wait(server: Server) -> None:
    before = server.metric("inference_seconds_count")
    with streaming(server, files=SLOW_FILES) as (answer, lines):
        assert answer.headers["transfer-encoding"] == "chunked"
        first = json.loads(next(lines))
        handled = server.metric("inference_seconds_count") - before
        rest = list(map(json.loads, lines))
    assert (first["row"], first["has_image"]) == (1, True)
    assert handled < SLOW_ROWS
    assert [line.get("row") for line in rest] == [*range(2, SLOW_ROWS + 1), None]
    assert rest[-1]["summary"]["predicted"] == SLOW_ROWS
    idle(server)


def test_single_predictions_are_answered_while_a_batch_runs(server: Server) -> None:
    """A batch takes half of the six places: five singles at a time would not fit beside more."""
    headers = server.headers()
    with streaming(server, files=SLOW_FILES) as (_, lines):
        next(lines)
        assert 1 <= server.metric("requests_in_flight") - 1 <= 1
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            singles = [
                client.post("/predict", files={"image": ("a.jpg", RED)}).status_code
                for _ in range(5)
            ]
            assert client.get("/status").status_code == 200
            assert client.get("/ready").status_code == 200
        unread = list(map(json.loads, lines))
    assert singles == [200] * 5
    assert unread[-1]["summary"]["errors"] == 0


def test_a_batch_waits_while_single_predictions_fill_the_queue(server: Server) -> None:
    """It loses no row to a queue that has no place for it."""
    headers = server.headers()

    def ask(client: httpx.Client) -> int:
        return client.post("/predict", files={"image": ("a.png", SLOW)}).status_code

    with (
        httpx.Client(base_url=server.url, headers=headers, timeout=120) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        singles = [pool.submit(ask, client) for _ in range(40)]
        answer = client.post("/predict/batch", content=challenge(30), headers=CSV_TYPE)
        statuses = {single.result() for single in singles}
    assert statuses <= {200, 503}
    told = read(answer.content)
    assert told[-1]["summary"]["predicted"] == 30


def test_a_client_that_leaves_stops_its_batch(server: Server) -> None:
    before = server.metric("inference_seconds_count"), server.metric("predictions_total")
    ended = len(outcomes(server))
    with streaming(server, files=SLOW_FILES) as (_, lines):
        next(lines)
        assert spooled(server)
    idle(server)
    until(lambda: len(outcomes(server)) > ended)
    assert outcomes(server)[-1] == "left"
    done = server.metric("inference_seconds_count")
    assert done - before[0] < SLOW_ROWS
    assert server.metric("predictions_total") - before[1] < SLOW_ROWS
    time.sleep(0.5)
    assert server.metric("inference_seconds_count") - done <= 3  # those that were running


def test_a_client_that_leaves_before_the_first_answer(server: Server) -> None:
    files = {
        "products": ("products.csv", SLOW_CSV),
        "images": ("images.zip", zipped({"slow.png": SLOWER})),
    }
    before = server.metric("predictions_total")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/predict/batch",
            files=files,
            headers=server.headers(),
            timeout=httpx.Timeout(60, read=0.3),
        )
    idle(server)
    assert server.metric("predictions_total") == before
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("kind", ["text/csv", "multipart/form-data; boundary=b"])
def test_a_client_that_leaves_while_it_sends(server: Server, kind: str) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="products"; filename="a"\r\n\r\n'
    address = httpx.URL(server.url)
    token = server.headers()["Authorization"]
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(
            f"POST /predict/batch HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: 50000000\r\n\r\n".encode()
        )
        connection.sendall(head if "multipart" in kind else b"designation\n")
        connection.sendall(b"livre\n" * 1_000_000)
        until(lambda: bool(spooled(server)))
    idle(server)


def test_only_so_many_batches_at_a_time(server: Server) -> None:
    with (
        streaming(server, files=SLOW_FILES) as (_, one),
        streaming(server, files=SLOW_FILES) as (_, two),
    ):
        next(one)
        next(two)
        third = httpx.post(
            f"{server.url}/predict/batch",
            content=challenge(1),
            headers=server.headers() | CSV_TYPE,
        )
        assert (third.status_code, third.headers["Retry-After"]) == (503, "30")
        assert third.json()["type"] == "urn:product-codes:busy"
    idle(server)
    headers = server.headers() | CSV_TYPE
    again = httpx.post(f"{server.url}/predict/batch", content=challenge(1), headers=headers)
    assert again.status_code == 200


def test_a_killed_server_loses_no_row_that_was_answered(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with streaming(server, files=SLOW_FILES) as (_, lines):
            got = [json.loads(next(lines)) for _ in range(20)]
            server.stop(signal.SIGKILL)
            with pytest.raises(httpx.HTTPError):
                got.extend(map(json.loads, lines))
        assert temporary(tmp_path) == []
    assert 20 <= len(got) < SLOW_ROWS
    assert "summary" not in got[-1]
    with served(tmp_path) as server:
        answer = httpx.post(
            f"{server.url}/predict/batch",
            params={"start_row": got[-1]["row"] + 1},
            files=SLOW_FILES,
            headers=server.headers(),
            timeout=120,
        )
        *rest, last = read(answer.content)
    assert [line["row"] for line in got + rest] == list(range(1, SLOW_ROWS + 1))
    assert last["summary"]["rows"] == len(rest)
    store = Store(f"sqlite:///{tmp_path}/service.db")
    kept = [store.prediction(line["request_id"]) for line in got + rest]
    store.close()
    assert [record.designation for record in kept] == [f"livre {n}" for n in range(SLOW_ROWS)]


def test_a_server_that_is_stopped_ends_its_batch_first(tmp_path: Path) -> None:
    with served(tmp_path) as server, streaming(server, files=SLOW_FILES) as (_, lines):
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        assert json.loads(list(lines)[-1])["summary"]["predicted"] == SLOW_ROWS
        assert server.stop() in {0, -signal.SIGTERM}


def test_a_server_without_the_time_for_that_leaves_no_summary(tmp_path: Path) -> None:
    with served(tmp_path, environment={"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "1"}) as server:
        with streaming(server, files=SLOW_FILES) as (_, lines):
            got = [next(lines)]
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.HTTPError):
                got.extend(lines)
        assert server.stop() in {0, -signal.SIGTERM}
    assert 1 <= len(got) < SLOW_ROWS
    assert "summary" not in got[-1]
    assert temporary(tmp_path) == []
