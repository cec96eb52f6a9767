"""Versions and the champion as GTO's annotated git tags, which `dvc artifacts` reads too.

`product-code-classifier@v1.2.0` registers a version, `product-code-classifier#champion#3` makes it
the champion: the third time that one was made, so a rollback is a tag more and none less.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from gto import api as gto

from api.errors import ProductCodeError
from stages.promotion import git
from stages.promotion.revisions import LOCK, bundle_in, stages_of

ARTIFACT = "product-code-classifier"  # of dvc.yaml
STAGE = "champion"
FIRST = "v1.0.0"
VERSION = re.compile(r"v\d+\.\d+\.\d+")
Part = Literal["major", "minor", "patch"]


class RegistryError(ProductCodeError):
    """The tags don't allow what was asked for."""


@dataclass(frozen=True)
class Version:
    """A registered version, `v1.2.0`, its commit, and the md5 of its bundle."""

    name: str
    sha: str
    bundle: str


def versions() -> dict[str, Version]:
    """Every registered version by name."""
    found: dict[str, Version] = {}
    for tag, sha in _tags(f"{ARTIFACT}@*").items():
        _, _, name = tag.partition("@")
        if VERSION.fullmatch(name):
            found[name] = Version(name, sha, _bundle(sha))
    return found


def champions() -> list[Version]:
    """The champions that a rollback can go back to, the present one last.

    A version that is made champion again takes the place it had: what came after it is undone.
    """
    by_sha = {version.sha: version for version in versions().values()}
    stack: list[Version] = []
    for sha in _assigned().values():
        version = by_sha.get(sha) or Version(sha[:10], sha, _bundle(sha))
        stack = stack[: stack.index(version)] if version in stack else stack
        stack.append(version)
    return stack


def champion() -> Version | None:
    """The present champion, None before the first."""
    stack = champions()
    return stack[-1] if stack else None


def register(sha: str, part: Part, message: str) -> Version:
    """The version of a commit; a new one if its bundle has none yet."""
    bundle, known = _bundle(sha), versions()
    for version in known.values():
        if version.bundle == bundle:
            return version
    name = _next([*known], part)
    with _refusals():
        gto.register(".", ARTIFACT, sha, version=name, message=message)
    return Version(name, sha, bundle)


def make_champion(version: Version, message: str) -> None:
    """Assigns the stage, unless the version has it."""
    if champion() != version:
        with _refusals():
            gto.assign(".", ARTIFACT, STAGE, ref=version.sha, message=message, force=True)


def get(name: str) -> Version:
    """A version by its name.

    Raises:
        RegistryError: There is none of that name.
    """
    known = versions()
    if name not in known:
        raise RegistryError(f"{name} is no version of {ARTIFACT}; there are {[*known] or 'none'}")
    return known[name]


def missing_from(remote: str) -> list[str]:
    """Tags of the artifact that a remote has and this clone lacks.

    Raises:
        GitError: The remote doesn't answer.
    """
    listed = git.git("ls-remote", "--tags", "--refs", remote, f"refs/tags/{ARTIFACT}*")
    theirs = {line.split("refs/tags/", 1)[1] for line in listed.splitlines()}
    return sorted(theirs - {*_tags(f"{ARTIFACT}*")})


def push(remote: str) -> None:
    """Sends the artifact's tags; those that the remote has are left alone."""
    git.git("push", "--quiet", remote, f"refs/tags/{ARTIFACT}*:refs/tags/{ARTIFACT}*")


@contextmanager
def _refusals() -> Iterator[None]:
    """What GTO or git refuses, such as a tag without an author."""
    try:
        yield
    except Exception as error:  # GTO's, scmrepo's and pygit2's have no common base
        raise RegistryError(
            f"git tag of {ARTIFACT} refused: {error}; set user.name and user.email of git if they "
            "are missing"
        ) from error


def _tags(pattern: str) -> dict[str, str]:
    """Commits by tag."""
    listed = git.git(
        "for-each-ref",
        "--format=%(refname:strip=2) %(objectname) %(*objectname)",
        f"refs/tags/{pattern}",
    )
    parts = [line.split() for line in listed.splitlines()]
    return {tag: shas[-1] for tag, *shas in parts}


def _assigned() -> dict[int, str]:
    """Commits by the number of their assignment, in order; times of tags have whole seconds."""
    found = {}
    for tag, sha in _tags(f"{ARTIFACT}#{STAGE}#*").items():
        number = tag.rpartition("#")[2]
        if number.isdigit():
            found[int(number)] = sha
    return dict(sorted(found.items()))


def _bundle(sha: str) -> str:
    return bundle_in(stages_of(git.show(sha, LOCK) or "")) or "none"


def _next(names: list[str], part: Part) -> str:
    if not names:
        return FIRST
    major, minor, patch = max(tuple(map(int, name[1:].split("."))) for name in names)
    bumped = {
        "major": (major + 1, 0, 0),
        "minor": (major, minor + 1, 0),
        "patch": (major, minor, patch + 1),
    }[part]
    return "v{}.{}.{}".format(*bumped)
