"""A stand-in for the predecessor's service: Keras `predict` of VGG16 and an LSTM, inline.

Inline means on the event loop, as it was: a request waits for all before it. Weights are random, as
speed does not depend on them. What it did besides is left out where it only made it slower: NLTK's
lemmas, and progress bars.
"""

import io
import os
import re
from typing import Annotated

import keras
import numpy as np
from fastapi import FastAPI, Form, HTTPException, UploadFile
from jose import JWTError, jwt
from keras import layers
from keras.applications.vgg16 import VGG16, preprocess_input

CLASSES, WORDS, VOCABULARY, SIDE = 27, 10, 10_000, 224
SHARES = (0.7, 0.3)
"""Weights of text and image in the sum."""


def create_app() -> FastAPI:
    """The application, with models loaded before the first request."""
    text, image = _lstm(), _vgg16()
    app = FastAPI()

    @app.get("/status")
    async def status() -> dict[str, str]:
        return {"status": "L'API fonctionne correctement"}

    @app.post("/predict")
    async def predict(
        token: str,
        designation: Annotated[str, Form()],
        image_file: Annotated[UploadFile, Form(alias="image")],
        description: Annotated[str, Form()] = "",
    ) -> dict[str, int]:
        _check(token)
        words = text.predict(_sequence(description or designation), verbose=0)
        pixels = image.predict(_pixels(await image_file.read()), verbose=0)
        return {"predicted": int(np.argmax(SHARES[0] * words + SHARES[1] * pixels))}

    return app


def _lstm() -> keras.Model:
    words = keras.Input((WORDS,))
    states = layers.LSTM(128)(layers.Embedding(VOCABULARY, 128)(words))
    return keras.Model(words, layers.Dense(CLASSES, "softmax")(states))


def _vgg16() -> keras.Model:
    backbone = VGG16(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    hidden = layers.Dense(256, "relu")(layers.Flatten()(backbone.output))
    hidden = layers.Dense(128, "relu")(hidden)
    return keras.Model(backbone.input, layers.Dense(CLASSES, "softmax")(hidden))


def _check(token: str) -> None:
    try:
        jwt.decode(token, os.environ["SECRET_KEY"], algorithms=["HS256"])
    except JWTError as error:
        raise HTTPException(401) from error


def _sequence(text: str) -> np.ndarray:
    """Ids of the first ten words, padded; float32 (1, 10)."""
    plain = re.sub("[^a-zA-Z]", " ", re.sub("<[^>]+>", " ", text)).lower()
    ids = [hash(word) % VOCABULARY for word in plain.split()[:WORDS]]
    return np.array([ids + [0] * (WORDS - len(ids))], np.float32)


def _pixels(data: bytes) -> np.ndarray:
    """One photo; float32 (1, 224, 224, 3)."""
    photo = keras.utils.load_img(io.BytesIO(data), target_size=(SIDE, SIDE))
    return preprocess_input(np.array([keras.utils.img_to_array(photo)]))
