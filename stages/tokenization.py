"""Tokenizers: from a product's text to token ids of one fixed length.

Both see text without case and accents and as bytes, so that no character is unknown to them. The
tokens of `_SPECIAL` come first and have the same ids in both.
"""

import json
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import Field
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers
from tokenizers.pre_tokenizers import ByteLevel

from api.inputs import FIELD_SEPARATOR
from stages.params import Frozen

PADDING, SEPARATOR, UNKNOWN = 0, 1, 2  # token ids
# The two names hold a space, which byte-level tokens never do: no text can spell them.
_SPECIAL = ("<no token>", FIELD_SEPARATOR, "<unknown token>")
_BYTES = 256
_MIN_FREQUENCY = 2


class TokenParams(Frozen):
    """Lengths in tokens of the two encodings of a text, and the size of the subword vocabulary.

    Ids are stored in 16 bits.
    """

    characters: int = Field(ge=8, le=4096)
    subwords: int = Field(ge=4, le=1024)
    vocabulary: int = Field(ge=len(_SPECIAL) + _BYTES, le=65_535)


def characters(length: int) -> Tokenizer:
    """A tokenizer of `length` bytes; a letter without its accents is one byte."""
    symbols = (*_SPECIAL, *sorted(ByteLevel.alphabet()))
    vocabulary = {symbol: position for position, symbol in enumerate(symbols)}
    return _assemble(models.BPE(vocab=vocabulary, merges=[]), length, words=False)


def subwords(texts: Iterable[str], vocabulary: int, length: int) -> Tokenizer:
    """A byte-pair encoding of `length` tokens, learnt from texts: training rows and no others.

    Args:
        texts: Joined texts; pairs are not learnt across the line between title and description.
        vocabulary: Tokens at most; little text gives fewer.
        length: Tokens that every text is cut or padded to.
    """
    learner = _assemble(models.BPE(), length, words=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    fields = (field for text in texts for field in text.split(FIELD_SEPARATOR))
    learner.train_from_iterator(fields, trainer)
    learnt = json.loads(learner.to_str())["model"]
    merges = [tuple(pair) for pair in learnt["merges"]]
    # Built anew: training makes every special token one that a text can spell out.
    return _assemble(models.BPE(vocab=learnt["vocab"], merges=merges), length, words=True)


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Token ids, uint16 (N, length), of N joined texts."""
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return np.array([encoding.ids for encoding in encodings], np.uint16)


def _assemble(model: models.BPE, length: int, words: bool) -> Tokenizer:
    """A tokenizer of bytes around a model; `words` keeps tokens within one word."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents()]
    )
    # A space before the first word makes it the same token there as in the middle of a text.
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True, use_regex=words)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(FIELD_SEPARATOR, normalized=False, special=True)])
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=PADDING, pad_token=_SPECIAL[PADDING])
    return tokenizer
