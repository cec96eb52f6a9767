"""Attacks on authentication, made over HTTP, with passwords at their full cost where it matters."""

import asyncio
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from jose import jwt

from api import auth
from api.passwords import ROUNDS
from tests.api import small_service
from tests.api.small_service import PASSWORD, SECRET, add, ask, bearing, settings
from tests.api.test_tokens import claims, encoded, signed


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = small_service.create_app(settings(tmp_path_factory.mktemp("service")))
    with TestClient(app) as opened:
        add(opened, "bob")
        yield opened


def refused(client: TestClient, text: str) -> bool:
    answer = client.get("/who", headers={"Authorization": b"Bearer " + text.encode()})
    return answer.status_code == 401 and "WWW-Authenticate" in answer.headers


def test_the_token_that_the_attacks_start_from_is_right(client: TestClient) -> None:
    assert not refused(client, signed({"alg": "HS256", "typ": "JWT"}, claims()))


def test_no_signature_and_other_algorithms_are_refused(client: TestClient) -> None:
    for algorithm in ("none", "NONE", "nOnE", "HS384", "HS512", "RS256", "ES256"):
        assert refused(client, signed({"alg": algorithm}, claims()))
        assert refused(client, f"{encoded({'alg': algorithm})}.{encoded(claims())}.")


def test_a_token_signed_by_a_private_key_of_ones_own_is_refused(client: TestClient) -> None:
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True)
    assert refused(client, jwt.encode(claims(), key.stdout, algorithm="RS256"))


def test_expired_and_foreign_tokens_are_refused(client: TestClient) -> None:
    header = {"alg": "HS256", "typ": "JWT"}
    now = int(time.time())
    for changed in (
        {"exp": now - 1},
        {"exp": None},
        {"aud": "another-api"},
        {"aud": None},
        {"iss": "someone-else"},
        {"sub": "nobody"},
        {"ver": 2},
    ):
        assert refused(client, signed(header, claims(**changed))), changed
    assert refused(client, signed(header, claims(), SECRET + "x"))


def test_a_token_cannot_raise_itself_above_the_account(client: TestClient) -> None:
    """Even one that is signed: the account has the last word."""
    raised = signed({"alg": "HS256", "typ": "JWT"}, claims(scope="predict admin"))
    assert client.get("/admin", headers=bearing(raised)).status_code == 403


def test_no_token_of_a_disabled_user_works_not_even_one_of_its_present_version(
    client: TestClient,
) -> None:
    small_service.add(client, "eve")
    small_service.accounts(client).disable("eve")
    assert refused(client, signed({"alg": "HS256", "typ": "JWT"}, claims(sub="eve", ver=2)))
    small_service.accounts(client).enable("eve")
    assert not refused(client, signed({"alg": "HS256", "typ": "JWT"}, claims(sub="eve", ver=3)))


@pytest.mark.parametrize(
    "header",
    [
        b"Bearer \xff\xfe",
        b"Bearer " + b"[" * 3000,
        b"Bearer " + encoded(b"[" * 2000).encode() + b".e30.x",
        b"bearer" + b" " * 3000 + b"x",
        b"Bearer a, Bearer b",
    ],
)
def test_no_header_breaks_the_service(client: TestClient, header: bytes) -> None:
    assert client.get("/who", headers={"Authorization": header}).status_code == 401


@given(form=st.dictionaries(st.sampled_from(["username", "password", "scope"]), st.text()))
@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_form_breaks_the_service(client: TestClient, form: dict[str, str]) -> None:
    answer = client.post("/token", data={"grant_type": "password", **form})
    assert answer.status_code in {401, 422}


@pytest.mark.parametrize("place", ["username", "scope", "client_id"])
def test_no_field_becomes_a_header(client: TestClient, place: str) -> None:
    attack = "bob\r\nSet-Cookie: admin=1\r\n\r\n"
    form = {"grant_type": "password", "username": "bob", "password": PASSWORD, place: attack}
    answer = client.post("/token", data=form)
    assert "set-cookie" not in answer.headers
    assert "Set-Cookie" not in str(answer.headers)


def test_a_file_is_no_password(client: TestClient) -> None:
    form = {"grant_type": "password", "username": "bob"}
    answer = client.post("/token", data=form, files={"password": b"x" * 1000})
    assert answer.status_code == 422


def test_the_first_of_two_forwarded_identities_is_not_believed(client: TestClient) -> None:
    """Headers that some proxies set mean nothing here."""
    for name in ("X-User", "X-Forwarded-User", "Remote-User", "X-Original-URL", "Cookie"):
        assert client.get("/who", headers={name: "bob"}).status_code == 401


@pytest.mark.slow
def test_users_are_not_told_apart_by_time(tmp_path: Path) -> None:
    """At full cost, in turns: a known user's wrong password and an unknown user take as long."""
    with TestClient(_at_full_cost(tmp_path)) as client:
        accounts = client.app.state.accounts  # type: ignore[attr-defined]
        accounts.add("bob", PASSWORD, ["predict"])
        accounts.add("eve", PASSWORD, ["predict"])
        accounts.disable("eve")
        times: dict[str, list[float]] = {"bob": [], "nobody": [], "eve": [], "No Name": []}
        for _ in range(4):
            for name, taken in times.items():
                start = time.perf_counter()
                assert ask(client, name, "a wrong password").status_code == 401
                taken.append(time.perf_counter() - start)
    known = times.pop("bob")
    for name, others in times.items():
        assert min(others) <= max(known), name
        assert min(known) <= max(others), name
        assert 0.6 < statistics.median(others) / statistics.median(known) < 1.7, name


def _at_full_cost(folder: Path) -> Any:
    app = small_service.create_app(settings(folder))
    app.state.passwords = auth.PasswordChecker(ROUNDS)
    app.state.accounts = auth.Accounts(app.state.accounts._database, ROUNDS)
    return app


def test_guessing_passwords_holds_nobody_up(tmp_path: Path) -> None:
    """Many guesses at full cost wait, or are told to come back; others are answered meanwhile."""
    app = _at_full_cost(tmp_path)

    async def attack() -> tuple[list[int], list[float]]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            form = {"grant_type": "password", "username": "bob", "password": "guess"}
            guesses = [asyncio.create_task(client.post("/token", data=form)) for _ in range(25)]
            pauses = []
            for _ in range(10):
                start = time.perf_counter()
                assert (await client.get("/who")).status_code == 401
                pauses.append(time.perf_counter() - start)
                await asyncio.sleep(0.05)
            answers = await asyncio.gather(*guesses)
            assert all("Retry-After" in a.headers for a in answers if a.status_code == 503)
            return [answer.status_code for answer in answers], pauses

    app.state.passwords = auth.PasswordChecker(ROUNDS, waiting=4)
    with TestClient(app):  # opens the database
        told, pauses = asyncio.run(attack())
    assert sorted(told) == [401] * 5 + [503] * 20
    assert statistics.median(pauses) < 0.1
