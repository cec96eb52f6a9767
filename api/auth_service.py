"""The authentication service by itself: POST /token on a port of its own, from the same image.

`uvicorn api.auth_service:app --port 8011`. It shares the secret and the database with the service
that takes its tokens; each checks them by itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI, Security

from api import auth, limits, logs, metrics, openapi, problems
from api.auth import User
from api.body_limits import BodyLimits, Limit
from api.errors import ProductCodeError
from api.metrics import Metrics
from api.passwords import ROUNDS
from api.refusal import Brief, refuse
from api.request_log import RequestLog
from api.schemas import Status
from api.settings import Settings
from api.store import Store

RUNNING = "L'API d'authentification fonctionne correctement"
FORM = Limit(100_000, 10)
"""Bytes and seconds of a form of some short fields."""
router = APIRouter()


def create_app(settings: Settings, rounds: int = ROUNDS) -> FastAPI:
    """The application; `rounds` is bcrypt's cost of the accounts' hashes.

    Raises:
        ProductCodeError: A setting can't be kept.
    """
    app = FastAPI(title="Authentification", version="1", lifespan=_lifespan, redirect_slashes=False)
    app.state.settings = settings
    app.state.store = Store(settings.database_url, synchronous=settings.sqlite_synchronous)
    app.add_middleware(BodyLimits, default=FORM, paths={})
    problems.install(app)
    measures = Metrics()
    metrics.install(app, measures)
    app.add_middleware(
        RequestLog, in_flight=measures.in_flight.inc, trusted=settings.trusted_proxies
    )
    app.add_middleware(Brief)
    limits.install(app, settings)
    auth.install(app, settings, app.state.store, rounds)
    app.include_router(router)
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    try:
        with logs.to_json_lines(app.state.settings.log_dir):
            await asyncio.to_thread(app.state.store.open)
            yield
            app.state.store.close()
    except ProductCodeError as error:
        app.state.refusal = str(error)
        raise


@router.get("/status", summary="L'API répond-elle ?", tags=["service"])
async def status() -> Status:
    """Répond sans toucher à la base de données."""
    return Status(status=RUNNING)


@router.get(
    "/me",
    summary="À qui est ce jeton ?",
    tags=["authentification"],
    responses=openapi.problems(401, 503),
)
async def me(user: Annotated[User, Security(auth.any_user)]) -> auth.Bearer:
    """Le nom du porteur, et ce que son jeton permet encore."""
    return auth.Bearer(name=user.name, scopes=sorted(user.scopes))


def __getattr__(name: str) -> FastAPI:
    """`app`, made when a server asks for it, so that importing this module reads no settings."""
    if name != "app":
        raise AttributeError(name)
    try:
        return create_app(Settings.load())
    except ProductCodeError as error:
        refuse(error)
