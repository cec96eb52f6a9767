"""How a stage is run: its arguments, its log file, its errors."""

import inspect
import logging
import resource
import sys
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from api.errors import ProductCodeError

LOG_DIR = Path("logs")
MAX_BYTES = 1_000_000
BACKUPS = 5


def run(main: Callable[..., None], log: str) -> None:
    """Calls a stage's `main` with the paths given on the command line.

    Args:
        main: Takes one `Path` for each argument that dvc.yaml passes.
        log: Name of the rotating file, logs/<log>_logger.log.

    Errors that a user can act on end in one line and exit code 1; others keep their traceback.
    """
    stage = Path(sys.argv[0]).stem
    _log_to(LOG_DIR / f"{log}_logger.log")
    logger = logging.getLogger(f"stages.{stage}")
    names = list(inspect.signature(main).parameters)
    if len(sys.argv) - 1 != len(names):
        sys.exit(f"usage: python -m stages.{stage} " + " ".join(name.upper() for name in names))
    start = time.monotonic()
    try:
        main(*map(Path, sys.argv[1:]))
    except ProductCodeError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception:
        logger.exception("%s failed", stage)
        sys.exit(1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    logger.info("%s done in %.1f s, peak memory %.0f MB", stage, time.monotonic() - start, peak)


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(levelname)-7s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[terminal, file], force=True)
