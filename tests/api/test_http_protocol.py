"""What comes before a body is bounded, in bytes and in time; requests are not disturbed by it."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from api import http_protocol
from api.http_protocol import HEAD_BYTES, BoundedHead
from tests.api.service import Server, until

PATIENCE = 0.5
GET, POST = (method + b" / HTTP/1.1\r\nHost: x\r\n" for method in (b"GET", b"POST"))


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with the length of the body, and of the headers."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    body = f"{size} {headers}".encode()
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Of a real server in a thread."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", PATIENCE)
    config = uvicorn.Config(
        echo, http=BoundedHead, ws="none", port=0, lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join()


def answer(address: tuple[str, int], *parts: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    with socket.create_connection(address, timeout=30) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        received = b""
        with contextlib.suppress(ConnectionError):
            while read := connection.recv(65536):
                received += read
        return received


def ended(parts: list[bytes]) -> list[bytes]:
    return [b"GET / HTTP/1.1\r\nHost: x\r\n", *parts, b"Connection: close\r\n\r\n"]


def test_usual_heads_pass(address: tuple[str, int]) -> None:
    told = answer(address, *ended([b"A: " + b"x" * 30_000 + b"\r\n"]))
    assert told.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET / HTTP/1.1\r\nA: ", *[b"x" * 50_000] * 40],
        [b"GET / HTTP/1.1\r\n", *[b"A: x\r\n" * 10_000] * 40],
        [b"GET /", *[b"x" * 50_000] * 40],
    ],
    ids=["one header", "many headers", "address"],
)
def test_a_head_that_does_not_end_is_refused(address: tuple[str, int], parts: list[bytes]) -> None:
    """A reset is an answer too: the client was still sending."""
    told = answer(address, *parts)
    assert told == b"" or (b"400" in told and str(HEAD_BYTES).encode() in told)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_is_given_up(address: tuple[str, int], sent: bytes) -> None:
    start = time.monotonic()
    assert answer(address, sent) == b""
    assert time.monotonic() - start > PATIENCE * 0.9


def test_a_kept_connection_may_pause_longer(address: tuple[str, int]) -> None:
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}") as client:
        for _ in range(3):
            assert client.get("/").status_code == 200
            time.sleep(PATIENCE * 1.5)
        assert len(client._transport._pool.connections) == 1  # type: ignore[attr-defined]


def test_a_body_may_be_large_and_slow(address: tuple[str, int]) -> None:
    def slowly() -> Iterator[bytes]:
        yield b"x" * 500_000
        time.sleep(PATIENCE * 1.5)
        yield b"x" * 500_000

    told = httpx.post(f"http://{address[0]}:{address[1]}", content=slowly())
    assert told.text.split()[0] == "1000000"


def test_requests_sent_together_are_answered_in_turn(address: tuple[str, int]) -> None:
    first = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    told = answer(address, first * 5 + b"".join(ended([])))
    assert told.count(b"HTTP/1.1 200") == 6


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length : 3\r\n\r\nabc",
        POST + b"Transfer-Encoding: x, chunked, y\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3 x\r\nabc\r\n0\r\n\r\n",
        GET + b"A: b\x00c\r\n\r\n",
        GET + b"A: b\rc: d\r\n\r\n",
        GET + b" folded\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
    ids=range(12),
)
def test_a_head_that_two_servers_could_read_differently_is_refused(
    address: tuple[str, int], head: bytes
) -> None:
    """Else a proxy in front might take one request for two, or two for one."""
    told = answer(address, head)
    assert told.count(b"HTTP/1.1 ") == 1
    assert told.startswith(b"HTTP/1.1 400")


def test_production_tells_nothing_of_the_server_and_believes_no_proxy(tmp_path: Path) -> None:
    """As docs/decisions/serving.md has it."""
    with Server(tmp_path) as server:
        told = httpx.get(f"{server.url}/status", headers={"X-Forwarded-For": "6.6.6.6"})
        large = {"A": "x" * 1_000_000}
        with contextlib.suppress(httpx.TransportError):
            assert httpx.get(f"{server.url}/status", headers=large).status_code == 400
        assert httpx.get(f"{server.url}/status").status_code == 200
        server.stop()
    log = (tmp_path / "logs" / "serving_logger.log").read_text()
    assert "server" not in told.headers
    assert '"client": "127.0.0.1"' in log
    assert "6.6.6.6" not in log
