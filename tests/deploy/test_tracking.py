"""MLflow's server as compose.yaml starts it: runs in PostgreSQL, artifacts in an S3 store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx
import psycopg
import pytest
import yaml
from moto.server import ThreadedMotoServer

from deploy import secret_files
from tests.api import servers
from tests.api.service import ROOT, until

pytestmark = pytest.mark.slow
SCRIPT = ROOT / "deploy" / "compose" / "tracking.py"


@contextmanager
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def mlflow(folder: Path, database: str, store: str) -> Iterator[str]:
    """The server, with compose's variables but for hosts and ports; gives its address."""
    secret_files.write(folder)
    (folder / "url").write_text(database)
    port = servers.free_port()
    given = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["mlflow"]["environment"]
    own = {
        "HOME": str(folder),
        "MLFLOW_S3_ENDPOINT_URL": store,
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port}",
        "BACKEND_STORE_URI_FILE": str(folder / "url"),
        "AWS_CREDENTIALS_FILE": str(folder / "s3_credentials"),
    }
    assert own.keys() <= given.keys()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, SCRIPT],
        env={**given, **own, "PATH": path, "MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": str(port)},
        cwd=folder,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or healthy(url), 120)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.HTTPError:
        return False


def test_runs_are_in_the_database_and_artifacts_in_the_store(tmp_path: Path) -> None:
    with servers.postgresql() as database, s3() as store:
        address = database.new_database("mlflow").replace("postgresql:", "postgresql+psycopg:")
        with (
            mlflow(tmp_path, address, store) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            created = client.post("/api/2.0/mlflow/experiments/create", json={"name": "kept"})
            assert created.status_code == 200, created.text
            told = client.put("/api/2.0/mlflow-artifacts/artifacts/note.txt", content=b"kept")
            assert told.status_code == 200, told.text
        with psycopg.connect(database.url("mlflow")) as connection:
            kept = connection.execute("SELECT artifact_location FROM experiments WHERE name='kept'")
            [location] = kept.fetchone() or [""]
        assert location.startswith("mlflow-artifacts:/")
        client = boto3.client(
            "s3",
            endpoint_url=store,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        assert {one["Name"] for one in client.list_buckets()["Buckets"]} == {"mlflow", "dvc"}
        assert client.get_object(Bucket="mlflow", Key="note.txt")["Body"].read() == b"kept"


def test_a_database_that_is_not_named_is_told(tmp_path: Path) -> None:
    with s3() as store:
        secret_files.write(tmp_path)
        done = subprocess.run(
            [sys.executable, SCRIPT],
            env={
                "MLFLOW_S3_ENDPOINT_URL": store,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_CREDENTIALS_FILE": str(tmp_path / "s3_credentials"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR: BACKEND_STORE_URI_FILE")
