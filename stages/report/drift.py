"""How the products of two revisions differ: classes, texts, photos.

The population stability index is the sum of (p - q) ln(p / q) over the bins of a distribution;
below 0.1 it is commonly called small, above 0.25 large.

Source: Yurdakul, Statistical Properties of Population Stability Index, 2018.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from stages.report.answers import PREPROCESSED, read_table
from stages.report.markdown import table
from stages.report.revision import Revision
from stages.split import SPLITS

COLUMNS = ["code", "text", "description", "image", "designation"]
SMALL, LARGE = 0.1, 0.25
BINS = 10  # of what is counted, by quantiles of the base
Feature = Callable[[pd.DataFrame], pd.Series]
FEATURES: dict[str, Feature] = {
    "class": lambda products: products["code"],
    "length of the text": lambda products: products["text"].str.len(),
    "words of the title": lambda products: products["designation"].str.count(r"\S+"),
    "has a description": lambda products: products["description"].str.strip() != "",
    "has a photo": lambda products: products["image"] != "",
}
COUNTED = ("length of the text", "words of the title")


def render(before: Revision, after: Revision) -> str:
    """A line for each feature; nothing where the products are the same."""
    if before.lock.md5(PREPROCESSED) == after.lock.md5(PREPROCESSED):
        return "The products are those of the base: nothing can have drifted."
    then, now = (_products(revision) for revision in (before, after))
    rows = [
        _line(name, feature(then), feature(now), name in COUNTED)
        for name, feature in FEATURES.items()
    ]
    text = f"{len(then):,} labelled products in the base, {len(now):,} in this revision."
    columns = ["", "base", "this revision", "stability index", "p"]
    return f"{text}\n\n{table(columns, rows, numbers=4)}\n\n{_note()}"


def stability(then: Sequence[float] | np.ndarray, now: Sequence[float] | np.ndarray) -> float:
    """The index of two histograms; half a product in each bin keeps empty ones finite."""
    p, q = (np.asarray(counts, np.float64) + 0.5 for counts in (then, now))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def _products(revision: Revision) -> pd.DataFrame:
    parts = [read_table(revision, f"{PREPROCESSED}/{name}.parquet", COLUMNS) for name in SPLITS]
    return pd.concat(parts)


def _line(name: str, then: pd.Series, now: pd.Series, counted: bool) -> list[str]:
    first, second = _histograms(then, now, counted)
    index = stability(first, second)
    size = "small" if index < SMALL else "large" if index > LARGE else "moderate"
    p = stats.ks_2samp(then, now).pvalue if counted else _independence(first, second)
    return [name, _summary(name, then), _summary(name, now), f"{index:.3f} ({size})", f"{p:.2g}"]


def _summary(name: str, values: pd.Series) -> str:
    if name == "class":
        return f"{values.nunique()} classes"
    return f"{values.median():g}" if name in COUNTED else f"{values.mean():.1%}"


def _histograms(then: pd.Series, now: pd.Series, counted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Products of each bin: quantiles of the base for counts, every value for the rest."""
    if counted:
        inner = np.unique(np.quantile(then, np.linspace(0, 1, BINS + 1)))[1:-1]
        edges = np.concatenate([[-np.inf], inner, [np.inf]])
        return np.histogram(then, edges)[0], np.histogram(now, edges)[0]
    values = sorted({*then.unique(), *now.unique()})
    first, second = (side.value_counts().reindex(values, fill_value=0) for side in (then, now))
    return first.to_numpy(), second.to_numpy()


def _independence(first: np.ndarray, second: np.ndarray) -> float:
    """Probability that the chi-squared statistic is this large by chance."""
    if len(first) == 1:
        return 1.0
    return float(stats.chi2_contingency([first, second]).pvalue)


def _note() -> str:
    return (
        f"Stability index: small below {SMALL}, large above {LARGE}. p: chi-squared, or "
        "Kolmogorov-Smirnov for lengths; products that both revisions share make it larger."
    )
