"""Stage `train`: linear experts, the trunk between them, and the bundle they are served as."""

import json
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
from dvclive import Live
from pydantic import Field
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from tokenizers import Tokenizer

from api import bundle
from api.labels import read as read_labels
from stages import calibration, embedded, experts, export, heads, logs, ngrams, tracking
from stages.batches import Inputs
from stages.embedded import Split
from stages.experts import Expert
from stages.fitting import Fit, FittingParams
from stages.fusion import FusionParams
from stages.heads import Sizes
from stages.params import Frozen, load
from stages.text_branches import NgramsParams, TextParams, tokens_of

logger = logging.getLogger(__name__)

PARITY_ROWS = 64


class TrainingParams(FittingParams):
    """How the heads are trained.

    `folds` are those in which experts score training rows; `image_regularisation` is
    LogisticRegression's C.
    """

    folds: int = Field(ge=2, le=20)
    image_regularisation: float = Field(gt=0)


class Params(Frozen):
    """The sections that this stage reads."""

    text: TextParams
    fusion: FusionParams
    training: TrainingParams


TextExpert = tuple[ngrams.NgramHash, ngrams.NgramLinear]


def main(data: Path, output: Path, metrics: Path) -> None:
    """Reads data/embedded; writes the bundle, then curves and figures, then tells MLflow."""
    params = load(Params)
    keras.utils.set_random_seed(params.training.seed)
    tf.config.experimental.enable_op_determinism()
    train, validation = (embedded.read_split(data, name) for name in embedded.SPLITS)
    labels = read_labels(data / embedded.LABELS)
    tokenizer = Tokenizer.from_file(str(data / f"{tokens_of(params.text)}.json"))
    sizes = Sizes(
        len(labels),
        train.features.shape[-1],
        getattr(train, tokens_of(params.text)).shape[1],
        tokenizer.get_vocab_size(),
    )
    with Live(str(metrics), save_dvc_exp=False, dvcyaml=None, monitor_system=False) as live:
        live.log_params(params.model_dump(mode="json"))
        head = train_head(params, sizes, tokenizer, (train, validation), live)
        write_bundle(head, params, data, output, validation)
        figures = dict(live.summary)
    tracking.record(params.model_dump(mode="json"), figures, output, model_type(params))


def model_type(params: Params) -> str:
    """What the brief calls the model: its text branch and its fusion."""
    return f"{params.text.kind}+{params.fusion.kind}"


def train_head(
    params: Params,
    sizes: Sizes,
    tokenizer: Tokenizer,
    splits: tuple[Split, Split],
    live: Live,
) -> keras.Model:
    """Experts, then the trunk on their out-of-fold scores, then calibration; the head to serve."""
    train, validation = splits
    image_expert, image_scores = fit_image_expert(params.training, train, validation, sizes)
    text_expert, texts = prepare_text(params, tokenizer, train, validation, sizes)
    trunk = heads.trunk(
        params.text,
        params.fusion,
        sizes,
        params.training.modality_dropout,
        params.training.seed,
    )
    inputs = [
        feed(split, text, scores, tokens_of(params.text))
        for split, text, scores in zip(splits, texts, image_scores, strict=True)
    ]
    fit = Fit(trunk, params.training, inputs[0], inputs[1], train.labels, validation.labels)
    fit.run(params.fusion, text_is_expert=text_expert is not None, live=live)
    head = heads.serve(trunk, sizes, image_expert, text_expert)
    head.get_layer("calibration").scale.assign(
        calibration.scales(trunk, inputs[1], np.asarray(validation.labels))
    )
    return head


def fit_image_expert(
    params: TrainingParams, train: Split, validation: Split, sizes: Sizes
) -> tuple[Expert, list[np.ndarray]]:
    """The image expert, and its scores (N, V, C) of train (out of fold) and of validation."""

    def make() -> LogisticRegression:
        return LogisticRegression(
            C=params.image_regularisation, class_weight=class_weight(params), max_iter=300
        )

    rows = np.flatnonzero(train.has_image)
    views = [
        heads.normalised(train.features[:, view][rows]) for view in range(train.features.shape[1])
    ]
    labels = np.asarray(train.labels)[rows]
    expert, scores = experts.fit_with_scores(
        make, views, labels, sizes.classes, params.folds, params.seed
    )
    unseen = expert.scores(heads.normalised(validation.features[:, 0]))
    everywhere = np.zeros((len(train.labels), len(views), sizes.classes), np.float32)
    everywhere[rows] = scores
    return expert, [everywhere, unseen[:, None]]


def prepare_text(
    params: Params, tokenizer: Tokenizer, train: Split, validation: Split, sizes: Sizes
) -> tuple[TextExpert | None, list[np.ndarray]]:
    """The text expert, if the branch has one, and what the trunk's `text` input is fed with."""
    if not isinstance(params.text, NgramsParams):
        return None, [train.subwords, validation.subwords]
    settings, regularisation = params.training, params.text.regularisation
    hashing = ngrams.NgramHash(ngrams.letters(tokenizer.get_vocab()), params.text.orders)
    matrix = ngrams.counts(train.characters, hashing)
    idf = ngrams.inverse_document_frequency(matrix)
    rows = np.flatnonzero(np.diff(matrix.indptr))
    matrix = ngrams.weigh(matrix, idf)

    def make() -> LinearSVC:
        return LinearSVC(C=regularisation, class_weight=class_weight(settings), random_state=0)

    expert, scores = experts.fit_with_scores(
        make,
        [matrix[rows]],
        np.asarray(train.labels)[rows],
        sizes.classes,
        settings.folds,
        settings.seed,
    )
    everywhere = np.zeros((len(train.labels), sizes.classes), np.float32)
    everywhere[rows] = scores[:, 0]
    unseen = ngrams.weigh(ngrams.counts(validation.characters, hashing), idf)
    linear = ngrams.NgramLinear(idf, expert.weights, expert.bias)
    return (hashing, linear), [everywhere, expert.scores(unseen)]


def class_weight(params: TrainingParams) -> str | None:
    """scikit-learn's name for the setting."""
    return None if params.class_weights == "none" else params.class_weights


def feed(split: Split, text: np.ndarray, image_scores: np.ndarray, tokens: str) -> Inputs:
    """The trunk's inputs; a text without any token counts as missing."""
    return {
        "text": text,
        "features": split.features,
        "image_scores": image_scores,
        "has_text": np.asarray(getattr(split, tokens)[:, 0] > 0),
        "has_image": np.asarray(split.has_image),
    }


def write_bundle(
    head: keras.Model, params: Params, data: Path, output: Path, validation: Split
) -> None:
    """Exports the head, joins it to the backbone and writes the bundle, if they agree with Keras.

    Raises:
        ExportError: Keras and the export differ on validation rows.
    """
    tokens = getattr(validation, tokens_of(params.text))[:PARITY_ROWS].astype(np.int32)
    rows = {
        "features": validation.features[:PARITY_ROWS, 0].astype(np.float32),
        "has_image": np.asarray(validation.has_image[:PARITY_ROWS]),
        "token_ids": tokens,
        "has_text": tokens[:, 0] > 0,
    }
    exported = export.to_onnx(head, bundle.OUTPUT)
    exported = onnx.ModelProto.FromString(exported.SerializeToString(deterministic=True))
    difference = export.check_parity(exported, rows, np.asarray(head(rows, training=False)))
    logger.info("head: ONNX differs from Keras by %.1e on %d rows", difference, len(tokens))
    backbone = onnx.load(data / embedded.BACKBONE)
    tokenizer = (data / f"{tokens_of(params.text)}.json").read_text(encoding="utf-8")
    meta = embedded.read_meta(data)
    spec = bundle.InputSpec(
        size=meta.size,
        resampling=meta.resampling,
        tokens=tokens.shape[1],
        vocabulary=Tokenizer.from_str(tokenizer).get_vocab_size(),
    )
    model = export.merge(backbone, exported).SerializeToString(deterministic=True)
    source = json.loads((data / embedded.SOURCE).read_text(encoding="utf-8"))
    parameters: dict[str, Any] = {
        "image": meta.model_dump(exclude={"images"}),
        **params.model_dump(mode="json"),
    }
    labels = read_labels(data / embedded.LABELS)
    bundle.write(output, model, tokenizer, labels, spec, source, parameters)
    opened = bundle.load(output)
    logger.info("bundle %s: %d labels", opened.version, len(opened.labels))


if __name__ == "__main__":
    logs.run(main, log="train_model")
