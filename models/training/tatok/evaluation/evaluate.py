"""Measures a model on folders of images, beside codecs at the same bytes, and writes metrics, tables, plots and CSV files."""

import csv
import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..bench.machine import describe_machine
from ..bundle.manifest import file_entry, read_manifest
from ..data.images import eval_batches, list_images
from ..features import SqueezeNetDistance
from .backend import Backend, open_backend
from .card import check_card, write_card
from .codecs import Codec, available_codecs, encode_all
from .encoded_folder import EncodedFolder, Judges
from .filtering import Figures, FilterEvaluation
from .recognition import efficientnet_lite0, squeezenet
from .reference_metrics import InceptionFigures, Lpips
from .report import DEFAULT, EVERY_TOKEN, TARGET, codec_points, write_report

PROTOCOL = "short side to {size} pixels by Lanczos (Pillow), central square"
NPZ_POINTS = {EVERY_TOKEN: "every-token", "distortion, ε = 0": "every-token", DEFAULT: "default", TARGET: "target-total"}
"""Points whose pictures are written for other evaluators, and their names in files."""
BEYOND = (1.5, 2.0)
"""Multiples of every token's bytes at which codecs are measured too, so that their curves go on."""


def measure(
    folder: EncodedFolder, reference_bits: float | None, defaults: dict[str, Any] | None = None, *, quick: bool = False
) -> Figures:
    """All figures of one folder. A model whose tokens cannot be dropped has one point where others have a curve."""
    result: Figures = {
        "images": len(folder.files),
        "photographs": folder.originals(),
        "reduced": folder.reduced_quality(),
        "codebook": {"size": folder.backend.codebook_size, **folder.codebook_usage()},
    }
    if folder.backend.filters:
        return result | FilterEvaluation(folder, quick=quick).measure(reference_bits, defaults)
    return result | {"sweep": [{"loss_rate": 0.0, **folder.quality(folder.everything(), EVERY_TOKEN, sets=True)}]}


def measure_codecs(folder: EncodedFolder, codecs: list[Codec]) -> Figures:
    """Quality of codecs where every image has as many bytes as the model's tokens and mask took there, by codec and point.

    Points are those of the sweep by distortion, of the target total and of the defaults, and beyond every token. An image whose
    smallest file is larger has that file; `too_large` is the share of such images.
    """
    budgets = {name: folder.per_image[name]["bytes"] for name in codec_points(folder.per_image)}
    largest = next(iter(budgets.values()))
    budgets |= {f"{factor:g} times the bytes of every token": largest * factor for factor in BEYOND}
    most, result = int(max(budget.max() for budget in budgets.values())), {}
    for codec in codecs:
        ladders = encode_all(codec, folder.encoded.images, most)
        smallest = np.array([ladder.smallest() for ladder in ladders])
        points = {}
        for name, budget in budgets.items():
            files = [ladder.best(int(b)).data for ladder, b in zip(ladders, budget, strict=True)]
            side, parts = folder.backend.image_size, folder.slices(len(files))
            pictures = (np.stack([codec.read(file, side) for file in files[part]]) for part in parts)
            rates = {"bytes": np.array([len(file) for file in files], dtype=np.float64)}
            points[name] = folder.judge(pictures, f"{codec.name} at the bytes of {name}", rates)
            points[name]["too_large"] = float((smallest > budget).mean())
        result[codec.name] = points
    return result


def reference_budget(backend: Backend, folder: Path, batch: int = 8) -> float:
    """Mean Σĥ in bits over a folder of training images: the B of the reference budget.

    Raises ValueError for a folder without images.
    """
    sums = []
    for images in eval_batches(list_images(folder), backend.image_size, batch):
        sums.append(backend.estimate(*backend.encode(images)).entropy.astype(np.float64).sum(1))
    if not sums:
        raise ValueError(f"no images in {folder}")
    return float(np.concatenate(sums).mean())


def evaluate(
    model: Path,
    folders: list[Path],
    out: Path,
    *,
    perceptual: Path | None = None,
    lpips: Path | None = None,
    inception: Path | None = None,
    limit: int | None = None,
    batch: int = 8,
    runtime: str = "onnx",
    quick: bool = False,
    npz: bool = False,
    card: bool = False,
    progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measures `model` on each folder; writes metrics.json and, named after the folder, a table, plots and CSV to `out`.

    `perceptual`, `lpips` and `inception` are weights of networks, see `SqueezeNetDistance` and `reference_metrics`. Photographs
    that have labels, see `read_labels`, are recognised too. `npz` writes pictures for ADM's evaluator, `card` the figures of
    a bundle into its README.md and manifest.json.

    Raises ValueError when two folders have one name, for a folder without images, and for a card of a part of the images.
    """
    names = [path.name for path in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several folders are called {', '.join(twice)}: reports are named after their folders")
    if card:
        if quick or limit is not None:
            raise ValueError("a model card has figures of all images: leave --quick and --limit out with --write-card")
        check_card(model)
    manifest = read_manifest(model) if (model / "manifest.json").exists() else {}
    judges = _judges(perceptual, lpips, inception)
    codecs, absent = ([], []) if quick else available_codecs()
    if absent:
        progress(f"{', '.join(absent)} left out: pip install 'tatok[codecs]'")
    backend = open_backend(model, runtime)
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "model": backend.name,
        "runtime": type(backend).__name__,
        "global_tokens": backend.global_tokens,
        "patch_tokens": backend.patch_tokens,
        "reference_budget_bits": manifest.get("referenceBudgetBits"),
        "provenance": _provenance(model, manifest, backend, judges) | {"codecs_left_out": absent},
        "folders": {},
    }
    for path in folders:
        progress(f"{path.name}: encoding and measuring")
        folder = EncodedFolder(backend, path, limit, batch, judges)
        folder.keep_pictures = tuple(NPZ_POINTS) if npz else ()
        if folder.labels is None and not judges.recognizers:
            progress(f"{path.name}: recognition left out: EfficientNet-Lite0 is not installed")
        data = measure(folder, results["reference_budget_bits"], manifest.get("defaults"), quick=quick)
        if codecs:
            progress(f"{path.name}: coding with {', '.join(codec.name for codec in codecs)}")
            data["codecs"] = measure_codecs(folder, codecs)
        data["file_list_sha256"] = _write_file_list(path, folder.files, out / f"{path.name}-files.sha256")
        results["folders"][path.name] = data
        (out / "metrics.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _write_images(folder, path, out / f"{path.name}-images.csv")
        write_report(results, path.name, folder, out)
        if npz:
            _write_npz(folder, out)
    if card:
        write_card(model, results)
    return results


def _judges(perceptual: Path | None, lpips: Path | None, inception: Path | None) -> Judges:
    recognizers = [efficientnet_lite0(), None if perceptual is None else squeezenet(perceptual)]
    return Judges(
        distance=None if perceptual is None else SqueezeNetDistance(perceptual),
        lpips=None if lpips is None else Lpips(lpips),
        inception=None if inception is None else InceptionFigures(inception),
        recognizers=tuple(r for r in recognizers if r is not None),
    )


def _provenance(model: Path, manifest: dict[str, Any], backend: Backend, judges: Judges) -> dict[str, Any]:
    """The origin of every figure: the model's files, the images' preparation, networks, software and machine."""
    files = [model / file for file in manifest["graphs"].values()] if manifest else sorted(model.glob("*.safetensors"))
    packages = ("torch", "onnxruntime", "numpy", "scipy", "pillow", "torchmetrics")
    return {
        "protocol": PROTOCOL.format(size=backend.image_size),
        "version": manifest.get("version"),
        "model_files": [file_entry(file) for file in files or [model]],
        "recognition": {r.column: r.description() for r in judges.recognizers},
        "lpips": None if judges.lpips is None else judges.lpips.description(),
        "inception": None if judges.inception is None else judges.inception.description(),
        "software": {package: version(package) for package in packages},
        "machine": describe_machine(),
    }


def _write_file_list(folder: Path, files: list[Path], path: Path) -> str:
    """Checksums of the images in the form that `sha256sum --check` reads; returns the checksum of that list."""
    lines = [f"{file_entry(file)['sha256']}  {file.relative_to(folder).as_posix()}\n" for file in files]
    path.write_text("".join(lines), encoding="utf-8")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_images(folder: EncodedFolder, root: Path, path: Path) -> None:
    """One row for every image at every point that was measured; a figure that a point does not have is empty."""
    columns = list(dict.fromkeys(column for figures in folder.per_image.values() for column in figures))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("point", "image", *columns))
        for point, figures in folder.per_image.items():
            for index, image in enumerate(folder.files):
                cells = (f"{figures[c][index]:.6g}" if c in figures else "" for c in columns)
                writer.writerow((point, image.relative_to(root).as_posix(), *cells))


def _write_npz(folder: EncodedFolder, out: Path) -> None:
    """Pictures as `arr_0`, uint8 [n, S, S, 3], which ADM's evaluator takes as reference and as sample batch."""
    np.savez(out / f"{folder.name}-originals.npz", folder.encoded.images)
    for point, pictures in folder.pictures.items():
        np.savez(out / f"{folder.name}-{NPZ_POINTS[point]}.npz", pictures)
