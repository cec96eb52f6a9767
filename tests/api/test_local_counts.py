"""Counts of calls in one process."""

import threading

import pytest
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from api import local_counts
from api.local_counts import LocalCounts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its only element is the time."""
    now = [1000.0]
    monkeypatch.setattr(local_counts.time, "time", lambda: now[0])
    return now


@pytest.fixture
def counts(clock: list[float]) -> LocalCounts:  # noqa: ARG001  # made at that time
    return LocalCounts()


def test_a_window_begins_with_its_first_call(counts: LocalCounts, clock: list[float]) -> None:
    assert [counts.incr("a", 60) for _ in range(3)] == [1, 2, 3]
    assert (counts.get("a"), counts.get_expiry("a")) == (3, 1060)
    clock[0] = 1059.9
    assert counts.incr("a", 60, amount=2) == 5
    clock[0] = 1060
    assert (counts.get("a"), counts.incr("a", 60), counts.get_expiry("a")) == (0, 1, 1120)


def test_keys_do_not_share_a_count(counts: LocalCounts) -> None:
    counts.incr("a", 60)
    assert (counts.incr("b", 60), counts.get("c"), counts.get_expiry("c")) == (1, 0, 1000)


def test_windows_that_are_over_are_forgotten(counts: LocalCounts, clock: list[float]) -> None:
    for number in range(1000):
        counts.incr(f"name {number}", 60)
    clock[0] += 30
    counts.incr("a", 60)
    clock[0] += 31
    counts.incr("b", 60)
    assert counts.reset() == 2


def test_one_window_or_all_can_be_cleared(counts: LocalCounts) -> None:
    counts.incr("a", 60)
    counts.incr("b", 60)
    counts.clear("a")
    assert (counts.get("a"), counts.get("b"), counts.reset(), counts.get("b")) == (0, 1, 1, 0)


def test_limits_finds_it_and_no_thread_is_started() -> None:
    limiter = FixedWindowRateLimiter(storage_from_string(local_counts.URI))
    before = threading.active_count()
    told = [limiter.hit(parse("3/minute"), "bob") for _ in range(5)]
    assert told == [True, True, True, False, False]
    assert threading.active_count() == before
