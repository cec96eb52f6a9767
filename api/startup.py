"""Opens and closes what the service holds; refuses to start, in one line, without it."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
import anyio.to_thread
from fastapi import FastAPI
from prometheus_client import multiprocess
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import bundle, logs, service
from api.errors import ProductCodeError
from api.inference import Inference
from api.metrics import CHAMPION
from api.retention import forget
from api.settings import Settings
from api.store import Store

LOGGER = logging.getLogger("api.startup")
STORE_THREADS = 8


class Brief:
    """Says why the service can't start in a line, instead of a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Shortens what a failed start sends to the server."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def shortened(message: Message) -> None:
            reason = getattr(scope["app"].state, "refusal", None)
            if message["type"] == "lifespan.startup.failed" and reason:
                message = {**message, "message": reason}
            await send(message)

        await self.app(scope, receive, shortened)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Serves between opening and closing.

    Raises:
        ProductCodeError: The bundle, the database or the log can't be used; app.state.refusal is
            why.
    """
    async with AsyncExitStack() as stack:
        try:
            await _open(app, app.state.settings, stack)
        except ProductCodeError as error:
            app.state.refusal = str(error)
            raise
        app.state.ready = True
        LOGGER.info("ready, model %s", app.state.bundle.version)
        yield
        app.state.ready = False


async def _open(app: FastAPI, settings: Settings, stack: AsyncExitStack) -> None:
    state = app.state
    stack.enter_context(logs.to_json_lines(settings.log_dir))
    state.store_threads = anyio.CapacityLimiter(STORE_THREADS)
    state.bundle = await anyio.to_thread.run_sync(bundle.load, settings.bundle_dir)
    state.model = service.describe(state.bundle, settings)
    store: Store = state.store
    await anyio.to_thread.run_sync(store.open)
    stack.callback(store.close)
    await stack.enter_async_context(_in_background(forget(store, settings.retention_days)))
    state.inference = Inference(state.bundle, settings.threads, settings.queue_size, state.metrics)
    stack.callback(state.inference.close)
    await anyio.to_thread.run_sync(state.inference.warm)
    synthetic = str(state.bundle.synthetic).lower()
    state.metrics.model_info.labels(state.bundle.version, synthetic, CHAMPION).set(1)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        stack.callback(multiprocess.mark_process_dead, os.getpid())


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
