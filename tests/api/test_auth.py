"""Who gets a token, what it allows, and when it stops."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.auth import current_user, limited_user
from tests.api import small_service
from tests.api.small_service import PASSWORD, accounts, add, ask, bearing, settings, token


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(small_service.create_app(settings(tmp_path))) as opened:
        add(opened, "bob")
        add(opened, "root", "admin", "predict")
        yield opened


def who(client: TestClient, token: str) -> Any:
    return client.get("/who", headers=bearing(token))


def test_a_password_gives_a_token_that_says_who_calls(client: TestClient) -> None:
    answer = ask(client, "bob")
    told = answer.json()
    assert (answer.status_code, told["token_type"], told["expires_in"]) == (200, "bearer", 1800)
    assert told["scope"] == "feedback predict"
    assert answer.headers["Cache-Control"] == "no-store"
    known = who(client, told["access_token"]).json()
    assert known == {"name": "bob", "scopes": ["feedback", "predict"]}


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("bob", "wrong"),
        ("nobody", PASSWORD),
        ("BOB", PASSWORD),
        ("bob", "x" * 5000),
        ("' OR 1=1", "x"),
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(
    client: TestClient, name: str, password: str
) -> None:
    answer = ask(client, name, password)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert answer.json()["detail"] == "Nom d'utilisateur ou mot de passe incorrect."
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"username": "bob"},
        {"username": "bob", "password": PASSWORD, "grant_type": "client_credentials"},
    ],
)
def test_another_form_is_refused_without_repeating_it(
    client: TestClient, form: dict[str, str]
) -> None:
    answer = client.post("/token", data=form)
    assert answer.status_code == 422
    assert PASSWORD not in answer.text


def test_credentials_in_the_address_are_refused(client: TestClient) -> None:
    answer = client.post(f"/token?grant_type=password&username=bob&password={PASSWORD}")
    assert answer.status_code == 422
    assert client.get("/token").status_code == 405


def test_a_token_may_allow_less_than_the_account(client: TestClient) -> None:
    narrow = token(client, "bob", ["feedback"])
    assert who(client, narrow).status_code == 403
    assert who(client, token(client, "bob", ["predict", "admin"])).json()["scopes"] == ["predict"]


def test_a_token_that_allows_nothing_is_not_given(client: TestClient) -> None:
    answer = ask(client, "bob", scope="admin")
    assert answer.status_code == 400
    assert "feedback, predict" in answer.json()["detail"]


def test_a_missing_scope_is_forbidden(client: TestClient) -> None:
    answer = client.get("/admin", headers=bearing(token(client, "bob")))
    challenge = 'Bearer realm="api", error="insufficient_scope", scope="admin"'
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (403, challenge)
    assert answer.json()["scope"] == "admin"
    assert client.get("/admin", headers=bearing(token(client, "root"))).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic Ym9iOng=", "Token abc"])
def test_without_a_token_nothing_is_told(client: TestClient, header: str) -> None:
    for answer in (client.get("/who", headers={"Authorization": header}), client.get("/who")):
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (
            401,
            'Bearer realm="api"',
        )


def test_a_wrong_token_is_named_as_such(client: TestClient) -> None:
    answer = who(client, "x.y.z")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'
    assert answer.json()["type"].endswith("token")


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_in_the_address_is_refused(client: TestClient, name: str) -> None:
    """Alone, and beside the header too: it is in some log already."""
    given = token(client, "bob")
    alone = client.get(f"/who?{name}={given}")
    beside = client.get(f"/who?{name}={given}", headers=bearing(given))
    assert (alone.status_code, beside.status_code) == (401, 401)
    assert "journaux" in alone.json()["detail"]
    assert given not in alone.text


def test_a_disabled_users_tokens_stop_at_once(client: TestClient) -> None:
    given = token(client, "bob")
    assert who(client, given).status_code == 200
    accounts(client).disable("bob")
    assert who(client, given).status_code == 401
    assert ask(client, "bob").status_code == 401


def test_tokens_of_before_stay_refused_when_the_user_is_enabled_again(client: TestClient) -> None:
    given = token(client, "bob")
    accounts(client).disable("bob")
    accounts(client).enable("bob")
    assert who(client, given).status_code == 401
    assert who(client, token(client, "bob")).status_code == 200


def test_another_password_ends_the_tokens_of_the_former(client: TestClient) -> None:
    given = token(client, "bob")
    accounts(client).set_password("bob", "another long password")
    assert who(client, given).status_code == 401
    assert ask(client, "bob").status_code == 401
    assert ask(client, "bob", "another long password").status_code == 200


def test_tokens_of_the_former_secret_work_while_it_is_listed(tmp_path: Path) -> None:
    former, new = (
        "the former secret, over thirty-two bytes",
        "the new secret, over thirty-two bytes",
    )
    with TestClient(small_service.create_app(settings(tmp_path, secret=former))) as client:
        add(client, "bob")
        given = token(client, "bob")
    rotated = settings(tmp_path, secret=new, previous_secrets=[former])
    with TestClient(small_service.create_app(rotated)) as client:
        assert who(client, given).status_code == 200
    with TestClient(small_service.create_app(settings(tmp_path, secret=new))) as client:
        assert who(client, given).status_code == 401


def test_dependencies_are_shared() -> None:
    """Otherwise FastAPI would look the same user up several times in one request."""
    assert current_user("predict") is current_user("predict")
    assert limited_user("predict") is limited_user("predict")


def test_without_a_database_nobody_is_let_in(client: TestClient, tmp_path: Path) -> None:
    """503, and not 401: the token may be right."""
    given = token(client, "bob")
    client.app.state.store.close()  # type: ignore[attr-defined]
    (tmp_path / "service.db").rename(tmp_path / "away.db")
    (tmp_path / "service.db").mkdir()
    for answer in (who(client, given), ask(client, "bob")):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "service.db" not in answer.text


def test_the_documentation_knows_how_to_log_in(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "token"
    assert set(scheme["flows"]["password"]["scopes"]) == {"predict", "feedback", "admin"}
    assert document["paths"]["/admin"]["get"]["security"] == [{"OAuth2PasswordBearer": ["admin"]}]
