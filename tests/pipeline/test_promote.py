"""Promotion: git's tags and MLflow's alias on a small project, with a real registry behind each."""

import json
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from gto import api as gto
from mlflow import MlflowClient

from api import bundle
from stages.promote import main
from stages.promotion import registry
from stages.promotion.registry import ARTIFACT
from stages.promotion.revisions import Revision
from stages.tracking import MODEL_NAME
from tests.pipeline import project, tiny_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, which training runs outside of pytest
]
NOWHERE = "http://127.0.0.1:9"
Promote = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Revisions `base`, `better` and `worse`, all of them known to MLflow; no champion."""
    folder = tiny_project.create(tmp_path_factory.mktemp("promote") / "template")
    project.run(folder, "git", "tag", "base")
    for name, override in (("worse", "text=mute"), ("better", "image.weight=1.2")):
        tiny_project.run(folder, override, message=name)
        project.run(folder, "git", "tag", name)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone of its own with the same cache, and an MLflow of its own."""
    made = project.clone(template, tmp_path / "project")
    project.run(made, "dvc", "cache", "dir", "--local", str(template / ".dvc/cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name, value in project.IDENTITY.items():
        monkeypatch.setenv(name, value)
    with chdir(made):
        yield made


@pytest.fixture
def promote(folder: Path, capfd: pytest.CaptureFixture) -> Promote:
    """Calls the program: exit code and output."""
    del folder

    def call(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        code = main(arguments)
        return code, "".join(capfd.readouterr())

    return call


def alias() -> str:
    """The bundle that MLflow calls champion."""
    client = MlflowClient()
    version = client.get_model_version_by_alias(MODEL_NAME, "champion")
    found: str = client.get_run(version.run_id).data.tags["bundle_version"]
    return found


def bundle_of(name: str) -> str:
    return Revision.read(name).version


def champion_of_git() -> str | None:
    found = registry.champion()
    return found and found.name


def test_promotions_refusals_and_the_way_back(folder: Path, promote: Promote) -> None:
    """The first, a worse one, a better one, back, and no further."""
    code, said = promote("promote", "base")
    assert code == 0, said
    assert "first champion: passes" in said
    assert "champion is v1.0.0, was none" in said
    assert alias() == bundle_of("base")

    code, said = promote("promote", "worse")
    assert code == 1
    assert "is refused" in said
    assert champion_of_git() == "v1.0.0"
    assert alias() == bundle_of("base")

    code, said = promote("promote", "better")
    assert code == 0, said
    assert "champion is v1.1.0, was v1.0.0" in said
    assert alias() == bundle_of("better")
    got = ["dvc", "artifacts", "get", ".", ARTIFACT, "--stage", "champion", "--out", "got"]
    project.run(folder, *got)
    assert bundle.version(folder / "got") == bundle_of("better")
    versions = {each["version"]: each["ref"] for each in gto.show(".", ARTIFACT)}
    assert versions == {"v1.0.0": f"{ARTIFACT}@v1.0.0", "v1.1.0": f"{ARTIFACT}@v1.1.0"}

    code, said = promote("status")
    assert code == 0, said
    assert "MLflow agrees" in said

    code, said = promote("rollback", "--git-only")
    assert champion_of_git() == "v1.0.0"
    code, said = promote("status")
    assert code == 1
    assert "`python -m stages.promote sync`" in said
    assert promote("sync")[0] == 0
    assert alias() == bundle_of("base")

    code, said = promote("rollback")
    assert code == 1
    assert "v1.0.0 is the first champion: nothing to roll back to" in said
    code, said = promote("rollback", "--to", "v1.1.0")
    assert code == 0, said
    assert alias() == bundle_of("better")
    tags = project.run(folder, "git", "tag", "--list", f"{ARTIFACT}#champion#*").split()
    assert tags == [f"{ARTIFACT}#champion#{number}" for number in (1, 2, 3, 4)]


def test_a_reason_promotes_what_is_refused_and_is_kept(folder: Path, promote: Promote) -> None:
    assert promote("promote", "base", "--git-only")[0] == 0
    code, said = promote("promote", "worse", "--git-only", "--despite", "the old one leaks")
    assert code == 0, said
    message = project.run(folder, "git", "tag", "-n3", "--list", f"{ARTIFACT}#champion#2")
    assert "despite macro_f1" in message
    assert "the old one leaks" in message


def test_a_promotion_that_ended_half_way_is_completed_by_the_same_command(
    promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = MlflowClient().tracking_uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    code, said = promote("promote", "base")
    assert code == 1
    assert "git says champion v1.0.0, MLflow does not yet" in said
    assert "run the same command again" in said
    code, said = promote("status")
    assert code == 1
    assert "MLflow does not say" in said

    monkeypatch.setenv("MLFLOW_TRACKING_URI", working)
    code, said = promote("promote", "base")
    assert code == 0, said
    assert alias() == bundle_of("base")
    assert [version.name for version in registry.champions()] == ["v1.0.0"]


def test_a_rollback_without_mlflow_changes_nothing(
    promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote("promote", "base", "--git-only")
    promote("promote", "better", "--git-only")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    code, said = promote("rollback")
    assert code == 1
    assert "nothing was changed" in said
    assert champion_of_git() == "v1.1.0"


def test_rollbacks_go_back_step_by_step(promote: Promote) -> None:
    """Twice back from the third is the first, not the third again."""
    for name in ("base", "better", "worse"):
        promote("promote", name, "--git-only", "--despite", "to have three")
    assert champion_of_git() == "v1.2.0"
    assert promote("rollback", "--git-only")[0] == 0
    assert champion_of_git() == "v1.1.0"
    assert promote("rollback", "--git-only")[0] == 0
    assert champion_of_git() == "v1.0.0"


def test_the_same_bundle_is_not_registered_twice(folder: Path, promote: Promote) -> None:
    """A commit of documentation has the bundle of the one before."""
    promote("promote", "better", "--git-only")
    project.commit(folder, "Words only")
    assert promote("promote", "HEAD", "--git-only", "--bump", "major")[0] == 0
    assert [*registry.versions()] == ["v1.0.0"]


def test_a_clone_without_the_champions_tags_promotes_nothing(
    folder: Path, promote: Promote
) -> None:
    """It would take any model for the first."""
    promote("promote", "base", "--git-only", "--push")
    project.run(folder, "git", "tag", "--delete", f"{ARTIFACT}#champion#1", f"{ARTIFACT}@v1.0.0")
    code, said = promote("promote", "worse", "--git-only")
    assert code == 1
    assert "run `git fetch --tags`" in said
    project.run(folder, "git", "fetch", "--tags", "--quiet")
    assert champion_of_git() == "v1.0.0"
    project.run(
        folder,
        "git",
        "push",
        "--quiet",
        "--delete",
        "origin",
        f"{ARTIFACT}#champion#1",
        f"{ARTIFACT}@v1.0.0",
    )


def test_tags_that_can_not_be_sent_are_said_to_be_here_only(promote: Promote) -> None:
    code, said = promote("promote", "base", "--git-only", "--push", "elsewhere")
    assert code == 1
    assert "elsewhere does not have the tags" in said
    assert champion_of_git() == "v1.0.0"


def test_the_verdict_is_there_for_programs(promote: Promote, tmp_path: Path) -> None:
    output = tmp_path / "made" / "verdict.json"
    promote("check", "worse", "--champion", "base", "--output", str(output))
    verdict = json.loads(output.read_text())
    assert verdict["candidate"]["model_version"] == bundle_of("worse")
    assert not verdict["passed"]
