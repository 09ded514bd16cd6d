"""Tables, plots and example pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import ScalarFormatter

if TYPE_CHECKING:
    from .encoded_folder import EncodedFolder

QUALITIES = ("psnr", "ssim", "squeezenet_distance")
FRECHET = "squeezenet_frechet"
LABELS = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "squeezenet_distance": "SqueezeNet distance",
    "lpips": "LPIPS",
    "recognised_lite0": "recognised by EfficientNet-Lite0",
    "recognised_squeezenet": "recognised by SqueezeNet 1.0",
    "weave_db": "weave (dB)",
    FRECHET: "SqueezeNet Fréchet distance",
    "rfid": "rFID",
    "inception_score": "IS",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
}
"""Figures of a point in the order of columns; which are there depends on the networks and labels that were given."""
TARGET_TOTAL = 57
"""Mean total of tokens at which adaptive models are compared: the paper's 56.4, TiTok-B's 57."""
EVERY_TOKEN, DEFAULT = "every token", "default"
TARGET = "image, distortion, target total"
"""Names of points."""
TITLES = {"distortion, ε = 0": EVERY_TOKEN, DEFAULT: "the defaults", TARGET: f"a mean total of at most {TARGET_TOTAL}"}
"""Names of points as titles."""


def table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table; floats get three decimals, nothing stays empty."""

    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(cell(v) for v in row) + " |" for row in rows]) + "\n"


def quality_table(named: dict[str, dict[str, Any]], first: str, *, rates: tuple[str, ...] = ("total",)) -> str:
    """One row a point: its rates, and every figure of `LABELS` that any of the points has."""
    columns = [c for c in LABELS if any(c in point for point in named.values())]
    rows = [(name, *(_rate(point, r) for r in rates), *(point.get(c) for c in columns)) for name, point in named.items()]
    return table((first, *(r.replace("_", " ") for r in rates), *(LABELS[c] for c in columns)), rows)


def _rate(point: dict[str, Any], name: str) -> str | None:
    if name not in point:
        return None
    return f"{point[name]:.0%}" if name == "too_large" else f"{point[name]:.1f}"


def with_interval(point: dict[str, Any], column: str, digits: int = 3) -> str:
    """A mean and its 95 % interval, such as 22.160 [21.871, 22.444]; empty where the point has no such figure."""
    if column not in point:
        return ""
    low, high = point["interval"][column]
    return f"{point[column]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def codec_points(names: Iterable[str]) -> list[str]:
    """The points that codecs are compared at, the one with most bytes first."""
    return [n for n in names if n in (EVERY_TOKEN, TARGET, DEFAULT) or n.startswith("distortion, ε")]


def main_points(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every token, the defaults, the target total and global tokens alone, by name, as far as the model has them."""
    if "adaptivity" not in data:
        return {EVERY_TOKEN: data["sweep"][0]}
    sweep, target = data["distortion_sweep"], data["adaptivity"]["image, distortion"]
    points = {EVERY_TOKEN: sweep[0]}
    if DEFAULT in data:
        points[f"ε = {data[DEFAULT]['lossRate']:g} (default)"] = data[DEFAULT]
    points[f"ε = {_rate_for_target(target)} (mean total ≤ {TARGET_TOTAL})"] = target
    return points | {"global tokens alone": sweep[-1]}


def write_report(results: dict[str, Any], name: str, folder: EncodedFolder, out: Path) -> None:
    """`name`.md, `name`-rate-distortion.png and `name`-examples.png in `out`; of a model that filters also -calibration.png."""
    data, provenance = results["folders"][name], results["provenance"]
    sections = [
        f"# {results['model']} on {name} ({data['images']} images)\n",
        _provenance_text(provenance, results["runtime"], data),
        "## Main figures\n",
        "Means over images with 95 % bootstrap intervals, and the 10th percentile of PSNR and SSIM over images.\n",
        interval_table(main_points(data)),
        quality_table({"photographs": data["photographs"]} | main_points(data), "", rates=("total", "bytes")),
        recognition_text(provenance),
        codec_text(data, provenance),
        "## Contents of the images\n",
        "The images themselves, averaged down to few pixels and bicubically up again: how much they hold, for any model.\n",
        quality_table(data["reduced"], "pixels a side", rates=()),
        codebook_sentence(data["codebook"]),
    ]
    if folder.backend.filters:
        sections += _filter_sections(data)
        _plot_calibration(data, out / f"{name}-calibration.png")
    (out / f"{name}.md").write_text("\n".join(part for part in sections if part), encoding="utf-8")
    _plot_rate_distortion(data, out / f"{name}-rate-distortion.png")
    _save_examples(folder, out / f"{name}-examples.png")


def interval_table(points: dict[str, dict[str, Any]]) -> str:
    """Means with intervals of points, and 10th percentiles."""
    columns = [c for c in LABELS if any(c in point["interval"] for point in points.values())]
    rows = [
        (name, f"{p['total']:.1f}", f"{p['bytes']:.0f}", *(with_interval(p, c) for c in columns), *p["p10"].values())
        for name, p in points.items()
    ]
    return table(("", "tokens", "bytes", *(LABELS[c] for c in columns), "PSNR, 10th percentile", "SSIM, 10th percentile"), rows)


def _provenance_text(provenance: dict[str, Any], runtime: str, data: dict[str, Any]) -> str:
    files = [f"`{f['path']}` {f['sha256']}" for f in provenance["model_files"]]
    software = ", ".join(f"{name} {number}" for name, number in provenance["software"].items())
    machine = provenance["machine"]
    lines = [
        f"Images: {provenance['protocol']}. SHA-256 of the list of files and their checksums: {data['file_list_sha256']}.",
        f"Model (SHA-256): {', '.join(files)}; {runtime}, {software}, {machine.get('gpu', machine['cpu'])}.",
        "Bytes: tokens at fixed length and mask, rounded up to whole bytes an image. The mask is counted as log2 (N + 1) bits "
        "for its size and log2 C(N, kept) for its members; orders that a decoder can repeat are sent without members.",
    ]
    for network in (provenance["lpips"], provenance["inception"]):
        if network is not None:
            lines.append(f"{network['name']}: weights with SHA-256 {network['sha256']}.")
    return "\n\n".join(lines) + "\n"


def recognition_text(provenance: dict[str, Any]) -> str:
    """The networks behind the shares recognised; empty without any."""
    networks = [f"{n['name']} ({n['source']}, SHA-256 {n['sha256']})" for n in provenance["recognition"].values()]
    if not networks:
        return ""
    return (
        "Recognised: share of labelled images whose true class is the network's first answer, at 224 pixels (bicubic, "
        f"antialiased): {'; '.join(networks)}. EfficientNet-Lite0 is never trained against.\n"
    )


def codec_text(data: dict[str, Any], provenance: dict[str, Any]) -> str:
    """Tables of this model and codecs at the same bytes, one a main point; empty where codecs were not measured."""
    if "codecs" not in data:
        return ""
    parts = ["## Codecs at the same bytes\n", CODEC_SENTENCE]
    if absent := provenance["codecs_left_out"]:
        parts.append(f"Not installed and so not measured: {', '.join(absent)}.\n")
    for point, ours in main_codec_points(data).items():
        rows = {"this model": ours} | {name: points[point] for name, points in data["codecs"].items()}
        parts += [f"### {TITLES.get(point, point)}\n", quality_table(rows, "", rates=("bytes", "too_large"))]
    return "\n".join(parts)


CODEC_SENTENCE = (
    "Every image has as many bytes as its tokens and mask take here, and of eight sizes (1 to 1/16 of the side) and fourteen "
    "qualities that of the best PSNR. A codec whose smallest file is larger begins there: “too large” is the share of such "
    "images.\n"
)


def main_codec_points(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """This model's figures at the points whose codecs a report shows, by name; empty where codecs were not measured."""
    if "codecs" not in data:
        return {}
    if "adaptivity" not in data:
        return {EVERY_TOKEN: data["sweep"][0]}
    first = data["distortion_sweep"][0]
    points = {f"distortion, ε = {first['loss_rate']:g}": first}
    if DEFAULT in data:
        points[DEFAULT] = data[DEFAULT]
    return points | {TARGET: data["adaptivity"]["image, distortion"]}


def codebook_sentence(codebook: dict[str, Any]) -> str:
    """Distinct codes and perplexity."""
    uses = [
        f"{use['distinct']} of {codebook['size']} by {kind} tokens (perplexity {use['perplexity']:.0f})"
        for kind in ("patch", "global")
        if (use := codebook.get(kind)) is not None
    ]
    return f"Codes used: {', '.join(uses)}.\n"


def spread_sentence(data: dict[str, Any]) -> str:
    """Mean and spread of the conditional entropy ĥ."""
    spread = data["spread"]
    return (
        f"ĥ {data['entropy_mean']:.2f} ± {data['entropy_std_over_patches']:.2f} bits over patches, Σĥ "
        f"{data['entropy_sum_mean']:.0f} bits an image, mean surprisal {data['surprisal_mean']:.2f} bits. Standard deviation "
        f"over mean, averaged over images: {with_interval(spread, 'std_over_mean')}; 2nd and 98th percentile over all patches: "
        f"{spread['p2']:.2f} and {spread['p98']:.2f} bits.\n"
    )


def calibration_table(data: dict[str, Any]) -> str:
    """ĥ less surprisal by visible set."""
    rows = [
        (name, f"{bias['visible_share']:.0%}", bias["entropy"], bias["surprisal"], with_interval(bias, "bias"))
        for name, bias in data["calibration_bias"].items()
    ]
    return table(("visible patches", "share", "ĥ", "surprisal", "bias, bits a hidden patch"), rows)


def _filter_sections(data: dict[str, Any]) -> list[str]:
    sections = [
        "## Conditional entropy\n",
        spread_sentence(data),
        "Bias: ĥ less surprisal, mean over hidden patches, then over images.\n",
        calibration_table(data),
    ]
    rates = ("total", "bytes", "coded_bits", "mask_bits")
    for key, label in (
        ("sweep", "global conditioning"),
        ("sequential_sweep", "sequential conditioning"),
        ("distortion_sweep", "conditioning by distortion"),
    ):
        rows = {str(row["loss_rate"]): row for row in data[key]}
        sections += [f"## Information loss rate (image budget, {label})\n", quality_table(rows, "ε", rates=rates)]
    sections += [f"## Budgets at a mean total of at most {TARGET_TOTAL}\n", adaptivity_table(data)]
    for count, orders in data["orders"].items():
        sections += [f"## Orders at {count} kept\n", quality_table(orders, "order", rates=rates)]
    for count, orders in data.get("orders_equal_bits", {}).items():
        sections += [
            f"## Orders at the bits of distortion at {count} kept (entropy-coded, mask included)\n",
            quality_table(orders, "order", rates=rates),
        ]
    if "edge_priority" not in data:
        return sections
    betas = {f"β = {b}": v for b, v in data["edge_priority"].items()} | {"zero fill": data["zero_fill_48"]}
    return [*sections, "## Edge priority and fill at 48 kept\n", quality_table(betas, "")]


def adaptivity_table(data: dict[str, Any]) -> str:
    """How token counts spread and what the worst tenth of images gets, by budget and conditioning."""
    rows = [
        (
            name,
            _rate_for_target(v),
            f"{v['min']}, {v['kept_p10']:.0f}, {v['kept_p90']:.0f}, {v['max']}",
            v["std"],
            v["spearman_jpeg"],
            v["total"],
            *(f"{v[q]:.3f}, {v['p10'][q]:.3f}" for q in ("psnr", "ssim")),
            *(v.get(q) for q in (QUALITIES[2], FRECHET)),
        )
        for name, v in data["adaptivity"].items()
    ]
    header = ("budget", "ε", "kept: least, 10 %, 90 %, most", "standard deviation", "Spearman with JPEG size", "total")
    return table((*header, "PSNR: mean, 10 %", "SSIM: mean, 10 %", LABELS[QUALITIES[2]], LABELS[FRECHET]), rows)


def _rate_for_target(budget: dict[str, float]) -> str:
    """The ε of a budget; it says so where even the largest leaves more than the target."""
    return f"{budget['loss_rate']:.3f}" + (", not reached" if budget["total"] > TARGET_TOTAL else "")


def _plot_rate_distortion(data: dict[str, Any], path: Path) -> None:
    """Quality (columns) over tokens, of orders, and over bytes, of this model and of codecs (rows)."""
    first = data["sweep"][0]
    columns = [c for c in (*QUALITIES, "lpips", "recognised_lite0") if c in first]
    figure, axes = plt.subplots(2, len(columns), figsize=(4.4 * len(columns), 7.4), layout="constrained", squeeze=False)
    for (tokens, size), quality in zip(axes.T, columns, strict=True):
        _plot_tokens(tokens, data, quality)
        plot_model_bytes(size, data, quality, "TaTok" if len(data["sweep"]) > 1 else "this model")
        plot_codecs(size, data, quality)
        tokens.set(xlabel="tokens (K + kept)", ylabel=LABELS[quality])
        size.set(xlabel="bytes an image", ylabel=LABELS[quality])
        plain_log_scale(size)
        for axis in (tokens, size):
            axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plain_log_scale(axis: plt.Axes) -> None:
    """A logarithmic axis of bytes with ticks such as 64, 128, 256."""
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(ScalarFormatter())


def _plot_tokens(axis: plt.Axes, data: dict[str, Any], quality: str) -> None:
    for conditioning, mark in (("global", "o-"), ("sequential", "s-"), ("distortion", "D-")):
        rows = data.get("sweep" if conditioning == "global" else f"{conditioning}_sweep", [])
        axis.plot([r["total"] for r in rows], [r[quality] for r in rows], mark, markersize=4, label=f"DTF, {conditioning}")
    for order in ("random", "pixel variance", "surprisal"):
        rows = [orders[order] for orders in data.get("orders", {}).values()]
        axis.plot([r["total"] for r in rows], [r[quality] for r in rows], ".--", label=order)


def plot_model_bytes(axis: plt.Axes, data: dict[str, Any], quality: str, label: str) -> None:
    """One model's quality over bytes: tokens at fixed length and, where they can be dropped, entropy-coded; mask included."""
    rows = [r for r in data.get("distortion_sweep", data["sweep"]) if quality in r]
    (line,) = axis.plot([r["bytes"] for r in rows], [r[quality] for r in rows], "D-", markersize=4, label=label)
    if len(rows) > 1:
        coded, style = [(r["coded_bits"] + r["mask_bits"]) / 8 for r in rows], {"color": line.get_color(), "markersize": 3}
        axis.plot(coded, [r[quality] for r in rows], "D:", label=f"{label}, entropy-coded", **style)


def plot_codecs(axis: plt.Axes, data: dict[str, Any], quality: str) -> None:
    """The codecs' quality over the bytes that their files take."""
    for (name, points), mark in zip(data.get("codecs", {}).items(), "v^<>", strict=False):
        rows = sorted((p for p in points.values() if quality in p), key=lambda p: p["bytes"])
        style = {"color": "0.3", "linewidth": 1, "markersize": 4, "fillstyle": "none"}
        axis.plot([r["bytes"] for r in rows], [r[quality] for r in rows], f"{mark}-", label=name, **style)


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
