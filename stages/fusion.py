"""Fusion: how text and image become one answer, and what is left when one of them is missing."""

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


class WeightedScores(layers.Layer):
    """Sum of both branches' scores under weights that depend on what the row has."""

    def __init__(self, trainable: bool) -> None:
        super().__init__(name="weighted_scores", trainable=trainable)
        self.weights_by_state = self.add_weight(
            shape=(len(STATES), 2), initializer="ones", name="weights_by_state"
        )

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Takes text scores, image scores (N, C) and states (N, 3); returns float32 (N, C)."""
        text, image, state = inputs
        weights = ops.matmul(state, self.weights_by_state)
        present = ops.stack(
            [state[:, BOTH] + state[:, TEXT_ONLY], state[:, BOTH] + state[:, IMAGE_ONLY]], axis=1
        )
        weights = weights * present
        return text * weights[:, :1] + image * weights[:, 1:]


class Calibration(layers.Layer):
    """Divides scores by a temperature for each of both, text only, image only."""

    def __init__(self) -> None:
        super().__init__(name="calibration", trainable=False)
        self.scale = self.add_weight(shape=(len(STATES),), initializer="ones", name="scale")

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Takes scores (N, C) and states (N, 3); returns float32 (N, C)."""
        scores, state = inputs
        return scores * ops.sum(state * self.scale, axis=1, keepdims=True)


def combine(
    params: FusionParams,
    text: tuple[keras.KerasTensor, keras.KerasTensor],
    image: tuple[keras.KerasTensor, keras.KerasTensor],
    state: keras.KerasTensor,
) -> keras.KerasTensor:
    """Fused scores, float32 (N, C).

    Args:
        params: Which fusion.
        text: The branch's hidden vector (N, H) and scores (N, C).
        image: The same of the image.
        state: As `states` gives it.
    """
    weighted = WeightedScores(trainable=params.kind == "concatenate")
    scores = weighted([text[1], image[1], state])
    if isinstance(params, WeightedParams):
        return scores
    has_text = state[:, BOTH : BOTH + 1] + state[:, TEXT_ONLY : TEXT_ONLY + 1]
    has_image = state[:, BOTH : BOTH + 1] + state[:, IMAGE_ONLY : IMAGE_ONLY + 1]
    joined = layers.Concatenate()([text[0] * has_text, image[0] * has_image, state])
    hidden = layers.Dense(params.hidden, "relu", name="fusion_hidden")(joined)
    hidden = layers.Dropout(params.dropout)(hidden)
    # Zeros at first: training starts from the weighted scores and can only add to them.
    correction = layers.Dense(
        scores.shape[1], kernel_initializer="zeros", name="fusion_correction"
    )(hidden)
    return layers.Add()([scores, correction])


def fit_weights(scores: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
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


def fit_weights_by_state(text: np.ndarray, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights of text and image scores, float32 (3, 2), for each of the three states.

    Args:
        text: Scores, float32 (N, C), of rows that have both modalities.
        image: The same.
        labels: int (N,).
    """
    both = fit_weights([text, image], labels)
    alone = [fit_weights([scores], labels)[0] for scores in (text, image)]
    return np.array([both, [alone[0], 0.0], [0.0, alone[1]]], np.float32)
