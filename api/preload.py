"""Loads whatever the service may ever load: `python -m api.preload`, once, as an image is built.

Python then finds the bytecode of all that on the disk, and the service starts in a second. That of
everything installed would take 30 MB more, for modules that nobody loads.
"""

import importlib
import tempfile
from pathlib import Path

from PIL import Image

from api.database import Database

MODULES = (
    "PIL.JpegPresets",
    "anyio._backends._asyncio",
    "anyio.abc._sockets",
    "anyio._core._sockets",
    "api.auth_service",
    "api.http_protocol",
    "api.main",
    "api.serve",
    "api.users",
    "fastapi.telemetry._runtime",
    "redis.backoff",
    "redis.retry",
    "uvicorn.__main__",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.loops.asyncio",
    "uvicorn.supervisors",
)
"""Services and commands, and what is loaded late or by name."""


def main() -> None:
    """Loads them, and what either kind of database needs."""
    for name in MODULES:
        importlib.import_module(name)
    Image.init()
    Database("postgresql://localhost/none").close()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder)}/migrated.db")
        database.open()
        database.close()


if __name__ == "__main__":
    main()
