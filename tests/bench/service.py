"""The service beside raw ONNX Runtime, and beside the predecessor's, in one run and in turns.

`python -m tests.bench.service [OUTPUT.json] [--bundle models/bundle] [--rounds 5]`

Sign-in, limits (set high), log and durable store are on, and nothing is installed but what the
image has. Clients run in a process of their own, but on the same cores: what they take is counted
against the service. On a busy machine figures are worth little, and ratios of a round, whose parts
alternate, a little more.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.api.serving_environment import Environment
from tests.bench.contest import Contest
from tests.bench.starts import starts

GOALS = {
    "installed_mb": "< 260",
    "form_over_raw": "<= 1.25",
    "json_over_raw": "<= 1.25",
    "over_predecessor": ">= 30",
    "ready_s": "< 2",
    "rss_ready_mb": "< 300",
    "rss_after_2000_mb": "< 300",
    "status_p95_ms": "< 50",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, and writes the figures as JSON if a path is given."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.service")
    parser.add_argument("output", nargs="?", type=Path)
    parser.add_argument("--bundle", type=Path, default=Path("models/bundle"))
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    figures = measure(given.bundle.resolve(), given.rounds)
    show(figures)
    if given.output:
        told = {"machine": _machine(), "goals": GOALS, "figures": figures}
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def measure(bundle: Path, rounds: int) -> dict[str, Any]:
    """Every figure, by a name that holds its unit; lists hold one value a round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = Environment(folder / "environment")
        figures: dict[str, Any] = {
            "installed_mb": sum(environment.megabytes().values()),
            "ready_s": starts(bundle, environment),
        }
        with Contest(bundle, environment, folder / "served") as contest:
            for _ in range(rounds):
                for figure, value in (contest.latency() | contest.throughput()).items():
                    figures.setdefault(figure, []).append(value)
            figures |= contest.memory() | contest.status()
    return figures


def show(figures: dict[str, Any]) -> None:
    """A row a figure: its median, and how far the rounds lie apart."""
    print(f"| {'figure':22} |  median | rounds        | goal    |")
    print("|---|---|---|---|")
    for name, value in figures.items():
        values = value if isinstance(value, list) else [value]
        spread = f"{min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""
        goal = GOALS.get(name, "")
        print(f"| {name:22} | {statistics.median(values):7.4g} | {spread:13} | {goal:7} |")


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load_average": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
