"""Every error is problem details with the request's id, and tells nothing of the inside."""

import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from api import problem_texts
from api.inputs import ImageError
from api.problems import Problem
from api.store import StoreError
from tests.api import photos, service


def failing(error: Exception) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


def broken(app: FastAPI) -> None:
    """Adds routes that fail in every way."""
    errors = {
        "unexpected": RuntimeError("password=hunter2"),
        "store": StoreError("postgresql://db.internal: open failed"),
        "image": ImageError("truncated", "image file is truncated (3 bytes not processed)"),
        "teapot": HTTPException(418, "I'm a teapot"),
        "extra": Problem(409, "Déjà là.", "conflict", {"X-Extra": "1"}, "Conflit", other=[1]),
    }
    for name, error in errors.items():
        app.add_api_route(f"/broken/{name}", failing(error))

    async def midway() -> StreamingResponse:
        def parts() -> Iterator[bytes]:
            yield b"first"
            raise RuntimeError("password=hunter2")

        return StreamingResponse(parts())

    app.add_api_route("/broken/midway", midway)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with service.client(tmp_path_factory.mktemp("served")) as made:
        broken(made.app)
        yield made


def problem(answer) -> dict:
    """The body, once it is found to be a problem."""
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["status"] == answer.status_code
    assert told["request_id"] == answer.headers["X-Request-ID"]
    assert told["title"]
    assert told["detail"]
    return told


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nowhere", 404, "Introuvable"),
        ("DELETE", "/predict", 405, "Méthode non permise"),
        ("POST", "/feedback", 422, "Contenu inutilisable"),
        ("POST", "/token", 422, "Contenu inutilisable"),
        ("POST", "/predict", 415, "Type de contenu refusé"),
        ("GET", "/broken/unexpected", 500, "Erreur interne"),
        ("GET", "/broken/store", 503, "Service momentanément indisponible"),
        ("GET", "/broken/image", 422, "Contenu inutilisable"),
        ("GET", "/broken/teapot", 418, "I'm a Teapot"),
        ("GET", "/broken/extra", 409, "Conflit"),
    ],
)
def test_every_error_has_the_one_shape(
    client: TestClient, method: str, path: str, status: int, title: str
) -> None:
    told = problem(client.request(method, path))
    assert (told["status"], told["title"]) == (status, title)


def test_headers_and_further_members_are_passed_on(client: TestClient) -> None:
    answer = client.get("/broken/extra")
    told = problem(answer)
    assert (answer.headers["X-Extra"], told["other"]) == ("1", [1])
    assert told["type"] == "urn:product-codes:conflict"
    assert "POST" in client.get("/predict").headers["Allow"]
    unknown = client.get("/nowhere").json()
    assert (unknown["type"], unknown["detail"]) == ("about:blank", problem_texts.DETAILS[404])


def test_validation_names_the_place_and_not_the_value(client: TestClient) -> None:
    answer = client.post("/feedback", json={"request_id": ["s3cret"], "code": "s3cret"})
    told = problem(answer)
    assert {fault["loc"][-1] for fault in told["errors"]} == {"request_id", "code"}
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("path", ["/broken/unexpected", "/broken/store", "/broken/midway"])
def test_the_inside_is_told_to_the_log_alone(
    client: TestClient, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "api.problems"):
        answer = client.get(path)
    assert not any(word in answer.text for word in ("hunter2", "internal", "Error"))
    assert [record.name for record in caplog.records] == ["api.problems"]


def test_the_log_shows_where_it_broke_but_no_foreign_message(tmp_path: Path) -> None:
    with service.client(tmp_path) as made:
        broken(made.app)
        identity = made.get("/broken/unexpected").headers["X-Request-ID"]
    lines = (tmp_path / "logs" / "serving_logger.log").read_text().splitlines()
    line = next(line for line in map(json.loads, lines) if "traceback" in line)
    assert (line["level"], line["request_id"]) == ("ERROR", identity)
    assert "test_problems.py" in line["traceback"]
    assert line["traceback"].endswith("RuntimeError")
    assert "hunter2" not in "".join(lines)


def test_every_reason_of_an_image_has_words() -> None:
    reasons = {reason for _, reason in photos.UNUSABLE.values()}
    assert reasons == problem_texts.IMAGE_DETAILS.keys()


def test_every_title_has_a_detail_unless_the_route_gives_it() -> None:
    assert problem_texts.TITLES.keys() - problem_texts.DETAILS.keys() == {409, 413, 415}
