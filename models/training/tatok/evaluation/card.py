"""The figures of a model card: a section of the bundle's README.md and `metrics` in its manifest.json, from an evaluation."""

from pathlib import Path
from typing import Any

from ..bundle.manifest import read_manifest, write_manifest
from .report import (
    CODEC_SENTENCE,
    LABELS,
    TARGET_TOTAL,
    TITLES,
    calibration_table,
    codebook_sentence,
    interval_table,
    main_codec_points,
    main_points,
    quality_table,
    recognition_text,
    spread_sentence,
    table,
)

BEGIN = "<!-- figures: written by `python -m tatok evaluate --write-card`, changes are lost -->"
END = "<!-- end of figures -->"
_COMPARED = ("psnr", "ssim", "squeezenet_distance", "lpips", "recognised_lite0", "recognised_squeezenet")
_ORDERS_AT = "48"


def check_card(bundle: Path) -> None:
    """Raises ValueError where `write_card` could not write: no bundle, or a README.md with one marker of the section alone."""
    if not (bundle / "manifest.json").is_file():
        raise ValueError(f"{bundle} is no bundle: a model card is part of a folder with manifest.json")
    text = _read(bundle)
    if (text.count(BEGIN), text.count(END)) not in ((0, 0), (1, 1)) or text.find(BEGIN) > text.find(END):
        raise ValueError(f"{bundle / 'README.md'} needs the lines {BEGIN} and {END} once each in this order, or neither")


def write_card(bundle: Path, results: dict[str, Any]) -> None:
    """Puts the figures of an evaluation between the card's markers, or at its end, and into the manifest."""
    check_card(bundle)
    text, section = _read(bundle), f"{BEGIN}\n\n{card_section(results)}\n{END}"
    if BEGIN in text:
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        text = before + section + after
    else:
        text = f"{text.rstrip()}\n\n## Figures\n\n{section}\n"
    (bundle / "README.md").write_text(text, encoding="utf-8")
    write_manifest(bundle, read_manifest(bundle) | {"metrics": manifest_metrics(results)})


def _read(bundle: Path) -> str:
    card = bundle / "README.md"
    return card.read_text(encoding="utf-8") if card.exists() else f"# {read_manifest(bundle)['name']}\n"


def card_section(results: dict[str, Any]) -> str:
    """Markdown of all folders: quality, codecs at the same bytes, orders, conditional entropy, provenance."""
    folders, provenance = results["folders"], results["provenance"]
    parts = [
        f"Images: {provenance['protocol']}. Means over images, in brackets 95 % bootstrap intervals.\n",
        *(f"`{name}`, {data['images']} images:\n\n{_main_table(data)}" for name, data in folders.items()),
        recognition_text(provenance),
        _codecs(folders),
        _orders(folders, "orders", f"### Which patches to keep, {_ORDERS_AT} of {results['patch_tokens']}\n"),
        _orders(
            folders,
            "orders_equal_bits",
            f"### The same at as many bits as {_ORDERS_AT} by distortion take, entropy-coded and with the mask\n",
        ),
        *(_entropy(name, data) for name, data in folders.items() if "spread" in data),
        _origin(results),
    ]
    return "\n".join(part for part in parts if part)


def _main_table(data: dict[str, Any]) -> str:
    points = main_points(data)
    weave = {"photographs": data["photographs"]} | points
    known = {name: {k: v for k, v in point.items() if k in ("weave_db", *_seen(data))} for name, point in weave.items()}
    legend = "Weave, and shares recognised, of the photographs themselves and of reconstructions:"
    return f"{interval_table(points)}\n{legend}\n\n{quality_table(known, '', rates=())}"


def _seen(data: dict[str, Any]) -> list[str]:
    return [column for column in LABELS if column.startswith("recognised") and column in data["photographs"]]


def _codecs(folders: dict[str, Any]) -> str:
    parts = []
    for folder, data in folders.items():
        for point, ours in main_codec_points(data).items():
            rows = {"this model": ours} | {name: points[point] for name, points in data["codecs"].items()}
            parts.append(f"`{folder}`, {TITLES.get(point, point)}:\n\n{quality_table(rows, '', rates=('bytes', 'too_large'))}")
    return "\n".join(["### Codecs at the same bytes\n", CODEC_SENTENCE, *parts]) if parts else ""


def _orders(folders: dict[str, Any], key: str, title: str) -> str:
    """One row an order, one column a folder: its figures one after the other."""
    measured = {name: data[key][_ORDERS_AT] for name, data in folders.items() if _ORDERS_AT in data.get(key, {})}
    if not measured:
        return ""
    first = next(iter(measured.values()))
    columns = [c for c in _COMPARED if any(c in point for orders in measured.values() for point in orders.values())]

    def cell(point: dict[str, Any]) -> str:
        figures = " / ".join(f"{point[c]:.3f}" if c in point else "-" for c in columns)
        return f"{point['total']:.1f} tokens, {point['coded_bits'] + point['mask_bits']:.0f} bits: {figures}"

    ordered = sorted(first, key=lambda order: -first[order]["psnr"])
    rows = [(order, *(cell(orders[order]) for orders in measured.values())) for order in ordered]
    legend = " / ".join(LABELS[c] for c in columns)
    seeds = "random is the mean over five seeds" if "seed_std" in first["random"] else "random is one seed"
    return f"{title}\n{legend}; {seeds}.\n\n{table(('order', *measured), rows)}"


def _entropy(name: str, data: dict[str, Any]) -> str:
    default = data.get("default")
    spread = (
        ""
        if default is None
        else (
            f"Under the defaults an image keeps {default['min']} to {default['max']} patch tokens (10th and 90th percentile "
            f"{default['kept_p10']:.0f} and {default['kept_p90']:.0f}; Spearman correlation with JPEG size "
            f"{default['spearman_jpeg']:.2f}).\n"
        )
    )
    return "\n".join(
        part
        for part in (
            f"### Conditional entropy on `{name}`\n",
            spread_sentence(data),
            spread,
            codebook_sentence(data["codebook"]),
            "Bias of ĥ against the surprisal, by what is visible:\n",
            calibration_table(data),
        )
        if part
    )


def _origin(results: dict[str, Any]) -> str:
    provenance = results["provenance"]
    files = "; ".join(f"`{name}` {data['file_list_sha256']}" for name, data in results["folders"].items())
    machine, software = provenance["machine"], provenance["software"]
    runtime = "ONNX Runtime" if results["runtime"] == "OnnxBackend" else "PyTorch"
    return (
        f"Measured in {runtime} on {machine.get('gpu', machine['cpu'])} (torch {software['torch']}, onnxruntime "
        f"{software['onnxruntime']}). SHA-256 of the lists of images and their checksums: {files}.\n"
    )


def manifest_metrics(results: dict[str, Any]) -> dict[str, Any]:
    """`metrics` of a manifest: the main figures of every folder, rounded."""
    return {
        "protocol": f"{results['provenance']['protocol']}; PSNR over RGB, SSIM on luma",
        "folders": {name: _folder_metrics(data) for name, data in results["folders"].items()},
    }


def _folder_metrics(data: dict[str, Any]) -> dict[str, Any]:
    metrics: dict[str, Any] = {"images": data["images"], "fileListSha256": data["file_list_sha256"]}
    sweep = data.get("distortion_sweep", data["sweep"])
    metrics["allTokens"] = _rounded(sweep[0])
    if "default" in data:
        metrics["default"] = {"lossRate": data["default"]["lossRate"]} | _rounded(data["default"])
    if "adaptivity" in data:
        target = data["adaptivity"]["image, distortion"]
        metrics["globalOnly"] = _rounded(sweep[-1])
        metrics[f"meanTotal{TARGET_TOTAL}"] = {"lossRate": target["loss_rate"]} | _rounded(target)
        metrics["entropyBits"] = {
            "mean": round(data["entropy_mean"], 2),
            "stdOverPatches": round(data["entropy_std_over_patches"], 2),
            "stdOverMean": round(data["spread"]["std_over_mean"], 3),
            "p2": round(data["spread"]["p2"], 2),
            "p98": round(data["spread"]["p98"], 2),
        }
    return metrics


_MANIFEST_NAMES = {
    "total": ("tokens", 1),
    "bytes": ("bytes", 1),
    "psnr": ("psnr", 2),
    "ssim": ("ssim", 3),
    "squeezenet_distance": ("squeezenetDistance", 3),
    "lpips": ("lpips", 3),
    "recognised_lite0": ("recognisedLite0", 3),
    "recognised_squeezenet": ("recognisedSqueezenet", 3),
    "rfid": ("rfid", 2),
    "weave_db": ("weaveDb", 1),
}


def _rounded(point: dict[str, Any]) -> dict[str, float]:
    return {name: round(point[key], digits) for key, (name, digits) in _MANIFEST_NAMES.items() if key in point}
