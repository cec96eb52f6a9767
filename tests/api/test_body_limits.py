"""Bodies that are too large or too slow are refused before anything reads them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from tests.api import service
from tests.api.service import Server

JSON = {"Content-Type": "application/json"}
LIMIT = 200_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service.client(tmp_path_factory.mktemp("served"), max_body_bytes=LIMIT) as made:
        yield made


def padded(size: int) -> bytes:
    """Right JSON of so many bytes."""
    return b'{"designation": "livre"}'.ljust(size)


def in_chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


@pytest.mark.parametrize("send", [lambda body: body, in_chunks])
def test_the_limit_is_kept_to_the_byte(client: TestClient, send) -> None:
    fits = client.post("/predict", content=send(padded(LIMIT)), headers=JSON)
    assert fits.status_code == 200
    large = client.post("/predict", content=send(padded(LIMIT + 1)), headers=JSON)
    assert (large.status_code, large.json()["limit_bytes"]) == (413, LIMIT)
    assert large.json()["type"] == "urn:product-codes:body_too_large"
    assert large.headers["content-type"] == "application/problem+json"


def test_what_announces_too_much_is_refused_whoever_sends_it(client: TestClient) -> None:
    headers = {"Authorization": "", "Content-Length": str(10**15)}
    assert client.post("/predict", content=b"", headers=headers).status_code == 413


def test_other_addresses_take_short_bodies_only(client: TestClient) -> None:
    for path in ("/token", "/feedback", "/nowhere"):
        assert client.post(path, content=padded(100_001), headers=JSON).status_code == 413


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    app = create_app(service.settings(tmp_path, body_seconds=0.2))
    sent = []

    async def ask() -> None:
        async with app.router.lifespan_context(app):
            bearer = f"Bearer {service.token(app)}".encode()
            parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])

            async def receive() -> dict:
                return next(parts, None) or await asyncio.Event().wait()

            async def send(message: dict) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/predict",
                "query_string": b"",
                "headers": [(b"authorization", bearer), (b"content-type", b"application/json")],
            }
            await asyncio.wait_for(app(scope, receive, send), 5)

    asyncio.run(ask())
    assert sent[0]["status"] == 408
    assert b"body_too_slow" in sent[1]["body"]


def test_a_real_client_gets_to_read_why(tmp_path: Path) -> None:
    """The connection isn't reset under a client that is still sending."""
    with Server(tmp_path) as server, httpx.Client(base_url=server.url, timeout=30) as made:
        large = 16_000_000
        headers = {**JSON, **server.headers()}
        for body in (bytes(large), in_chunks(bytes(large))):
            assert made.post("/predict", content=body, headers=headers).status_code == 413
        assert made.post("/predict", content=bytes(5_000_000), headers=JSON).status_code == 401
        assert made.post("/predict", content=padded(30), headers=headers).status_code == 200
