"""Text branches: from token ids to a hidden vector and one score a class."""

from typing import Annotated, Literal

import keras
from keras import layers
from pydantic import Field

from stages.params import Frozen


class NgramsParams(Frozen):
    """Linear models over hashed n-grams (`stages.ngrams`): of characters, and of words if `words`.

    `orders` are lengths in characters; `regularisation` is LinearSVC's C.
    """

    kind: Literal["ngrams"]
    orders: tuple[Annotated[int, Field(ge=3, le=8)], ...] = Field(min_length=1)
    words: bool
    regularisation: float = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    hidden: int = Field(ge=1, le=4096)


class Conv1dParams(Frozen):
    """Embedded subwords, a convolution over them, the maximum over the text."""

    kind: Literal["conv1d"]
    embedding: int = Field(ge=1, le=1024)
    filters: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=16)
    dropout: float = Field(ge=0, lt=1)


class LstmParams(Frozen):
    """Embedded subwords, read in order; the predecessor's branch."""

    kind: Literal["lstm"]
    embedding: int = Field(ge=1, le=1024)
    units: int = Field(ge=1, le=4096)
    dropout: float = Field(ge=0, lt=1)


TextParams = Annotated[NgramsParams | Conv1dParams | LstmParams, Field(discriminator="kind")]
Outputs = tuple[keras.KerasTensor, keras.KerasTensor]


def tokens_of(params: TextParams) -> str:
    """Which of the two encodings of data/embedded the branch reads."""
    return "characters" if params.kind == "ngrams" else "subwords"


def apply(params: TextParams, text: keras.KerasTensor, vocabulary: int, classes: int) -> Outputs:
    """Hidden vector and scores of a batch.

    Args:
        params: Which branch.
        text: Scores of the n-gram expert, float32 (N, classes), for `ngrams`; else token ids,
            int32 (N, L).
        vocabulary: Number of token ids.
        classes: Number of classes.
    """
    if isinstance(params, NgramsParams):
        return of_scores(params, text, "text_hidden"), text
    embedded = layers.Embedding(vocabulary, params.embedding, name="text_embedding")(text)
    embedded = layers.Dropout(params.dropout)(embedded)
    hidden = (
        _convolve(params, embedded)
        if isinstance(params, Conv1dParams)
        else _read(params, embedded, text)
    )
    hidden = layers.Dropout(params.dropout)(hidden)
    return hidden, layers.Dense(classes, name="text_scores")(hidden)


def of_scores(params: NgramsParams, scores: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Hidden vector, float32 (N, hidden), of what an expert over n-grams says."""
    certainty = layers.Softmax()(layers.Rescaling(4.0)(scores))
    hidden = layers.Dense(params.hidden, "relu", name=name)(certainty)
    return layers.Dropout(params.dropout)(hidden)


def _convolve(params: Conv1dParams, embedded: keras.KerasTensor) -> keras.KerasTensor:
    convolved = layers.Conv1D(
        params.filters, params.width, padding="same", activation="relu", name="text_convolution"
    )(embedded)
    return layers.GlobalMaxPooling1D()(convolved)


def _read(
    params: LstmParams, embedded: keras.KerasTensor, token_ids: keras.KerasTensor
) -> keras.KerasTensor:
    """Mean of the states over real tokens: padding after the text changes nothing."""
    states = layers.LSTM(params.units, return_sequences=True, name="text_lstm")(embedded)
    return MeanOverTokens()([states, token_ids])


class MeanOverTokens(layers.Layer):
    """Mean of states (N, L, D) over the positions whose token id isn't padding."""

    def __init__(self) -> None:
        super().__init__(dtype="float32")

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        """Returns float32 (N, D)."""
        states, token_ids = inputs
        real = keras.ops.cast(token_ids > 0, "float32")[..., None]
        total = keras.ops.sum(states * real, axis=1)
        return total / keras.ops.maximum(keras.ops.sum(real, axis=1), 1.0)
