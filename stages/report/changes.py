"""What the change consists of: parameters, code, data, and which stages ran for it."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from stages.lock import MEASURING
from stages.report.markdown import code, folded, signed, table
from stages.report.revision import Revision
from stages.tracking import flatten

METRICS = tuple(f"metrics/{name}/metrics.json" for name in ("train", "evaluate", "review"))
BOUNDS = ("_low", "_high")  # of intervals
SHOWN = 6  # reasons why a stage ran
DIGITS = 8  # of a hash


def parameters(before: Revision, after: Revision) -> str:
    """Every parameter that differs."""
    then, now = flatten(before.params), flatten(after.params)
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if not names:
        return "No parameter changed."
    rows = [[code(name), _value(then, name), _value(now, name)] for name in names]
    return table(["parameter", "base", "this revision"], rows)


def _value(values: Mapping[str, Any], name: str) -> str:
    return code(values[name]) if name in values else "–"


def stages(before: Revision, after: Revision) -> str:
    """The stages whose record in dvc.lock differs, and what made them run."""
    then, now = before.lock.stages, after.lock.stages
    rows = [
        [code(name), ", ".join(map(code, _shortened(stage.reasons(then.get(name)))))]
        for name, stage in now.items()
        if stage.reasons(then.get(name))
    ]
    rows += [[code(name), "removed"] for name in then if name not in now]
    if not rows:
        return "No stage had anything to run for."
    return table(["stage", "what changed of what it reads"], rows)


def uncommitted(after: Revision) -> list[str]:
    """Stages that the last commit's dvc.lock records otherwise; measuring ones don't count."""
    then, now = Revision(after.root, "HEAD").lock.stages, after.lock.stages
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return [name for name in names if name not in MEASURING]


def _shortened(reasons: list[str]) -> list[str]:
    more = len(reasons) - SHOWN
    return [*reasons[:SHOWN], f"{more} more"] if more > 0 else reasons


def data(before: Revision, after: Revision) -> str:
    """Data and models whose hash differs."""
    then, now = before.lock.outs, after.lock.outs
    paths = [path for path in {**then, **now} if then.get(path) != now.get(path)]
    kept = [path for path in paths if not path.startswith("metrics/")]
    if not kept:
        return "Data, features, bundle and predictions are those of the base, byte for byte."
    rows = []
    for path in kept:
        one, other = then.get(path), now.get(path)
        rows.append([
            code(path),
            code(one.md5[:DIGITS]) if one else "–",
            code(other.md5[:DIGITS]) if other else "–",
            signed(((other.size if other else 0) - (one.size if one else 0)) / 1e6, 2),
            signed((other.files or 1 if other else 0) - (one.files or 1 if one else 0), 0),
        ])  # fmt: skip
    return table(["output", "base", "this revision", "MB", "files"], rows, numbers=2)


def other_figures(before: Revision, after: Revision, above: Collection[str]) -> str:
    """Figures beside those shown above: each branch alone, baselines, training, labels."""
    then, now = _figures(before), _figures(after)
    changed = [name for name in now if name in then and now[name] != then[name]]
    names = [name for name in changed if not (name in above or name.endswith(BOUNDS))]
    if not names:
        return "Every other figure is what it was."
    rows = [
        [code(name), f"{then[name]:.4g}", f"{now[name]:.4g}", signed(now[name] - then[name], 4)]
        for name in names
    ]
    shown = table(["figure", "base", "this revision", "difference"], rows, numbers=3)
    return folded(f"Other figures that changed: {len(rows)} (without intervals)", shown)


def _figures(revision: Revision) -> dict[str, float]:
    found: dict[str, float] = {}
    for path in METRICS:
        stage = path.split("/")[1]
        values = flatten(json.loads(revision.text(path) or "{}"))
        found |= {f"{stage}.{name}": value for name, value in values.items()}
    return found
