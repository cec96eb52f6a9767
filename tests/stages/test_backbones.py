"""Backbones give the features their weights were trained to give, whatever file those come from."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from stages import efficientnet_lite
from stages.backbones import BackboneError, ImageParams, build
from stages.torch_checkpoint import CheckpointError
from tests.model.check_efficientnet_torch import images
from tests.stages.legacy_checkpoint import Checkpoint

# Keras copies variables of TensorFlow in a way that numpy 2 frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
SIZE = 32
PIXELS = np.random.default_rng(5).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
WIDTHS = {
    "efficientnet_lite0": 1280,
    "mobilenet_v3_large": 960,
    "efficientnet_v2_b0": 1280,
    "vgg16": 512,
}


def params(**change: Any) -> ImageParams:
    values = {
        "backbone": "efficientnet_lite0",
        "size": SIZE,
        "resampling": "bilinear",
        "views": 1,
        "weights": "random",
    }
    return ImageParams.model_validate(values | change)


def features(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    values: np.ndarray = model(pixels, training=False).numpy()
    return values


def test_packaged_weights_give_the_features_that_torch_gives() -> None:
    """The three strongest features of three pictures, and the mean of all.

    `make check-torch` compares every feature with the original network; these are its values.
    """
    expected = [
        ([872, 71, 468], [4.5970, 4.5871, 4.3654], 0.057560),
        ([600, 848, 327], [5.0767, 4.7843, 4.3465], 0.202383),
        ([113, 468, 897], [4.0798, 3.6522, 2.6029], 0.047217),
    ]
    rows = features(build(params(size=224, weights="package")), images(224)[:3])
    for row, (strongest, values, mean) in zip(rows, expected, strict=True):
        assert np.argsort(-row)[:3].tolist() == strongest
        np.testing.assert_allclose(row[strongest], values, rtol=1e-3)
        np.testing.assert_allclose(row.mean(), mean, rtol=1e-3)


def test_folded_batch_norms_equal_batch_norms() -> None:
    """A convolution, then a batch norm with statistics of its own, as one convolution."""
    weights = efficientnet_lite.read_packaged_weights()
    model = efficientnet_lite.build(SIZE)
    efficientnet_lite.assign(model, weights)
    convolution = keras.layers.Conv2D(32, 3, 2, padding="same", use_bias=False)
    norm = keras.layers.BatchNormalization(epsilon=1e-3)
    scaled = (PIXELS.astype(np.float32) - 127) / 128
    norm(convolution(scaled))
    convolution.set_weights([weights["_conv_stem.weight"].transpose(2, 3, 1, 0)])
    parts = ("weight", "bias", "running_mean", "running_var")
    norm.set_weights([weights[f"_bn0.{part}"] for part in parts])
    expected = keras.ops.relu6(norm(convolution(scaled), training=False))
    stem = keras.Model(model.input, model.get_layer("stem").output)
    np.testing.assert_allclose(features(stem, PIXELS), expected, atol=2e-5)


@pytest.mark.parametrize("backbone", WIDTHS)
def test_random_weights_are_the_same_every_time(backbone: str) -> None:
    first, second = (features(build(params(backbone=backbone)), PIXELS) for _ in range(2))
    assert (first.shape, first.dtype) == ((3, WIDTHS[backbone]), np.float32)
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()
    assert np.ptp(first, axis=0).max() > 0  # images differ in their features


@pytest.mark.parametrize(
    ("backbone", "network", "preprocess"),
    [
        ("vgg16", keras.applications.VGG16, keras.applications.vgg16.preprocess_input),
        ("mobilenet_v3_large", keras.applications.MobileNetV3Large, None),
        ("efficientnet_v2_b0", keras.applications.EfficientNetV2B0, None),
    ],
)
def test_pixels_are_scaled_as_keras_scales_them(
    backbone: str, network: Callable[..., keras.Model], preprocess: Callable[..., Any] | None
) -> None:
    """The same weights behind Keras' own preprocessing give the same features."""
    ours = build(params(backbone=backbone))
    reference = network(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3), pooling="avg")
    weights = [weight for weight in reference.weights if "normalization" not in weight.path]
    for weight, same in zip(weights, ours.weights, strict=True):
        weight.assign(same)
    pixels = PIXELS.astype(np.float32)
    expected = features(reference, preprocess(pixels.copy()) if preprocess else pixels)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(features(ours, PIXELS) / scale, expected / scale, atol=1e-5)


def test_weights_come_from_a_local_file(tmp_path: Path) -> None:
    """Of Keras for its networks, of torch for EfficientNet-Lite0."""
    network = keras.applications.MobileNetV3Large(
        include_top=False,
        weights=None,
        input_shape=(SIZE, SIZE, 3),
        pooling="avg",
        include_preprocessing=False,
    )
    file = tmp_path / "local.weights.h5"
    network.save_weights(file)
    model = build(params(backbone="mobilenet_v3_large", weights=str(file)))
    expected = features(network, PIXELS.astype(np.float32) / 127.5 - 1)
    np.testing.assert_allclose(features(model, PIXELS), expected, atol=1e-5)
    packaged = files(efficientnet_lite.WEIGHTS_PACKAGE) / efficientnet_lite.WEIGHTS_FILE
    np.testing.assert_array_equal(
        features(build(params(weights=str(packaged))), PIXELS),
        features(build(params(weights="package")), PIXELS),
    )


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    other = Checkpoint().add("conv1.weight", np.zeros(4, np.float32), 0, (4,), (1,))
    torch_file, keras_file = tmp_path / "other.pth", tmp_path / "other.weights.h5"
    torch_file.write_bytes(other.dump())
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(keras_file)
    with pytest.raises(BackboneError, match=r"other\.pth: the file is of another network"):
        build(params(weights=str(torch_file)))
    with pytest.raises(BackboneError, match=r"other\.weights\.h5: .*include_top=False"):
        build(params(backbone="mobilenet_v3_large", weights=str(keras_file)))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(BackboneError, match=r"vgg16 .* nowhere\.h5: no such file"):
        build(params(backbone="vgg16", weights="nowhere.h5"))
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: no such file"):
        build(params(weights="nowhere.pth"))


@pytest.mark.slow
def test_a_failed_download_says_how_to_do_without(tmp_path: Path) -> None:
    """In a process of its own, with an empty cache and no way out to the network."""
    program = (
        "from stages.backbones import *\n"
        "try: build(ImageParams(backbone='mobilenet_v3_large', size=224, resampling='bilinear',"
        " views=1, weights='imagenet'))\n"
        "except BackboneError as error: print('refused:', error)"
    )
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | nowhere | {"PYTHONPATH": str(ROOT), "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = done.stdout[done.stdout.index("refused:") :]
    assert "backbone mobilenet_v3_large with image.weights = imagenet" in answer
    assert "URL fetch failure" in answer
    assert "name a local file of weights" in answer


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": "imagenet"}, "use 'package'"),
        ({"backbone": "vgg16", "weights": "package"}, "use 'imagenet'"),
        ({"size": 16}, "greater than or equal to 32"),
        ({"size": 1024}, "less than or equal to 512"),
        ({"views": 9}, "less than or equal to 8"),
        ({"resampling": "nearest"}, "'bilinear' or 'bicubic'"),
        ({"backbone": "resnet"}, "Input should be"),
    ],
)
def test_parameters_are_bounded(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        params(**change)
