"""Access tokens: signed claims of who calls and what they may do, valid for some minutes."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jose import jwk, jwt
from jose.exceptions import JOSEError

from api.errors import ProductCodeError

ALGORITHM = "HS256"
LONGEST = 4096
"""Characters of a token that is looked at; ours have about 400."""
REMEMBERED = 1024
"""Tokens whose signature isn't checked again."""
CLAIMS = ("exp", "iat", "sub", "jti", "iss", "aud")


class TokenError(ProductCodeError):
    """The token isn't one of ours, or no longer valid; the message never holds the token."""


@dataclass(frozen=True)
class Claims:
    """What a valid token says; `version` is the account's at the time of signing.

    `expires` counts seconds from 1970.
    """

    name: str
    scopes: frozenset[str]
    version: int
    jti: str
    expires: int


class Tokens:
    """Signs with the current secret, and accepts what the current or a previous one signed.

    To rotate: make the secret a previous one, set a new one, and drop the previous one once the
    longest token has expired.
    """

    def __init__(
        self,
        secret: str,
        previous: Sequence[str] = (),
        minutes: float = 30,
        issuer: str = "product-codes",
        audience: str = "product-codes-api",
    ) -> None:
        # Keys, not strings: python-jose would take a string that happens to be JSON apart.
        self._keys = [jwk.construct(text.encode(), ALGORITHM) for text in (secret, *previous)]
        self.seconds = int(minutes * 60)
        self._issuer = issuer
        self._audience = audience
        # What is refused raises, and so isn't remembered.
        self._known = lru_cache(REMEMBERED)(self._verified)

    def issue(self, name: str, scopes: frozenset[str], version: int) -> str:
        """A token for that account, with an id of its own."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": name,
            "scope": " ".join(sorted(scopes)),
            "ver": version,
            "iat": now,
            "exp": now + self.seconds,
            "jti": uuid.uuid4().hex,
        }
        return str(jwt.encode(claims, self._keys[0], algorithm=ALGORITHM))

    def read(self, token: str) -> Claims:
        """What a token says.

        Raises:
            TokenError: It is malformed, signed otherwise, for someone else, or has expired.
        """
        if len(token) > LONGEST:
            raise TokenError(f"a token of over {LONGEST} characters is none of ours")
        claims = self._known(token)
        if claims.expires < int(time.time()):
            raise TokenError("token refused: it has expired; ask POST /token for a new one")
        return claims

    def _verified(self, token: str) -> Claims:
        reason = ""
        for key in self._keys:
            try:
                return _claims(self._decode(token, key))
            # What isn't JSON may be anything: too deep to parse, or not even text.
            except (JOSEError, ValueError, TypeError, KeyError, RecursionError) as error:
                reason = reason or str(error)
        raise TokenError(f"token refused: {reason}; ask POST /token for a new one")

    def _decode(self, token: str, key: Any) -> dict[str, Any]:
        decoded: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=self._audience,
            issuer=self._issuer,
            options={f"require_{claim}": True for claim in CLAIMS},
        )
        return decoded


def _claims(decoded: dict[str, Any]) -> Claims:
    return Claims(
        name=str(decoded["sub"]),
        scopes=frozenset(str(decoded["scope"]).split()),
        version=int(decoded["ver"]),
        jti=str(decoded["jti"]),
        expires=int(decoded["exp"]),
    )
