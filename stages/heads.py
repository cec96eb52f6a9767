"""The classifier's head: the trunk that is trained, and the graph that is served around it."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from stages import fusion, text_branches
from stages.experts import Expert
from stages.fusion import FusionParams
from stages.ngrams import NgramHash, NgramLinear
from stages.text_branches import TextParams


@dataclass(frozen=True)
class Sizes:
    """Classes C, features D of an image, tokens L of a text, number of token ids."""

    classes: int
    features: int
    tokens: int
    vocabulary: int


class SignedRoot(layers.Layer):
    """Square root of features, sign kept, then rows of length 1: evens out their scales."""

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """float32 (N, D) to float32 (N, D)."""
        rooted = ops.sign(features) * ops.sqrt(ops.abs(features))
        norm = ops.sqrt(ops.sum(ops.square(rooted), axis=1, keepdims=True))
        return rooted / ops.maximum(norm, 1e-6)


class ImageLinear(layers.Layer):
    """The image expert: a linear model over `SignedRoot` features, fixed."""

    def __init__(self, expert: Expert) -> None:
        super().__init__(name="image_expert", trainable=False)
        self.expert = expert

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Scores, float32 (N, C)."""
        weights, bias = (
            ops.convert_to_tensor(part) for part in (self.expert.weights, self.expert.bias)
        )
        return ops.matmul(features, weights) + bias


def trunk(
    text_params: TextParams,
    fusion_params: FusionParams,
    sizes: Sizes,
    modality_dropout: float,
    seed: int,
) -> keras.Model:
    """The part that gradient descent trains.

    Inputs: `text` (scores of the n-gram expert, or token ids), `image_scores` (N, C) and
    `features` (N, D) float32, `has_text` and `has_image` bool (N,). Output: scores (N, C).
    """
    ngrams = text_params.kind == "ngrams"
    text = keras.Input(
        (sizes.classes,) if ngrams else (sizes.tokens,),
        dtype="float32" if ngrams else "int32",
        name="text",
    )
    features = keras.Input((sizes.features,), name="features")
    image_scores = keras.Input((sizes.classes,), name="image_scores")
    has_text = keras.Input((), dtype="bool", name="has_text")
    has_image = keras.Input((), dtype="bool", name="has_image")
    masks = fusion.ModalityDropout(modality_dropout, seed)([has_text, has_image])
    state = fusion.states(*masks)
    text_branch = text_branches.apply(text_params, text, sizes.vocabulary, sizes.classes)
    image_branch = (_image_hidden(fusion_params, features), image_scores)
    scores = fusion.combine(fusion_params, text_branch, image_branch, state)
    inputs = [text, features, image_scores, has_text, has_image]
    return keras.Model({tensor.name: tensor for tensor in inputs}, scores, name="trunk")


def _image_hidden(params: FusionParams, features: keras.KerasTensor) -> keras.KerasTensor:
    if params.kind == "weighted":
        return features
    spread = layers.Rescaling(features.shape[1] ** 0.5)(SignedRoot()(features))
    hidden = layers.Dense(params.hidden, "relu", name="image_hidden")(
        layers.Dropout(params.dropout)(spread)
    )
    return layers.Dropout(params.dropout)(hidden)


def serve(
    trained: keras.Model,
    sizes: Sizes,
    image_expert: Expert,
    text_expert: tuple[NgramHash, NgramLinear] | None,
) -> keras.Model:
    """The head as served: features, token ids and masks in, calibrated probabilities out."""
    features = keras.Input((sizes.features,), name="features")
    has_image = keras.Input((), dtype="bool", name="has_image")
    token_ids = keras.Input((sizes.tokens,), dtype="int32", name="token_ids")
    has_text = keras.Input((), dtype="bool", name="has_text")
    text = token_ids
    if text_expert is not None:
        hashing, linear = text_expert
        text = linear(hashing(token_ids))
    scores = trained(
        {
            "text": text,
            "features": features,
            "image_scores": ImageLinear(image_expert)(SignedRoot()(features)),
            "has_text": has_text,
            "has_image": has_image,
        }
    )
    state = fusion.states(has_text, has_image)
    probabilities = layers.Softmax()(fusion.Calibration()([scores, state]))
    inputs = [features, has_image, token_ids, has_text]
    return keras.Model({tensor.name: tensor for tensor in inputs}, probabilities, name="head")


def normalised(features: np.ndarray, chunk: int = 4096) -> np.ndarray:
    """`SignedRoot` of features on disk, float16 (N, D), as float32 (N, D)."""
    layer, out = SignedRoot(), np.empty(features.shape, np.float32)
    for start in range(0, len(features), chunk):
        rows = slice(start, start + chunk)
        out[rows] = ops.convert_to_numpy(layer(np.asarray(features[rows], np.float32)))
    return out
