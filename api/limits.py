"""How often a user or an address may call: slowapi, counted in memory or in Redis.

Counts are kept per fixed window, which begins with the first call. In memory each worker counts
for itself: share Redis between several. If Redis is out of reach, calls are still answered: each
worker counts in memory, says so in the log, and goes back to Redis as soon as it answers.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError, StorageError
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded

from api import addresses, local_counts
from api.errors import ProductCodeError
from api.problems import Problem
from api.settings import Settings

FEEDBACK = "60/minute"
TIMEOUT = 0.5
"""Seconds that Redis may take."""
UNITS = {
    "second": ("seconde", "secondes"),
    "minute": ("minute", "minutes"),
    "hour": ("heure", "heures"),
    "day": ("jour", "jours"),
    "month": ("mois", "mois"),
    "year": ("an", "ans"),
}


class LimitsError(ProductCodeError):
    """A setting of limits that can't be kept; the service doesn't start with it."""


class Limits:
    """The limits by name: `token` counts by address and by claimed name, the others by user."""

    def __init__(self, storage: str, trusted: Sequence[str]) -> None:
        self._trusted = [ip_network(proxy, strict=False) for proxy in trusted]
        self._local = storage.startswith("memory:")
        self._limiter = _limiter(storage, self._address)
        self._checks: dict[str, Callable[[Request], None]] = {}

    def by_user(self, name: str, rate: str) -> None:
        """Adds a limit that counts by the user, or by the address when nobody is logged in."""
        self._add(name, rate, self._user)

    def by_claim(self, name: str, rate: str) -> None:
        """Adds a limit on claims to be someone: by address, and by the name that is claimed."""
        self._add(name, rate, self._address, _claimed)

    async def check(self, name: str, request: Request) -> None:
        """Counts a call.

        Raises:
            Problem: 429, if it is one too many.
        """
        if self._local:
            self._check(name, request)
        else:
            await run_in_threadpool(self._check, name, request)

    def _check(self, name: str, request: Request) -> None:
        try:
            self._checks[name](request)
        except RateLimitExceeded as error:
            item, arguments = request.state.view_rate_limit
            raise _too_many(item, self._remaining(item, arguments)) from error

    def _add(self, name: str, rate: str, *keys: Callable[[Request], str]) -> None:
        _validate(name, rate)

        def check(request: Request) -> None:
            """Does nothing but be counted."""

        # slowapi tells functions apart by their names.
        check.__name__ = f"check_{name}"
        for key in keys:
            # A scope of its own: by default each path of an endpoint would have its own count.
            check = self._limiter.shared_limit(rate, scope=name, key_func=key)(check)
        self._checks[name] = check

    def _remaining(self, item: RateLimitItem, arguments: Sequence[str]) -> int:
        """Whole seconds until the window ends."""
        try:
            end = self._limiter.limiter.get_window_stats(item, *arguments).reset_time
        except StorageError:
            return item.get_expiry()
        return max(1, math.ceil(end - time.time()))

    def _address(self, request: Request) -> str:
        return "address:" + addresses.household(addresses.of(request, self._trusted))

    def _user(self, request: Request) -> str:
        user = getattr(request.state, "user", None)
        return f"user:{user}" if user else self._address(request)


def install(app: FastAPI, settings: Settings) -> None:
    """Puts the limits on app.state.limits; `api.auth.limited_user` and POST /token use them.

    Raises:
        LimitsError: A limit or the storage is malformed.
    """
    limits = Limits(settings.limits_storage, settings.trusted_proxies)
    limits.by_user("predict", settings.predict_limit)
    limits.by_user("batch", settings.batch_limit)
    limits.by_user("feedback", FEEDBACK)
    limits.by_claim("token", settings.token_limit)
    app.state.limits = limits


def _limiter(storage: str, key: Callable[[Request], str]) -> Limiter:
    local = storage.startswith("memory:")
    try:
        return Limiter(
            key_func=key,
            storage_uri=local_counts.URI if local else storage,
            storage_options={} if local else _patience(),
            in_memory_fallback_enabled=not local,
        )
    except (ConfigurationError, ValueError) as error:
        kind = storage.partition(":")[0]
        raise LimitsError(
            f"limits_storage of kind {kind!r}: write memory:// or redis://HOST:PORT/0"
        ) from error


def _patience() -> dict[str, Any]:
    # Takes 0.1 s to load, which those who count in memory need not wait for.
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    return {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "wrap_exceptions": True,
    }


def _validate(name: str, rate: str) -> None:
    # slowapi would log a malformed limit, and then not limit at all.
    try:
        parse_many(rate)
    except ValueError as error:
        raise LimitsError(f"{name}_limit is {rate!r}: write for example 10/minute") from error


def _claimed(request: Request) -> str:
    """The name given to POST /token, of any length and with anything in it: hence its hash."""
    name: str = request.state.claimed
    return "name:" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _too_many(item: RateLimitItem, seconds: int) -> Problem:
    one, several = UNITS[item.GRANULARITY.name]
    window = one if item.multiples == 1 else f"{item.multiples} {several}"
    return Problem(
        429,
        f"La limite est de {item.amount} requêtes par {window} : réessayez dans {seconds} s.",
        "limit",
        {"Retry-After": str(seconds)},
    )
