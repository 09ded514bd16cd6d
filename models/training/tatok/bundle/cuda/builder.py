"""Building ONNX graphs node by node, over weights that other graphs of the same bundle already hold."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..manifest import read_manifest

CONTRIB = "com.microsoft"
"""ONNX Runtime's own operators."""

Values = dict[str, tuple[int, tuple[int, ...]]]
"""Inputs or outputs of a graph by name: element type, and shape without the batch dimension."""


class StoredWeights:
    """The weights of a bundle by the module's names, and where in which file the large ones lie."""

    def __init__(self, bundle: Path) -> None:
        self._tensors: dict[str, tuple[str, TensorProto]] = {}
        self._bytes: dict[str, bytes] = {}
        for file in read_manifest(bundle)["graphs"].values():
            self._bytes[file] = (bundle / file).read_bytes()
            for tensor in onnx.load_model_from_string(self._bytes[file]).graph.initializer:
                self._tensors[tensor.name.removesuffix(".float16")] = (file, tensor)

    def array(self, name: str) -> NDArray[np.float32]:
        return numpy_helper.to_array(self._tensors[name][1]).astype(np.float32)

    def external(self, name: str, as_name: str, rows: slice) -> TensorProto | None:
        """Rows of a weight stored as float16, as a tensor that points into the file that holds it; None for a small weight."""
        file, tensor = self._tensors[name]
        if tensor.data_type != TensorProto.FLOAT16:
            return None
        start, stop, _ = rows.indices(tensor.dims[0])
        row = len(tensor.raw_data) // tensor.dims[0]
        # Equal bytes found earlier in the file are as good.
        offset = self._bytes[file].index(tensor.raw_data) + start * row
        pointer = TensorProto(name=as_name, data_type=TensorProto.FLOAT16, dims=[stop - start, *tensor.dims[1:]])
        pointer.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", offset), ("length", (stop - start) * row)):
            pointer.external_data.add(key=key, value=str(value))
        return pointer


class GraphBuilder:
    """Collects nodes and initializers; values are names. Every float weight becomes float16."""

    def __init__(self, weights: StoredWeights) -> None:
        self.weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._names: dict[str, int] = {}
        self._outputs: dict[str, str] = {}

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node with one output and returns that."""
        return self.nodes(op, *inputs, outputs=(True,), domain=domain, **attributes)[0]

    def nodes(self, op: str, *inputs: str, outputs: tuple[bool, ...], domain: str = "", **attributes: Any) -> list[str]:
        """Adds a node; `outputs` says which of its outputs are wanted, and the names of those are returned."""
        name = self._unique(op)
        names = [f"{name}:{i}" if wanted else "" for i, wanted in enumerate(outputs)]
        self._nodes.append(helper.make_node(op, inputs, names, name=name, domain=domain, **attributes))
        return [n for n in names if n]

    def constant(self, value: NDArray[np.generic]) -> str:
        name = self._unique("constant")
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def half(self, value: NDArray[np.floating] | float) -> str:
        return self.constant(np.asarray(value, np.float16))

    def weight(self, name: str, rows: slice = slice(None)) -> str:
        """A weight as float16, without a copy of it where the bundle holds it so."""
        unique = self._unique(name)
        pointer = self.weights.external(name, unique, rows)
        self._initializers.append(pointer or numpy_helper.from_array(self.weights.array(name)[rows].astype(np.float16), unique))
        return unique

    def rename(self, value: str, name: str) -> None:
        """Makes what a node computes an output of the graph, under that name."""
        self._outputs[value] = name

    def cast(self, value: str, to: int) -> str:
        return self.node("Cast", value, to=to)

    def reshape(self, value: str, *shape: int) -> str:
        return self.node("Reshape", value, self.constant(np.array(shape, np.int64)))

    def model(self, name: str, inputs: Values, outputs: Values, opset: int) -> onnx.ModelProto:
        def described(values: Values) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(n, type_, ["batch", *shape]) for n, (type_, shape) in values.items()]

        for node in self._nodes:
            for values in (node.input, node.output):
                values[:] = [self._outputs.get(value, value) for value in values]
        graph = helper.make_graph(self._nodes, name, described(inputs), described(outputs), self._initializers)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="tatok")

    def _unique(self, name: str) -> str:
        self._names[name] = count = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}.{count}"
