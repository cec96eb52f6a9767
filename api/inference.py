"""Inference off the event loop: a few threads, and a queue that refuses rather than grows."""

import asyncio
import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from api.bundle import Bundle, Product
from api.errors import ProductCodeError
from api.metrics import Metrics

Result = TypeVar("Result")


class OverloadedError(ProductCodeError):
    """As much as may wait is waiting."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} predictions wait already; try again soon")


class Inference:
    """Runs a bundle in `threads` threads; `queue_size` more calls may wait for one.

    Decoding, tokenising and the model run in the same thread: they hold no lock for long, and a
    product then changes threads once.
    """

    def __init__(self, bundle: Bundle, threads: int, queue_size: int, metrics: Metrics) -> None:
        self.bundle = bundle
        self._room = threads + queue_size
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(threads, "inference")
        self._lock = threading.Lock()
        self.present = 0
        """Calls that run or wait."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Runs what uses the bundle in one of the threads.

        Cancelling this drops the work if no thread has begun it.

        Raises:
            OverloadedError: Too many wait.
        """
        self._enter()
        try:
            future = self._executor.submit(self._measured, work, time.perf_counter())
        except RuntimeError:  # the executor is closed
            self._leave()
            raise
        # Not on the asyncio future, which a cancelled call gives up while its thread still works.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Ends the threads once they have done what they began."""
        self._executor.shutdown(cancel_futures=True)

    def warm(self) -> None:
        """A first product with a photo takes longer: run it before anyone waits."""
        photo = io.BytesIO()
        Image.new("RGB", (500, 500)).save(photo, "JPEG")
        self.bundle.probabilities([Product("chauffe", "<p>&eacute;</p>", photo.getvalue())])

    def _enter(self) -> None:
        with self._lock:
            if self.present >= self._room:
                raise OverloadedError(self.present)
            self.present += 1

    def _leave(self, _future: object = None) -> None:
        with self._lock:
            self.present -= 1

    def _measured(self, work: Callable[[], Result], queued: float) -> Result:
        start = time.perf_counter()
        self._metrics.queue_seconds.observe(start - queued)
        try:
            return work()
        finally:
            self._metrics.inference_seconds.observe(time.perf_counter() - start)
