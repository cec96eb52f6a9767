"""A small data/embedded with real tokenizers and a real backbone; words and features tell."""

import json
from pathlib import Path

import keras
import numpy as np

from api import labels
from api.inputs import join_text
from stages import embedded, export, tokenization

WORDS = {10: "livre roman", 40: "manette console", 1280: "jouet poupee", 2583: "piscine filtre"}
CODES = sorted(WORDS)
SIZE, FEATURES, CHARACTERS, SUBWORDS, VOCABULARY = 32, 16, 48, 12, 300
SENTENCE = 24
PARAMS = {
    "text": {
        "kind": "ngrams",
        "orders": [3, 4],
        "words": True,
        "regularisation": 1.0,
        "hidden": 8,
        "dropout": 0.1,
    },
    "fusion": {"kind": "concatenate", "hidden": 8, "dropout": 0.1},
    "training": {
        "seed": 1,
        "epochs": 3,
        "batch_size": 16,
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "patience": 2,
        "class_weights": "balanced",
        "modality_dropout": 0.2,
        "precision": "float32",
        "devices": "one",
        "folds": 3,
        "image_regularisation": 1.0,
        "sentence_regularisation": 1.0,
    },
}
EXPORT = {"precision": "fp32", "calibration_images": 8, "gate_images": 8, "max_f1_drop": 0.005}
HEAD = dict(PARAMS)  # the sections that heads are made of
PARAMS["export"] = EXPORT
CONV1D = {"kind": "conv1d", "embedding": 8, "filters": 8, "width": 3, "dropout": 0.1}
LSTM = {"kind": "lstm", "embedding": 8, "units": 8, "dropout": 0.1}


def write(path: Path, rows: int = 96, views: int = 2, seed: int = 0, sentence: bool = True) -> Path:
    """Writes train (`rows`) and validation (a third of them) and returns the folder."""
    generator = np.random.default_rng(seed)
    path.mkdir(parents=True)
    texts = {name: _texts(generator, n) for name, n in (("train", rows), ("validation", rows // 3))}
    tokenizers = {
        "characters": tokenization.characters(CHARACTERS),
        "subwords": tokenization.subwords(texts["train"][1], VOCABULARY, SUBWORDS),
    }
    for name, tokenizer in tokenizers.items():
        (path / f"{name}.json").write_text(tokenizer.to_str())
    encoder = sentence_encoder()
    (path / embedded.SENTENCE_ENCODER).write_bytes(
        export.to_onnx(encoder, "sentence").SerializeToString(deterministic=True)
    )
    (path / embedded.SENTENCE_TOKENS).write_text(tokenizers["subwords"].to_str())
    for name, (classes, joined) in texts.items():
        shape = embedded.Shape(
            rows=len(classes),
            views=views if name == "train" else 1,
            features=FEATURES,
            characters=CHARACTERS,
            subwords=SUBWORDS,
            sentence=SENTENCE if sentence else 0,
        )
        split = embedded.create_split(path, name, shape)
        split.labels[:] = classes
        split.has_image[:] = generator.random(len(classes)) > 0.1
        noise = generator.random((len(classes), shape.views, FEATURES))
        split.features[:] = (noise + 0.5 * np.eye(FEATURES)[classes][:, None]) * split.has_image[
            :, None, None
        ]
        split.characters[:] = tokenization.encode(tokenizers["characters"], joined)
        split.subwords[:] = tokenization.encode(tokenizers["subwords"], joined)
        split.rows[:] = np.arange(len(classes)) + (0 if name == "train" else rows)
        if sentence:
            split.sentence[:] = encoder.predict(np.asarray(split.subwords, np.int32), verbose=0)
    labels.write(labels.ordered(CODES), path / embedded.LABELS)
    source = {"source": "sample", "synthetic": True, "files": {}}
    (path / embedded.SOURCE).write_text(json.dumps(source))
    (path / embedded.BACKBONE).write_bytes(backbone().SerializeToString(deterministic=True))
    meta = embedded.Meta(
        backbone="tiny",
        features=FEATURES,
        images={},
        resampling="bilinear",
        sentence=embedded.Sentence(
            encoder="tiny" if sentence else "none",
            tokens=SUBWORDS if sentence else 0,
            features=SENTENCE if sentence else 0,
        ),
        size=SIZE,
        views=views,
    )
    embedded.write_meta(path, meta)
    return path


def sentence_encoder() -> keras.Model:
    """Token ids to features of length 1: the mean of their embeddings."""
    keras.utils.set_random_seed(4)
    ids = keras.Input((SUBWORDS,), dtype="int32", name="sentence_ids")
    x = keras.layers.Embedding(VOCABULARY, SENTENCE)(ids)
    x = keras.layers.UnitNormalization()(keras.layers.GlobalAveragePooling1D()(x))
    return keras.Model(ids, x)


def backbone():
    """Pixels to features by one pooled convolution."""
    keras.utils.set_random_seed(3)
    pixels = keras.Input((SIZE, SIZE, 3), dtype="uint8", name="pixels")
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(FEATURES, 3, strides=4)(x)
    return export.to_onnx(keras.Model(pixels, keras.layers.GlobalMaxPooling2D()(x)), "features")


def _texts(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, list[str]]:
    classes = np.arange(rows) % len(CODES)
    joined = []
    for position in classes:
        word = generator.choice(WORDS[CODES[position]].split())
        noise = "".join(generator.choice(list("abcdef "), 12))
        joined.append(join_text(f"{word} {noise}", noise if generator.random() > 0.5 else None))
    joined[0] = ""
    return classes, joined
