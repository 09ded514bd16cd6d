"""Measures a model on folders of images: quality against tokens, filter orders, calibration, codebook usage, adaptivity."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .backend import Array, Backend, Estimate, open_backend
from .bundle import read_manifest
from .data import centre_crop, eval_batches, list_images
from .filter import Ranking, drop_order, filter_tokens, rank_sequentially
from .losses import SqueezeNetDistance
from .metrics import luma, psnr, ssim
from .report import write_report

LOSS_RATES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
EQUAL_KEPT = (24, 48, 96)
EDGE_PRIORITIES = (0.0, 0.5, 1.0, 2.0)
TARGET_TOTAL = 57
"""Mean total of tokens at which adaptive models are compared: the paper's 56.4, TiTok-B's 57."""


@dataclass
class Encoded:
    """A folder's images and their codes; every array has one row an image."""

    images: Array
    global_codes: Array
    patch_codes: Array
    estimate: Estimate


class Evaluation:
    """Measurements of one backend on one folder."""

    def __init__(self, backend: Backend, folder: Path, limit: int | None, batch: int, distance: SqueezeNetDistance | None):
        self.backend, self.batch = backend, batch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.distance = None if distance is None else distance.to(self.device)
        files = list_images(folder)[:limit]
        if not files:
            raise ValueError(f"no images in {folder}")
        images = np.stack([centre_crop(f, backend.image_size) for f in files])
        codes = [backend.encode(images[i : i + batch]) for i in range(0, len(images), batch)]
        global_codes, patch_codes = (np.concatenate(part) for part in zip(*codes, strict=True))
        self.encoded = Encoded(images, global_codes, patch_codes, self._estimate(global_codes, patch_codes, None))
        self.rankings = self.sequential_rankings()

    def _estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None) -> Estimate:
        parts = [
            self.backend.estimate(global_codes[s], patch_codes[s], None if visible is None else visible[s])
            for s in self._slices(len(patch_codes))
        ]
        return Estimate(*(np.concatenate(p) for p in zip(*parts, strict=True)))

    def _slices(self, count: int) -> list[slice]:
        return [slice(i, i + self.batch) for i in range(0, count, self.batch)]

    def quality(self, keep: Array, expected: Array | None = None) -> dict[str, float]:
        """Mean tokens, PSNR, SSIM and perceptual distance of the images decoded with these kept masks [images, N]."""
        data = self.encoded
        expected = data.estimate.expected_code if expected is None else expected
        values: list[torch.Tensor] = []
        for s in self._slices(len(keep)):
            decoded = self.backend.decode(data.global_codes[s], data.patch_codes[s], expected[s], keep[s])
            a, b = (torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (decoded, data.images[s]))
            row = [psnr(a, b), ssim(a, b)]
            if self.distance is not None:
                with torch.inference_mode():
                    row.append(self.distance(*(x.permute(0, 3, 1, 2).float() / 127.5 - 1 for x in (a, b))))
            values.append(torch.stack(row, 1).cpu())
        means = torch.cat(values).double().mean(0).tolist()
        kept = float(keep.sum(1).mean())
        result = {"kept": kept, "total": kept + self.backend.global_tokens}
        result["payload_bits"] = result["total"] * float(np.log2(self.backend.codebook_size))
        return result | dict(zip(("psnr", "ssim", "squeezenet_distance"), means, strict=False))

    def filtered(self, loss_rate: float, budget_bits: float | None = None, edge_priority: float = 0.0) -> Array:
        """Kept masks of Dynamic Token Filtering, one row an image."""
        options = {"loss_rate": loss_rate, "budget_bits": budget_bits, "edge_priority": edge_priority}
        return np.stack([filter_tokens(h, *self.backend.grid, **options) for h in self.encoded.estimate.entropy])

    def keep_first(self, scores: Array, count: int, edge_priority: float = 0.0) -> Array:
        """Kept masks of the `count` patches of highest score, ties by the filter's tie-break."""
        keep = np.zeros(scores.shape, dtype=bool)
        for row, score in zip(keep, scores, strict=True):
            row[drop_order(score, *self.backend.grid, edge_priority)[score.size - count :]] = True
        return keep

    def sequential_rankings(self) -> list[Ranking]:
        """One ranking an image, patches revealed in rounds by re-estimated ĥ."""
        data = self.encoded
        rankings = []
        for global_codes, patch_codes in zip(data.global_codes, data.patch_codes, strict=True):

            def estimate(visible: Array, g: Array = global_codes, z: Array = patch_codes) -> Array:
                return self.backend.estimate(g[None], z[None], visible[None]).entropy[0]

            rankings.append(rank_sequentially(estimate, *self.backend.grid))
        return rankings

    def sequential_quality(self, keep: Array) -> dict[str, float]:
        """As `quality`, with E_q[z] given what is kept."""
        data = self.encoded
        return self.quality(keep, self._estimate(data.global_codes, data.patch_codes, keep).expected_code)

    def orders(self, count: int) -> dict[str, dict[str, float]]:
        """Quality at `count` kept tokens for every order that the filter competes with."""
        data, generator = self.encoded, np.random.default_rng(0)
        patches = data.patch_codes.shape[1]
        raster = np.broadcast_to(-np.arange(patches, dtype=np.float64), data.patch_codes.shape)
        scores = {
            "conditional entropy": data.estimate.entropy,
            "random": generator.random(data.patch_codes.shape),
            "raster": raster,
            "pixel variance": self._patch_variance(),
            "surprisal": data.estimate.surprisal,
        }
        result = {name: self.quality(self.keep_first(score, count)) for name, score in scores.items()}
        keep = np.ones(data.patch_codes.shape, dtype=bool)
        for row, ranking in zip(keep, self.rankings, strict=True):
            row[ranking.order[: patches - count]] = False
        return result | {"sequential": self.sequential_quality(keep)}

    def _patch_variance(self) -> Array:
        rows, columns = self.backend.grid
        grey = luma(torch.from_numpy(self.encoded.images)).squeeze(1).numpy()
        tiles = grey.reshape(len(grey), rows, grey.shape[1] // rows, columns, grey.shape[2] // columns)
        return tiles.var(axis=(2, 4)).reshape(len(grey), -1)

    def sequentially_filtered(self, loss_rate: float, budget_bits: float | None = None) -> Array:
        """Kept masks of the filter with sequential conditioning."""
        return np.stack([ranking.keep(loss_rate, budget_bits) for ranking in self.rankings])

    def at_mean_total(self, filtered: Callable[[float], Array]) -> tuple[float, Array]:
        """The smallest ε (to 1/1000) at which the masks of `filtered` have a mean K + |S| of at most 57, and those masks."""
        low, high = 0, 1000
        while low < high:
            middle = (low + high) // 2
            mean = filtered(middle / 1000).sum(1).mean() + self.backend.global_tokens
            low, high = (low, middle) if mean <= TARGET_TOTAL else (middle + 1, high)
        return low / 1000, filtered(low / 1000)

    def adaptivity(self, reference_bits: float) -> dict[str, Any]:
        """How token counts spread, and follow JPEG size, under both budgets at the target mean total."""
        sizes = [_jpeg_bytes(image) for image in self.encoded.images]
        result = {}
        for budget, bits in (("image", None), ("reference", reference_bits)):
            for conditioning, filtered, quality in (
                ("global", self.filtered, self.quality),
                ("sequential", self.sequentially_filtered, self.sequential_quality),
            ):
                loss_rate, keep = self.at_mean_total(partial(filtered, budget_bits=bits))
                kept = keep.sum(1)
                spread = {"min": int(kept.min()), "max": int(kept.max()), "std": float(kept.std())}
                spearman = _spearman(kept, np.asarray(sizes))
                result[f"{budget}, {conditioning}"] = {
                    "loss_rate": loss_rate,
                    **spread,
                    "spearman_jpeg": spearman,
                    **quality(keep),
                }
        return result

    def calibration(self, bins: int = 12) -> list[dict[str, float]]:
        """Mean surprisal against ĥ in equally filled bins: equal where q is calibrated."""
        entropy, surprisal = (x.ravel().astype(np.float64) for x in self.encoded.estimate[:2])
        order = np.argsort(entropy)
        return [
            {"entropy": float(entropy[part].mean()), "surprisal": float(surprisal[part].mean()), "patches": len(part)}
            for part in np.array_split(order, bins)
        ]

    def statistics(self) -> dict[str, Any]:
        """Entropy over patches and codebook usage."""
        data = self.encoded
        entropy = data.estimate.entropy.astype(np.float64)
        usage = {}
        for name, codes in (("patch", data.patch_codes), ("global", data.global_codes)):
            counts = np.bincount(codes.ravel(), minlength=self.backend.codebook_size)
            share = counts[counts > 0] / codes.size
            usage[name] = {"distinct": len(share), "perplexity": float(2 ** -(share * np.log2(share)).sum())}
        return {
            "images": len(data.images),
            "entropy_mean": float(entropy.mean()),
            "entropy_std_over_patches": float(entropy.std(1).mean()),
            "entropy_sum_mean": float(entropy.sum(1).mean()),
            "surprisal_mean": float(data.estimate.surprisal.mean()),
            "codebook": {"size": self.backend.codebook_size, **usage},
        }

    def measure(self, reference_bits: float | None) -> dict[str, Any]:
        """Everything of this module as one JSON-able object."""
        result: dict[str, Any] = self.statistics()
        result["sweep"] = [{"loss_rate": e, **self.quality(self.filtered(e))} for e in LOSS_RATES]
        result["sequential_sweep"] = [
            {"loss_rate": e, **self.sequential_quality(self.sequentially_filtered(e))} for e in LOSS_RATES
        ]
        result["orders"] = {str(count): self.orders(count) for count in EQUAL_KEPT}
        result["edge_priority"] = {
            str(b): self.quality(self.keep_first(self.encoded.estimate.entropy, 48, b)) for b in EDGE_PRIORITIES
        }
        zero = np.zeros_like(self.encoded.estimate.expected_code)
        result["zero_fill_48"] = self.quality(self.keep_first(self.encoded.estimate.entropy, 48), zero)
        result["adaptivity"] = self.adaptivity(reference_bits or result["entropy_sum_mean"])
        result["calibration"] = self.calibration()
        return result


def reference_budget(backend: Backend, folder: Path, batch: int = 8) -> float:
    """Mean Σĥ in bits over a folder of training images: the B of the reference budget."""
    sums = []
    for images in eval_batches(list_images(folder), backend.image_size, batch):
        sums.append(backend.estimate(*backend.encode(images)).entropy.astype(np.float64).sum(1))
    return float(np.concatenate(sums).mean())


def _jpeg_bytes(image: Array) -> int:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=75)
    return buffer.tell()


def _spearman(a: Array, b: Array) -> float:
    """Rank correlation; ties get their mean rank. 0 where one side does not vary."""
    if len(set(a.tolist())) < 2 or len(set(b.tolist())) < 2:
        return 0.0

    def ranks(x: Array) -> Array:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        last = counts.cumsum()
        return (last - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def evaluate(
    model: Path,
    folders: list[Path],
    out: Path,
    *,
    perceptual: Path | None = None,
    limit: int | None = None,
    batch: int = 8,
    runtime: str = "onnx",
    progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measures `model` on each folder; writes metrics.json, metrics.md and plots to `out`."""
    backend = open_backend(model, runtime)
    reference = _reference_bits(model)
    distance = None if perceptual is None else SqueezeNetDistance(perceptual)
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "model": backend.name,
        "runtime": type(backend).__name__,
        "reference_budget_bits": reference,
        "folders": {},
    }
    for folder in folders:
        progress(f"{folder.name}: encoding and measuring")
        evaluation = Evaluation(backend, folder, limit, batch, distance)
        results["folders"][folder.name] = evaluation.measure(reference)
        (out / "metrics.json").write_text(json.dumps(results, indent=1) + "\n")
        write_report(results, folder.name, evaluation, out)
    return results


def _reference_bits(model: Path) -> float | None:
    return read_manifest(model)["referenceBudgetBits"] if model.is_dir() else None
