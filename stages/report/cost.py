"""What the run cost, stage by stage: the time and memory that each stage logged."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stages.report.markdown import code, table
from stages.report.revision import Revision

DONE = re.compile(
    r"^(?P<when>[\d-]+ [\d:]+),\d+ INFO stages\.(?P<stage>\w+) \w+ done in (?P<s>[\d.]+) s, "
    r"peak memory (?P<mb>\d+) MB$",
    re.MULTILINE,
)
MODULES = {"import_data": "import"}  # a stage whose name is a keyword of Python
LOGS = "logs/*_logger.log"


@dataclass(frozen=True)
class Run:
    """A stage's last run on this machine: when it ended, seconds, peak memory in MB."""

    ended: datetime
    seconds: float
    peak_mb: int


def runs(root: Path) -> dict[str, Run]:
    """The last run of each stage that the logs tell of."""
    found: dict[str, Run] = {}
    for log in sorted(root.glob(LOGS)):
        for line in DONE.finditer(log.read_text(encoding="utf-8", errors="replace")):
            name = MODULES.get(line["stage"], line["stage"])
            ended = datetime.fromisoformat(line["when"]).astimezone()
            run = Run(ended, float(line["s"]), int(line["mb"]))
            if name not in found or run.ended >= found[name].ended:
                found[name] = run
    return found


def render(before: Revision, after: Revision, cores: int) -> str:
    """Time and memory of each stage, and what those cost that ran for this change."""
    logged, earlier = runs(after.root), before.lock.stages
    for_this = [name for name, stage in after.lock.stages.items()
                if stage.reasons(earlier.get(name))]  # fmt: skip
    known = {name: logged[name] for name in after.lock.stages if name in logged}
    if not known:
        return "No stage ran on this machine: nothing was spent on computing."
    rows = [_row(name, known.get(name), name in for_this) for name in after.lock.stages]
    total = sum(run.seconds for name, run in known.items() if name in for_this)
    columns = ["stage", "for this change", "last run here", "seconds", "peak memory (MB)"]
    return f"{table(columns, rows, numbers=2)}\n\n{_price(total, cores, after.params)}"


def _row(name: str, run: Run | None, for_this: bool) -> list[str]:
    changed = "yes" if for_this else "no: taken from the base"
    if run is None:
        return [code(name), changed, "never", "–", "–"]
    ended = f"{run.ended:%Y-%m-%d %H:%M}"
    return [code(name), changed, ended, f"{run.seconds:.1f}", f"{run.peak_mb:,}"]


def _price(seconds: float, cores: int, params: Mapping[str, Mapping[str, float]]) -> str:
    hours = seconds * cores / 3600
    text = f"For this change {seconds:.0f} s: at most {hours:.3g} core hours on {cores} cores"
    price = params.get("benchmark", {}).get("price_per_core_hour")
    return f"{text}." if price is None else f"{text}, or {hours * price:.3g} at {price:g} each."
