"""Counts of calls in this process, for limits that are shared with nobody.

The storage in memory of `limits` starts a thread at every call, to throw old counts away: on two
busy cores that takes milliseconds, on the event loop.
"""

import time
from typing import Any

from limits.storage import Storage

SCHEME = "local"
URI = f"{SCHEME}://"
"""What `limits` knows this storage by."""
PURGE = 1.0
"""Seconds between two searches for windows that are over."""


class LocalCounts(Storage):
    """Counts by window; to be used from one thread at a time, as the event loop does."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012  # as its base has it

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **_: Any) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._windows: dict[str, tuple[int, float]] = {}
        self._purged = time.time()

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing here fails; `limits` asks."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Adds to a window, which begins with its first call; returns its count."""
        now = time.time()
        self._purge(now)
        count, end = self._windows.get(key, (0, 0.0))
        if end <= now:
            count, end = 0, now + expiry
        self._windows[key] = count + amount, end
        return count + amount

    def get(self, key: str) -> int:
        """The count of a window."""
        count, end = self._windows.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When a window ends, in seconds since 1970; now, if there is none."""
        return max(self._windows.get(key, (0, 0.0))[1], time.time())

    def check(self) -> bool:
        """Memory is always in reach."""
        return True

    def reset(self) -> int:
        """Forgets all; returns how many windows there were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forgets one window."""
        self._windows.pop(key, None)

    def _purge(self, now: float) -> None:
        """Memory is bounded by the calls of one window, whatever names are claimed."""
        if now - self._purged < PURGE:
            return
        self._purged = now
        self._windows = {key: kept for key, kept in self._windows.items() if kept[1] > now}
