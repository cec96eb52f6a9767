"""Numbers of products and images: what a 64-bit column holds, in either database."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.api import servers, service
from tests.api.service import parts

LARGEST = 2**63 - 1


@pytest.fixture(scope="module")
def postgresql() -> Iterator[servers.PostgreSQL]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestClient]:
    given = {}
    if request.param == "postgresql":
        server: servers.PostgreSQL = request.getfixturevalue("postgresql")
        given = {"database_url": server.new_database(uuid.uuid4().hex)}
    with service.client(tmp_path, **given) as made:
        yield made


@pytest.mark.parametrize("name", ["product_id", "imageid"])
@pytest.mark.parametrize("number", [0, 2**31, 2**53 + 1, LARGEST])
def test_what_fits_is_kept_to_the_last_digit(client: TestClient, name: str, number: int) -> None:
    fields = {"designation": "livre", name: number}
    answers = [client.post("/predict", json=fields), parts(client, {**fields, name: str(number)})]
    for answer in answers:
        assert answer.status_code == 200
        kept = client.app.state.store.prediction(answer.json()["request_id"])  # type: ignore[attr-defined]
        assert getattr(kept, name) == number


@pytest.mark.parametrize("name", ["product_id", "imageid"])
@pytest.mark.parametrize("number", ["-1", str(2**63), "9" * 400, "1e30", "1.5", "٣x", "NaN"])
def test_what_does_not_fit_is_refused_by_name(client: TestClient, name: str, number: str) -> None:
    body = f'{{"designation": "livre", "{name}": {number}}}'
    as_json = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    as_form = parts(client, {"designation": "livre", name: number})
    for answer in (as_json, as_form):
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"] == "urn:product-codes:validation"
    assert as_form.json()["errors"][0]["loc"] == ["body", name]
