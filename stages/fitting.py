"""Training of the trunk: gradient descent under early stopping, or weights alone."""

import logging
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
from dvclive import Live
from dvclive.keras import DVCLiveCallback
from pydantic import Field
from sklearn.utils.class_weight import compute_class_weight

from stages import fusion
from stages.accelerators import Devices, Precision
from stages.batches import Batches, Inputs, outputs
from stages.fusion import FusionParams, WeightedParams
from stages.params import Frozen

logger = logging.getLogger(__name__)

MONITOR = "val_macro_f1"


class FittingParams(Frozen):
    """Gradient descent; `patience` counts epochs without a better validation macro F1."""

    seed: int = Field(ge=0)
    epochs: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=1, le=65_536)
    learning_rate: float = Field(gt=0, le=1)
    weight_decay: float = Field(ge=0, le=1)
    patience: int = Field(ge=1)
    class_weights: Literal["none", "balanced"]
    modality_dropout: float = Field(ge=0, le=1)
    precision: Precision
    devices: Devices


class _Curves(DVCLiveCallback):
    """dvclive's callback, but the stage itself ends the log."""

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Leaves the log open."""


@dataclass
class Fit:
    """One training of a trunk on train rows, watched on validation rows."""

    trunk: keras.Model
    params: FittingParams
    train: Inputs
    validation: Inputs
    train_labels: np.ndarray
    validation_labels: np.ndarray

    def run(self, params: FusionParams, text_is_expert: bool, live: Live) -> None:
        """Trains what is trainable, and sets the weights of the branches' scores."""
        if isinstance(params, WeightedParams):
            if self.trunk.trainable_weights:
                self._descend(live, self.batches(text_only=True), start_counts=False)
            self._set_weights(self.validation, self.validation_labels)
        else:
            if text_is_expert:
                self._set_weights(self.train, self.train_labels)
            self._descend(live, self.batches(text_only=False), start_counts=text_is_expert)
        best = self._evaluate(self.batches(text_only=False)[1])
        live.summary[MONITOR] = best
        logger.info("validation macro F1 %.4f", best)

    def compile(self) -> None:
        """Sets optimiser, loss and metric of the trunk."""
        self.trunk.compile(
            optimizer=keras.optimizers.AdamW(
                self.params.learning_rate, weight_decay=self.params.weight_decay
            ),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            weighted_metrics=[],
            metrics=[keras.metrics.F1Score(average="macro", name="macro_f1")],
        )

    def batches(self, text_only: bool) -> tuple[Batches, Batches]:
        """Train and validation rows; without images where the text alone is trained."""
        classes = self.trunk.output.shape[1]
        weights = self._class_weights(classes)
        size, seed = self.params.batch_size, self.params.seed
        splits = [(self.train, self.train_labels), (self.validation, self.validation_labels)]
        inputs = [
            split | {"has_image": split["has_image"] & (not text_only)} for split, _ in splits
        ]
        return (
            Batches(inputs[0], self.train_labels, classes, size, weights, seed),
            Batches(inputs[1], self.validation_labels, classes, size, np.ones(classes, np.float32)),
        )

    def _descend(self, live: Live, batches: tuple[Batches, Batches], start_counts: bool) -> None:
        """Early stopping keeps the best epoch; where `start_counts`, it has to beat the start."""
        train, validation = batches
        self.compile()
        start, weights = self._evaluate(validation), self.trunk.get_weights()
        stop = keras.callbacks.EarlyStopping(
            MONITOR, mode="max", patience=self.params.patience, restore_best_weights=True
        )
        self.trunk.fit(
            train,
            validation_data=validation,
            epochs=self.params.epochs,
            callbacks=[stop, _Curves(live=live)],
            shuffle=False,
            verbose=2,
        )
        if start_counts and stop.best <= start:
            logger.info("no epoch beat the start's macro F1 of %.4f: the start is kept", start)
            self.trunk.set_weights(weights)

    def _evaluate(self, batches: Batches) -> float:
        predicted = outputs(self.trunk, batches.inputs)
        metric = keras.metrics.F1Score(average="macro")
        metric.update_state(batches.one_hot[batches.labels], predicted)
        return float(metric.result())

    def _set_weights(self, inputs: Inputs, labels: np.ndarray) -> None:
        """Fits the weights of scores on rows that have both modalities."""
        rows = np.flatnonzero(inputs["has_text"] & inputs["has_image"])
        layer = self.trunk.get_layer("weighted_scores")
        scores = [branch[rows] for branch in branch_scores(self.trunk, inputs)]
        weights = fusion.fit_weights_by_state(scores, layer.modalities, np.asarray(labels)[rows])
        logger.info("weights of the branches' scores: %s", weights[fusion.BOTH].round(2))
        layer.weights_by_state.assign(weights)

    def _class_weights(self, classes: int) -> np.ndarray:
        weights = np.ones(classes, np.float32)
        if self.params.class_weights == "balanced":
            present = np.unique(self.train_labels)
            weights[present] = compute_class_weight(
                "balanced", classes=present, y=np.asarray(self.train_labels)
            )
        return weights


def branch_scores(trunk: keras.Model, inputs: Inputs) -> list[np.ndarray]:
    """Scores of each branch that the trunk weighs, float32 (N, C) each, of view 0."""
    *branches, _ = trunk.get_layer("weighted_scores").input
    scores = outputs(keras.Model(trunk.input, keras.ops.stack(branches, axis=1)), inputs)
    return [scores[:, branch] for branch in range(len(branches))]
