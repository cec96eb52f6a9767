"""The webhook between Alertmanager and Airflow: what it starts, and what it refuses."""

import json
from collections.abc import Iterator
from contextlib import suppress
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from deploy.monitoring import retraining
from deploy.monitoring.retraining import Airflow, RetrainingError
from tests.deploy.monitoring_stack import Webhook, webhook

ALERT = {
    "status": "firing",
    "labels": {"alertname": "ModelStale"},
    "annotations": {"summary": "Served for 31 days"},
    "startsAt": "2026-01-02T03:04:05.678Z",
    "fingerprint": "c0ffee",
}


@pytest.fixture
def airflow() -> Iterator[tuple[Webhook, Airflow]]:
    with webhook() as hook:
        yield hook, Airflow(hook.url, "retraining", "of the test", "retraining")


def test_a_firing_alert_starts_a_run_that_knows_why(airflow: tuple[Webhook, Airflow]) -> None:
    hook, to = airflow
    told = retraining.handle(to, {"alerts": [ALERT, {**ALERT, "status": "resolved"}]})
    assert told == "started alert__c0ffee__2026-01-02T03:04:05"
    assert hook.received == [
        ("/auth/token", {"username": "retraining", "password": "of the test"}),
        (
            "/api/v2/dags/retraining/dagRuns",
            {
                "dag_run_id": "alert__c0ffee__2026-01-02T03:04:05",
                "logical_date": None,
                "conf": {"reasons": [{"alert": "ModelStale", "summary": "Served for 31 days"}]},
            },
        ),
    ]


def test_the_same_alert_sent_again_starts_nothing(airflow: tuple[Webhook, Airflow]) -> None:
    _, to = airflow
    retraining.handle(to, {"alerts": [ALERT]})
    assert retraining.handle(to, {"alerts": [ALERT]}).startswith("already started")


def test_an_alert_that_joins_another_starts_nothing(airflow: tuple[Webhook, Airflow]) -> None:
    _, to = airflow
    retraining.handle(to, {"alerts": [ALERT]})
    later = {**ALERT, "startsAt": "2026-01-02T09:00:00Z", "fingerprint": "beef"}
    told = retraining.handle(to, {"alerts": [later, ALERT]})
    assert told == "already started alert__c0ffee__2026-01-02T03:04:05"


def test_resolved_alerts_start_nothing(airflow: tuple[Webhook, Airflow]) -> None:
    hook, to = airflow
    assert retraining.handle(to, {"alerts": [{**ALERT, "status": "resolved"}]}) == "no alert fires"
    assert hook.received == []


@pytest.mark.parametrize("sent", [[], {}, {"alerts": [{}]}, "x", None])
def test_what_is_no_notification_is_refused(sent: Any) -> None:
    with pytest.raises(RetrainingError, match="not a notification"):
        retraining.firing(sent)


def test_an_airflow_that_is_away_is_an_error_so_that_alertmanager_tries_again() -> None:
    with webhook() as hook:
        url = hook.url
    with pytest.raises(RetrainingError, match="Airflow at"):
        Airflow(url, "retraining", "x", "retraining").start("run", {})


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_URL", "http://localhost:1")
    with pytest.raises(RetrainingError, match="AIRFLOW_USERNAME, AIRFLOW_PASSWORD_FILE"):
        Airflow.configured()
    monkeypatch.setenv("AIRFLOW_USERNAME", "x")
    monkeypatch.setenv("AIRFLOW_PASSWORD_FILE", "/nowhere")
    with pytest.raises(RetrainingError, match="/nowhere can't be read"):
        Airflow.configured()


@pytest.fixture
def receiver(airflow: tuple[Webhook, Airflow]) -> Iterator[str]:
    """Its server, in this process; gives the address."""
    handler = type("Handler", (retraining.Handler,), {"airflow": airflow[1]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/alerts", json.dumps({"alerts": [ALERT]}).encode(), 200),
        ("/alerts", b"{", 400),
        ("/alerts", b"[]", 400),
        ("/alerts", b" " * (retraining.LARGEST + 1), 413),
        ("/elsewhere", b"{}", 404),
    ],
)
def test_its_server_answers(receiver: str, path: str, body: bytes, status: int) -> None:
    assert httpx.get(f"{receiver}/status").status_code == 200
    with suppress(httpx.WriteError):
        assert httpx.post(receiver + path, content=body).status_code == status
