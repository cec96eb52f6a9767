"""What the service tells of itself, and when it refuses to start."""

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from api import bundle
from api.bundle import BundleError
from api.errors import ProductCodeError
from api.main import create_app
from tests.api import service
from tests.api.service import ROOT, Server, until
from tests.api.slow import SLOWER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served")
    version = bundle.version(service.variables(made)["bundle_dir"])
    (made / "dvc.lock").write_text(f"outs:\n- md5: {version}\n")
    (made / "metrics.json").write_text(json.dumps({"fused": {"macro_f1": 0.5}}))
    return made


@pytest.fixture(scope="module")
def client(folder: Path):
    with service.client(folder, build_revision="abc123") as made:
        yield made


def test_root_welcomes(client: TestClient) -> None:
    assert "Bienvenue" in client.get("/").json()["message"]


def test_status_is_the_briefs(client: TestClient) -> None:
    assert client.get("/status").json() == {"status": "L'API fonctionne correctement"}


def test_it_is_ready_once_the_bundle_is_open(folder: Path) -> None:
    app = create_app(service.settings(folder))
    early = TestClient(app)
    assert (early.get("/ready").status_code, early.get("/model").status_code) == (503, 503)
    assert early.get("/status").status_code == 200
    with TestClient(app) as later:
        assert later.get("/ready").json() == {
            "ready": True,
            "model_version": bundle.version(folder / "bundle"),
        }
    assert early.get("/ready").status_code == 503


def test_without_its_database_it_is_not_ready(tmp_path: Path) -> None:
    with service.client(tmp_path) as made:
        for file in tmp_path.glob("service.db*"):
            file.unlink()
        (tmp_path / "service.db").mkdir()
        made.app.state.store.close()
        answer = made.get("/ready")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert str(tmp_path) not in answer.text


def test_model_tells_how_it_was_made(client: TestClient, folder: Path) -> None:
    told = client.get("/model").json()
    lock = (folder / "dvc.lock").read_bytes()
    assert told["model_version"] == bundle.version(folder / "bundle")
    assert (told["dvc_lock_md5"], told["in_dvc_lock"]) == (hashlib.md5(lock).hexdigest(), True)
    assert told["build_revision"] == "abc123"
    assert told["metrics"] == {"fused": {"macro_f1": 0.5}}
    assert [label["code"] for label in told["labels"]] == [10, 40, 1280, 2583]
    assert (told["parameters"], told["synthetic"], told["source"]) == ({}, False, "folder")


def test_model_says_what_it_does_not_know(tmp_path: Path) -> None:
    with service.client(tmp_path) as made:
        told = made.get("/model").json()
    unknown = ("dvc_lock_md5", "in_dvc_lock", "build_revision", "metrics")
    assert [told[name] for name in unknown] == [None] * 4


def test_another_dvc_lock_is_told(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("outs: []\n")
    with service.client(tmp_path) as made:
        assert made.get("/model").json()["in_dvc_lock"] is False


def test_an_address_with_a_slash_too_many_is_not_redirected(client: TestClient) -> None:
    assert client.get("/status/", follow_redirects=False).status_code == 404


def test_two_applications_fit_in_one_process(folder: Path, client: TestClient) -> None:
    with TestClient(create_app(service.settings(folder))) as second:
        assert second.get("/metrics").status_code == client.get("/metrics").status_code == 200


def test_browsers_of_other_sites_are_refused_unless_named(folder: Path, client: TestClient) -> None:
    origin = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in client.get("/status", headers=origin).headers
    with service.client(folder, cors_origins="https://example.org") as open_to:
        allowed = open_to.get("/status", headers=origin).headers["access-control-allow-origin"]
    assert allowed == "https://example.org"


def test_without_a_bundle_it_does_not_start(tmp_path: Path) -> None:
    app = create_app(service.settings(tmp_path, bundle_dir=tmp_path / "none"))
    with pytest.raises(BundleError, match="dvc pull"), TestClient(app):
        pass


def refusal(folder: Path, **given: object) -> str:
    """What a server is told, and logs, when the service doesn't start."""
    app = create_app(service.settings(folder, **given))
    sent = []

    async def start() -> None:
        messages = iter([{"type": "lifespan.startup"}])

        async def receive() -> dict:
            return next(messages)

        async def send(message: dict) -> None:
            sent.append(message)

        with pytest.raises(ProductCodeError):
            await app({"type": "lifespan", "app": app}, receive, send)

    asyncio.run(start())
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    told = sent[0]["message"]
    assert "\n" not in told
    return told


def test_a_server_without_a_bundle_ends_with_one_clear_line(tmp_path: Path) -> None:
    code, told = Server(tmp_path, bundle_dir="nowhere").ended()
    assert code != 0
    assert "ERROR:    bundle nowhere: no bundle.json; run `dvc pull` or `make repro`\n" in told
    assert "Traceback" not in told


def test_a_changed_bundle_is_named(tmp_path: Path) -> None:
    service.variables(tmp_path)
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"other")
    told = refusal(tmp_path)
    assert "model.onnx is not the file bundle.json describes; run `dvc checkout`" in told


@pytest.mark.parametrize(
    ("secret", "reason"),
    [("", "ERROR: API_SECRET: Field required"), ("tooshort" * 3, "at least 32 bytes are needed")],
)
def test_a_missing_or_short_secret_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, secret: str, reason: str
) -> None:
    monkeypatch.setenv("API_SECRET", secret)
    with pytest.raises(SystemExit) as ending:
        create_app()
    assert reason in ending.value.code
    assert "tooshort" not in ending.value.code


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////proc/nowhere/service.db", "/proc/nowhere"),
        ("postgresql://bob:hunter2@127.0.0.1:1/none", "127.0.0.1"),
    ],
)
def test_an_unreachable_database_is_named_without_its_password(
    tmp_path: Path, url: str, reason: str
) -> None:
    told = refusal(tmp_path, database_url=url)
    assert reason in told
    assert "hunter2" not in told


def test_an_unwritable_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "API_LOG_DIR" in refusal(tmp_path, log_dir=tmp_path / "file")


def test_broken_metrics_are_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{")
    assert "API_METRICS_FILE" in refusal(tmp_path)


def test_sigterm_lets_requests_in_flight_finish(tmp_path: Path) -> None:
    with Server(tmp_path, queue_size=10) as server:
        headers, statuses = server.headers(), []

        def send() -> None:
            files = {"image": ("photo.png", SLOWER)}
            answer = httpx.post(f"{server.url}/predict", files=files, headers=headers, timeout=60)
            statuses.append(answer.status_code)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: server.metric("requests_in_flight") > 4)
        code = server.stop()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 4
    assert code in {0, -signal.SIGTERM}  # uvicorn ends by the signal once it has drained


@pytest.mark.slow
def test_serve_shows_a_password_once_and_keeps_none_in_the_clear(tmp_path: Path) -> None:
    service.variables(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "bundle").rename(tmp_path / "models" / "bundle")

    def start() -> str:
        done = subprocess.Popen(
            [sys.executable, "-m", "api.serve", "--port", "0"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        told = ""
        while "running on" not in told and done.poll() is None:
            told += done.stdout.readline()
        url = told[told.index("http://") :].split()[0]
        if "password" in told:
            password = told.split("password ")[1].split()[0]
            form = {"username": "admin", "password": password}
            assert httpx.post(f"{url}/token", data=form).status_code == 200
            for file in (tmp_path / "state").iterdir():
                assert password.encode() not in file.read_bytes()
        done.terminate()
        told += done.stdout.read()
        done.stdout.close()
        done.wait(60)
        return told

    first, second = start(), start()
    assert first.count("password") == 1
    assert "password" not in second
