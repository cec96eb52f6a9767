"""Serves on this machine alone: `python -m api.serve [--port 8000]`, or `make serve`.

The secret is made at each start and kept in memory, unless API_SECRET is set: tokens of before
then stop working. If the database has no account yet, it gets one, whose password is shown once.
"""

import argparse
import secrets
import sys
from collections.abc import Sequence

import uvicorn

from api.accounts import SCOPES, Accounts
from api.database import Database
from api.errors import ProductCodeError
from api.http_protocol import BoundedHead
from api.main import create_app
from api.settings import Settings, SettingsError

HOST = "127.0.0.1"
FIRST_USER = "admin"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is interrupted; says what the user can do, and returns 1, when it can't."""
    parser = argparse.ArgumentParser(prog="python -m api.serve", description="Serves locally.")
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args(arguments).port
    try:
        settings = local_settings()
        password = add_first_user(settings.database_url)
        app = create_app(settings)
    except ProductCodeError as error:
        print(error, file=sys.stderr)
        return 1
    if password:
        print(
            f"First account: {FIRST_USER}, password {password}\n"
            "It is shown this once; `python -m api.users passwd` sets another.",
            file=sys.stderr,
        )
    uvicorn.run(
        app,
        host=HOST,
        port=port,
        http=BoundedHead,
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    return 0


def local_settings() -> Settings:
    """The environment's settings, with a secret of their own if it gives none."""
    try:
        return Settings.load()
    except SettingsError as error:
        if "API_SECRET: Field required" not in str(error):
            raise
    return Settings.load(secret=secrets.token_urlsafe(48))


def add_first_user(database_url: str) -> str | None:
    """The password of the account that was made, or None if there are accounts.

    Raises:
        StoreError: The database can't be used.
    """
    database = Database(database_url)
    database.open()
    try:
        accounts = Accounts(database)
        if accounts.all():
            return None
        password = secrets.token_urlsafe(16)
        accounts.add(FIRST_USER, password, SCOPES)
    finally:
        database.close()
    return password


if __name__ == "__main__":
    sys.exit(main())
