"""What a candidate has to satisfy: each criterion judges, and says in words why."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from pydantic import Field

from stages.paired import Difference, compare
from stages.params import Frozen
from stages.promotion.answers import Answers, Pair

NORMAL = NormalDist()
TITLES = {
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "negative_log_likelihood": "calibration (negative log-likelihood)",
}
LOWER_IS_BETTER = {"negative_log_likelihood"}


class Margins(Frozen):
    """By how much each figure may be worse in truth."""

    macro_f1: float = Field(gt=0, le=1)
    weighted_f1: float = Field(gt=0, le=1)
    negative_log_likelihood: float = Field(gt=0)


class Budgets(Frozen):
    """What a bundle may cost, in itself and against the champion's."""

    latency_p50_ms: float = Field(gt=0)
    latency_ratio: float = Field(ge=1)
    bundle_mb: float = Field(gt=0)
    bundle_ratio: float = Field(ge=1)


class PromotionParams(Frozen):
    """The section `promotion`."""

    error_rate: float = Field(gt=0, lt=0.5)
    resamples: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0)
    rows: int = Field(ge=1)
    margins: Margins
    class_floor: float = Field(ge=0, le=1)
    class_rows: int = Field(ge=1)
    budgets: Budgets


@dataclass(frozen=True)
class Criterion:
    """One judgement; `equal_refused` is how often chance refuses an equally good candidate."""

    name: str
    passed: bool
    champion: float | None
    candidate: float | None
    reason: str
    equal_refused: float | None = None


def quality(pair: Pair, params: PromotionParams) -> list[Criterion]:
    """Enough rows, and no figure worse than its margin allows.

    Each figure is a test of non-inferiority at the error rate. The candidate has to pass all of
    them, so one that is worse by a margin in any passes at most that often.

    Source: Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, Technometrics 1982.
    """
    found = compare(
        pair.truth,
        pair.before,
        pair.after,
        params.resamples,
        params.seed,
        level=1 - 2 * params.error_rate,
    )
    rows = len(pair.truth)
    enough = Criterion("rows", rows >= params.rows, None, rows, f"{params.rows} rows are needed")
    margins: dict[str, float] = params.margins.model_dump()
    return [enough, *(not_worse(name, found[name], margins[name], params) for name in margins)]


def not_worse(name: str, found: Difference, margin: float, params: PromotionParams) -> Criterion:
    """Whether the bootstrap rules out that a figure is worse by more than the margin."""
    sign = 1 if name in LOWER_IS_BETTER else -1
    lost = sign * found.difference
    at_worst, at_best = sorted((sign * found.low, sign * found.high), reverse=True)
    passed = at_worst < margin
    sure = f"{1 - params.error_rate:.0%} sure"
    reason = f"worse by {at_worst if at_worst > 0 else 0:.3f} at most ({sure}), {margin:g} allowed"
    if not passed and at_best > 0:
        reason = f"worse by {lost:.3f}, perhaps by {at_worst:.3f} ({sure}), {margin:g} allowed"
    elif not passed:
        reason = (
            f"worse by {lost:.3f} here, which may be chance, but {at_worst:.3f} can't be ruled out "
            f"({sure}), {margin:g} allowed: more held-out rows would tell"
        )
    wrongly = refused_by_chance(found, margin, params.error_rate)
    return Criterion(name, passed, found.before, found.after, reason, wrongly)


def refused_by_chance(found: Difference, margin: float, error_rate: float) -> float:
    """How often a candidate of the same quality would not pass, were its answers as different."""
    z = NORMAL.inv_cdf(1 - error_rate)
    deviation = (found.high - found.low) / (2 * z)
    return 1 - NORMAL.cdf(margin / deviation - z) if deviation else 0.0


def floors(answers: Answers, params: PromotionParams) -> Criterion:
    """Whether a class with enough rows falls below the floor."""
    scores = class_scores(answers)
    judged = {code: f1 for code, (f1, rows) in scores.items() if rows >= params.class_rows}
    low = {code: f1 for code, f1 in judged.items() if f1 < params.class_floor}
    said = (
        f"F1 of every class is {params.class_floor:g} or more"
        if not low
        else "F1 below {:g}: {}".format(
            params.class_floor,
            ", ".join(f"{code} {f1:.3f} ({scores[code][1]} rows)" for code, f1 in low.items()),
        )
    )
    left = len(scores) - len(judged)
    said += f"; {left} classes of fewer than {params.class_rows} rows not judged" if left else ""
    return Criterion("class_floor", not low, None, min(judged.values(), default=None), said)


def class_scores(answers: Answers) -> dict[int, tuple[float, int]]:
    """F1 and rows of each class that the rows have."""
    codes, at = np.unique(answers.code, return_inverse=True)
    rows = np.bincount(at)
    hits = np.bincount(at, weights=answers.code == answers.predicted)
    chosen = np.array([(answers.predicted == code).sum() for code in codes])
    f1 = 2 * hits / (rows + chosen)
    return {int(code): (float(f1[i]), int(rows[i])) for i, code in enumerate(codes)}
