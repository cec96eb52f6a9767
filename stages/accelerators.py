"""What a network is trained on and in which precision: the code path of GPUs, the same on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import keras
import tensorflow as tf

Precision: TypeAlias = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Devices: TypeAlias = Literal["one", "all"]


@contextmanager
def scope(precision: Precision, devices: Devices) -> Iterator[None]:
    """Models built and compiled in it compute in that precision, on that many devices.

    Args:
        precision: Keras' dtype policy; weights are kept in float32 under each.
        devices: "all" splits each batch over every GPU (without one: over every logical CPU) and
            sums the gradients.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        if devices == "all":
            kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
            names = [device.name for device in tf.config.list_logical_devices(kind)]
            with tf.distribute.MirroredStrategy(names).scope():
                yield
        else:
            yield
    finally:
        keras.config.set_dtype_policy(before)
