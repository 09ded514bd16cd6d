"""Measures a model on folders of images: quality against tokens, filter orders, calibration, codebook usage, adaptivity."""

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..bundle.manifest import read_manifest
from ..data.images import eval_batches, list_images
from ..features import SqueezeNetDistance
from ..filter import Ranking, drop_order, filter_tokens, rank_images
from .backend import Array, Backend, open_backend
from .encoded_folder import EncodedFolder
from .metrics import luma
from .report import TARGET_TOTAL, write_report

LOSS_RATES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
EQUAL_KEPT = (24, 48, 96)
QUICK_LOSS_RATES, QUICK_EQUAL_KEPT = (0.0, 0.5, 0.8, 1.0), (48,)
"""What a quick evaluation leaves of them."""
EDGE_PRIORITIES = (0.0, 0.5, 1.0, 2.0)


class FilterEvaluation:
    """What Dynamic Token Filtering does to the codes of one folder."""

    def __init__(self, folder: EncodedFolder) -> None:
        if folder.encoded.estimate is None:
            raise ValueError(f"{folder.backend.name} has no entropy model")
        self.folder, self.backend, self.quality = folder, folder.backend, folder.quality
        self.encoded, self.estimate = folder.encoded, folder.encoded.estimate
        self.rankings = {name: self.rank_all(name) for name in ("sequential", "distortion")}

    def filtered(self, loss_rate: float, budget_bits: float | None = None, edge_priority: float = 0.0) -> Array:
        """Kept masks of Dynamic Token Filtering, one row an image."""
        options = {"loss_rate": loss_rate, "budget_bits": budget_bits, "edge_priority": edge_priority}
        return np.stack([filter_tokens(h, *self.backend.grid, **options) for h in self.estimate.entropy])

    def keep_first(self, scores: Array, count: int, edge_priority: float = 0.0) -> Array:
        """Kept masks of the `count` patches of highest score, ties by the filter's tie-break."""
        keep = np.zeros(scores.shape, dtype=bool)
        for row, score in zip(keep, scores, strict=True):
            row[drop_order(score, *self.backend.grid, edge_priority)[score.size - count :]] = True
        return keep

    def rank_all(self, ranking: str) -> list[Ranking]:
        """The folder's images ranked by one of `RANKINGS`."""
        rankings = []
        for part in self.folder.slices(len(self.encoded.images)):
            images = self.encoded.images[part]
            rankings += rank_images(self.folder.coded(part), ranking, len(images), *self.backend.grid, images=images)
        return rankings

    def sequential_quality(self, keep: Array, *, frechet: bool = False) -> dict[str, float]:
        """As `quality`, with E_q[z] given what is kept."""
        data = self.encoded
        expected = self.folder.estimate(data.global_codes, data.patch_codes, keep).expected_code
        return self.quality(keep, expected, frechet=frechet)

    def orders(self, count: int) -> dict[str, dict[str, float]]:
        """Quality at `count` kept tokens for every order that the filter competes with."""
        data, generator = self.encoded, np.random.default_rng(0)
        raster = np.broadcast_to(-np.arange(data.patch_codes.shape[1], dtype=np.float64), data.patch_codes.shape)
        scores = {
            "conditional entropy": self.estimate.entropy,
            "random": generator.random(data.patch_codes.shape),
            "raster": raster,
            "pixel variance": self._patch_variance(),
            "surprisal": self.estimate.surprisal,
        }
        result = {name: self.quality(self.keep_first(score, count)) for name, score in scores.items()}
        for name, rankings in self.rankings.items():
            keep = np.ones(data.patch_codes.shape, dtype=bool)
            for row, ranking in zip(keep, rankings, strict=True):
                row[ranking.order[: row.size - count]] = False
            result[name] = self.sequential_quality(keep)
        # A decoder may fill gaps given what is kept, whatever chose that: the order's own gain is that over others so filled.
        for name in ("random", "pixel variance"):
            result[f"{name}, filled given the kept"] = self.sequential_quality(self.keep_first(scores[name], count))
        return result

    def _patch_variance(self) -> Array:
        (rows, columns), images = self.backend.grid, self.encoded.images
        variances = []
        for part in self.folder.slices(len(images)):
            grey = luma(torch.from_numpy(images[part])).squeeze(1).numpy()
            tiles = grey.reshape(len(grey), rows, grey.shape[1] // rows, columns, grey.shape[2] // columns)
            variances.append(tiles.var(axis=(2, 4)).reshape(len(grey), -1))
        return np.concatenate(variances)

    def filtered_in_rounds(self, loss_rate: float, budget_bits: float | None = None, *, conditioning: str) -> Array:
        """Kept masks of the filter with sequential conditioning, or of that by distortion."""
        return np.stack([ranking.keep(loss_rate, budget_bits) for ranking in self.rankings[conditioning]])

    def at_mean_total(self, filtered: Callable[[float], Array]) -> tuple[float, Array]:
        """The smallest ε (to 1/1000) at which the masks of `filtered` have a mean K + |S| of at most 57, and those masks.

        ε = 1 where none has: all that it may drop is a budget of the training set's, which is less than these images hold.
        """
        low, high = 0, 1000
        while low < high:
            middle = (low + high) // 2
            mean = filtered(middle / 1000).sum(1).mean() + self.backend.global_tokens
            low, high = (low, middle) if mean <= TARGET_TOTAL else (middle + 1, high)
        return low / 1000, filtered(low / 1000)

    def adaptivity(self, reference_bits: float | None) -> dict[str, Any]:
        """How token counts spread, and follow JPEG size, under both budgets at the target mean total.

        Under the image budget alone where there is no reference budget. Totals may stay above the target, see `at_mean_total`.
        """
        sizes = [_jpeg_bytes(image) for image in self.encoded.images]
        budgets = {"image": None} if reference_bits is None else {"image": None, "reference": reference_bits}
        result = {}
        for budget, bits in budgets.items():
            for conditioning, filtered, quality in (
                ("global", self.filtered, self.quality),
                *((c, partial(self.filtered_in_rounds, conditioning=c), self.sequential_quality) for c in self.rankings),
            ):
                loss_rate, keep = self.at_mean_total(partial(filtered, budget_bits=bits))
                kept = keep.sum(1)
                spread = {"min": int(kept.min()), "max": int(kept.max()), "std": float(kept.std())}
                spearman = _spearman(kept, np.asarray(sizes))
                result[f"{budget}, {conditioning}"] = {
                    "loss_rate": loss_rate,
                    **spread,
                    "spearman_jpeg": spearman,
                    **quality(keep, frechet=True),
                }
        return result

    def calibration(self, bins: int = 12) -> list[dict[str, float]]:
        """Mean surprisal against ĥ in equally filled bins: equal where q is calibrated."""
        entropy, surprisal = (x.ravel().astype(np.float64) for x in self.estimate[:2])
        order = np.argsort(entropy)
        return [
            {"entropy": float(entropy[part].mean()), "surprisal": float(surprisal[part].mean()), "patches": len(part)}
            for part in np.array_split(order, bins)
        ]

    def measure(self, reference_bits: float | None, *, quick: bool = False) -> dict[str, Any]:
        """Everything of this class as one JSON-able object; `quick` leaves points of curves and the ablations out.

        Without `reference_bits`, which weights that no bundle holds do not know, nothing is said of the reference budget.
        """
        loss_rates, equal_kept = (QUICK_LOSS_RATES, QUICK_EQUAL_KEPT) if quick else (LOSS_RATES, EQUAL_KEPT)
        entropy = self.estimate.entropy.astype(np.float64)
        result: dict[str, Any] = {
            "entropy_mean": float(entropy.mean()),
            "entropy_std_over_patches": float(entropy.std(1).mean()),
            "entropy_sum_mean": float(entropy.sum(1).mean()),
            "surprisal_mean": float(self.estimate.surprisal.mean()),
        }
        result["sweep"] = [{"loss_rate": e, **self.quality(self.filtered(e), frechet=e == 0)} for e in loss_rates]
        for conditioning in self.rankings:
            kept = ((e, self.filtered_in_rounds(e, conditioning=conditioning)) for e in loss_rates)
            result[f"{conditioning}_sweep"] = [
                {"loss_rate": e, **self.sequential_quality(keep, frechet=e == 0)} for e, keep in kept
            ]
        result["orders"] = {str(count): self.orders(count) for count in equal_kept}
        result["adaptivity"] = self.adaptivity(reference_bits)
        result["calibration"] = self.calibration()
        return result if quick else result | self._ablations()

    def _ablations(self) -> dict[str, Any]:
        """Edge priorities, and zeros in place of expected codes, at 48 kept."""
        entropy, zero = self.estimate.entropy, np.zeros_like(self.estimate.expected_code)
        edges = {str(beta): self.quality(self.keep_first(entropy, 48, beta)) for beta in EDGE_PRIORITIES}
        return {"edge_priority": edges, "zero_fill_48": self.quality(self.keep_first(entropy, 48), zero)}


def measure(folder: EncodedFolder, reference_bits: float | None, *, quick: bool = False) -> dict[str, Any]:
    """All figures of one folder. A model whose tokens cannot be dropped has one point where others have a curve."""
    result: dict[str, Any] = {
        "images": len(folder.encoded.images),
        "reduced": folder.reduced_quality(),
        "codebook": {"size": folder.backend.codebook_size, **folder.codebook_usage()},
    }
    if folder.backend.filters:
        return result | FilterEvaluation(folder).measure(reference_bits, quick=quick)
    return result | {"sweep": [{"loss_rate": 0.0, **folder.quality(folder.everything(), frechet=True)}]}


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
    quick: bool = False,
    progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measures `model` on each folder; writes metrics.json and, named after the folder, a table and plots to `out`.

    Raises ValueError when two folders have one name, and for a folder without images.
    """
    names = [path.name for path in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several folders are called {', '.join(twice)}: reports are named after their folders")
    backend = open_backend(model, runtime)
    reference = _reference_bits(model)
    distance = None if perceptual is None else SqueezeNetDistance(perceptual)
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "model": backend.name,
        "runtime": type(backend).__name__,
        "global_tokens": backend.global_tokens,
        "patch_tokens": backend.patch_tokens,
        "reference_budget_bits": reference,
        "folders": {},
    }
    for path in folders:
        progress(f"{path.name}: encoding and measuring")
        folder = EncodedFolder(backend, path, limit, batch, distance)
        results["folders"][path.name] = measure(folder, reference, quick=quick)
        (out / "metrics.json").write_text(json.dumps(results, indent=1) + "\n")
        write_report(results, path.name, folder, out)
    return results


def _reference_bits(model: Path) -> float | None:
    return read_manifest(model)["referenceBudgetBits"] if model.is_dir() else None
