"""Starts Airflow's retraining when Alertmanager says so: `python retraining.py [--port 8020]`.

POST /alerts takes what Alertmanager's webhook sends; GET /status answers while it runs. Settings
are environment variables: AIRFLOW_URL, AIRFLOW_USERNAME, AIRFLOW_PASSWORD_FILE, and
RETRAINING_DAG, `retraining` by default. The id of a run is the fingerprint and beginning of the
alert that fires longest: sent again, or with others that joined it, it starts no second run. It
needs nothing but Python, so that any image has it.
"""

import argparse
import json
import logging
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOGGER = logging.getLogger("retraining")
LARGEST = 1_000_000
"""Bytes of a notification."""
SECONDS = 10.0


class RetrainingError(Exception):
    """A setting that is missing, a notification that isn't one, or an Airflow that refuses."""


@dataclass(frozen=True)
class Airflow:
    """Its API, the account that may start the DAG, and the DAG."""

    url: str
    username: str
    password: str
    dag: str

    @classmethod
    def configured(cls) -> "Airflow":
        """As the environment says.

        Raises:
            RetrainingError: A variable or the file of the password is missing.
        """
        missing = [name for name in _NEEDED if not os.environ.get(name)]
        if missing:
            raise RetrainingError(f"set {', '.join(missing)}")
        url, username, path = (os.environ[name] for name in _NEEDED)
        if not url.startswith(("http://", "https://")):
            raise RetrainingError(f"AIRFLOW_URL is {url!r}: write http://HOST:PORT")
        try:
            password = Path(path).read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise RetrainingError(
                f"AIRFLOW_PASSWORD_FILE: {path} can't be read: {error}"
            ) from error
        return cls(
            url.rstrip("/"), username, password, os.environ.get("RETRAINING_DAG", "retraining")
        )

    def start(self, run: str, configuration: dict[str, Any]) -> bool:
        """Starts a run of that id; False if there is one already.

        Raises:
            RetrainingError: Airflow can't be reached, or refuses.
        """
        credentials = {"username": self.username, "password": self.password}
        token = self._post("/auth/token", credentials, {})["access_token"]
        body = {"dag_run_id": run, "logical_date": None, "conf": configuration}
        path = f"/api/v2/dags/{self.dag}/dagRuns"
        return bool(self._post(path, body, {"Authorization": f"Bearer {token}"}))

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        """The answer; an empty one if what was to be made is there already."""
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked
            self.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.CONFLICT:
                return {}
            raise RetrainingError(f"Airflow answers {error.code} to {path}") from error
        except (OSError, ValueError) as error:
            raise RetrainingError(f"Airflow at {self.url}: {error}") from error
        return found


_NEEDED = ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD_FILE")


def firing(notification: Any) -> list[dict[str, Any]]:
    """The alerts that fire, of Alertmanager's notification.

    Raises:
        RetrainingError: It isn't one.
    """
    try:
        return [alert for alert in notification["alerts"] if alert["status"] == "firing"]
    except (KeyError, TypeError) as error:
        raise RetrainingError("not a notification of Alertmanager") from error


def run_id(alert: dict[str, Any]) -> str:
    """One for each time that an alert begins to fire."""
    return f"alert__{alert['fingerprint']}__{alert['startsAt'].partition('.')[0].rstrip('Z')}"


def handle(airflow: Airflow, notification: Any) -> str:
    """Starts what the notification asks for; says what was done."""
    alerts = firing(notification)
    if not alerts:
        return "no alert fires"
    reasons = [
        {"alert": alert["labels"].get("alertname"), "summary": alert["annotations"].get("summary")}
        for alert in alerts
    ]
    run = run_id(min(alerts, key=lambda alert: alert["startsAt"]))
    started = airflow.start(run, {"reasons": reasons})
    return f"{'started' if started else 'already started'} {run}"


class Handler(BaseHTTPRequestHandler):
    """Answers Alertmanager, which sends again what ends in 5xx."""

    airflow: Airflow
    timeout = SECONDS

    def do_GET(self) -> None:  # http.server calls it
        """That it runs."""
        self._answer(HTTPStatus.OK if self.path == "/status" else HTTPStatus.NOT_FOUND, "")

    def do_POST(self) -> None:
        """Starts a run."""
        if self.path != "/alerts":
            self._answer(HTTPStatus.NOT_FOUND, "")
            return
        try:
            size = int(self.headers.get("Content-Length", 0))
            if size > LARGEST:
                self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "")
                return
            notification = json.loads(self.rfile.read(size))
            firing(notification)
        except (ValueError, RetrainingError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._start(notification)

    def _start(self, notification: Any) -> None:
        try:
            told = handle(self.airflow, notification)
        except (RetrainingError, KeyError) as error:
            LOGGER.error("%s", error)
            self._answer(HTTPStatus.BAD_GATEWAY, str(error))
        else:
            LOGGER.info("%s", told)
            self._answer(HTTPStatus.OK, told)

    def _answer(self, status: HTTPStatus, told: str) -> None:
        body = told.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
        """What was done is logged, not each request."""


def main() -> int:
    """Serves until it is ended; 1 when a setting is missing."""
    parser = argparse.ArgumentParser(description="Starts Airflow's retraining.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8020)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        Handler.airflow = Airflow.configured()
    except RetrainingError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    ThreadingHTTPServer((given.host, given.port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
