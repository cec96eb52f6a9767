"""The bundle: a directory that holds everything needed to classify a product.

Writer and reader stand side by side, so that one can't change without the other.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from pydantic import ValidationError
from tokenizers import Tokenizer

from api.bundle_format import (
    FORMAT_VERSION,
    INPUTS,
    LABELS,
    META,
    MODEL,
    OUTPUT,
    TEXT_INPUTS,
    InputSpec,
    Meta,
    TextInput,
)
from api.errors import ProductCodeError
from api.inputs import ImageError, decode_image, join_text
from api.labels import Label, dumps, read


class BundleError(ProductCodeError):
    """A bundle that can't be served."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"bundle {path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Product:
    """A product as its seller describes it; what is missing is None or empty.

    `image` is the content of an image file.
    """

    designation: str | None = None
    description: str | None = None
    image: bytes | None = None


def write(
    path: Path,
    model: bytes,
    tokenizers: Mapping[str, str],
    labels: Sequence[Label],
    spec: InputSpec,
    source: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> None:
    """Writes a bundle; bundle.json comes last, so a half-written bundle is never loaded.

    Args:
        path: The directory; made if absent.
        model: A serialised ONNX model with the inputs `INPUTS`, the text inputs of `spec` and the
            output `OUTPUT`.
        tokenizers: Hugging Face tokenizers as JSON, with truncation and padding set, by file.
        labels: Classes in the order of the outputs.
        spec: What the model takes.
        source: Keys `source` and `synthetic` of the data it was trained on.
        parameters: The training parameters, to be shown and hashed.
    """
    path.mkdir(parents=True, exist_ok=True)
    contents = {MODEL: model, LABELS: dumps(labels).encode()}
    contents |= {name: tokenizer.encode() for name, tokenizer in tokenizers.items()}
    for name, content in contents.items():
        (path / name).write_bytes(content)
    canonical = json.dumps(parameters, sort_keys=True).encode()
    meta = Meta(
        input=spec,
        source=source["source"],
        synthetic=source["synthetic"],
        parameters=dict(parameters),
        parameters_sha256=hashlib.sha256(canonical).hexdigest(),
        files_sha256={name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    )
    text = json.dumps(meta.model_dump(), indent=1, sort_keys=True, ensure_ascii=False)
    (path / META).write_text(text + "\n", encoding="utf-8")


def version(path: Path) -> str:
    """The md5 that dvc.lock holds for a directory.

    Source: dvc-data's Tree: the md5 of the JSON list of each file's md5 and relative path.
    """
    files = sorted((file for file in path.rglob("*") if file.is_file()), key=lambda f: f.parts)
    entries = [
        {"md5": digest(file, "md5"), "relpath": file.relative_to(path).as_posix()} for file in files
    ]
    listing = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"


def load(path: Path, threads: int = 1) -> "Bundle":
    """Opens a bundle after checking it whole.

    Args:
        path: The bundle's directory.
        threads: Threads inside one inference; 0 takes every core.

    Raises:
        BundleError: A file is missing, was changed, or does not fit the others.
    """
    meta = _read_meta(path)
    labels = read(path / LABELS)
    tokenizers = {name: _open_tokenizer(path, text) for name, text in meta.input.texts.items()}
    session = _open_session(path, threads)
    _check_signature(path, session, meta.input, len(labels))
    return Bundle(path, version(path), labels, meta, tokenizers, session)


@dataclass(frozen=True)
class Bundle:
    """An open bundle; `version` is the md5 in dvc.lock. Safe to use from several threads."""

    path: Path
    version: str
    labels: list[Label]
    meta: Meta
    tokenizers: dict[str, Tokenizer]
    session: ort.InferenceSession

    @property
    def synthetic(self) -> bool:
        """Whether it was trained on generated products."""
        return self.meta.synthetic

    def encode(self, products: Sequence[Product], strict: bool = True) -> dict[str, np.ndarray]:
        """Model inputs of some products.

        Args:
            products: N products.
            strict: Whether an image that can't be used is an error; else it counts as missing.

        Returns:
            pixels uint8 (N, size, size, 3), has_image bool (N,), has_text bool (N,), and each text
            input int32 (N, tokens).

        Raises:
            ImageError: With `strict`, an image can't be used.
        """
        size = self.meta.input.size
        pixels = np.zeros((len(products), size, size, 3), np.uint8)
        has_image = np.zeros(len(products), np.bool_)
        for position, product in enumerate(products):
            has_image[position] = self._decode(product.image, pixels[position], strict)
        texts = [join_text(product.designation, product.description) for product in products]
        return {
            "pixels": pixels,
            "has_image": has_image,
            "has_text": np.array([bool(text) for text in texts], np.bool_),
            **{name: self._tokenise(name, texts) for name in self.tokenizers},
        }

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities, float32 (N, classes), of N encoded products."""
        outputs: np.ndarray = self.session.run([OUTPUT], dict(inputs))[0]
        return outputs

    def probabilities(self, products: Sequence[Product], strict: bool = True) -> np.ndarray:
        """Probabilities, float32 (N, classes), of N products; `strict` as in `encode`."""
        return self.run(self.encode(products, strict))

    def _decode(self, image: bytes | None, out: np.ndarray, strict: bool) -> bool:
        if image is None:
            return False
        try:
            out[:] = decode_image(image, self.meta.input.size, self.meta.input.resampling)
        except ImageError:
            if strict:
                raise
            return False
        return True

    def _tokenise(self, name: str, texts: list[str]) -> np.ndarray:
        encodings = self.tokenizers[name].encode_batch_fast(texts)
        ids = np.array([encoding.ids for encoding in encodings], np.int32)
        return ids.reshape(len(texts), self.meta.input.texts[name].tokens)


def digest(file: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(
            stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


def _read_meta(path: Path) -> Meta:
    """bundle.json, once every file is found to be the one it was written with."""
    _require(path, (META,))
    try:
        meta = Meta.model_validate_json((path / META).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or META
        raise BundleError(
            path,
            f"{META}: {field}: {first['msg']}; format {FORMAT_VERSION} is read here: "
            "check out a bundle of that format, or train again",
        ) from error
    named = {name: text.tokenizer for name, text in meta.input.texts.items()}
    if "token_ids" not in named or named.items() - TEXT_INPUTS.items():
        raise BundleError(path, f"{META} names the text inputs {named}, expected {TEXT_INPUTS}")
    _require(path, meta.input.files)
    for name in meta.input.files:
        if digest(path / name, "sha256") != meta.files_sha256.get(name):
            raise BundleError(path, f"{name} is not the file {META} describes; run `dvc checkout`")
    return meta


def _require(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise BundleError(path, f"no {', '.join(missing)}; run `dvc pull` or `make repro`")


def _open_tokenizer(path: Path, text: TextInput) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path / text.tokenizer))
    size = tokenizer.get_vocab_size()
    if size != text.vocabulary:
        raise BundleError(
            path, f"{text.tokenizer} knows {size} tokens, the model {text.vocabulary}"
        )
    lengths = [(setting or {}).get(key) for setting, key in _lengths(tokenizer)]
    if lengths != [text.tokens, text.tokens]:
        raise BundleError(
            path,
            f"{text.tokenizer} pads and truncates to {lengths}, the model takes {text.tokens}",
        )
    return tokenizer


def _lengths(tokenizer: Tokenizer) -> list[tuple[dict[str, Any] | None, str]]:
    return [(tokenizer.padding, "length"), (tokenizer.truncation, "max_length")]


def _open_session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path / MODEL), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base but this one
        raise BundleError(path, f"{MODEL} can't be opened: {error}") from error


def _check_signature(
    path: Path, session: ort.InferenceSession, spec: InputSpec, classes: int
) -> None:
    found = {node.name: node.type for node in session.get_inputs()}
    expected = INPUTS | dict.fromkeys(spec.texts, "tensor(int32)")
    if found != expected:
        raise BundleError(path, f"{MODEL} takes {found}, expected {expected}")
    shapes = {node.name: node.shape[1:] for node in session.get_inputs()}
    said = {"pixels": [spec.size, spec.size, 3]}
    said |= {name: [text.tokens] for name, text in spec.texts.items()}
    if any(shapes[name] != shape for name, shape in said.items()):
        raise BundleError(path, f"{MODEL} takes shapes {shapes}, {META} says {said}")
    outputs = {node.name: node.shape for node in session.get_outputs()}
    if OUTPUT not in outputs or outputs[OUTPUT][-1] != classes:
        raise BundleError(path, f"{MODEL} gives {outputs}, {LABELS} has {classes} labels")
