"""Who calls: the OAuth2 password flow, and what the bearer of a token may do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, Field

from api import openapi
from api.accounts import NAME, SCOPES, Account, Accounts
from api.passwords import ROUNDS, PasswordChecker, PasswordsBusyError
from api.problems import Problem
from api.settings import Settings
from api.store import Store
from api.tokens import Claims, TokenError, Tokens

router = APIRouter(tags=["authentification"])
bearer = OAuth2PasswordBearer(tokenUrl="token", scopes=SCOPES, auto_error=False)
LEAKY = ("token", "access_token")
"""Query parameters that a token might be sent in, and would then be found in logs."""
BUSY = 5
"""Seconds to wait before asking for a token again."""


@dataclass(frozen=True)
class User:
    """The bearer of a valid token, with what both the token and the account allow."""

    name: str
    scopes: frozenset[str]


class Token(BaseModel):
    """Un jeton, à envoyer dans l'en-tête `Authorization: Bearer ...`."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  # a kind, no secret
    expires_in: int = Field(description="Durée de validité, en secondes")
    scope: str = Field(description="Ce que le jeton permet, séparé par des espaces")


class Bearer(BaseModel):
    """Le porteur d'un jeton."""

    name: str
    scopes: list[str]


def install(app: FastAPI, settings: Settings, store: Store, rounds: int = ROUNDS) -> None:
    """Adds POST /token, and puts what it and the dependencies need on app.state.

    `rounds`: bcrypt's cost of the accounts' hashes.
    """
    app.state.accounts = Accounts(store.database, rounds)
    app.state.passwords = PasswordChecker(rounds)
    app.state.tokens = Tokens(
        settings.secret.get_secret_value(),
        [previous.get_secret_value() for previous in settings.previous_secrets],
        settings.token_minutes,
        settings.issuer,
        settings.audience,
    )
    app.include_router(router)


async def any_user(request: Request, token: Annotated[str | None, Security(bearer)]) -> User:
    """The user of a valid token, whatever it allows; answers 401 without one.

    The account is looked up at each request, so that a disabled user's token stops at once.
    """
    claims = _claims(request, token)
    account = await run_in_threadpool(request.app.state.accounts.get, claims.name)
    if account is None or account.disabled or account.version != claims.version:
        raise _unauthorized("Ce jeton n'est plus valable : demandez-en un autre.", invalid=True)
    request.state.user = account.name
    return User(account.name, claims.scopes & account.scopes)


@cache
def current_user(scope: str) -> Callable[..., Awaitable[User]]:
    """A dependency that gives the user; it answers 401 without a valid token, 403 out of scope."""

    async def user(known: Annotated[User, Security(any_user, scopes=[scope])]) -> User:
        if scope not in known.scopes:
            raise _forbidden(scope)
        return known

    return user


@cache
def limited_user(scope: str, limit: str = "predict") -> Callable[..., Awaitable[User]]:
    """As `current_user`; it also counts the call, and answers 429 beyond the limit of that name."""

    async def user(request: Request, known: Annotated[User, Depends(current_user(scope))]) -> User:
        await request.app.state.limits.check(limit, request)
        return known

    return user


@router.post(
    "/token", summary="Demander un jeton", responses=openapi.problems(400, 401, 422, 429, 503)
)
async def token(
    request: Request, response: Response, form: Annotated[OAuth2PasswordRequestForm, Depends()]
) -> Token:
    """Échange un nom d'utilisateur et un mot de passe contre un jeton."""
    request.state.claimed = form.username
    await request.app.state.limits.check("token", request)
    account = await _authenticated(request, form.username, form.password)
    scopes = account.scopes.intersection(form.scopes or account.scopes)
    if not scopes:
        allowed = ", ".join(sorted(account.scopes))
        raise Problem(400, f"Vous ne pouvez demander que ces autorisations : {allowed}.", "scope")
    request.state.user = account.name
    response.headers["Cache-Control"] = "no-store"
    tokens: Tokens = request.app.state.tokens
    return Token(
        access_token=tokens.issue(account.name, scopes, account.version),
        expires_in=tokens.seconds,
        scope=" ".join(sorted(scopes)),
    )


async def _authenticated(request: Request, name: str, password: str) -> Account:
    """The account, if the password is its own; the same work and answer whatever is wrong."""
    accounts: Accounts = request.app.state.accounts
    account = await run_in_threadpool(accounts.get, name) if NAME.fullmatch(name) else None
    checker: PasswordChecker = request.app.state.passwords
    try:
        right = await checker.verify(password, account.password_hash if account else None)
    except PasswordsBusyError as error:
        raise Problem(
            503,
            f"Trop de demandes de jeton à la fois : réessayez dans {BUSY} s.",
            "busy",
            {"Retry-After": str(BUSY)},
        ) from error
    if account is None or account.disabled or not right:
        raise _unauthorized("Nom d'utilisateur ou mot de passe incorrect.")
    return account


def _claims(request: Request, token: str | None) -> Claims:
    if any(name in request.query_params for name in LEAKY):
        raise _unauthorized(
            "Un jeton ne s'envoie que dans l'en-tête Authorization : une adresse finit dans des "
            "journaux. Considérez ce jeton comme divulgué."
        )
    if not token:
        raise _unauthorized("Envoyez un jeton : en-tête « Authorization: Bearer ... ».")
    try:
        claims: Claims = request.app.state.tokens.read(token)
    except TokenError as error:
        raise _unauthorized(
            "Ce jeton est invalide ou a expiré : demandez-en un autre par POST /token.",
            invalid=True,
        ) from error
    return claims


def _unauthorized(detail: str, *, invalid: bool = False) -> Problem:
    challenge = 'Bearer realm="api"' + (', error="invalid_token"' if invalid else "")
    return Problem(401, detail, "token" if invalid else None, {"WWW-Authenticate": challenge})


def _forbidden(scope: str) -> Problem:
    challenge = f'Bearer realm="api", error="insufficient_scope", scope="{scope}"'
    detail = f"Votre jeton ne permet pas « {scope} » ({SCOPES[scope]})."
    return Problem(403, detail, "scope", {"WWW-Authenticate": challenge}, scope=scope)
