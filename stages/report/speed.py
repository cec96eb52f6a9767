"""Latency, throughput, size and cost of the two bundles, as `benchmark` measured them."""

import json
from collections.abc import Mapping
from typing import Any

from stages.report.markdown import signed, table
from stages.report.revision import Revision, UnavailableError
from stages.tracking import flatten

METRICS, MACHINE = "metrics/benchmark/metrics.json", "metrics/benchmark/machine.json"
NAMES = {
    "latency.p50_ms": "latency, median (ms)",
    "latency.p95_ms": "latency, 95th percentile (ms)",
    "throughput.products_per_s": "throughput (products/s, more is better)",
    "cold_start.s": "cold start (s)",
    "memory.peak_mb": "memory, peak (MB)",
    "size.bundle_mb": "bundle (MB)",
    "cost.per_1000_products": "cost of 1,000 products",
}
BUNDLE = "models/bundle"


def render(before: Revision | None, after: Revision) -> str:
    """The table; figures of different processors are not set against each other."""
    now = figures(after)
    if before is None or before.text(METRICS) is None:
        rows = [[NAMES[name], f"{now[name]:g}"] for name in NAMES if name in now]
        return table(["", str(after)], rows, numbers=1)
    then = figures(before)
    if now == then:
        return "`benchmark` did not run again: figures are those of the base."
    machines = [_processor(revision) for revision in (before, after)]
    shown = table(["", "base", "this revision", "difference"], _rows(then, now), numbers=3)
    if machines[0] != machines[1]:
        warning = f"**Measured on different processors** ({machines[0]}; {machines[1]}): only"
        return f"{warning} size and memory compare.\n\n{shown}"
    same = before.lock.md5(BUNDLE) == after.lock.md5(BUNDLE)
    note = "one bundle, measured twice: all differences are noise" if same else "measured once each"
    return f"On one kind of processor ({machines[1]}); {note}.\n\n{shown}"


def figures(revision: Revision) -> Mapping[str, float]:
    """What `benchmark` measured, by dotted name."""
    text = revision.text(METRICS)
    if text is None:
        raise UnavailableError(f"{METRICS} of {revision} not found: run `dvc repro benchmark`")
    found: dict[str, Any] = flatten(json.loads(text))
    return found


def _processor(revision: Revision) -> str:
    machine = json.loads(revision.text(MACHINE) or "{}")
    return f"{machine.get('processor', 'unknown')}, {machine.get('cores', '?')} cores"


def _rows(then: Mapping[str, float], now: Mapping[str, float]) -> list[list[str]]:
    return [
        [NAMES[name], f"{then[name]:g}", f"{now[name]:g}", _change(then[name], now[name])]
        for name in NAMES
        if name in then and name in now
    ]


def _change(then: float, now: float) -> str:
    return f"{signed(100 * (now - then) / then, 1)} %" if then else "–"
