"""Running what a change needs, on clones with and without a remote."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline import project, small_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after its first run, with all of its data in a remote beside it."""
    folder = small_project.create(tmp_path_factory.mktemp("origin") / "project")
    small_project.repro(folder)
    project.commit(folder, "Run")
    connect(folder, folder.parent / "remote")
    project.run(folder, "dvc", "push")
    return folder


def connect(folder: Path, remote: Path) -> None:
    """Makes a directory the remote of this clone."""
    remote.mkdir(exist_ok=True)
    project.run(folder, "dvc", "remote", "modify", "--local", "storage", "url", str(remote))


def reproduce(folder: Path, check: bool = True) -> str:
    command = ("python", "-m", "stages.reproduce")
    without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL": ""}
    return project.run(folder, *command, check=check, PYTHONPATH=str(project.ROOT), **without)


def test_nothing_to_run_fetches_nothing(origin: Path, tmp_path: Path) -> None:
    folder = project.clone(origin, tmp_path / "clone")
    connect(folder, origin.parent / "remote")
    assert "nothing to run" in reproduce(folder)
    assert not (folder / "data/preprocessed").exists()


def test_a_remote_gives_only_what_has_to_be_read(origin: Path, tmp_path: Path) -> None:
    folder = project.clone(origin, tmp_path / "clone")
    connect(folder, origin.parent / "remote")
    small_project.configure(folder, training={"skill": 3.0})
    output = reproduce(folder)
    assert "To run: train, evaluate, benchmark" in output
    assert "Running stage 'train'" in output
    assert "Running stage 'preprocess'" not in output
    assert (folder / "data/preprocessed").exists()
    assert not (folder / "data/raw").exists()


def test_what_the_remote_lacks_is_computed(origin: Path, tmp_path: Path) -> None:
    folder = project.clone(origin, tmp_path / "clone")
    connect(folder, tmp_path / "empty")
    small_project.configure(folder, training={"skill": 3.0})
    output = reproduce(folder)
    assert "The remote lacks data/preprocessed" in output
    assert "Running stage 'import'" in output
    assert (folder / "metrics/evaluate/predictions.parquet").exists()


def test_without_a_remote_the_cache_gives_what_it_has(origin: Path, tmp_path: Path) -> None:
    """As in a pull request from a fork: no credentials, but what main's last run left."""
    folder = project.clone(origin, tmp_path / "clone")
    shutil.copytree(origin / ".dvc/cache", folder / ".dvc/cache")
    small_project.configure(folder, training={"skill": 3.0})
    output = reproduce(folder)
    assert "Without a remote (Unable to locate credentials)" in output
    assert "Stage 'preprocess' is cached" in output
    assert "Running stage 'train'" in output


def test_a_failed_stage_fails_and_holds_up_only_what_reads_it(origin: Path, tmp_path: Path) -> None:
    folder = project.clone(origin, tmp_path / "clone")
    connect(folder, origin.parent / "remote")
    small_project.configure(folder, training={"skill": -1.0}, benchmark={"processor": "another"})
    output = reproduce(folder, check=False)
    assert "training.skill is -1.0, at least 0 is needed" in output
    assert "failed to reproduce 'train'" in output
    assert "The remote lacks" not in output
