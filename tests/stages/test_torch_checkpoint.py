"""Weights in torch's legacy format are read as they are, and nothing in them can run."""

from pathlib import Path

import numpy as np
import pytest

from stages.torch_checkpoint import CheckpointError, load
from tests.stages.legacy_checkpoint import Checkpoint

FLOATS = np.arange(24, dtype=np.float32)
COUNTER = np.array([7], np.int64)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return path


def small() -> Checkpoint:
    return (
        Checkpoint()
        .add("plain", FLOATS, 0, (4, 6), (6, 1))
        .add("channels_last", FLOATS, 0, (2, 3, 2, 2), (1, 2, 12, 6))
        .add("tail", FLOATS, 20, (4,), (1,))
        .add("repeated", FLOATS, 5, (3, 2), (0, 1))
        .add("scalar", COUNTER, 0, (), ())
    )


def test_tensors_are_read_through_their_offsets_and_strides(tmp_path: Path) -> None:
    """Convolutions are stored channels last; views of one storage share its elements."""
    tensors = load(written(tmp_path, small().dump()))
    expected = {
        "plain": FLOATS.reshape(4, 6),
        "channels_last": FLOATS.reshape(2, 2, 3, 2).transpose(3, 2, 0, 1),
        "tail": FLOATS[20:],
        "repeated": np.array([[5, 6]] * 3, np.float32),
        "scalar": np.array(7),
    }
    assert list(tensors) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(tensors[name], values, strict=False)
        assert tensors[name].flags.c_contiguous
    assert tensors["plain"].dtype == np.float32
    assert tensors["scalar"].dtype == np.int64
    tensors["plain"][0, 0] = 99  # an array of its own, writable
    assert tensors["channels_last"][0, 0, 0, 0] == 0


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = small().dump()
    for length in range(0, len(whole), 5):
        with pytest.raises(CheckpointError, match=r"weights\.pth"):
            load(written(tmp_path, whole[:length]))


def test_other_globals_are_refused_before_they_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    call = b"X\x04\x00\x00\x00evilcposix\nsystem\n(" + f"V touch {mark}\n".encode() + b"tRs"
    with pytest.raises(CheckpointError, match=r"posix\.system is not allowed"):
        load(written(tmp_path, small().dump(extra=call)))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (5, 6), (6, 1)), (21, (4,), (1,)), (0, (2,), (24,)), (3, (2,), (-1,)), (-1, (1,), (1,))],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    """Strides are followed without checks by numpy: a wrong one would read foreign memory."""
    content = Checkpoint().add("bad", FLOATS, offset, shape, strides).dump()
    with pytest.raises(CheckpointError, match="reaches outside storage"):
        load(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04 and so on", "zip format"),
        (b"", "not a legacy torch state dict"),
        (b"\x89HDF\r\n\x1a\n", "not a legacy torch state dict"),
        (small().dump(little_endian=False), "system"),
        (Checkpoint().add("a", FLOATS.astype(np.float64), 0, (1,), (1,)).dump(), "DoubleStorage"),
    ],
)
def test_files_of_another_kind_are_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(CheckpointError, match=reason):
        load(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.pth: no such file"):
        load(tmp_path / "absent.pth")
