"""How far a long loop is: a bar on a terminal, now and then a line in the log elsewhere."""

import io
import logging
import sys
from typing import Any

from tqdm import tqdm

BAR_SECONDS = 1.0
LINE_SECONDS = 30.0
LINE = "{desc}: {n_fmt}{unit} of {total_fmt}{unit} at {rate_fmt}"

logger = logging.getLogger(__name__)


class Progress(tqdm):  # type: ignore[type-arg]
    """A tqdm bar that keeps control characters out of log files."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.on_terminal = sys.stderr.isatty()
        kwargs["mininterval"] = BAR_SECONDS
        if not self.on_terminal:
            kwargs |= {"file": io.StringIO(), "bar_format": LINE}
            kwargs |= {"mininterval": LINE_SECONDS, "maxinterval": LINE_SECONDS}
        super().__init__(*args, **kwargs)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draws the bar, or logs the line."""
        if self.on_terminal:
            super().display(msg, pos)
        else:
            logger.info("%s", msg or self)
