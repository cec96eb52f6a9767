"""The whole DAG, run by DVC in a small copy of this project."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer

from api import bundle
from tests.pipeline import project

MIDWAY = 0.7  # seconds of work after which a stage is killed; the quickest takes over a second
STAGES = ("import", "preprocess", "embed", "train", "evaluate", "predict", "benchmark")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after its first `dvc repro`, committed."""
    folder = project.create(tmp_path_factory.mktemp("dag") / "project")
    project.run(folder, "dvc", "repro")
    project.commit(folder, "Run")
    return folder


def test_the_dag_ends_with_a_bundle_and_metrics(finished: Path) -> None:
    opened = bundle.load(finished / "models/bundle")
    assert len(opened.labels) == 27
    assert opened.synthetic
    shown = project.metrics(finished)
    assert 0 < shown["metrics/evaluate/metrics.json"]["fused"]["weighted_f1"] <= 1
    assert shown["metrics/benchmark/metrics.json"]


def test_the_bundles_version_is_in_dvc_lock(finished: Path) -> None:
    outs = project.reproducible_lock(finished)["train"]["outs"]
    locked = {out["path"]: out["md5"] for out in outs}
    assert bundle.version(finished / "models/bundle") == locked["models/bundle"]


def test_a_second_run_finds_everything_up_to_date(finished: Path) -> None:
    assert "Data and pipelines are up to date" in project.run(finished, "dvc", "repro")
    assert project.run(finished, "git", "status", "--porcelain") == ""


def test_plots_and_metrics_are_rendered(finished: Path, tmp_path: Path) -> None:
    page = project.run(finished, "dvc", "plots", "show", "--out", str(tmp_path))
    html = (tmp_path / "index.html").read_text()
    assert "index.html" in page
    for title in ("Held-out split, by product type code", "Products by class", "Training"):
        assert title in html, title
    assert "macro_f1" in project.run(finished, "dvc", "metrics", "show")


def test_a_fresh_clone_gives_the_same_lock(finished: Path, tmp_path: Path) -> None:
    other = project.clone(finished, tmp_path / "clone")
    project.run(other, "dvc", "repro")
    assert project.reproducible_lock(other) == project.reproducible_lock(finished)
    changed = project.run(other, "git", "status", "--porcelain").split("\n")
    assert {line[3:] for line in changed if line} <= {
        "dvc.lock",
        "metrics/benchmark/metrics.json",
    }


def test_a_changed_head_never_pays_for_embeddings(finished: Path, tmp_path: Path) -> None:
    """Of a new learning rate only what depends on it runs."""
    shown = project.run(finished, "dvc", "status", "--json")
    assert json.loads(shown) == {}
    other = project.clone(finished, tmp_path / "clone")
    project.run(other, "dvc", "cache", "dir", "--local", str(finished / ".dvc/cache"))
    project.run(other, "dvc", "checkout")
    output = project.run(other, "dvc", "exp", "run", "-S", "training.learning_rate=0.01")
    assert "Stage 'embed' didn't change, skipping" in output
    assert "Running stage 'train'" in output
    assert "learning_rate: 0.01" in (other / "params.yaml").read_text()


def test_a_sweep_gives_every_experiment(finished: Path, tmp_path: Path) -> None:
    """Two learning rates by two text branches: four experiments, told apart in `dvc exp show`."""
    other = project.clone(finished, tmp_path / "clone")
    project.run(other, "dvc", "cache", "dir", "--local", str(finished / ".dvc/cache"))
    project.run(other, "dvc", "checkout")
    settings = ["-S", "training.learning_rate=1e-3,3e-4", "-S", "text=conv1d,ngrams"]
    assert project.run(other, "dvc", "exp", "run", *settings, "--queue").count("Queued") == 4
    project.run(other, "dvc", "queue", "start")
    wait_for_queue(other)
    shown = json.loads(project.run(other, "dvc", "exp", "show", "--json"))
    experiments = [rev["revs"][0] for head in shown for rev in head.get("experiments") or []]
    params = [experiment["data"]["params"]["params.yaml"]["data"] for experiment in experiments]
    assert sorted((p["training"]["learning_rate"], p["text"]["kind"]) for p in params) == [
        (0.0003, "conv1d"),
        (0.0003, "ngrams"),
        (0.001, "conv1d"),
        (0.001, "ngrams"),
    ]
    for experiment in experiments:
        figures = experiment["data"]["metrics"]["metrics/evaluate/metrics.json"]["data"]
        assert 0 < figures["fused"]["macro_f1"] <= 1


def wait_for_queue(folder: Path, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = project.run(folder, "dvc", "queue", "status")
        states = [line.split()[-1] for line in status.splitlines() if " " in line]
        assert "Failed" not in status, status
        if "Queued" not in status and "Running" not in status and "Success" in status:
            return
        time.sleep(2)
    pytest.fail(f"the queue did not end: {states}")


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """A real S3 endpoint, reached by environment variables alone."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="dvc")
    yield variables
    server.stop()


def test_a_clone_pulls_from_s3_and_is_up_to_date(finished: Path, s3: dict, tmp_path: Path) -> None:
    """Push, fresh clone, pull, repro: nothing runs, and the bundle is the same."""
    project.run(finished, "dvc", "push", **s3)
    other = project.clone(finished, tmp_path / "clone")
    project.run(other, "dvc", "pull", **s3)
    assert "Data and pipelines are up to date" in project.run(other, "dvc", "repro", **s3)
    assert bundle.version(other / "models/bundle") == bundle.version(finished / "models/bundle")


def test_the_bundle_alone_can_be_pulled(finished: Path, s3: dict, tmp_path: Path) -> None:
    project.run(finished, "dvc", "push", **s3)
    other = project.clone(finished, tmp_path / "clone")
    project.run(other, "dvc", "pull", "models/bundle", **s3)
    assert bundle.load(other / "models/bundle").labels
    assert not (other / "data/raw").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_midway_is_done_again(finished: Path, stage: str) -> None:
    """SIGKILL to DVC and the stage while the stage works; the next run gives the same lock."""
    before = project.reproducible_lock(finished)
    command = ["dvc", "repro", "--force", "--single-item", stage]
    started = subprocess.Popen(
        command,
        cwd=finished,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_stage(started, finished, stage)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    project.run(finished, "dvc", "repro", "--no-run-cache")
    assert project.reproducible_lock(finished) == before


def wait_for_stage(started: subprocess.Popen, folder: Path, stage: str) -> None:
    """Until the stage's own process has begun to log, then a moment more."""
    module = "stages.import_data" if stage == "import" else f"stages.{stage}"
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert started.poll() is None, "the stage ended before it could be killed"
        children = psutil.Process(started.pid).children(recursive=True)
        running = [child for child in children if module in _command(child)]
        if running and running[0].cpu_times().user > MIDWAY:
            return
        time.sleep(0.02)
    pytest.fail(f"{module} never started in {folder}")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
