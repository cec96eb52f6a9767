"""One id and one log line for each request; the id travels in X-Request-ID, in and out."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import addresses

LOGGER = logging.getLogger("api.requests")
HEADER = "X-Request-ID"
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")
LONGEST = 200


class RequestLog:
    """The outermost middleware: what happens further in shares the id, and ends in the log.

    A line holds no query string, header or body: they may hold what is secret.
    """

    def __init__(
        self, app: ASGIApp, in_flight: Callable[[int], object], trusted: Sequence[str] = ()
    ) -> None:
        """`in_flight` is told +1 and -1; `trusted` proxies are believed whom they speak for."""
        self.app = app
        self.in_flight = in_flight
        self.trusted = [ip_network(proxy, strict=False) for proxy in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = identify(Headers(scope=scope).get(HEADER))
        answer = _Answer(send, state["request_id"])
        start = time.perf_counter()
        self.in_flight(1)
        try:
            await self.app(scope, receive, answer.send)
        finally:
            self.in_flight(-1)
            milliseconds = (time.perf_counter() - start) * 1000
            fields = line(scope, answer.status or 500, milliseconds, self.trusted)
            LOGGER.info("request", extra={"fields": fields})


class _Answer:
    """Sends on, and notes the status."""

    def __init__(self, send: Send, identity: str) -> None:
        self._send = send
        self._headers = [
            (HEADER.lower().encode(), identity.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.status = 0

    async def send(self, message: Message) -> None:
        """Adds the id to the headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *self._headers]}
        await self._send(message)


def identify(offered: str | None) -> str:
    """The caller's id if it is harmless, otherwise a new one."""
    return offered if offered and ACCEPTED.fullmatch(offered) else uuid.uuid4().hex


def line(
    scope: Scope, status: int, milliseconds: float, trusted: Sequence[addresses.Network]
) -> dict[str, Any]:
    """What the log tells of a request."""
    state = scope["state"]
    return {
        "request_id": state["request_id"],
        "method": scope["method"][:LONGEST],
        "path": scope["path"][:LONGEST],
        "status": status,
        "milliseconds": round(milliseconds, 2),
        "user": state.get("user"),
        "client": addresses.of(Request(scope), trusted),
    }
