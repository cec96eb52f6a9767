"""Starts of the service, in the environment that is served, and how long they take to /ready."""

import http.client
import tempfile
import time
from pathlib import Path

from tests.api.servers import free_port
from tests.api.service import Server
from tests.api.serving_environment import Environment

TIMES = 5
PAUSE = 0.005
"""Seconds between two questions."""


def served(bundle: Path, environment: Environment, folder: Path, *options: str) -> Server:
    """The service on a bundle; database and log are in the folder."""
    return Server(
        folder,
        *options,
        environment=environment.variables,
        python=environment.python,
        bundle_dir=bundle,
    )


def starts(bundle: Path, environment: Environment) -> list[float]:
    """Seconds from the process's launch to the first 200 of /ready, each with a new database."""
    return [_start(bundle, environment) for _ in range(TIMES)]


def _start(bundle: Path, environment: Environment) -> float:
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        begun = time.perf_counter()
        server = served(bundle, environment, Path(name), "--port", str(port))
        while not _ready(port):
            time.sleep(PAUSE)
        seconds = time.perf_counter() - begun
        server.stop()
    return seconds


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
