"""The figures of the last run, readable at a glance: a line each, a table for what compares."""

import json
import sys
from pathlib import Path
from typing import Any

COMPARED = "metrics/evaluate/metrics.json"


def tables(path: Path) -> dict[str, Any]:
    """The content of one metrics.json."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def compared(figures: dict[str, Any]) -> str:
    """A Markdown table with a row for each model that was scored on the held-out split."""
    models = {name: values for name, values in figures.items() if isinstance(values, dict)}
    columns = list(dict.fromkeys(column for values in models.values() for column in values))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, values in models.items():
        cells = [f"{values[column]:.3f}" if column in values else "" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    note = "SYNTHETIC products" if figures.get("synthetic") else "products"
    return "\n".join([f"Held-out split, {figures['rows']} {note}:", *lines])


def crossvalidated(runs: dict[str, dict[str, Any]]) -> str:
    """A Markdown table: a row for each model, a column for each `make crossval` run.

    Args:
        runs: Figures by the name of the data.
    """
    models = [name for name, found in next(iter(runs.values())).items() if isinstance(found, dict)]
    lines = [
        "| weighted F1 / macro F1 | " + " | ".join(runs) + " |",
        "|---" * (len(runs) + 1) + "|",
    ]
    for model in models:
        cells = [
            f"{found[model]['weighted_f1']:.3f} ± {found[model]['weighted_f1_std']:.3f} / "
            f"{found[model]['macro_f1']:.3f}"
            for found in runs.values()
        ]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def listed(figures: dict[str, Any], prefix: str = "") -> list[str]:
    """Every other figure as `name value`."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines += listed(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix}{name} {value:g}")
    return lines


def main(folder: Path = Path("metrics")) -> None:
    """Prints all metrics.json below a folder."""
    for path in sorted(folder.glob("*/metrics.json")):
        print(f"\n{path}")
        figures = tables(path)
        print(compared(figures) if str(path) == COMPARED else "  " + "\n  ".join(listed(figures)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
