"""The one promoter: git's tags and MLflow's alias name the same champion, or it says what is left.

Git's tags decide. Every step may be done again, so a command that ended half way is completed by
running it again. A promotion writes git before MLflow, a rollback MLflow before git: wherever one
of them ends, what a rollback goes back to is the same.
"""

import logging
from dataclasses import dataclass

from api.errors import ProductCodeError
from stages.promotion import registry
from stages.promotion.aliases import AliasError, Aliases
from stages.promotion.git import GitError, git
from stages.promotion.registry import Part, Version
from stages.promotion.revisions import SHORT, Revision

AGAIN = "run the same command again to finish"

logger = logging.getLogger(__name__)


class PromotionError(ProductCodeError):
    """Nothing was changed, or half of it, as the message says."""


@dataclass(frozen=True)
class Targets:
    """Where a champion is made known: MLflow unless left out, a git remote if given."""

    mlflow: bool = True
    remote: str | None = None


def promote(candidate: Revision, part: Part, reason: str, targets: Targets) -> Version:
    """Registers a candidate and makes it the champion.

    Args:
        candidate: A revision that passed the gate.
        part: Of the version, to be raised.
        reason: Written into the tags.
        targets: Where.

    Raises:
        PromotionError: MLflow or the remote failed; says what is done.
    """
    before = registry.champion()
    version = registry.register(candidate.sha, part, f"{reason}; bundle {candidate.version}")
    logger.info("git: %s is %s, bundle %s", version.name, version.sha[:SHORT], version.bundle)
    registry.make_champion(version, reason)
    logger.info("git: champion is %s, was %s", version.name, before.name if before else "none")
    _alias(version, targets, f"git says champion {version.name}, MLflow does not yet")
    _push(targets)
    return version


def rollback(to: str | None, targets: Targets) -> Version:
    """Makes the champion before the present one the champion again, or the version `to`.

    Raises:
        PromotionError: There is none to go back to, or MLflow or the remote failed.
    """
    version = registry.get(to) if to else _previous()
    _alias(version, targets, "nothing was changed")
    registry.make_champion(version, f"Roll back to {version.name}")
    logger.info("git: champion is %s again", version.name)
    _push(targets)
    return version


def sync(targets: Targets) -> Version:
    """Makes MLflow's alias say what git's tags say.

    Raises:
        PromotionError: There is no champion, or MLflow or the remote failed.
    """
    version = registry.champion()
    if version is None:
        raise PromotionError("no champion yet: `python -m stages.promote promote` makes the first")
    _alias(version, targets, f"git says champion {version.name}, MLflow does not yet")
    _push(targets)
    return version


def check_tags_are_here() -> None:
    """Refuses to judge by tags that are older than those of `origin`.

    A clone without tags would find no champion, and promote anything.

    Raises:
        PromotionError: Tags are missing.
    """
    if "origin" not in git("remote").split():
        return
    try:
        missing = registry.missing_from("origin")
    except GitError as error:
        logger.warning("origin does not answer, its tags may be newer: %s", error)
        return
    if missing:
        raise PromotionError(
            f"origin has tags that are not here ({', '.join(missing[:3])}): run `git fetch --tags`"
        )


def _previous() -> Version:
    stack = registry.champions()
    if len(stack) < 2:  # noqa: PLR2004  the present one and one before
        said = f"{stack[0].name} is the first champion" if stack else "no champion yet"
        raise PromotionError(f"{said}: nothing to roll back to; --to names another version")
    return stack[-2]


def _alias(version: Version, targets: Targets, state: str) -> None:
    if not targets.mlflow:
        logger.warning("MLflow left out; `python -m stages.promote sync` makes it follow")
        return
    try:
        aliases = Aliases()
        number = aliases.ensure(Revision.read(version.sha))
        aliases.make_champion(number, version.name)
    except ProductCodeError as error:
        raise PromotionError(
            f"{state}: {error}; {AGAIN}, or leave MLflow out by --git-only"
        ) from error
    logger.info("MLflow: version %s has the alias %s", number, registry.STAGE)


def _push(targets: Targets) -> None:
    if targets.remote is None:
        logger.info("tags are in this clone only; --push sends them")
        return
    try:
        registry.push(targets.remote)
    except GitError as error:
        raise PromotionError(
            f"the champion is made here, but {targets.remote} does not have the tags: {error}; "
            f"{AGAIN}"
        ) from error
    logger.info("tags are on %s", targets.remote)


@dataclass(frozen=True)
class Status:
    """What both stores call the champion; `mlflow` is its bundle."""

    champion: Version | None
    previous: Version | None
    mlflow: str | None
    problem: str | None

    @property
    def agree(self) -> bool:
        """Whether they name the same bundle."""
        return self.problem is None and self.mlflow == (self.champion and self.champion.bundle)


def status() -> Status:
    """Asks both stores; an MLflow that doesn't answer is a problem, not an error."""
    stack = registry.champions()
    mlflow, problem = None, None
    try:
        mlflow = Aliases().champion()
    except AliasError as error:
        problem = str(error)
    return Status(stack[-1] if stack else None, stack[-2] if stack[1:] else None, mlflow, problem)
