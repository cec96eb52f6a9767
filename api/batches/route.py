"""POST /predict/batch: many products in, their product type codes out as they are found."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated, BinaryIO

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api import openapi
from api.auth import User, limited_user
from api.batches import documentation
from api.batches.csv_lines import CSV, CsvLines
from api.batches.formats import Format, JsonLines
from api.batches.products import products
from api.batches.source import Rows, check_count, open_rows
from api.batches.stream import LOGGER, Batch, Service, as_problem
from api.batches.upload import receive
from api.predict import unless_gone
from api.problems import Problem, request_id
from api.schemas import LARGEST
from api.settings import Settings
from api.store import DuplicateError

STALLED = 300.0
"""Seconds that a client may take to read what the network has room for."""
RETRY = "30"
router = APIRouter(tags=["prédiction"])
Start = Annotated[
    int,
    Query(
        ge=1,
        le=LARGEST,
        description="Reprend un appel interrompu : les produits d'avant ce rang sont sautés",
    ),
]


@dataclass
class Places:
    """How many batches may be in work, and how many products of all of them in inference."""

    free: int
    share: asyncio.Semaphore


def install(app: FastAPI, settings: Settings) -> None:
    """Adds POST /predict/batch, and puts its places on app.state."""
    app.state.batches = Places(settings.max_batches, asyncio.Semaphore(share(settings)))
    app.include_router(router)


def share(settings: Settings) -> int:
    """Places in inference for all batches together: enough for every thread, half at most."""
    return max(1, min(settings.threads + 1, (settings.threads + settings.queue_size) // 2))


@router.post(
    "/predict/batch",
    summary="Classer un fichier de produits",
    description=documentation.DESCRIPTION,
    response_class=Response,
    responses=documentation.RESPONSES
    | openapi.problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=documentation.BODY,
)
async def predict_batch(
    request: Request,
    user: Annotated[User, Depends(limited_user("predict", "batch"))],
    start_row: Start = 1,
) -> Response:
    """Answers once the first lines are known, so that what fails before is a problem."""
    stack = ExitStack()
    with _closed_on_error(stack):
        _take_place(request.app.state.batches, stack)
        batch = await _open(request, user, start_row, stack)
    return await unless_gone(request, lambda: _begun(batch, stack))


async def _begun(batch: Batch, stack: ExitStack) -> Response:
    lines = batch.lines()
    with _closed_on_error(stack):
        try:
            first = await anext(lines)
        except (DuplicateError, TimeoutError) as error:
            raise as_problem(error) from error
    return _Streamed(batch, first, lines, stack)


@contextmanager
def _closed_on_error(stack: ExitStack) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stack.close()
        raise


def _take_place(places: Places, stack: ExitStack) -> None:
    if places.free < 1:
        raise Problem(
            503,
            f"Trop de fichiers sont en cours : réessayez dans {RETRY} s.",
            "busy",
            {"Retry-After": RETRY},
        )

    def give_back() -> None:
        places.free += 1

    places.free -= 1
    stack.callback(give_back)


async def _open(request: Request, user: User, start: int, stack: ExitStack) -> Batch:
    """Takes the body in and looks at it, as far as that can be done before anything is answered."""
    state = request.app.state
    settings: Settings = state.settings
    upload = await receive(request, stack)
    rows = await anyio.to_thread.run_sync(_checked, upload.products, settings)
    service = Service(
        settings,
        state.inference,
        state.batches.share,
        state.store,
        state.store_threads,
        state.metrics,
    )
    return Batch(
        service,
        user.name,
        request_id(request),
        products(rows, start, upload.images, settings),
        upload.images,
        list(rows.ignored),
        _format(request, rows),
        start,
    )


def _checked(file: BinaryIO, settings: Settings) -> Rows:
    rows = open_rows(file, settings)
    check_count(rows, settings.max_batch_rows)
    return rows


def _format(request: Request, rows: Rows) -> Format:
    """CSV, with the separator that was sent, for whoever asks for it; else JSON Lines."""
    accepted = request.headers.get("accept", "").lower()
    return CsvLines(rows.separator) if CSV in accepted else JsonLines()


class _Streamed(StreamingResponse):
    """Ends the batch and gives everything back, however it ends."""

    def __init__(
        self, batch: Batch, first: bytes, lines: AsyncGenerator[bytes, None], stack: ExitStack
    ) -> None:
        self._parts = _after(first, lines), lines
        super().__init__(self._parts[0], media_type=batch.format.media_type)
        self._batch, self._stack = batch, stack
        self._start = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patient(message: Message) -> None:
            async with asyncio.timeout(STALLED):
                await send(message)

        try:
            await super().__call__(scope, receive, patient)
        except TimeoutError:
            LOGGER.warning("the client reads nothing", extra={"request_id": self._batch.identity})
        finally:
            # Not cancelled with the rest when the client leaves.
            with anyio.CancelScope(shield=True):
                for part in self._parts:
                    await part.aclose()
            self._stack.close()
            self._batch.log(time.monotonic() - self._start)


async def _after(first: bytes, lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for some in lines:
        yield some
