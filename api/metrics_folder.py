"""The folder in which several workers keep their metrics (PROMETHEUS_MULTIPROC_DIR).

Each run of the server begins with an empty one: what an earlier run counted is not this one's. A
worker that replaces another of the same run leaves the counters of that one, and of all others.
"""

import fcntl
import multiprocessing
import os
import re
from pathlib import Path

from prometheus_client import multiprocess

MARKER = "run"


def open_folder(folder: Path) -> None:
    """Makes the folder, and empties it if this is the first worker of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / MARKER).open("a+") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        marker.seek(0)
        if marker.read() == _run():
            forget_dead_workers(folder)
            return
        for file in folder.glob("*.db"):
            file.unlink()
        marker.truncate(0)
        marker.write(_run())


def forget_dead_workers(folder: Path) -> None:
    """Removes the gauges of processes that ended without doing so, such as killed ones."""
    for file in folder.glob("gauge_live*_*.db"):
        found = re.fullmatch(r"gauge_live[a-z]+_(\d+)\.db", file.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            multiprocess.mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call]


def _run() -> str:
    """The process that started the workers, or this one if it is alone: id, and time of start."""
    parent = multiprocessing.parent_process()
    leader = parent.pid if parent else os.getpid()
    try:
        # In a container ids repeat; what is before the last bracket may hold anything.
        started = Path(f"/proc/{leader}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        started = ""
    return f"{leader} {started}"
