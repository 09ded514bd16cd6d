"""Rankings against each other: quality at as many patches, and the time that ranking one image takes, by rounds."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ..bundle.manifest import read_manifest
from ..evaluation.backend import Array, open_backend
from ..evaluation.encoded_folder import EncodedFolder
from ..evaluation.filtering import FilterEvaluation, Order
from ..filter import DEFAULT_ROUNDS
from .machine import describe_machine

KEPT = (25, 48, 96)
"""Patches kept of an image; with 32 global tokens the first makes 57 in all."""
SEEDS = 3


def compare_rankings(
    model: Path,
    folder: Path,
    *,
    rounds: tuple[int, ...],
    limit: int | None = None,
    batch: int = 8,
    runtime: str = "torch",
    runs: int = 9,
) -> dict[str, Any]:
    """PSNR in dB of `folder`'s images at `KEPT` patches by every ranking and number of rounds, filled given what is kept.

    `decodes` and `estimates` count passes for one image beside those that tokenizing takes; `time` is that of these passes, in
    decodings of one image on the same machine: medians of `runs`.

    Raises ValueError for a model that drops nothing and for a folder without images.
    """
    backend = open_backend(model, runtime)
    evaluation = FilterEvaluation(EncodedFolder(backend, folder, limit, batch), rankings=())
    images, patches = evaluation.encoded.patch_codes.shape
    estimate = _estimate_in_decodings(evaluation, runs)
    seeds = [np.random.default_rng(seed).random((images, patches)).argsort(1) for seed in range(SEEDS)]
    rows = [{"ranking": "random", "rounds": None, "decodes": 0, "estimates": 0, "time": 0.0} | _mean(evaluation, seeds)]
    schedules = [("entropy", 1), *((name, count) for name in DEFAULT_ROUNDS for count in rounds)]
    for name, count in schedules:
        orders = np.stack([ranking.order for ranking in evaluation.rank_all(name, rounds=count)])
        decodes = count + 1 if name == "distortion" else 0
        cost = {"decodes": decodes, "estimates": count - 1, "time": decodes + (count - 1) * estimate}
        rows.append({"ranking": name, "rounds": count, **cost} | _mean(evaluation, [orders]))
    return {
        "model": backend.name,
        "version": read_manifest(model)["version"],
        "folder": folder.name,
        "images": images,
        "machine": describe_machine(),
        "rows": rows,
    }


def _mean(evaluation: FilterEvaluation, orders: list[Array]) -> dict[str, float]:
    """PSNR by the number of patches kept, the mean over several orders."""
    return {
        str(kept): float(np.mean([evaluation.quality_kept(Order(o, known=False, given_kept=True), kept) for o in orders]))
        for kept in KEPT
    }


def _estimate_in_decodings(evaluation: FilterEvaluation, runs: int) -> float:
    """The time of one estimate of ĥ in decodings of one image, medians of `runs`."""
    folder, first = evaluation.folder, slice(0, 1)
    coded, hidden = folder.coded(first), np.zeros((1, evaluation.backend.patch_tokens), bool)

    def seconds(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def decode() -> Array:
        return folder.decode(folder.everything(), None, first)

    estimating, decoding = zip(*((seconds(lambda: coded.estimate(hidden)), seconds(decode)) for _ in range(runs)), strict=True)
    return median(estimating) / median(decoding)


def report(result: dict[str, Any], command: str) -> str:
    """The comparison as a Markdown note with the command that wrote it."""
    machine = result["machine"]
    best = next(row for row in reversed(result["rows"]) if row["ranking"] == "distortion")
    lines = [
        "# Rankings by rounds\n",
        f"{result['model']} {result['version']}, {result['images']} images of `{result['folder']}`: PSNR in dB at {KEPT[0]}, "
        f"{KEPT[1]} and {KEPT[2]} patches kept, filled given what is kept, and in brackets the difference from "
        f"{best['rounds']} rounds by distortion. Passes are those of ranking one image after it was tokenized; their "
        f"time is counted in decodings of one image on the same machine ({machine.get('gpu', machine['cpu'])}, "
        f"PyTorch {machine['torch']}, {torch.get_num_threads()} thread(s)). Written by\n",
        f"    {command}\n",
        f"| ranking | rounds | decodings | estimates | time | {' | '.join(f'{kept} kept' for kept in KEPT)} |",
        "| --- | --- | --- | --- | --- |" + " --- |" * len(KEPT),
    ]
    for row in result["rows"]:
        rounds = "–" if row["rounds"] is None else str(row["rounds"])
        marked = " (default)" if row["rounds"] == DEFAULT_ROUNDS.get(row["ranking"], 0) else ""
        cells = [f"{row[str(kept)]:.2f} ({row[str(kept)] - best[str(kept)]:+.2f})" for kept in KEPT]
        lines.append(
            f"| {row['ranking']} | {rounds}{marked} | {row['decodes']} | {row['estimates']} | {row['time']:.1f} | "
            f"{' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"
