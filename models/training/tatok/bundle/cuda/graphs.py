"""The graphs of a bundle for ONNX Runtime's CUDA provider: float16, channels last, with that provider's fused operators.

They compute what the graphs of `export.py` compute, in a fifth of the kernels, and hold next to no weights of their own: the
large ones are read out of those graphs' files. The encoder leaves the attention maps out; `tokenizer` is encoder and entropy
model in one, for the first look at an image. Products accumulate in float32 on tensor cores; norms and softmax compute in
float32 inside their kernels; the quantiser's and the entropy model's heads, and all that follows them, are float32 throughout.

For one image the launches cost more than the kernels, for many the memory they pass through. Hence these forms, each measured
on an H100 with ONNX Runtime 1.29:
- Whatever depends on weights alone is float32 until its last cast: the runtime computes it once, when it loads the graph, which
  it does for operators that its CPU provider has, and those lack float16.
- Convolutions have no bias of their own, whose addition by cuDNN takes twice as long as an Add; biases of inputs and of
  residual branches join the next convolution's.
- Queries and keys are normalised by the root of their mean square, in the quickest kernel for rows of 64 that is one launch.
  Their mean is taken out of the weights, and one scale serves both: only products of the two count.
- No Concat, Split or batched MatMul of unequal sizes where a form without exists: their pointers are copied to the GPU.

ONNX Runtime's optimiser of exported graphs (`onnxruntime.transformers.optimizer` of 1.32; model types vit, unet and bert) does
not find these forms. Of the plain graphs of `tatok-s-256` it leaves 187 operators that launch a kernel in the encoder, 148 in
the entropy model and 257 in the decoder; these graphs have 95, 68 and 128. It fuses no attention whose queries and keys are
normalised and no group norm. Biases that join the next convolution, and means that are taken out of weights, are algebra over
the whole graph, which rules for local patterns do not reach.
"""

import math
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import TensorProto

from ...config import ModelConfig
from ...layers import group_count
from ...model import NO_LEVEL, pooling_matrix
from ...quantizer import INSIDE, FiniteScalarQuantizer
from ..manifest import read_manifest, write_manifest
from ..onnx_graph import OPSET
from .builder import CONTRIB, GraphBuilder, StoredWeights

GRAPHS = {
    "encoder": "encoder.cuda.onnx",
    "entropy": "entropy.cuda.onnx",
    "decoder": "decoder.cuda.onnx",
    "tokenizer": "tokenizer.cuda.onnx",
}
PROVIDER = "cuda"
# Codes are looked up in tables of every code.
_LARGEST_CODEBOOK = 65_536
# Of a Split or Concat whose pointers the runtime passes as arguments of the kernel.
_MOST_PIECES = 32
_FLOAT, _HALF, _INT, _LONG, _BYTE, _BOOL = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.BOOL,
)
_EPSILON = 1e-5  # of every norm in PyTorch


def _require_graphs(bundle: Path, config: ModelConfig) -> None:
    """Raises ValueError where these graphs cannot be made for a model."""
    if not config.filters or config.global_tokens == 0:
        raise ValueError(f"{bundle} has no graphs for CUDA: they need global and patch tokens and an entropy model")
    if config.codebook_size > _LARGEST_CODEBOOK:
        size = f"its codebook has {config.codebook_size:,} codes and they look up at most {_LARGEST_CODEBOOK:,}"
        raise ValueError(f"{bundle} has no graphs for CUDA: {size}")


def add_cuda_graphs(bundle: Path) -> None:
    """Writes the CUDA graphs into a bundle's folder and lists them in its manifest.

    Raises ValueError for a model that drops no tokens, has no global tokens or has more than 65,536 codes.
    """
    manifest = read_manifest(bundle)
    config = ModelConfig.from_dict(manifest["model"])
    _require_graphs(bundle, config)
    weights = StoredWeights(bundle)
    for graph, model in cuda_graphs(config, weights).items():
        onnx.save(model, bundle / GRAPHS[graph])
        onnx.checker.check_model(bundle / GRAPHS[graph])
    write_manifest(bundle, manifest | {"variants": {PROVIDER: GRAPHS}})


def cuda_graphs(config: ModelConfig, weights: StoredWeights) -> dict[str, onnx.ModelProto]:
    """Encoder, entropy model, decoder, and the tokenizer (image -> both codes, then the entropy model's outputs while no patch
    token is visible) over the given weights."""
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
        "tokenizer": _tokenizer(config, GraphBuilder(weights)).model("tokenizer", image, {**codes, **bits, **expected}, OPSET),
    }


def _encoder(config: ModelConfig, g: GraphBuilder) -> GraphBuilder:
    codes, _ = _encode(config, g)
    for name, part in codes.items():
        g.rename(part, name)
    return g


def _tokenizer(config: ModelConfig, g: GraphBuilder) -> GraphBuilder:
    codes, terms = _encode(config, g)
    # Nothing is visible: patches are the mask. Of a patch token's terms those of a global code are zero.
    weight, bias = (g.weights.array(f"entropy_model.embed_global.{p}") for p in ("weight", "bias"))
    levels = np.array(config.levels)
    matrix = weight * (2 / (levels - 1) / _strides(config))
    matrix = np.concatenate([matrix, np.zeros_like(matrix)], 1).T.astype(np.float32)
    x = g.cast(g.node("MatMul", terms, g.constant(matrix)), _HALF)
    position = _position(config, g, "entropy_model", bias - weight.sum(1), g.weights.array("entropy_model.mask"))
    x = _transformer(g, config, x, position, "entropy_model", config.entropy_layers)
    _estimate(config, g, x, codes["patch_codes"], None)
    for name, part in codes.items():
        g.rename(part, name)
    return g


def _encode(config: ModelConfig, g: GraphBuilder) -> tuple[dict[str, str], str]:
    """Codes by name, and the terms whose sum over the last axis they are: [B, K + N, 2 D], for either head those of every token
    that is its own, else zero."""
    globals_, tokens, width = config.global_tokens, config.global_tokens + config.patch_tokens, config.width
    w = g.weights
    # Bytes minus 128 are exact in float16; the half that is missing is the bias's.
    x = _unshuffle(g, "image", config.image_size, 4)
    x = g.node("DequantizeLinear", x, g.half(1 / 128), g.constant(np.array(128, np.uint8)))
    outputs, inputs = w.array("encoder.stem.1.weight").shape[:2]
    weight = _scaled(g, g.reshape(g.weight("encoder.stem.1.weight"), outputs, 3, 4, 4, 3, 3), 128 / 127.5)
    weight = g.reshape(g.node("Transpose", weight, perm=[0, 2, 3, 1, 4, 5]), outputs, inputs, 3, 3)
    bias = _bias_map(w, "encoder.stem.1", np.full(inputs, 0.5 / 127.5, np.float32))
    x = _add_bias(g, _convolution(g, x, weight), bias, config.image_size // 4)
    x = _conv(g, _silu(g, x), "encoder.stem.3", stride=2)
    x, lacking = _conv_block(g, x, "encoder.stem.4", config.stem_widths[1])
    x = _convolution(g, x, g.weight("encoder.stem.5.weight"), stride=2)
    features = g.reshape(x, 0, config.patch_tokens, width)
    # The bias that they lack is added to the positions.
    constant = _bias_map(w, "encoder.stem.5", lacking, 2 * config.grid, stride=2).reshape(-1, width)

    # [queries ; features] in one product: of every patch W·x and x, then their averages and themselves.
    pooling = pooling_matrix(config.grid, globals_).numpy()
    start = w.array("encoder.query_start.weight")
    both = g.node("Concat", g.weight("encoder.query_start.weight"), _identity(g, np.arange(width), width), axis=0)
    both = g.node("FusedMatMul", features, both, domain=CONTRIB, transB=1)
    both = g.reshape(both, 0, 2 * config.patch_tokens, width)
    spread = np.zeros((globals_, config.patch_tokens, 2), np.float16)
    spread[..., 0] = pooling
    own = _identity(g, 2 * np.arange(config.patch_tokens) + 1, 2 * config.patch_tokens)
    combine = g.node("Concat", g.half(spread.reshape(globals_, -1)), own, axis=0)
    x = g.node("MatMul", combine, both)
    queries = w.array("encoder.query") + w.array("encoder.query_start.bias") + pooling @ constant @ start.T
    position = g.half(np.concatenate([queries, w.array("encoder.position") + constant]))
    x = _transformer(g, config, x, position, "encoder", config.encoder_layers)

    # Both heads on every token; the strides of the head that is not a token's own are zero.
    heads = ("encoder.global_head", "encoder.patch_head")
    matrix, bias = (np.concatenate([w.array(f"{head}.{p}") for head in heads]) for p in ("weight", "bias"))
    raw = g.node("Add", g.node("MatMul", g.cast(x, _FLOAT), g.constant(matrix.T)), g.constant(bias))
    levels = np.tile(np.array(config.levels, np.float32), 2)
    bounded = g.node("Mul", g.node("Tanh", raw), g.constant(levels / 2 * np.float32(INSIDE)))
    level = g.node("Round", g.node("Add", bounded, g.constant((levels - 1) / 2)))
    strides = np.zeros((tokens, 2, len(config.levels)), np.float32)
    strides[:globals_, 0] = strides[globals_:, 1] = _strides(config)
    terms = g.node("Mul", level, g.constant(strides.reshape(tokens, -1)))
    # Codes below 2¹⁶ are exact in float32.
    codes = g.cast(g.node("ReduceSum", terms, g.constant(np.array([2])), keepdims=0), _INT)
    # Two slices would become a split, which copies its unequal sizes to the GPU.
    global_codes = g.node("Gather", codes, g.constant(np.arange(globals_)), axis=1)
    return {"global_codes": global_codes, "patch_codes": _patches(g, config, codes)}, terms


def _entropy(config: ModelConfig, g: GraphBuilder) -> GraphBuilder:
    w = g.weights
    weight, bias = (w.array(f"entropy_model.embed_patch.{p}") for p in ("weight", "bias"))
    # Of a patch's row the first part is its code's coordinates, or the second says that it is not visible.
    table = _rows(config, g, (1, 0, 0, 0))
    masked = np.zeros((4, len(config.levels)), np.float16)
    masked[1, 0] = 1
    rows = g.node("Where", g.reshape("visible", 0, -1, 1, 1), g.node("Gather", table, "patch_codes"), g.constant(masked))
    of_mask = np.zeros_like(weight)
    of_mask[:, 0] = w.array("entropy_model.mask") - bias
    x = _embed(config, g, "entropy_model", rows, (weight, of_mask))
    position = _position(config, g, "entropy_model", w.array("entropy_model.embed_global.bias"), bias)
    x = _transformer(g, config, x, position, "entropy_model", config.entropy_layers)
    _estimate(config, g, x, "patch_codes", "visible")
    return g


def _estimate(config: ModelConfig, g: GraphBuilder, x: str, patch_codes: str, visible: str | None) -> None:
    """The entropy model's head and its outputs."""
    w = g.weights
    dimensions, most, patches = len(config.levels), max(config.levels), config.patch_tokens
    quantizer = FiniteScalarQuantizer(config.levels)
    logits = g.node("MatMul", g.cast(x, _FLOAT), g.constant(w.array("entropy_model.head.weight").T))
    bias = w.array("entropy_model.head.bias") + np.where(quantizer.exists, 0, NO_LEVEL).astype(np.float32).ravel()
    logits = g.node("Add", _patches(g, config, logits), g.constant(bias))
    log_q = g.node("LogSoftmax", g.reshape(logits, 0, patches, dimensions, most), axis=-1)
    q = g.node("Exp", log_q)
    # Natural logarithms to bits, and 0 bits for what is visible.
    unit = g.constant(np.array(-1 / math.log(2), np.float32))
    if visible:
        unit = g.node("Where", g.reshape(visible, 0, -1, 1, 1), g.constant(np.array(-0.0, np.float32)), unit)
    bits = g.node("Mul", log_q, unit)
    both = g.constant(np.array([2, 3]))
    g.rename(g.node("ReduceSum", g.node("Mul", q, bits), both, keepdims=0), "entropy")
    levels = _levels(config, g)
    index = g.reshape(g.cast(levels, _LONG), -1, dimensions, 1)
    level = g.node("Gather", index, patch_codes)
    g.rename(g.node("ReduceSum", g.node("GatherElements", bits, level, axis=3), both, keepdims=0), "surprisal")
    expected = g.node("Mul", q, g.constant(quantizer.grid.numpy()))
    expected = g.node("ReduceSum", expected, g.constant(np.array([3])), keepdims=0)
    if visible:
        own = g.node("Gather", _coordinates(config, g), patch_codes)
        expected = g.node("Where", g.reshape(visible, 0, -1, 1), own, expected)
    g.rename(expected, "expected_code")


def _decoder(config: ModelConfig, g: GraphBuilder) -> GraphBuilder:
    w = g.weights
    weight, bias = (w.array(f"decoder.embed_patch.{p}") for p in ("weight", "bias"))
    # A kept patch's row is its coordinates thrice, and of the second copy one is shifted by one; a dropped patch's is its
    # expected code thrice.
    offset = np.zeros((4, len(config.levels)), np.float32)
    offset[1, 0] = 1
    kept = g.node("Gather", _rows(config, g, (1, 1, 1, 1), offset), "patch_codes")
    dropped = g.reshape(g.cast("expected_code", _HALF), 0, -1, 1, len(config.levels))
    rows = g.node("Where", g.reshape("keep", 0, -1, 1, 1), kept, dropped)
    of_kept = np.zeros_like(weight)
    of_kept[:, 0] = w.array("decoder.kept") - w.array("decoder.dropped")
    rest = weight - of_kept - w.array("decoder.embed_global.weight")
    x = _embed(config, g, "decoder", rows, (rest, of_kept))
    position = _position(config, g, "decoder", w.array("decoder.embed_global.bias"), bias + w.array("decoder.dropped"))
    x = _transformer(g, config, x, position, "decoder", config.decoder_layers)
    x = g.reshape(_patches(g, config, x), 0, config.grid, config.grid, config.width)

    eighth, quarter, half = config.head_widths
    side = config.grid
    x = _upsample(g, x, "decoder.head.0", side, eighth)
    x, lacking = _conv_block(g, x, "decoder.head.1", eighth)
    x = _upsample(g, x, "decoder.head.2", 2 * side, quarter, lacking)
    if config.refinement_width:
        x = _grain(g, x, "decoder.grain.0", 4 * side, quarter)
    x, lacking = _conv_block(g, x, "decoder.head.3", quarter)
    x = _upsample(g, x, "decoder.head.4", 4 * side, half, lacking)
    if config.refinement_width:
        x = _grain(g, x, "decoder.grain.1", 8 * side, half)
    x = _silu(g, _conv(g, _silu(g, x), "decoder.head.6"))
    # Half a level more and then rounded down: rounded to the nearest.
    pixels = _subpixels(g, x, "decoder.head.8", 8 * side, scale=127.5, shift=128, channels=4)
    if config.refinement_width:
        refined = _upsample(g, x, "decoder.refine.0", 8 * side, config.refinement_width)
        refined = _silu(g, _grain(g, refined, "decoder.refine.1", 16 * side, config.refinement_width))
        pixels = g.node("Add", _shuffle(g, pixels, 8 * side, 4), _pixels(g, refined, "decoder.refine.3"))
    pixels = g.cast(g.node("Clip", pixels, g.half(0), g.half(255)), _BYTE)
    if not config.refinement_width:
        # Bytes are shuffled rather than numbers.
        pixels = _shuffle(g, pixels, 8 * side, 4)
    g.rename(_slice(g, pixels, (3,), (0,), (3,)), "image")
    return g


def _grain(g: GraphBuilder, x: str, name: str, side: int, channels: int) -> str:
    """x and its grain: the field, as strong as each place of each channel wants it."""
    weight = g.reshape(g.weight(f"{name}.strength.weight"), channels, channels)
    strength = g.node("FusedMatMul", x, weight, domain=CONTRIB, transB=1)
    strength = g.node("Add", strength, g.half(g.weights.array(f"{name}.strength.bias")))
    field = g.reshape(g.weight(f"{name}.field"), side, side, 1)
    return g.node("Add", x, g.node("Mul", strength, field))


def _pixels(g: GraphBuilder, x: str, name: str) -> str:
    """The last convolution, in levels of 255, with a fourth channel of zeros."""
    weight, bias = g.weights.array(f"{name}.weight"), g.weights.array(f"{name}.bias")
    weight = np.concatenate([weight, np.zeros_like(weight[:1])]) * np.float32(127.5)
    return g.node("Add", _convolution(g, x, g.half(weight)), g.half(np.append(bias, 0) * np.float32(127.5)))


def _transformer(g: GraphBuilder, config: ModelConfig, x: str, position: str, part: str, layers: int) -> str:
    """Blocks and the last norm over x + position. The norm after a residual branch also adds it and its bias."""
    w = g.weights

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
        query, key = _queries_and_keys(g, config, normed, f"{block}.attention")
        value = _linear(g, normed, f"{block}.attention.qkv.weight", slice(2 * config.width, 3 * config.width))
        attended = g.node("MultiHeadAttention", query, key, value, domain=CONTRIB, num_heads=config.heads)
        branch = _linear(g, attended, f"{block}.attention.project.weight")
        normed, x = add_and_norm(x, branch, f"{block}.norm2", f"{block}.attention.project.bias")
        expanded = _linear(g, normed, f"{block}.expand.weight")
        expanded = g.node("BiasGelu", expanded, g.half(w.array(f"{block}.expand.bias")), domain=CONTRIB)
        branch, bias = _linear(g, expanded, f"{block}.contract.weight"), f"{block}.contract.bias"
    return add_and_norm(x, branch, f"{part}.norm", bias)[0]


def _queries_and_keys(g: GraphBuilder, config: ModelConfig, x: str, attention: str) -> list[str]:
    """Normalised queries and keys, both [B, K + N, C]."""
    w = g.weights
    width, heads = config.width, 2 * config.heads
    size = width // config.heads
    product = w.array(f"{attention}.query_norm.weight") * w.array(f"{attention}.key_norm.weight")
    sign = np.ones((heads, size, 1), np.float32)
    sign[config.heads :, product < 0] = -1
    matrix = g.cast(g.weight(f"{attention}.qkv.weight", slice(0, 2 * width)), _FLOAT)
    centre = np.eye(size, dtype=np.float32) - np.float32(1 / size)
    matrix = g.node("MatMul", g.constant(centre), g.reshape(matrix, heads, size, width))
    matrix = g.node("Mul", matrix, g.constant(sign))
    both = g.node("FusedMatMul", x, g.cast(g.reshape(matrix, 2 * width, width), _HALF), domain=CONTRIB, transB=1)
    inputs = [g.reshape(both, -1, heads, size), g.half(np.zeros((heads, size))), g.half(np.sqrt(np.abs(product)))]
    both = g.node("SkipSimplifiedLayerNormalization", *inputs, domain=CONTRIB, epsilon=_EPSILON)
    both = g.reshape(both, -1, config.global_tokens + config.patch_tokens, 2 * width)
    return g.nodes("Split", both, g.constant(np.array([width, width])), outputs=(True, True), axis=2)


def _linear(g: GraphBuilder, x: str, weight: str, rows: slice = slice(None)) -> str:
    """x·Wᵀ with some rows of W: weights stay as PyTorch lays them out."""
    return g.node("FusedMatMul", x, g.weight(weight, rows), domain=CONTRIB, transB=1)


def _patches(g: GraphBuilder, config: ModelConfig, x: str) -> str:
    """The patch tokens' share of [B, K + N, C]."""
    first = config.global_tokens
    return _slice(g, x, (1,), (first,), (first + config.patch_tokens,))


def _strides(config: ModelConfig) -> NDArray[np.float32]:
    return FiniteScalarQuantizer(config.levels).strides.numpy().astype(np.float32)


def _levels(config: ModelConfig, g: GraphBuilder) -> str:
    """Every code's levels, [V, D] float32, which the runtime computes once when it loads the graph."""
    shape = config.levels[::-1]
    columns = []
    for axis, count in enumerate(config.levels):
        level = np.arange(count, dtype=np.float32).reshape(-1, *[1] * axis)
        columns.append(g.reshape(g.node("Expand", g.constant(level), g.constant(np.array(shape))), -1, 1))
    return g.node("Concat", *columns, axis=1)


def _coordinates(config: ModelConfig, g: GraphBuilder) -> str:
    """Every code's coordinates, [V, D] float32, likewise."""
    scale = 2 / (np.array(config.levels, np.float32) - 1)
    scaled = g.node("Mul", _levels(config, g), g.constant(scale))
    return g.node("Sub", scaled, g.constant(np.array(1, np.float32)))


def _rows(config: ModelConfig, g: GraphBuilder, parts: tuple[int, ...], offset: NDArray[np.float32] | None = None) -> str:
    """Every code's row of four parts, [V, 4, D] float16, likewise: some its coordinates, others zero, plus an offset."""
    rows = g.reshape(_coordinates(config, g), -1, 1, len(config.levels))
    rows = g.node("Mul", rows, g.constant(np.array(parts, np.float32)[:, None]))
    return g.cast(rows if offset is None else g.node("Add", rows, g.constant(offset)), _HALF)


def _embed(config: ModelConfig, g: GraphBuilder, part: str, patch_rows: str, matrices: tuple[NDArray[np.float32], ...]) -> str:
    """[B, K + N, C] of the global codes' rows, whose third part is their coordinates, and the patches', [B, N, 4, D]."""
    globals_, patches, dimensions = config.global_tokens, config.patch_tokens, len(config.levels)
    pieces = [g.node("Gather", _rows(config, g, (0, 0, 1, 0)), "global_codes")]
    # A concatenation of equal pieces has its pointers in the kernel's arguments; of unequal ones they are copied to the GPU.
    if patches % globals_ == 0 and patches // globals_ < _MOST_PIECES:
        count = patches // globals_
        sizes = g.constant(np.full(count, globals_))
        pieces += g.nodes("Split", patch_rows, sizes, outputs=(True,) * count, axis=1)
    else:
        pieces.append(patch_rows)
    rows = g.reshape(g.node("Concat", *pieces, axis=1), 0, globals_ + patches, 4 * dimensions)
    of_global = g.weights.array(f"{part}.embed_global.weight")
    matrix = np.concatenate([*matrices, of_global, np.zeros_like(of_global)], 1).T
    return g.node("MatMul", rows, g.half(matrix))


def _position(
    config: ModelConfig, g: GraphBuilder, part: str, of_global: NDArray[np.float32], of_patch: NDArray[np.float32]
) -> str:
    """Positions [K + N, C], plus what all global and all patch tokens have in common."""
    positions = [g.weights.array(f"{part}.global_position") + of_global, g.weights.array(f"{part}.position") + of_patch]
    return g.half(np.concatenate(positions))


def _identity(g: GraphBuilder, ones: NDArray[np.integer], width: int) -> str:
    """A row for each of `ones` that is zero except there, which the runtime computes once when it loads the graph."""
    return g.cast(g.node("Equal", g.constant(ones[:, None]), g.constant(np.arange(width))), _HALF)


def _slice(g: GraphBuilder, x: str, axes: tuple[int, ...], starts: tuple[int, ...], ends: tuple[int, ...]) -> str:
    return g.node("Slice", x, *(g.constant(np.array(values)) for values in (starts, ends, axes)))


def _silu(g: GraphBuilder, x: str) -> str:
    return g.node("QuickGelu", x, domain=CONTRIB, alpha=1.0)


def _scaled(g: GraphBuilder, weight: str, factor: float) -> str:
    return g.cast(g.node("Mul", g.cast(weight, _FLOAT), g.constant(np.array(factor, np.float32))), _HALF)


def _convolution(g: GraphBuilder, x: str, weight: str, stride: int = 1) -> str:
    """A 3×3 convolution of [B, H, W, C] without a bias; its weights are laid out anew when the graph is loaded."""
    weight = g.node("Transpose", weight, perm=[0, 2, 3, 1])
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [stride, stride]}
    return g.node("NhwcConv", x, weight, domain=CONTRIB, **attributes)


def _add_bias(g: GraphBuilder, x: str, bias: NDArray[np.float32], side: int) -> str:
    """`bias`: of every channel, or [3, 3, C], that of corners, borders and all between of pixels `side` wide."""
    added = g.half(bias)
    if bias.ndim > 1:
        alike = g.constant(np.array([0, *[1] * (side - 2), 2]))
        added = g.node("Gather", g.node("Gather", added, alike, axis=0), alike, axis=1)
    return g.node("Add", x, added)


def _bias_map(w: StoredWeights, name: str, lacking: NDArray[np.float32], side: int = 3, stride: int = 1) -> NDArray[np.float32]:
    """The constant that a 3×3 convolution adds to every pixel whose inputs, `side` wide, lack a bias of theirs: [H, W, C]."""
    weight, bias = (torch.from_numpy(w.array(f"{name}.{p}")) for p in ("weight", "bias"))
    pixels = torch.from_numpy(lacking)[None, :, None, None].expand(1, -1, side, side)
    return F.conv2d(pixels, weight, bias, stride, 1)[0].permute(1, 2, 0).numpy()


def _conv(g: GraphBuilder, x: str, name: str, stride: int = 1) -> str:
    return g.node("Add", _convolution(g, x, g.weight(f"{name}.weight"), stride), g.half(g.weights.array(f"{name}.bias")))


def _conv_block(g: GraphBuilder, x: str, name: str, channels: int) -> tuple[str, NDArray[np.float32]]:
    """The block's output short of a bias of every channel, and that."""
    norm = [g.constant(g.weights.array(f"{name}.norm.{p}")) for p in ("weight", "bias")]
    attributes = {"activation": 1, "channels_last": 1, "epsilon": _EPSILON, "groups": group_count(channels)}
    y = g.node("GroupNorm", x, *norm, domain=CONTRIB, **attributes)
    y = _convolution(g, _silu(g, _conv(g, y, f"{name}.conv1")), g.weight(f"{name}.conv2.weight"))
    return g.node("Add", x, y), g.weights.array(f"{name}.conv2.bias")


def _subpixels(
    g: GraphBuilder,
    x: str,
    name: str,
    side: int,
    lacking: NDArray[np.float32] | None = None,
    scale: float = 1,
    shift: float = 0,
    channels: int = 0,
) -> str:
    """The convolution of an upsampling, scaled and shifted, as `_shuffle` takes it: [B, side, side, (2, 2, C)].

    `lacking`: what the inputs' channels still have to be added. `channels`: C at least, with zeros added: graphs with
    twelve output channels looked slower to launch at batch 1 than those with sixteen.
    """
    w = g.weights
    outputs, inputs = w.array(f"{name}.conv.weight").shape[:2]
    own = outputs // 4
    weight = g.reshape(g.weight(f"{name}.conv.weight"), own, 2, 2, inputs, 3, 3)
    weight = g.node("Transpose", weight, perm=[1, 2, 0, 3, 4, 5])
    bias = w.array(f"{name}.conv.bias") if lacking is None else _bias_map(w, f"{name}.conv", lacking)
    bias = bias.reshape(*bias.shape[:-1], own, 4).swapaxes(-1, -2)
    if channels > own:
        weight = g.node("Concat", weight, g.half(np.zeros((2, 2, channels - own, inputs, 3, 3))), axis=2)
        bias = np.concatenate([bias, np.zeros((*bias.shape[:-1], channels - own), np.float32)], -1)
    weight = g.reshape(weight, -1, inputs, 3, 3)
    bias = bias.reshape(*bias.shape[:-2], -1)
    y = _convolution(g, x, weight if scale == 1 else _scaled(g, weight, scale))
    return _add_bias(g, y, bias * np.float32(scale) + np.float32(shift), side)


def _upsample(g: GraphBuilder, x: str, name: str, side: int, channels: int, lacking: NDArray[np.float32] | None = None) -> str:
    return _shuffle(g, _subpixels(g, x, name, side, lacking), side, channels)


def _shuffle(g: GraphBuilder, x: str, side: int, channels: int) -> str:
    """[B, side, side, (2, 2, C)] -> [B, 2·side, 2·side, C]: rows of two pixels' channels move as a whole."""
    x = g.node("Transpose", g.reshape(x, -1, side, 2, 2 * channels), perm=[0, 2, 1, 3])
    return g.reshape(x, -1, 2 * side, 2 * side, channels)


def _unshuffle(g: GraphBuilder, x: str, size: int, factor: int) -> str:
    """[B, S, S, 3] -> [B, S/f, S/f, (f, f, 3)]."""
    side = size // factor
    x = g.node("Transpose", g.reshape(x, -1, factor, side, factor * 3), perm=[0, 2, 1, 3])
    return g.reshape(x, -1, side, side, factor * factor * 3)
