"""Errors as callers see them: one JSON shape for all, problem details of RFC 9457.

Titles and details are French, as the API's users are; `type`, `reason` and `loc` are for programs.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ProductCodeError
from api.inputs import ImageError
from api.problem_texts import DETAILS, IMAGE_DETAILS, TITLES
from api.store_errors import StoreError

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:product-codes:"
LOGGER = logging.getLogger("api.problems")
MOST_FAULTS = 20
"""Of one request that are told."""
RETRY_STORE = "5"
"""Seconds; another process may serve by then."""
GONE = 499
"""Status of a request whose client left before its answer, as nginx has it."""
INPUT_STATUSES = {400, 408, 413, 415, 422}
"""What a caller sent could not be used; `reason` and `kind` are few, as counters need them."""


class Problem(HTTPException):
    """An answer that isn't the one hoped for.

    Args:
        status: HTTP status.
        detail: What is wrong and what to do, in French; never internals.
        kind: One word for programs, the end of `type`; without it, `type` is about:blank.
        headers: Such as Retry-After.
        extra: Further members of the body, such as `reason`.
    """

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
        title: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(status, detail or DETAILS.get(status), dict(headers or {}))
        self.kind = kind
        self.title = title
        self.extra = extra


def response(request: Request, error: HTTPException) -> JSONResponse:
    """The error as problem details, with the request's id; counts what is wrong with inputs."""
    metrics = getattr(request.app.state, "metrics", None)
    if metrics and error.status_code in INPUT_STATUSES:
        metrics.rejected.labels(reason(error)).inc()
    body = details(error) | {"request_id": request_id(request)}
    headers = dict(error.headers or {})
    return JSONResponse(body, error.status_code, headers, media_type=MEDIA_TYPE)


def details(error: HTTPException) -> dict[str, Any]:
    """The members of the error's problem details, but for the request's id."""
    status, kind = error.status_code, getattr(error, "kind", None)
    return {
        "type": TYPE + kind if kind else "about:blank",
        "title": getattr(error, "title", None) or TITLES.get(status) or _phrase(status),
        "status": status,
        # What Starlette and FastAPI say is English.
        "detail": error.detail if isinstance(error, Problem) else DETAILS.get(status, error.detail),
        **getattr(error, "extra", {}),
    }


def reason(error: HTTPException) -> str:
    """One word for counters: the error's reason, or its kind, or its status."""
    extra = getattr(error, "extra", {})
    return extra.get("reason") or getattr(error, "kind", None) or str(error.status_code)


def request_id(request: Request) -> str:
    """The id that this request's answer, log line and stored prediction share."""
    return str(getattr(request.state, "request_id", ""))


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem, those of its middlewares too."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(ImageError, _on_image)
    app.add_exception_handler(StoreError, _on_store)
    app.add_middleware(Unexpected)


async def _on_http(request: Request, error: Any) -> JSONResponse:
    return response(request, error)


async def _on_invalid(request: Request, error: Any) -> JSONResponse:
    return response(request, invalid(error.errors()))


async def _on_image(request: Request, error: Any) -> JSONResponse:
    return response(request, unusable_image(error))


async def _on_store(request: Request, error: Any) -> JSONResponse:
    LOGGER.error("%s", error, extra={"request_id": request_id(request)})
    return response(request, Problem(503, kind="store", headers={"Retry-After": RETRY_STORE}))


def invalid(errors: Sequence[Any]) -> Problem:
    """What validation found, without the values, which may be secrets."""
    faults = [
        {"loc": list(fault["loc"]), "msg": fault["msg"], "type": fault["type"]}
        for fault in errors[:MOST_FAULTS]
    ]
    return Problem(422, kind="validation", errors=faults)


def unusable_image(error: ImageError) -> Problem:
    """422, with the reason as one word, and in French."""
    return Problem(422, IMAGE_DETAILS[error.reason], "image", reason=error.reason)


class Unexpected:
    """The last resort: what no handler knows is logged with its traceback and answered 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; answers what goes wrong, unless an answer has begun."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            # Nobody is left to read it: it is for the log and the counters, not an error.
            await Response(status_code=GONE)(scope, receive, send)
        except asyncio.CancelledError:
            # uvicorn's, when the time to end gracefully is over; it would answer 500.
            if started:
                raise
            ending = Problem(503, kind="ending", headers={"Retry-After": RETRY_STORE})
            await response(Request(scope), ending)(scope, receive, send)
        except Exception as error:
            request = Request(scope)
            problem = _last_resort(request, error)
            if started:
                raise
            await response(request, problem)(scope, receive, send)


def _last_resort(request: Request, error: Exception) -> HTTPException:
    if isinstance(error, HTTPException):  # of a middleware
        return error
    extra = {"request_id": request_id(request)}
    if isinstance(error, ProductCodeError):
        LOGGER.error("%s", error, extra=extra)
    else:
        LOGGER.error("unexpected error", exc_info=error, extra=extra)
    return Problem(500)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return str(status)
