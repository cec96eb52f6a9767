"""Training rows as batches read from memory-mapped arrays: memory doesn't grow with the rows."""

import math
from collections.abc import Mapping

import keras
import numpy as np

Inputs = dict[str, np.ndarray]


class Batches(keras.utils.PyDataset):
    """Batches of model inputs, one-hot labels and row weights.

    Args:
        inputs: Arrays with a row each; those with views hold them on the second axis.
        labels: int32 (N,).
        classes: Number of classes C.
        size: Rows a batch.
        row_weights: float32 (C,), the weight of a row by its class.
        seed: Of order and views, drawn anew for each epoch; None keeps the rows' order, view 0.
    """

    def __init__(
        self,
        inputs: Mapping[str, np.ndarray],
        labels: np.ndarray,
        classes: int,
        size: int,
        row_weights: np.ndarray,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.labels = np.asarray(labels)
        self.one_hot = np.eye(classes, dtype=np.float32)
        self.size = size
        self.row_weights = row_weights
        self.seed = seed
        self.epoch = 0
        self._draw()

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self.labels) / self.size)

    def __getitem__(self, position: int) -> tuple[Inputs, np.ndarray, np.ndarray]:
        """Inputs by name, labels float32 (B, C), weights float32 (B,)."""
        rows = self.order[position * self.size : (position + 1) * self.size]
        inputs = {name: self._take(array, rows) for name, array in self.inputs.items()}
        labels = self.labels[rows]
        return inputs, self.one_hot[labels], self.row_weights[labels]

    def on_epoch_end(self) -> None:
        """Draws another order."""
        self.epoch += 1
        self._draw()

    def _draw(self) -> None:
        self.order = np.arange(len(self.labels))
        self.view = np.zeros(len(self.labels), np.int64)
        if self.seed is not None:
            generator = np.random.default_rng((self.seed, self.epoch))
            generator.shuffle(self.order)
            self.view = generator.integers(0, 2**31, len(self.labels))

    def _take(self, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
        has_views = array.ndim > 2  # noqa: PLR2004  rows, views, values
        taken: np.ndarray = (
            array[rows, self.view[rows] % array.shape[1]] if has_views else array[rows]
        )
        if taken.dtype == np.float16:
            return taken.astype(np.float32)
        if taken.dtype == np.bool_:  # Keras adds a batch up over devices, and bools can't be
            return taken.astype(np.int8)
        return taken.astype(np.int32) if taken.dtype == np.uint16 else taken


def outputs(model: keras.Model, inputs: Mapping[str, np.ndarray], size: int = 256) -> np.ndarray:
    """A model's outputs, float32 (N, ...), for N rows in their order, view 0."""
    rows = len(next(iter(inputs.values())))
    batches = Batches(inputs, np.zeros(rows, np.int32), 1, size, np.ones(1, np.float32))
    found = [np.asarray(model(batch[0], training=False)) for batch in batches]
    return np.concatenate(found) if found else np.zeros((0, *model.output_shape[1:]), np.float32)
