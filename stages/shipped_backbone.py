"""Which backbone a bundle gets: in the precision that export.precision asks for, if it passes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from api.archive import ImageArchive
from stages import quantise
from stages.image_features import Source
from stages.quantise import ExportParams, Outcome

Judge = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Photos:
    """Where images are: archive, data/preprocessed, side in pixels, resampling."""

    archive: Path
    preprocessed: Path
    size: int
    resampling: str

    def read(self, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Up to `count` usable images of a split, as `quantise.read_images` gives them."""
        with ImageArchive(self.archive) as archive:
            source = Source(archive, self.size, self.resampling)
            return quantise.read_images(source, self.preprocessed / f"{split}.parquet", count)


def ship(
    params: ExportParams,
    backbone: onnx.ModelProto,
    photos: Photos,
    labels: np.ndarray,
    judge: Callable[[], Judge],
) -> tuple[onnx.ModelProto, Outcome]:
    """The backbone to put into the bundle, and why.

    Args:
        params: What is asked for; with fp32 nothing is read.
        backbone: From `pixels` to `features`.
        photos: Training images calibrate, validation images decide.
        labels: Of all validation rows, int (N,).
        judge: Makes what gives probabilities (G, C) of validation rows, int (G,), whose image
            features, float32 (G, D), are other ones; it must not have learnt from them.
    """
    nothing = np.zeros((0, photos.size, photos.size, 3), np.uint8)
    if params.precision == "fp32":
        return quantise.choose(params, backbone, nothing, nothing, labels[:0], lambda found: found)
    calibration, _ = photos.read("train", params.calibration_images)
    gate, rows = photos.read("validation", params.gate_images)
    judged = judge()
    return quantise.choose(
        params, backbone, calibration, gate, labels[rows], lambda found: judged(rows, found)
    )
