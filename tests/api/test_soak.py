"""A service at saturation: nothing that was answered is lost, and memory does not grow.

A minute by default; SOAK_SECONDS=300 for longer. In its first quarter it is killed without warning.
"""

import os
import signal
import sqlite3
import statistics
import time
from contextlib import closing
from itertools import combinations
from pathlib import Path

import psutil
import pytest

from tests.api.callers import Callers
from tests.api.photos import UNUSABLE, USABLE
from tests.api.servers import free_port
from tests.api.service import RED, Server, until

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
CALLERS = 8
MEGABYTE = 2**20
GROWTH = 3 * MEGABYTE
"""A leak of a kilobyte a prediction would be more, in a minute already."""
IMAGES = [RED, *(image for image, _ in USABLE.values()), UNUSABLE["half a jpeg"][0], b""]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]


def kept(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "service.db")) as connection:
        return {name for (name,) in connection.execute("SELECT request_id FROM predictions")}


def watch(server: Server, seconds: float) -> list[tuple[float, int]]:
    """Seconds, and resident bytes at that time."""
    process, start, seen = psutil.Process(server.process.pid), time.monotonic(), []
    while (now := time.monotonic() - start) < seconds:
        seen.append((now, process.memory_info().rss))
        time.sleep(seconds / 100)
    return seen


def growth(seen: list[tuple[float, int]]) -> float:
    """Bytes over the whole time, by the median slope of all pairs, which no single jump moves.

    Source: the Theil-Sen estimator.
    """
    slopes = [(b - a) / (t - s) for (s, a), (t, b) in combinations(seen, 2)]
    return statistics.median(slopes) * seen[-1][0]


def test_a_leak_would_be_seen() -> None:
    """Of a kilobyte a prediction, beside noise and a jump, at 150 predictions a second."""
    noise = [t * 5 % 7 / 2 * MEGABYTE for t in range(30)]
    leaking = [(float(t), int(noise[t]) + t * 150_000) for t in range(30)]
    steady = [(float(t), int(noise[t]) + (t > 26) * 20 * MEGABYTE) for t in range(30)]
    assert growth(leaking) > GROWTH > growth(steady)


def test_nothing_is_lost_and_memory_does_not_grow(
    tmp_path: Path, record_testsuite_property
) -> None:
    port = str(free_port())
    first = Server(tmp_path, "--port", port)
    with first, Callers(first, CALLERS, IMAGES, persistent=True) as callers:
        time.sleep(SECONDS / 4)
        first.stop(signal.SIGKILL)
        before = len(callers.acknowledged)
        with Server(tmp_path, "--port", port) as second:
            until(lambda: len(callers.acknowledged) > before)
            process = psutil.Process(second.process.pid)
            time.sleep(SECONDS / 4)
            handles = process.num_fds() + process.num_threads()
            seen = watch(second, SECONDS / 2)
            assert process.num_fds() + process.num_threads() <= handles + CALLERS
            callers.end()
            second.stop()
    grown, answered = growth(seen), len(callers.acknowledged)
    figures = {
        "seconds": SECONDS,
        "predictions": answered,
        "refused": callers.statuses[422],
        "megabytes": round(seen[-1][1] / MEGABYTE, 1),
        "grown_megabytes": round(grown / MEGABYTE, 2),
    }
    print("soak:", figures)
    record_testsuite_property("soak", str(figures))
    assert set(callers.statuses) == {200, 422}
    assert before > 0
    assert callers.acknowledged <= kept(tmp_path)
    # What each caller waited for when the service was killed may have been kept unanswered.
    assert len(kept(tmp_path)) - answered <= CALLERS
    assert grown < GROWTH
