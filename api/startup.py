"""Opens and closes what the service holds; refuses to start, in one line, without it."""

import asyncio
import ctypes
import gc
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
import anyio.to_thread
from fastapi import FastAPI
from prometheus_client import multiprocess

from api import bundle, logs, service
from api.errors import ProductCodeError
from api.inference import Inference
from api.metrics import CHAMPION
from api.refusal import Brief
from api.retention import forget
from api.settings import Settings
from api.store import Store

__all__ = ["Brief", "lifespan"]

LOGGER = logging.getLogger("api.startup")
STORE_THREADS = 8


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
    _settle(stack)
    synthetic = str(state.bundle.synthetic).lower()
    state.metrics.model_info.labels(state.bundle.version, synthetic, CHAMPION).set(1)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        stack.callback(multiprocess.mark_process_dead, os.getpid())


def _settle(stack: AsyncExitStack) -> None:
    """What opening took and freed, some 30 MB, goes back to the system.

    What is left stays as long as the service does: collections, which hold every thread up, need
    not look at it.
    """
    gc.collect()
    gc.freeze()
    stack.callback(gc.unfreeze)
    with suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
