"""What report pages have in common: style, the notice about synthetic data, tables."""

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d2733; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.notice { background: #fff3cd; border-left: 4px solid #b78103; padding: .6rem 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #d9dfe6; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { white-space: nowrap; }
td.number { text-align: right; }
svg { max-width: 100%; height: auto; }
"""


def notice(source: Mapping[str, Any]) -> str:
    """Where the products come from; loud if they are generated.

    Args:
        source: Keys `source` and `synthetic`, as source.json has them.
    """
    name = escape(str(source["source"]))
    if source["synthetic"]:
        return (
            '<p class="notice"><strong>Synthetic data.</strong> These products were generated '
            f"(source: {name}); no figure here says anything about real products.</p>"
        )
    return f"<p>Source: {name}.</p>"


def table(content: pd.DataFrame) -> str:
    """A table in HTML; every value is escaped."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in content.columns)
    rows = "\n".join(
        f"<tr>{''.join(map(_cell, row))}</tr>" for row in content.itertuples(index=False, name=None)
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"
