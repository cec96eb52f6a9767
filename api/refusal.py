"""A service that can't start says why in one line, instead of a traceback."""

import sys
from typing import NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ProductCodeError

STARTUP_FAILURE = 3
"""uvicorn's: a worker that ends so isn't started again, as it would only fail again."""


def refuse(error: ProductCodeError) -> NoReturn:
    """Ends the process, and with it a server of several workers."""
    print(f"ERROR: {error}", file=sys.stderr)
    sys.exit(STARTUP_FAILURE)


class Brief:
    """A middleware: what a failed start sends to the server is the line in app.state.refusal."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Shortens what a failed start sends to the server."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def shortened(message: Message) -> None:
            reason = getattr(scope["app"].state, "refusal", None)
            if message["type"] == "lifespan.startup.failed" and reason:
                message = {**message, "message": reason}
            await send(message)

        await self.app(scope, receive, shortened)
