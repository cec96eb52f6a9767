"""Passwords: rules when they are set, and checks that give nothing away."""

import asyncio
import statistics
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.passwords import (
    PasswordChecker,
    PasswordError,
    PasswordsBusyError,
    hash_password,
    verify_password,
)

RIGHT = "correct horse battery"
HASHED = hash_password(RIGHT, rounds=4)


def test_only_the_password_is_right() -> None:
    assert verify_password(RIGHT, HASHED)
    assert not verify_password(RIGHT + "!", HASHED)
    assert not verify_password("", HASHED)


def test_the_hash_is_salted_and_of_the_cost() -> None:
    assert hash_password(RIGHT, rounds=4) != HASHED
    assert HASHED.startswith("$2b$04$")


def test_accents_count_the_same_however_they_are_typed() -> None:
    composed, apart = (unicodedata.normalize(form, "été à la plage") for form in ("NFC", "NFD"))
    assert composed != apart
    assert verify_password(apart, hash_password(composed, rounds=4))


@pytest.mark.parametrize(
    ("password", "told"), [("too short!!", "at least 12"), ("x" * 73, "72"), ("é" * 37, "72")]
)
def test_what_bcrypt_would_cut_or_anyone_guess_is_refused(password: str, told: str) -> None:
    with pytest.raises(PasswordError, match=told) as caught:
        hash_password(password, rounds=4)
    assert password not in str(caught.value)


def test_a_longer_password_is_wrong_even_if_bcrypt_looks_no_further() -> None:
    longest = "x" * 72
    hashed = hash_password(longest, rounds=4)
    assert verify_password(longest, hashed)
    assert not verify_password(longest + "y", hashed)


@given(st.text(max_size=200))
@settings(max_examples=50, deadline=None)
def test_nothing_is_right_without_an_account(password: str) -> None:
    assert not verify_password(password, None, rounds=4)


@given(st.text(st.characters(), max_size=100))
@settings(max_examples=50, deadline=None)
def test_no_text_breaks_the_check(password: str) -> None:
    assert verify_password(password, HASHED) == (password == RIGHT)


def test_an_unknown_user_costs_as_much_as_a_wrong_password() -> None:
    """Taken in turns, the two distributions overlap: each median lies within the other's range."""
    hashed = hash_password(RIGHT, rounds=8)
    known, unknown = [], []
    for _ in range(30):
        known.append(_seconds("wrong", hashed))
        unknown.append(_seconds("wrong", None))
    assert min(unknown) < statistics.median(known) < max(unknown)
    assert min(known) < statistics.median(unknown) < max(known)
    assert 0.5 < statistics.median(known) / statistics.median(unknown) < 2


def _seconds(password: str, hashed: str | None) -> float:
    start = time.perf_counter()
    verify_password(password, hashed, rounds=8)
    return time.perf_counter() - start


def test_checks_never_hold_up_the_event_loop() -> None:
    """Even at full cost, and while several wait."""

    async def longest_pause() -> float:
        checker = PasswordChecker(rounds=12)
        checks = [asyncio.create_task(checker.verify("wrong", None)) for _ in range(3)]
        pauses = []
        while not all(check.done() for check in checks):
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(time.perf_counter() - start)
        return statistics.median(pauses)

    assert asyncio.run(longest_pause()) < 0.05


def test_too_many_at_once_are_told_so() -> None:
    async def outcomes() -> list[object]:
        checker = PasswordChecker(rounds=8, waiting=3)
        checks = (checker.verify(RIGHT, HASHED) for _ in range(10))
        return await asyncio.gather(*checks, return_exceptions=True)

    ended = asyncio.run(outcomes())
    assert ended.count(True) == 4
    assert sum(isinstance(end, PasswordsBusyError) for end in ended) == 6
