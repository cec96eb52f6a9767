"""TF-IDF and a linear classifier: what a model of words alone reaches on the same split."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from api.errors import ProductCodeError

MAX_FEATURES = 200_000
MAX_CHARACTERS = 1_000  # of a text; bounds time and memory where descriptions are whole pages
ROWS_A_REPEAT = 20_000  # an n-gram must occur in one text more for each of these
IMAGE_WEIGHT = 0.5  # of image features beside text, both of length 1
ANALYSERS: dict[str, dict[str, Any]] = {
    "baseline_words": {"analyzer": "word"},
    "baseline_characters": {"analyzer": "char_wb", "ngram_range": (3, 5)},
}

logger = logging.getLogger(__name__)


class BaselineError(ProductCodeError):
    """Rows that no classifier can be fitted on."""


def predictions(
    texts: Sequence[str], codes: np.ndarray, held_out: Sequence[str], seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """What each baseline says of the held-out texts.

    Args:
        texts: Texts to fit on.
        codes: Their product type codes, int (N,).
        held_out: Texts to classify.
        seed: Of the solver's order of rows.

    Yields:
        The baseline's name, and codes, int (held out,).

    Raises:
        BaselineError: The texts are of fewer than two codes, or all empty.
    """
    if len(np.unique(codes)) < 2 or not any(texts):  # noqa: PLR2004
        raise BaselineError(
            f"{len(texts)} texts of codes {np.unique(codes).tolist()}: a baseline is fitted on "
            "texts of two codes at least; bring more data, or set evaluate.baselines to false"
        )
    for name in ANALYSERS:
        logger.info("%s: fitting on %d texts", name, len(texts))
        model = baseline(name, len(texts), seed).fit(_cut(texts), codes)
        yield name, model.predict(_cut(held_out))


def baseline(name: str, rows: int, seed: int) -> Pipeline:
    """A key of `ANALYSERS` as an unfitted model, sized for so many rows."""
    vectoriser = TfidfVectorizer(
        **ANALYSERS[name],
        sublinear_tf=True,
        min_df=1 + rows // ROWS_A_REPEAT,
        max_features=MAX_FEATURES,
        dtype=np.float32,
    )
    return make_pipeline(vectoriser, LinearSVC(random_state=seed))


def with_images(
    seen: tuple[Sequence[str], np.ndarray],
    codes: np.ndarray,
    held_out: tuple[Sequence[str], np.ndarray],
    seed: int,
) -> tuple[str, np.ndarray]:
    """What a linear classifier over TF-IDF of characters beside image features says.

    Args:
        seen: N texts and their images' features, float32 (N, D), rows of length 1 or zero.
        codes: int (N,).
        held_out: The same of rows to classify.
        seed: Of the solver's order of rows.

    Returns:
        The baseline's name, and codes, int (held out,).
    """
    vectoriser, classifier = baseline("baseline_characters", len(codes), seed)
    found = [vectoriser.fit_transform(_cut(seen[0])), vectoriser.transform(_cut(held_out[0]))]
    joined = [
        sp.hstack([texts, IMAGE_WEIGHT * images], "csr")
        for texts, images in zip(found, (seen[1], held_out[1]), strict=True)
    ]
    return "baseline_characters_image", classifier.fit(joined[0], codes).predict(joined[1])


def _cut(texts: Sequence[str]) -> list[str]:
    return [text[:MAX_CHARACTERS] for text in texts]
