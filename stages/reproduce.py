"""`python -m stages.reproduce`: runs what a change needs, on a clone that may have no data at all.

- Nothing to run: nothing is fetched either.
- A remote that answers: inputs of what has to run are pulled, the rest is left where it is.
- No remote, as for pull requests from forks: DVC's cache gives what it has, the rest is computed.

Stages that don't depend on a failed one run all the same, so that a report can tell of them.
"""

import subprocess
import sys
from pathlib import Path

from dvc.repo import Repo

from api.errors import ProductCodeError
from stages.report import pending

ROOT = Path()
PULL = ["--pull", "--allow-missing"]


def main() -> int:
    """Runs DVC; its exit code."""
    if not (names := pending.stages(ROOT)):
        print("dvc.lock is of this code, data and parameters: nothing to run")
        return 0
    print(f"To run: {', '.join(names)}", flush=True)
    reason = unreachable(ROOT)
    if reason is not None:
        print(f"Without a remote ({reason})", flush=True)
        return repro()
    code = repro(*PULL)
    if code and (lacking := missing_inputs(ROOT)):
        print(f"The remote lacks {', '.join(lacking)}", flush=True)
        code = repro()
    return code


def repro(*options: str) -> int:
    """`dvc repro` of everything that can run."""
    command = [sys.executable, "-m", "dvc", "repro", "--keep-going", *options]
    return subprocess.run(command, check=False, cwd=ROOT).returncode  # noqa: S603  options above


def unreachable(root: Path) -> str | None:
    """Why the default remote can't be read; None if it can."""
    try:
        with Repo(str(root)) as repo:
            remote = repo.cloud.get_remote_odb()
            remote.fs.exists(remote.path)
    except Exception as error:  # noqa: BLE001  a remote raises what its own library does
        return str(error).splitlines()[0]
    return None


def missing_inputs(root: Path) -> list[str]:
    """Inputs of waiting stages that are not here though no waiting stage makes them."""
    waiting = set(pending.stages(root))
    with Repo(str(root)) as repo:
        stages = [stage for stage in repo.index.stages if stage.name in waiting]
        made = {out.fs_path for stage in stages for out in stage.outs}
        inputs = {dep.fs_path for stage in stages for dep in stage.deps} - made
    absent = (Path(path) for path in sorted(inputs) if not Path(path).exists())
    return [path.relative_to(root.resolve()).as_posix() for path in absent]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ProductCodeError as error:
        sys.exit(f"ERROR   {error}")
