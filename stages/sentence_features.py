"""Features of many texts by a frozen sentence encoder, written straight to disk."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import onnxruntime as ort
from pydantic import Field
from tokenizers import Tokenizer

from stages import embedded, export, half_precision, sentence_encoder, sentence_pieces
from stages.embedded import Sentence, Split
from stages.image_features import open_session
from stages.params import Frozen
from stages.progress import Progress

BATCH = 16  # texts in one inference, of about the same length
OUTPUT = "sentence"


class NoSentenceParams(Frozen):
    """No pretrained text encoder: the text branch learns from the training rows alone."""

    encoder: Literal["none"]


class UseParams(Frozen):
    """Universal Sentence Encoder, multilingual; `tokens` is where texts are cut."""

    encoder: Literal["use_multilingual_v3"]
    tokens: int = Field(ge=8, le=512)


SentenceParams = Annotated[NoSentenceParams | UseParams, Field(discriminator="encoder")]


def write_encoder(params: SentenceParams, texts: Sequence[str], output: Path) -> Sentence:
    """Exports encoder and tokenizer, if the export gives what Keras gives.

    Args:
        params: Which encoder.
        texts: Real ones, for which the two are compared.
        output: data/embedded.

    Raises:
        SentenceEncoderError: The weights can't be had.
        ExportError: The export differs from the Keras model.
    """
    if isinstance(params, NoSentenceParams):
        return Sentence(encoder=params.encoder, tokens=0, features=0)
    tokenizer = sentence_pieces.tokenizer(params.tokens)
    model = sentence_encoder.build(params.tokens)
    ids = encode(tokenizer, texts or ["produit"])
    expected = model(ids, training=False).numpy()
    exported = half_precision.compress(sentence_encoder.to_onnx(params.tokens, OUTPUT))
    export.check_parity(exported, {"sentence_ids": ids}, expected)
    (output / embedded.SENTENCE_ENCODER).write_bytes(exported.SerializeToString(deterministic=True))
    (output / embedded.SENTENCE_TOKENS).write_text(tokenizer.to_str(), encoding="utf-8")
    return Sentence(encoder=params.encoder, tokens=params.tokens, features=expected.shape[1])


def write_features(output: Path, batches: Iterable[list[str]], split: Split, name: str) -> None:
    """Fills in the sentence features of a split.

    Args:
        output: data/embedded, with encoder and tokenizer.
        batches: The split's texts, in its order.
        split: New arrays of N rows.
        name: Of the split, for the log.
    """
    tokenizer = Tokenizer.from_file(str(output / embedded.SENTENCE_TOKENS))
    session = open_session(output / embedded.SENTENCE_ENCODER)
    start = 0
    with (
        Progress(total=len(split.labels), desc=f"{name} texts", unit=" products") as bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for texts in batches:
            ids = encode(tokenizer, texts)
            # Texts of about the same length together: the encoder stops at the longest one's end.
            order = np.argsort((ids > 0).sum(axis=1), kind="stable")
            parts = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
            found = pool.map(lambda rows, ids=ids: _run(session, ids[rows]), parts)
            for rows, features in zip(parts, found, strict=True):
                split.sentence[start + rows] = features
            bar.update(len(texts))
            start += len(texts)


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Token ids, int32 (N, tokens)."""
    return np.array([encoding.ids for encoding in tokenizer.encode_batch_fast(texts)], np.int32)


def _run(session: ort.InferenceSession, ids: np.ndarray) -> np.ndarray:
    features: np.ndarray = session.run([OUTPUT], {"sentence_ids": ids})[0]
    return features
