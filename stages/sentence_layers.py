"""Keras layers of the sentence encoder; none of them is trained."""

import keras
import numpy as np
from keras import layers, ops

from stages.sentence_pieces import END
from stages.tokenization import PADDING, SEPARATOR

EMBEDDING = 512
BLOCKS = 17  # the table is quantised in blocks of rows that share a scale and an offset
EPSILON = 1e-12
_LEVELS = 64  # values of a quantised weight: six bits, four weights in three bytes
_BYTES = EMBEDDING * 3 // 4
_GAP = 2  # the furthest that a window reaches to either side of its centre


def pack(codes: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Rows as `PackedEmbedding` keeps them.

    Args:
        codes: Quantised weights, uint8 (V, 512), under 64.
        blocks: Block of each row, integer (V,).

    Returns:
        uint8 (V, 385): the first 384 weights in the low bits, the last 128 in the high bits, two
        at a time, then the block.
    """
    first, last = codes[:, :_BYTES], codes[:, _BYTES:]
    high = np.concatenate([last & 3, last >> 2 & 3, last >> 4], axis=1)
    return np.concatenate([first | high << 6, blocks[:, None].astype(np.uint8)], axis=1)


class PackedEmbedding(layers.Layer):
    """Embeddings, float32 (N, L, 512), of token ids (N, L), unpacked from six bits a weight."""

    def __init__(self, tokens: int, name: str) -> None:
        super().__init__(name=name)
        self.table = self.add_weight((tokens, _BYTES + 1), "zeros", "uint8", name="table")
        self.scale = self.add_weight((BLOCKS,), name="scale")
        self.offset = self.add_weight((BLOCKS,), name="offset")

    def call(self, token_ids: keras.KerasTensor) -> keras.KerasTensor:
        """Only the rows of these tokens are ever unpacked."""
        row = ops.take(self.table, token_ids, axis=0)
        block = ops.cast(row[..., _BYTES:], "int32")
        packed = ops.cast(row[..., :_BYTES], "float32")
        high = ops.floor(packed / _LEVELS)
        lowest, middle, highest = ops.split(high, 3, axis=-1)
        last = lowest + 4 * middle + 16 * highest
        codes = ops.concatenate([packed - high * _LEVELS, last], axis=-1)
        return codes * ops.take(self.scale, block) + ops.take(self.offset, block)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(N, L) -> (N, L, 512)."""
        return (*input_shape, EMBEDDING)


class Segments(layers.Layer):
    """Sets title and description apart, and drops the columns that are all padding.

    The separator becomes the title's end and a gap as wide as a window's reach, so that no window
    sees both: the title's embedding is what the title alone gives.
    """

    def call(self, ids: keras.KerasTensor) -> tuple[keras.KerasTensor, ...]:
        """From token ids, int32 (N, L), what the network needs of M tokens.

        Returns:
            token ids int32 (N, M); 1 for a token and 0 for a gap or padding, float32 (N, M, 1);
            whether a token counts for the text and for its title, float32 (N, 2, M).
        """
        used = ops.sum(ops.cast(ops.any(ops.not_equal(ids, PADDING), axis=0), "int32"))
        wide = ops.pad(ids[:, :used], ((0, 0), (0, _GAP)))
        title = ops.sum(1 - _separators_so_far(wide), axis=1, keepdims=True)  # tokens before it
        places = ops.cumsum(ops.ones_like(wide), axis=1) - 1
        # The separator stands where it stood and at the places of the gap; what follows shifts.
        wide = ops.take_along_axis(wide, places - ops.clip(places - title, 0, _GAP), axis=1)
        so_far = _separators_so_far(wide)
        separator = ops.equal(wide, SEPARATOR)
        title_end = ops.logical_and(separator, ops.equal(so_far, 1))
        token = wide > SEPARATOR
        in_title = ops.logical_or(ops.logical_and(token, ops.equal(so_far, 0)), title_end)
        real = ops.logical_or(token, title_end)
        return (
            ops.where(title_end, END, wide),
            ops.cast(real, "float32")[..., None],
            ops.cast(ops.stack([token, in_title], axis=1), "float32"),
        )

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[tuple[int | None, ...], ...]:
        """(N, L) -> (N, M), (N, M, 1), (N, 2, M)."""
        rows = input_shape[0]
        return (rows, None), (rows, None, 1), (rows, 2, None)

    def compute_output_spec(self, ids: keras.KerasTensor) -> tuple[keras.KerasTensor, ...]:
        """The dtypes differ from one output to the next."""
        shapes = self.compute_output_shape(ids.shape)
        dtypes = ("int32", "float32", "float32")
        return tuple(map(keras.KerasTensor, shapes, dtypes))


def _separators_so_far(ids: keras.KerasTensor) -> keras.KerasTensor:
    return ops.cumsum(ops.cast(ops.equal(ids, SEPARATOR), "int32"), axis=1)


class SumOverTokens(layers.Layer):
    """Projected features of tokens, their sum over a text divided by the root of their number."""

    def __init__(self, units: int, name: str) -> None:
        super().__init__(name=name)
        self.units = units

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Adds the projection's weights."""
        self.kernel = self.add_weight((input_shape[0][-1], self.units), name="kernel")
        self.bias = self.add_weight((self.units,), name="bias")

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """From features (N, M, D) and counts (N, 2, M), float32, to float32 (N, 2, units)."""
        features, shares = inputs
        tokens = ops.maximum(ops.sum(shares, axis=-1, keepdims=True), 1.0)
        # The projection is linear: taking the sum first leaves it two rows a text.
        summed = ops.matmul(ops.matmul(shares, features), self.kernel)
        return (summed + tokens * self.bias) / ops.sqrt(tokens)


class UnitLength(layers.Layer):
    """Vectors scaled to length 1 along the last axis."""

    def call(self, vectors: keras.KerasTensor) -> keras.KerasTensor:
        """Returns float32 of the same shape."""
        squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
        return vectors / ops.sqrt(ops.maximum(squares, EPSILON))
