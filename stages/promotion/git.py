"""The few git commands that promotion needs, run in the project's root."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.errors import ProductCodeError

SECONDS = 300  # of a command; a push of tags or a checkout takes a few


class GitError(ProductCodeError):
    """git refused; the message ends with what it said."""


def git(*arguments: str, folder: Path = Path()) -> str:
    """Output of a git command, without its last newline.

    Raises:
        GitError: It failed, or there is no git.
    """
    return _output(arguments, folder).removesuffix("\n")


def _output(arguments: tuple[str, ...], folder: Path = Path()) -> str:
    try:
        done = subprocess.run(  # noqa: S603  arguments are revisions and paths of this project
            ["git", *arguments],  # noqa: S607  git is found on the path, as by DVC
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        )
    except FileNotFoundError as error:
        raise GitError(f"git can't be run in {folder.resolve()}: install git") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"exit code {error.returncode}"
        raise GitError(f"`git {' '.join(arguments)}`: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"`git {' '.join(arguments)}` took more than {SECONDS} s") from error
    return done.stdout


def commit(name: str) -> str | None:
    """The full hash of the commit that a name stands for, None if it stands for none."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitError:
        return None


def show(revision: str, path: str) -> str | None:
    """A file's text at a revision, None where it isn't there."""
    try:
        return _output(("show", f"{revision}:{path}"))
    except GitError:
        return None


def experiments() -> dict[str, list[tuple[str, str]]]:
    """DVC's experiments by name: (commit, the commit it started from) of each one so named.

    DVC keeps them as refs/exps/<two digits>/<the other 38 of the start>/<name>.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    listed = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    for line in filter(None, listed.split("\n")):
        sha, _, ref = line.partition(" ")
        first, rest, *name = ref.split("/")[2:]
        start = first + rest
        if name and len(start) == len(sha) and set(start) <= set("0123456789abcdef"):
            found.setdefault("/".join(name), []).append((sha, start))
    return found


@contextmanager
def worktree(revision: str, *options: str) -> Iterator[Path]:
    """A temporary checkout of a revision, apart from the one that is worked in.

    Args:
        revision: The commit to lay out.
        options: Of `git worktree add`; without any, no branch is made.
    """
    with tempfile.TemporaryDirectory(prefix="worktree-") as parent:
        folder = Path(parent) / "project"
        git("worktree", "add", "--quiet", *(options or ("--detach",)), str(folder), revision)
        try:
            yield folder
        finally:
            git("worktree", "remove", "--force", str(folder))
