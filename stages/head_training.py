"""Training of the head that is served: experts, the trunk between them, calibration."""

import keras
import numpy as np
from dvclive import Live
from pydantic import Field
from tokenizers import Tokenizer

from stages import calibration, heads, image_expert
from stages.batches import Inputs
from stages.embedded import Split
from stages.experts import FoldParams
from stages.fitting import Fit, FittingParams
from stages.fusion import FusionParams
from stages.heads import Sizes
from stages.params import Frozen
from stages.text_branches import NgramsParams, TextParams, tokens_of
from stages.text_expert import TextExpert


class TrainingParams(FittingParams):
    """How the heads are trained.

    `folds` are those in which experts score training rows; `image_regularisation` is
    LogisticRegression's C.
    """

    folds: int = Field(ge=2, le=20)
    image_regularisation: float = Field(gt=0)


class HeadParams(Frozen):
    """Text branch, fusion, and how they are trained."""

    text: TextParams
    fusion: FusionParams
    training: TrainingParams


def train_head(
    params: HeadParams,
    sizes: Sizes,
    tokenizer: Tokenizer,
    splits: tuple[Split, Split],
    live: Live,
) -> keras.Model:
    """Experts, then the trunk on their out-of-fold scores, then calibration; the head to serve."""
    folds = FoldParams(
        params.training.folds,
        params.training.seed,
        None if params.training.class_weights == "none" else params.training.class_weights,
    )
    regularisation = params.training.image_regularisation
    image_scores = image_expert.scores(regularisation, folds, splits, sizes.classes)
    expert = None
    if isinstance(params.text, NgramsParams):
        expert = TextExpert(params.text, folds, tokenizer.get_vocab(), sizes.classes)
    texts = expert.scores(*splits) if expert else tuple(split.subwords for split in splits)
    training = params.training
    trunk = heads.trunk(params.text, params.fusion, sizes, training.modality_dropout, training.seed)
    inputs = [
        feed(split, text, scores, tokens_of(params.text))
        for split, text, scores in zip(splits, texts, image_scores, strict=True)
    ]
    fit = Fit(trunk, training, inputs[0], inputs[1], splits[0].labels, splits[1].labels)
    fit.run(params.fusion, text_is_expert=expert is not None, live=live)
    # What is left to choose is chosen: the experts to serve learn from validation rows too.
    image = image_expert.fit(regularisation, folds, splits, sizes.classes)
    head = heads.serve(trunk, sizes, image, expert.fit(splits) if expert else None)
    head.get_layer("calibration").scale.assign(
        calibration.scales(trunk, inputs[1], np.asarray(splits[1].labels))
    )
    return head


def feed(split: Split, text: np.ndarray, image_scores: np.ndarray, tokens: str) -> Inputs:
    """The trunk's inputs; a text without any token counts as missing."""
    return {
        "text": text,
        "features": split.features,
        "image_scores": image_scores,
        "has_text": np.asarray(getattr(split, tokens)[:, 0] > 0),
        "has_image": np.asarray(split.has_image),
    }
