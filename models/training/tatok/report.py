"""Tables, plots and example pictures of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from .evaluate import Evaluation

_QUALITY = ("total", "psnr", "ssim", "squeezenet_distance")


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(cell(v) for v in row) + " |" for row in rows]) + "\n"


def _quality_rows(named: dict[str, dict[str, float]]) -> list[tuple[Any, ...]]:
    return [(name, *(values.get(q, float("nan")) for q in _QUALITY)) for name, values in named.items()]


def write_report(results: dict[str, Any], folder: str, evaluation: Evaluation, out: Path) -> None:
    """`folder`.md, `folder`-rate-distortion.png, -calibration.png and -examples.png in `out`."""
    data = results["folders"][folder]
    codebook = data["codebook"]
    patch, shared = codebook["patch"], codebook["global"]
    sections = [
        f"# {results['model']} on {folder} ({data['images']} images)\n",
        f"ĥ {data['entropy_mean']:.2f} ± {data['entropy_std_over_patches']:.2f} bits over patches, Σĥ "
        f"{data['entropy_sum_mean']:.0f} bits an image, mean surprisal {data['surprisal_mean']:.2f} bits; codes used: "
        f"{patch['distinct']} of {codebook['size']} by patch tokens (perplexity {patch['perplexity']:.0f}), "
        f"{shared['distinct']} by global tokens (perplexity {shared['perplexity']:.0f}).\n",
        "## Information loss rate (image budget, global conditioning)\n",
        _table(("ε", *_QUALITY), _quality_rows({str(row["loss_rate"]): row for row in data["sweep"]})),
        "## Information loss rate (image budget, sequential conditioning)\n",
        _table(("ε", *_QUALITY), _quality_rows({str(row["loss_rate"]): row for row in data["sequential_sweep"]})),
        "## Budgets at a mean total of at most 57\n",
        _table(
            ("budget", "ε", "kept least, most", "Spearman with JPEG size", *_QUALITY),
            [
                (n, v["loss_rate"], f"{v['min']}, {v['max']}", v["spearman_jpeg"], *(v.get(q, float("nan")) for q in _QUALITY))
                for n, v in data["adaptivity"].items()
            ],
        ),
    ]
    for count, orders in data["orders"].items():
        sections += [f"## Orders at {count} kept\n", _table(("order", *_QUALITY), _quality_rows(orders))]
    betas = {f"β = {b}": v for b, v in data["edge_priority"].items()} | {"zero fill": data["zero_fill_48"]}
    sections += ["## Edge priority and fill at 48 kept\n", _table(("", *_QUALITY), _quality_rows(betas))]
    (out / f"{folder}.md").write_text("\n".join(sections))
    _plot_rate_distortion(data, out / f"{folder}-rate-distortion.png")
    _plot_calibration(data, out / f"{folder}-calibration.png")
    _save_examples(evaluation, out / f"{folder}-examples.png")


def _plot_rate_distortion(data: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for axis, quantity, label in zip(axes, _QUALITY[1:], ("PSNR (dB)", "SSIM", "SqueezeNet distance"), strict=True):
        if quantity not in data["sweep"][0]:
            continue
        axis.plot([r["total"] for r in data["sweep"]], [r[quantity] for r in data["sweep"]], "o-", label="DTF, global")
        rows = data["sequential_sweep"]
        axis.plot([r["total"] for r in rows], [r[quantity] for r in rows], "s-", markersize=4, label="DTF, sequential")
        for order in ("random", "pixel variance", "surprisal"):
            rows = [orders[order] for orders in data["orders"].values()]
            axis.plot([r["total"] for r in rows], [r[quantity] for r in rows], ".--", label=order)
        axis.set(xlabel="tokens (K + kept)", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plot_calibration(data: dict[str, Any], path: Path) -> None:
    figure, axis = plt.subplots(figsize=(4.2, 4), layout="constrained")
    points = data["calibration"]
    limit = max(max(p["entropy"], p["surprisal"]) for p in points) * 1.05
    axis.plot([0, limit], [0, limit], "k:", linewidth=1)
    axis.plot([p["entropy"] for p in points], [p["surprisal"] for p in points], "o-")
    axis.set(xlabel="conditional entropy ĥ (bits)", ylabel="mean surprisal s (bits)", xlim=(0, limit), ylim=(0, limit))
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _save_examples(evaluation: Evaluation, path: Path, count: int = 8) -> None:
    """Rows of original, ε = 0, 48 kept, global only; columns are images."""
    data, backend = evaluation.encoded, evaluation.backend
    rows = [data.images[:count]]
    entropy = data.estimate.entropy
    for kept in (entropy.shape[1], 48, 0):
        keep = evaluation.keep_first(entropy, kept)[:count]
        expected = data.estimate.expected_code[:count]
        rows.append(backend.decode(data.global_codes[:count], data.patch_codes[:count], expected, keep))
    Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(path)
