"""The service: one product in, the product type code out, by the bundle that DVC checked out.

`uvicorn --factory api.main:create_app` serves; `python -m api.serve` does so on one's own machine.
"""

import sys

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from api import (
    auth,
    feedback,
    limits,
    metrics,
    openapi,
    predict,
    problems,
    service,
    startup,
)
from api.batches import route as batches
from api.body_limits import BodyLimits, Limit
from api.errors import ProductCodeError
from api.metrics import Metrics
from api.request_log import HEADER, RequestLog
from api.settings import Settings
from api.store import Store

FORM = Limit(100_000, 10)
"""A body of some short fields, such as /token and /feedback take."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it opens the bundle and the database when it starts to serve.

    Args:
        settings: By default the environment's; if they are wrong, the process ends with the reason.

    Raises:
        ProductCodeError: A setting that was given can't be kept.
    """
    if settings is not None:
        return _assemble(settings)
    try:
        return _assemble(Settings.load())
    except ProductCodeError as error:
        sys.exit(f"ERROR: {error}")


def _assemble(settings: Settings) -> FastAPI:
    app = FastAPI(
        title=openapi.TITLE,
        description=openapi.DESCRIPTION,
        version="1",
        openapi_tags=openapi.TAGS,
        lifespan=startup.lifespan,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.ready = False
    app.state.store = Store(settings.database_url, synchronous=settings.sqlite_synchronous)
    _add_middlewares(app, settings)
    _add_routes(app, settings)
    return app


def _add_middlewares(app: FastAPI, settings: Settings) -> None:
    """The first is the innermost."""
    one = Limit(settings.max_body_bytes, settings.body_seconds)
    files = settings.max_batch_bytes + settings.max_archive_bytes
    many = Limit(files + FORM.size, settings.batch_seconds)
    paths = {"/predict": one, "/predict_code": one, "/predict/batch": many}
    app.add_middleware(BodyLimits, default=FORM, paths=paths)
    problems.install(app)
    measures = Metrics()
    metrics.install(app, measures)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=[HEADER, "Retry-After"],
        )
    app.add_middleware(
        RequestLog, in_flight=measures.in_flight.inc, trusted=settings.trusted_proxies
    )
    app.add_middleware(startup.Brief)


def _add_routes(app: FastAPI, settings: Settings) -> None:
    limits.install(app, settings)
    auth.install(app, settings, app.state.store)
    app.include_router(service.router)
    app.include_router(predict.router)
    batches.install(app, settings)
    app.include_router(feedback.router)
    openapi.install(app)
