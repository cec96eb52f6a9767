"""Fusion: how text and image become one answer, and what is left when one of them is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import keras
import numpy as np
from keras import layers, ops
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import log_softmax

from stages.params import Frozen

BOTH, TEXT_ONLY, IMAGE_ONLY = 0, 1, 2
STATES = (BOTH, TEXT_ONLY, IMAGE_ONLY)


class ConcatenateParams(Frozen):
    """Weighted scores plus a network over both hidden vectors, trained together."""

    kind: Literal["concatenate"]
    hidden: int = Field(ge=1, le=4096)
    dropout: float = Field(ge=0, lt=1)


class WeightedParams(Frozen):
    """Weighted scores alone; the weights are fitted on validation rows."""

    kind: Literal["weighted"]


FusionParams = Annotated[ConcatenateParams | WeightedParams, Field(discriminator="kind")]


def states(has_text: keras.KerasTensor, has_image: keras.KerasTensor) -> keras.KerasTensor:
    """float32 (N, 3): which of both, text only, image only a row is; all zero for neither."""
    text, image = ops.cast(has_text, "float32"), ops.cast(has_image, "float32")
    return ops.stack([text * image, text * (1 - image), (1 - text) * image], axis=1)


class ModalityDropout(layers.Layer):
    """While training, takes one of two modalities away from some rows that have both."""

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__(name="modality_dropout")
        self.rate = rate
        self.generator = keras.random.SeedGenerator(seed)

    def call(
        self, masks: list[keras.KerasTensor], training: bool = False
    ) -> list[keras.KerasTensor]:
        """Masks has_text and has_image, bool (N,), some of them now false."""
        has_text, has_image = masks
        if not training or not self.rate:
            return masks
        draw = keras.random.uniform(ops.shape(has_text), seed=self.generator)
        both = ops.logical_and(has_text, has_image)
        no_text = ops.logical_and(both, draw < self.rate / 2)
        no_image = ops.logical_and(both, draw > 1 - self.rate / 2)
        return [
            ops.logical_and(has_text, ops.logical_not(no_text)),
            ops.logical_and(has_image, ops.logical_not(no_image)),
        ]


def presence(modalities: Sequence[str]) -> np.ndarray:
    """Which branches count in which state, float32 (3, K), for branches of such modalities."""
    allowed = {BOTH: ("text", "image"), TEXT_ONLY: ("text",), IMAGE_ONLY: ("image",)}
    return np.array(
        [[modality in allowed[state] for modality in modalities] for state in STATES], np.float32
    )


class WeightedScores(layers.Layer):
    """Sum of the branches' scores under weights that depend on what the row has.

    Args:
        modalities: "text" or "image", of each of the K branches.
        trainable: Whether gradient descent moves the weights.
    """

    def __init__(self, modalities: Sequence[str], trainable: bool) -> None:
        super().__init__(name="weighted_scores", trainable=trainable, dtype="float32")
        self.modalities = tuple(modalities)
        self.present = presence(modalities)
        self.weights_by_state = self.add_weight(
            shape=self.present.shape, initializer="ones", name="weights_by_state"
        )

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Takes K scores (N, C), then states (N, 3); returns float32 (N, C)."""
        *scores, state = inputs
        weights = ops.matmul(state, self.weights_by_state * ops.convert_to_tensor(self.present))
        return sum(
            branch * weights[:, position : position + 1] for position, branch in enumerate(scores)
        )


class Present(layers.Layer):
    """Hidden vectors side by side, zeros for those of a modality that a row lacks; the state too.

    Args:
        modalities: "text" or "image", of each of the K branches.
    """

    def __init__(self, modalities: Sequence[str]) -> None:
        super().__init__(name="present", trainable=False, dtype="float32")
        self.present = presence(modalities)

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Takes K vectors (N, H), then states (N, 3); returns float32 (N, sum of H + 3)."""
        *hidden, state = inputs
        present = ops.matmul(state, ops.convert_to_tensor(self.present))
        seen = [
            vector * present[:, position : position + 1] for position, vector in enumerate(hidden)
        ]
        return ops.concatenate([*seen, state], axis=1)


class Gate(layers.Layer):
    """Lets through a share of the correction, another one for each state; fitted, not trained."""

    def __init__(self) -> None:
        super().__init__(name="correction_gate", trainable=False, dtype="float32")
        self.share = self.add_weight(shape=(len(STATES),), initializer="ones", name="share")

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Takes scores (N, C) and states (N, 3); returns float32 (N, C)."""
        correction, state = inputs
        return correction * ops.sum(state * self.share, axis=1, keepdims=True)


class Calibration(layers.Layer):
    """Divides scores by a temperature for each of both, text only, image only."""

    def __init__(self) -> None:
        super().__init__(name="calibration", trainable=False)
        self.scale = self.add_weight(shape=(len(STATES),), initializer="ones", name="scale")

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Takes scores (N, C) and states (N, 3); returns float32 (N, C)."""
        scores, state = inputs
        return scores * ops.sum(state * self.scale, axis=1, keepdims=True)


@dataclass(frozen=True)
class Branch:
    """One branch: its modality, hidden vector (N, H) and scores (N, C)."""

    modality: Literal["text", "image"]
    hidden: keras.KerasTensor
    scores: keras.KerasTensor


def combine(
    params: FusionParams, branches: Sequence[Branch], state: keras.KerasTensor
) -> keras.KerasTensor:
    """Fused scores, float32 (N, C).

    Args:
        params: Which fusion.
        branches: At least one of each modality.
        state: As `states` gives it.
    """
    modalities = [branch.modality for branch in branches]
    weighted = WeightedScores(modalities, trainable=params.kind == "concatenate")
    scores = weighted([*(branch.scores for branch in branches), state])
    if isinstance(params, WeightedParams):
        return scores
    joined = Present(modalities)([*(branch.hidden for branch in branches), state])
    hidden = layers.Dense(params.hidden, "relu", name="fusion_hidden")(joined)
    hidden = layers.Dropout(params.dropout)(hidden)
    # Zeros at first: training starts from the weighted scores and can only add to them.
    correction = layers.Dense(
        scores.shape[1], kernel_initializer="zeros", name="fusion_correction"
    )(hidden)
    return layers.Add(dtype="float32")([scores, Gate()([correction, state])])


def fit_weights(scores: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Non-negative weights, float (K,), under which summed scores give the least log-loss.

    Args:
        scores: K arrays, float32 (N, C).
        labels: int (N,).
    """
    stacked = np.stack(scores).astype(np.float64)
    rows = np.arange(len(labels))

    def loss(weights: np.ndarray) -> float:
        logits = np.tensordot(weights, stacked, axes=1)
        return float(-log_softmax(logits, axis=1)[rows, labels].mean())

    if not len(labels):
        return np.ones(len(scores))
    bounds = [(1e-3, 100.0)] * len(scores)
    result: np.ndarray = minimize(loss, np.ones(len(scores)), bounds=bounds).x
    return result


def fit_weights_by_state(
    scores: Sequence[np.ndarray], modalities: Sequence[str], labels: np.ndarray
) -> np.ndarray:
    """Weights of K branches' scores, float32 (3, K), for each of the three states.

    Args:
        scores: K arrays, float32 (N, C), of rows that have both modalities.
        modalities: Of each branch.
        labels: int (N,).
    """
    weights = presence(modalities)
    for state in STATES:
        present = np.flatnonzero(weights[state])
        weights[state, present] = fit_weights([scores[int(branch)] for branch in present], labels)
    return weights


def weigh(
    scores: Sequence[np.ndarray], weights: np.ndarray, has_text: np.ndarray, has_image: np.ndarray
) -> np.ndarray:
    """What `WeightedScores` gives, float32 (N, C), for K branches' scores and weights (3, K)."""
    state = np.where(has_text, np.where(has_image, BOTH, TEXT_ONLY), IMAGE_ONLY)
    by_row = weights[state] * (has_text | has_image)[:, None]
    weighed: np.ndarray = np.einsum("knc,nk->nc", np.stack(scores), by_row)
    return weighed.astype(np.float32)
