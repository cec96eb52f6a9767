"""The gate: whether a candidate may replace the champion, criterion by criterion."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.params import Frozen
from stages.promotion import common_rows
from stages.promotion.costs import Cost, costs
from stages.promotion.criteria import Criterion, PromotionParams, floors, quality
from stages.promotion.revisions import BENCHMARK, MACHINE, Revision, RevisionError


class Params(Frozen):
    """What the gate reads of params.yaml: that of the checkout it runs in."""

    promotion: PromotionParams


@dataclass(frozen=True)
class Verdict:
    """What was judged, on which rows, and each criterion."""

    champion: Revision | None
    candidate: Revision
    rows: str
    criteria: Sequence[Criterion]

    @property
    def passed(self) -> bool:
        """Whether every criterion did."""
        return all(criterion.passed for criterion in self.criteria)

    @property
    def failed(self) -> list[str]:
        """Names of the criteria that did not pass."""
        return [criterion.name for criterion in self.criteria if not criterion.passed]


def judge(champion: Revision | None, candidate: Revision, params: PromotionParams) -> Verdict:
    """Compares on rows that neither was trained on, and holds the costs against the budgets.

    Without a champion there is nothing to compare with: floors and budgets decide alone.

    Raises:
        RevisionError: A revision lacks figures.
        TrackedError: Predictions or data are in neither the cache nor the remote.
        CommonRowsError: No row was held out from both.
    """
    paid = costs(_cost(champion) if champion else None, _cost_of(candidate), params.budgets)
    if champion is None:
        with tempfile.TemporaryDirectory(prefix="compare-") as folder:
            mine = common_rows.answers(candidate, Path(folder))
        said = f"no champion yet: nothing to compare with; {len(mine.row)} held-out rows"
        return Verdict(None, candidate, said, [floors(mine, params), *paid])
    compared = common_rows.compare(champion, candidate)
    judged = [*quality(compared.pair, params), floors(compared.candidate, params), *paid]
    return Verdict(champion, candidate, compared.rows, judged)


def _cost_of(revision: Revision) -> Cost:
    benchmark, machine = revision.metrics(BENCHMARK), revision.metrics(MACHINE)
    try:
        return Cost.of(benchmark, machine)
    except (KeyError, TypeError) as error:
        raise RevisionError(
            f"{BENCHMARK} of {revision.short} has no {error}: run `dvc repro benchmark`"
        ) from error


def _cost(champion: Revision) -> Cost | None:
    """The champion's, None where it was never measured: the budgets alone hold then."""
    try:
        return _cost_of(champion)
    except RevisionError:
        return None


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict for programs."""
    return {
        "passed": verdict.passed,
        "champion": verdict.champion and _named(verdict.champion),
        "candidate": _named(verdict.candidate),
        "rows": verdict.rows,
        "criteria": [asdict(criterion) for criterion in verdict.criteria],
    }


def _named(revision: Revision) -> dict[str, str]:
    return {"name": revision.name, "commit": revision.sha, "model_version": revision.version}


def as_markdown(verdict: Verdict) -> str:
    """The verdict for people: a line, where the rows come from, a table."""
    against = f"against champion {verdict.champion.short}" if verdict.champion else "first champion"
    said = "passes" if verdict.passed else f"is refused: {', '.join(verdict.failed)}"
    lines = [
        f"Candidate {verdict.candidate.short}, {against}: {said}",
        f"Rows: {verdict.rows}",
        "",
        "| criterion | champion | candidate | verdict | why | equal one refused |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, verdict.criteria)])


def _line(criterion: Criterion) -> str:
    numbers = [
        "" if value is None else f"{value:.4g}"
        for value in (criterion.champion, criterion.candidate)
    ]
    chance = criterion.equal_refused
    cells = [
        criterion.name,
        *numbers,
        "pass" if criterion.passed else "FAIL",
        criterion.reason,
        "" if chance is None else f"{chance:.0%}",
    ]
    return f"| {' | '.join(cells)} |"
