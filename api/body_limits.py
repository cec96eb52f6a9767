"""Limits on a request's body, in bytes and in time, before anything reads it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem


@dataclass(frozen=True)
class Limit:
    """How many bytes a body may have, and how many seconds it may take to come."""

    size: int
    seconds: float


class BodyLimits:
    """Raises 413 and 408 problems; to stand inside of `problems.Unexpected`, which answers them.

    Starlette's own limiter answers in plain text, and has no limit on time.
    """

    def __init__(self, app: ASGIApp, default: Limit, paths: Mapping[str, Limit]) -> None:
        self.app = app
        self.default = default
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses at once what says it is too large, and stops what turns out to be."""
        if scope["type"] == "http":
            limit = self.paths.get(scope["path"], self.default)
            if _announced(scope) > limit.size:
                raise too_large(limit.size)
            receive = _Limited(receive, limit).receive
        await self.app(scope, receive, send)


class _Limited:
    """Receives; the clock starts with the first call, as authentication comes before reading."""

    def __init__(self, receive: Receive, limit: Limit) -> None:
        self._receive = receive
        self._limit = limit
        self._left = limit.size
        self._deadline: float | None = None
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._deadline = self._deadline or now + self._limit.seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, kind="body_too_slow", headers={"Connection": "close"}) from None
        self._left -= len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._left < 0:
            raise too_large(self._limit.size)
        return message


def too_large(size: int) -> Problem:
    """413, with the limit."""
    return Problem(
        413,
        f"Le contenu dépasse {size} octets : envoyez-en moins, ou une image plus petite.",
        "body_too_large",
        limit_bytes=size,
    )


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdecimal() else 0
