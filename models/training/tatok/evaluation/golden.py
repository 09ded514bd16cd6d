"""Golden vectors: what PyTorch in float32 and this package's filter answer, for tests of other implementations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..bundle.manifest import read_manifest
from ..data.images import centre_crop
from ..filter import DEFAULT_ROUNDS, Floats, Revealed, distortion_weights, filter_tokens, rank_images, rank_sequentially
from ..tokenizer import TaTok
from .encoded_folder import CodedImages
from .metrics import psnr, ssim
from .torch_backend import TorchBackend

# One for each image in turn; every budget, an edge priority, and ε = 0.
_SETTINGS = (
    {"lossRate": 0.4, "edgePriority": 0.0, "budget": "image", "conditioning": "global"},
    {"lossRate": 0.8, "edgePriority": 0.0, "budget": "image", "conditioning": "global"},
    {"lossRate": 0.6, "edgePriority": 1.0, "budget": "reference", "conditioning": "global"},
    {"lossRate": 0.0, "edgePriority": 0.0, "budget": "image", "conditioning": "global"},
)
_GRIDS = ((1, 1), (1, 7), (3, 5), (4, 4), (6, 10), (16, 16))


def write_golden(bundle: Path, images: list[Path], out: Path, relative_to: Path) -> None:
    """`out`/golden.json with the codes, bits, kept mask, PSNR and SSIM of `images`; crops and reconstructions beside it.

    Each image is also ranked by distortion, in as many rounds as that takes by default.

    File names in the JSON are relative to `relative_to`.
    """
    manifest = read_manifest(bundle)
    backend = TorchBackend(TaTok.from_pretrained(bundle), manifest["name"])
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for index, path in enumerate(images):
        settings = _SETTINGS[index % len(_SETTINGS)]
        image = centre_crop(path, backend.image_size)
        global_codes, patch_codes = backend.encode(image[None])
        estimate = backend.estimate(global_codes, patch_codes)
        keep = filter_tokens(
            estimate.entropy[0],
            *backend.grid,
            loss_rate=settings["lossRate"],
            edge_priority=settings["edgePriority"],
            budget_bits=manifest["referenceBudgetBits"] if settings["budget"] == "reference" else None,
        )
        coded = CodedImages(backend, global_codes, patch_codes)
        (ranking,) = rank_images(coded, "distortion", 1, *backend.grid, images=image[None])
        decoded = backend.decode(global_codes, patch_codes, estimate.expected_code, keep[None])
        stem = f"{path.stem.removesuffix('-256')}-256"
        files = {"file": out / f"{stem}.png", "reconstructionFile": out / f"{stem}.reconstruction.png"}
        for file, pixels in zip(files.values(), (image, decoded[0]), strict=True):
            Image.fromarray(pixels).save(file, optimize=True)
        pair = torch.from_numpy(decoded), torch.from_numpy(image[None].copy())
        records.append(
            {
                **{name: file.resolve().relative_to(relative_to.resolve()).as_posix() for name, file in files.items()},
                "globalCodes": global_codes[0].tolist(),
                "patchCodes": patch_codes[0].tolist(),
                "entropyBits": _rounded(estimate.entropy[0], 5),
                "surprisalBits": _rounded(estimate.surprisal[0], 5),
                "settings": settings,
                "keep": keep.astype(int).tolist(),
                "distortion": {
                    "rounds": DEFAULT_ROUNDS["distortion"],
                    "order": ranking.order.tolist(),
                    "cumulativeBits": _rounded(ranking.lost_bits, 3),
                },
                "psnr": round(float(psnr(*pair)), 4),
                "ssim": round(float(ssim(*pair)), 5),
            }
        )
    model = {"name": manifest["name"], "version": manifest["version"]}
    (out / "golden.json").write_text(json.dumps({"model": model, "images": records}) + "\n")


def write_filter_vectors(out: Path) -> None:
    """`out`/filter-vectors.json, sequential-vectors.json and collection-budgets.json.

    They have what the filter, its sequential ranking and the budget over a collection of images answer.
    """
    _write_lines(out / "filter-vectors.json", _filter_vectors(np.random.default_rng(0)))
    _write_lines(out / "sequential-vectors.json", _sequential_vectors(np.random.default_rng(1)))
    _write_lines(out / "collection-budgets.json", _collection_vectors(np.random.default_rng(2)))


def _filter_vectors(generator: np.random.Generator) -> list[dict[str, Any]]:
    vectors = []
    for rows, columns in _GRIDS:
        for entropy in _entropies(generator, rows * columns):
            total = float(entropy.sum())
            for loss_rate, edge_priority, budget in (
                (0.0, 0.0, None),
                (0.3, 0.0, None),
                (0.7, 1.5, None),
                (1.0, 0.0, None),
                (0.5, 0.0, round(total * 1.7, 2)),
                (0.9, 20.0, round(total * 0.6, 2)),
            ):
                options = {"loss_rate": loss_rate, "edge_priority": edge_priority, "budget_bits": budget}
                vectors.append(
                    {
                        "grid": {"rows": rows, "columns": columns},
                        "entropyBits": _rounded(entropy, 4),
                        "settings": {"lossRate": loss_rate, "edgePriority": edge_priority},
                        "budgetBits": budget,
                        "keep": filter_tokens(entropy, rows, columns, **options).astype(int).tolist(),
                    }
                )
    return vectors


def _sequential_vectors(generator: np.random.Generator) -> list[dict[str, Any]]:
    """Rankings under a made-up entropy model: a share v of visible patches takes `help`·v of every hidden patch's bits.

    Some are by distortion: v takes as much of the `errors`, of which `floor` is left when every patch is kept.
    """
    vectors = []
    for rows, columns in _GRIDS:
        for entropy in _entropies(generator, rows * columns):
            errors, floor = (np.round(generator.gamma(2, s, entropy.size), 4).astype(np.float32) for s in (200, 50))
            by_default = DEFAULT_ROUNDS["sequential"], DEFAULT_ROUNDS["distortion"]
            cases = (
                (0.0, 0.0, False, by_default[0]),
                (0.6, 0.0, False, by_default[0]),
                (0.9, 1.5, False, 16),
                (0.6, 0.0, True, by_default[1]),
                (0.9, 1.5, True, by_default[1]),
                (0.9, 1.5, True, 16),
            )
            for help_share, edge_priority, by_distortion, rounds in cases:

                def reveal(
                    visible: np.ndarray,
                    share: float = help_share,
                    bits: Floats = entropy,
                    weighed: tuple[Floats, Floats] | None = (errors, floor) if by_distortion else None,
                ) -> Revealed:
                    left = 1 - share * (visible.sum() / visible.size)

                    def remaining(values: Floats) -> Floats:
                        return np.where(visible[0], 0, values.astype(np.float64) * left).astype(np.float32)

                    if weighed is None:
                        return Revealed(remaining(bits)[None])
                    weights = distortion_weights(remaining(weighed[0]), weighed[1], visible[0])
                    return Revealed(remaining(bits)[None], weights[None])

                (ranking,) = rank_sequentially(reveal, 1, rows, columns, edge_priority, rounds=rounds)
                distortion = {"errors": _rounded(errors, 4), "floor": _rounded(floor, 4)} if by_distortion else {}
                vectors.append(
                    {
                        "grid": {"rows": rows, "columns": columns},
                        "entropyBits": _rounded(entropy, 4),
                        "help": help_share,
                        "edgePriority": edge_priority,
                        "rounds": rounds,
                        **distortion,
                        "order": ranking.order.tolist(),
                        "cumulativeBits": _rounded(ranking.lost_bits, 4),
                    }
                )
    return vectors


def _collection_vectors(generator: np.random.Generator) -> list[dict[str, Any]]:
    """Budgets over a few images, each found by trying every ε and every B: `lost` has what dropping each patch loses."""
    vectors = []
    for images, patches, global_tokens in ((1, 12, 2), (7, 24, 4), (40, 16, 0)):
        entropy = np.round(generator.gamma(2, generator.uniform(0.3, 3, (images, 1)), (images, patches)), 3)
        lost = generator.permuted(np.round(np.sort(entropy).cumsum(1), 3), axis=1)
        sums = lost.max(1)
        reference = round(float(np.percentile(sums, 70)), 1)

        def tokens(allowance: np.ndarray, lost: np.ndarray = lost, first: int = global_tokens) -> np.ndarray:
            return first + (lost > allowance[:, None]).sum(1)

        for wanted in (global_tokens + 0.3 * patches, global_tokens + 0.8 * patches, global_tokens + 1.5):
            steps = np.arange(1, 201) / 200
            own = next(e for e in steps if tokens(e * sums).mean() <= wanted)
            fixed = next((e for e in steps if tokens(np.full(images, e * reference)).mean() <= wanted), None)
            bits = range(1, int(np.ceil(sums.max())) + 2)
            allowance = next(b for b in bits if tokens(np.full(images, float(b))).mean() <= wanted)
            share = min(0.95, max(1, round(200 * allowance / max(1.0, float(np.percentile(sums, 80))))) / 200)
            points = {"image": (own, None), "reference": (fixed, reference), "collection": (share, np.ceil(allowance / share))}
            vectors.append(
                {
                    "lost": lost.tolist(),
                    "globalTokens": global_tokens,
                    "wanted": round(wanted, 3),
                    "referenceBits": reference,
                    "found": [
                        {"kind": kind, "lossRate": float(e), "budgetBits": None if b is None else float(b)}
                        | {"spread": _spread(tokens(e * (sums if b is None else np.full(images, b))))}
                        for kind, (e, b) in points.items()
                        if e is not None
                    ],
                }
            )
    return vectors


def _spread(tokens: np.ndarray) -> dict[str, float]:
    tenth, median, ninetieth = np.percentile(tokens, (10, 50, 90))
    return {
        "mean": float(tokens.mean()),
        "deviation": float(tokens.std()),
        "least": int(tokens.min()),
        "tenth": float(tenth),
        "median": float(median),
        "ninetieth": float(ninetieth),
        "most": int(tokens.max()),
    }


def _entropies(generator: np.random.Generator, patches: int) -> list[Floats]:
    """Spread, tied, partly zero and all equal bits, with four decimals."""
    spread = generator.gamma(2, 2, patches)
    kinds = (spread, np.round(spread), np.where(generator.random(patches) < 0.4, 0, spread), np.full(patches, 3.0))
    return [np.round(bits, 4).astype(np.float32) for bits in kinds]


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in records) + "\n]\n")
