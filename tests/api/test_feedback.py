"""Feedback on predictions: who may give it, on what, and what is kept."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.records import FeedbackRecord, PredictionRecord
from api.store import Store
from tests.api import small_service
from tests.api.small_service import add, bearing, settings, token


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(small_service.create_app(settings(tmp_path))) as opened:
        add(opened, "bob")
        add(opened, "eve")
        add(opened, "root", "admin", "feedback")
        add(opened, "robot", "predict")
        store(opened).add_prediction(PredictionRecord("r1", "bob", 10, 0.5, "v", designation="x"))
        yield opened


def store(client: TestClient) -> Store:
    found: Store = client.app.state.store  # type: ignore[attr-defined]
    return found


def give(client: TestClient, name: str, **body: Any) -> Any:
    return client.post("/feedback", json=body, headers=bearing(token(client, name)))


def kept(client: TestClient) -> list[FeedbackRecord]:
    now = datetime.now(UTC)
    return list(store(client).feedback(now - timedelta(1), now + timedelta(1)))


def test_the_right_code_is_kept(client: TestClient) -> None:
    answer = give(client, "bob", request_id="r1", code=40, comment="un jeu")
    assert answer.status_code == 201
    assert answer.json() == {
        "request_id": "r1",
        "code": 40,
        "predicted": 10,
        "correct": False,
        "message": "Merci : le code 40 est noté.",
    }
    (record,) = kept(client)
    assert (record.request_id, record.user, record.code, record.comment) == (
        "r1",
        "bob",
        40,
        "un jeu",
    )


def test_a_right_prediction_can_be_confirmed(client: TestClient) -> None:
    assert give(client, "bob", request_id="r1", code=10).json()["correct"] is True


def test_a_second_thought_replaces_the_first(client: TestClient) -> None:
    give(client, "bob", request_id="r1", code=40)
    give(client, "bob", request_id="r1", code=50)
    assert [record.code for record in kept(client)] == [50]


def test_another_users_prediction_looks_like_one_that_never_was(client: TestClient) -> None:
    others = give(client, "eve", request_id="r1", code=40)
    never = give(client, "eve", request_id="r2", code=40)
    assert (others.status_code, never.status_code) == (404, 404)
    assert others.json()["detail"] == never.json()["detail"]
    assert kept(client) == []


def test_an_admin_may_correct_everyones(client: TestClient) -> None:
    assert give(client, "root", request_id="r1", code=40).status_code == 201
    assert [record.user for record in kept(client)] == ["root"]


def test_a_token_without_the_scope_is_refused(client: TestClient) -> None:
    assert give(client, "robot", request_id="r1", code=40).status_code == 403
    assert client.post("/feedback", json={"request_id": "r1", "code": 40}).status_code == 401


def test_a_code_that_does_not_exist_is_refused(client: TestClient) -> None:
    answer = give(client, "bob", request_id="r1", code=11)
    assert (answer.status_code, "11" in answer.json()["detail"]) == (422, True)


def test_a_code_of_the_served_bundle_exists(client: TestClient) -> None:
    """Of another catalogue than the challenge's."""
    client.app.state.bundle = SimpleNamespace(  # type: ignore[attr-defined]
        labels=[{"code": 11, "name": "Timbres"}]
    )
    assert give(client, "bob", request_id="r1", code=11).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"request_id": "r1"},
        {"request_id": "", "code": 40},
        {"request_id": "x" * 201, "code": 40},
        {"request_id": "r1", "code": 10**30},
        {"request_id": "r1", "code": -1},
        {"request_id": "r1", "code": "forty"},
        {"request_id": "r1", "code": 40, "comment": "x" * 1001},
        {"request_id": "r1", "code": 40, "user": "root"},
    ],
)
def test_a_malformed_body_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert give(client, "bob", **body).status_code == 422
    assert kept(client) == []


@pytest.mark.parametrize("comment", ["'); DROP TABLE feedback; --", "\x00", "🎮\r\n", "\ud800"])
def test_any_comment_is_kept_as_text(client: TestClient, comment: str) -> None:
    answer = client.post(
        "/feedback",
        content=b'{"request_id": "r1", "code": 40, "comment": %s}' % _escaped(comment),
        headers=bearing(token(client, "bob")) | {"Content-Type": "application/json"},
    )
    assert answer.status_code in {201, 422}
    assert len(kept(client)) == (answer.status_code == 201)


def _escaped(text: str) -> bytes:
    return json.dumps(text).encode()
