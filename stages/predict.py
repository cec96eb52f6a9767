"""Classifies the challenge's unlabelled products, as a submission and as JSON."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from api.archive import ImageArchive
from api.bundle import Bundle
from api.bundle import load as open_bundle
from api.labels import Label
from stages.logs import run
from stages.params import Frozen, load
from stages.products import Batch, batches

SUBMISSION, PREDICTIONS = "submission.csv", "predictions.json"
DECIMALS = 6
PARTIAL = ".partial"  # a table cut short would still look like a whole one


class PredictParams(Frozen):
    """The section `predict`."""

    top_k: int = Field(ge=1, le=100)


class Params(Frozen):
    """What this stage reads of params.yaml."""

    predict: PredictParams


def main(bundle: Path, preprocessed: Path, images: Path, output: Path) -> None:
    """Writes submission.csv and predictions.json, every product in the order of X_test."""
    params = load(Params).predict
    model = open_bundle(bundle, threads=0)
    output.mkdir(parents=True, exist_ok=True)
    with ImageArchive(images) as archive:
        parts = batches(preprocessed / "challenge.parquet", archive)
        answers = (answer for part in parts for answer in classify(model, part, params.top_k))
        write(output, model, answers)


def classify(model: Bundle, batch: Batch, top_k: int) -> Iterator[dict[str, Any]]:
    """One answer for each product of a batch."""
    inputs = model.encode(batch.products, strict=False)
    probabilities = model.run(inputs)
    for at, row in enumerate(batch.rows):
        ranked = best(probabilities[at], model.labels, top_k)
        yield {
            "row": row["row"],
            "productid": row["productid"],
            "imageid": row["imageid"],
            "predicted": ranked[0]["code"],
            "label": ranked[0]["label"],
            "confidence": ranked[0]["confidence"],
            "predictions": ranked,
            "has_text": bool(inputs["has_text"][at]),
            "has_image": bool(inputs["has_image"][at]),
        }


def best(probabilities: np.ndarray, labels: Sequence[Label], top_k: int) -> list[dict[str, Any]]:
    """The most probable classes of one product, float (C,); of equal ones, the lower code first."""
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return [
        {
            "code": labels[at]["code"],
            "label": labels[at]["name"],
            "confidence": round(float(probabilities[at]), DECIMALS),
        }
        for at in order
    ]


def write(output: Path, model: Bundle, answers: Iterator[dict[str, Any]]) -> None:
    """Writes both files as the answers come, so that they are never in memory together."""
    drafts = [output / (name + PARTIAL) for name in (SUBMISSION, PREDICTIONS)]
    head = {"model_version": model.version, "synthetic": model.synthetic}
    with (
        drafts[0].open("w", encoding="utf-8", newline="") as table,
        drafts[1].open("w", encoding="utf-8") as document,
    ):
        submission = csv.writer(table, lineterminator="\n")
        submission.writerow(["", "prdtypecode"])
        document.write(json.dumps(head)[:-1] + ', "products": [')
        for position, answer in enumerate(answers):
            submission.writerow([answer["row"], answer["predicted"]])
            document.write(",\n" if position else "\n")
            json.dump(answer, document, ensure_ascii=False)
        document.write("\n]}\n")
    for draft in drafts:
        draft.replace(draft.with_suffix(""))


if __name__ == "__main__":
    run(main, log="test_model")
