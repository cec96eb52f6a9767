"""The first line of the report: what the change does to the model, in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stages.paired import Difference
from stages.report.answers import Answers
from stages.report.markdown import signed
from stages.report.quality import DECIDING, NAMES, Differences


class Outcome(StrEnum):
    """What a change can turn out to be."""

    FAILED = "Not finished"
    FIRST = "First run"
    SAME = "No change"
    UNKNOWN = "Not comparable"
    BETTER = "Better"
    WORSE = "Worse"
    MIXED = "Mixed"
    UNDECIDED = "No clear difference"


@dataclass(frozen=True)
class Verdict:
    """An outcome, and what it rests on."""

    outcome: Outcome
    reason: str

    def __str__(self) -> str:
        """The line as Markdown."""
        return f"**{self.outcome}.** {self.reason}"


def failed(stages: Sequence[str]) -> Verdict:
    """Some stages have not run on what is in this revision."""
    return Verdict(
        Outcome.FAILED,
        f"dvc.lock is out of date with this revision in: {', '.join(stages)}. Figures that come "
        "from there are of an earlier state; run `dvc repro`.",
    )


def decide(found: Differences, answers: Answers) -> Verdict:
    """By the intervals of weighted and macro F1: a difference counts if its interval excludes 0."""
    directions = {_direction(found[name]) for name in DECIDING}
    figures = "; ".join(_figure(NAMES[name], found[name]) for name in DECIDING)
    where = f" on the same {len(answers.rows):,} products"
    if not answers.whole:
        where += ", the only ones that compare (the held-out split or its labels changed)"
    if not any(directions):
        outcome = Outcome.UNDECIDED
    elif {-1, 1} <= directions:
        outcome = Outcome.MIXED
    else:
        outcome = Outcome.BETTER if 1 in directions else Outcome.WORSE
    return Verdict(outcome, f"{figures}{where}.")


def _direction(difference: Difference) -> int:
    return int(difference.low > 0) - int(difference.high < 0)


def _figure(name: str, found: Difference) -> str:
    return (
        f"{name} {found.before:.3f} → {found.after:.3f} ({signed(found.difference)}, "
        f"95 % interval {signed(found.low)} to {signed(found.high)})"
    )
