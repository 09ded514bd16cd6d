"""From a PyTorch module to an ONNX file: any batch size, float16 weights, external data where one file cannot hold them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET = 20
Precision = Literal["float16", "float32"]
# Smaller tensors (biases, norms, most constants of the graph) stay float32: they weigh nothing. Larger ones become float16,
# weights or not: the pooling matrix of TaTok's encoder does.
HALF_FROM = 4096
ONE_FILE_BYTES = 2**31 - 2**24
"""Weights of more bytes go into a file beside the graph: protobuf has no messages of 2 GiB; nodes need the rest."""


def onnx_graph(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], name: str) -> onnx.ModelProto:
    """`module`, called with `inputs` in their order, as an ONNX graph with float32 weights; `name` is for messages.

    The first dimension of every input is the batch, of any size; give two images or more as example. Raises ValueError where
    PyTorch cannot export the module so.
    """
    # The exporter warns of packages that no graph here needs.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    batch = torch.export.Dim("batch", min=1, max=1024)
    try:
        # A change of mode within the graph would be exported as a subgraph.
        with torch.no_grad():
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                # One argument: the modules take their inputs as variadic ones.
                dynamic_shapes=(tuple({0: batch} for _ in inputs),),
                optimize=False,
                verbose=False,
            )
    # The exporter's errors are of many types, and their cause is the one that tells.
    except Exception as error:
        raise ValueError(f"PyTorch cannot export {name} for batches of any size: {_first_line(error)}") from error
    model = without_traces(program.model_proto)
    for value in (*model.graph.input, *model.graph.output):
        if not value.type.tensor_type.shape.dim[0].dim_param:
            # PyTorch writes the example's batch into the graph where the module's own code fixes it.
            advice = "its code must take the batch from x.shape[0], not from len(x) or a constant"
            raise ValueError(f"{name} works for one batch size only: {advice}")
    return model


def save_graph(model: onnx.ModelProto, path: Path, one_file_bytes: int = ONE_FILE_BYTES) -> list[Path]:
    """Writes a graph, with its weights in `path`.data where they take more than `one_file_bytes`; returns the files."""
    data = path.with_name(path.name + ".data")
    path.unlink(missing_ok=True)
    data.unlink(missing_ok=True)
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= one_file_bytes:
        onnx.save(model, path)
        onnx.checker.check_model(path)
        return [path]
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=1024)
    onnx.checker.check_model(path)
    return [path, data]


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Takes out what the exporter notes of every node: the lines of source that it came from name folders of the machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
    return model


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large float32 initializers become float16 followed by a Cast, which runtimes fold away when they load the graph.

    Those with values beyond float16's 65,504 stay as they are.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(tensor)
        if array.size >= HALF_FROM and np.abs(array).max() <= np.finfo(np.float16).max:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), name + ".float16"))
            casts.append(helper.make_node("Cast", [name + ".float16"], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    # Value infos of a rewritten graph would contradict it; runtimes infer their own.
    del graph.value_info[:]
    return model


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
