"""Several models in one table and one plot: TaTok, filtered by distortion, over ε beside tokenizers of a fixed length."""

import json
from pathlib import Path
from typing import Any

import matplotlib

from .report import (
    EVERY_TOKEN,
    LABELS,
    QUALITIES,
    TARGET,
    TARGET_TOTAL,
    codec_points,
    plain_log_scale,
    plot_codecs,
    plot_model_bytes,
    quality_table,
)

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_PLOTTED = (*QUALITIES, "recognised_lite0")


def compare(metrics: list[Path], out: Path) -> None:
    """Writes comparison.md and, for each folder that all of `metrics` measured, `folder`-comparison.png into `out`.

    Raises ValueError for evaluations of different folders, for folders of one name with different files, and for metrics of a
    version that did not record files.
    """
    models = [json.loads(path.read_text(encoding="utf-8")) for path in metrics]
    folders = [f for f in models[0]["folders"] if all(f in model["folders"] for model in models)]
    if not folders:
        raise ValueError("the evaluations have no folder in common")
    for folder in folders:
        files = {model["folders"][folder].get("file_list_sha256") for model in models}
        if None in files:
            raise ValueError(f"an evaluation of {folder} is of an earlier version: evaluate that model again")
        if len(files) > 1:
            raise ValueError(f"the evaluations measured different files under the name {folder}")
    out.mkdir(parents=True, exist_ok=True)
    sections = []
    for folder in folders:
        data = dict(zip(_names(models), (model["folders"][folder] for model in models), strict=True))
        sections.append(f"# {folder}\n\n{_table(data)}")
        _plot(data, out / f"{folder}-comparison.png")
    (out / "comparison.md").write_text("\n".join(sections), encoding="utf-8")


def _names(models: list[dict[str, Any]]) -> list[str]:
    """The models' names, numbered where several have one."""
    names = [model["model"] for model in models]
    return [n if names.count(n) == 1 else f"{n} ({names[: i + 1].count(n)})" for i, n in enumerate(names)]


def _points(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Rate–distortion points of a model, filtered by distortion; a model of fixed length has one."""
    return data.get("distortion_sweep", data["sweep"])


def _table(models: dict[str, dict[str, Any]]) -> str:
    rows = {}
    for name, data in models.items():
        rows[f"{name}, {EVERY_TOKEN}"] = _points(data)[0]
        if "adaptivity" in data:
            rows[f"{name}, mean total ≤ {TARGET_TOTAL}"] = data["adaptivity"]["image, distortion"]
    for name, data in models.items():
        for codec, points in data.get("codecs", {}).items():
            shown = [p for p in (*codec_points(points)[:1], TARGET) if p in points]
            rows |= {f"{codec} at the bytes of {name}, {p}": points[p] for p in shown}
    return quality_table(rows, "model and tokens kept", rates=("total", "bytes"))


def _plot(models: dict[str, dict[str, Any]], path: Path) -> None:
    """Quality (columns) over tokens and over bytes (rows); codecs, whose files have no tokens, over bytes."""
    columns = [c for c in _PLOTTED if any(c in _points(data)[0] for data in models.values())]
    figure, axes = plt.subplots(2, len(columns), figsize=(4.4 * len(columns), 7.4), layout="constrained", squeeze=False)
    for (tokens, size), quality in zip(axes.T, columns, strict=True):
        for name, data in models.items():
            points = [p for p in _points(data) if quality in p]
            style = "s-" if len(points) > 1 else "D"
            tokens.plot([p["total"] for p in points], [p[quality] for p in points], style, markersize=5, label=name)
            plot_model_bytes(size, data, quality, name)
        for data in [d for d in models.values() if "codecs" in d][:1]:
            plot_codecs(size, data, quality)
        tokens.set(xlabel="tokens", ylabel=LABELS[quality])
        size.set(xlabel="bytes, mask included", ylabel=LABELS[quality])
        plain_log_scale(size)
        for axis in (tokens, size):
            axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
