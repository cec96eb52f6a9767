"""What there is in the preprocessed data, as numbers that DVC shows and compares."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from api.labels import Label
from stages.catalogue import Catalogue
from stages.quarantine import Action, Quarantine, Reason
from stages.split import SPLITS

BIN = 100  # characters; the last bin holds everything longer
BINS = 31
CHALLENGE = "challenge"


@dataclass(frozen=True)
class Report:
    """The figures of metrics.json and the tables behind the plots.

    `classes` has the columns code, name and one for each split, in products. `lengths` has the
    column characters, where a bin begins, and one for each split and the challenge, in per cent of
    its products.
    """

    metrics: dict[str, int | float]
    classes: pd.DataFrame
    lengths: pd.DataFrame


def summarise(
    labelled: pd.DataFrame, catalogue: Catalogue, order: Sequence[Label], quarantine: Quarantine
) -> Report:
    """Counts everything once, for all the forms in which it is shown.

    Args:
        labelled: The labelled products, with `group` and `split`.
        catalogue: What was read.
        order: The classes.
        quarantine: What was wrong with the rows.
    """
    metrics = {
        **_read(catalogue),
        **_splits(labelled, catalogue.challenge),
        **_content(labelled),
        **_quarantined(quarantine),
    }
    return Report(metrics, _classes(labelled, order), _lengths(labelled, catalogue.challenge))


def write(report: Report, directory: Path) -> None:
    """Writes metrics.json and plots/**/*.csv."""
    plots = directory / "plots"
    (plots / "classes").mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.metrics, indent=1) + "\n"
    (directory / "metrics.json").write_text(text, encoding="utf-8")
    _write_csv(report.lengths, plots / "lengths.csv")
    for split in SPLITS:
        _write_csv(_bars(report.classes, split), plots / "classes" / f"{split}.csv")


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.3f")


def _bars(classes: pd.DataFrame, split: str) -> pd.DataFrame:
    """One bar for each class; DVC shows them by name, so codes are filled up to sort right."""
    names = [
        f"{code:04d} {name}" for code, name in zip(classes["code"], classes["name"], strict=True)
    ]
    return pd.DataFrame({"class": names, "products": classes[split]})


def _read(catalogue: Catalogue) -> dict[str, int | float]:
    return {f"read_{Path(name).stem}": rows for name, rows in catalogue.read.items()}


def _splits(labelled: pd.DataFrame, challenge: pd.DataFrame) -> dict[str, int | float]:
    counts = labelled["split"].value_counts()
    return {
        **{f"rows_{split}": int(counts.get(split, 0)) for split in SPLITS},
        f"rows_{CHALLENGE}": len(challenge),
    }


def _content(labelled: pd.DataFrame) -> dict[str, int | float]:
    """What the labelled products are like."""
    groups = labelled["group"].value_counts()
    described = labelled["description"].str.strip() != ""
    return {
        "classes": labelled["code"].nunique(),
        "description_missing_rate": round(1 - float(described.mean()), 4),
        "image_missing_rate": round(float((labelled["image"] == "").mean()), 4),
        "text_characters_median": int(labelled["text"].str.len().median()),
        "duplicate_groups": int((groups > 1).sum()),
        "duplicate_rows": int(groups[groups > 1].sum()),
        "duplicate_largest_group": int(groups.max()),
    }


def _quarantined(quarantine: Quarantine) -> dict[str, int | float]:
    """Rows by action, and by action and reason; a reason that didn't occur is not listed."""
    counts = quarantine.counts()
    pairs = [(action, reason) for action in Action for reason in Reason]
    by_reason = {
        f"{action}_{reason.name.lower()}": counts[action, reason]
        for action, reason in pairs
        if counts[action, reason]
    }
    return {**{str(action): quarantine.rows(action) for action in Action}, **by_reason}


def _classes(labelled: pd.DataFrame, order: Sequence[Label]) -> pd.DataFrame:
    counts = pd.crosstab(labelled["code"], labelled["split"])
    names = pd.DataFrame(list(order))
    per_split = counts.reindex(index=names["code"], columns=list(SPLITS), fill_value=0)
    return pd.concat([names, per_split.reset_index(drop=True)], axis="columns")


def _lengths(labelled: pd.DataFrame, challenge: pd.DataFrame) -> pd.DataFrame:
    """Share of products by the length of their text."""
    texts = {split: labelled.loc[labelled["split"] == split, "text"] for split in SPLITS}
    texts[CHALLENGE] = challenge["text"]
    columns = {name: _histogram(column) for name, column in texts.items()}
    return pd.DataFrame({"characters": np.arange(BINS) * BIN, **columns})


def _histogram(texts: pd.Series) -> np.ndarray:
    """Per cent of texts in each bin, float64 (BINS,)."""
    bins = np.minimum(texts.str.len().to_numpy(np.int64) // BIN, BINS - 1)
    share: np.ndarray = np.bincount(bins, minlength=BINS) * (100 / max(len(bins), 1))
    return share
