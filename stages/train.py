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
from tokenizers import Tokenizer

from api import bundle
from api.labels import read as read_labels
from stages import embedded, export, logs, tracking
from stages.embedded import Split
from stages.head_training import HeadParams, train_head
from stages.heads import Sizes
from stages.params import load
from stages.text_branches import tokens_of

logger = logging.getLogger(__name__)

PARITY_ROWS = 64


class Params(HeadParams):
    """The sections that this stage reads."""


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
