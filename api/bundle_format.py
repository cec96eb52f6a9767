"""What a bundle is made of: its files, what its model takes and gives, and bundle.json."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from tokenizers import Tokenizer

FORMAT_VERSION: Literal[2] = 2
MODEL, LABELS, META = "model.onnx", "labels.json", "bundle.json"
TOKENIZER, SENTENCE_TOKENIZER = "tokenizer.json", "sentence.json"
INPUTS = {
    "pixels": "tensor(uint8)",
    "has_image": "tensor(bool)",
    "has_text": "tensor(bool)",
}
TEXT_INPUTS = {"token_ids": TOKENIZER, "sentence_ids": SENTENCE_TOKENIZER}
OUTPUT = "probabilities"


class TextInput(BaseModel):
    """One encoding of the text: file of its tokenizer, tokens a text, token ids there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokenizer: str
    tokens: int
    vocabulary: int

    @classmethod
    def of(cls, name: str, tokenizer: Tokenizer) -> "TextInput":
        """As a tokenizer that cuts and pads has it, to be written under that name."""
        return cls(
            tokenizer=name,
            tokens=(tokenizer.padding or {"length": 0})["length"],
            vocabulary=tokenizer.get_vocab_size(),
        )


class InputSpec(BaseModel):
    """What the model takes: image side in pixels, resampling, text by the name of the input.

    Text inputs are some of `TEXT_INPUTS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    resampling: Literal["bilinear", "bicubic"]
    texts: dict[str, TextInput]

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of such a bundle but bundle.json."""
        return (MODEL, LABELS, *(text.tokenizer for text in self.texts.values()))


class Meta(BaseModel):
    """bundle.json: no timestamp and no revision, so that the same training gives the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[2] = FORMAT_VERSION
    input: InputSpec
    source: str
    synthetic: bool
    parameters: dict[str, Any]
    parameters_sha256: str
    files_sha256: dict[str, str]
