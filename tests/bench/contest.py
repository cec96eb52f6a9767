"""Those that are measured side by side: raw ONNX Runtime, the service, the predecessor's."""

import multiprocessing
import os
import statistics
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
from jose import jwt

from tests.api.servers import free_port
from tests.api.service import ROOT, until
from tests.api.serving_environment import Environment
from tests.bench import raw
from tests.bench.load import Answers, Asking, as_form, as_json, ask
from tests.bench.starts import served

PRODUCTS = 80
CLIENTS = 8
SECONDS = 8.0
"""Of each round's throughput."""
ANSWERS = 2000
"""Predictions before memory is read again."""
MB = 1e6
SECRET = "as good as none"


class Contest(ExitStack):
    """All of them are up until the end of the block; one that isn't asked takes no time."""

    def __init__(self, bundle: Path, environment: Environment, folder: Path) -> None:
        super().__init__()
        self._bundle = bundle
        self._environment = environment
        self._folder = folder
        self._products = raw.generate(PRODUCTS)

    def __enter__(self) -> Self:
        """Warmed up; what was started is ended if the rest can't be."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        self._folder.mkdir()
        self._server = self.enter_context(served(self._bundle, self._environment, self._folder))
        self._rss_ready = self._rss()
        spawn = multiprocessing.get_context("spawn")
        opened = ProcessPoolExecutor(1, spawn, raw.open_bundle, (self._bundle,))
        self._raw = self.enter_context(opened)
        self._clients = self.enter_context(ProcessPoolExecutor(1, spawn))
        self._watcher = self.enter_context(ProcessPoolExecutor(1, spawn))
        url, headers = f"{self._server.url}/predict", self._server.headers()
        self._form = Asking(url, headers, [as_form(product) for product in self._products])
        self._json = Asking(url, headers, [as_json(product) for product in self._products])
        self._former = self._predecessor()
        for asking in (self._form, self._json, self._former):
            self._ask(asking, 1, 60, 5)
        self._raw.submit(raw.answer, self._products[:20]).result()

    def latency(self) -> dict[str, float]:
        """Median milliseconds at one client, and how many times raw inference that is."""
        times = {
            "raw": self._raw.submit(raw.answer, self._products).result(),
            "form": self._ask(self._form, 1, 60, PRODUCTS).times,
            "json": self._ask(self._json, 1, 60, PRODUCTS).times,
        }
        medians = {name: statistics.median(values) * 1000 for name, values in times.items()}
        over = {f"{name}_over_raw": medians[name] / medians["raw"] for name in ("form", "json")}
        return {f"{name}_p50_ms": value for name, value in medians.items()} | over

    def throughput(self) -> dict[str, float]:
        """Answers a second at eight clients."""
        own = self._ask(self._form, CLIENTS, SECONDS).per_second
        former = self._ask(self._former, CLIENTS, SECONDS).per_second
        return {
            "service_per_s": own,
            "predecessor_per_s": former,
            "over_predecessor": own / former,
        }

    def memory(self) -> dict[str, float]:
        """Resident megabytes when ready, and after many predictions."""
        self._ask(self._form, CLIENTS, 600, ANSWERS // CLIENTS)
        return {"rss_ready_mb": self._rss_ready, "rss_after_2000_mb": self._rss()}

    def status(self) -> dict[str, float]:
        """Milliseconds of GET /status while eight clients keep both cores busy."""
        load = self._clients.submit(ask, self._form, CLIENTS, SECONDS + 3)
        asking = Asking(f"{self._server.url}/status", pause=0.01)
        times = self._watcher.submit(ask, asking, 1, SECONDS).result().times
        load.result()
        shares = statistics.quantiles(times, n=100)
        return {f"status_p{share}_ms": shares[share - 1] * 1000 for share in (50, 95, 99)}

    def _ask(
        self, asking: Asking, clients: int, seconds: float, each: int | None = None
    ) -> Answers:
        answers = self._clients.submit(ask, asking, clients, seconds, each).result()
        if answers.others:
            sys.exit(f"{answers.others} answers of {asking.url} were not 200")
        return answers

    def _rss(self) -> float:
        status = Path(f"/proc/{self._server.process.pid}/status").read_text()
        rows = dict(row.split(":", 1) for row in status.splitlines())
        return int(rows["VmRSS"].split()[0]) * 1024 / MB

    def _predecessor(self) -> Asking:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--factory", "--port", str(port)]
        command += ["--log-level", "error", "tests.bench.predecessor:create_app"]
        environment = os.environ | {"SECRET_KEY": SECRET, "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        self.callback(process.wait)
        self.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is None and _answers(f"{url}/status"))
        token = jwt.encode({"sub": "admin"}, SECRET)
        bodies = [as_form(product) for product in self._products]
        return Asking(f"{url}/predict?token={token}", bodies=bodies)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
