"""Training of the head that is served: experts, the trunk between them, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from dvclive import Live
from pydantic import Field
from scipy.special import softmax
from tokenizers import Tokenizer

from stages import accelerators, calibration, fusion, heads, ngrams
from stages.batches import Inputs
from stages.embedded import Split
from stages.experts import FoldParams, fit_all, fit_scorings
from stages.feature_expert import FeatureExpert, ImageExpert, SentenceExpert
from stages.fitting import Fit, FittingParams, branch_scores
from stages.fusion import FusionParams
from stages.heads import ServedExperts, Sizes
from stages.ngrams import NgramHash, WordHash
from stages.params import Frozen
from stages.text_branches import NgramsParams, TextParams, tokens_of
from stages.text_expert import TextExpert

Splits = tuple[Split, Split]


class TrainingParams(FittingParams):
    """How the heads are trained.

    `folds` are those in which experts score training rows; `image_regularisation` and
    `sentence_regularisation` are LogisticRegression's C.
    """

    folds: int = Field(ge=2, le=20)
    image_regularisation: float = Field(gt=0)
    sentence_regularisation: float = Field(gt=0)


class HeadParams(Frozen):
    """Text branch, fusion, and how they are trained."""

    text: TextParams
    fusion: FusionParams
    training: TrainingParams


@dataclass
class Experts:
    """The experts of one training, and the scores they give train and validation rows.

    Args:
        params: Which text branch, and how experts are regularised.
        tokenizer: The one whose ids the text branch reads.
        splits: Train and validation rows.
        sizes: Of the head.
    """

    params: HeadParams
    tokenizer: Tokenizer
    splits: Splits
    sizes: Sizes
    present: dict[str, TextExpert | FeatureExpert] = field(init=False)
    inputs: list[Inputs] = field(init=False)

    def __post_init__(self) -> None:
        """Fits the experts in folds; `inputs` are what the trunk gets of both splits."""
        self.inputs = [_masks(split, tokens_of(self.params.text)) for split in self.splits]
        self._feed("features", tuple(split.features for split in self.splits))
        if self.sizes.sentence:
            self._feed("sentence", tuple(split.sentence for split in self.splits))
        if not isinstance(self.params.text, NgramsParams):
            self._feed("text", tuple(split.subwords for split in self.splits))
        self.present = self._make()
        scorings = [expert.scoring(*self.splits) for expert in self.present.values()]
        scores = fit_scorings(scorings, len(self.splits[0].labels))
        for name, (train, validation) in zip(self.present, scores, strict=True):
            several = isinstance(self.present[name], FeatureExpert)  # scores of each view
            self._feed(name, (train, validation[:, None]) if several else (train[:, 0], validation))

    @property
    def text_is_expert(self) -> bool:
        """Whether the text branch is an expert, not trained with the network."""
        return "text" in self.present

    def serve(self, splits: Sequence[Split]) -> ServedExperts:
        """The experts as they are served, fitted on all rows of some splits."""
        tasks = (expert.task(splits) for expert in self.present.values())
        fitted = fit_all(tasks, sum(len(split.labels) for split in splits))
        served: dict[str, Any] = {
            name: expert.served(one, splits)
            for (name, expert), one in zip(self.present.items(), fitted, strict=True)
        }
        return ServedExperts(
            served.get("text"),
            served.get("word_scores"),
            served.get("sentence_scores"),
            served["image_scores"],
        )

    def _make(self) -> dict[str, TextExpert | FeatureExpert]:
        """By the trunk's input that has their scores; those that take longest come first."""
        training, text, classes = self.params.training, self.params.text, self.sizes.classes
        weights = None if training.class_weights == "none" else training.class_weights
        folds = FoldParams(training.folds, training.seed, weights)
        made: dict[str, TextExpert | FeatureExpert] = {
            "image_scores": ImageExpert(training.image_regularisation, folds, classes)
        }
        if self.sizes.sentence:
            c = training.sentence_regularisation
            made["sentence_scores"] = SentenceExpert(c, folds, classes)
        if isinstance(text, NgramsParams):
            letters = ngrams.letters(self.tokenizer.get_vocab())
            hashing = NgramHash(letters, text.orders)
            made["text"] = TextExpert(hashing, text.regularisation, folds, classes)
            if text.words:
                hashing = WordHash(letters)
                made["word_scores"] = TextExpert(hashing, text.regularisation, folds, classes)
        return made

    def out_of_fold(self, trunk: keras.Model) -> tuple[np.ndarray | None, np.ndarray]:
        """Probabilities, float32 (N, C), of train and validation rows from fits without the row.

        They are those of the weighted scores, as the network between the experts has seen every
        train row. A text branch that is trained has too: then train rows have none.
        """
        scores = [branch_scores(trunk, inputs) for inputs in self.inputs]
        fitted = 0 if self.text_is_expert else 1
        rows = np.flatnonzero(self.inputs[fitted]["has_text"] & self.inputs[fitted]["has_image"])
        weights = fusion.fit_weights_by_state(
            [branch[rows] for branch in scores[fitted]],
            trunk.get_layer("weighted_scores").modalities,
            np.asarray(self.splits[fitted].labels)[rows],
        )
        train, validation = (
            softmax(
                fusion.weigh(branches, weights, inputs["has_text"], inputs["has_image"]), axis=1
            )
            for branches, inputs in zip(scores, self.inputs, strict=True)
        )
        return train if self.text_is_expert else None, validation

    def _feed(self, name: str, arrays: tuple[np.ndarray, ...]) -> None:
        for inputs, array in zip(self.inputs, arrays, strict=True):
            inputs[name] = array


def train_trunk(experts: Experts, live: Live, params: HeadParams | None = None) -> keras.Model:
    """The trunk, trained on out-of-fold scores; it computes in float32 whatever it was trained in.

    Args:
        experts: Fitted in folds.
        live: Takes curves and figures.
        params: What to train it with, where that isn't what the experts were fitted with; text
            branch and sizes have to be the same.
    """
    params = params or experts.params
    training = params.training
    train, validation = experts.inputs
    labels = [split.labels for split in experts.splits]
    with accelerators.scope(training.precision, training.devices):
        trunk = _trunk(params, experts.sizes)
        fit = Fit(trunk, training, train, validation, labels[0], labels[1])
        fit.run(params.fusion, text_is_expert=experts.text_is_expert, live=live)
    served = _trunk(params, experts.sizes)
    served.set_weights(trunk.get_weights())
    return served


def _trunk(params: HeadParams, sizes: Sizes) -> keras.Model:
    training = params.training
    return heads.trunk(params.text, params.fusion, sizes, training.modality_dropout, training.seed)


def finish(trunk: keras.Model, experts: Experts, unseen: bool = False) -> keras.Model:
    """Calibrates on validation rows, then gives the head to serve.

    Args:
        trunk: Trained.
        experts: Those it was trained between.
        unseen: Whether validation rows stay unseen, so that the head can be judged on them. What
            is served has learnt from them too: what is left to choose is chosen.
    """
    fitted = calibration.fit(trunk, experts.inputs[1], experts.splits[1].labels)
    calibration.set_shares(trunk, fitted.shares)
    splits = experts.splits[:1] if unseen else experts.splits
    return heads.serve(trunk, experts.sizes, experts.serve(splits), fitted.scales)


def _masks(split: Split, tokens: str) -> Inputs:
    """What a row has; a text without any token counts as missing."""
    return {
        "has_text": np.asarray(getattr(split, tokens)[:, 0] > 0),
        "has_image": np.asarray(split.has_image),
    }
