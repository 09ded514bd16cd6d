"""The graphs of a bundle for ONNX Runtime's CUDA provider: float16, channels last, with that provider's fused operators.

They compute what the graphs of `export.py` compute, in a fifth of the kernels, and hold next to no weights of their own: the
large ones are read out of those graphs' files. The encoder leaves the attention maps out. Products accumulate in float32 on
tensor cores; norms and softmax compute in float32 inside their kernels; the quantiser's and the entropy model's heads, and all
that follows them, are float32 throughout.
"""

import math
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from .bundle import read_manifest, write_manifest
from .config import ModelConfig
from .export import OPSET
from .layers import group_count
from .model import pooling_matrix
from .onnx_graph import CONTRIB, GraphBuilder, StoredWeights
from .quantizer import INSIDE, FiniteScalarQuantizer

GRAPHS = {"encoder": "encoder.cuda.onnx", "entropy": "entropy.cuda.onnx", "decoder": "decoder.cuda.onnx"}
PROVIDER = "cuda"
# Codes are looked up in tables of every code.
_LARGEST_CODEBOOK = 65_536
_FLOAT, _HALF, _INT, _BYTE, _BOOL = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT32,
    TensorProto.UINT8,
    TensorProto.BOOL,
)
_PAD = [1, 1, 1, 1]
_EPSILON = 1e-5  # of every norm in PyTorch


def has_cuda_graphs(config: ModelConfig) -> bool:
    """Whether these graphs exist for a model: it has both kinds of token, an entropy model and a codebook that fits a table."""
    return config.filters and config.global_tokens > 0 and config.codebook_size <= _LARGEST_CODEBOOK


def add_cuda_graphs(bundle: Path) -> None:
    """Writes the CUDA graphs into a bundle's folder and lists them in its manifest."""
    manifest = read_manifest(bundle)
    config = ModelConfig.from_dict(manifest["model"])
    if not has_cuda_graphs(config):
        raise ValueError(f"{bundle} has no graphs for CUDA: they need global and patch tokens and an entropy model")
    weights = StoredWeights(bundle)
    for graph, model in cuda_graphs(config, weights).items():
        onnx.save(model, bundle / GRAPHS[graph])
        onnx.checker.check_model(bundle / GRAPHS[graph])
    write_manifest(bundle, manifest | {"variants": {PROVIDER: GRAPHS}})


def cuda_graphs(config: ModelConfig, weights: StoredWeights) -> dict[str, onnx.ModelProto]:
    """Encoder, entropy model and decoder over the given weights."""
    image = {"image": (_BYTE, (config.image_size, config.image_size, 3))}
    codes = {"global_codes": (_INT, (config.global_tokens,)), "patch_codes": (_INT, (config.patch_tokens,))}
    bits = dict.fromkeys(("entropy", "surprisal"), (_FLOAT, (config.patch_tokens,)))
    expected = {"expected_code": (_FLOAT, (config.patch_tokens, len(config.levels)))}
    mask = (_BOOL, (config.patch_tokens,))
    return {
        "encoder": _encoder(config, GraphBuilder(weights)).model("encoder", image, codes, OPSET),
        "entropy": _entropy(config, GraphBuilder(weights)).model(
            "entropy", {**codes, "visible": mask}, {**bits, **expected}, OPSET
        ),
        "decoder": _decoder(config, GraphBuilder(weights)).model("decoder", {**codes, **expected, "keep": mask}, image, OPSET),
    }


def _encoder(config: ModelConfig, g: GraphBuilder) -> GraphBuilder:
    globals_, tokens, width = config.global_tokens, config.global_tokens + config.patch_tokens, config.width
    w = g.weights
    # Normalisation: bytes minus 127.5 are exact in float16.
    x = g.cast(_unshuffle(g, "image", config.image_size, 4), _HALF)
    x = g.node("Mul", g.node("Sub", x, g.half(127.5)), g.half(1 / 127.5))
    x = _conv(g, x, "encoder.stem.1", unshuffled=4)
    x = _conv(g, _silu(g, x), "encoder.stem.3", stride=2)
    x = _conv_block(g, x, "encoder.stem.4", config.stem_widths[1])
    features = g.reshape(_conv(g, x, "encoder.stem.5", stride=2), 0, config.patch_tokens, width)
    pooled = g.node("MatMul", g.half(pooling_matrix(config.grid, globals_).numpy()), features)
    queries = _linear(g, pooled, "encoder.query_start.weight")
    # Added here: a runtime has no addition of float16 on the CPU to fold it with.
    query_start = g.half(w.array("encoder.query") + w.array("encoder.query_start.bias"))
    position = g.node("Concat", query_start, g.weight("encoder.position"), axis=0)
    x = g.node("Concat", queries, features, axis=1)
    x = _transformer(g, config, x, position, "encoder", config.encoder_layers)

    # Both heads on every token, and of each what is its own.
    heads = ("encoder.global_head", "encoder.patch_head")
    dimensions = len(config.levels)
    matrix = np.concatenate([w.array(f"{head}.weight") for head in heads]).T
    raw = g.node("MatMul", g.cast(x, _FLOAT), g.constant(matrix))
    own = [_slice(g, raw, (1, 2), (0, 0), (globals_, dimensions))]
    own.append(_slice(g, raw, (1, 2), (globals_, dimensions), (tokens, 2 * dimensions)))
    counts = (globals_, config.patch_tokens)
    bias = np.concatenate([np.tile(w.array(f"{head}.bias"), (n, 1)) for head, n in zip(heads, counts, strict=True)])
    raw = g.node("Add", g.node("Concat", *own, axis=1), g.constant(bias))
    levels = np.array(config.levels, np.float32)
    bounded = g.node("Mul", g.node("Tanh", raw), g.constant(levels / 2 * np.float32(INSIDE)))
    level = g.node("Round", g.node("Add", bounded, g.constant((levels - 1) / 2)))
    strides = np.cumprod([1, *config.levels[:-1]]).astype(np.float32)
    # Codes below 2¹⁶ are exact in float32.
    codes = g.node("ReduceSum", g.node("Mul", level, g.constant(strides)), g.constant(np.array([2])), keepdims=0)
    parts = g.nodes("Split", g.cast(codes, _INT), g.constant(np.array(counts)), outputs=(True, True), axis=1)
    for part, name in zip(parts, ("global_codes", "patch_codes"), strict=True):
        g.rename(part, name)
    return g


def _entropy(config: ModelConfig, g: GraphBuilder) -> GraphBuilder:
    w = g.weights
    dimensions, count = len(config.levels), config.levels[0]
    seen = g.reshape("visible", 0, config.patch_tokens, 1)
    patches = g.node("Gather", _embedding(g, config, "entropy_model.embed_patch"), "patch_codes")
    patches = g.node("Where", seen, patches, g.half(w.array("entropy_model.mask")))
    x = g.node("Concat", g.node("Gather", _embedding(g, config, "entropy_model.embed_global"), "global_codes"), patches, axis=1)
    x = _transformer(g, config, x, _positions(g, "entropy_model"), "entropy_model", config.entropy_layers)
    x = g.cast(_patches(g, config, x), _FLOAT)
    logits = g.node("MatMul", x, g.constant(w.array("entropy_model.head.weight").T))
    logits = g.node("Add", logits, g.constant(w.array("entropy_model.head.bias")))
    log_q = g.node("LogSoftmax", g.reshape(logits, 0, config.patch_tokens, dimensions, count), axis=-1)
    q = g.node("Exp", log_q)
    hidden = g.cast(g.node("Not", "visible"), _FLOAT)
    # Natural logarithms to bits, and 0 bits for what is visible.
    hidden_bits = g.node("Mul", hidden, g.constant(np.array(-1 / math.log(2), np.float32)))
    both = g.constant(np.array([2, 3]))
    nats = g.node("ReduceSum", g.node("Mul", q, log_q), both, keepdims=0)
    g.rename(g.node("Mul", nats, hidden_bits), "entropy")
    level = g.node("Gather", g.constant(_levels(config)[..., None]), "patch_codes")
    nats = g.node("ReduceSum", g.node("GatherElements", log_q, level, axis=3), both, keepdims=0)
    g.rename(g.node("Mul", nats, hidden_bits), "surprisal")
    coordinates = np.linspace(-1, 1, count, dtype=np.float32)
    expected = g.node("ReduceSum", g.node("Mul", q, g.constant(coordinates)), g.constant(np.array([3])), keepdims=0)
    own = g.node("Gather", g.constant(_coordinates(config)), "patch_codes")
    g.rename(g.node("Where", seen, own, expected), "expected_code")
    return g


def _decoder(config: ModelConfig, g: GraphBuilder) -> GraphBuilder:
    w = g.weights
    kept = g.node("Gather", _embedding(g, config, "decoder.embed_patch", "decoder.kept"), "patch_codes")
    dropped = g.node("MatMul", "expected_code", g.constant(w.array("decoder.embed_patch.weight").T))
    dropped = g.node("Add", dropped, g.constant(w.array("decoder.embed_patch.bias") + w.array("decoder.dropped")))
    patches = g.node("Where", g.reshape("keep", 0, config.patch_tokens, 1), kept, g.cast(dropped, _HALF))
    x = g.node("Concat", g.node("Gather", _embedding(g, config, "decoder.embed_global"), "global_codes"), patches, axis=1)
    x = _transformer(g, config, x, _positions(g, "decoder"), "decoder", config.decoder_layers)
    x = g.reshape(_patches(g, config, x), 0, config.grid, config.grid, config.width)

    eighth, quarter, half = config.head_widths
    side = config.grid
    x = _upsample(g, x, "decoder.head.0", side, eighth)
    x = _conv_block(g, x, "decoder.head.1", eighth)
    x = _upsample(g, x, "decoder.head.2", 2 * side, quarter)
    x = _conv_block(g, x, "decoder.head.3", quarter)
    x = _upsample(g, x, "decoder.head.4", 4 * side, half)
    x = _silu(g, _conv(g, _silu(g, x), "decoder.head.6"))
    # Three channels padded to four, so that tensor cores take them; bytes are shuffled rather than numbers.
    x = _conv(g, x, "decoder.head.8.conv", shuffled=4)
    x = g.node("Add", g.node("Mul", x, g.half(127.5)), g.half(127.5))
    x = g.cast(g.node("Round", g.node("Clip", x, g.half(0), g.half(255))), _BYTE)
    g.rename(_slice(g, _shuffle(g, x, 8 * side, 4), (3,), (0,), (3,)), "image")
    return g


def _transformer(g: GraphBuilder, config: ModelConfig, x: str, position: str, part: str, layers: int) -> str:
    """Blocks and the last norm over x + position. The norm after a residual branch also adds it and its bias."""
    w = g.weights
    width, heads = config.width, config.heads
    tokens = config.global_tokens + config.patch_tokens

    def add_and_norm(x: str, branch: str, norm: str, bias: str | None) -> list[str]:
        inputs = [x, branch, *(g.half(w.array(f"{norm}.{p}")) for p in ("weight", "bias"))]
        if bias:
            inputs.append(g.half(w.array(bias)))
        # Normalised, mean, deviation, sum.
        wanted = (True, False, False, True)
        return g.nodes("SkipLayerNormalization", *inputs, outputs=wanted, domain=CONTRIB, epsilon=_EPSILON)

    branch, bias = position, None
    for layer in range(layers):
        block = f"{part}.blocks.{layer}"
        normed, x = add_and_norm(x, branch, f"{block}.norm1", bias)
        # One norm for queries and keys: a scale for every head.
        scale = [np.tile(w.array(f"{block}.attention.{p}_norm.weight"), (heads, 1)) for p in ("query", "key")]
        both = _linear(g, normed, f"{block}.attention.qkv.weight", slice(0, 2 * width))
        both = g.reshape(both, -1, 2 * heads, width // heads)
        both = g.node("LayerNormalization", both, g.half(np.concatenate(scale)[None]), axis=2, epsilon=_EPSILON)
        both = g.reshape(both, -1, tokens, 2 * width)
        query, key = g.nodes("Split", both, g.constant(np.array([width, width])), outputs=(True, True), axis=2)
        value = _linear(g, normed, f"{block}.attention.qkv.weight", slice(2 * width, 3 * width))
        attended = g.node("MultiHeadAttention", query, key, value, domain=CONTRIB, num_heads=heads)
        branch = _linear(g, attended, f"{block}.attention.project.weight")
        normed, x = add_and_norm(x, branch, f"{block}.norm2", f"{block}.attention.project.bias")
        expanded = _linear(g, normed, f"{block}.expand.weight")
        expanded = g.node("BiasGelu", expanded, g.half(w.array(f"{block}.expand.bias")), domain=CONTRIB)
        branch, bias = _linear(g, expanded, f"{block}.contract.weight"), f"{block}.contract.bias"
    return add_and_norm(x, branch, f"{part}.norm", bias)[0]


def _linear(g: GraphBuilder, x: str, weight: str, rows: slice = slice(None)) -> str:
    """x·Wᵀ with some rows of W: weights stay as PyTorch lays them out."""
    return g.node("FusedMatMul", x, g.weight(weight, rows), domain=CONTRIB, transB=1)


def _patches(g: GraphBuilder, config: ModelConfig, x: str) -> str:
    """The patch tokens' share of [B, K + N, C]."""
    first = config.global_tokens
    return _slice(g, x, (1,), (first,), (first + config.patch_tokens,))


def _positions(g: GraphBuilder, part: str) -> str:
    return g.node("Concat", g.weight(f"{part}.global_position"), g.weight(f"{part}.position"), axis=0)


def _coordinates(config: ModelConfig) -> NDArray[np.float32]:
    """Every code's coordinates, [V, D]."""
    return FiniteScalarQuantizer(config.levels).decode(torch.arange(config.codebook_size)).numpy()


def _levels(config: ModelConfig) -> NDArray[np.int64]:
    """Every code's levels, [V, D]."""
    return FiniteScalarQuantizer(config.levels).code_levels(torch.arange(config.codebook_size)).long().numpy()


def _embedding(g: GraphBuilder, config: ModelConfig, linear: str, added: str | None = None) -> str:
    """A table of every code's embedding, [V, C], which the runtime computes once when it loads the graph."""
    bias = g.weights.array(f"{linear}.bias") + (g.weights.array(added) if added else 0)
    table = g.node("MatMul", g.constant(_coordinates(config)), g.constant(g.weights.array(f"{linear}.weight").T))
    return g.cast(g.node("Add", table, g.constant(bias)), _HALF)


def _slice(g: GraphBuilder, x: str, axes: tuple[int, ...], starts: tuple[int, ...], ends: tuple[int, ...]) -> str:
    return g.node("Slice", x, *(g.constant(np.array(values)) for values in (starts, ends, axes)))


def _silu(g: GraphBuilder, x: str) -> str:
    return g.node("QuickGelu", x, domain=CONTRIB, alpha=1.0)


def _conv(g: GraphBuilder, x: str, name: str, stride: int = 1, unshuffled: int = 0, shuffled: int = 0) -> str:
    """A 3×3 convolution of [B, H, W, C]; its weights are laid out anew when the graph is loaded.

    `unshuffled`: input channels come from `_unshuffle` by that factor, so (row, column, channel). `shuffled`: output channels
    go to `_shuffle` by two, so likewise, each pixel's padded with zeros to that many.
    """
    w = g.weights
    outputs, inputs = w.array(f"{name}.weight").shape[:2]
    weight, bias = g.weight(f"{name}.weight"), w.array(f"{name}.bias")
    if unshuffled:
        weight = g.reshape(weight, outputs, -1, unshuffled, unshuffled, 3, 3)
        weight = g.reshape(g.node("Transpose", weight, perm=[0, 2, 3, 1, 4, 5]), outputs, inputs, 3, 3)
    if shuffled:
        channels = outputs // 4
        weight = g.node("Transpose", g.reshape(weight, channels, 2, 2, inputs, 3, 3), perm=[1, 2, 0, 3, 4, 5])
        bias = bias.reshape(channels, 2, 2).transpose(1, 2, 0)
        if shuffled > channels:
            weight = g.node("Concat", weight, g.half(np.zeros((2, 2, shuffled - channels, inputs, 3, 3))), axis=2)
            bias = np.pad(bias, ((0, 0), (0, 0), (0, shuffled - channels)))
        weight = g.reshape(weight, 4 * shuffled, inputs, 3, 3)
    weight = g.node("Transpose", weight, perm=[0, 2, 3, 1])
    attributes = {"kernel_shape": [3, 3], "pads": _PAD, "strides": [stride, stride]}
    return g.node("NhwcConv", x, weight, g.half(bias.ravel()), domain=CONTRIB, **attributes)


def _conv_block(g: GraphBuilder, x: str, name: str, channels: int) -> str:
    norm = [g.constant(g.weights.array(f"{name}.norm.{p}")) for p in ("weight", "bias")]
    attributes = {"activation": 1, "channels_last": 1, "epsilon": _EPSILON, "groups": group_count(channels)}
    y = g.node("GroupNorm", x, *norm, domain=CONTRIB, **attributes)
    return g.node("Add", x, _conv(g, _silu(g, _conv(g, y, f"{name}.conv1")), f"{name}.conv2"))


def _upsample(g: GraphBuilder, x: str, name: str, side: int, channels: int) -> str:
    return _shuffle(g, _conv(g, x, f"{name}.conv", shuffled=channels), side, channels)


def _shuffle(g: GraphBuilder, x: str, side: int, channels: int) -> str:
    """[B, side, side, (2, 2, C)] -> [B, 2·side, 2·side, C]: rows of two pixels' channels move as a whole."""
    x = g.node("Transpose", g.reshape(x, -1, side, 2, 2 * channels), perm=[0, 2, 1, 3])
    return g.reshape(x, -1, 2 * side, 2 * side, channels)


def _unshuffle(g: GraphBuilder, x: str, size: int, factor: int) -> str:
    """[B, S, S, 3] -> [B, S/f, S/f, (f, f, 3)]."""
    side = size // factor
    x = g.node("Transpose", g.reshape(x, -1, factor, side, factor * 3), perm=[0, 2, 1, 3])
    return g.reshape(x, -1, side, side, factor * factor * 3)
