"""SIGTERM under load: what the service took on is answered and kept, and nothing else is kept."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.callers import Callers
from tests.api.service import Server, until
from tests.api.slow import SLOW


def kept(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "service.db")) as connection:
        return {name for (name,) in connection.execute("SELECT request_id FROM predictions")}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_answer_is_lost_when_a_loaded_service_is_told_to_end(
    tmp_path: Path, workers: str
) -> None:
    with (
        Server(tmp_path, "--workers", workers) as server,
        Callers(server, 8) as callers,
    ):
        until(lambda: len(callers.acknowledged) > 50)
        code = server.stop()
        callers.wait()
    assert set(callers.statuses) == {200}
    assert callers.broken == 8
    assert callers.acknowledged == kept(tmp_path)
    assert code in {0, -signal.SIGTERM}
    assert "Traceback" not in server.log.read_text()


def test_what_takes_longer_than_the_grace_is_told_to_come_back(tmp_path: Path) -> None:
    """A service does not hang for ever; nobody is told what isn't kept."""
    short = {"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "1"}
    with (
        Server(tmp_path, environment=short, threads=1) as server,
        Callers(server, 30, [SLOW]) as callers,
    ):
        until(lambda: len(callers.acknowledged) > 1)
        server.stop()
        callers.wait()
    assert set(callers.statuses) == {200, 503}
    assert callers.acknowledged <= kept(tmp_path)
    assert "Traceback" not in server.log.read_text()
