"""State dicts that torch saved in its legacy format, read without torch.

Source: the layout of `torch.save(..., _use_new_zipfile_serialization=False)`: pickles of a magic
number, a protocol, the writer's system, the state dict and a list of storage keys; then, for each
key in that order, a 64-bit count of elements and the elements themselves.
"""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from api.errors import ProductCodeError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


class CheckpointError(ProductCodeError):
    """A weights file that can't be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"weights file {path}: {reason}")


class _Storage(NamedTuple):
    """A flat run of elements that one or more tensors look into."""

    key: str
    dtype: np.dtype[Any]
    elements: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count elements, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


# All that a state dict of floats and counters names; anything else could run code on load.
_GLOBALS: dict[tuple[str, str], Callable[..., Any] | np.dtype[Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _Unpickler(pickle.Unpickler):
    """Resolves the few names above and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in weights") from None

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, elements, _ = pid
        return _Storage(key, dtype, elements)


def load(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name: float32 or int64, each an array of its own.

    Raises:
        CheckpointError: The file is absent, of another format, cut short or holds other objects.
    """
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(path, "no such file") from error
    except Exception as error:  # a hostile or broken pickle can raise any type
        raise CheckpointError(path, f"not a legacy torch state dict: {error}") from error


def _read(path: Path, file: BinaryIO) -> dict[str, np.ndarray]:
    if file.read(2) == b"PK":
        raise CheckpointError(
            path, "torch's zip format; save it with _use_new_zipfile_serialization=False"
        )
    file.seek(0)
    magic, protocol, system, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, protocol, system["little_endian"]) != (MAGIC, PROTOCOL, True):
        raise CheckpointError(path, f"magic {magic}, protocol {protocol}, system {system}")
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {key: _read_storage(file, wanted[key]) for key in keys}
    return {name: _view(tensor, storages) for name, tensor in tensors.items()}


def _read_storage(file: BinaryIO, storage: _Storage) -> np.ndarray:
    (elements,) = struct.unpack("<q", file.read(8))
    if elements != storage.elements:
        raise ValueError(f"storage {storage.key} has {elements} elements, not {storage.elements}")
    data = file.read(elements * storage.dtype.itemsize)
    return np.frombuffer(data, storage.dtype, elements)


def _view(tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    """A copy in C order of what a tensor sees; convolutions are stored channels last."""
    storage, offset, shape, strides = tensor
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if min((offset, *strides, *(n - 1 for n in shape))) < 0 or last >= storage.elements:
        raise ValueError(f"a tensor of shape {shape} reaches outside storage {storage.key}")
    flat = storages[storage.key][offset:]
    steps = tuple(stride * storage.dtype.itemsize for stride in strides)
    return as_strided(flat, shape, steps).copy()
