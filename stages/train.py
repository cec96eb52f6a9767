"""Stage `train`: linear experts, the trunk between them, and the bundle they are served as."""

import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from dvclive import Live

from api import bundle, bundle_format
from stages import embedded, export, logs, tracking
from stages.head_training import Experts, HeadParams, finish, train_trunk
from stages.params import load
from stages.quantise import ExportParams, Outcome
from stages.shipped_backbone import Photos, ship
from stages.training_data import TrainingData

logger = logging.getLogger(__name__)

PARITY_ROWS = 64
OUT_OF_FOLD = "out_of_fold.parquet"


class Params(HeadParams):
    """The sections that this stage reads."""

    export: ExportParams


def main(data: Path, preprocessed: Path, images: Path, output: Path, metrics: Path) -> None:
    """Reads data/embedded; writes the bundle, then curves and figures, then tells MLflow.

    Images are read only to quantise the backbone.
    """
    params = load(Params)
    keras.utils.set_random_seed(params.training.seed)
    tf.config.experimental.enable_op_determinism()
    source = TrainingData.read(data, params.text)
    with Live(str(metrics), save_dvc_exp=False, dvcyaml=None, monitor_system=False) as live:
        live.log_params(params.model_dump(mode="json"))
        Path(live.plots_dir).mkdir(parents=True, exist_ok=True)  # empty where nothing descends
        experts = Experts(params, source.tokenizer, source.splits, source.sizes)
        trunk = train_trunk(experts, live)
        write_out_of_fold(experts, trunk, metrics / OUT_OF_FOLD)
        backbone, outcome = ship(
            params.export,
            source.encoder(embedded.BACKBONE),
            Photos(images, preprocessed, source.meta.size, source.meta.resampling),
            np.asarray(source.splits[1].labels),
            lambda: partial(classify, finish(trunk, experts, unseen=True), source),
        )
        log_outcome(live, outcome)
        write_bundle(finish(trunk, experts), backbone, outcome, params, source, output)
        figures = dict(live.summary)
    tracking.record(params.model_dump(mode="json"), figures, output, model_type(params))


def model_type(params: Params) -> str:
    """What the brief calls the model: its text branch and its fusion."""
    return f"{params.text.kind}+{params.fusion.kind}"


def write_out_of_fold(experts: Experts, trunk: keras.Model, path: Path) -> None:
    """Writes what fits without the row say of it, for the search for wrong labels.

    Columns: row, split, label, probabilities (in the order of labels.json).
    """
    scored = zip(embedded.SPLITS, experts.splits, experts.out_of_fold(trunk), strict=True)
    tables = [
        pa.table(
            {
                "row": np.asarray(split.rows),
                "split": [name] * len(split.rows),
                "label": np.asarray(split.labels),
                "probabilities": list(probabilities),
            }
        )
        for name, split, probabilities in scored
        if probabilities is not None
    ]
    pq.write_table(pa.concat_tables(tables), path)


def classify(
    head: keras.Model, source: TrainingData, rows: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """Probabilities, float32 (N, C), of some validation rows, were these their image features."""
    inputs = source.head_inputs(source.splits[1], rows)
    return np.asarray(head(inputs | {"features": features}, training=False))


def log_outcome(live: Live, outcome: Outcome) -> None:
    """Which precision is shipped, and what was compared for it."""
    live.summary["int8"] = int(outcome.precision == "int8")
    if outcome.macro_f1_fp32 is not None and outcome.macro_f1_int8 is not None:
        live.summary["gate_macro_f1_fp32"] = outcome.macro_f1_fp32
        live.summary["gate_macro_f1_int8"] = outcome.macro_f1_int8


def write_bundle(
    head: keras.Model,
    backbone: onnx.ModelProto,
    outcome: Outcome,
    params: Params,
    source: TrainingData,
    output: Path,
) -> None:
    """Exports the head, joins it to the encoders and writes the bundle, if they agree with Keras.

    Raises:
        ExportError: Keras and the export differ on validation rows.
    """
    rows = source.head_inputs(source.splits[1], slice(PARITY_ROWS))
    exported = export.to_onnx(head, bundle_format.OUTPUT)
    exported = onnx.ModelProto.FromString(exported.SerializeToString(deterministic=True))
    difference = export.check_parity(exported, rows, np.asarray(head(rows, training=False)))
    logger.info("head: ONNX differs from Keras by %.1e on %d rows", difference, PARITY_ROWS)
    model = export.merge(backbone, exported, "features")
    texts = {"token_ids": bundle_format.TextInput.of(bundle_format.TOKENIZER, source.tokenizer)}
    tokenizers = {bundle_format.TOKENIZER: source.tokenizer.to_str()}
    if source.meta.sentence.features:
        model = export.merge(source.encoder(embedded.SENTENCE_ENCODER), model, "sentence")
        tokenizer = source.sentence_tokenizer()
        texts["sentence_ids"] = bundle_format.TextInput.of(
            bundle_format.SENTENCE_TOKENIZER, tokenizer
        )
        tokenizers[bundle_format.SENTENCE_TOKENIZER] = tokenizer.to_str()
    spec = bundle_format.InputSpec(
        size=source.meta.size, resampling=source.meta.resampling, texts=texts
    )
    parameters: dict[str, Any] = {
        "image": source.meta.model_dump(exclude={"images", "sentence"}),
        "sentence": source.meta.sentence.model_dump(),
        **params.model_dump(mode="json"),
        "shipped": asdict(outcome),
    }
    serialised = model.SerializeToString(deterministic=True)
    bundle.write(output, serialised, tokenizers, source.labels, spec, source.source, parameters)
    opened = bundle.load(output)
    logger.info("bundle %s: %d labels", opened.version, len(opened.labels))


if __name__ == "__main__":
    logs.run(main, log="train_model")
