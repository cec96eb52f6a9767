"""The image backbone in 8-bit integers, kept only where that costs next to no accuracy.

docs/decisions/quantisation.md says what was measured, and why it is done this way.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from pydantic import Field
from sklearn import metrics

from api.errors import ProductCodeError
from stages.export import canonical
from stages.image_features import BATCH, Source, read_rows
from stages.params import Frozen

QUANTISED = ["Conv", "Relu", "Clip", "Add", "MaxPool"]  # ONNX Runtime has integer kernels for these
LARGEST = 127  # of a weight, and of two neighbouring weights of one sign together
IN_FLOAT = 6  # first convolutions: their rounding errors would grow through all the others
ORDER_SEED = 0

logger = logging.getLogger(__name__)


class QuantisationError(ProductCodeError):
    """A backbone that can't be quantised."""


class ExportParams(Frozen):
    """In which precision the backbone is served, and what decides on it.

    `calibration_images` of the training split give the ranges of activations; int8 is kept if
    macro F1 on `gate_images` of the validation split drops by less than `max_f1_drop`.
    """

    precision: Literal["fp32", "int8"]
    calibration_images: int = Field(ge=1, le=10_000)
    gate_images: int = Field(ge=1, le=10_000)
    max_f1_drop: float = Field(gt=0, le=1)


@dataclass(frozen=True)
class Outcome:
    """What was shipped and why; macro F1 is None where nothing was compared."""

    precision: Literal["fp32", "int8"]
    macro_f1_fp32: float | None
    macro_f1_int8: float | None
    reason: str


def choose(
    params: ExportParams,
    backbone: onnx.ModelProto,
    calibration: np.ndarray,
    gate: np.ndarray,
    labels: np.ndarray,
    classify: Callable[[np.ndarray], np.ndarray],
) -> tuple[onnx.ModelProto, Outcome]:
    """The backbone to ship: int8 if that was asked for and passes the gate, else as it is.

    Args:
        params: What was asked for.
        backbone: From `pixels` to `features`.
        calibration: Training images, uint8 (K, S, S, 3), RGB, as `read_images` gives them.
        gate: Validation images, uint8 (G, S, S, 3), RGB, likewise.
        labels: Their classes, int (G,).
        classify: From features of the gate's images, float32 (G, D), to probabilities (G, C).
    """
    if params.precision == "fp32":
        return backbone, Outcome("fp32", None, None, "export.precision is fp32")
    if not (len(calibration) and len(gate)):
        lacking = "validation" if len(calibration) else "training"
        return _keep(backbone, f"no usable {lacking} image to quantise or to compare with")
    try:
        candidate = quantise(backbone, calibration)
    except QuantisationError as error:
        return _keep(backbone, str(error))
    before, after = (
        macro_f1(labels, classify(features(model, gate)).argmax(axis=1))
        for model in (backbone, candidate)
    )
    reason = (
        f"macro F1 is {before:.4f} in fp32 and {after:.4f} in int8, where a drop of less than "
        f"{params.max_f1_drop:g} is allowed; {len(gate)} validation images compared (asked for: "
        f"{params.gate_images}), {len(calibration)} training images used to calibrate (asked for: "
        f"{params.calibration_images})"
    )
    if not before - after < params.max_f1_drop:
        return _keep(backbone, reason, before, after)
    logger.info("backbone shipped in int8: %s", reason)
    return candidate, Outcome("int8", before, after, reason)


def _keep(
    backbone: onnx.ModelProto, reason: str, before: float | None = None, after: float | None = None
) -> tuple[onnx.ModelProto, Outcome]:
    logger.warning("export.precision is int8, but the backbone stays in fp32: %s", reason)
    return backbone, Outcome("fp32", before, after, reason)


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 of the classes that `labels` hold; one that only predictions hold is no class here.

    Were it one, a single prediction of a class that the images lack would move the mean by much.
    """
    return float(
        metrics.f1_score(
            labels, predicted, labels=np.unique(labels), average="macro", zero_division=0
        )
    )


def features(backbone: onnx.ModelProto, pixels: np.ndarray) -> np.ndarray:
    """Features, float32 (N, D), of images, uint8 (N, S, S, 3), in the batches of `embed`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = backbone.SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(lambda batch: session.run(None, {"pixels": batch})[0], batches))
    return np.concatenate(parts)


def read_images(source: Source, table: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to `count` usable images of a table of data/preprocessed, and the rows they are of.

    Rows are tried in one fixed random order: the first rows of a table may be of few classes.

    Returns:
        Pixels, uint8 (K, size, size, 3), RGB, and positions in the table, int64 (K,).
    """
    rows = read_rows(table)
    pixels = np.empty((min(count, len(rows)), source.size, source.size, 3), np.uint8)
    positions: list[int] = []
    for position in np.random.default_rng(ORDER_SEED).permutation(len(rows)):
        if len(positions) == len(pixels):
            break
        for image in source.read(rows[position])[0]:
            pixels[len(positions)] = image
            positions.append(position)
    return pixels[: len(positions)], np.array(positions, np.int64)


def quantise(backbone: onnx.ModelProto, pixels: np.ndarray) -> onnx.ModelProto:
    """The backbone with integer convolutions, in canonical form: equal input gives equal bytes.

    The scaling of pixels, the first convolutions and the pooling at the end stay in float.

    Args:
        backbone: From `pixels` to `features`, batch norms folded into convolutions.
        pixels: Images to calibrate with, uint8 (N, S, S, 3), RGB.

    Raises:
        QuantisationError: There is nothing to calibrate with or nothing to quantise.
    """
    if not len(pixels):
        raise QuantisationError("no image to calibrate with, at least one is needed")
    with tempfile.TemporaryDirectory(prefix="quantise.") as folder:
        paths = [Path(folder) / f"{step}.onnx" for step in ("given", "prepared", "named", "int8")]
        onnx.save(backbone, paths[0])  # given as an object, the libraries would change it
        with _without_info():
            quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True)
            prepared = _named(onnx.load(paths[1]))
            onnx.save(prepared, paths[2])
            _quantise_file(prepared, paths[2], paths[3], pixels)
        quantised = onnx.load(paths[3])
    quantised.ir_version = backbone.ir_version
    del quantised.opset_import[:]
    quantised.opset_import.extend(backbone.opset_import)
    return canonical(quantised)


@contextmanager
def _without_info() -> Iterator[None]:
    """Without log lines under a warning: the library writes one for each channel it adjusts."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with a name for each node: the library picks nodes by name."""
    for position, node in enumerate(model.graph.node):
        node.name = f"node{position}"
    return model


def _quantise_file(
    prepared: onnx.ModelProto, source: Path, output: Path, pixels: np.ndarray
) -> None:
    kept, convolutions = _split(prepared)
    weights = {tensor.name: tensor for tensor in prepared.graph.initializer}
    steps = {
        node.input[1]: _per_channel(weight_steps(*_weight(node, weights)))
        for node in convolutions
        if node.input[1] in weights
    }
    quantize_static(
        source,
        output,
        _Images(pixels),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=QUANTISED,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[node.name for node in kept],
        extra_options={"TensorQuantOverrides": steps},
    )


def _split(model: onnx.ModelProto) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """The nodes up to the last convolution that stays in float, and the other convolutions."""
    nodes = list(model.graph.node)
    convolutions = [at for at, node in enumerate(nodes) if node.op_type == "Conv"]
    if len(convolutions) <= IN_FLOAT:
        raise QuantisationError(
            f"the backbone has {len(convolutions)} convolutions, and only those after the first "
            f"{IN_FLOAT} would be quantised; use export.precision = fp32"
        )
    last = convolutions[IN_FLOAT - 1]
    return nodes[: last + 1], [nodes[at] for at in convolutions[IN_FLOAT:]]


def _weight(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> tuple[np.ndarray, int]:
    """Weights of a convolution, float32 (O, I, H, W), and its number of groups."""
    groups = [item.i for item in node.attribute if item.name == "group"] or [1]
    return numpy_helper.to_array(weights[node.input[1]]), groups[0]


def weight_steps(weight: np.ndarray, groups: int) -> np.ndarray:
    """The step between two neighbouring integers, float32 (O,), for each output channel.

    Processors without VNNI multiply bytes in pairs and add each pair in 16 bits, where two
    activations of 255 under weights of 127 are cut off. So a pair's weights of one sign may come
    to 127 together, which leaves most channels nearly all of the 8 bits, while weights of 7 bits
    would be as safe, but twice as coarse. Depthwise kernels add in 32 bits and need no care.

    Args:
        weight: float32 (O, I, H, W).
        groups: Of the convolution; kernels take inputs in the order H, W, I.
    """
    rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1).astype(np.float64)
    width = 1 if groups > 1 else 2
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % width)))
    pairs = rows.reshape(len(rows), -1, width)
    sums = np.maximum(np.maximum(pairs, 0).sum(axis=2), np.maximum(-pairs, 0).sum(axis=2))
    largest = sums.max(axis=1)
    return np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)


def _per_channel(steps: np.ndarray) -> list[dict[str, Any]]:
    """The form in which the library takes them."""
    zero = np.array(0, np.int8)
    channels = [{"scale": np.array(step), "zero_point": zero} for step in steps]
    return [{"axis": 0, "quant_type": QuantType.QInt8, **channels[0]}, *channels[1:]]


class _Images(CalibrationDataReader):
    """Hands images to the calibration one by one: memory stays that of one image."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.batches: Iterator[np.ndarray] = iter(pixels[:, np.newaxis])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch of one, None at the end."""
        batch = next(self.batches, None)
        return None if batch is None else {"pixels": batch}
