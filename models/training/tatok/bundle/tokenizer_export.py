"""`tatok.export_tokenizer`: a bundle from any pair of PyTorch modules that encode and decode images."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .format import (
    Attention,
    Codebook,
    GridStream,
    Image,
    Manifest,
    Resample,
    SequenceStream,
    Signature,
    Stream,
    VqCodebook,
    signatures,
)
from .manifest import file_entry
from .onnx_graph import Precision, onnx_graph, save_graph, store_as_half

_CODEBOOK_FILE = "codebook.npy"


class _Encoder(nn.Module):
    """image u8 [B, H, W, 3] -> the codes of every stream, then the attention of the first sequence's tokens."""

    def __init__(self, encode: nn.Module, signature: Signature, value_range: tuple[float, float]) -> None:
        super().__init__()
        self.encode, self.outputs = encode, signature.outputs
        self.low, self.high = value_range

    def results(self, image: Tensor) -> tuple[Tensor, ...]:
        """The outputs as `encode` gives them."""
        scaled = image.permute(0, 3, 1, 2).float() * ((self.high - self.low) / 255) + self.low
        results = self.encode(scaled)
        return results if isinstance(results, tuple) else (results,)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        results = zip(self.results(inputs[0]), self.outputs.values(), strict=True)
        return tuple(result.reshape(-1, *spec.shape).to(getattr(torch, spec.types[0])) for result, spec in results)

    def check(self, image: Tensor) -> None:
        """Raises ValueError where `encode` does not give what it should."""
        results = self.results(image)
        if len(results) != len(self.outputs):
            raise ValueError(f"encode must return {', '.join(self.outputs)}; it returned {len(results)} tensors")
        for result, (name, (types, shape)) in zip(results, self.outputs.items(), strict=True):
            if result.shape[0] != len(image) or result.numel() != len(image) * math.prod(shape):
                wanted = ", ".join(map(str, (len(image), *shape)))
                raise ValueError(f"encode must return {name} as [{wanted}] for {len(image)} images, not {list(result.shape)}")
            if types[0] != "float32" and result.is_floating_point():
                raise ValueError(f"encode must return {name} as integers, not {result.dtype}")


class _Decoder(nn.Module):
    """The codes of every stream, then the masks of prefixes -> image u8 [B, H, W, 3]."""

    def __init__(self, decode: nn.Module, streams: list[Stream], value_range: tuple[float, float]) -> None:
        super().__init__()
        self.decode, self.streams = decode, streams
        self.low, self.high = value_range

    def pixels(self, *inputs: Tensor) -> Tensor:
        """The image as `decode` gives it."""
        codes = [self._shaped(stream, each) for stream, each in zip(self.streams, inputs, strict=False)]
        return self.decode(*codes, *inputs[len(codes) :])

    def forward(self, *inputs: Tensor) -> Tensor:
        scaled = (self.pixels(*inputs).float() - self.low) * (255 / (self.high - self.low))
        return scaled.clamp(0, 255).round().permute(0, 2, 3, 1).to(torch.uint8)

    @staticmethod
    def _shaped(stream: Stream, codes: Tensor) -> Tensor:
        if isinstance(stream, GridStream):
            codes = codes.unflatten(1, (stream.rows, stream.columns))
        return codes if codes.is_floating_point() else codes.long()


def export_tokenizer(
    encode: nn.Module,
    decode: nn.Module,
    *,
    out: Path | str,
    name: str,
    image_size: int | tuple[int, int],
    codebook: Tensor | int | Codebook,
    grid: tuple[int, int] | None = None,
    tokens: int | None = None,
    depth: int = 1,
    prefix: bool = False,
    attention: tuple[int, int] | None = None,
    patch: int | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
    resample: Resample = "lanczos3",
    version: str = "1",
    description: str = "",
    licence: str = "unknown",
    precision: Precision = "float16",
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a bundle of format 2 that the inspector and `python -m tatok check` open; returns its folder.

    The modules are called in evaluation mode, and left as they were:

    * ``encode(image)`` takes float32 ``[B, 3, height, width]`` in `value_range` and returns integer codes: ``[B, rows,
      columns]`` for a `grid` (``[B, rows, columns, depth]`` where `depth` is over 1), ``[B, tokens]`` for `tokens`, flattened
      or not; a tuple of the two, tokens first, where both are given. With `attention`, the last of the tuple is float32
      ``[B, layers, heads, tokens, patches]``: each token's attention over the patches of the picture.
    * ``decode(codes)`` takes int64 codes of those shapes, tokens first, and returns float32 ``[B, 3, height, width]`` in
      `value_range`. With `prefix` it takes one more argument, bool ``[B, tokens]`` (``[B, depth]`` without `tokens`): true for
      the leading part that it is to decode from.

    :param image_size: pixels, one number for a square or (height, width).
    :param codebook: the vectors ``[codes, dimensions]`` that codes stand for, or only their number; or one of `FsqCodebook`,
        `BitsCodebook`, `ContinuousLatents` of `tatok.bundle.format`. With the last, float32 vectors take the place of codes.
    :param grid: rows and columns of patch codes.
    :param tokens: length of a sequence of codes.
    :param attention: layers and heads of the maps that `encode` returns.
    :param patch: side in pixels of what one cell of the grid, or one attended patch, stands for; height / rows by default, 16
        without a grid.
    :param resample: how photographs are brought to `image_size`, see `tatok.bundle.format.Image`.
    :param precision: of stored weights of 4,096 numbers or more.
    :param extra: more keys of the manifest.
    :raises ValueError: where the modules do not do what the arguments say, or PyTorch cannot export them for any batch size.
    """
    out = Path(out)
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if grid is None and tokens is None:
        raise ValueError("give grid, tokens or both: the shape of the codes")
    if grid is None and depth > 1:
        raise ValueError("depth is that of a grid's cells: give grid")
    patch = patch or (height // grid[0] if grid else 16)
    streams: list[Stream] = []
    if tokens is not None:
        streams.append(SequenceStream(name="global_codes", tokens=tokens, codebook="codes", prefix=prefix))
    if grid is not None:
        own_prefix = prefix and tokens is None
        rows, columns = grid
        streams.append(
            GridStream(name="patch_codes", rows=rows, columns=columns, codebook="codes", depth=depth, prefix=own_prefix)
        )
    vectors = codebook.detach().float().cpu().numpy() if isinstance(codebook, Tensor) else None
    if vectors is not None and precision == "float16":
        vectors = vectors.astype(np.float16).astype(np.float32)
    graphs = {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}

    def manifest(files: list[dict[str, Any]]) -> Manifest:
        return Manifest(
            name=name,
            version=version,
            description=description,
            licence=licence,
            image=Image(width=width, height=height, patch=patch, resample=resample),
            streams=streams,
            codebooks={"codes": _codebook(codebook)},
            attention=Attention(layers=attention[0], heads=attention[1]) if attention else None,
            graphs=graphs,
            files=files,
            **(extra or {}),
        )

    # A manifest of files that do not exist yet finds faults of the arguments before minutes of work.
    named = [*graphs.values(), *([_CODEBOOK_FILE] if vectors is not None else [])]
    promised = signatures(manifest([{"path": file, "bytes": 1, "sha256": "0" * 64} for file in named]))
    encoder = _Encoder(copy.deepcopy(encode).cpu().eval(), promised["encoder"], value_range)
    decoder = _Decoder(copy.deepcopy(decode).cpu().eval(), streams, value_range)
    image = torch.randint(256, (2, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        encoder.check(image)
        codes = encoder(image)[: len(streams)]
        prefixes = list(promised["decoder"].inputs.values())[len(codes) :]
        masks = [torch.ones(2, *spec.shape, dtype=torch.bool) for spec in prefixes]
        decoded = list(decoder.pixels(*codes, *masks).shape)
    if decoded != [2, 3, height, width]:
        raise ValueError(f"decode must return [2, 3, {height}, {width}] for 2 images, not {decoded}")
    out.mkdir(parents=True, exist_ok=True)
    files = []
    if vectors is not None:
        np.save(out / _CODEBOOK_FILE, vectors)
        files.append(out / _CODEBOOK_FILE)
    inputs = dict(zip(promised["decoder"].inputs, (*codes, *masks), strict=True))
    for graph, module, examples in (("encoder", encoder, {"image": image}), ("decoder", decoder, inputs)):
        model = onnx_graph(module, examples, list(promised[graph].outputs), graph)
        files += save_graph(store_as_half(model) if precision == "float16" else model, out / graphs[graph])
    (out / "manifest.json").write_text(manifest([file_entry(file) for file in files]).to_json(), encoding="utf-8")
    return out


def _codebook(given: Tensor | int | Codebook) -> Codebook:
    if isinstance(given, int):
        return VqCodebook(size=given)
    if isinstance(given, Tensor):
        if given.ndim != 2:
            raise ValueError(f"a codebook's vectors must be [codes, dimensions], not {list(given.shape)}")
        return VqCodebook(size=given.shape[0], dimensions=given.shape[1], file=_CODEBOOK_FILE)
    return given
