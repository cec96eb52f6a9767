"""Shares of the correction and temperatures, fitted on validation rows."""

import keras
import numpy as np
import pytest

from stages import calibration, fusion, heads
from stages.heads import Sizes
from stages.text_branches import NgramsParams

ROWS, CLASSES = 400, 3
LABELS = np.random.default_rng(0).integers(0, CLASSES, ROWS)
SIZES = Sizes(classes=CLASSES, features=4, sentence=0, tokens=8, vocabulary=10)


@pytest.fixture
def trunk() -> keras.Model:
    keras.utils.set_random_seed(0)
    text = NgramsParams(
        kind="ngrams", orders=(3,), words=False, regularisation=1, hidden=4, dropout=0
    )
    params = fusion.ConcatenateParams(kind="concatenate", hidden=4, dropout=0)
    return heads.trunk(text, params, SIZES, modality_dropout=0, seed=0)


def inputs(sharpness: float) -> dict[str, np.ndarray]:
    """Text scores that point at the label three times out of four, image scores that don't."""
    generator = np.random.default_rng(1)
    told = np.where(generator.random(ROWS) < 0.75, LABELS, (LABELS + 1) % CLASSES)
    return {
        "text": sharpness * np.eye(CLASSES, dtype=np.float32)[told],
        "features": generator.random((ROWS, 4)).astype(np.float32),
        "image_scores": np.zeros((ROWS, CLASSES), np.float32),
        "has_text": np.ones(ROWS, bool),
        "has_image": np.ones(ROWS, bool),
    }


def test_too_sure_scores_are_cooled_to_how_often_they_are_right(trunk: keras.Model) -> None:
    fitted = calibration.fit(trunk, inputs(sharpness=20), LABELS)
    logits = 20 * fitted.scales[fusion.BOTH]
    confidence = np.exp(logits) / (np.exp(logits) + CLASSES - 1)
    assert confidence == pytest.approx(0.75, abs=0.05)


def test_a_correction_that_misleads_is_shut_off(trunk: keras.Model) -> None:
    """One that always speaks for class 0 costs log-loss, however it is scaled."""
    layer = trunk.get_layer("fusion_correction")
    kernel, _ = layer.get_weights()
    layer.set_weights([kernel, np.array([30, 0, 0], np.float32)])
    fitted = calibration.fit(trunk, inputs(sharpness=2), LABELS)
    assert fitted.shares[fusion.BOTH] == 0
    before = np.asarray(trunk(inputs(2), training=False))
    calibration.set_shares(trunk, fitted.shares)
    after = np.asarray(trunk(inputs(2), training=False))
    assert (after.argmax(1) == LABELS).mean() > (before.argmax(1) == LABELS).mean()


def test_no_rows_leave_everything_as_it_is(trunk: keras.Model) -> None:
    none = {name: array[:0] for name, array in inputs(1).items()}
    fitted = calibration.fit(trunk, none, LABELS[:0])
    np.testing.assert_array_equal([fitted.shares, fitted.scales], np.ones((2, 3)))
