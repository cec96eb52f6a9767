"""Texts become token ids of one length, the same in every process."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from api.inputs import join_text
from stages import tokenization
from stages.tokenization import PADDING, SEPARATOR, UNKNOWN, TokenParams, encode

ROOT = Path(__file__).parents[2]
TEXTS = [
    join_text("Jeu Nintendo Switch", "Un très bon jeu, état neuf"),
    join_text("Console Nintendo", None),
    join_text("Piscine tubulaire", "Piscine hors sol, filtre à sable"),
] * 4
CHARACTERS = tokenization.characters(128)
SUBWORDS = tokenization.subwords(TEXTS, 400, 24)
BOTH = pytest.mark.parametrize("tokenizer", [CHARACTERS, SUBWORDS], ids=["characters", "subwords"])


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids without the padding."""
    return [int(token) for token in encode(tokenizer, [text])[0] if token != PADDING]


@BOTH
def test_title_and_description_are_kept_apart_by_one_token(tokenizer: Tokenizer) -> None:
    joined = ids(tokenizer, join_text("Jeu", "Piscine"))
    assert joined == [*ids(tokenizer, "Jeu"), SEPARATOR, *ids(tokenizer, "Piscine")]
    assert ids(tokenizer, join_text(None, "Jeu")) == [SEPARATOR, *ids(tokenizer, "Jeu")]


@BOTH
def test_case_accents_and_compatibility_forms_make_no_difference(tokenizer: Tokenizer) -> None:
    assert ids(tokenizer, "ÉTÉ ﬁn №５") == ids(tokenizer, "ete fin no5")


@BOTH
def test_an_empty_text_is_all_padding(tokenizer: Tokenizer) -> None:
    assert not encode(tokenizer, [""]).any()


@BOTH
def test_long_texts_are_cut_and_short_ones_padded(tokenizer: Tokenizer) -> None:
    length = tokenizer.padding["length"]
    rows = encode(tokenizer, ["a", "a b " * 500])
    assert (rows.shape, rows.dtype) == ((2, length), np.uint16)
    assert (rows[0] == PADDING).sum() > length / 2
    assert (rows[1] != PADDING).all()


@BOTH
@pytest.mark.parametrize("name", ["<no token>", "<unknown token>", "[PAD]", "Ċ"])
def test_no_text_can_spell_a_special_token(tokenizer: Tokenizer, name: str) -> None:
    rows = ids(tokenizer, f"a {name} b")
    assert not {SEPARATOR, UNKNOWN} & set(rows)
    assert len(rows) > 3


@BOTH
@given(text=st.text(max_size=40))
def test_any_text_is_encoded_without_unknown_tokens(tokenizer: Tokenizer, text: str) -> None:
    row = encode(tokenizer, [join_text(text, text)])[0]
    assert len(row) == tokenizer.padding["length"]
    assert UNKNOWN not in row
    assert row.max(initial=0) < tokenizer.get_vocab_size()


@given(text=st.text(st.characters(max_codepoint=0x52F), max_size=12))
def test_characters_lose_nothing_but_case_and_accents(text: str) -> None:
    """Over the European alphabets."""
    title = join_text(text, None)
    lower = "".join(char.lower() for char in unicodedata.normalize("NFKD", title))
    folded = unicodedata.normalize("NFKD", lower)
    plain = "".join(char for char in folded if not unicodedata.category(char).startswith("M"))
    decoded = CHARACTERS.decode(ids(CHARACTERS, title), skip_special_tokens=False)
    assert decoded.strip() == plain.strip()


def test_ids_of_characters_are_three_specials_and_256_bytes() -> None:
    assert CHARACTERS.get_vocab_size() == 3 + 256
    assert [CHARACTERS.token_to_id(token) for token in ("<no token>", "\n", "<unknown token>")] == [
        PADDING,
        SEPARATOR,
        UNKNOWN,
    ]


def test_subwords_learn_frequent_words_and_keep_to_their_vocabulary() -> None:
    assert len(ids(SUBWORDS, "nintendo")) == 1
    assert ids(SUBWORDS, "jeu nintendo")[1:] == ids(SUBWORDS, "nintendo")
    assert len(ids(SUBWORDS, "aquarium")) > 1
    many = [f"mot{number}x autre{number % 7}" for number in range(900)] * 2
    assert tokenization.subwords(many, 300, 8).get_vocab_size() == 300
    assert SUBWORDS.get_vocab_size() <= 400


def test_a_saved_tokenizer_is_the_same_tokenizer() -> None:
    for tokenizer in (CHARACTERS, SUBWORDS):
        again = Tokenizer.from_str(tokenizer.to_str())
        assert again.to_str() == tokenizer.to_str()
        np.testing.assert_array_equal(encode(again, TEXTS), encode(tokenizer, TEXTS))


def test_two_processes_learn_the_same_bytes() -> None:
    """Whatever the seed of Python's hashes and the number of threads."""
    program = (
        "from stages.tokenization import subwords\n"
        "texts = [f'mot{n % 97} autre{n % 89} fin{n % 13}\\nligne {n % 31}' for n in range(3000)]\n"
        "print(subwords(texts, 700, 16).to_str())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "PYTHONHASHSEED": str(seed),
                "TOKENIZERS_PARALLELISM": parallel,
            },
            capture_output=True,
            check=True,
        ).stdout
        for seed, parallel in enumerate(["true", "false"])
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    "change", [{"characters": 0}, {"subwords": 5000}, {"vocabulary": 258}, {"vocabulary": 65_536}]
)
def test_lengths_and_vocabulary_are_bounded(change: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        TokenParams.model_validate({"characters": 640, "subwords": 64, "vocabulary": 8000} | change)
