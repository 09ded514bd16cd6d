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
    from .encoded_folder import EncodedFolder

QUALITIES = ("psnr", "ssim", "squeezenet_distance")
_QUALITY = ("total", *QUALITIES)
FRECHET = "squeezenet_frechet"
TARGET_TOTAL = 57
"""Mean total of tokens at which adaptive models are compared: the paper's 56.4, TiTok-B's 57."""


def table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table; floats get three decimals."""

    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(cell(v) for v in row) + " |" for row in rows]) + "\n"


def _quality_rows(named: dict[str, dict[str, float]], *more: str) -> list[tuple[Any, ...]]:
    return [(name, *(values.get(q, float("nan")) for q in (*_QUALITY, *more))) for name, values in named.items()]


def write_report(results: dict[str, Any], name: str, folder: EncodedFolder, out: Path) -> None:
    """`name`.md and `name`-examples.png in `out`; of a model that filters also -rate-distortion.png and -calibration.png."""
    data = results["folders"][name]
    sections = [
        f"# {results['model']} on {name} ({data['images']} images)\n",
        "How much the images hold, whatever the model: averaged down, and bicubically up again.\n",
        table(
            ("pixels a side", *QUALITIES),
            [(n, *(q.get(k, float("nan")) for k in QUALITIES)) for n, q in data["reduced"].items()],
        ),
        _codebook_sentence(data["codebook"]),
    ]
    if folder.backend.filters:
        sections += _filter_sections(data)
        _plot_rate_distortion(data, out / f"{name}-rate-distortion.png")
        _plot_calibration(data, out / f"{name}-calibration.png")
    else:
        sections += [table(("", *_QUALITY, FRECHET), _quality_rows({"every token": data["sweep"][0]}, FRECHET))]
    (out / f"{name}.md").write_text("\n".join(sections))
    _save_examples(folder, out / f"{name}-examples.png")


def _codebook_sentence(codebook: dict[str, Any]) -> str:
    uses = [
        f"{use['distinct']} of {codebook['size']} by {kind} tokens (perplexity {use['perplexity']:.0f})"
        for kind in ("patch", "global")
        if (use := codebook.get(kind)) is not None
    ]
    return f"Codes used: {', '.join(uses)}.\n"


def _filter_sections(data: dict[str, Any]) -> list[str]:
    sections = [
        f"ĥ {data['entropy_mean']:.2f} ± {data['entropy_std_over_patches']:.2f} bits over patches, Σĥ "
        f"{data['entropy_sum_mean']:.0f} bits an image, mean surprisal {data['surprisal_mean']:.2f} bits.\n",
        "## Information loss rate (image budget, global conditioning)\n",
        table(("ε", *_QUALITY), _quality_rows({str(row["loss_rate"]): row for row in data["sweep"]})),
        "## Information loss rate (image budget, sequential conditioning)\n",
        table(("ε", *_QUALITY), _quality_rows({str(row["loss_rate"]): row for row in data["sequential_sweep"]})),
        "## Information loss rate (image budget, conditioning by distortion)\n",
        table(("ε", *_QUALITY), _quality_rows({str(row["loss_rate"]): row for row in data["distortion_sweep"]})),
        f"## Budgets at a mean total of at most {TARGET_TOTAL}\n",
        table(
            ("budget", "ε", "kept least, most", "Spearman with JPEG size", *_QUALITY, FRECHET),
            [
                (n, _rate_for_target(v), f"{v['min']}, {v['max']}", v["spearman_jpeg"], *row[1:])
                for (n, v), row in zip(data["adaptivity"].items(), _quality_rows(data["adaptivity"], FRECHET), strict=True)
            ],
        ),
    ]
    for count, orders in data["orders"].items():
        sections += [f"## Orders at {count} kept\n", table(("order", *_QUALITY), _quality_rows(orders))]
    if "edge_priority" not in data:
        return sections
    betas = {f"β = {b}": v for b, v in data["edge_priority"].items()} | {"zero fill": data["zero_fill_48"]}
    return [*sections, "## Edge priority and fill at 48 kept\n", table(("", *_QUALITY), _quality_rows(betas))]


def _rate_for_target(budget: dict[str, float]) -> str:
    """The ε of a budget; it says so where even the largest leaves more than the target."""
    return f"{budget['loss_rate']:.3f}" + (", not reached" if budget["total"] > TARGET_TOTAL else "")


def _plot_rate_distortion(data: dict[str, Any], path: Path) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for axis, quantity, label in zip(axes, QUALITIES, ("PSNR (dB)", "SSIM", "SqueezeNet distance"), strict=True):
        if quantity not in data["sweep"][0]:
            continue
        axis.plot([r["total"] for r in data["sweep"]], [r[quantity] for r in data["sweep"]], "o-", label="DTF, global")
        for conditioning, mark in (("sequential", "s-"), ("distortion", "D-")):
            rows = data[f"{conditioning}_sweep"]
            points = [r["total"] for r in rows], [r[quantity] for r in rows]
            axis.plot(*points, mark, markersize=4, label=f"DTF, {conditioning}")
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


def _save_examples(folder: EncodedFolder, path: Path, count: int = 8) -> None:
    """Rows of original, every token kept and, of a model that filters, 48 kept and global only; columns are images."""
    data, first = folder.encoded, slice(count)
    keep = [folder.everything()]
    if data.estimate is not None:
        rank = data.estimate.entropy.argsort(axis=1).argsort(axis=1)
        keep += [rank >= rank.shape[1] - kept for kept in (48, 0)]
    rows = [data.images[first], *(folder.decode(k, images=first) for k in keep)]
    Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(path)
