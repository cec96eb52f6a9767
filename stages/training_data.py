"""data/embedded as training reads it: splits, labels, tokenizers, encoders, sizes of the head."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tokenizers import Tokenizer

from api.labels import Label
from api.labels import read as read_labels
from stages import embedded
from stages.batches import Inputs
from stages.embedded import Meta, Split
from stages.heads import Sizes
from stages.text_branches import TextParams, tokens_of


@dataclass(frozen=True)
class TrainingData:
    """An open data/embedded; `tokens` names the encoding that the text branch reads."""

    folder: Path
    meta: Meta
    splits: tuple[Split, Split]
    labels: list[Label]
    tokens: str
    tokenizer: Tokenizer

    @classmethod
    def read(cls, folder: Path, params: TextParams) -> "TrainingData":
        """Opens data/embedded for a text branch.

        Raises:
            EmbeddedError: It is missing, unfinished, or doesn't agree with itself.
        """
        train, validation = (embedded.read_split(folder, name) for name in embedded.SPLITS)
        tokens = tokens_of(params)
        return cls(
            folder,
            embedded.read_meta(folder),
            (train, validation),
            read_labels(folder / embedded.LABELS),
            tokens,
            Tokenizer.from_file(str(folder / f"{tokens}.json")),
        )

    @property
    def sizes(self) -> Sizes:
        """Of the head to train."""
        train = self.splits[0]
        return Sizes(
            classes=len(self.labels),
            features=train.features.shape[-1],
            sentence=train.sentence.shape[1],
            tokens=getattr(train, self.tokens).shape[1],
            vocabulary=self.tokenizer.get_vocab_size(),
        )

    @property
    def source(self) -> dict[str, Any]:
        """source.json: where the products come from, and whether they are synthetic."""
        content: dict[str, Any] = json.loads((self.folder / embedded.SOURCE).read_text("utf-8"))
        return content

    def encoder(self, name: str) -> onnx.ModelProto:
        """A frozen encoder by its file name."""
        return onnx.load(self.folder / name)

    def sentence_tokenizer(self) -> Tokenizer:
        """The tokenizer that the sentence encoder reads."""
        return Tokenizer.from_file(str(self.folder / embedded.SENTENCE_TOKENS))

    def head_inputs(self, split: Split, rows: slice | np.ndarray) -> Inputs:
        """What the served head takes of some rows, view 0."""
        tokens = np.asarray(getattr(split, self.tokens)[rows], np.int32)
        inputs = {
            "features": np.asarray(split.features[rows, 0], np.float32),
            "has_image": np.asarray(split.has_image[rows]),
            "token_ids": tokens,
            "has_text": tokens[:, 0] > 0,
        }
        if split.sentence.shape[1]:
            inputs["sentence"] = np.asarray(split.sentence[rows], np.float32)
        return inputs
