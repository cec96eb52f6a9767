"""The quantised backbone: near the float one, no overflow, equal bytes; and who gets to ship it."""

import hashlib
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers
from onnx import numpy_helper
from PIL import Image

from api.archive import ImageArchive, image_name
from stages import backbones, efficientnet_lite, export, quantise
from stages.backbones import ImageParams
from stages.image_features import Source
from stages.quantise import ExportParams, QuantisationError
from tests.api import photos

ROOT = Path(__file__).parents[2]
SIZE, IMAGES = 96, 24
INT8 = ExportParams(precision="int8", calibration_images=16, gate_images=8, max_f1_drop=0.005)


def pictures(count: int, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """Soft blobs of colour with a hard edge, uint8 (count, size, size, 3)."""
    generator = np.random.default_rng(seed)
    soft = [
        np.asarray(
            Image.fromarray(generator.integers(0, 256, (6, 6, 3), np.uint8)).resize((size, size))
        ).copy()
        for _ in range(count)
    ]
    for image in soft:
        image[: generator.integers(1, size // 2)] = 255
    return np.stack(soft)


PIXELS = pictures(IMAGES)
LABELS = np.arange(IMAGES) % 4


@pytest.fixture(scope="module")
def backbone() -> onnx.ModelProto:
    """EfficientNet-Lite0 with its ImageNet weights."""
    params = ImageParams(
        backbone="efficientnet_lite0",
        size=SIZE,
        resampling="bilinear",
        views=1,
        weights="package",
    )
    return export.to_onnx(backbones.build(params), "features")


@pytest.fixture(scope="module")
def quantised(backbone: onnx.ModelProto) -> onnx.ModelProto:
    return quantise.quantise(backbone, PIXELS[:16])


def small(*widths: int) -> onnx.ModelProto:
    """A backbone of so many convolutions."""
    keras.utils.set_random_seed(2)
    pixels = keras.Input((16, 16, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    for width in widths:
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return export.to_onnx(keras.Model(pixels, layers.GlobalAveragePooling2D()(x)), "features")


def exactly(model: onnx.ModelProto) -> np.ndarray:
    """Features of all PIXELS by float arithmetic on the quantised values: nothing can overflow."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"pixels": PIXELS})[0]


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / norms


def by_neighbour(backbone: onnx.ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    """A head that answers with the class of the nearest image in fp32."""
    known = quantise.features(backbone, PIXELS)

    def classify(features: np.ndarray) -> np.ndarray:
        distances = ((features[:, np.newaxis] - known) ** 2).sum(axis=2)
        return np.eye(4)[LABELS[distances.argmin(axis=1)]]

    return classify


def only_exact(backbone: onnx.ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    """A head that is right about features of fp32 and always wrong about others."""
    known = quantise.features(backbone, PIXELS)

    def classify(features: np.ndarray) -> np.ndarray:
        right = np.array_equal(features, known)
        return np.eye(4)[LABELS if right else (LABELS + 1) % 4]

    return classify


def never(_: np.ndarray) -> np.ndarray:
    """A head that must not be asked."""
    raise AssertionError


def test_features_of_images_it_was_not_calibrated_with_point_the_same_way(
    backbone: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    unseen = pictures(8, seed=1)
    same = cosine(quantise.features(backbone, unseen), quantise.features(quantised, unseen))
    assert same.min() > 0.98


def test_integer_kernels_cut_nothing_off(quantised: onnx.ModelProto) -> None:
    """With weights of 8 bits in every channel this is 0.86 on a processor without VNNI."""
    assert cosine(exactly(quantised), quantise.features(quantised, PIXELS)).min() > 0.995


def test_the_model_is_less_than_a_third_of_the_size(
    backbone: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    assert quantised.ByteSize() < backbone.ByteSize() / 3


def test_scaling_first_convolutions_and_pooling_stay_in_float(quantised: onnx.ModelProto) -> None:
    kinds = [node.op_type for node in quantised.graph.node]
    before = kinds[: kinds.index("QuantizeLinear")]
    assert before[:3] == ["Cast", "Mul", "Add"]
    assert before.count("Conv") == quantise.IN_FLOAT
    assert kinds[-2:] == ["DequantizeLinear", "ReduceMean"]
    weights = {t.name: numpy_helper.to_array(t) for t in quantised.graph.initializer}
    large = {value.dtype for value in weights.values() if value.size > 10_000}
    assert large == {np.dtype(np.int8)}


def test_the_result_is_canonical_and_joins_a_head(quantised: onnx.ModelProto) -> None:
    before = quantised.SerializeToString(deterministic=True)
    copy = onnx.ModelProto.FromString(before)
    assert export.canonical(copy).SerializeToString(deterministic=True) == before
    features = keras.Input((efficientnet_lite.FEATURES,), name="features")
    head = export.to_onnx(keras.Model(features, layers.Dense(3)(features)), "probabilities")
    merged = export.merge(copy, head, "features")
    onnx.checker.check_model(merged, full_check=True)
    session = ort.InferenceSession(merged.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"pixels": PIXELS[:5]})[0].shape == (5, 3)


def test_another_process_gives_the_same_bytes_and_the_given_model_is_left_alone(
    backbone: onnx.ModelProto, quantised: onnx.ModelProto, tmp_path: Path
) -> None:
    """One with another hash seed: the library keeps names of tensors in sets."""
    onnx.save(backbone, tmp_path / "backbone.onnx")
    np.save(tmp_path / "pixels.npy", PIXELS[:16])
    program = (
        "import hashlib, sys, numpy, onnx\n"
        "from stages.quantise import quantise\n"
        "model = onnx.load(sys.argv[1] + '/backbone.onnx')\n"
        "before = model.SerializeToString(deterministic=True)\n"
        "result = quantise(model, numpy.load(sys.argv[1] + '/pixels.npy'))\n"
        "assert model.SerializeToString(deterministic=True) == before\n"
        "print(hashlib.md5(result.SerializeToString(deterministic=True)).hexdigest())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    expected = hashlib.md5(quantised.SerializeToString(deterministic=True)).hexdigest()
    assert other.stdout.split() == [expected]


weights = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3)),
    elements=st.floats(-10, 10, width=32),
)


@given(weights)
def test_no_pair_of_products_overflows_16_bits(weight: np.ndarray) -> None:
    """Pairs as they lie in memory: height, width, input channel; activations are at most 255."""
    steps = quantise.weight_steps(weight, 1)
    integers = np.rint(weight / steps[:, None, None, None]).transpose(0, 2, 3, 1)
    rows = integers.reshape(len(weight), -1)
    assert np.abs(rows).max() <= 127
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    pairs = rows.reshape(len(rows), -1, 2)
    assert 255 * np.maximum(pairs, 0).sum(axis=2).max() < 2**15
    assert 255 * np.minimum(pairs, 0).sum(axis=2).min() >= -(2**15)


def test_depthwise_weights_get_all_of_8_bits_and_empty_channels_a_step() -> None:
    weight = np.array([[1.0, 0.5], [0.0, 0.0]], np.float32).reshape(2, 1, 1, 2)
    assert quantise.weight_steps(weight, 2) == pytest.approx([1 / 127, 1])
    assert quantise.weight_steps(weight, 1) == pytest.approx([1.5 / 127, 1])


def test_int8_ships_where_answers_stay(
    backbone: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    chosen, outcome = quantise.choose(
        INT8, backbone, PIXELS[:16], PIXELS, LABELS, by_neighbour(backbone)
    )
    expected = quantised.SerializeToString(deterministic=True)
    assert chosen.SerializeToString(deterministic=True) == expected
    assert (outcome.precision, outcome.macro_f1_fp32, outcome.macro_f1_int8) == ("int8", 1, 1)


def test_fp32_stays_and_a_warning_says_so_where_answers_change(
    backbone: onnx.ModelProto, caplog: pytest.LogCaptureFixture
) -> None:
    chosen, outcome = quantise.choose(
        INT8, backbone, PIXELS[:3], PIXELS, LABELS, only_exact(backbone)
    )
    assert chosen is backbone
    assert (outcome.precision, outcome.macro_f1_fp32, outcome.macro_f1_int8) == ("fp32", 1, 0)
    assert "macro F1 is 1.0000 in fp32 and 0.0000 in int8" in outcome.reason
    assert "3 training images used to calibrate (asked for: 16)" in outcome.reason
    assert [(r.levelno, outcome.reason in r.message) for r in caplog.records] == [
        (logging.WARNING, True)
    ]


def test_a_drop_of_just_what_is_allowed_is_too_much(backbone: onnx.ModelProto) -> None:
    params = INT8.model_copy(update={"max_f1_drop": 1.0})
    arguments = (backbone, PIXELS[:3], PIXELS, LABELS, only_exact(backbone))
    assert quantise.choose(params, *arguments)[1].precision == "fp32"


def test_fp32_asked_for_compares_nothing() -> None:
    model = small(4)
    params = INT8.model_copy(update={"precision": "fp32"})
    chosen, outcome = quantise.choose(params, model, PIXELS, PIXELS, LABELS, never)
    assert chosen is model
    assert (outcome.precision, outcome.macro_f1_fp32, outcome.macro_f1_int8) == ("fp32", None, None)


@pytest.mark.parametrize(("calibration", "gate", "lacking"), [(0, 3, "training"), (3, 0, "valid")])
def test_without_images_the_backbone_stays_as_it_is(
    calibration: int, gate: int, lacking: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = small(4)
    images = PIXELS[:calibration], PIXELS[:gate], LABELS[:gate]
    chosen, outcome = quantise.choose(INT8, model, *images, never)
    assert chosen is model
    assert f"no usable {lacking}" in outcome.reason
    assert outcome.reason in caplog.text


def test_a_backbone_with_nothing_to_quantise_stays_as_it_is() -> None:
    model, pixels = small(4, 4), pictures(4, 16)
    with pytest.raises(QuantisationError, match="has 2 convolutions"):
        quantise.quantise(model, pixels)
    chosen, outcome = quantise.choose(INT8, model, pixels, pixels, LABELS[:4], never)
    assert chosen is model
    assert "2 convolutions" in outcome.reason
    with pytest.raises(QuantisationError, match="no image"):
        quantise.quantise(model, pixels[:0])


def test_plain_convolutions_as_those_of_vgg_are_quantised_too() -> None:
    """Some of an odd number of channels, where pairs reach across positions of the kernel."""
    model, pixels = small(8, 8, 8, 8, 8, 7, 9, 16, 16), pictures(8, 16)
    result = quantise.quantise(model, pixels)
    features = (quantise.features(which, pixels) for which in (model, result))
    assert cosine(*features).min() > 0.995


def test_classes_without_images_do_not_count() -> None:
    labels, predicted = np.array([0, 0, 2, 2]), np.array([0, 0, 2, 7])
    assert quantise.macro_f1(labels, predicted) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("value", [{"max_f1_drop": 0}, {"gate_images": 0}, {"precision": "int4"}])
def test_parameters_out_of_bounds_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        ExportParams.model_validate(INT8.model_dump() | value)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """Eight rows: one without an image, one with an image that can't be read, six usable ones."""
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for row in range(8):
            image = Image.new("RGB", (9, 9), (10 * row,) * 3)
            data = b"no image" if row == 5 else photos.packed(image, "PNG")
            archive.writestr(f"images/{image_name(row, row)}", data)
    names = ["" if row == 2 else image_name(row, row) for row in range(8)]
    pd.DataFrame({"row": range(100, 108), "image": names}).to_parquet(tmp_path / "train.parquet")
    with ImageArchive(tmp_path / "images.zip") as archive:
        yield Source(archive, 4, "bilinear")


def test_usable_images_are_read_with_their_positions(source: Source, tmp_path: Path) -> None:
    pixels, positions = quantise.read_images(source, tmp_path / "train.parquet", 20)
    assert sorted(positions) == [0, 1, 3, 4, 6, 7]
    assert (pixels.shape, pixels.dtype) == ((6, 4, 4, 3), np.uint8)
    assert pixels[:, 0, 0, 0].tolist() == (10 * positions).tolist()


def test_fewer_images_are_the_first_of_more(source: Source, tmp_path: Path) -> None:
    pixels, positions = quantise.read_images(source, tmp_path / "train.parquet", 3)
    more, others = quantise.read_images(source, tmp_path / "train.parquet", 5)
    assert positions.tolist() == others[:3].tolist() != sorted(others[:3])
    assert np.array_equal(pixels, more[:3])
