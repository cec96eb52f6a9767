"""Tokens: what is signed comes back, and nothing else is believed."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from api.tokens import LONGEST, Claims, TokenError, Tokens

SECRET = "the current secret, of over thirty-two bytes"
FORMER = "the former secret, also over thirty-two bytes"
SCOPES = frozenset({"predict", "feedback"})
TOKENS = Tokens(SECRET)


def encoded(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(header: object, claims: object, secret: str = SECRET) -> str:
    """A token by hand, with a right HMAC whatever its header says."""
    body = f"{encoded(header)}.{encoded(claims)}"
    return f"{body}.{encoded(hmac.digest(secret.encode(), body.encode(), hashlib.sha256))}"


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    right = {
        "sub": "bob",
        "scope": "predict",
        "ver": 1,
        "iat": now,
        "exp": now + 60,
        "jti": "x",
        "iss": "product-codes",
        "aud": "product-codes-api",
    }
    return {name: value for name, value in (right | changed).items() if value is not None}


HEADER = {"alg": "HS256", "typ": "JWT"}


def test_what_is_issued_is_read() -> None:
    read = TOKENS.read(TOKENS.issue("bob", SCOPES, 3))
    assert read == Claims("bob", SCOPES, 3, read.jti, read.expires)


def test_a_token_that_was_read_before_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signature isn't checked again, its time is."""
    token = TOKENS.issue("bob", SCOPES, 1)
    expires = TOKENS.read(token).expires
    monkeypatch.setattr("api.tokens.time.time", lambda: expires)
    assert TOKENS.read(token).name == "bob"
    monkeypatch.setattr("api.tokens.time.time", lambda: expires + 1)
    with pytest.raises(TokenError, match="expired"):
        TOKENS.read(token)


def test_a_token_has_the_agreed_claims() -> None:
    told = jwt.get_unverified_claims(TOKENS.issue("bob", SCOPES, 3))
    assert set(told) == {"sub", "scope", "ver", "iat", "exp", "jti", "iss", "aud"}
    assert told["exp"] - told["iat"] == 30 * 60 == TOKENS.seconds
    assert told["scope"] == "feedback predict"


def test_each_token_has_an_id_of_its_own() -> None:
    ids = {TOKENS.read(TOKENS.issue("bob", SCOPES, 1)).jti for _ in range(20)}
    assert len(ids) == 20


def test_the_token_made_by_hand_is_read() -> None:
    """So the refusals below are of what each changes."""
    assert TOKENS.read(signed(HEADER, claims())).name == "bob"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 1},
        {"exp": "soon"},
        {"iss": "someone-else"},
        {"aud": "another-api"},
        {"aud": ["another-api"]},
        {"nbf": int(time.time()) + 600},
        {"sub": 7},
        {"scope": None},
        {"ver": None},
        {"ver": "new"},
        *({name: None} for name in ("exp", "iat", "sub", "jti", "iss", "aud")),
    ],
    ids=lambda changed: "-".join(
        f"{name}-{type(value).__name__}" for name, value in changed.items()
    ),
)
def test_wrong_or_missing_claims_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        TOKENS.read(signed(HEADER, claims(**changed)))


@pytest.mark.parametrize("algorithm", ["none", "None", "", None, "HS512", "RS256", ["HS256"], "HS"])
def test_another_algorithm_is_refused_however_it_is_signed(algorithm: Any) -> None:
    with pytest.raises(TokenError):
        TOKENS.read(signed({"alg": algorithm, "typ": "JWT"}, claims()))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_same_secret_under_another_algorithm_is_refused(algorithm: str) -> None:
    with pytest.raises(TokenError):
        TOKENS.read(jwt.encode(claims(), SECRET, algorithm=algorithm))


def test_an_unsigned_token_is_refused() -> None:
    body = f"{encoded({'alg': 'none'})}.{encoded(claims())}."
    for token in (body, body + encoded(b"x"), body.rstrip(".")):
        with pytest.raises(TokenError):
            TOKENS.read(token)


def test_a_key_in_the_header_is_not_taken() -> None:
    own = "the attacker's own secret, long enough too"
    header = HEADER | {"jwk": {"kty": "oct", "k": encoded(own.encode())}, "kid": "../../dev/null"}
    with pytest.raises(TokenError):
        TOKENS.read(signed(header, claims(), own))


def test_changed_claims_break_the_signature() -> None:
    header, _, signature = TOKENS.issue("bob", SCOPES, 1).split(".")
    with pytest.raises(TokenError):
        TOKENS.read(f"{header}.{encoded(claims(sub='root'))}.{signature}")


def test_rotation_keeps_tokens_of_the_former_secret() -> None:
    former = Tokens(FORMER)
    rotated = Tokens(SECRET, [FORMER])
    assert rotated.read(former.issue("bob", SCOPES, 1)).name == "bob"
    assert TOKENS.read(rotated.issue("bob", SCOPES, 1)).name == "bob"
    with pytest.raises(TokenError):
        TOKENS.read(former.issue("bob", SCOPES, 1))


@pytest.mark.parametrize(
    "secret",
    [
        '"a secret that is also a piece of JSON"',
        '["a list of JSON", "as a secret, in fact"]',
        "1" * 40,
    ],
)
def test_any_text_can_be_a_secret(secret: str) -> None:
    """python-jose would read a string that is JSON as something else, when it verifies."""
    tokens = Tokens(secret)
    assert tokens.read(tokens.issue("bob", SCOPES, 1)).name == "bob"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        "\ud800",
        encoded(b"[" * 2000) + ".e30.x",
        signed(HEADER, b"[" * 2000),
        signed(HEADER, b"\xff"),
        signed(HEADER, [1]),
        signed([1], claims()),
        "x" * (LONGEST + 1),
    ],
    ids=lambda token: token[:20],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    """JSON too deep to parse among them."""
    with pytest.raises(TokenError):
        TOKENS.read(token)


@given(st.text() | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}", fullmatch=True))
def test_no_text_breaks_the_reader(token: str) -> None:
    with pytest.raises(TokenError):
        TOKENS.read(token)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
def test_no_header_or_claims_break_the_reader(value: object) -> None:
    for token in (
        signed(value, claims()),
        signed(HEADER, value),
        signed(HEADER | {"alg": value}, value),
    ):
        with pytest.raises(TokenError):
            TOKENS.read(token)


def test_a_refusal_does_not_quote_the_token() -> None:
    token = signed(HEADER, claims(aud="another-api"))
    with pytest.raises(TokenError) as caught:
        TOKENS.read(token)
    assert token not in str(caught.value)
