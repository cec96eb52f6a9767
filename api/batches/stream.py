"""Answers a batch line by line: a bounded number of products at a time, each kept before told."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import anyio.to_thread

from api.batches import formats
from api.batches.answers import Answer, Tally, answer
from api.batches.formats import Format
from api.batches.images import Images
from api.batches.products import Row
from api.bundle import Bundle
from api.inference import Inference, OverloadedError
from api.metrics import Metrics
from api.predict import record
from api.problems import RETRY_STORE, Problem, reason
from api.settings import Settings
from api.store import DuplicateError, Store, StoreError

LOGGER = logging.getLogger("api.batches")
CHUNK = 16
"""Products that are kept in one transaction, and told together."""
CHUNK_BYTES = 1 << 20
"""What is read ahead is this much, or a row."""
PAUSE = 0.05
"""Seconds before a place in a full queue is asked for again."""


@dataclass(frozen=True)
class Service:
    """What of the service a batch uses. `share`: how many products of all batches may be in it."""

    settings: Settings
    inference: Inference
    share: asyncio.Semaphore
    store: Store
    store_threads: anyio.CapacityLimiter
    metrics: Metrics

    @property
    def bundle(self) -> Bundle:
        """The one that is served."""
        return self.inference.bundle


@dataclass
class Batch:
    """One batch in the making; `identity` is its request id, `start` the number of its first row.

    `next_row` is the first row that isn't kept yet.
    """

    service: Service
    user: str
    identity: str
    rows: Iterator[Row]
    images: Images
    ignored: list[str]
    format: Format
    start: int
    tally: Tally = field(default_factory=Tally)
    outcome: str = "left"

    @property
    def next_row(self) -> int:
        """The first row that has no answer yet."""
        return self.start + self.tally.rows

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """The answer, some lines at a time.

        What fails before the first lines is raised; later it becomes the last line.
        """
        begun = False
        deadline = asyncio.get_running_loop().time() + self.service.settings.batch_seconds
        chunks = self._chunks()
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, None)
                    lines = await self._kept(chunk) if chunk else self._end()
                yield lines if begun else self.format.head() + lines
                begun = True
                if not chunk:
                    return
        except Exception as error:
            if not begun:
                raise
            yield self._failed(error)
        finally:
            await chunks.aclose()

    def log(self, seconds: float) -> None:
        """One line of how it went."""
        fields = {
            "request_id": self.identity,
            "user": self.user,
            "start_row": self.start,
            "rows": self.tally.rows,
            "errors": self.tally.errors,
            "outcome": self.outcome,
            "seconds": round(seconds, 1),
        }
        LOGGER.info("batch", extra={"fields": fields})

    async def _chunks(self) -> AsyncGenerator[list[Answer], None]:
        """Answers in the order of the rows; while some are kept and sent, others are computed."""
        tasks: deque[asyncio.Task[Answer]] = deque()
        more = True
        try:
            while more or tasks:
                while more and len(tasks) <= CHUNK:
                    rows = await anyio.to_thread.run_sync(self._read)
                    tasks.extend(asyncio.create_task(self._answer(row)) for row in rows)
                    more = bool(rows)
                if tasks:
                    yield [await tasks.popleft() for _ in range(min(CHUNK, len(tasks)))]
        finally:
            for task in tasks:
                task.cancel()
                # Nobody waits for it: what else it may end with is of no interest.
                task.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _read(self) -> list[Row]:
        """Some rows, in a thread."""
        rows: list[Row] = []
        for row in self.rows:
            rows.append(row)
            if len(rows) == CHUNK or sum(read.size for read in rows) >= CHUNK_BYTES:
                break
        return rows

    async def _answer(self, row: Row) -> Answer:
        """Single predictions come first: for them a full queue is an error, here it is a pause."""
        service = self.service
        top_k, identity = service.settings.top_k, f"{self.identity}.{row.number}"
        async with service.share:
            while True:
                try:
                    return await service.inference.run(
                        lambda: answer(service.bundle, row, self.images, top_k, identity)
                    )
                except OverloadedError:
                    await asyncio.sleep(PAUSE)

    async def _kept(self, chunk: list[Answer]) -> bytes:
        """The lines of a chunk, once it is on the disk."""
        limiter = self.service.store_threads
        await anyio.to_thread.run_sync(self._keep, chunk, limiter=limiter)
        for given in chunk:
            self.tally.add(given)
        return b"".join(self.format.line(formats.answered(given)) for given in chunk)

    def _keep(self, chunk: list[Answer]) -> None:
        """In a thread, which no client that leaves can stop halfway."""
        self.service.store.add_predictions(
            record(self.user, given.row.product, given.prediction, given.has_image)
            for given in chunk
            if given.row.product and given.prediction
        )
        for given in chunk:
            self._count(given)

    def _count(self, given: Answer) -> None:
        """Tells Prometheus."""
        metrics, product, prediction = self.service.metrics, given.row.product, given.prediction
        if product is None or prediction is None:
            metrics.rejected.labels(reason(given.problem or Problem(500))).inc()
            return
        has_text = bool((product.designation or "").strip() or (product.description or "").strip())
        metrics.modalities(has_text, given.has_image)
        metrics.predicted(prediction.predicted, prediction.confidence, prediction.model_version)

    def _end(self) -> bytes:
        self.outcome = "complete"
        version = self.service.bundle.version
        return self.format.line(
            formats.summary(self.tally, self.start, self.ignored, version, self.identity)
        )

    def _failed(self, error: Exception) -> bytes:
        self.outcome = "failed"
        problem = as_problem(error)
        extra = {"request_id": self.identity}
        if problem.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            LOGGER.error("unexpected error", exc_info=error, extra=extra)
        else:
            LOGGER.error("batch failed: %s", str(error) or type(error).__name__, extra=extra)
        return self.format.line(formats.failure(problem, self.next_row, self.identity))


def as_problem(error: Exception) -> Problem:
    """What is told of an error that isn't one row's."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DuplicateError):
        detail = "Cet identifiant X-Request-ID a déjà servi : envoyez-en un autre, ou aucun."
        return Problem(409, detail, "request_id")
    if isinstance(error, StoreError):
        return Problem(503, kind="store", headers={"Retry-After": RETRY_STORE})
    if isinstance(error, TimeoutError):
        detail = "Le temps accordé à un appel est écoulé : reprenez à start_row."
        return Problem(503, detail, "batch_seconds", headers={"Retry-After": "1"})
    return Problem(500)
