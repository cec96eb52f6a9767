"""The service's database: SQLite by default, PostgreSQL by URL; opened, migrated and guarded."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as SQLTimeoutError

from api import sqlite_file
from api.migrations import HEAD
from api.sqlite_file import Synchronous
from api.store_errors import StoreError

PATIENCE = 5.0
"""Seconds to wait for a lock, a connection or a statement."""


class Database:
    """One engine for the process; every method blocks, so call it in a thread."""

    def __init__(
        self, url: str, patience: float = PATIENCE, synchronous: Synchronous = "FULL"
    ) -> None:
        """Does not connect yet. `synchronous`: see `api.sqlite_file.listen`.

        Raises:
            StoreError: The URL is none of SQLite in a file or PostgreSQL.
        """
        self.url = _checked(url)
        self.dialect = self.url.get_backend_name()
        self._patience = patience
        self._engine = _engine(self.url, patience)
        # SQLite has one writer at a time: here they queue, in it they would poll.
        self._turn = threading.Lock()
        if self.dialect == "sqlite":
            sqlite_file.listen(self._engine, synchronous)
        # Takes SQLite's write lock at once: waiting for it later could only fail.
        self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")

    def open(self) -> None:
        """Connects, and migrates to this version's tables; workers may do so at the same time.

        Raises:
            StoreError: It can't be reached, or belongs to a newer version.
        """
        if self.dialect == "sqlite":
            sqlite_file.prepare(Path(str(self.url.database)), self._patience)
        with self.reading("open") as connection:
            current = _revision(connection)
        if current != HEAD:
            # Alembic takes 0.2 s and 10 MB, which a migrated database needs not.
            from api.migrations import upgrade  # noqa: PLC0415

            with self.writing("migration") as connection:
                upgrade.to_head(connection)

    def close(self) -> None:
        """Gives the connections back; the database opens again when it is next used."""
        self._engine.dispose()

    def check(self) -> None:
        """Asks the database for an answer.

        Raises:
            StoreError: It gives none.
        """
        with self.reading("check") as connection:
            connection.execute(text("SELECT 1"))

    @contextmanager
    def reading(self, action: str) -> Iterator[Connection]:
        """A connection to read on; `action` names what failed in the error."""
        with self._guarded(action), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, action: str) -> Iterator[Connection]:
        """A transaction; when the block ends without an error, it is on the disk."""
        with self._guarded(action), self._queued(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def _queued(self) -> Iterator[None]:
        if self.dialect != "sqlite":
            yield
            return
        if not self._turn.acquire(timeout=self._patience):
            raise SQLTimeoutError("database is locked by another thread")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _guarded(self, action: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # Only the driver's words: the statement's parameters are what users sent.
            origin = error.orig if isinstance(error, DBAPIError) else error
            reason = " ".join(str(origin).split())
            raise StoreError(
                f"{self.url.render_as_string(hide_password=True)}: {action} failed: {reason}; "
                "check that the database is up, has room and is not locked"
            ) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Its message holds the whole text, password included.
        raise StoreError(
            "database_url is no URL: write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME"  # pragma: allowlist secret
        ) from None
    if parsed.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise StoreError(
            f"database_url of kind {parsed.drivername!r}: write sqlite:///FILE or postgresql://..."
        )
    if parsed.database in {None, "", ":memory:"}:
        raise StoreError("database_url names no file, so nothing is kept: write sqlite:///FILE")
    return parsed


def _engine(url: URL, patience: float) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    return create_engine(
        url,
        connect_args={"timeout": patience} if sqlite else _postgresql(patience),
        hide_parameters=True,
        pool_size=8,
        pool_timeout=patience,
        # A server that restarted is noticed before a statement is lost to it.
        pool_pre_ping=not sqlite,
    )


def _postgresql(patience: float) -> dict[str, Any]:
    milliseconds = int(patience * 1000)
    return {
        "connect_timeout": max(2, int(patience)),
        "tcp_user_timeout": milliseconds,
        "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} "
        "-c synchronous_commit=on",
    }
