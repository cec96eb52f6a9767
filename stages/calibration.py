"""Fitted on validation rows once the trunk is trained: how much of it to use, and temperatures."""

from dataclasses import dataclass

import keras
import numpy as np
from scipy.special import log_softmax

from stages import fusion
from stages.batches import Inputs, outputs

SHARES = np.linspace(1, 0, 11)


@dataclass(frozen=True)
class Calibration:
    """Share of the correction, inverse temperature and mean log-loss, float32 (3,), by state."""

    shares: np.ndarray
    scales: np.ndarray
    losses: np.ndarray


def fit(trunk: keras.Model, inputs: Inputs, labels: np.ndarray) -> Calibration:
    """The shares and temperatures under which validation rows have the least log-loss.

    A share below 1 means that the network's correction does not carry over to rows it was not
    trained on; with 0, what is served in that state is the weighted experts alone.

    Args:
        trunk: Gives scores (N, C).
        inputs: Validation rows.
        labels: int (N,).

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, for the temperature.
    """
    parts = _parts(trunk)
    has_text, has_image = inputs["has_text"], inputs["has_image"]
    nothing = np.zeros_like(has_text)
    cases = {
        fusion.BOTH: (has_text, has_image),
        fusion.TEXT_ONLY: (has_text, nothing),
        fusion.IMAGE_ONLY: (nothing, has_image),
    }
    fitted = np.ones((3, len(fusion.STATES)), np.float32)
    for state, (text, image) in cases.items():
        rows = np.flatnonzero((text | image) if state else (text & image))
        scores = outputs(parts, inputs | {"has_text": text, "has_image": image})[rows]
        fitted[:, state] = _least(scores, np.asarray(labels)[rows])
    return Calibration(*fitted)


def set_shares(trunk: keras.Model, shares: np.ndarray) -> None:
    """Lets only that share of the trunk's correction through, if it has one."""
    if _corrects(trunk):
        trunk.get_layer("correction_gate").share.assign(shares)


def _corrects(trunk: keras.Model) -> bool:
    return "fusion_correction" in {layer.name for layer in trunk.layers}


def _parts(trunk: keras.Model) -> keras.Model:
    """Gives (N, 2, C): weighted scores and correction, which is zero where there is none."""
    scores = trunk.get_layer("weighted_scores").output
    correction = (
        trunk.get_layer("fusion_correction").output
        if _corrects(trunk)
        else keras.ops.zeros_like(scores)
    )
    return keras.Model(trunk.input, keras.ops.stack([scores, correction], axis=1))


def _least(parts: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Share, inverse temperature and log-loss; the larger share where two are equal."""
    best = (1.0, 1.0, np.inf)
    for share in SHARES:
        scores = parts[:, 0] + np.float32(share) * parts[:, 1]
        scale = fusion.fit_weights([scores], labels)[0]
        logits = log_softmax(scale * scores, axis=1)
        loss = -logits[np.arange(len(labels)), labels].mean() if len(labels) else 0.0
        if loss < best[2] - 1e-6:
            best = (float(share), float(scale), float(loss))
    return best
