"""Markdown as GitHub shows it; whatever a catalogue or a file name holds stays plain text."""

import re
from collections.abc import Iterable, Sequence
from html import escape

# Emphasis, code, links, cells, strikethrough, mathematics, addresses, emoji.
_SPECIAL = re.compile(r"[\\`*_\[\]|~$]|:(?=\S)|(?<=www)\.", re.IGNORECASE)
# GitHub looks for mentions and issues after it has decoded entities: only a space parts them.
_MENTION = re.compile(r"[@#](?=\w)")
ZERO_WIDTH_SPACE = "\u200b"


def plain(text: object) -> str:
    """Text on one line that is neither markup nor a mention nor a link."""
    line = " ".join(str(text).replace("\0", "").split())
    line = _MENTION.sub(lambda found: found[0] + ZERO_WIDTH_SPACE, line)
    special = _SPECIAL.sub(lambda found: f"\0{ord(found[0])};", line)
    return escape(special, quote=False).replace("\0", "&#")


def code(text: object) -> str:
    """Text in the typeface of code."""
    return f"<code>{plain(text)}</code>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A table; cells are Markdown already.

    Args:
        columns: Its head.
        rows: Its lines.
        numbers: How many columns, from the right, hold numbers.
    """
    sides = ["---"] * (len(columns) - numbers) + ["---:"] * numbers
    lines = [columns, sides, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(summary: str, content: str) -> str:
    """Content that is shown on demand."""
    return f"<details><summary>{escape(summary)}</summary>\n\n{content}\n\n</details>"


def signed(value: float, digits: int = 3) -> str:
    """A number with its sign; a true minus, and none before zero."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def image(name: str, alternative: str, width: int | None = None) -> str:
    """A picture that lies beside the page."""
    if width is None:
        return f"![{plain(alternative)}]({name})"
    return f'<img src="{name}" alt="{escape(alternative)}" width="{width}">'
