"""Passwords: hashed by bcrypt, checked in a thread of their own and in constant work."""

import unicodedata

import anyio
import anyio.to_thread
import bcrypt

from api.errors import ProductCodeError

ROUNDS = 12
"""Cost of a hash: 2 ** ROUNDS rounds, about 270 ms."""
SHORTEST = 12
"""Characters."""
LONGEST = 72
"""Bytes: bcrypt looks at no more."""
READ = 1024
"""Characters that are looked at at all: what is longer can't be a password."""
WAITING = 16
"""Checks that may wait for the thread, about four seconds' worth."""


class PasswordError(ProductCodeError):
    """The password can't be set; the message says which rule it breaks, never the password."""


class PasswordsBusyError(ProductCodeError):
    """So many passwords wait to be checked that one more would wait too long."""


def hash_password(password: str, rounds: int = ROUNDS) -> str:
    """The bcrypt hash of a new password.

    Raises:
        PasswordError: It is too short, or longer than what bcrypt looks at.
    """
    encoded = _encoded(password)
    if len(password) < SHORTEST:
        raise PasswordError(
            f"the password has {len(password)} characters: choose at least {SHORTEST}"
        )
    if len(encoded) > LONGEST:
        raise PasswordError(
            f"the password takes {len(encoded)} bytes, bcrypt looks at no more than {LONGEST}: "
            "choose a shorter one"
        )
    return bcrypt.hashpw(encoded, bcrypt.gensalt(rounds)).decode()


def verify_password(password: str, hashed: str | None, rounds: int = ROUNDS) -> bool:
    """Whether it is the password; without a hash (unknown user) the same work, and False.

    `rounds`: the cost that accounts' hashes have, for the work done without one.
    """
    encoded = _encoded(password)
    fits = len(encoded) <= LONGEST
    # Well formed, but the hash of nothing that anyone could find.
    reference = hashed or f"$2b${rounds:02d}$" + "." * 53
    matches = bcrypt.checkpw(encoded[:LONGEST], reference.encode())
    return matches and fits and hashed is not None


def _encoded(password: str) -> bytes:
    # One spelling for what looks the same, however a keyboard composes its accents.
    return unicodedata.normalize("NFKC", password[:READ]).encode("utf-8", "surrogatepass")


class PasswordChecker:
    """Checks passwords off the event loop, one at a time: a core stays for predictions."""

    def __init__(self, rounds: int = ROUNDS, waiting: int = WAITING) -> None:
        self._rounds = rounds
        self._waiting = waiting
        self._limiter = anyio.CapacityLimiter(1)
        self._pending = 0

    async def verify(self, password: str, hashed: str | None) -> bool:
        """As `verify_password`.

        Raises:
            PasswordsBusyError: Too many are waiting.
        """
        if self._pending > self._waiting:
            raise PasswordsBusyError(f"{self._waiting} passwords wait to be checked: try later")
        self._pending += 1
        try:
            return await anyio.to_thread.run_sync(
                verify_password, password, hashed, self._rounds, limiter=self._limiter
            )
        finally:
            self._pending -= 1
