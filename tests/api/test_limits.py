"""Limits, counted in memory and by a real Redis, also when it goes and comes back."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.limits import LimitsError
from tests.api import servers, small_service
from tests.api.small_service import PASSWORD, add, ask, bearing, settings, token


@pytest.fixture(scope="module")
def redis() -> Iterator[servers.Redis]:
    with servers.redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    server: servers.Redis = request.getfixturevalue("redis")
    with server.client() as direct:
        direct.flushall()
    return server.url


def service(folder: Path, address: str = "203.0.113.9", **given: Any) -> TestClient:
    app = small_service.create_app(settings(folder, **given))
    return TestClient(app, client=(address, 50000))


@pytest.fixture
def client(tmp_path: Path, storage: str) -> Iterator[TestClient]:
    with service(tmp_path, limits_storage=storage, predict_limit="3/minute") as opened:
        add(opened, "bob")
        add(opened, "eve")
        yield opened


def statuses(client: TestClient, name: str, count: int, path: str = "/predict") -> list[int]:
    headers = bearing(token(client, name))
    return [client.post(path, headers=headers).status_code for _ in range(count)]


def test_a_user_has_so_many_predictions(client: TestClient) -> None:
    assert statuses(client, "bob", 5) == [200, 200, 200, 429, 429]


def test_users_do_not_share_a_limit(client: TestClient) -> None:
    assert statuses(client, "bob", 4) == [200, 200, 200, 429]
    assert statuses(client, "eve", 1) == [200]


def test_another_path_or_token_is_no_way_around(client: TestClient) -> None:
    """/predict_code is /predict."""
    assert statuses(client, "bob", 2, "/predict_code") == [200, 200]
    assert statuses(client, "bob", 2, "/predict") == [200, 429]


def test_refused_callers_use_nothing_up(client: TestClient) -> None:
    for _ in range(5):
        assert client.post("/predict", headers=bearing("x.y.z")).status_code == 401
    assert statuses(client, "bob", 3) == [200, 200, 200]


def test_the_answer_says_when_to_come_back(client: TestClient) -> None:
    statuses(client, "bob", 3)
    answer = client.post("/predict", headers=bearing(token(client, "bob")))
    seconds = int(answer.headers["Retry-After"])
    assert 50 < seconds <= 60
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == (
        f"La limite est de 3 requêtes par minute : réessayez dans {seconds} s."
    )


def test_after_that_time_there_is_room_again(tmp_path: Path, storage: str) -> None:
    with service(tmp_path, limits_storage=storage, predict_limit="2/second") as client:
        add(client, "bob")
        headers = bearing(token(client, "bob"))
        answers = [client.post("/predict", headers=headers) for _ in range(12)]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert "par seconde" in refused.json()["detail"]
        time.sleep(int(refused.headers["Retry-After"]) + 0.1)
        assert client.post("/predict", headers=headers).status_code == 200


def test_several_limits_hold_together(tmp_path: Path) -> None:
    with service(tmp_path, predict_limit="100/minute;2 per 3 hours") as client:
        add(client, "bob")
        headers = bearing(token(client, "bob"))
        answers = [client.post("/predict", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "2 requêtes par 3 heures" in answers[-1].json()["detail"]


def test_workers_share_a_limit_through_redis(tmp_path: Path, redis: servers.Redis) -> None:
    with redis.client() as direct:
        direct.flushall()
    given = {"limits_storage": redis.url, "predict_limit": "3/minute"}
    with service(tmp_path, **given) as one, service(tmp_path, **given) as other:
        add(one, "bob")
        headers = bearing(token(one, "bob"))
        answers = [worker.post("/predict", headers=headers) for worker in (one, other) * 2]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


def test_without_redis_it_still_answers_and_still_limits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In memory, quickly, with a warning; and goes back to Redis when that is back."""
    with (
        servers.redis_server() as server,
        service(tmp_path, limits_storage=server.url, predict_limit="3/minute") as client,
    ):
        add(client, "bob")
        assert statuses(client, "bob", 1) == [200]
        server.stop()
        start = time.monotonic()
        assert statuses(client, "bob", 4) == [200, 200, 200, 429]
        assert time.monotonic() - start < 5
        assert "storage unreachable" in caplog.text
        server.start()
        deadline = time.monotonic() + 20
        with server.client() as direct:
            while not direct.keys("*predict*"):
                assert time.monotonic() < deadline, "it never went back to Redis"
                statuses(client, "bob", 1)
                time.sleep(0.2)


def test_a_redis_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    with (
        servers.redis_server() as server,
        service(tmp_path, limits_storage=server.url, predict_limit="3/minute") as client,
    ):
        add(client, "bob")
        headers = bearing(token(client, "bob"))
        with server.frozen():
            start = time.monotonic()
            answers = [client.post("/predict", headers=headers).status_code for _ in range(4)]
            assert time.monotonic() - start < 4
    assert answers == [200, 200, 200, 429]


def test_it_starts_without_redis(tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{servers.free_port()}/0"
    with service(tmp_path, limits_storage=nowhere, predict_limit="2/minute") as client:
        add(client, "bob")
        assert statuses(client, "bob", 3) == [200, 200, 429]


def test_guessing_is_throttled_by_address(tmp_path: Path, storage: str) -> None:
    with service(tmp_path, limits_storage=storage, token_limit="5/minute") as client:
        add(client, "bob")
        answers = [ask(client, f"user{number}", "a wrong password") for number in range(8)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
        assert ask(client, "bob").status_code == 429
        other = TestClient(client.app, client=("198.51.100.1", 50000))
        assert ask(other, "bob").status_code == 200


def test_guessing_is_throttled_by_name(tmp_path: Path, storage: str) -> None:
    """From many addresses: even the right password is then refused, and nothing told."""
    with service(tmp_path, limits_storage=storage, token_limit="5/minute") as client:
        add(client, "bob")
        answers = []
        for number in range(8):
            other = TestClient(client.app, client=(f"198.51.100.{number}", 50000))
            answers.append(ask(other, "bob", PASSWORD if number > 5 else "a wrong password"))
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3


def test_guessing_from_one_ipv6_network_counts_as_one(tmp_path: Path) -> None:
    with service(tmp_path, token_limit="5/minute") as client:
        answers = [
            ask(TestClient(client.app, client=(f"2001:db8::{number}", 1)), f"user{number}")
            for number in range(7)
        ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2


def _from(client: TestClient, forwarded: str, number: int) -> int:
    form = {"grant_type": "password", "username": f"user{number}", "password": PASSWORD}
    answer = client.post("/token", data=form, headers={"X-Forwarded-For": forwarded})
    return answer.status_code


def test_a_client_does_not_choose_its_address(tmp_path: Path) -> None:
    with service(tmp_path, token_limit="2/minute") as client:
        told = [_from(client, f"198.51.100.{number}", number) for number in range(4)]
    assert told == [401, 401, 429, 429]


def test_behind_a_trusted_proxy_clients_are_told_apart(tmp_path: Path) -> None:
    given = {"token_limit": "2/minute", "trusted_proxies": "10.0.0.0/8"}
    with service(tmp_path, "10.0.0.1", **given) as client:
        told = [_from(client, f"198.51.100.{number}", number) for number in range(4)]
        spoofing = [
            _from(client, f"198.51.{number}.1, 203.0.113.9", 10 + number) for number in range(4)
        ]
    assert told == [401] * 4
    assert spoofing == [401, 401, 429, 429]


@pytest.mark.parametrize("name", ["bob\r\nX-Admin: yes", "x" * 50_000, "\x00", "é" * 100])
def test_any_name_can_be_claimed(tmp_path: Path, storage: str, name: str) -> None:
    with service(tmp_path, limits_storage=storage) as client:
        answer = ask(client, name)
    assert answer.status_code == 401
    assert "x-admin" not in answer.headers


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"predict_limit": "ten a minute"}, "predict_limit is 'ten a minute'"),
        ({"token_limit": ""}, "token_limit"),
        ({"limits_storage": "carrier-pigeon://x"}, "carrier-pigeon"),
        ({"limits_storage": "redis"}, "redis://HOST"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused(
    tmp_path: Path, given: dict[str, str], told: str
) -> None:
    """Rather than served without one."""
    with pytest.raises(LimitsError, match=told):
        small_service.create_app(settings(tmp_path, **given))
