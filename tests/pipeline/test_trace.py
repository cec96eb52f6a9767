"""From a model_version back to commits, parameters, data and figures."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from api import bundle
from stages.promotion.lineage import LineageError, trace
from stages.trace import main
from tests.pipeline import project, tiny_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base`, `other`, and on top of them words only, then `base`'s bundle again."""
    made = tiny_project.create(tmp_path_factory.mktemp("trace") / "project")
    project.run(made, "git", "tag", "base")
    project.run(made, "git", "tag", "-a", "-m", "first", "product-code-classifier@v1.0.0")
    tiny_project.run(made, "image.weight=1.2", message="Other colours")
    project.run(made, "git", "branch", "other")
    (made / "README.md").write_text("words\n")
    project.commit(made, "Words only")
    tiny_project.run(made, message="Back")
    return made


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture) -> Iterator[Callable]:
    def call(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        return code, "".join(capsys.readouterr())

    with chdir(folder):
        yield call


def version(folder: Path, revision: str) -> str:
    return (
        project.run(folder, "git", "show", f"{revision}:dvc.lock")
        .split("path: models/bundle")[1]
        .split("md5: ")[1]
        .split()[0]
    )


def test_it_names_what_a_model_was_made_of(folder: Path, run: Callable, tmp_path: Path) -> None:
    output = tmp_path / "trace.json"
    code, said = run(version(folder, "other"), "--output", str(output))
    found = json.loads(output.read_text())
    assert code == 0
    assert found["model_version"] == version(folder, "other")
    assert [commit["subject"] for commit in found["commits"]] == ["Other colours"]
    assert found["commits"][0]["names"] == ["other"]
    assert found["parameters"]["image"] == {"weight": 1.2, "sizes": [8, 8]}
    assert set(found["data"]) == {"data/preprocessed"}
    committed = json.loads(
        project.run(folder, "git", "show", "other:metrics/evaluate/metrics.json")
    )
    assert found["metrics"]["metrics/evaluate/metrics.json"] == committed
    assert f"make checkout-model REV={found['commits'][0]['commit'][:10]}" in said
    assert "weight: 1.2" in said


def test_a_model_that_came_back_has_both_commits_the_first_one_last(
    folder: Path, run: Callable
) -> None:
    code, said = run(version(folder, "base")[:8])
    assert code == 0
    assert said.index(": Back") < said.index(": Run")
    assert "registered as v1.0.0" in said
    assert "product-code-classifier@v1.0.0" in said


def test_the_version_a_bundle_gives_itself_is_found(folder: Path, run: Callable) -> None:
    """As the service has it: computed from the files, `.dir` included."""
    assert run(bundle.version(folder / "models/bundle"))[0] == 0


def test_an_unknown_version_is_an_error_that_says_where_to_look(run: Callable) -> None:
    code, said = run("0123456789abcdef")
    assert code == 1
    assert "no commit here has a dvc.lock with bundle 0123456789abcdef" in said
    assert "git fetch --all --tags" in said


@pytest.mark.parametrize("text", ["champion", "12345", "", "../etc", "-S1234567"])
def test_what_is_no_version_is_refused(folder: Path, text: str) -> None:
    with chdir(folder), pytest.raises(LineageError, match="is no model_version"):
        trace(text)


def test_a_shallow_clone_says_so(folder: Path, tmp_path: Path) -> None:
    url = f"file://{folder}"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", url, tmp_path / "clone"], check=True)
    with chdir(tmp_path / "clone"), pytest.raises(LineageError, match="--unshallow"):
        trace(version(folder, "other"))
