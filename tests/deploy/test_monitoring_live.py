"""The committed monitoring on a real service: every query has data, faults are reported."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.api import service
from tests.api.servers import free_port
from tests.api.service import PRODUCTION, RED, ROOT, SECRET, Server, until
from tests.deploy import queries
from tests.deploy.monitoring_stack import MONITORING, Stack, Webhook, running, webhook
from tests.stages import tiny_catalogue

pytestmark = pytest.mark.slow
PASSWORD = "a long enough password"


class Watched:
    """Service, authentication service and monitoring."""

    def __init__(self, server: Server, auth: str, stack: Stack, hook: Webhook) -> None:
        self.server = server
        self.auth = auth
        self.stack = stack
        self.hook = hook

    def traffic(self) -> None:
        """What a day brings: products with and without photos, strangers, nonsense."""
        with httpx.Client(base_url=self.server.url, headers=self.server.headers()) as client:
            for word in ("livre", "manette", "jouet", "piscine"):
                photo = {"image": ("photo.jpg", RED), "designation": (None, word)}
                assert client.post("/predict", files=photo).status_code == 200
                assert client.post("/predict", json={"designation": word}).status_code == 200
            assert client.post("/predict", files={"image": ("photo.jpg", RED)}).status_code == 200
            assert client.post("/predict", json={"designation": 1}).status_code == 422
            assert client.get("/model").status_code == 200
        assert httpx.post(f"{self.server.url}/predict", json={}).status_code == 401
        for url in (self.server.url, self.auth):
            for password, status in ((PASSWORD, 200), ("wrong", 401)):
                form = {"username": service.USER, "password": password}
                assert httpx.post(f"{url}/token", data=form).status_code == status


@contextmanager
def auth_service(folder: Path) -> Iterator[str]:
    """The authentication service on the same database; gives its address."""
    port = free_port()
    usual = service.variables(folder, log_dir="none")
    environment = {f"API_{name.upper()}": str(value) for name, value in usual.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "api.auth_service:app", "--port", str(port)],
        env={**os.environ, **PRODUCTION, **environment, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/status").status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def retraining(airflow: str, folder: Path) -> Iterator[str]:
    """The receiver that starts retraining; gives its host and port."""
    (folder / "password").write_text("of the test\n")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, MONITORING / "retraining.py", "--port", str(port)],
        env={
            "AIRFLOW_URL": airflow,
            "AIRFLOW_USERNAME": "retraining",
            "AIRFLOW_PASSWORD_FILE": str(folder / "password"),
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}"))
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    tiny_catalogue.write_bundle(folder / "bundle", synthetic=True)
    with ExitStack() as stack:
        hook = stack.enter_context(webhook())
        receiver = stack.enter_context(retraining(hook.url, folder))
        server = stack.enter_context(Server(folder))
        auth = stack.enter_context(auth_service(folder))
        services = {
            "api:8000": server.url.removeprefix("http://"),
            "auth:8011": auth.removeprefix("http://"),
            "retraining:8020": receiver,
        }
        monitoring = stack.enter_context(running(folder, services, hook.url))
        yield Watched(server, auth, monitoring, hook)


def empty(stack: Stack) -> set[str]:
    """Queries that yield nothing, or nothing that is a number."""
    return {
        query
        for query in queries.all_queries("1m")
        if not any(not math.isnan(float(one["value"][1])) for one in stack.query(query))
    }


def test_every_query_yields_something_after_real_traffic(watched: Watched) -> None:
    deadline = time.monotonic() + 90
    missing = {"nothing was asked"}
    while missing and time.monotonic() < deadline:
        watched.traffic()
        time.sleep(1)
        missing = empty(watched.stack)
    assert missing == set()


def test_the_watchdog_arrives_and_a_synthetic_model_is_reported(watched: Watched) -> None:
    until(lambda: watched.hook.alerts("/watchdog") == {"Watchdog"})
    until(lambda: "SyntheticModelServed" in watched.hook.alerts("/tickets"))


def test_an_alert_that_asks_for_it_starts_one_retraining(watched: Watched) -> None:
    """Sent twice, by Alertmanager's own interface, it starts one run of Airflow's DAG."""
    labels = {"alertname": "PredictionDrift", "severity": "ticket", "action": "retrain"}
    alert = {"labels": labels, "annotations": {"summary": "Codes differ"}}
    url = f"{watched.stack.url('alertmanager')}/api/v2/alerts"
    assert httpx.post(url, json=[alert]).status_code == 200
    path = "/api/v2/dags/retraining/dagRuns"
    until(lambda: any(where == path for where, _ in watched.hook.received))
    [body] = [body for where, body in watched.hook.received if where == path]
    assert body["dag_run_id"].startswith("alert__")
    assert body["conf"] == {"reasons": [{"alert": "PredictionDrift", "summary": "Codes differ"}]}
    until(lambda: "PredictionDrift" in watched.hook.alerts("/tickets"))


def test_faults_fire_their_alert(watched: Watched) -> None:
    """The table of users is gone, so that every request for a token ends in a fault."""
    form = {"username": service.USER, "password": PASSWORD}

    def reported() -> bool:
        httpx.post(f"{watched.server.url}/token", data=form)
        return "ErrorRatioHigh" in watched.hook.alerts("/pager")

    with closing(sqlite3.connect(watched.server.folder / "service.db")) as database:
        database.execute("ALTER TABLE users RENAME TO hidden")
        try:
            until(reported)
        finally:
            database.execute("ALTER TABLE hidden RENAME TO users")


def test_a_service_that_dies_pages(watched: Watched) -> None:
    """Last in this file: the service is gone then."""
    watched.server.stop(signal.SIGKILL)
    until(lambda: "ServiceDown" in watched.hook.alerts("/pager"))
    [body] = [
        body
        for where, body in watched.hook.received
        if where == "/pager" and body["commonLabels"]["alertname"] == "ServiceDown"
    ][:1]
    assert body["commonLabels"]["job"] == "fastapi"
    assert SECRET not in str(watched.hook.received)
