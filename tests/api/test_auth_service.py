"""The authentication service by itself: a real server, whose tokens the other service takes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from api import auth_service
from api.accounts import Accounts
from api.auth_service import create_app
from api.database import Database
from tests.api import small_service
from tests.api.servers import free_port
from tests.api.service import PRODUCTION
from tests.api.small_service import PASSWORD, ROUNDS, SECRET, add, ask, bearing, settings, token


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`uvicorn api.auth_service:app`; the process, and its URL."""
    port = free_port()
    environment = os.environ | {
        "API_SECRET": SECRET,
        "API_DATABASE_URL": f"sqlite:///{folder}/service.db",
        "API_LOG_DIR": str(folder),
        **PRODUCTION,
        **variables,
    }
    command = [sys.executable, "-m", "uvicorn", "api.auth_service:app", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/status").raise_for_status()
        except httpx.HTTPError:
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def test_a_real_server_gives_tokens_that_the_service_takes(tmp_path: Path) -> None:
    """It ends by SIGTERM, and its log holds neither password nor token."""
    with serving(tmp_path) as (process, url):
        wait_for(process, url)
        database = Database(f"sqlite:///{tmp_path}/service.db")
        Accounts(database, ROUNDS).add("bob", PASSWORD, ["predict"])
        form = {"grant_type": "password", "username": "bob", "password": PASSWORD}
        given = httpx.post(f"{url}/token", data=form).json()["access_token"]
        assert httpx.get(f"{url}/me", headers=bearing(given)).json()["name"] == "bob"
        process.send_signal(signal.SIGTERM)
        shown = process.communicate(timeout=30)[0]
    with TestClient(small_service.create_app(settings(tmp_path))) as service:
        assert service.get("/who", headers=bearing(given)).json()["name"] == "bob"
    logged = shown + (tmp_path / "serving_logger.log").read_text()
    assert "/token" in logged
    assert PASSWORD not in logged
    assert given not in logged


def test_it_says_in_a_line_why_it_does_not_start(tmp_path: Path) -> None:
    """A database that can't be opened shows only when it starts."""
    with serving(tmp_path, API_DATABASE_URL="sqlite:////proc/x/service.db") as (process, _):
        shown = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "can't be opened" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("API_SECRET", "", "ERROR: API_SECRET"),
        ("API_SECRET", "short", "32 bytes"),
        ("API_DATABASE_URL", "mysql://localhost/x", "mysql"),
        ("API_TOKEN_LIMIT", "often", "token_limit"),
    ],
)
def test_wrong_settings_end_it_with_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv("API_SECRET", SECRET)
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ending:
        auth_service.app  # noqa: B018  # as uvicorn asks for it
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert ending.value.code == uvicorn.config.STARTUP_FAILURE


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(settings(tmp_path), ROUNDS)) as opened:
        add(opened, "bob", "feedback")
        yield opened


def test_it_is_up(client: TestClient) -> None:
    told = client.get("/status").json()
    assert told == {"status": "L'API d'authentification fonctionne correctement"}


def test_a_bearer_learns_who_they_are_whatever_the_token_allows(client: TestClient) -> None:
    told = client.get("/me", headers=bearing(token(client, "bob"))).json()
    assert told == {"name": "bob", "scopes": ["feedback"]}
    assert client.get("/me").status_code == 401


def test_errors_are_problems_with_the_requests_id(client: TestClient) -> None:
    answer = ask(client, "bob", "wrong")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_large_forms_are_refused(client: TestClient) -> None:
    assert ask(client, "bob", "x" * 200_000).status_code == 413


def test_it_is_measured(client: TestClient) -> None:
    ask(client, "bob")
    assert 'handler="/token"' in client.get("/metrics").text


def test_its_documentation_is_complete(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/status", "/token", "/me"}
    assert {"401", "429", "503"} <= set(document["paths"]["/token"]["post"]["responses"])


def test_without_a_secret_a_server_ends_with_one_line_however_many_workers(tmp_path: Path) -> None:
    """Workers that can't start are not started again and again."""
    for workers in ("1", "2"):
        with serving(tmp_path, API_SECRET="", UVICORN_WORKERS=workers) as (process, _):
            shown = process.communicate(timeout=60)[0]
        assert process.returncode == (3 if workers == "1" else 0)  # uvicorn's parent ends by 0
        assert "ERROR: API_SECRET: Field required\n" in shown
        assert "Traceback" not in shown


def test_its_log_names_the_client_of_a_trusted_proxy(tmp_path: Path) -> None:
    chosen = settings(tmp_path, log_dir=tmp_path, trusted_proxies="10.0.0.0/8")
    with TestClient(create_app(chosen, ROUNDS), client=("10.0.0.1", 1)) as opened:
        opened.get("/status", headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9"})
    lines = map(json.loads, (tmp_path / "serving_logger.log").read_text().splitlines())
    assert [line["client"] for line in lines if "client" in line] == ["203.0.113.9"]


@pytest.mark.parametrize(("synchronous", "pragma"), [("NORMAL", 1), ("FULL", 2)])
def test_its_database_syncs_as_the_setting_says(
    tmp_path: Path, synchronous: str, pragma: int
) -> None:
    app = create_app(settings(tmp_path, sqlite_synchronous=synchronous), ROUNDS)
    with TestClient(app), app.state.store.database.reading("pragma") as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == pragma


def test_it_loads_no_model_library() -> None:
    script = "import api.auth_service, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "api.auth" in loaded
    assert not loaded & {"onnxruntime", "tokenizers", "api.bundle"}


def test_importing_it_reads_no_settings() -> None:
    bare = {name: text for name, text in os.environ.items() if not name.startswith("API_")}
    subprocess.run([sys.executable, "-c", "import api.auth_service"], env=bare, check=True)
