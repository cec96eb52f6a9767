"""Shows where the classifier errs, and which labels to look at."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from api.archive import ImageArchive
from api.bundle import Bundle
from api.bundle import load as open_bundle
from stages import confusion, disagreement, label_noise, out_of_sample, product_table, scoring
from stages.cards import Cards
from stages.logs import run
from stages.out_of_sample import OutOfSample
from stages.params import Frozen, load
from stages.product_table import Twins
from stages.review_page import Limits, Review, render
from stages.scoring import ClassScore
from stages.thumbnails import Thumbnails

PHOTOS = 1_800_000  # characters that photos may take, so that the page stays below 3 MB
DECIMALS = 6

logger = logging.getLogger(__name__)


class ReviewParams(Frozen):
    """The section `review`: how much the page shows."""

    examples: int = Field(ge=0, le=10)
    pairs: int = Field(ge=1, le=30)
    candidates: int = Field(ge=0, le=200)


class Params(Frozen):
    """What this stage reads of params.yaml."""

    review: ReviewParams


def main(
    bundle: Path,
    preprocessed: Path,
    images: Path,
    predictions: Path,
    out_of_fold: Path,
    output: Path,
) -> None:
    """Writes report.html, label_candidates.csv, plots and, last, metrics.json into `output`."""
    limits = Limits(**load(Params).review.model_dump())
    model = open_bundle(bundle)
    codes = [label["code"] for label in model.labels]
    scored = out_of_sample.read_held_out(predictions, codes)
    held_out = out_of_sample.of_held_out(scored, codes)
    training = out_of_sample.read_training(out_of_fold, codes)
    products = product_table.read(preprocessed)
    product_table.check(products, held_out.rows, predictions)
    product_table.check(products, training.rows, out_of_fold)
    source = json.loads((preprocessed / "source.json").read_text(encoding="utf-8"))
    source["synthetic"] = source["synthetic"] or model.synthetic
    sources = [training, held_out]
    review = examine(model, source, scored, sources)
    with ImageArchive(images) as archive:
        shown = Cards(products, Thumbnails(archive, PHOTOS))
        page = render(review, figures(review), shown, Twins(products), limits)
    write(output, page, review, sources, limits)
    report(review)


def examine(
    model: Bundle, source: dict[str, Any], scored: pd.DataFrame, sources: Sequence[OutOfSample]
) -> Review:
    """Everything the page shows."""
    codes = [label["code"] for label in model.labels]
    truth, predicted = scored["code"].to_numpy(), scored["predicted"].to_numpy()
    classes = scoring.by_class(
        np.searchsorted(codes, truth), np.searchsorted(codes, predicted), model.labels
    )
    candidates = label_noise.candidates(sources, codes)
    return Review(
        source=source,
        version=model.version,
        names={label["code"]: f"{label['code']} {label['name']}" for label in model.labels},
        classes=classes,
        scored=scored,
        pairs=confusion.pairs(truth, predicted, codes),
        disagreeing=disagreement.disagreeing(scored),
        candidates=candidates,
        searched=label_noise.by_split(candidates, sources),
    )


def figures(review: Review) -> dict[str, int | float]:
    """The content of metrics.json.

    `doubted_label_share` is confident learning's estimate of the share of wrong labels; while the
    model errs more than the labels do, it is far too high (docs/decisions/label-noise.md).
    """
    top = float(review.pairs["share"].max()) if len(review.pairs) else 0.0
    doubted = len(review.candidates) / int(review.searched["rows"].sum())
    return {
        "worst_class_f1": round(_worst(review)["f1"], DECIMALS),
        "confused_pairs": len(review.pairs),
        "top_pair_share": round(top, DECIMALS),
        "text_and_image_disagree": len(review.disagreeing),
        "label_candidates": len(review.candidates),
        "doubted_label_share": round(doubted, DECIMALS),
        "synthetic": int(review.source["synthetic"]),
    }


def _worst(review: Review) -> ClassScore:
    """The class of least F1; one without products in the split has none."""
    return min((score for score in review.classes if score["rows"]), key=lambda score: score["f1"])


def write(
    output: Path, page: str, review: Review, sources: Sequence[OutOfSample], limits: Limits
) -> None:
    """The page, the tables, and, last, metrics.json."""
    plots = output / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    (output / "report.html").write_text(page, encoding="utf-8")
    _write_csv(review.candidates, output / "label_candidates.csv")
    leading = confusion.leading(review.pairs, limits.pairs)
    first, second = (leading[column].map(review.names) for column in ("first", "second"))
    leading.insert(0, "pair", [" / ".join(both) for both in zip(first, second, strict=True)])
    _write_csv(leading, plots / "confused_pairs.csv")
    doubted = label_noise.by_class(review.candidates, sources, list(review.names))
    doubted.insert(0, "class", list(review.names.values()))
    _write_csv(doubted, plots / "doubted_labels.csv")
    text = json.dumps(figures(review), indent=1) + "\n"
    (output / "metrics.json").write_text(text, encoding="utf-8")


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n", float_format=f"%.{DECIMALS}f")


def report(review: Review) -> None:
    """The figures, readable in the log."""
    if review.source["synthetic"]:
        logger.warning("these figures are of synthetic products: they say nothing of real ones")
    worst = _worst(review)
    logger.info("worst class %s: F1 %.3f", review.names[worst["code"]], worst["f1"])
    logger.info("label candidates\n%s", review.searched.round(3).to_string(index=False))


if __name__ == "__main__":
    run(main, log="test_model")
