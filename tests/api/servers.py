"""Real PostgreSQL and Redis servers, thrown away after the tests; skips where they are absent."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import redis

SECONDS = 30


class Server:
    """A process of a server that can be stopped and started again, on the same port and data."""

    def __init__(self, command: list[str], ready: Callable[[], object], user: str | None) -> None:
        self._command = command
        self._ready = ready
        self._user = user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self.process = subprocess.Popen(
            self._command, user=self._user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                self._ready()
            except (psycopg.OperationalError, redis.ConnectionError):
                assert self.process.poll() is None, f"{self._command[0]} ended"
                assert time.monotonic() < deadline, f"{self._command[0]} isn't ready"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Ends it, without waiting for its clients."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(SECONDS)
            finally:
                self.process.kill()
                self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections stay open, and nothing is answered."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


Kind = TypeVar("Kind", bound=Server)


class PostgreSQL(Server):
    """Listens on `port`; everyone is trusted."""

    def __init__(self, data: Path, programs: Path, user: str | None) -> None:
        self.port = free_port()
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(data)]
        command += ["-h", "127.0.0.1", "-p", str(self.port)]
        # What the machine loses in a power cut is no matter here.
        command += ["-c", "fsync=off"]
        super().__init__(command, lambda: psycopg.connect(self.url()).close(), user)

    def url(self, database: str = "postgres") -> str:
        """Where a database of it is."""
        return f"postgresql://service@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """An empty database; returns its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


class Redis(Server):
    """Listens on `url`, and keeps nothing on the disk."""

    def __init__(self, folder: Path, program: str) -> None:
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(folder)]
        super().__init__(command, self._ping, None)

    def client(self) -> redis.Redis:
        """A client of it, to be used as a context manager."""
        return redis.Redis.from_url(self.url)

    def _ping(self) -> None:
        with self.client() as client:
            client.ping()


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A server with an empty cluster."""
    programs = _postgresql_programs()
    # It refuses to run as root, who may be someone else, in a folder which that one can reach.
    user = "postgres" if os.geteuid() == 0 else None
    data = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if user:
        shutil.chown(data, user)
    try:
        command = [str(programs / "initdb"), "-D", str(data), "--no-sync"]
        command += ["-U", "service", "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8"]
        subprocess.run(command, user=user, check=True, capture_output=True)
        with running(PostgreSQL(data, programs, user)) as server:
            yield server
    finally:
        shutil.rmtree(data)


@contextmanager
def redis_server() -> Iterator[Redis]:
    """A server without data."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with tempfile.TemporaryDirectory() as folder, running(Redis(Path(folder), program)) as server:
        yield server


@contextmanager
def running(server: Kind) -> Iterator[Kind]:
    """Started, and ended whatever happens."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgresql_programs() -> Path:
    found = shutil.which("initdb") or max(
        map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None
    )
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(found).resolve().parent
