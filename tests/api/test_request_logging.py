"""One JSON line a request, which no input can forge and no secret gets into."""

import json
import logging
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi.testclient import TestClient

from api import logs
from api.logs import JsonLines
from tests.api import service
from tests.api.service import RED, Server, parts

SECRETS = ("hunter2", "eyJ", "livre-secret", "manette-secrete")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with service.client(folder) as made:
        yield made


def lines(folder: Path) -> list[dict]:
    """Those of requests, all of a service that has ended."""
    text = (folder / "logs" / "serving_logger.log").read_text(encoding="ascii")
    read = [json.loads(line) for line in text.split("\n")[:-1]]
    return [line for line in read if line["logger"] == "api.requests"]


def test_a_line_tells_who_asked_what_and_how_it_went(tmp_path: Path) -> None:
    with service.client(tmp_path) as made:
        answer = parts(made, {"designation": "livre-secret"}, RED)
        made.get("/nowhere")
    first, second = lines(tmp_path)
    told = {name: first[name] for name in ("method", "path", "status", "user", "client")}
    expected = {"method": "POST", "path": "/predict", "status": 200, "user": "alice"}
    assert told == {**expected, "client": "testclient"}
    assert first["request_id"] == answer.headers["X-Request-ID"]
    assert 0 < first["milliseconds"] < 60_000
    assert first["time"].endswith("+00:00")
    assert (second["path"], second["status"], second["user"]) == ("/nowhere", 404, None)


def test_no_secret_is_logged(tmp_path: Path) -> None:
    with service.client(tmp_path) as made:
        made.post("/predict?token=eyJhbGciOi&password=hunter2", json={"designation": "x"})
        made.post("/token", data={"username": "alice", "password": "hunter2"})
        made.post("/predict", json={"designation": "livre-secret", "titre": "manette-secrete"})
        parts(made, {"designation": "livre-secret"}, b"manette-secrete")
    text = (tmp_path / "logs" / "serving_logger.log").read_text()
    assert len(lines(tmp_path)) == 4
    assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("offered", ["a", "A-9_z.", "x" * 64])
def test_a_harmless_request_id_is_taken(client: TestClient, offered: str) -> None:
    assert (
        client.get("/status", headers={"X-Request-ID": offered}).headers["X-Request-ID"] == offered
    )


@pytest.mark.parametrize(
    "offered", ["", "x" * 65, "a b", "a\nb", 'a"b', "é", "a;b", "a\x1b[31m", "../a", "a\n"]
)
def test_any_other_request_id_is_replaced(client: TestClient, offered: str) -> None:
    headers = [(b"X-Request-ID", offered.encode())]
    given = client.get("/status", headers=headers).headers["X-Request-ID"]
    assert len(given) == 32
    assert given.isalnum()


def test_every_answer_has_its_own_id(client: TestClient) -> None:
    answers = [client.get("/status"), client.get("/nowhere"), client.post("/token")]
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 3


def test_an_address_cannot_forge_a_line(tmp_path: Path) -> None:
    hostile = '/a\r\n{"message": "request", "status": 200}\x1b[2J\u2028\x9b"' + "b" * 1000
    with service.client(tmp_path) as made:
        made.get(quote(hostile))
    (line,) = lines(tmp_path)
    assert line["path"] == hostile[:200]
    assert line["status"] == 404


def test_a_trusted_proxy_is_believed_and_no_one_else(tmp_path: Path) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
    clients = []
    for trusted in ("127.0.0.1", ""):
        folder = tmp_path / f"trusted {trusted}"
        folder.mkdir()
        with service.client(folder, trusted_proxies=trusted) as made:
            local = TestClient(made.app, client=("127.0.0.1", 1))
            local.get("/status", headers=headers)
        clients.append(lines(folder)[-1]["client"])
    assert clients == ["203.0.113.9", "127.0.0.1"]


def test_standard_output_has_the_same_lines_and_nothing_else(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        httpx.get(f"{server.url}/status?password=hunter2")
        server.stop()
    printed = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    written = (tmp_path / "logs" / "serving_logger.log").read_text().splitlines()
    assert printed == written
    assert [json.loads(line)["path"] for line in written if '"/' in line] == ["/status"]
    assert "hunter2" not in server.log.read_text()


WRITER = """
import logging, pathlib, sys
from api.logs import JsonLines, SharedFile
handler = SharedFile(pathlib.Path(sys.argv[1]), max_bytes=20_000, backups=50)
for number in range(1000):
    record = logging.LogRecord("x", logging.INFO, "", 0, f"{sys.argv[2]} {number}", (), None)
    record.msg = JsonLines().format(record)
    handler.handle(record)
handler.close()
"""


def test_two_processes_share_a_rotating_file(tmp_path: Path) -> None:
    """No line is lost or torn, and no file grows beyond its limit."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "serving_logger.log")]
    writers = [subprocess.Popen([*command, name], cwd=service.ROOT) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    files = [file for file in tmp_path.iterdir() if file.suffix != ".lock"]
    assert len(files) > 2
    assert all(file.stat().st_size <= 20_000 for file in files)
    messages = [
        json.loads(line)["message"] for file in files for line in file.read_text().splitlines()
    ]
    expected = {f"{name} {number}" for name in "ab" for number in range(1000)}
    assert (len(messages), set(messages)) == (2000, expected)


def test_a_disk_that_does_not_keep_up_costs_lines_not_time() -> None:
    handler = logs._Queued(queue.Queue(3))
    handler.setFormatter(JsonLines())
    for number in range(5):
        handler.handle(logging.LogRecord("x", logging.INFO, "", 0, f"{number}", (), None))
    kept = [json.loads(handler.queue.get_nowait().msg)["message"] for _ in range(3)]
    assert (kept, handler.dropped) == (["0", "1", "2"], 2)


def test_without_a_directory_nothing_is_written(tmp_path: Path) -> None:
    with service.client(tmp_path, log_dir="none") as made:
        made.get("/status")
    assert not (tmp_path / "logs").exists()


def test_loggers_are_left_as_they_were(tmp_path: Path) -> None:
    root, own, server = map(logging.getLogger, ("", "api", "uvicorn"))
    before = own.level, list(root.handlers), server.handlers
    with service.client(tmp_path):
        assert root.handlers != before[1]
    assert (own.level, root.handlers, server.handlers) == before
