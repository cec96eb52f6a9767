"""Whatever is too large is refused by what is documented, at little cost in memory, and quickly."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.service import Server

MEGABYTE = 2**20
BODY = 14_000_000
"""Bytes, below what /predict takes."""
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PART = b'--b\r\nContent-Disposition: form-data; name="'


def members() -> bytes:
    """A JSON object of a million members."""
    return b"{" + b",".join(b'"%x":0' % number for number in range(1_300_000)) + b"}"


OVERSIZED = {
    "members of an object": ("/predict", JSON, members()),
    "elements of a list": ("/predict", JSON, b'{"designation":[' + b"0," * (BODY // 2) + b"0]}"),
    "depth": ("/predict", JSON, b"[" * BODY),
    "a number": ("/predict", JSON, b'{"product_id":' + b"9" * BODY + b"}"),
    "a text": ("/predict", JSON, b'{"designation":"' + b"x" * BODY + b'"}'),
    "escapes": ("/predict", JSON, b'{"designation":"' + rb"\u0041" * (BODY // 6) + b'"}'),
    "an image in base64": ("/predict", JSON, b'{"image":"' + b"AAAA" * (BODY // 4) + b'"}'),
    "a field": ("/predict", MULTIPART, PART + b'designation"\r\n\r\n' + b"x" * BODY),
    "a field's name": ("/predict", MULTIPART, PART + b"x" * BODY + b'"\r\n\r\nx\r\n--b--\r\n'),
    "a part's headers": ("/predict", MULTIPART, PART + b'a"\r\n' + b"X: y\r\n" * (BODY // 6)),
    "many parts": ("/predict", MULTIPART, (PART + b'a"\r\n\r\n\r\n') * (BODY // 60) + b"--b--\r\n"),
    "many empty lines": ("/predict", MULTIPART, b"\r\n" * (BODY // 2)),
    "faults of a feedback": ("/feedback", JSON, members()[:90_000].rpartition(b",")[0] + b"}"),
    "fields of a sign-in": ("/token", FORM, b"a=1&" * 24_000),
    "a password": ("/token", FORM, b"username=alice&password=" + b"x" * 90_000),
    "a name": ("/token", FORM, b"password=x&username=" + b"x" * 90_000),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("served")) as started:
        yield started


def peak(server: Server) -> int:
    """The most bytes that the service ever had resident."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(dict(row.split(":", 1) for row in status.splitlines())["VmHWM"].split()[0]) * 1024


@pytest.mark.parametrize("kind", OVERSIZED)
def test_what_is_too_large_is_refused_cheaply(server: Server, kind: str) -> None:
    """The body itself, a copy or two of it, and little more."""
    path, headers, body = OVERSIZED[kind]
    before = peak(server)
    answer = httpx.post(
        f"{server.url}{path}", content=body, headers=headers | server.headers(), timeout=60
    )
    assert answer.status_code in {400, 401, 413, 422}, answer.text[:500]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.content) < 10_000
    assert peak(server) - before < 150 * MEGABYTE


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/status?" + "a=1&" * 15_000, {}),
        ("/predict?" + "a=1&" * 15_000, {}),
        ("/" + "x" * 60_000, {}),
        ("/status", {"Authorization": "Bearer " + "x" * 60_000}),
        ("/status", {"X-Request-ID": "x" * 60_000}),
        ("/status", {"X-Forwarded-For": "1.2.3.4," * 6_000}),
        ("/status", {f"X-{number}": "y" for number in range(3_000)}),
        ("/status", {"Content-Type": "multipart/form-data" + "; a=1" * 12_000}),
    ],
    ids=itertools.count(),
)
def test_large_heads_that_are_let_in_do_no_harm(
    server: Server, path: str, headers: dict[str, str]
) -> None:
    answer = httpx.get(f"{server.url}{path}", headers=headers, timeout=60)
    assert answer.status_code in {200, 404, 405, 400}
    assert len(answer.content) < 10_000


def test_many_connections_that_say_nothing_hold_nobody_up(server: Server) -> None:
    address = httpx.URL(server.url)
    idle = [socket.create_connection((address.host, address.port or 0)) for _ in range(300)]
    try:
        assert httpx.get(f"{server.url}/status", timeout=60).status_code == 200
    finally:
        for connection in idle:
            connection.close()


def test_after_all_that_it_still_serves(server: Server) -> None:
    files = {"designation": (None, "livre")}
    answer = httpx.post(f"{server.url}/predict", files=files, headers=server.headers(), timeout=60)
    assert answer.status_code == 200
    assert psutil.Process(server.process.pid).num_threads() < 60
    log = (server.folder / "logs" / "serving_logger.log").read_text()
    assert "traceback" not in log
    assert max(map(len, log.splitlines())) < 2_000
