"""The held-out split as a bundle sees it: whole, without its images, without its texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from api.archive import ImageArchive
from api.bundle import Bundle, Product
from api.errors import ProductCodeError
from api.labels import Label
from stages.products import Batch, batches

MODALITIES = ("fused", "text", "image")
TINY = np.finfo(np.float32).tiny  # keeps the logarithm of a probability that underflowed finite


class HeldOutError(ProductCodeError):
    """A held-out split that a bundle can't be scored on."""


@dataclass(frozen=True)
class Scored:
    """N scored rows: those of one batch, or all of them.

    `row` int64 (N,); `truth` int64 (N,), positions in the bundle's labels; `has_text` and
    `has_image` bool (N,), whether the model could use them; `probabilities` float32 (N, C) for
    each of `MODALITIES`.
    """

    row: np.ndarray
    truth: np.ndarray
    has_text: np.ndarray
    has_image: np.ndarray
    probabilities: Mapping[str, np.ndarray]

    def predicted(self, modality: str) -> np.ndarray:
        """Positions, int64 (N,), of the most probable classes."""
        best: np.ndarray = self.probabilities[modality].argmax(axis=1)
        return best


def score(model: Bundle, split: Path, archive: ImageArchive) -> Scored:
    """Every row of a split, read from its raw texts and JPEG bytes.

    An image that can't be used counts as missing, as it does in training.

    Raises:
        HeldOutError: A row's code is none of the bundle's.
        ProductsError: The split is missing or empty, or the archive lacks an image.
    """
    blank = model.encode([Product()])
    return _joined([_score(model, batch, blank) for batch in batches(split, archive)])


def _score(model: Bundle, batch: Batch, blank: Mapping[str, np.ndarray]) -> Scored:
    truth = _truth(batch, model)
    inputs = model.encode(batch.products, strict=False)
    return Scored(
        np.array([row["row"] for row in batch.rows], np.int64),
        truth,
        inputs["has_text"],
        inputs["has_image"],
        {
            "fused": model.run(inputs),
            "text": model.run(_without(inputs, blank, "pixels", "has_image")),
            "image": model.run(_without(inputs, blank, "token_ids", "has_text")),
        },
    )


def _truth(batch: Batch, model: Bundle) -> np.ndarray:
    positions = {label["code"]: position for position, label in enumerate(model.labels)}
    for row in batch.rows:
        if row["code"] not in positions:
            raise HeldOutError(
                f"row {row['row']} of the held-out split has code {row['code']}, bundle "
                f"{model.path} answers with {sorted(positions)} only: train on the data that "
                "this split is from"
            )
    return np.array([positions[row["code"]] for row in batch.rows], np.int64)


def _without(
    inputs: Mapping[str, np.ndarray], blank: Mapping[str, np.ndarray], *names: str
) -> dict[str, np.ndarray]:
    """The inputs, some of them as if the products lacked them: decoded once, run three times."""
    missing = {name: np.broadcast_to(blank[name], inputs[name].shape) for name in names}
    return {**inputs, **missing}


def _joined(parts: Sequence[Scored]) -> Scored:
    def join(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays)

    return Scored(
        join([part.row for part in parts]),
        join([part.truth for part in parts]),
        join([part.has_text for part in parts]),
        join([part.has_image for part in parts]),
        {name: join([part.probabilities[name] for part in parts]) for name in MODALITIES},
    )


def as_table(scored: Scored, labels: Sequence[Label]) -> pd.DataFrame:
    """One line for each row of the split: what a paired comparison of two bundles needs.

    Columns: row, code, predicted, confidence (of both modalities together), predicted_text,
    predicted_image, has_text, has_image, and log_<code>, the log-probabilities, float32.
    """
    codes = np.array([label["code"] for label in labels], np.int32)
    fused = scored.probabilities["fused"]
    columns: dict[str, Any] = {
        "row": scored.row,
        "code": codes[scored.truth],
        "predicted": codes[scored.predicted("fused")],
        "confidence": fused.max(axis=1),
        "predicted_text": codes[scored.predicted("text")],
        "predicted_image": codes[scored.predicted("image")],
        "has_text": scored.has_text,
        "has_image": scored.has_image,
    }
    logs = np.log(np.maximum(fused, TINY))
    return pd.DataFrame(columns | {f"log_{code}": logs[:, at] for at, code in enumerate(codes)})
