"""How time and memory of each stage grow: the same DAG at two sizes, one after the other.

python -m tests.bench.scale [SMALL LARGE]   (default 2000 20000; synthetic products)
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

from stages.compose import compose

ROOT = Path(__file__).parents[2]
SKIPPED = ("benchmark",)  # its time is set by its own parameters, not by the number of products


class Cost(NamedTuple):
    """Wall time in seconds, peak resident memory in MB."""

    seconds: float
    megabytes: float


def measure(command: list[str]) -> Cost:
    """Runs one stage in a process of its own."""
    start = time.monotonic()
    process = os.spawnvpe(os.P_NOWAIT, command[0], command, os.environ | {"PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return Cost(time.monotonic() - start, usage.ru_maxrss / 1024)


def run(products: int) -> dict[str, Cost]:
    """Cost of each stage of dvc.yaml, in order, with default parameters at a size."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        compose(folder / "params.yaml", [f"data.products={products}"], ROOT / "conf")
        costs = {}
        for stage, declared in stages.items():
            if stage not in SKIPPED:
                command = [sys.executable, *declared["cmd"].split()[1:]]
                costs[stage] = measure(command)
        os.chdir(ROOT)
    return costs


def report(small: int, large: int) -> None:
    """Prints both runs side by side."""
    few, many = run(small), run(large)
    columns = [f"{unit} at {size:,}" for unit in ("s", "MB") for size in (small, large)]
    print("| stage |", " | ".join([*columns[:2], "ratio", *columns[2:], "ratio"]), "|")
    print("|---|---|---|---|---|---|---|")
    for costs in (few, many):
        seconds, megabytes = zip(*costs.values(), strict=True)
        costs["whole run"] = Cost(sum(seconds), max(megabytes))
    for stage, a in few.items():
        b = many[stage]
        print(
            f"| {stage} | {a.seconds:.1f} | {b.seconds:.1f} | {b.seconds / a.seconds:.1f} "
            f"| {a.megabytes:.0f} | {b.megabytes:.0f} | {b.megabytes / a.megabytes:.2f} |"
        )
    for products, costs in ((small, few), (large, many)):
        seconds = costs["preprocess"].seconds + costs["embed"].seconds
        print(f"preprocess + embed: {products / seconds:.0f} products/s at {products:,}")


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[1:]] or [2000, 20_000]
    report(*sizes)
