"""Benchmark: how long a GPT takes to generate an image's tokens, over their number."""

import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch

from ..bundle.manifest import read_manifest
from ..config import ModelConfig
from ..generation.config import SIZES
from ..generation.network import CachedDecoder, Gpt, SequenceShape
from .machine import describe_machine

FIXED_TOKENS = 256
"""Codes of 256 by 256 pixels where every patch of 16 pixels has one."""

PROTOCOL = (
    "greedy decoding token by token, and level by level, from a start token, static key-value cache as long as the sequence, "
    "random weights (time does not depend on them); whole sequences timed between synchronisations, median of the runs after "
    "two that are not counted. eager: PyTorch launches every kernel; graph: one step recorded as a CUDA graph; compiled: the "
    "same with compiled blocks. The kept mask is taken as given."
)


def adaptive_tokens(bundle: Path) -> float:
    """K + |S| at the model's default ε, the mean over the images of which its manifest reports that."""
    folders = read_manifest(bundle).get("metrics", {}).get("folders", {})
    counted = [(folder["images"], folder["default"]["tokens"]) for folder in folders.values() if "default" in folder]
    if not counted:
        raise ValueError(f"the manifest of {bundle} reports no token counts; give them with --tokens")
    return sum(images * tokens for images, tokens in counted) / sum(images for images, _ in counted)


def benchmark(
    size: str,
    levels: tuple[int, ...],
    adaptive: int,
    lengths: list[int],
    batches: list[int],
    modes: list[str],
    runs: int,
    device: torch.device,
) -> dict[str, Any]:
    """Times every mode and batch at every length; the adaptive and the fixed count are always among the lengths, and both have
    codes of the same `levels`."""
    torch.manual_seed(0)
    lengths = sorted({adaptive, FIXED_TOKENS, *lengths})
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = Gpt(SIZES[size], SequenceShape(levels, max(lengths))).to(device, dtype).eval()
    parameters = sum(p.numel() for p in model.parameters())
    results = []
    for mode in modes:
        # Compiling takes seconds for each shape, so only what the ratio compares is compiled.
        timed = [adaptive, FIXED_TOKENS] if mode == "compiled" else lengths
        if mode == "compiled":
            for block in model.blocks:
                block.forward_cached = torch.compile(block.forward_cached, dynamic=False)
        for batch in batches:
            results += [_measure(model, mode, batch, length, runs) for length in timed]
    return {
        "model": {
            "size": size,
            **vars(SIZES[size]),
            "codes": math.prod(levels),
            "parameters": parameters,
            "dtype": str(dtype).removeprefix("torch."),
        },
        "machine": describe_machine(),
        "protocol": PROTOCOL,
        "runs": runs,
        "adaptiveTokens": adaptive,
        "fixedTokens": FIXED_TOKENS,
        "ratios": _ratios(results, adaptive),
        "results": results,
    }


def _measure(model: Gpt, mode: str, batch: int, length: int, runs: int) -> dict[str, Any]:
    decoder = CachedDecoder(model, batch, length)
    if mode != "eager":
        decoder.capture()
    seconds = []
    for _ in range(2 + runs):
        _synchronize()
        start = time.perf_counter()
        decoder.decode()
        _synchronize()
        seconds.append(time.perf_counter() - start)
    counted = seconds[2:]
    median = statistics.median(counted)
    return {
        "mode": mode,
        "batch": batch,
        "tokens": length,
        "seconds": {"least": min(counted), "median": median, "most": max(counted)},
        "tokensPerSecond": batch * length / median,
        "imagesPerSecond": batch / median,
    }


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _ratios(results: list[dict[str, Any]], adaptive: int) -> list[dict[str, Any]]:
    """Time for the fixed count over time for the adaptive one, of every mode and batch."""
    median = {(r["mode"], r["batch"], r["tokens"]): r["seconds"]["median"] for r in results}
    settings = dict.fromkeys((r["mode"], r["batch"]) for r in results)
    return [{"mode": m, "batch": b, "ratio": median[m, b, FIXED_TOKENS] / median[m, b, adaptive]} for m, b in settings]


def write_results(results: dict[str, Any], out: Path) -> None:
    """generation.json and generation.png (time of one batch against the number of tokens)."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "generation.json").write_text(json.dumps(results, indent=2) + "\n")
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for mode, batch in dict.fromkeys((r["mode"], r["batch"]) for r in results["results"]):
        rows = [r for r in results["results"] if (r["mode"], r["batch"]) == (mode, batch)]
        axes.plot(
            [r["tokens"] for r in rows], [1e3 * r["seconds"]["median"] for r in rows], "o-", label=f"{mode}, batch {batch}"
        )
    adaptive = results["adaptiveTokens"]
    axes.axvline(adaptive, color="0.6", linestyle=":", label=f"K + |S| = {adaptive}")
    axes.set(
        xlabel="tokens an image", ylabel="ms a batch", title=f"GPT of {results['model']['parameters'] / 1e6:.0f} M, greedy"
    )
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(out / "generation.png", dpi=120)
    plt.close(figure)


def generate(bundle: Path, out: Path, size: str, tokens: int | None, lengths: list[int], batches: list[int], runs: int) -> None:
    """The command: measures on the GPU where there is one, else on the CPU, prints the ratios and writes the rest."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    modes = ["eager", "graph", "compiled"] if device.type == "cuda" else ["eager"]
    adaptive = round(adaptive_tokens(bundle)) if tokens is None else tokens
    levels = ModelConfig.from_dict(read_manifest(bundle)["model"]).levels
    results = benchmark(size, levels, adaptive, lengths, batches, modes, runs, device)
    write_results(results, out)
    for row in results["ratios"]:
        print(f"{row['mode']}, batch {row['batch']}: {FIXED_TOKENS} tokens take {row['ratio']:.2f} times as long as {adaptive}")
