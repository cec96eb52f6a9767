"""SQLite as a durable store: a private file, a write-ahead log, explicit transactions."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, event

from api.store_errors import StoreError

Synchronous = Literal["FULL", "NORMAL"]

PAUSE = 0.05
"""Seconds between attempts to get at a locked file."""


def prepare(path: Path, patience: float) -> None:
    """Makes the file, for its owner alone, and gives it a write-ahead log.

    Raises:
        StoreError: The folder can't be written, or the file is none of SQLite or locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        _write_ahead(path, time.monotonic() + patience)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{path}: can't be opened: {error}; check the file that API_DATABASE_URL names"
        ) from error


def _write_ahead(path: Path, deadline: float) -> None:
    # Readers then don't wait for a writer. SQLite's own timeout doesn't hold for this change.
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=PAUSE)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)


def listen(engine: Engine, synchronous: Synchronous) -> None:
    """Sets every connection up, and begins its transactions as the execution option says.

    `synchronous`: FULL syncs each transaction to the disk, and so it survives a power cut; NORMAL
    hands it to the operating system, and so it survives any end of the process.
    """

    def connected(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", _begin)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
