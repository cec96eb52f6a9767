"""Scores the held-out split through the bundle's own reader, beside TF-IDF baselines."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvclive.live import Live
from pydantic import Field

from api.archive import ImageArchive
from api.bundle import load as open_bundle
from stages import baselines, held_out, scoring
from stages.held_out import MODALITIES, Scored
from stages.logs import run
from stages.params import Frozen, load

DECIMALS = 6

logger = logging.getLogger(__name__)


class EvaluateParams(Frozen):
    """The section `evaluate`."""

    seed: int = Field(ge=0)
    calibration_bins: int = Field(ge=2, le=100)
    resamples: int = Field(ge=100, le=100_000)
    baselines: bool


class Params(Frozen):
    """What this stage reads of params.yaml."""

    evaluate: EvaluateParams


def main(bundle: Path, preprocessed: Path, images: Path, output: Path) -> None:
    """Writes predictions.parquet, plots and metrics.json into `output`."""
    params = load(Params).evaluate
    model = open_bundle(bundle, threads=0)
    with ImageArchive(images) as archive:
        scored = held_out.score(model, preprocessed / "test.parquet", archive)
    figures = {name: modality(scored, name, params) for name in MODALITIES}
    if params.baselines:
        figures |= baseline_figures(preprocessed, params)
    source = json.loads((preprocessed / "source.json").read_text(encoding="utf-8"))
    synthetic = source["synthetic"] or model.synthetic
    classes = scoring.by_class(scored.truth, scored.predicted("fused"), model.labels)
    output.mkdir(parents=True, exist_ok=True)
    table = held_out.as_table(scored, model.labels)
    table.to_parquet(output / "predictions.parquet", index=False)
    summary = {**figures, **counts(scored), "synthetic": int(synthetic)}
    write(output, summary, table, pd.DataFrame(classes), params.calibration_bins)
    report(figures, classes, synthetic)


def modality(scored: Scored, name: str, params: EvaluateParams) -> dict[str, float]:
    """The figures of one modality; each of them over all rows, so that they compare."""
    probabilities = scored.probabilities[name]
    return decided(scored.truth, scored.predicted(name), params) | scoring.confidence(
        scored.truth, probabilities, params.calibration_bins
    )


def decided(truth: np.ndarray, predicted: np.ndarray, params: EvaluateParams) -> dict[str, float]:
    """The figures that need no probabilities."""
    low, high = scoring.weighted_f1_interval(truth, predicted, params.resamples, params.seed)
    return {
        **scoring.correctness(truth, predicted),
        "weighted_f1_low": low,
        "weighted_f1_high": high,
    }


def baseline_figures(preprocessed: Path, params: EvaluateParams) -> dict[str, dict[str, float]]:
    """The figures of the baselines.

    They are fitted on train and validation together: the model picks its epoch by the validation
    rows, so a baseline that never saw them would be held back.
    """
    columns = ["text", "code"]
    train, validation, test = (
        pd.read_parquet(preprocessed / f"{split}.parquet", columns=columns)
        for split in ("train", "validation", "test")
    )
    seen = pd.concat([train, validation])
    answers = baselines.predictions(
        seen["text"].tolist(), seen["code"].to_numpy(), test["text"].tolist(), params.seed
    )
    truth = test["code"].to_numpy()
    return {name: decided(truth, predicted, params) for name, predicted in answers}


def counts(scored: Scored) -> dict[str, int]:
    """Rows, and of how many the model could use no text or no image."""
    return {
        "rows": len(scored.row),
        "rows_without_text": int((~scored.has_text).sum()),
        "rows_without_image": int((~scored.has_image).sum()),
    }


def write(
    output: Path,
    summary: Mapping[str, Any],
    table: pd.DataFrame,
    classes: pd.DataFrame,
    bins: int,
) -> None:
    """plots/per_class.csv, the plots of DVCLive, and, last, metrics.json.

    DVCLive would also record an experiment and edit dvc.yaml: the stage's place in dvc.yaml does
    that here.
    """
    plots = output / "plots"
    plots.mkdir(exist_ok=True)
    classes.round(DECIMALS).to_csv(plots / "per_class.csv", index=False)
    with Live(dir=str(output), save_dvc_exp=False, dvcyaml=None, report=None) as live:
        live.log_sklearn_plot("confusion_matrix", table["code"], table["predicted"])
        hits = (table["code"] == table["predicted"]).astype(int)
        confidence = np.minimum(table["confidence"], 1)
        live.log_sklearn_plot("calibration", hits, confidence, n_bins=bins)
        live.summary = _rounded(summary)


def _rounded(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, Mapping) else round(value, DECIMALS)
        for name, value in summary.items()
    }


def report(
    figures: Mapping[str, Mapping[str, float]],
    classes: Sequence[scoring.ClassScore],
    synthetic: bool,
) -> None:
    """The figures and the table of classes, readable in the log."""
    if synthetic:
        logger.warning("these figures are of synthetic products: they say nothing of real ones")
    overall = pd.DataFrame(figures).T.round(3).to_string(na_rep="")
    table = pd.DataFrame(classes).astype({"confused_with": "Int64"})
    logger.info("figures of the held-out split\n%s", overall)
    logger.info("classes\n%s", table.round(3).to_string(index=False, na_rep=""))


if __name__ == "__main__":
    run(main, log="test_model")
