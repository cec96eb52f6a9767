"""Brings a database to the newest revision, once, however many workers start together."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from api.store_errors import StoreError

LOCK = 4_210_820_260
"""PostgreSQL's advisory lock of migrations: any number that nobody else takes."""

_ALONE = threading.Lock()
"""Alembic's context is one for the process, whatever its databases."""


def to_head(connection: Connection) -> None:
    """Migrates in the connection's transaction: all or nothing.

    SQLite's transaction must have begun by BEGIN IMMEDIATE, so that it holds the write lock.

    Raises:
        StoreError: The database is at a revision that this version doesn't know.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    try:
        with _ALONE:
            command.upgrade(configuration(connection), "head")
    except CommandError as error:
        raise StoreError(
            f"the database is of a newer version ({error}): run that version"
        ) from error


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
