"""The default budget and ε of a bundle, found on photographs that were kept out of training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle.manifest import read_manifest, write_manifest
from .backend import Array, Backend, open_backend
from .encoded_folder import EncodedFolder
from .filtering import Figures, FilterEvaluation

BUSY = 80
"""The reference budget is this percentile of Σĥ over photographs: ε then reaches from every token to none for most pictures."""
_STEPS = 200
"""ε is a multiple of 1/200, as the inspector's slider is."""
_HIGHEST = 0.95
"""The greatest default ε: above it the slider could drop little more."""


def calibrate_budget(
    bundle: Path,
    folder: Path,
    *,
    tokens: float = 56.0,
    batch: int = 8,
    runtime: str = "torch",
    budget: str | None = None,
    write: bool = False,
) -> dict[str, Any]:
    """Compares the budgets at a mean of `tokens` global and kept patch tokens under the bundle's default ranking.

    Every budget has its ε and B in bits (None for the image budget, where B is each picture's own Σĥ), how tokens spread over
    pictures, their rank correlation with JPEG size, and mean and 10th percentile of PSNR and SSIM. `best` is the budget
    with the highest 10th percentile of PSNR: tokens belong to the pictures that come out worst, and the mean would send them
    to those that are good anyway. `write` puts `budget` (None: the best) and its ε into the manifest's `defaults`, and the
    reference budget into `referenceBudgetBits`, whichever it is.

    Raises ValueError for a bundle that cannot drop tokens, for a folder without images, and where no ε gives the mean.
    """
    manifest = read_manifest(bundle)
    backend = open_backend(bundle, runtime)
    _require_possible(backend, tokens)
    evaluation = FilterEvaluation(EncodedFolder(backend, folder, None, batch), rankings=_rankings(manifest["defaults"]))
    figures = compare_budgets(evaluation, manifest["defaults"], tokens)
    best = max(figures, key=lambda name: figures[name]["p10"]["psnr"])
    if write:
        chosen = {"budget": budget or best, "lossRate": figures[budget or best]["loss_rate"]}
        measured = {"referenceBudgetBits": figures["reference"]["budget_bits"]}
        write_manifest(bundle, manifest | measured | {"defaults": manifest["defaults"] | chosen})
    ranking = {name: manifest["defaults"].get(name) for name in ("conditioning", "rankingRounds", "edgePriority")}
    return {
        "model": backend.name,
        "version": manifest["version"],
        "images": len(evaluation.folder.files),
        "tokens": tokens,
        **ranking,
        "best": best,
        "budgets": figures,
    }


def compare_budgets(evaluation: FilterEvaluation, defaults: dict[str, Any], tokens: float) -> dict[str, Figures]:
    """Figures of the image and the reference budget at a mean total of `tokens`, by name; `defaults` have the ranking."""
    conditioning = defaults["conditioning"]
    masks = evaluation.masks_of(defaults)

    def mean_total(loss_rate: float, bits: float | None) -> float:
        return float(masks(loss_rate, bits).sum(1).mean()) + evaluation.backend.global_tokens

    sums = evaluation.estimate.entropy.sum(1, dtype=np.float64)
    result = {}
    for budget, (loss_rate, bits) in find_budgets(mean_total, sums, tokens).items():
        point = evaluation.operating_point(masks(loss_rate, bits), f"{budget} budget", conditioning)
        result[budget] = {"loss_rate": loss_rate, "budget_bits": bits, **point}
    return result


def find_budgets(
    mean_total: Callable[[float, float | None], float], sums: Array, tokens: float
) -> dict[str, tuple[float, float | None]]:
    """ε and B of the image and the reference budget whose mean total is the greatest that is at most `tokens`.

    `mean_total` answers the mean number of tokens under ε and B in bits (None: each image's own Σĥ), `sums` are Σĥ of the
    images. The extension finds the same over a token data set (`src/method/collectionBudget.ts`);
    `test/fixtures/collection-budgets.json` holds both to the same values.
    """
    allowance = _smallest(lambda bits: mean_total(1.0, float(bits)) <= tokens, int(np.ceil(sums.max())) + 1)
    steps = _smallest(lambda step: mean_total(step / _STEPS, None) <= tokens, _STEPS)
    of_busy = allowance / max(1.0, float(np.percentile(sums, BUSY)))
    share = min(_HIGHEST, max(1, round(_STEPS * of_busy)) / _STEPS)
    return {"image": (steps / _STEPS, None), "reference": (share, float(np.ceil(allowance / share)))}


def _require_possible(backend: Backend, tokens: float) -> None:
    if not backend.filters:
        raise ValueError(f"{backend.name} has no entropy model: it drops no token, so there is no budget to find")
    least, most = backend.global_tokens, backend.global_tokens + backend.patch_tokens
    if not least < tokens < most:
        raise ValueError(f"a mean of {tokens:g} tokens is out of reach: {backend.name} spends {least} to {most} on a picture")


def _rankings(defaults: dict[str, Any]) -> tuple[str, ...]:
    return () if defaults["conditioning"] == "global" else (defaults["conditioning"],)


def _smallest(holds: Callable[[int], bool], most: int) -> int:
    """The smallest whole number in [1, most] for which `holds` is true, as it then is for every larger one."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def report(result: dict[str, Any]) -> str:
    """The comparison as a Markdown table, after a sentence on what was measured."""
    rounds = f" in {result['rankingRounds']} rounds" if result["rankingRounds"] else ""
    lines = [
        f"{result['model']} {result['version']}, {result['images']} images, ranking {result['conditioning']}{rounds}, "
        f"mean of {result['tokens']:g} tokens. The highest 10th percentile of PSNR: the {result['best']} budget.\n",
        "| budget | B, bits | ε | tokens (least–most, deviation) | PSNR (p10), dB | SSIM (p10) | Spearman with JPEG size |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, point in result["budgets"].items():
        bits = "each image’s own" if point["budget_bits"] is None else f"{point['budget_bits']:.0f}"
        globals_ = point["total"] - point["kept"]
        spread = f"{point['min'] + globals_:.0f}–{point['max'] + globals_:.0f}, {point['std']:.1f}"
        lines.append(
            f"| {name} | {bits} | {point['loss_rate']:g} | {point['total']:.1f} ({spread}) | "
            f"{point['psnr']:.2f} ({point['p10']['psnr']:.2f}) | {point['ssim']:.3f} ({point['p10']['ssim']:.3f}) | "
            f"{point['spearman_jpeg']:.2f} |"
        )
    return "\n".join(lines) + "\n"
