"""Batches read from memory-mapped arrays."""

import numpy as np

from stages.batches import Batches

LABELS = np.arange(10, dtype=np.int32) % 3
INPUTS = {
    "features": np.arange(10 * 2 * 4, dtype=np.float16).reshape(10, 2, 4),
    "token_ids": np.arange(10, dtype=np.uint16)[:, None],
}
WEIGHTS = np.array([1, 2, 3], np.float32)


def batches(seed: int | None) -> Batches:
    return Batches(INPUTS, LABELS, 3, 4, WEIGHTS, seed)


def read(data: Batches) -> np.ndarray:
    return np.concatenate([batch[0]["token_ids"][:, 0] for batch in data])


def test_every_row_comes_once_an_epoch_with_its_own_label_and_weight() -> None:
    data = batches(seed=1)
    assert sorted(read(data)) == list(range(10))
    for inputs, one_hot, weights in data:
        labels = LABELS[inputs["token_ids"][:, 0]]
        np.testing.assert_array_equal(one_hot.argmax(axis=1), labels)
        np.testing.assert_array_equal(weights, WEIGHTS[labels])


def test_epochs_differ_and_repeat_from_the_same_seed() -> None:
    first, second = batches(seed=1), batches(seed=1)
    orders = []
    for data in (first, second):
        orders.append([read(data)])
        data.on_epoch_end()
        orders[-1].append(read(data))
    np.testing.assert_array_equal(orders[0], orders[1])
    assert orders[0][0].tolist() != orders[0][1].tolist()


def test_without_a_seed_rows_keep_their_order_and_view_0() -> None:
    data = batches(seed=None)
    assert read(data).tolist() == list(range(10))
    features = np.concatenate([batch[0]["features"] for batch in data])
    np.testing.assert_array_equal(features, INPUTS["features"][:, 0].astype(np.float32))


def test_types_are_those_the_model_takes() -> None:
    inputs = batches(seed=None)[0][0]
    assert (inputs["features"].dtype, inputs["token_ids"].dtype) == (np.float32, np.int32)
