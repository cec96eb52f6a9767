"""Makes a DVC experiment a branch whose conf/ and params.yaml agree.

`python -m stages.experiment_pr EXPERIMENT [BRANCH]`; the branch is called exp/EXPERIMENT otherwise.
`dvc exp apply` brings an experiment's params.yaml and leaves conf/ as it was, so the next
`dvc exp run` would undo it. The working tree and the branch it is on stay as they are.
"""

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from api.errors import ProductCodeError
from stages.compose import compose
from stages.params import PARAMS_FILE
from stages.promotion import conf_values, git
from stages.promotion.revisions import BENCHMARK, EVALUATION

CONF = "conf"
SHOWN = (
    (EVALUATION, ("fused", "macro_f1")),
    (EVALUATION, ("fused", "weighted_f1")),
    (EVALUATION, ("fused", "negative_log_likelihood")),
    (EVALUATION, ("fused", "expected_calibration_error")),
    (BENCHMARK, ("latency", "p50_ms")),
    (BENCHMARK, ("size", "bundle_mb")),
)

logger = logging.getLogger(__name__)


class ExperimentError(ProductCodeError):
    """An experiment that can't become a branch; no branch was made."""


def main(experiment: str, branch: str | None = None) -> str:
    """Makes the branch and says what to do with it.

    Raises:
        ExperimentError: There is no such experiment, or the branch exists.
        ConfError: conf/ can't be made to compose into the experiment's parameters.
    """
    branch = branch or f"exp/{experiment}"
    sha, start = find(experiment)
    if git.commit(f"refs/heads/{branch}"):
        raise ExperimentError(f"branch {branch} exists: name another one by BRANCH=...")
    with git.worktree(start) as folder:
        git.git("read-tree", "-u", "--reset", sha, folder=folder)
        changed = agree(folder)
        git.git("add", "--all", folder=folder)
        git.git(
            "commit",
            "--quiet",
            "--no-verify",
            "-m",
            message(experiment, sha, start, changed),
            folder=folder,
        )
        made = git.git("rev-parse", "HEAD", folder=folder)
    git.git("branch", branch, made)
    logger.info("branch %s is %s\n%s", branch, made[:10], git.git("log", "-1", "--format=%B", made))
    logger.info("open it: git push -u origin %s && dvc push --all-branches", branch)
    return branch


def find(experiment: str) -> tuple[str, str]:
    """Its commit, and the commit it started from.

    Raises:
        ExperimentError: None, or several, are so named.
    """
    known = git.experiments()
    found = known.get(experiment, [])
    if len(found) > 1:
        starts = ", ".join(start[:10] for _, start in found)
        raise ExperimentError(
            f"{experiment} is the name of {len(found)} experiments, started from {starts}: "
            "remove or rename one of them (`dvc exp rename`)"
        )
    if not found:
        raise ExperimentError(
            f"no experiment is called {experiment}; there are {sorted(known) or 'none'}"
        )
    return found[0]


def agree(folder: Path) -> list[str]:
    """Changes conf/ of a checkout so that it composes into its params.yaml; says what changed."""
    file = folder / PARAMS_FILE
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    changed = conf_values.write(folder / CONF, wanted)
    compose(file, [], folder / CONF)  # the same values, in the order that conf/ has
    return changed


def message(experiment: str, sha: str, start: str, changed: list[str]) -> str:
    """What was changed, and what it did to the figures."""
    lines = [f"Apply experiment {experiment}", "", *(f"- {each}" for each in changed)]
    if not changed:
        lines.append("- no parameter, code or data alone")
    lines += ["", f"Figures before, at {start[:10]}, and after:"]
    before, after = figures(start), figures(sha)
    for name, value in after.items():
        lines.append(f"- {name}: {_number(before.get(name))} -> {_number(value)}")
    return "\n".join([*lines, "", f"Experiment: {sha}"])


def figures(revision: str) -> dict[str, float]:
    """The figures that a message shows, of a revision that has them."""
    found = {}
    for path, keys in SHOWN:
        value: Any = json.loads(git.show(revision, path) or "{}")
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            found[" ".join(keys)] = float(value)
    return found


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s")
    names = [name for name in sys.argv[1:] if name]
    if len(names) not in (1, 2):
        sys.exit("usage: make experiment-pr EXP=name [BRANCH=name]")
    try:
        main(*names)
    except ProductCodeError as failure:
        logger.error("%s", failure)
        sys.exit(1)
