"""Several models in one table and one plot: TaTok, filtered by distortion, over ε beside tokenizers of a fixed length."""

import json
from pathlib import Path
from typing import Any

import matplotlib

from .report import FRECHET, QUALITIES, table

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_LABELS = {"psnr": "PSNR (dB)", "ssim": "SSIM", "squeezenet_distance": "SqueezeNet distance"}


def compare(metrics: list[Path], out: Path) -> None:
    """Writes comparison.md and, for each folder that all of `metrics` measured, `folder`-comparison.png into `out`."""
    models = [json.loads(path.read_text()) for path in metrics]
    folders = [f for f in models[0]["folders"] if all(f in model["folders"] for model in models)]
    if not folders:
        raise ValueError("the evaluations have no folder in common")
    out.mkdir(parents=True, exist_ok=True)
    sections = []
    for folder in folders:
        sections.append(f"# {folder}\n\n{_table(models, folder)}")
        _plot(models, folder, out / f"{folder}-comparison.png")
    (out / "comparison.md").write_text("\n".join(sections))


def _points(model: dict[str, Any], folder: str) -> list[dict[str, float]]:
    """Rate–distortion points of a model, filtered by distortion; a model of fixed length has one."""
    data = model["folders"][folder]
    return data.get("distortion_sweep", data["sweep"])


def _bits(point: dict[str, float]) -> float:
    """What a decoder has to be sent: the codes, and which patches they belong to."""
    return point["payload_bits"] + point["mask_bits"]


def _table(models: list[dict[str, Any]], folder: str) -> str:
    rows = []
    for model in models:
        data = model["folders"][folder]
        named = {"every token": _points(model, folder)[0]}
        if "adaptivity" in data:
            named["mean total ≤ 57"] = data["adaptivity"]["image, distortion"]
        for what, point in named.items():
            qualities = (point.get(q, float("nan")) for q in (*QUALITIES, FRECHET))
            rows.append((model["model"], what, point["total"], round(_bits(point)), *qualities))
    header = ("model", "tokens kept", "total", "bits with mask", *_LABELS.values(), "SqueezeNet Fréchet distance")
    return table(header, rows)


def _plot(models: list[dict[str, Any]], folder: str, path: Path) -> None:
    """PSNR, SSIM and distance (columns) over tokens and over bits (rows)."""
    figure, axes = plt.subplots(2, len(QUALITIES), figsize=(13, 7.2), layout="constrained")
    for row, (label, rate) in zip(axes, {"tokens": lambda p: p["total"], "bits, mask included": _bits}.items(), strict=True):
        for axis, quality in zip(row, QUALITIES, strict=True):
            for model in models:
                points = [p for p in _points(model, folder) if quality in p]
                style = "s-" if len(points) > 1 else "D"
                axis.plot([rate(p) for p in points], [p[quality] for p in points], style, markersize=5, label=model["model"])
            axis.set(xlabel=label, ylabel=_LABELS[quality])
            axis.grid(alpha=0.3)
    axes[0][0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
