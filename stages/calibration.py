"""Temperatures that make probabilities mean what they say, fitted on validation rows."""

import keras
import numpy as np

from stages import fusion
from stages.batches import Inputs, outputs


def scales(trunk: keras.Model, inputs: Inputs, labels: np.ndarray) -> np.ndarray:
    """Inverse temperatures, float32 (3,), for both modalities, text only, image only.

    Args:
        trunk: Gives scores (N, C).
        inputs: Validation rows.
        labels: int (N,).

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    has_text, has_image = inputs["has_text"], inputs["has_image"]
    nothing = np.zeros_like(has_text)
    cases = {
        fusion.BOTH: (has_text, has_image),
        fusion.TEXT_ONLY: (has_text, nothing),
        fusion.IMAGE_ONLY: (nothing, has_image),
    }
    fitted = np.ones(len(fusion.STATES), np.float32)
    for state, (text, image) in cases.items():
        rows = np.flatnonzero((text | image) if state else (text & image))
        scores = outputs(trunk, inputs | {"has_text": text, "has_image": image})[rows]
        fitted[state] = fusion.fit_weights([scores], labels[rows])[0]
    return fitted
