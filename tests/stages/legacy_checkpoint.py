"""Writes torch's legacy format by hand, opcode by opcode: torch is not installed here."""

import pickle
import struct
from collections.abc import Sequence

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS = {"float32": b"FloatStorage", "int64": b"LongStorage", "float64": b"DoubleStorage"}


class Checkpoint:
    """Storages, and tensors that look into them."""

    def __init__(self) -> None:
        self.storages: dict[str, np.ndarray] = {}
        self.tensors = b""

    def add(
        self,
        name: str,
        storage: np.ndarray,
        offset: int,
        shape: Sequence[int],
        strides: Sequence[int],
    ) -> "Checkpoint":
        """One more tensor; a storage given twice is written once."""
        key = str(id(storage))
        self.storages[key] = storage
        self.tensors += _plain(name) + _tensor(key, storage, offset, shape, strides) + b"s"
        return self

    def dump(self, little_endian: bool = True, extra: bytes = b"") -> bytes:
        """The file; `extra` are opcodes of one more entry of the state dict."""
        system = {"protocol_version": PROTOCOL, "little_endian": little_endian, "type_sizes": {}}
        heads = [pickle.dumps(value, protocol=2) for value in (MAGIC, PROTOCOL, system)]
        state = b"\x80\x02ccollections\nOrderedDict\n)R" + self.tensors + extra + b"."
        keys = sorted(self.storages)
        parts = [*heads, state, pickle.dumps(keys, protocol=2)]
        parts += [
            struct.pack("<q", self.storages[key].size) + self.storages[key].tobytes()
            for key in keys
        ]
        return b"".join(parts)


def _plain(value: object) -> bytes:
    """Opcodes that push a value, without the header and the stop of a whole pickle."""
    return pickle.dumps(value, protocol=2)[2:-1]


def _tensor(
    key: str, storage: np.ndarray, offset: int, shape: Sequence[int], strides: Sequence[int]
) -> bytes:
    reference = (
        b"(" + _plain("storage") + b"ctorch\n" + KINDS[storage.dtype.name] + b"\n"
        + _plain(key) + _plain("cpu") + _plain(storage.size) + b"NtQ"
    )  # fmt: skip
    view = _plain(offset) + _plain(tuple(shape)) + _plain(tuple(strides))
    hooks = b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + reference + view + hooks + b"tR"
