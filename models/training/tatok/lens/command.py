"""`python -m tatok lens`: a frozen tokenizer's bundle with an entropy model, so that its tokens can be dropped."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from ..bundle.format import Defaults, Expected, Graphs, Manifest
from ..bundle.manifest import file_entry
from ..bundle.onnx_graph import onnx_graph, save_graph, store_as_half
from ..data.images import list_images
from .fit import FitConfig, fit
from .frozen import Codes, Frozen, Progress, encode_photographs
from .lens_graphs import EntropyGraph, FillGraph, filled_in, integer_type
from .lens_report import LensFigures, report
from .network import Lens
from .sizes import SIZES, Filling

_ENTROPY, _DECODER = "entropy.onnx", "decoder.onnx"
LEAST_PHOTOGRAPHS = 8
_HALF = 0.5


def make_lens(
    bundle: Path,
    images: Path,
    out: Path,
    config: FitConfig,
    *,
    filling: Filling,
    held_out: int,
    threads: int,
    say: Progress,
    stopped: Callable[[], bool],
) -> str | None:
    """Fits a lens and writes `out`, the bundle with it; returns the report, or None where it was stopped and can go on.

    A quarter of the photographs, `held_out` at most, are not fitted to: half of them choose the step and the temperature, the
    figures are of the other half. `out` holds codes and a checkpoint until the bundle is whole. Raises ValueError and OSError.
    """
    frozen = Frozen.open(bundle)
    if (out / "manifest.json").exists():
        raise ValueError(f"{out} is a bundle already: choose another folder")
    files = list_images(images)
    if len(files) < LEAST_PHOTOGRAPHS:
        raise ValueError(f"{images} has {len(files)} photographs: a lens needs {LEAST_PHOTOGRAPHS} at least, better thousands")
    vectors = frozen.vectors()
    torch.manual_seed(config.seed)
    # Before minutes of work: this refuses what a lens cannot read.
    lens = Lens(frozen.manifest, frozen.stream, SIZES[config.size], vectors, filling)
    out.mkdir(parents=True, exist_ok=True)
    cache, checkpoint = out / "codes.npz", out / "lens.pt"
    codes, read = encode_photographs(frozen, files, cache, say, batch=8, threads=threads)
    order = np.random.default_rng(config.seed).permutation(len(read))
    half = max(1, min(held_out, len(read) // 4) // 2)
    for_choice, for_figures, for_fit = order[:half], order[half : 2 * half], order[2 * half :]

    def some(indices: np.ndarray) -> Codes:
        return {name: values[indices] for name, values in codes.items()}

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fitted = fit(lens, some(for_fit), some(for_choice), config, checkpoint, say, device=device, stopped=stopped)
    if fitted is None:
        return None
    manifest = write_bundle(frozen, lens.cpu(), out)
    pixels = np.stack([frozen.read(read[index]) for index in for_figures])
    measured = LensFigures(frozen, out, manifest, pixels, some(for_figures), threads=threads)
    rankings = measured.rank(8, 8)
    figures: dict[str, Any] = {
        "options": asdict(config) | {"filling": filling},
        "photographs": len(for_figures),
        "fittedTo": len(for_fit),
        "fit": fitted,
        "bits": measured.bits(),
        "calibration": measured.calibration(),
        "curves": measured.curves(8, say),
    }
    text = report(figures, frozen.manifest.name)
    (out / "lens.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (out / "lens.md").write_text(text, encoding="utf-8")
    # ε of the middle of the orders: half of the tokens are dropped at first.
    middle = [ranking.lost_bits[round(_HALF * measured.tokens)] / ranking.lost_bits[-1] for ranking in rankings]
    total = float(np.mean([ranking.lost_bits[-1] for ranking in rankings]))
    summary = {"fittedTo": len(for_fit), "photographs": len(for_figures), "bits": figures["bits"]["others"]}
    finish(out, manifest, loss_rate=round(float(np.mean(middle)), 2), total_bits=total, summary=summary | figures["options"])
    cache.unlink()
    checkpoint.unlink()
    return text


def write_bundle(frozen: Frozen, lens: Lens, out: Path) -> Manifest:
    """Writes all files of the bundle but its manifest, which is returned with settings that `finish` replaces.

    Graphs that were made for one execution provider, `variants`, are left out: they know nothing of the lens.
    """
    source = frozen.manifest
    kept = {entry.path for entry in source.files} - set(_variant_files(source)) - {source.graphs.decoder}
    kept -= {f"{source.graphs.decoder}.data"}
    for name in kept:
        shutil.copyfile(frozen.folder / name, out / name)
    streams = [stream.name for stream in source.streams]
    decoder = onnx.load(frozen.folder / source.graphs.decoder)
    entropy = EntropyGraph(lens, streams)
    inputs = _examples(frozen, torch.int32)
    graph = onnx_graph(entropy, {name: inputs[name] for name in entropy.inputs}, entropy.outputs, "the lens")
    written = save_graph(store_as_half(graph), out / _ENTROPY)
    filling = FillGraph(frozen.stream.name)
    inputs = _examples(frozen, integer_type(decoder, frozen.stream.name))
    graph = onnx_graph(filling, {name: inputs[name] for name in filling.inputs}, filling.outputs, "the filling in")
    written += save_graph(filled_in(decoder, graph, frozen.stream.name), out / _DECODER)
    files = [*(entry for entry in source.files if entry.path in kept), *(file_entry(path) for path in written)]
    return Manifest.model_validate(
        source.model_dump()
        | {
            "format_version": 2,
            "name": f"{source.name}-lens",
            "description": f"{source.description}, with a lens".removeprefix(", "),
            "expected": Expected(dimensions=1, stream=frozen.stream.name, given="others"),
            "graphs": Graphs(encoder=source.graphs.encoder, entropy=_ENTROPY, decoder=_DECODER),
            "variants": {},
            "defaults": Defaults(loss_rate=_HALF, edge_priority=0, budget="image", conditioning="sequential"),
            "reference_budget_bits": 0.0,
            "files": [entry.model_dump() if hasattr(entry, "model_dump") else entry for entry in files],
        }
    )


def finish(out: Path, manifest: Manifest, *, loss_rate: float, total_bits: float, summary: dict[str, Any]) -> None:
    """Writes the manifest: with it the folder is a bundle."""
    assert manifest.defaults is not None
    defaults = manifest.defaults.model_copy(update={"loss_rate": loss_rate})
    whole = manifest.model_dump() | {"defaults": defaults, "reference_budget_bits": total_bits, "lens": summary}
    (out / "manifest.json").write_text(Manifest.model_validate(whole).to_json(), encoding="utf-8")


def _variant_files(manifest: Manifest) -> list[str]:
    named = [each.model_dump(include={"encoder", "entropy", "decoder", "tokenizer"}) for each in manifest.variants.values()]
    return [file for files in named for file in files.values() if file]


def _examples(frozen: Frozen, integers: torch.dtype) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = frozen.stream.shape[0]
    codes = {s.name: torch.zeros(2, *s.shape, dtype=integers) for s in frozen.manifest.streams}
    return codes | {
        "visible": torch.rand(2, tokens, generator=generator) < 0.5,
        "keep": torch.rand(2, tokens, generator=generator) < 0.5,
        "expected_code": torch.zeros(2, tokens, 1),
    }
