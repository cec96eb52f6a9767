"""Decides whether a model may be served, makes it the champion, and goes back.

`python -m stages.promote check REV` judges, `promote REV` judges and promotes, `rollback` goes back
to the champion before, `status` says which is served, `sync` makes MLflow follow git's tags.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from api.errors import ProductCodeError
from stages.params import ParamsError, load
from stages.promotion import gate, promoter, registry
from stages.promotion.common_rows import CommonRowsError
from stages.promotion.gate import Params, Verdict
from stages.promotion.promoter import Targets
from stages.promotion.revisions import Revision, RevisionError

REFUSED, MISUSED = 1, 2

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 passed or done, 1 refused or half done, 2 not to be judged."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(message)s", force=True)
    for noisy in ("alembic", "mlflow", "dvc", "dvc_data"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    given = parser().parse_args(arguments)
    try:
        code: int = given.run(given)
    except (RevisionError, ParamsError, CommonRowsError) as error:
        logger.error("%s", error)
        return MISUSED
    except ProductCodeError as error:
        logger.error("%s", error)
        return REFUSED
    return code


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    made = argparse.ArgumentParser(prog="python -m stages.promote", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    _judging(commands.add_parser("check", help="judges a candidate"), check)
    promoting = commands.add_parser("promote", help="judges a candidate, and promotes it")
    _judging(promoting, promote)
    _targets(promoting)
    promoting.add_argument(
        "--bump", choices=("major", "minor", "patch"), default="minor", help="of the version"
    )
    promoting.add_argument(
        "--despite", metavar="REASON", help="promotes what is refused; written into the tag"
    )
    back = commands.add_parser("rollback", help="makes the champion before it champion again")
    back.add_argument("--to", metavar="VERSION", help="such as v1.0.0; default: the one before")
    _targets(back)
    back.set_defaults(run=rollback)
    follow = commands.add_parser("sync", help="makes MLflow's alias say what git's tags say")
    _targets(follow)
    follow.set_defaults(run=sync)
    shown = commands.add_parser("status", help="says what is champion, and whether stores agree")
    shown.add_argument("--output", type=Path, metavar="JSON")
    shown.set_defaults(run=status)
    return made


def _judging(command: argparse.ArgumentParser, run: Any) -> None:
    command.add_argument(
        "revision", nargs="?", default="HEAD", metavar="REV", help="commit, branch or experiment"
    )
    command.add_argument("--champion", metavar="REV", help="default: what the tags say")
    command.add_argument("--output", type=Path, metavar="JSON", help="the verdict for programs")
    command.set_defaults(run=run)


def _targets(command: argparse.ArgumentParser) -> None:
    command.add_argument("--git-only", action="store_true", help="leaves MLflow as it is")
    command.add_argument("--push", nargs="?", const="origin", metavar="REMOTE", help="sends tags")


def check(given: argparse.Namespace) -> int:
    """Judges; changes nothing."""
    return 0 if _judge(given).passed else REFUSED


def promote(given: argparse.Namespace) -> int:
    """Judges, and promotes what passed or what a reason is given for."""
    verdict = _judge(given)
    reason = f"Passed the gate on {verdict.rows}"
    if not verdict.passed:
        if not given.despite:
            logger.error("not promoted; --despite REASON promotes it all the same")
            return REFUSED
        reason = f"Promoted despite {', '.join(verdict.failed)}: {given.despite}"
    promoter.promote(verdict.candidate, given.bump, reason, _to(given))
    return 0


def rollback(given: argparse.Namespace) -> int:
    """Goes back."""
    promoter.check_tags_are_here()
    promoter.rollback(given.to, _to(given))
    return 0


def sync(given: argparse.Namespace) -> int:
    """Makes MLflow follow."""
    promoter.check_tags_are_here()
    promoter.sync(_to(given))
    return 0


def status(given: argparse.Namespace) -> int:
    """Both stores."""
    found = promoter.status()
    _write(given.output, {**asdict(found), "agree": found.agree})
    for name, version in (("champion", found.champion), ("before it", found.previous)):
        said = (
            f"{version.name}, commit {version.sha[:10]}, bundle {version.bundle}"
            if version
            else "none"
        )
        print(f"{name}: {said}")
    if found.problem:
        print(f"MLflow does not say: {found.problem}")
    elif found.agree:
        print("MLflow agrees")
    else:
        print(f"MLflow has {found.mlflow or 'no champion'}: `python -m stages.promote sync`")
    return 0 if found.agree else REFUSED


def _judge(given: argparse.Namespace) -> Verdict:
    params = load(Params).promotion
    candidate = Revision.read(given.revision)
    if given.champion:
        champion: Revision | None = Revision.read(given.champion)
    else:
        promoter.check_tags_are_here()
        found = registry.champion()
        champion = Revision.read(found.sha) if found else None
    verdict = gate.judge(champion, candidate, params)
    print(gate.as_markdown(verdict))
    _write(given.output, gate.as_json(verdict))
    return verdict


def _to(given: argparse.Namespace) -> Targets:
    return Targets(mlflow=not given.git_only, remote=given.push)


def _write(path: Path | None, content: dict[str, Any]) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
