"""report.html: the preprocessed data at a glance, in one file that needs no network."""

import io
import json
from html import escape
from pathlib import Path
from string import Template

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from stages.data_report import BIN, BINS, Report
from stages.raw import SOURCE
from stages.split import SPLITS

EXAMPLES = 3  # quarantined rows shown for each file, action and reason

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Preprocessed product data</title>
<style>
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
</style>
</head>
<body>
<h1>Preprocessed product data</h1>
$notice
<h2>Counts</h2>
<p>A row with two reasons counts under both.</p>
<div class="wide">$counts</div>
<h2>Classes</h2>
<p>Products of each class in each split. Rows with the same title, or with the same image unless it
is a placeholder, are always in one split.</p>
<div class="wide">$classes</div>
<h2>Length of the texts</h2>
$lengths
<h2>Quarantined rows</h2>
<p>Up to $examples for each file, action and reason; all of them are in quarantine.csv.</p>
<div class="wide">$quarantine</div>
</body>
</html>
""")


def write(report: Report, quarantine: pd.DataFrame, directory: Path) -> None:
    """Writes report.html beside the source.json it quotes."""
    source = json.loads((directory / SOURCE).read_text(encoding="utf-8"))
    figures = pd.DataFrame(report.metrics.items(), columns=["figure", "value"], dtype=object)
    page = _PAGE.substitute(
        notice=_notice(source),
        counts=_table(figures),
        classes=_table(_totals(report.classes)),
        lengths=_lengths(report.lengths),
        examples=EXAMPLES,
        quarantine=_table(_examples(quarantine)),
    )
    (directory / "report.html").write_text(page, encoding="utf-8")


def _notice(source: dict[str, object]) -> str:
    name = escape(str(source["source"]))
    if source["synthetic"]:
        return (
            '<p class="notice"><strong>Synthetic data.</strong> These products were generated '
            f"(source: {name}); no figure here says anything about real products.</p>"
        )
    return f"<p>Source: {name}.</p>"


def _totals(classes: pd.DataFrame) -> pd.DataFrame:
    totals = classes[list(SPLITS)].sum(axis="columns")
    shares = [f"{100 * rows / totals.sum():.1f} %" for rows in totals]
    return classes.assign(code=classes["code"].astype("str"), total=totals, share=shares)


def _examples(quarantine: pd.DataFrame) -> pd.DataFrame:
    kinds = quarantine["reason"].str.replace(r":.*", "", regex=True)
    return quarantine.groupby([quarantine["file"], quarantine["action"], kinds]).head(EXAMPLES)


def _table(table: pd.DataFrame) -> str:
    """A table in HTML; every value is escaped."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    rows = "\n".join(
        f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.itertuples(index=False, name=None)
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"


def _lengths(lengths: pd.DataFrame) -> str:
    """The histogram as an SVG element, the same bytes each time."""
    with mpl.rc_context({"svg.hashsalt": "lengths", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.subplots()
        for name in lengths.columns[1:]:
            axes.stairs(lengths[name], [*lengths["characters"], BINS * BIN], label=name)
        axes.set(
            xlabel=f"characters of text; the last bin holds all from {(BINS - 1) * BIN:,}",
            ylabel="% of products",
            xlim=(0, BINS * BIN),
        )
        axes.legend(frameon=False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
