"""Weights of an ONNX model in 16 bits where that loses nothing: half the size, same results."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stages.export import canonical

_MIN_ELEMENTS = 4096  # under this a node more costs about what it saves


def compress(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model in canonical form, its large weights stored as float16 if they are equal.

    A cast follows each such weight, which ONNX Runtime does once, when it opens the model: neither
    speed nor results change. Weights that float16 can't hold stay as they are.
    """
    kept, casts = [], []
    for tensor in model.graph.initializer:
        half = _as_half(tensor)
        if half is not None:
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        kept.append(half or tensor)
    nodes = [*casts, *model.graph.node]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.initializer[:], result.graph.node[:]
    result.graph.initializer.extend(kept)
    result.graph.node.extend(nodes)
    return canonical(result)


def _as_half(tensor: onnx.TensorProto) -> onnx.TensorProto | None:
    if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _MIN_ELEMENTS:
        return None
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):  # too large for float16: infinite, so not equal
        half = values.astype(np.float16)
    if not np.array_equal(half.astype(np.float32), values):
        return None
    return numpy_helper.from_array(half, f"{tensor.name}_half")
