"""report.html of `review`: where the classifier errs, and which labels to look at."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Any

import pandas as pd

from stages import cards, confusion, html_page
from stages.cards import Cards, Fact
from stages.disagreement import Right, outcomes
from stages.label_reasons import percent, reasons
from stages.product_table import Twins
from stages.scoring import ClassScore
from stages.split import TEST

NOTHING = "<p>None.</p>"

# The policy lets nothing be fetched or run, should a hostile title ever get through.
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Where the classifier errs</title>
<style>$style</style>
</head>
<body>
<h1>Where the classifier errs</h1>
$notice
<p>Bundle $version, on $rows products of the held-out split.</p>
$figures
<h2>Classes</h2>
<p>On the held-out split. The last two columns: what its products are taken for most often.</p>
$classes
<h2>Most confused pairs</h2>
<p>Errors are products of either class taken for the other; the rate is their share of the products
of the two classes. A rate of few products says little.</p>
$pairs
<h2>Text against image</h2>
<p>Products whose text alone and image alone are taken for different classes.</p>
$disagreements
<h2>Label candidates</h2>
<p>Products whose label a model doubts that has not learnt from them (confident learning), the most
doubtful first; all of them are in label_candidates.csv. The model's own errors are among them: the
weaker the model, the more. Look before you change a label.</p>
$candidates
</body>
</html>
""")


@dataclass(frozen=True)
class Limits:
    """How much is shown: examples of a pair or kind, pairs in each ranking, candidates."""

    examples: int
    pairs: int
    candidates: int


@dataclass(frozen=True)
class Review:
    """What the page shows.

    `source` is source.json's content; `version` the bundle's; `names` what to call a code;
    `scored` the held-out split's predictions; `pairs` as `confusion.pairs` gives them;
    `disagreeing` as `disagreement.disagreeing`; `candidates` and `searched` as `label_noise`.
    """

    source: Mapping[str, Any]
    version: str
    names: Mapping[int, str]
    classes: Sequence[ClassScore]
    scored: pd.DataFrame
    pairs: pd.DataFrame
    disagreeing: pd.DataFrame
    candidates: pd.DataFrame
    searched: pd.DataFrame


def render(
    review: Review, figures: Mapping[str, float], shown: Cards, twins: Twins, limits: Limits
) -> str:
    """The page; `figures` are those of metrics.json."""
    lines = pd.DataFrame(figures.items(), columns=["figure", "value"], dtype=object)
    return _PAGE.substitute(
        style=html_page.STYLE + cards.STYLE,
        notice=html_page.notice(review.source),
        version=escape(review.version),
        rows=f"{len(review.scored):,}",
        figures=html_page.table(lines),
        classes=html_page.table(_classes(review)),
        pairs=_pairs(review, shown, limits),
        disagreements=_disagreements(review, shown, limits.examples),
        candidates=_candidates(review, shown, twins, limits.candidates),
    )


def _classes(review: Review) -> pd.DataFrame:
    return pd.DataFrame([_class(score, review.names) for score in review.classes], dtype=object)


def _class(score: ClassScore, names: Mapping[int, str]) -> dict[str, object]:
    """A class without a product in the split has no figures, not figures of zero."""
    there = score["rows"] > 0
    other = score["confused_with"]
    return {
        "class": names[score["code"]],
        "products": score["rows"],
        "precision": round(score["precision"], 3) if there else "–",
        "recall": round(score["recall"], 3) if there else "–",
        "F1": round(score["f1"], 3) if there else "–",
        "taken for": "" if other is None else names[other],
        "times": score["confused_rows"],
    }


def _pairs(review: Review, shown: Cards, limits: Limits) -> str:
    leading = confusion.leading(review.pairs, limits.pairs)
    if leading.empty:
        return NOTHING
    lines = [_pair(pair, review.names) for pair in leading.to_dict("records")]
    parts = [html_page.table(pd.DataFrame(lines, dtype=object))]
    for pair in leading.to_dict("records"):
        first, second = pair["first"], pair["second"]
        rows = confusion.examples(review.scored, first, second, limits.examples)
        heading = f"{review.names[first]} / {review.names[second]}"
        parts += [f"<h3>{escape(heading)}</h3>", shown.cards(_examples(rows, review.names))]
    return "\n".join(parts)


def _pair(pair: Mapping[Hashable, Any], names: Mapping[int, str]) -> dict[str, object]:
    return {
        "one": names[pair["first"]],
        "other": names[pair["second"]],
        "one as other": pair["first_as_second"],
        "other as one": pair["second_as_first"],
        "errors": pair["errors"],
        "of all errors": percent(pair["share"]),
        "rate": percent(pair["rate"]),
        "rank by errors": pair[confusion.BY_ERRORS],
        "rank by rate": pair[confusion.BY_RATE],
    }


def _examples(
    rows: pd.DataFrame, names: Mapping[int, str]
) -> Iterator[tuple[str, int, Sequence[Fact]]]:
    for row in rows.to_dict("records"):
        text = names[row["predicted_text"]] if row["has_text"] else "no text"
        image = names[row["predicted_image"]] if row["has_image"] else "no usable image"
        yield (
            TEST,
            row["row"],
            (
                ("True", names[row["code"]]),
                ("Predicted", f"{names[row['predicted']]} ({percent(row['confidence'])})"),
                ("Text alone", text),
                ("Image alone", image),
            ),
        )


def _disagreements(review: Review, shown: Cards, limit: int) -> str:
    rows = review.disagreeing
    if rows.empty:
        return NOTHING
    table = outcomes(rows).set_axis(["right alone", "products", "answered right"], axis="columns")
    parts = [html_page.table(table)]
    wrong = rows[rows["predicted"] != rows["code"]]
    for right in Right:
        some = confusion.most_confident(wrong[wrong["right"] == str(right)], limit)
        if len(some):
            parts.append(f"<h3>Answered wrong; right alone: {right}</h3>")
            parts.append(shown.cards(_examples(some, review.names)))
    return "\n".join(parts)


def _candidates(review: Review, shown: Cards, twins: Twins, limit: int) -> str:
    searched = review.searched.assign(share=[percent(part) for part in review.searched["share"]])
    table = html_page.table(searched)
    if review.candidates.empty:
        return table + NOTHING
    scored = {row["row"]: row for row in review.scored.to_dict("records")}
    return table + shown.cards(_doubts(review, shown, twins, scored, limit))


def _doubts(
    review: Review,
    shown: Cards,
    twins: Twins,
    scored: Mapping[int, Mapping[Hashable, Any]],
    limit: int,
) -> Iterator[tuple[str, int, Sequence[Fact]]]:
    for one in review.candidates.head(limit).to_dict("records"):
        title = shown.title(one["split"], one["row"])
        facts = [("Label", review.names[one["code"]])]
        facts.append(("Suggested", review.names[one["suggested_code"]]))
        said = reasons(one, title, twins, scored, review.names)
        yield one["split"], one["row"], [*facts, *(("Why", line) for line in said)]
