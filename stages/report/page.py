"""The whole report: a verdict, then sections that each say so if they can't be shown."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from api.errors import ProductCodeError
from stages.report import (
    changes,
    classes,
    cost,
    drift,
    examples,
    pending,
    pictures,
    quality,
    receipt,
    speed,
    verdict,
)
from stages.report.answers import PREDICTIONS, PREPROCESSED, Answers, NotComparableError, pair
from stages.report.markdown import folded
from stages.report.revision import Revision, UnavailableError
from stages.report.verdict import Outcome, Verdict

EVALUATED = "metrics/evaluate/metrics.json"
SAME = "Predictions are those of the base, byte for byte."
UNCOMMITTED = (
    "> **dvc.lock is not committed as it is now** (it differs in {}): run `make repro` and commit "
    "dvc.lock and metrics, else the next branch starts from a lock that is out of date."
)
SYNTHETIC = (
    "> **Synthetic data.** The products were generated: no figure here says anything about real "
    "products."
)


@dataclass(frozen=True)
class Report:
    """A change, and where its pictures go."""

    before: Revision
    after: Revision
    folder: Path

    @cached_property
    def figures(self) -> dict[str, Any]:
        """What `evaluate` measured of this revision."""
        text = self.after.text(EVALUATED)
        if text is None:
            raise UnavailableError(f"{EVALUATED} not found: run `dvc repro evaluate`")
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def first(self) -> bool:
        """Whether the base was never evaluated."""
        return self.before.lock.md5(PREDICTIONS) is None

    @cached_property
    def same(self) -> bool:
        """Whether both revisions gave the same predictions."""
        hashes = [side.lock.md5(PREDICTIONS) for side in (self.before, self.after)]
        return hashes[0] == hashes[1] is not None

    @cached_property
    def answers(self) -> Answers:
        """What both answered to the same products."""
        return pair(self.before, self.after)

    @cached_property
    def differences(self) -> quality.Differences:
        """Figures of both on the same products."""
        return quality.differences(self.answers, self.after.params)

    @cached_property
    def pending(self) -> list[str]:
        """Stages that have yet to run."""
        return pending.stages(self.after.root)

    def verdict(self) -> Verdict:
        """The first line."""
        if self.pending:
            return verdict.failed(self.pending)
        if self.first:
            return Verdict(Outcome.FIRST, "The base has no evaluated bundle to compare with.")
        if self.same:
            return Verdict(Outcome.SAME, SAME)
        try:
            return verdict.decide(self.differences, self.answers)
        except NotComparableError as error:
            return Verdict(Outcome.UNKNOWN, f"{error}.")
        except UnavailableError as error:
            return Verdict(Outcome.UNKNOWN, f"{error}. {self._recorded()}")

    def _recorded(self) -> str:
        """What git alone can tell of the two: the recorded figures, if they are of one split."""
        text = self.before.text(EVALUATED)
        hashes = [side.lock.md5(PREPROCESSED) for side in (self.before, self.after)]
        if text is None or hashes[0] != hashes[1]:
            return "Recorded figures are of different splits and do not compare."
        then, now = (
            figures["fused"]["weighted_f1"] for figures in (json.loads(text), self.figures)
        )
        return f"Recorded weighted F1: {then:.3f} → {now:.3f}, without an interval."


def write(report: Report) -> Verdict:
    """Writes report.md and its pictures.

    Returns:
        verdict: Its first line.
    """
    report.folder.mkdir(parents=True, exist_ok=True)
    found = report.verdict()
    parts = [
        "# What this change does to the model",
        str(found),
        f"The base is commit {report.before}.",
        *_notices(report),
        *(_section(title, body) for title, body in _sections(report)),
    ]
    (report.folder / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return found


def _notices(report: Report) -> Iterator[str]:
    if names := changes.uncommitted(report.after):
        yield UNCOMMITTED.format(", ".join(names))
    try:
        if report.figures.get("synthetic"):
            yield SYNTHETIC
    except ProductCodeError:
        return


def _section(title: str, body: Callable[[], str]) -> str:
    """A heading and its text, or the reason why there is none."""
    try:
        text = body()
    except ProductCodeError as error:
        text = f"Not shown: {error}."
    return f"## {title}\n\n{text}"


def _sections(report: Report) -> Iterator[tuple[str, Callable[[], str]]]:
    before, after, folder = report.before, report.after, report.folder
    if report.pending:
        yield "Stages that did not finish", lambda: pending.render(after.root, report.pending)
    yield "Quality", lambda: _quality(report)
    if not (report.first or report.same):
        yield "Classes", lambda: classes.render(report.answers)
        yield "Most changed predictions", lambda: examples.render(report.answers, after, folder)
        yield "Confusion", lambda: pictures.confusions(report.answers, folder)
        yield "Curves", lambda: pictures.curves(before, after, report.answers, folder)
    measured = None if report.first else before
    yield "Latency and size", lambda: speed.render(measured, after)
    yield "Parameters", lambda: changes.parameters(before, after)
    yield "Stages and data", lambda: _changes(report)
    if before.lock.md5(PREPROCESSED):
        yield "Data drift", lambda: drift.render(before, after)
    yield "Cost of the run", lambda: cost.render(before, after, os.cpu_count() or 1)
    yield "Receipt", lambda: folded("Hashes, versions, processor", receipt.render(before, after))


def _quality(report: Report) -> str:
    if report.first:
        return quality.first(report.after, report.figures)
    if report.same:  # scored by other code, perhaps
        return f"{SAME}\n\n{changes.other_figures(report.before, report.after, ())}"
    above = {f"evaluate.fused.{name}" for name in quality.NAMES}
    others = changes.other_figures(report.before, report.after, above)
    return f"{quality.render(report.differences, report.answers)}\n\n{others}"


def _changes(report: Report) -> str:
    stages = changes.stages(report.before, report.after)
    return f"{stages}\n\n{changes.data(report.before, report.after)}"
