"""The parts of the service that know users, without a model: quick to start, and all real."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from api import auth, feedback, limits, problems
from api.accounts import Accounts
from api.auth import User, current_user, limited_user
from api.settings import Settings
from api.store import Store

ROUNDS = 4
"""The least that bcrypt takes: a check costs one millisecond."""
SECRET = "the current secret, of over thirty-two bytes"
PASSWORD = "correct horse battery"


def settings(folder: Path, **given: Any) -> Settings:
    """Settings with a database in that folder, and no limit that a test reaches by chance."""
    chosen: dict[str, Any] = {
        "secret": SECRET,
        "database_url": f"sqlite:///{folder}/service.db",
        "token_limit": "1000/minute",
        "log_dir": None,
    }
    return Settings(**chosen | given)


def create_app(chosen: Settings) -> FastAPI:
    """Token, feedback, and three routes that do nothing but ask who calls."""
    store = Store(chosen.database_url, patience=1)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.store = store
        store.open()
        yield
        store.close()

    app = FastAPI(lifespan=lifespan)
    problems.install(app)
    limits.install(app, chosen)
    auth.install(app, chosen, store, ROUNDS)
    app.include_router(feedback.router)
    app.get("/who")(who)
    app.get("/admin", dependencies=[Depends(current_user("admin"))])(nothing)
    app.post("/predict")(predict)
    app.post("/predict_code")(predict)
    return app


async def who(user: Annotated[User, Depends(current_user("predict"))]) -> dict[str, Any]:
    return {"name": user.name, "scopes": sorted(user.scopes)}


async def predict(user: Annotated[User, Depends(limited_user("predict"))]) -> str:
    return user.name


async def nothing() -> None:
    return None


def accounts(client: TestClient) -> Accounts:
    """The accounts of the service that a client calls."""
    found: Accounts = client.app.state.accounts  # type: ignore[attr-defined]
    return found


def add(client: TestClient, name: str, *scopes: str) -> None:
    """An account with PASSWORD."""
    accounts(client).add(name, PASSWORD, scopes or ("predict", "feedback"))


def ask(client: TestClient, name: str, password: str = PASSWORD, **fields: str) -> Any:
    """The answer of POST /token."""
    form = {"grant_type": "password", "username": name, "password": password, **fields}
    return client.post("/token", data=form)


def token(client: TestClient, name: str, scopes: Sequence[str] = ()) -> str:
    """A token of an account."""
    answer = ask(client, name, scope=" ".join(scopes))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def bearing(text: str) -> dict[str, str]:
    """Headers with that token."""
    return {"Authorization": f"Bearer {text}"}
