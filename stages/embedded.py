"""data/embedded: features and token ids as memory-mapped arrays, with what made them.

Writer and reader stand side by side, so that one can't change without the other.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from api.errors import ProductCodeError
from stages.params import Frozen

BACKBONE, META = "backbone.onnx", "embedded.json"
CHARACTERS, SUBWORDS = "characters.json", "subwords.json"
SENTENCE_ENCODER, SENTENCE_TOKENS = "sentence.onnx", "sentence.json"
LABELS, SOURCE = "labels.json", "source.json"
SPLITS = ("train", "validation")
REMEDY = "run `dvc repro embed`"

_DTYPES: Mapping[str, type[np.generic]] = {
    "features": np.float16,
    "has_image": np.bool_,
    "characters": np.uint16,
    "subwords": np.uint16,
    "sentence": np.float16,
    "rows": np.int64,
    "labels": np.int32,
}


class EmbeddedError(ProductCodeError):
    """A data/embedded that is missing, unfinished, or doesn't agree with itself."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Sentence(Frozen):
    """How texts were embedded: encoder, tokens it reads, numbers it gives (0 for none)."""

    encoder: str
    tokens: int
    features: int


class Meta(Frozen):
    """embedded.json: how images were read, and per split how many had which outcome."""

    backbone: str
    features: int
    images: dict[str, dict[str, int]]
    resampling: Literal["bilinear", "bicubic"]
    sentence: "Sentence"
    size: int
    views: int


@dataclass(frozen=True)
class Shape:
    """Sizes of a split: rows, views of an image, its features, tokens, features of a text."""

    rows: int
    views: int
    features: int
    characters: int
    subwords: int
    sentence: int = 0

    def of(self, name: str) -> tuple[int, ...]:
        """The shape of one array."""
        inner = {
            "features": (self.views, self.features),
            "characters": (self.characters,),
            "subwords": (self.subwords,),
            "sentence": (self.sentence,),
        }
        return (self.rows, *inner.get(name, ()))


@dataclass(frozen=True)
class Split:
    """One split, memory-mapped; N rows in the order of its Parquet file.

    features: float16 (N, V, D), view 0 being the image as it is and zeros where there is none;
    has_image: bool (N,); characters: uint16 (N, Lc); subwords: uint16 (N, Ls); sentence: float16
    (N, E), E = 0 without an encoder; labels: int32 (N,), positions in labels.json; rows: int64
    (N,), the row indices of X.
    """

    features: np.ndarray
    has_image: np.ndarray
    characters: np.ndarray
    subwords: np.ndarray
    sentence: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def create_split(path: Path, name: str, shape: Shape) -> Split:
    """New arrays of zeros on disk, to be written into."""
    folder = path / name
    folder.mkdir(parents=True, exist_ok=True)
    return Split(
        **{
            array: np.lib.format.open_memmap(
                folder / f"{array}.npy", mode="w+", dtype=dtype, shape=shape.of(array)
            )
            for array, dtype in _DTYPES.items()
        }
    )


def read_split(path: Path, name: str) -> Split:
    """The arrays of one split, opened for reading.

    Args:
        path: data/embedded.
        name: One of `SPLITS`.

    Raises:
        EmbeddedError: An array is missing or broken, or doesn't fit the others.
    """
    meta = read_meta(path)
    split = Split(
        **{field.name: _open(path / name / f"{field.name}.npy") for field in fields(Split)}
    )
    for field in fields(Split):
        _check(path / name, field.name, split, meta)
    return split


def write_meta(path: Path, meta: Meta) -> None:
    """Writes embedded.json, last of all: without it nothing here can be read."""
    text = json.dumps(meta.model_dump(), indent=1, sort_keys=True)
    (path / META).write_text(text + "\n", encoding="utf-8")


def read_meta(path: Path) -> Meta:
    """Reads embedded.json.

    Raises:
        EmbeddedError: It is missing, as after an interrupted run, or not understood.
    """
    try:
        return Meta.model_validate_json((path / META).read_bytes())
    except FileNotFoundError as error:
        raise EmbeddedError(path, f"no {META}, so it was not finished; {REMEDY}") from error
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise EmbeddedError(path, f"{META} is not understood: {reason}; {REMEDY}") from error


def _open(file: Path) -> np.ndarray:
    try:
        array: np.ndarray[Any, Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EmbeddedError(file, f"can't be read: {error}; {REMEDY}") from error
    return array


def _check(folder: Path, name: str, split: Split, meta: Meta) -> None:
    """Holds one array against the number of labels, embedded.json and itself."""
    array: np.ndarray = getattr(split, name)
    views = meta.views if folder.name == "train" else 1
    shape = Shape(
        rows=split.labels.size,
        views=views,
        features=meta.features,
        characters=sum(split.characters.shape[1:2]),
        subwords=sum(split.subwords.shape[1:2]),
        sentence=meta.sentence.features,
    )
    dtype = np.dtype(_DTYPES[name])
    if (array.shape, array.dtype) != (shape.of(name), dtype):
        raise EmbeddedError(
            folder / f"{name}.npy",
            f"{array.dtype} {array.shape}, expected {dtype} {shape.of(name)}; {REMEDY}",
        )
