"""Hashed n-grams: against scikit-learn's TF-IDF, and in the graph as in the sparse matrix."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from stages import ngrams, tokenization

LENGTH = 80
TOKENIZER = tokenization.characters(LENGTH)
HASHING = ngrams.NgramHash(ngrams.letters(TOKENIZER.get_vocab()), (3, 4))


def encode(texts: list[str]) -> np.ndarray:
    return tokenization.encode(TOKENIZER, texts)


TEXTS = ["lot de 3 lampes lampes", "piscine gonflable", "lampe de bureau\nlampe led led led", "le"]


def test_similarities_are_those_of_scikit_learns_character_ngrams() -> None:
    """Same TF-IDF geometry as `char_wb` plus whole words, up to hash collisions."""
    matrix = ngrams.counts(encode(TEXTS), HASHING)
    ours = ngrams.weigh(matrix, ngrams.inverse_document_frequency(matrix))

    def analyse(text: str) -> list[str]:
        words = text.replace("\n", " ").split()
        padded = [f" {word} " for word in words]
        grams = [p[i : i + n] for p in padded for n in (3, 4) for i in range(len(p) - n + 1)]
        return grams + [f"<{word}>" for word in words]

    theirs = TfidfVectorizer(analyzer=analyse, sublinear_tf=True).fit_transform(TEXTS)
    np.testing.assert_allclose((ours @ ours.T).toarray(), (theirs @ theirs.T).toarray(), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=120), min_size=1, max_size=6))
def test_the_graph_scores_as_the_matrix_does(texts: list[str]) -> None:
    """Whatever the text, the layer gives what the linear model gives on the TF-IDF matrix."""
    generator = np.random.default_rng(0)
    ids = encode(texts)
    counts = ngrams.counts(ids, HASHING)
    idf = ngrams.inverse_document_frequency(counts)
    weights = np.zeros((ngrams.BUCKETS, 3), np.float32)
    used = np.unique(counts.indices)
    weights[used] = generator.normal(size=(used.size, 3))
    bias = np.array([0.5, -1, 2], np.float32)
    expected = ngrams.weigh(counts, idf) @ weights + bias
    layer = ngrams.NgramLinear("linear", idf, weights, bias)
    scores = np.asarray(layer(HASHING(ids.astype(np.int32))))
    half_step = np.abs(weights).max(axis=1) / 254  # the table holds 8 bits a weight
    allowed = ngrams.weigh(counts, idf) @ half_step + 1e-4
    assert (np.abs(scores - expected) <= allowed[:, None]).all()


def test_case_accents_and_punctuation_change_nothing() -> None:
    first, second = ngrams.counts(encode(["Café, crème!", "cafe creme"]), HASHING)
    assert (first != second).nnz == 0


def test_no_ngram_spans_two_words() -> None:
    joined, apart = ngrams.counts(encode(["abcd", "ab cd"]), HASHING)
    assert joined.multiply(apart).nnz == 2  # " ab" and "cd "


@pytest.mark.parametrize("text", ["", "\n", " .,; ", "é", "a" * 500, "\U0001f600 日本"])
def test_odd_texts_give_finite_weights(text: str) -> None:
    matrix = ngrams.counts(encode([text, "mot"]), HASHING)
    weighed = ngrams.weigh(matrix, ngrams.inverse_document_frequency(matrix))
    assert np.isfinite(weighed.data).all()
    assert matrix.shape == (2, ngrams.BUCKETS)


def test_counts_are_sublinear() -> None:
    once, thrice = ngrams.counts(encode(["mot", "mot mot mot"]), HASHING)
    np.testing.assert_allclose(thrice.data, once.data * (1 + np.log(3)), rtol=1e-6)


WORDS = ngrams.WordHash(ngrams.letters(TOKENIZER.get_vocab()))


def test_words_are_those_of_scikit_learn_with_pairs_and_the_titles_words_again() -> None:
    """Same TF-IDF geometry as words and pairs of words, and title words under another name."""
    texts = [*TEXTS, "table basse table basse\nen bois", "table\nbasse"]
    matrix = ngrams.counts(encode(texts), WORDS)
    ours = ngrams.weigh(matrix, ngrams.inverse_document_frequency(matrix))

    def analyse(text: str) -> list[str]:
        words = text.replace("\n", " ").split()
        pairs = [" ".join(pair) for pair in pairwise(words)]
        return words + pairs + [f"title {word}" for word in text.partition("\n")[0].split()]

    theirs = TfidfVectorizer(analyzer=analyse, sublinear_tf=True).fit_transform(texts)
    np.testing.assert_allclose((ours @ ours.T).toarray(), (theirs @ theirs.T).toarray(), atol=1e-6)


@pytest.mark.parametrize(
    "text", ["", "\n", "\n\n", " .,; ", "\nrien", "a" * 500, "\U0001f600 日本"]
)
def test_odd_texts_give_finite_weights_of_words(text: str) -> None:
    matrix = ngrams.counts(encode([text, "mot"]), WORDS)
    weighed = ngrams.weigh(matrix, ngrams.inverse_document_frequency(matrix))
    assert np.isfinite(weighed.data).all()


def test_only_the_first_words_count() -> None:
    """Words beyond the limit change nothing, however long the text."""
    tokenizer = tokenization.characters(2_000)
    hashing = ngrams.WordHash(ngrams.letters(tokenizer.get_vocab()))
    start = " ".join(f"m{number}" for number in range(ngrams.WORDS))
    ids = tokenization.encode(tokenizer, [start, start + " encore autre chose"])
    first, second = ngrams.counts(ids, hashing)
    assert (first != second).nnz == 0
