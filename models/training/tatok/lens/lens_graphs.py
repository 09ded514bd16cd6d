"""The graphs of a lens: the entropy graph, and the frozen decoder behind a graph that fills dropped codes in."""

from collections.abc import Callable, Iterator

import onnx
import torch
from onnx import TensorProto, version_converter
from torch import Tensor, nn

from ..bundle.onnx_graph import OPSET
from .network import Lens

_FILLED = "filled_codes"
_PREFIX = "lens."


class EntropyGraph(nn.Module):
    """Codes of every stream, visible bool [B, N] -> entropy, surprisal f32 [B, N] bits, expected_code f32 [B, N, 1].

    The expected code is the number of the code to fill in: a decoder that was trained without a lens takes no mean of codes.
    """

    outputs = ("entropy", "surprisal", "expected_code")

    def __init__(self, lens: Lens, streams: list[str]) -> None:
        super().__init__()
        self.lens, self.inputs = lens, (*streams, "visible")

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        entropy, surprisal, code = self.lens.estimate(dict(zip(self.inputs, inputs, strict=True)), inputs[-1])
        return entropy, surprisal, code.float().unsqueeze(-1)


class FillGraph(nn.Module):
    """Codes [B, N], expected_code f32 [B, N, 1], keep bool [B, N] -> the codes, dropped ones as they are expected."""

    outputs = (_FILLED,)

    def __init__(self, stream: str) -> None:
        super().__init__()
        self.inputs = (stream, "expected_code", "keep")

    def forward(self, *inputs: Tensor) -> Tensor:
        codes, expected_code, keep = inputs
        return torch.where(keep, codes, expected_code.squeeze(-1).round().to(codes.dtype))


def integer_type(decoder: onnx.ModelProto, stream: str) -> torch.dtype:
    """The integers that a decoder takes the codes of a stream in."""
    (given,) = (value.type.tensor_type.elem_type for value in decoder.graph.input if value.name == stream)
    return torch.int64 if given == TensorProto.INT64 else torch.int32


def filled_in(decoder: onnx.ModelProto, filling: onnx.ModelProto, stream: str) -> onnx.ModelProto:
    """`decoder` with the codes that `filling` gives in place of its input `stream`; inputs of one name are one input.

    Raises ValueError where ONNX cannot bring both to one version of its operators.
    """
    version = max(_opset(decoder), _opset(filling), OPSET)
    decoder, filling = (_at_opset(each, version) for each in (decoder, filling))
    inputs = {value.name for value in filling.graph.input}
    _rename(filling.graph, lambda name: name if name in inputs or not name else _PREFIX + name)
    _rename(decoder.graph, lambda name: _PREFIX + _FILLED if name == stream else name)
    graph = onnx.GraphProto(name=decoder.graph.name)
    graph.node.extend([*filling.graph.node, *decoder.graph.node])
    graph.initializer.extend([*filling.graph.initializer, *decoder.graph.initializer])
    own = [value for value in decoder.graph.input if value.name != _PREFIX + _FILLED]
    graph.input.extend([*filling.graph.input, *(value for value in own if value.name not in inputs)])
    graph.output.extend(decoder.graph.output)
    model = onnx.ModelProto(ir_version=max(decoder.ir_version, filling.ir_version), producer_name="tatok", graph=graph)
    functions = {(f.domain, f.name, f.overload): f for f in (*decoder.functions, *filling.functions)}
    model.functions.extend(functions.values())
    domains = {entry.domain: entry for entry in (*filling.opset_import, *decoder.opset_import)}
    model.opset_import.extend(domains.values())
    return model


def _opset(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _at_opset(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    if _opset(model) == version:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    try:
        return version_converter.convert_version(model, version)
    # The converter raises types of its own that derive from Exception.
    except Exception as error:
        raise ValueError(f"the decoder cannot be brought to version {version} of ONNX's operators: {error}") from error


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _rename(whole: onnx.GraphProto, renamed: Callable[[str], str]) -> None:
    """Renames values of a graph and of the graphs within it, which see its values too."""
    for graph in _graphs(whole):
        del graph.value_info[:]
        for node in graph.node:
            # Names of nodes are for messages, and those of two graphs may be the same.
            node.name = ""
            node.input[:] = [renamed(name) for name in node.input]
            node.output[:] = [renamed(name) for name in node.output]
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = renamed(value.name)
