"""Fusion: weights by what a row has, and what missing modalities leave."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from stages import fusion
from stages.fusion import Branch

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 4, 400)
SHARP = 3 * np.eye(4, dtype=np.float32)[LABELS] + GENERATOR.normal(size=(400, 4)).astype(np.float32)
NOISE = GENERATOR.normal(size=(400, 4)).astype(np.float32)


def loss(scores: np.ndarray) -> float:
    return float(-log_softmax(scores, axis=1)[np.arange(len(LABELS)), LABELS].mean())


def test_scores_that_tell_nothing_weigh_next_to_nothing() -> None:
    sharp, noise = fusion.fit_weights([SHARP, NOISE], LABELS)
    assert sharp > 0.5
    assert noise < 0.2


def test_fitted_weights_are_a_minimum_of_the_log_loss() -> None:
    weights = fusion.fit_weights([SHARP, NOISE], LABELS)
    best = loss(weights[0] * SHARP + weights[1] * NOISE)
    for step in ([0.1, 0], [-0.1, 0], [0, 0.1]):
        moved = weights + step
        assert best <= loss(moved[0] * SHARP + moved[1] * NOISE) + 1e-6


def test_no_rows_leave_weights_of_one() -> None:
    empty = np.zeros((0, 4), np.float32)
    np.testing.assert_array_equal(fusion.fit_weights([empty], np.zeros(0, int)), [1.0])


@pytest.mark.parametrize(
    ("has_text", "has_image", "expected"),
    [
        (True, True, [1, 0, 0]),
        (True, False, [0, 1, 0]),
        (False, True, [0, 0, 1]),
        (False, False, [0, 0, 0]),
    ],
)
def test_states(has_text: bool, has_image: bool, expected: list[int]) -> None:
    state = fusion.states(np.array([has_text]), np.array([has_image]))
    np.testing.assert_array_equal(np.asarray(state)[0], expected)


def test_a_missing_modality_has_no_say() -> None:
    """Text only gives the text's own ranking, whatever stands in the image's scores."""
    layer = fusion.WeightedScores(["text", "image"], trainable=False)
    layer.weights_by_state.assign(np.array([[2, 1], [3, 9], [9, 4]], np.float32))
    state = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32)
    text, image = np.ones((4, 2), np.float32), np.full((4, 2), 10, np.float32)
    fused = np.asarray(layer([text, image, state]))
    np.testing.assert_allclose(fused[:, 0], [12, 3, 40, 0])


def test_weighing_arrays_gives_what_the_layer_gives() -> None:
    has_text, has_image = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    layer = fusion.WeightedScores(["text", "text", "image"], trainable=False)
    weights = fusion.presence(layer.modalities) * GENERATOR.random((3, 3)).astype(np.float32)
    layer.weights_by_state.assign(weights)
    scores = list(GENERATOR.normal(size=(3, 4, 5)).astype(np.float32))
    expected = np.asarray(layer([*scores, np.asarray(fusion.states(has_text, has_image))]))
    np.testing.assert_allclose(
        fusion.weigh(scores, weights, has_text, has_image), expected, atol=1e-6
    )


def test_weights_by_state_are_those_of_the_branches_present() -> None:
    scores = [SHARP, NOISE, SHARP]
    weights = fusion.fit_weights_by_state(scores, ["text", "text", "image"], LABELS)
    np.testing.assert_array_equal(weights == 0, [[0, 0, 0], [0, 0, 1], [1, 1, 0]])
    assert weights[fusion.TEXT_ONLY, 0] > weights[fusion.TEXT_ONLY, 1]


def test_modality_dropout_takes_one_of_two_and_never_the_only_one() -> None:
    layer = fusion.ModalityDropout(0.5, seed=1)
    has_text = np.ones(2000, bool)
    has_image = np.arange(2000) % 2 == 0
    text, image = (np.asarray(mask) for mask in layer([has_text, has_image], training=True))
    assert text[~has_image].all()
    assert (text | image).all()
    both = has_image
    assert 0.2 < (~text[both]).mean() < 0.3
    assert 0.2 < (~image[both]).mean() < 0.3
    untouched = layer([has_text, has_image], training=False)
    np.testing.assert_array_equal(np.asarray(untouched[1]), has_image)


def test_concatenation_starts_from_the_weighted_scores() -> None:
    """The correction's last layer is zero at first: before training nothing is corrected."""
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((3,)) for _ in range(3)]
    hidden = keras.layers.Dense(5)(inputs[0])
    params = fusion.ConcatenateParams(kind="concatenate", hidden=4, dropout=0.1)
    fused = fusion.combine(
        params,
        [Branch("text", hidden, inputs[0]), Branch("image", hidden, inputs[1])],
        inputs[2],
    )
    model = keras.Model(inputs, fused)
    text, image = GENERATOR.normal(size=(2, 6, 3)).astype(np.float32)
    state = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
    expected = text * (state[:, :2].sum(1, keepdims=True)) + image * (
        state[:, [0, 2]].sum(1, keepdims=True)
    )
    np.testing.assert_allclose(model.predict_on_batch([text, image, state]), expected, atol=1e-5)
