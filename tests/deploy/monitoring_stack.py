"""The monitoring as committed, really running: Prometheus, Alertmanager and node exporter.

Only hosts, ports and waiting times differ from deploy/monitoring: they are replaced in a copy.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from tests.api.servers import free_port
from tests.api.service import ROOT, until

MONITORING = ROOT / "deploy" / "monitoring"
PROGRAMS = {
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "node": "prometheus-node-exporter",
}
"""Debian's names of the programs."""
FAST = "1s"
WAITS = {"scrape_interval", "evaluation_interval", "group_wait", "group_interval", "for"}


def program(name: str) -> str:
    """Its path, this environment's first, or a skip where it isn't installed."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which(PROGRAMS.get(name, name), path=paths)
    if found is None:
        pytest.skip(f"{PROGRAMS.get(name, name)} is not installed")
    return found


def faster(value: Any) -> Any:
    """The configuration with every waiting time cut short."""
    if isinstance(value, list):
        return [faster(part) for part in value]
    if isinstance(value, dict):
        return {key: FAST if key in WAITS else faster(part) for key, part in value.items()}
    return value


class Webhook:
    """A server that takes down what is posted to it, and answers as Airflow does."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []
        taken = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                runs = {told["dag_run_id"] for where, told in taken if "dagRuns" in where}
                known = "dagRuns" in self.path and body["dag_run_id"] in runs
                taken.append((self.path, body))
                answer = json.dumps({"access_token": "of the test"}).encode()
                self.send_response(409 if known else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
                """Says nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def alerts(self, path: str) -> set[str]:
        """Names of the alerts that fired, of those sent to a path."""
        sent = [body for where, body in self.received if where == path]
        return {alert["labels"]["alertname"] for body in sent for alert in body["alerts"]}


@contextmanager
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    thread = Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


class Stack:
    """Where the parts listen."""

    def __init__(self) -> None:
        self.ports = {name: free_port() for name in PROGRAMS}

    def url(self, name: str) -> str:
        """The address of a part."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Samples of a PromQL expression now."""
        answer = httpx.post(f"{self.url('prometheus')}/api/v1/query", data={"query": expression})
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Alerts that Prometheus has sent on."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}


@contextmanager
def running(folder: Path, services: Mapping[str, str], hook: str) -> Iterator[Stack]:
    """All three, scraping the services: `api:8000` and the like by host and port.

    Alerts of each receiver go to the webhook under the receiver's name, but those of `retraining`
    to what `services` has for it.
    """
    stack = Stack()
    places = {"localhost:9090": stack.ports["prometheus"], "node:9100": stack.ports["node"]}
    places["alertmanager:9093"] = stack.ports["alertmanager"]
    hosts = {**{name: f"127.0.0.1:{port}" for name, port in places.items()}, **services}
    configuration = configured(folder, hosts, hook)
    with ExitStack() as processes:
        for name, options in _options(stack, configuration).items():
            processes.enter_context(_process([program(name), *options], folder / f"{name}.log"))
        until(lambda: _ready(stack))
        yield stack


def configured(folder: Path, hosts: Mapping[str, str], hook: str) -> Path:
    """The copy of the configuration."""
    copy = folder / "monitoring"
    shutil.copytree(MONITORING, copy)
    for path in (copy / "prometheus.yml", copy / "alertmanager.yml", *copy.glob("rules/*.yml")):
        text = path.read_text()
        for host, place in hosts.items():
            text = re.sub(rf"\b{re.escape(host)}\b", place, text)
        read = faster(yaml.safe_load(text))
        if path.name == "alertmanager.yml":
            _send_all(read, hook)
        path.write_text(yaml.safe_dump(read, sort_keys=False))
    return copy


def _send_all(read: dict[str, Any], hook: str) -> None:
    for receiver in read["receivers"]:
        if receiver["name"] != "retraining":
            receiver["webhook_configs"] = [{"url": f"{hook}/{receiver['name']}"}]


def _options(stack: Stack, configuration: Path) -> dict[str, list[str]]:
    listen = {name: f"--web.listen-address=127.0.0.1:{port}" for name, port in stack.ports.items()}
    return {
        "prometheus": [
            listen["prometheus"],
            f"--config.file={configuration / 'prometheus.yml'}",
            f"--storage.tsdb.path={configuration.parent / 'tsdb'}",
        ],
        "alertmanager": [
            listen["alertmanager"],
            "--cluster.listen-address=",
            f"--config.file={configuration / 'alertmanager.yml'}",
            f"--storage.path={configuration.parent / 'alertmanager'}",
        ],
        "node": [listen["node"]],
    }


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        time.sleep(0.1)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(60)


def _ready(stack: Stack) -> bool:
    try:
        ready = [httpx.get(f"{stack.url(name)}/-/ready") for name in ("prometheus", "alertmanager")]
        node = httpx.get(f"{stack.url('node')}/metrics")
    except httpx.HTTPError:
        return False
    return all(answer.status_code == 200 for answer in (*ready, node))
