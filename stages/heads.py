"""The classifier's head: the trunk that is trained, and the graph that is served around it."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from stages import fusion, text_branches
from stages.experts import Expert
from stages.fusion import Branch, FusionParams
from stages.ngrams import NgramLinear
from stages.text_branches import NgramsParams, TextParams


@dataclass(frozen=True)
class Sizes:
    """Classes C, features D of an image and E of a text (0: none), tokens L, token ids there are.

    `tokens` and `vocabulary` are of the encoding that the text branch reads.
    """

    classes: int
    features: int
    sentence: int
    tokens: int
    vocabulary: int


@dataclass(frozen=True)
class ServedExperts:
    """The experts as they are served: hashing and linear layers of a text, linear models."""

    text: tuple[keras.Layer, NgramLinear] | None
    words: tuple[keras.Layer, NgramLinear] | None
    sentence: Expert | None
    image: Expert


class SignedRoot(layers.Layer):
    """Square root of features, sign kept, then rows of length 1: evens out their scales."""

    def __init__(self) -> None:
        super().__init__(trainable=False, dtype="float32")

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """float32 (N, D) to float32 (N, D)."""
        rooted = ops.sign(features) * ops.sqrt(ops.abs(features))
        norm = ops.sqrt(ops.sum(ops.square(rooted), axis=1, keepdims=True))
        return rooted / ops.maximum(norm, 1e-6)


class ExpertLinear(layers.Layer):
    """An expert's linear model over features, fixed."""

    def __init__(self, expert: Expert, name: str) -> None:
        super().__init__(name=name, trainable=False)
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

    Inputs: `text` (scores of the n-gram expert, or token ids), `image_scores` (N, C), `features`
    (N, D) float32, `has_text` and `has_image` bool (N,); with an expert over words also
    `word_scores` (N, C); with a sentence encoder also `sentence` (N, E) and `sentence_scores`
    (N, C). Output: scores (N, C).
    """
    inputs = _inputs(text_params, sizes)
    masks = fusion.ModalityDropout(modality_dropout, seed)(
        [inputs["has_text"], inputs["has_image"]]
    )
    hidden, scores = text_branches.apply(
        text_params, inputs["text"], sizes.vocabulary, sizes.classes
    )
    branches = [Branch("text", hidden, scores)]
    if isinstance(text_params, NgramsParams) and text_params.words:
        hidden = text_branches.of_scores(text_params, inputs["word_scores"], "word_hidden")
        branches.append(Branch("text", hidden, inputs["word_scores"]))
    if sizes.sentence:
        hidden = _hidden(fusion_params, inputs["sentence"], "sentence_hidden")
        branches.append(Branch("text", hidden, inputs["sentence_scores"]))
    hidden = _hidden(fusion_params, SignedRoot()(inputs["features"]), "image_hidden")
    branches.append(Branch("image", hidden, inputs["image_scores"]))
    fused = fusion.combine(fusion_params, branches, fusion.states(*masks))
    return keras.Model(inputs, fused, name="trunk")


def _inputs(text_params: TextParams, sizes: Sizes) -> dict[str, keras.KerasTensor]:
    text = (
        keras.Input((sizes.classes,), name="text")
        if text_params.kind == "ngrams"
        else keras.Input((sizes.tokens,), dtype="int32", name="text")
    )
    inputs = [
        text,
        keras.Input((sizes.features,), name="features"),
        keras.Input((sizes.classes,), name="image_scores"),
        keras.Input((), dtype="bool", name="has_text"),
        keras.Input((), dtype="bool", name="has_image"),
    ]
    if isinstance(text_params, NgramsParams) and text_params.words:
        inputs.append(keras.Input((sizes.classes,), name="word_scores"))
    if sizes.sentence:
        inputs.append(keras.Input((sizes.sentence,), name="sentence"))
        inputs.append(keras.Input((sizes.classes,), name="sentence_scores"))
    return {tensor.name: tensor for tensor in inputs}


def _hidden(params: FusionParams, features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """A hidden vector of features of length 1; the features themselves if nothing is trained."""
    if params.kind == "weighted":
        return features
    spread = layers.Rescaling(features.shape[1] ** 0.5)(features)
    hidden = layers.Dense(params.hidden, "relu", name=name)(layers.Dropout(params.dropout)(spread))
    return layers.Dropout(params.dropout)(hidden)


def serve(
    trained: keras.Model, sizes: Sizes, experts: ServedExperts, scales: np.ndarray
) -> keras.Model:
    """The head as served: features, token ids and masks in, calibrated probabilities out.

    Args:
        trained: The trunk.
        sizes: As of the trunk.
        experts: Fitted for serving.
        scales: Inverse temperatures, float32 (3,), by state.
    """
    inputs = {
        tensor.name: tensor
        for tensor in (
            keras.Input((sizes.features,), name="features"),
            keras.Input((), dtype="bool", name="has_image"),
            keras.Input((sizes.tokens,), dtype="int32", name="token_ids"),
            keras.Input((), dtype="bool", name="has_text"),
        )
    }
    text = inputs["token_ids"]
    if experts.text is not None:
        hashing, linear = experts.text
        text = linear(hashing(text))
    image_linear = ExpertLinear(experts.image, "image_expert")
    fed = {
        "text": text,
        "features": inputs["features"],
        "image_scores": image_linear(SignedRoot()(inputs["features"])),
        "has_text": inputs["has_text"],
        "has_image": inputs["has_image"],
    }
    if experts.words is not None:
        hashing, linear = experts.words
        fed["word_scores"] = linear(hashing(inputs["token_ids"]))
    if experts.sentence is not None:
        sentence = keras.Input((sizes.sentence,), name="sentence")
        inputs["sentence"] = fed["sentence"] = sentence
        fed["sentence_scores"] = ExpertLinear(experts.sentence, "sentence_expert")(sentence)
    calibration = fusion.Calibration()
    state = fusion.states(inputs["has_text"], inputs["has_image"])
    probabilities = layers.Softmax()(calibration([trained(fed), state]))
    calibration.scale.assign(scales)
    return keras.Model(inputs, probabilities, name="head")


def normalised(features: np.ndarray, chunk: int = 4096) -> np.ndarray:
    """`SignedRoot` of features on disk, float16 (N, D), as float32 (N, D)."""
    layer, out = SignedRoot(), np.empty(features.shape, np.float32)
    for start in range(0, len(features), chunk):
        rows = slice(start, start + chunk)
        out[rows] = ops.convert_to_numpy(layer(np.asarray(features[rows], np.float32)))
    return out
