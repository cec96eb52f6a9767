"""Hashed n-grams of characters and of words, computed inside the graph from token ids.

The layers below make the TF-IDF vector of a text (sublinear counts, L2 norm) without ever laying
it out: a linear model over it is a gather and a weighted sum. The same code builds the sparse
matrix on which that linear model is fitted, so training and serving can't part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import scipy.sparse as sp
from keras import layers, ops
from sklearn.preprocessing import normalize
from tokenizers import decoders

from stages.tokenization import SEPARATOR, UNKNOWN

BUCKETS = 262_139  # the largest prime below 2**18: with MULTIPLIER, hashes stay within int32
MULTIPLIER = 8_191
LONGEST_WORD = 16
WORDS = 160
COUNT_CAP = 8
CHUNK = 256

# A run of k equal n-grams weighs 1 + ln(k); the k-th of them adds the difference to the (k-1)-th.
_TOTAL = np.concatenate([[0.0], 1 + np.log(np.arange(1, COUNT_CAP))])
_STEP = np.append(np.diff(_TOTAL), 0.0).astype(np.float32)
_STEP_SQUARED = np.append(np.diff(_TOTAL**2), 0.0).astype(np.float32)


class NgramHash(layers.Layer):
    """Token ids to buckets: every n-gram inside a word, and every whole word.

    An n-gram may begin or end at a word's boundary but not span one (scikit-learn's `char_wb`).

    Args:
        letters: int32 (vocabulary,): a number for each token that belongs to words, 0 for those
            that part them (spaces, punctuation, padding).
        orders: Lengths of n-grams.
    """

    def __init__(self, letters: np.ndarray, orders: tuple[int, ...]) -> None:
        super().__init__(trainable=False)
        self.letters = letters.astype(np.int32)
        self.orders = orders

    def call(self, token_ids: keras.KerasTensor) -> keras.KerasTensor:
        """Buckets, int32 (N, M), equal ones side by side; -1 where there is no n-gram."""
        found: list[keras.KerasTensor] = []
        words: keras.KerasTensor = None
        for window in _windows(self.letters, token_ids, max(LONGEST_WORD + 2, *self.orders)):
            if window.order in self.orders:
                bucket = (window.value + window.order) % BUCKETS
                found.append(ops.where(window.inside, bucket, -1))
            words = window.add_words(words)
        return side_by_side([*found, words])


@dataclass(frozen=True)
class _Window:
    """The n-grams of one length at each position: their hashes, and which of them are real."""

    order: int
    value: keras.KerasTensor
    inside: keras.KerasTensor
    whole: keras.KerasTensor

    def add_words(self, words: keras.KerasTensor | None) -> keras.KerasTensor:
        """Buckets of the words found so far, -1 where none begins, and of those of this length."""
        words = ops.full_like(self.value, -1) if words is None else words
        return ops.where(self.whole, (self.value * 31 + 17) % BUCKETS, words)


def _windows(letters: np.ndarray, token_ids: keras.KerasTensor, longest: int) -> Iterator[_Window]:
    """Of each length from three; position i begins before letter i, so with a word's boundary."""
    length = token_ids.shape[1] + 1
    numbers = ops.take(ops.convert_to_tensor(letters), token_ids)
    padded = ops.pad(numbers, [[0, 0], [1, longest]])
    value, starts_word = padded[:, :length], padded[:, :length] == 0
    inside = None
    for order in range(2, longest + 1):
        last = padded[:, order - 1 : order - 1 + length]
        value = (value * MULTIPLIER + last) % BUCKETS
        if inside is not None:
            whole = ops.logical_and(inside, ops.logical_and(starts_word, last == 0))
            yield _Window(order, value, inside, whole)
        inside = last > 0 if inside is None else ops.logical_and(inside, last > 0)


def side_by_side(buckets: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """All buckets of a row, int32 (N, M), equal ones together, and -1 after the last."""
    joined = ops.concatenate(list(buckets), axis=1)
    return ops.top_k(joined, joined.shape[1])[0]


class WordHash(layers.Layer):
    """Token ids to buckets: words, pairs of neighbouring words, and once more the title's words.

    A word in the title says more than the same word in the description; so it also counts as
    a feature of its own. Words after the first `WORDS`, and those longer than `LONGEST_WORD`
    bytes, are left out.

    Args:
        letters: As of `NgramHash`.
    """

    def __init__(self, letters: np.ndarray) -> None:
        super().__init__(trainable=False)
        self.letters = letters.astype(np.int32)

    def call(self, token_ids: keras.KerasTensor) -> keras.KerasTensor:
        """Buckets, int32 (N, M), equal ones side by side; -1 where there is no word."""
        words: keras.KerasTensor = None
        for window in _windows(self.letters, token_ids, LONGEST_WORD + 2):
            words = window.add_words(words)
        # The end of the text is one position more than there are tokens.
        in_title = ops.pad(ops.cumsum(_is(token_ids, SEPARATOR), axis=1), [[0, 0], [0, 1]]) == 0
        length = words.shape[1]
        places = ops.where(words >= 0, length - ops.cumsum(ops.ones_like(words), axis=1), -1)
        order = ops.top_k(places, min(WORDS, length))[0]  # the first word has the greatest place
        at = length - 1 - ops.maximum(order, 0)
        word = ops.where(order >= 0, ops.take_along_axis(words, at, axis=1), -1)
        titled = ops.logical_and(word >= 0, ops.take_along_axis(in_title, at, axis=1))
        first, second = word[:, :-1], word[:, 1:]
        pairs = ops.where(second >= 0, (first * MULTIPLIER + second) % BUCKETS, -1)
        return side_by_side([word, pairs, ops.where(titled, (word * 127 + 5) % BUCKETS, -1)])


def _is(token_ids: keras.KerasTensor, token: int) -> keras.KerasTensor:
    return ops.cast(ops.equal(token_ids, token), "int32")


class CountWeights(layers.Layer):
    """What each of a run of equal buckets adds to the sublinear count, and to its square."""

    def call(self, buckets: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Two float32 (N, M), zero where there is no n-gram."""
        rank = ops.zeros_like(buckets)
        for lag in range(1, COUNT_CAP):
            same = ops.cast(buckets[:, lag:] == buckets[:, :-lag], "int32")
            rank = rank + ops.pad(same, [[0, 0], [lag, 0]])
        present = ops.cast(buckets >= 0, "float32")
        step = ops.take(ops.convert_to_tensor(_STEP), rank) * present
        return step, ops.take(ops.convert_to_tensor(_STEP_SQUARED), rank) * present


class NgramLinear(layers.Layer):
    """A linear model over the TF-IDF vector: buckets in, one score a class out.

    Args:
        name: Of the layer.
        idf: float32 (BUCKETS,); 0 for buckets no training text has.
        weights: float32 (BUCKETS, classes); with the idf multiplied in, kept as 8 bits and a scale
            for each bucket, which halves the largest part of a bundle.
        bias: float32 (classes,).
    """

    def __init__(self, name: str, idf: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> None:
        super().__init__(name=name, trainable=False)
        weights = idf[:, None] * weights
        scales = np.abs(weights).max(axis=1) / np.float32(127)
        self.tables = {
            "squared_idf": np.square(idf, dtype=np.float32),
            "scales": scales,
            "weights": np.rint(weights / np.maximum(scales, 1e-30)[:, None]).astype(np.int8),
        }
        self.bias = bias.astype(np.float32)
        self.count = CountWeights()

    def call(self, buckets: keras.KerasTensor) -> keras.KerasTensor:
        """Scores, float32 (N, classes)."""
        step, squared = self.count(buckets)
        index = ops.maximum(buckets, 0)
        squared_idf, scales, weights = (
            ops.take(ops.convert_to_tensor(table), index, axis=0) for table in self.tables.values()
        )
        norm = ops.sum(squared * squared_idf, axis=1)
        rows = ops.cast(weights, "float32")
        scores = ops.squeeze(ops.matmul((step * scales)[:, None, :], rows), axis=1)
        return scores / ops.sqrt(ops.maximum(norm, 1e-12))[:, None] + self.bias


def counts(token_ids: np.ndarray, hashing: keras.Layer) -> sp.csr_matrix:
    """Sublinear counts of what a layer hashes, float64 (N, BUCKETS), computed in chunks."""
    weigh = CountWeights()
    indptr, columns, values = [np.zeros(1, np.int64)], [], []
    for start in range(0, len(token_ids), CHUNK):
        chunk = ops.convert_to_tensor(np.asarray(token_ids[start : start + CHUNK], np.int32))
        buckets = ops.convert_to_numpy(hashing(chunk))
        steps = ops.convert_to_numpy(weigh(ops.convert_to_tensor(buckets))[0])
        first = np.ones_like(buckets, np.bool_)
        first[:, 1:] = buckets[:, 1:] != buckets[:, :-1]
        flat = np.flatnonzero(first & (buckets >= 0))
        indptr.append(indptr[-1][-1] + np.cumsum((first & (buckets >= 0)).sum(axis=1)))
        columns.append(buckets.ravel()[flat])
        # Beyond a row's last n-gram all weights are 0, so a sum up to the next start is right.
        values.append(np.add.reduceat(steps.ravel(), flat) if flat.size else np.zeros(0))
    return sp.csr_matrix(
        (np.concatenate(values, dtype=np.float64), np.concatenate(columns), np.concatenate(indptr)),
        (len(token_ids), BUCKETS),
    )


def inverse_document_frequency(matrix: sp.csr_matrix) -> np.ndarray:
    """Smoothed idf, float32 (BUCKETS,); 0 where no text has the n-gram.

    Source: scikit-learn's TfidfTransformer with `smooth_idf=True`.
    """
    documents = np.bincount(matrix.indices, minlength=matrix.shape[1])
    idf = np.log((1 + matrix.shape[0]) / (1 + documents)) + 1
    return np.where(documents > 0, idf, 0).astype(np.float32)


def weigh(matrix: sp.csr_matrix, idf: np.ndarray) -> sp.csr_matrix:
    """TF-IDF of counts, rows of length 1; shares the positions with the counts."""
    weighed = sp.csr_matrix(
        (matrix.data * idf[matrix.indices], matrix.indices, matrix.indptr), matrix.shape
    )
    return normalize(weighed, copy=False)


def letters(tokens: dict[str, int]) -> np.ndarray:
    """For each token of the byte-level tokenizer, a number if it belongs to words, else 0.

    Letters, digits and every byte of a non-ASCII character belong to words.

    Args:
        tokens: The tokenizer's vocabulary.

    Returns:
        int32 (vocabulary,).
    """
    decoder = decoders.ByteLevel()
    table = np.zeros(len(tokens), np.int32)
    for token, position in tokens.items():
        text = decoder.decode([token])
        if position > UNKNOWN and (text.isalnum() or text == "\N{REPLACEMENT CHARACTER}"):
            table[position] = position
    return table
