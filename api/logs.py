"""The service's log: JSON lines, on the standard output and in logs/serving_logger.log.

The event loop only formats a line and queues it; a thread of its own writes.
"""

import fcntl
import json
import logging
import logging.handlers
import os
import queue
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from api.settings import SettingsError

FILE = "serving_logger.log"
MAX_BYTES = 10_000_000
BACKUPS = 5
QUEUED = 10_000
"""Lines that may wait for a slow disk; further ones are dropped, and counted."""


class JsonLines(logging.Formatter):
    """One JSON object a record, escaped: no input can forge a line or a terminal command."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if "request_id" in record.__dict__:
            told["request_id"] = record.__dict__["request_id"]
        told |= record.__dict__.get("fields", {})
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)

    def formatException(  # noqa: N802  # logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Where it happened and its type.

        Its message only if the system gave it: others may quote the request.
        """
        error, parts = ei[1], []
        while error is not None:
            told = str(error) if isinstance(error, OSError) else ""
            frames = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{frames}{type(error).__qualname__} {told}".rstrip())
            error = error.__cause__ or error.__context__
        return "\ncaused by\n".join(parts)


class _Queued(logging.handlers.QueueHandler):
    """Drops lines rather than wait when the queue is full."""

    dropped = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  # logging's name
        self.dropped += 1


class SharedFile(logging.handlers.RotatingFileHandler):
    """A rotating file that several worker processes append to: a lock, and a look at the name."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, backups: int = BACKUPS) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
        self._lock_file = path.with_suffix(".lock").open("w")

    def emit(self, record: logging.LogRecord) -> None:
        """Writes; another process may have rotated the file since."""
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            if self.stream and not self._is_current(self.stream):
                self.stream.close()
                self.stream = self._open()
            super().emit(record)
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the file and its lock."""
        super().close()
        self._lock_file.close()

    def _is_current(self, stream: TextIO) -> bool:
        try:
            named = Path(self.baseFilename).stat()
        except OSError:
            return False
        return os.path.samestat(named, os.fstat(stream.fileno()))


@contextmanager
def to_json_lines(log_dir: Path | None) -> Iterator[None]:
    """Sends the log of this process there, uvicorn's own included, until the block ends.

    Raises:
        SettingsError: The file can't be written.
    """
    handlers = _handlers(log_dir)
    queued = _Queued(queue.Queue(QUEUED))
    queued.setFormatter(JsonLines())
    listener = logging.handlers.QueueListener(queued.queue, *handlers)
    listener.start()
    try:
        with _attached(queued):
            yield
    finally:
        listener.stop()
        for handler in handlers:
            handler.close()
        if queued.dropped:
            sys.stderr.write(f"{queued.dropped} log lines were dropped\n")


def _handlers(log_dir: Path | None) -> list[logging.Handler]:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if log_dir:
        try:
            log_dir.mkdir(parents=True, exist_ok=True)
            handlers.append(SharedFile(log_dir / FILE))
        except OSError as error:
            raise SettingsError(
                f"API_LOG_DIR: {log_dir} can't be written: {error.strerror}; "
                "name another directory, or none"
            ) from error
    return handlers


@contextmanager
def _attached(handler: logging.Handler) -> Iterator[None]:
    """Root and uvicorn log to the handler; uvicorn's access log, with query strings, is off."""
    root, server = logging.getLogger(), logging.getLogger("uvicorn")
    own, access = logging.getLogger("api"), logging.getLogger("uvicorn.access")
    before = own.level, server.handlers, access.handlers
    own.setLevel(logging.INFO)  # libraries keep to warnings: what else they tell may be secret
    root.addHandler(handler)
    server.handlers, access.handlers = [handler] if not server.propagate else [], []
    try:
        yield
    finally:
        root.removeHandler(handler)
        own.level, server.handlers, access.handlers = before
