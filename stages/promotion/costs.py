"""What a bundle costs to serve, against budgets and against the champion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stages.promotion.criteria import Budgets, Criterion


@dataclass(frozen=True)
class Cost:
    """A revision's benchmark: latency in ms, size in MB, and the processor that measured it."""

    latency: float
    size: float
    processor: str | None

    @classmethod
    def of(cls, benchmark: Mapping[str, Any], machine: Mapping[str, Any]) -> "Cost":
        """Of metrics.json and machine.json of the stage `benchmark`."""
        return cls(
            float(benchmark["latency"]["p50_ms"]),
            float(benchmark["size"]["bundle_mb"]),
            machine.get("processor"),
        )


def costs(champion: Cost | None, candidate: Cost, budgets: Budgets) -> list[Criterion]:
    """Latency and size, in themselves and, where there is one, against the champion's."""
    found = [
        _within("latency_p50_ms", candidate.latency, budgets.latency_p50_ms, "ms"),
        _within("bundle_mb", candidate.size, budgets.bundle_mb, "MB"),
    ]
    if champion is None:
        return found
    return [
        *found,
        _latency_ratio(champion, candidate, budgets.latency_ratio),
        _in_proportion("bundle_ratio", champion.size, candidate.size, budgets.bundle_ratio),
    ]


def _within(name: str, value: float, budget: float, unit: str) -> Criterion:
    return Criterion(name, value <= budget, None, value, f"{budget:g} {unit} allowed")


def _latency_ratio(champion: Cost, candidate: Cost, ratio: float) -> Criterion:
    if champion.processor == candidate.processor:
        return _in_proportion("latency_ratio", champion.latency, candidate.latency, ratio)
    said = (
        f"not judged: the champion's was measured on {champion.processor}, the candidate's on "
        f"{candidate.processor}"
    )
    return Criterion("latency_ratio", True, champion.latency, candidate.latency, said)


def _in_proportion(name: str, before: float, after: float, ratio: float) -> Criterion:
    said = f"{after / before:.2f} times the champion's, {ratio:g} times allowed"
    return Criterion(name, after <= ratio * before, before, after, said)
