"""Keras models as ONNX, in one canonical form: the same model gives the same bytes."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime as ort
import tensorflow as tf
import tf2onnx
from onnx import TensorProto
from tf2onnx.onnx_opset.math import FloorMod

from api.errors import ProductCodeError

OPSET = 18
BATCH = "N"


class ExportError(ProductCodeError):
    """An exported model doesn't give what the Keras model gives."""


def to_onnx(model: keras.Model, output: str) -> onnx.ModelProto:
    """The canonical ONNX form of a functional Keras model with named inputs.

    A layer may keep large constants in a dict `tables`: tf2onnx copies every constant many times
    over, so it gets a stub for each of them, and the tables are put in afterwards.

    Args:
        model: Keras model; inputs keep their names, the first axis is the batch.
        output: Name given to its one output.
    """
    with _stubs(model) as replaced:
        proto = _convert(model, output)
    for stub, table in replaced:
        put_in(proto, stub, table)
    return proto


def put_in(model: onnx.ModelProto, stub: np.ndarray, table: np.ndarray) -> None:
    """Replaces the one constant that equals `stub` by a longer table of the same columns.

    Raises:
        ExportError: There isn't one.
    """
    found = [
        tensor
        for tensor in model.graph.initializer
        if tuple(tensor.dims) == stub.shape
        and np.array_equal(onnx.numpy_helper.to_array(tensor), stub)
    ]
    if len(found) != 1:
        raise ExportError(
            f"{len(found)} constants of the export equal the stub of a table of shape "
            f"{table.shape}, expected 1: the conversion folded it; convert the table itself"
        )
    found[0].CopyFrom(onnx.numpy_helper.from_array(table, found[0].name))


@contextmanager
def _stubs(model: keras.Model) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Two rows each, no two alike, in place of the tables of a model's layers."""
    tables = [
        (layer.tables, name) for layer in model.layers for name in getattr(layer, "tables", ())
    ]
    whole = [held[name] for held, name in tables]
    stubs = [
        np.full((2, *table.shape[1:]), 0.625 + number, table.dtype)
        for number, table in enumerate(whole)
    ]
    try:
        for (held, name), stub in zip(tables, stubs, strict=True):
            held[name] = stub
        yield list(zip(stubs, whole, strict=True))
    finally:
        for (held, name), table in zip(tables, whole, strict=True):
            held[name] = table


def _convert(model: keras.Model, output: str) -> onnx.ModelProto:
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    signature = [
        tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]
    names = [tensor.name for tensor in model.inputs]

    @tf.function(input_signature=signature)
    def forward(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {output: model(dict(zip(names, inputs, strict=True)), training=False)}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proto, _ = tf2onnx.convert.from_function(
            forward, input_signature=signature, opset=OPSET, custom_op_handlers=_SINGLE_NODES
        )
    return canonical(proto)


def _to_mod(graph: Any, node: Any, _name: str, _args: object) -> None:
    """FloorMod of integers is one node of ONNX; tf2onnx makes three of it."""
    if graph.get_dtype(node.input[0]) in {TensorProto.INT32, TensorProto.INT64}:
        node.type = "Mod"
    else:  # of floats, ONNX has only the remainder of C
        FloorMod.version_7(graph, node)


def _to_where(_graph: Any, node: Any, _name: str, _args: object) -> None:
    """A choice is one node of ONNX; tf2onnx makes six of it."""
    node.type = "Where"


_SINGLE_NODES: dict[str, Any] = {"FloorMod": (_to_mod, []), "SelectV2": (_to_where, [])}


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with nodes in an order and under names that depend on the graph alone.

    Nodes are ordered topologically from the outputs, every inner name is replaced by a counter,
    and what describes the exporter is dropped.
    """
    graph = model.graph
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    nodes = _ordered(graph)
    _Renamer(names).apply(graph, nodes)
    for value in (*graph.input, *graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        batch.Clear()
        batch.dim_param = BATCH
    graph.name, graph.doc_string = "classifier", ""
    del graph.value_info[:], model.metadata_props[:]
    model.producer_name = model.producer_version = model.doc_string = model.domain = ""
    onnx.checker.check_model(model)
    return model


def merge(encoder: onnx.ModelProto, head: onnx.ModelProto, features: str) -> onnx.ModelProto:
    """One model: the encoder's output of that name feeds the head's input of that name."""
    head.ir_version = encoder.ir_version
    joined = onnx.compose.merge_models(
        onnx.compose.add_prefix(encoder, "e_", rename_inputs=False, rename_outputs=False),
        onnx.compose.add_prefix(head, "h_", rename_inputs=False, rename_outputs=False),
        io_map=[(features, features)],
    )
    return canonical(joined)


def check_parity(
    model: onnx.ModelProto,
    inputs: Mapping[str, np.ndarray],
    expected: np.ndarray,
    tolerance: float = 1e-4,
) -> float:
    """The largest difference between an exported model and what Keras gave for the same rows.

    Args:
        model: The exported model, reloaded from its bytes.
        inputs: N real rows.
        expected: Keras' outputs, float32 (N, ...).
        tolerance: Allowed difference, relative to the largest expected magnitude or to 1.

    Raises:
        ExportError: Input names differ, or the difference is over the tolerance.
    """
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = sorted(node.name for node in session.get_inputs())
    if found != sorted(inputs):
        raise ExportError(f"exported model takes {found}, expected {sorted(inputs)}")
    outputs = session.run(None, dict(inputs))[0]
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    difference = float(np.abs(outputs - expected).max(initial=0)) / scale
    if not difference <= tolerance:
        raise ExportError(
            f"ONNX and Keras differ by {difference:.2e} on {len(expected)} rows, allowed is "
            f"{tolerance:.0e}: the export is wrong, the bundle was not written"
        )
    return difference


def _ordered(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes the outputs need, each after what it reads; ties follow the order of inputs."""
    producer = {name: node for node in graph.node for name in node.output if name}
    done: dict[int, onnx.NodeProto] = {}
    stack = [(output.name, False) for output in reversed(graph.output)]
    while stack:
        name, expanded = stack.pop()
        node = producer.get(name)
        if node is None or id(node) in done:
            continue
        if expanded:
            done[id(node)] = node
            continue
        stack.append((name, True))
        stack.extend((read, False) for read in reversed(_reads(node)))
    return list(done.values())


def _subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [item.g for item in node.attribute if item.type == onnx.AttributeProto.GRAPH]


def _reads(node: onnx.NodeProto) -> list[str]:
    """Names a node reads, those its subgraphs take from outside among them."""
    names = [name for name in node.input if name]
    for graph in _subgraphs(node):
        inner = {value.name for value in (*graph.input, *graph.initializer)}
        inner |= {name for item in graph.node for name in item.output}
        taken = [name for item in graph.node for name in _reads(item)]
        taken += [value.name for value in graph.output]
        names += [name for name in taken if name not in inner]
    return names


class _Renamer:
    """Gives inner names by counters, in the order in which the graph uses them."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.count = len(names)

    def apply(self, graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
        weights = {tensor.name: tensor for tensor in graph.initializer}
        kept: dict[str, onnx.TensorProto] = {}
        for node in nodes:
            kept |= {name: weights[name] for name in _reads(node) if name in weights}
            self._rename_node(node)
        kept |= {value.name: weights[value.name] for value in graph.output if value.name in weights}
        for old, tensor in kept.items():
            tensor.name = self._name(old)
        ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        tensors = [onnx.TensorProto.FromString(t.SerializeToString()) for t in kept.values()]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(ordered)
        graph.initializer.extend(tensors)

    def _name(self, old: str) -> str:
        if old and old not in self.names:
            self.names[old] = f"v{self.count}"
            self.count += 1
        return self.names.get(old, "")

    def _rename_node(self, node: onnx.NodeProto) -> None:
        node.name = node.doc_string = ""
        del node.metadata_props[:]
        for position, name in enumerate(node.input):
            node.input[position] = self._name(name)
        for inner in _subgraphs(node):
            self._rename_inner(inner)
        for position, name in enumerate(node.output):
            node.output[position] = self._name(name)
        attributes = sorted(node.attribute, key=lambda item: item.name)
        copies = [onnx.AttributeProto.FromString(item.SerializeToString()) for item in attributes]
        del node.attribute[:]
        node.attribute.extend(copies)

    def _rename_inner(self, graph: onnx.GraphProto) -> None:
        graph.name = graph.doc_string = ""
        for value in graph.input:
            value.name = self._name(value.name)
        self.apply(graph, _ordered(graph))
        for value in graph.output:
            value.name = self._name(value.name)
        del graph.value_info[:]
