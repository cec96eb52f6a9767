"""The service over a small real bundle, in this process or in one of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.accounts import SCOPES, Accounts
from api.database import Database
from api.main import create_app
from api.settings import Settings
from tests.stages import tiny_catalogue

ROOT = Path(__file__).parents[2]
SECRET = "a secret of the tests that is long enough"
USER = "alice"
ROUNDS = 4  # bcrypt's fewest: its cost is tested elsewhere
LIMITLESS = "1000000/minute"
COMMAND = ["-m", "uvicorn", "--factory", "api.main:create_app", "--port", "0"]
PRODUCTION = {
    "UVICORN_HTTP": "api.http_protocol:BoundedHead",
    "UVICORN_WS": "none",
    "UVICORN_PROXY_HEADERS": "false",
    "UVICORN_SERVER_HEADER": "false",
    "UVICORN_ACCESS_LOG": "false",
    "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "20",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONWARNINGS": "ignore",
}
"""The environment in production, whichever application it serves: docs/decisions/serving.md."""
RED = tiny_catalogue.photo(10, 0)


def variables(folder: Path, **given: Any) -> dict[str, Any]:
    """Settings of a service whose bundle, database and log are in a folder."""
    if not (folder / "bundle").exists():
        tiny_catalogue.write_bundle(folder / "bundle")
    return {
        "bundle_dir": folder / "bundle",
        "dvc_lock": folder / "dvc.lock",
        "metrics_file": folder / "metrics.json",
        "database_url": f"sqlite:///{folder}/service.db",
        "log_dir": folder / "logs",
        "secret": SECRET,
        "predict_limit": LIMITLESS,
        "token_limit": LIMITLESS,
        **given,
    }


def settings(folder: Path, **given: Any) -> Settings:
    return Settings(**variables(folder, **given))


@contextmanager
def client(folder: Path, **given: Any) -> Iterator[TestClient]:
    """A client that has a token for everything."""
    app = create_app(settings(folder, **given))
    with TestClient(app, raise_server_exceptions=False) as made:
        made.headers["Authorization"] = f"Bearer {token(app)}"
        yield made


def token(app: FastAPI, name: str = USER) -> str:
    add_user(app.state.store.database, name)
    issued: str = app.state.tokens.issue(name, frozenset(SCOPES), 1)
    return issued


def add_user(database: Database, name: str = USER) -> None:
    accounts = Accounts(database, ROUNDS)
    if accounts.get(name) is None:
        accounts.add(name, "a long enough password", SCOPES)


def parts(
    client: TestClient, fields: Mapping[str, Any], image: bytes | None = None
) -> httpx.Response:
    """POST /predict of a multipart form, as browsers and curl -F send it."""
    files = [(name, (None, value)) for name, value in fields.items()]
    files += [("image", ("photo.jpg", image))] if image is not None else []
    return client.post("/predict", files=files)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Returns once it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.01)


class Server:
    """The service in a process of its own, on a free port; the end of the block stops it."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        python: str | Path = sys.executable,
        **given: Any,
    ) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        named = {f"API_{name.upper()}": str(value) for name, value in given.items()}
        named |= environment or {}
        usual = {f"API_{name.upper()}": str(value) for name, value in variables(folder).items()}
        self.database_url = (usual | named)["API_DATABASE_URL"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, *COMMAND, *options],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **PRODUCTION, **usual, **named},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        """Once it answers, and knows the user."""
        database = Database(self.database_url)
        self.url = self._wait(r"running on (http://[\d.:]+)")
        self._wait("startup complete")
        add_user(database)
        database.close()
        return self

    def __exit__(self, *_: object) -> None:
        """Ended, unless it is already."""
        self.stop()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)

    def ended(self) -> tuple[int, str]:
        """Exit code and output of a server that doesn't start."""
        return self.process.wait(60), self.log.read_text()

    def metric(self, name: str) -> float:
        """The sum of the samples whose names and labels begin so."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def headers(self) -> dict[str, str]:
        """With a token for everything."""
        made = create_app(settings(self.folder))
        issued: str = made.state.tokens.issue(USER, frozenset(SCOPES), 1)
        return {"Authorization": f"Bearer {issued}"}

    def _wait(self, pattern: str) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.log.read_text()):
                return found[found.lastindex or 0]
            time.sleep(0.05)
        self.stop(signal.SIGKILL)
        raise AssertionError(f"the server does not start:\n{self.log.read_text()}")
