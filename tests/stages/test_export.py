"""The canonical form of exported models."""

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops

from stages import export


def head(names: str) -> keras.Model:
    """The same graph under other layer names."""
    keras.utils.set_random_seed(5)
    features = keras.Input((6,), name="features")
    ids = keras.Input((4,), dtype="int32", name="token_ids")
    embedded = layers.Embedding(10, 3, name=f"{names}_a")(ids)
    joined = layers.Concatenate()([layers.LSTM(3, name=f"{names}_b")(embedded), features])
    outputs = layers.Dense(2, "softmax", name=f"{names}_c")(joined)
    return keras.Model({"features": features, "token_ids": ids}, outputs)


def rows(count: int = 5) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "features": generator.random((count, 6), np.float32),
        "token_ids": generator.integers(0, 10, (count, 4), np.int32),
    }


def test_the_same_network_under_other_names_gives_the_same_bytes() -> None:
    first, second = (export.to_onnx(head(names), "probabilities") for names in ("x", "other"))
    assert first.SerializeToString() == second.SerializeToString()


def test_the_canonical_form_of_a_canonical_model_is_itself() -> None:
    model = export.to_onnx(head("x"), "probabilities")
    before = model.SerializeToString(deterministic=True)
    assert export.canonical(model).SerializeToString(deterministic=True) == before


def test_any_batch_size_gives_what_keras_gives() -> None:
    model, keras_model = export.to_onnx(head("x"), "probabilities"), head("x")
    for count in (1, 7):
        expected = keras_model.predict_on_batch(rows(count))
        assert export.check_parity(model, rows(count), expected) < 1e-5


def test_a_wrong_export_is_refused() -> None:
    model, expected = export.to_onnx(head("x"), "probabilities"), head("x").predict_on_batch(rows())
    with pytest.raises(export.ExportError, match=r"differ by .* on 5 rows"):
        export.check_parity(model, rows(), expected + 0.01)
    with pytest.raises(export.ExportError, match="takes"):
        export.check_parity(model, {"features": rows()["features"]}, expected)


def test_nan_outputs_are_refused() -> None:
    model, expected = export.to_onnx(head("x"), "probabilities"), head("x").predict_on_batch(rows())
    broken = rows()
    broken["features"][0] = np.nan
    with pytest.raises(export.ExportError):
        export.check_parity(model, broken, expected)


def test_merging_feeds_the_features_of_one_to_the_other() -> None:
    pixels = keras.Input((8,), dtype="uint8", name="pixels")
    backbone = export.to_onnx(
        keras.Model(pixels, layers.Dense(6)(layers.Rescaling(1 / 255)(pixels))), "features"
    )
    merged = export.merge(backbone, export.to_onnx(head("x"), "probabilities"), "features")
    assert [node.name for node in merged.graph.input] == ["pixels", "token_ids"]
    onnx.checker.check_model(merged, full_check=True)


class Lookup(layers.Layer):
    """Rows of two tables that a layer keeps as constants, by remainders of the ids."""

    def __init__(self) -> None:
        super().__init__()
        generator = np.random.default_rng(3)
        self.tables = {
            "first": generator.normal(size=(7, 3)).astype(np.float32),
            "second": generator.normal(size=(7, 3)).astype(np.float32),
        }

    def call(self, ids: keras.KerasTensor) -> keras.KerasTensor:
        """Sums, float32 (N, 3)."""
        bucket = ids % 7
        first, second = (
            ops.take(ops.convert_to_tensor(table), bucket, axis=0) for table in self.tables.values()
        )
        return ops.sum(ops.where((ids > 0)[..., None], first, -second), axis=1)


def lookup() -> keras.Model:
    ids = keras.Input((4,), dtype="int32", name="token_ids")
    return keras.Model(ids, Lookup()(ids))


def test_tables_come_into_the_export_whole_and_stay_in_the_model() -> None:
    """Remainders of negative numbers and choices are those of Keras too."""
    model = lookup()
    ids = np.random.default_rng(0).integers(-50, 50, (6, 4), np.int32)
    expected = np.asarray(model(ids, training=False))
    exported = export.to_onnx(model, "found")
    assert export.check_parity(exported, {"token_ids": ids}, expected) < 1e-6
    np.testing.assert_array_equal(np.asarray(model(ids, training=False)), expected)
    operators = [node.op_type for node in exported.graph.node]
    assert "Where" in operators
    assert operators.count("Mod") == 1


def test_a_table_that_was_folded_is_told() -> None:
    exported = export.to_onnx(lookup(), "found")
    with pytest.raises(export.ExportError, match=r"0 constants .* shape \(9, 3\)"):
        export.put_in(exported, np.zeros((2, 3), np.float32), np.zeros((9, 3), np.float32))


def test_remainders_of_floats_are_those_of_keras() -> None:
    """ONNX's own remainder of floats is another one for negative numbers."""
    values = keras.Input((4,), name="values")
    model = keras.Model(values, values % 2.0)
    given = np.array([[-3.5, -0.5, 0.5, 3.5]], np.float32)
    exported = export.to_onnx(model, "rest")
    assert export.check_parity(exported, {"values": given}, np.asarray(model(given))) < 1e-6
