"""What GitHub would do for a pull request, done here: the steps of the workflows, one by one.

`main` has a run of the DAG on a tiny catalogue. A branch of it changes something; the workflows'
commands run in a clean clone of the branch merged into main, with no data but the cache that the
workflow restores.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.pipeline import project, small_project, workflows

COPIED = ("Makefile", "pyproject.toml", ".github")
PIPELINE, CI = (workflows.FOLDER / f"{name}.yml" for name in ("pipeline", "ci"))
# Not again: the tests, and the run of the DAG beside them. Not without a network: npm, the list of
# vulnerabilities, the index of packages, Debian's servers.
ELSEWHERE = {"test", "repro", "check-lock"} | {
    "actionlint",
    "audit",
    "check-deploy",
    "check-requirements",
    "servers",
}
CHEAP = 60  # seconds that a change of nothing may take
CACHE = ".dvc/cache"
LEFT_OUT = {"predict", "review"}
QUICK = ("sentence=none", "evaluate.baselines=false", "benchmark.requests=20")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as GitHub has it, after a run; the real stages, those left out that end it."""
    folder = project.create(tmp_path_factory.mktemp("hub") / "project")
    declared = yaml.safe_load((folder / "dvc.yaml").read_text())
    kept = {name: declared["stages"][name] for name in declared["stages"] if name not in LEFT_OUT}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": kept}, sort_keys=False))
    compose(folder)
    return with_a_run(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a repository with stages that take a second."""
    return with_a_run(small_project.create(tmp_path_factory.mktemp("small") / "project"))


def with_a_run(folder: Path) -> Path:
    """Adds the workflows, then runs as the pipeline does on main."""
    for name in COPIED:
        source, target = project.ROOT / name, folder / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    project.commit(folder, "Workflows")
    step(folder, "make repro-change")
    project.commit(folder, "Run")
    return folder


def step(folder: Path, command: str, check: bool = True, **variables: str) -> str:
    """A command of a workflow, in this environment instead of one that `make setup` makes."""
    flags = f"-- VENV={Path(sys.executable).parents[1]} READY="
    shell = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", command)
    # Where the stages are not part of the repository they are this one's.
    found = {} if (folder / "stages").exists() else {"PYTHONPATH": str(project.ROOT)}
    return project.run(folder, *shell, check=check, MAKEFLAGS=flags, **found, **variables)


def merged(main: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    """A clean clone of a pull request, as GitHub checks it out: merged into its base."""
    author = project.clone(main, folder / "author")
    project.run(author, "git", "switch", "--quiet", "--create", "change")
    change(author)
    project.commit(author, "Change")
    runner = project.clone(main, folder / "runner")
    project.run(runner, "git", "pull", "--quiet", "--no-rebase", "--no-ff", str(author), "change")
    return runner


def pipeline(main: Path, runner: Path) -> str:
    """Runs the pipeline's commands; a failed one lets only those follow that always run."""
    paths = [cached["with"]["path"] for cached in workflows.jobs(PIPELINE)["pipeline"]["steps"]
             if "cache@" in cached.get("uses", "")]  # fmt: skip
    assert CACHE in paths
    shutil.copytree(main / CACHE, runner / CACHE, copy_function=os.link)
    failed, output = False, ""
    for one in workflows.commands(PIPELINE):
        if not failed or "!cancelled()" in one.condition:
            try:
                output += step(runner, one.run, **one.environment)
            except AssertionError as error:
                failed = True
                output += str(error)
    print(output)
    return (runner / "report/report.md").read_text()


def verdict(page: str) -> str:
    found = re.search(r"^\*\*(.+?)\.\*\*", page, re.MULTILINE)
    assert found, page
    return found[1]


def compose(folder: Path, *overrides: str) -> None:
    project.run(folder, "python", "-m", "stages.compose", *QUICK, *overrides)


def test_nothing_changed(main: Path, tmp_path: Path) -> None:
    """Is said, and costs next to nothing."""
    runner = merged(main, tmp_path, lambda folder: (folder / "NOTES.md").write_text("A note."))
    start = time.monotonic()
    page = pipeline(main, runner)
    assert time.monotonic() - start < CHEAP
    assert verdict(page) == "No change"
    assert "No parameter changed." in page
    assert "dvc.lock is not committed" not in page
    assert "No stage ran on this machine" in page
    assert not (runner / "data/raw").exists()


def test_a_changed_parameter(main: Path, tmp_path: Path) -> None:
    """Of a new learning rate only what depends on it runs, and its answers are compared."""
    runner = merged(main, tmp_path, lambda folder: compose(folder, "training.learning_rate=0.02"))
    page = pipeline(main, runner)
    assert verdict(page) in {"Better", "Worse", "Mixed", "No clear difference"}
    assert "| <code>training.learning&#95;rate</code> | <code>0.001</code> | <code>0.02</code>" in (
        page
    )
    assert re.search(r"\| weighted F1 \| 0\.\d+ \| 0\.\d+ \| \S+ \| \S+ to \S+ \|", page)
    assert "dvc.lock is not committed as it is now** (it differs in train, evaluate" in page
    assert "| <code>train</code> | yes |" in page
    assert "| <code>embed</code> | no: taken from the base | never |" in page
    assert "Not shown" not in page


def test_changed_code(small: Path, tmp_path: Path) -> None:
    """The same answers scored by other code: no other prediction, another figure."""
    runner = merged(
        small, tmp_path, lambda folder: (folder / small_project.SCORING).write_text("BINS = 5\n")
    )
    page = pipeline(small, runner)
    assert verdict(page) == "No change"
    assert f"| <code>evaluate</code> | <code>{small_project.SCORING}</code> |" in page
    assert "Other figures that changed: 1 " in page
    assert "| <code>evaluate.fused.expected&#95;calibration&#95;error</code> |" in page
    assert "| <code>train</code> | no: taken from the base |" in page


def test_changed_data(small: Path, tmp_path: Path) -> None:
    """More products: answers are compared on what both held out, and drift is measured."""
    runner = merged(
        small, tmp_path, lambda folder: small_project.configure(folder, data={"products": 300})
    )
    page = pipeline(small, runner)
    assert "products that only this revision held out are left out" in page
    assert "240 labelled products in the base, 300 in this revision." in page
    assert re.search(r"\| length of the text \| \d+ \| \d+ \| 0\.\d+ \(\w+\)", page)
    assert re.search(r"\| <code>data/raw</code> \| <code>\w{8}</code> \| <code>\w{8}</code>", page)


def test_code_that_fails(small: Path, tmp_path: Path) -> None:
    """The job fails, and the report names what did not run."""

    def change(folder: Path) -> None:
        file = folder / small_project.CODE
        file.write_text(file.read_text().replace("skill < 0", "skill > 0"))

    page = pipeline(small, merged(small, tmp_path, change))
    assert verdict(page) == "Not finished"
    assert "in: train, evaluate, benchmark." in page


def test_the_checks_of_ci_pass_in_a_clean_clone(main: Path, tmp_path: Path) -> None:
    """All but those that need a network or take long."""
    missing = [name for name in ("zizmor", "check-jsonschema")
               if not (Path(sys.executable).parent / name).exists()]  # fmt: skip
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: `make setup`")
    clone = project.clone(main, tmp_path / "clone")
    run = [one.run for one in workflows.commands(CI) if one.run.split()[1] not in ELSEWHERE]
    assert {"make setup", "make lint", "make lint-workflows"} <= set(run)
    for command in dict.fromkeys(run):
        # mypy takes what it knows of unchanged files from the run before the tests.
        print(step(clone, command, MYPY_CACHE_DIR=str(project.ROOT / ".mypy_cache")))
