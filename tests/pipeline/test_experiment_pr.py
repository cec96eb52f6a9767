"""An experiment as a branch: conf/ composes into just its parameters, and nothing else moves."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from stages.compose import compose
from stages.promotion.conf_values import ConfError, composed, write
from tests.pipeline import project, tiny_project

ROOT = Path(__file__).parents[2]
OVERRIDES = [
    ["training.learning_rate=3e-4"],
    ["training.learning_rate=1e-05", "training.class_weights=none"],
    ["text=conv1d"],
    ["text=lstm", "text.units=64", "+experiment=fast"],
    ["image=vgg16", "image.size=192", "sentence=none", "fusion=weighted"],
    ["text.orders=[2,3]", "text.words=false"],
    ["preprocess.seed=7", "evaluate.baselines=false", "benchmark.clients=2"],
    ["data=s3", "data.url=s3://bucket/prefix"],
    ["+experiment=predecessor"],
    ["+experiment=gpu"],
    ["promotion.margins.macro_f1=0.05"],
]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """This project's own groups."""
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


@pytest.mark.parametrize("overrides", OVERRIDES, ids=" ".join)
def test_conf_composes_into_the_experiments_parameters(conf: Path, overrides: list[str]) -> None:
    wanted = composed(conf, *overrides)
    assert write(conf, wanted)
    assert composed(conf) == wanted


def test_comments_and_everything_else_stay(conf: Path) -> None:
    """Two values and a choice change two files by three lines."""
    before = {file: file.read_text().splitlines() for file in conf.rglob("*.yaml")}
    said = write(
        conf, composed(conf, "text=conv1d", "evaluate.resamples=500", "export.gate_images=9")
    )
    changed = {
        f"{file.relative_to(conf)}: {new}"
        for file, lines in before.items()
        for old, new in zip(lines, file.read_text().splitlines(), strict=True)
        if old != new
    }
    assert changed == {
        "config.yaml:   - text: conv1d",
        "config.yaml:   resamples: 500   # of the bootstrap interval",
        "export/fp32.yaml: gate_images: 9",
    }
    assert "conf/config.yaml: text: ngrams -> conv1d" in said
    assert "conf/export/fp32.yaml: gate_images: 1000 -> 9" in said


def test_nothing_to_change_changes_nothing(conf: Path) -> None:
    before = {file: file.read_bytes() for file in conf.rglob("*.yaml")}
    assert write(conf, composed(conf)) == []
    assert {file: file.read_bytes() for file in conf.rglob("*.yaml")} == before


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("+tokens.more=1", "were added or removed"),
        ("+text.more=1", "no file of conf/text has the keys"),
        ("~predict", "in only one of conf/ and the parameters"),
    ],
)
def test_what_can_not_be_written_back_is_refused(conf: Path, override: str, reason: str) -> None:
    with pytest.raises(ConfError, match=reason):
        write(conf, composed(conf, override))


def test_an_interpolation_is_not_overwritten(conf: Path) -> None:
    """Its value would stay when what it follows changes."""
    file = conf / "config.yaml"
    file.write_text(file.read_text().replace("top_k: 5", "top_k: ${review.examples}"))
    with pytest.raises(ConfError, match="not a value"):
        write(conf, composed(conf, "predict.top_k=9"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project with the experiment `louder`, run by DVC through Hydra."""
    made = tiny_project.create(tmp_path_factory.mktemp("experiment") / "project")
    settings = ["-n", "louder", "-S", "text.weight=2.5", "-S", "image.sizes=[8,9]"]
    project.run(made, "dvc", "exp", "run", *settings, PYTHONPATH=str(ROOT))
    project.run(made, "git", "checkout", "--quiet", "--", ".")
    (made / "unfinished.txt").write_text("my own work\n")
    (made / "conf/text/mute.yaml").write_text("# being edited\nkind: none\nweight: 0.0\n")
    return made


def become(folder: Path, *arguments: str, check: bool = True) -> str:
    command = [sys.executable, "-m", "stages.experiment_pr", *arguments]
    return project.run(folder, *command, check=check, PYTHONPATH=str(ROOT))


def test_an_experiment_becomes_a_branch(folder: Path, tmp_path: Path) -> None:
    """Its conf/ and params.yaml agree, `dvc status` is clean, work in hand stays as it was."""
    status = project.run(folder, "git", "status", "--porcelain", "--branch")
    said = become(folder, "louder")
    assert project.run(folder, "git", "status", "--porcelain", "--branch") == status
    assert project.run(folder, "git", "worktree", "list").count("\n") == 1
    assert "conf/text/loud.yaml: weight: 2.0 -> 2.5" in said
    assert "fused macro_f1:" in said

    made = project.clone(folder, tmp_path / "clone")
    project.run(made, "git", "checkout", "--quiet", "exp/louder")
    params = yaml.safe_load((made / "params.yaml").read_text())
    assert params["text"]["weight"] == 2.5
    assert params["image"]["sizes"] == [8, 9]
    compose(tmp_path / "composed.yaml", [], made / "conf")
    assert (tmp_path / "composed.yaml").read_text() == (made / "params.yaml").read_text()
    assert "# of a word" in (made / "conf/text/loud.yaml").read_text()
    assert not (made / "unfinished.txt").exists()
    parents = project.run(made, "git", "log", "--format=%s", "-2").splitlines()
    assert parents == ["Apply experiment louder", "Run"]
    project.run(made, "dvc", "cache", "dir", "--local", str(folder / ".dvc/cache"))
    project.run(made, "dvc", "checkout", "--quiet")
    assert "up to date" in project.run(made, "dvc", "status", PYTHONPATH=str(ROOT))


def test_a_branch_that_exists_is_left_alone(folder: Path) -> None:
    said = become(folder, "louder", "main", check=False)
    assert "branch main exists" in said
    become(folder, "louder", "another/name")
    assert "another/name" in project.run(folder, "git", "branch", "--list")


def test_an_unknown_experiment_names_the_known_ones(folder: Path) -> None:
    said = become(folder, "quieter", check=False)
    assert "no experiment is called quieter; there are ['louder']" in said


def test_refusals_leave_no_branch(folder: Path) -> None:
    """A key that no file of conf/ has: DVC would put it into params.yaml."""
    settings = ["-n", "odd", "-S", "+image.angle=3"]
    project.run(folder, "dvc", "exp", "run", *settings, PYTHONPATH=str(ROOT))
    project.run(folder, "git", "checkout", "--quiet", "--", "params.yaml", "dvc.lock", "metrics")
    said = become(folder, "odd", check=False)
    assert "no file of conf/image has the keys" in said
    assert "exp/odd" not in project.run(folder, "git", "branch", "--list")
    assert project.run(folder, "git", "worktree", "list").count("\n") == 1
