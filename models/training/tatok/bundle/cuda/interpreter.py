"""Runs a CUDA graph operator by operator in PyTorch, on any device, also where ONNX Runtime lacks its operators.

Float16 values are rounded after every operator, as they are in the provider, and norms compute in float32 inside.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

Attributes = dict[str, Any]
_TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.UINT8: torch.uint8,
}


class GraphInterpreter:
    """A graph of `cuda_graphs.py` as a function of NumPy arrays."""

    def __init__(self, path: Path, device: str = "cpu", precision: torch.dtype = torch.float16) -> None:
        """`precision` float32 computes without the rounding, which tells it from a mistake."""
        graph = onnx.load(path).graph
        self._device, self._precision = torch.device(device), precision
        self._nodes = [(n, {a.name: helper.get_attribute_value(a) for a in n.attribute}) for n in graph.node]
        self._initializers = {t.name: self._tensor(numpy_helper.to_array(t)) for t in graph.initializer}

    @torch.inference_mode()
    def run(self, outputs: tuple[str, ...], inputs: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        values = self._initializers | {name: self._tensor(array) for name, array in inputs.items()}
        for node, attributes in self._nodes:
            arguments = [values[i] for i in node.input]
            if node.op_type == "Cast" and _TYPES[attributes["to"]] == torch.float16:
                results: Any = arguments[0].to(self._precision)
            else:
                results = _OPERATORS[node.op_type](attributes, *arguments)
            results = results if isinstance(results, tuple) else (results,)
            values |= zip((o for o in node.output if o), results, strict=True)
        return [values[o].cpu().numpy() for o in outputs]

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(np.array(array)).to(self._device)
        return tensor.to(self._precision) if tensor.dtype == torch.float16 else tensor


def _layer_norm(x: Tensor, scale: Tensor, bias: Tensor | None, epsilon: float) -> Tensor:
    normed = F.layer_norm(x.float(), x.shape[-1:], eps=epsilon) * scale.float()
    return (normed if bias is None else normed + bias.float()).to(x.dtype)


def _skip_layer_norm(a: Attributes, x: Tensor, skip: Tensor, scale: Tensor, shift: Tensor, *bias: Tensor) -> tuple[Tensor, ...]:
    total = x.float() + skip.float() + sum(b.float() for b in bias)
    return _layer_norm(total, scale, shift, a["epsilon"]).to(x.dtype), total.to(x.dtype)


def _skip_rms_norm(a: Attributes, x: Tensor, skip: Tensor, scale: Tensor) -> Tensor:
    total = x.float() + skip.float()
    return (total * (total.square().mean(-1, keepdim=True) + a["epsilon"]).rsqrt() * scale.float()).to(x.dtype)


def _attention(a: Attributes, *qkv: Tensor) -> Tensor:
    query, key, value = (x.unflatten(-1, (a["num_heads"], -1)).transpose(1, 2) for x in qkv)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def _group_norm(a: Attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    normed = F.group_norm(x.movedim(-1, 1).float(), a["groups"], scale, bias, a["epsilon"]).movedim(1, -1)
    return (F.silu(normed) if a["activation"] else normed).to(x.dtype)


def _conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    y = F.conv2d(x.movedim(-1, 1), weight.movedim(-1, 1), bias, a["strides"], a["pads"][:2])
    return y.movedim(1, -1)


def _slice(_: Attributes, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor) -> Tensor:
    for axis, start, end in zip(axes.tolist(), starts.tolist(), ends.tolist(), strict=True):
        x = x.narrow(axis, start, end - start)
    return x


def _reshape(_: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape.tolist())])


def _gather(a: Attributes, x: Tensor, index: Tensor) -> Tensor:
    axis = a.get("axis", 0)
    return x.index_select(axis, index) if axis else x[index.long()]


_OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    "Add": lambda _, x, y: x + y,
    "BiasGelu": lambda _, x, bias: F.gelu((x + bias).float()).to(x.dtype),
    "Cast": lambda a, x: x.to(_TYPES[a["to"]]),
    "Clip": lambda _, x, low, high: x.clamp(low, high),
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "DequantizeLinear": lambda _, x, scale, zero: (x.to(scale.dtype) - zero.to(scale.dtype)) * scale,
    "Equal": lambda _, x, y: x == y,
    "Exp": lambda _, x: x.exp(),
    "Expand": lambda _, x, shape: x.expand(shape.tolist()),
    "FusedMatMul": lambda a, x, y: x @ (y.T if a["transB"] else y),
    "Gather": _gather,
    "GatherElements": lambda a, x, index: x.gather(a["axis"], index),
    "GroupNorm": _group_norm,
    "Identity": lambda _, x: x,
    "LayerNormalization": lambda a, x, scale: _layer_norm(x, scale, None, a["epsilon"]),
    "LogSoftmax": lambda a, x: x.log_softmax(a["axis"]),
    "MatMul": lambda _, x, y: x @ y,
    "Mul": lambda _, x, y: x * y,
    "MultiHeadAttention": _attention,
    "NhwcConv": _conv,
    "Not": lambda _, x: ~x,
    "QuickGelu": lambda a, x: (x.float() * (a["alpha"] * x.float()).sigmoid()).to(x.dtype),
    "ReduceSum": lambda a, x, axes: x.sum(axes.tolist(), keepdim=bool(a["keepdims"])),
    "Reshape": _reshape,
    "Round": lambda _, x: x.round(),
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms_norm,
    "Slice": _slice,
    "Split": lambda a, x, sizes: x.split(sizes.tolist(), a["axis"]),
    "Sub": lambda _, x, y: x - y,
    "Tanh": lambda _, x: x.tanh(),
    "Transpose": lambda a, x: x.permute(*a["perm"]),
    "Where": lambda _, condition, x, y: torch.where(condition, x, y),
}
