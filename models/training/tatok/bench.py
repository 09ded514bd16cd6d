"""PyTorch on the CPU as the peer of `npm run bench -- --batches`: the same graphs of the same bundle, stage by stage."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .checkpoint import load_model
from .export import example_inputs, graph_modules
from .machine import describe_machine

STAGES = {"encode": "encoder", "entropy": "entropy", "decode": "decoder"}
"""Graphs by the names that the benchmark of ONNX Runtime gives them."""


@torch.inference_mode()
def bench(model: Path, *, threads: int, batches: list[int], runs: int, warm_up: int) -> dict[str, Any]:
    """Milliseconds a batch of every graph on the CPU in float32: least, median, 90 % and most of `runs` runs."""
    torch.set_num_threads(threads)
    tatok = load_model(model).cpu().eval()
    modules = graph_modules(tatok)
    results = []
    for batch in batches:
        inputs = example_inputs(tatok, batch)
        samples: dict[str, list[float]] = {stage: [] for stage in STAGES}
        for run in range(warm_up + runs):
            for stage, graph in STAGES.items():
                module = modules[graph]
                start = time.perf_counter()
                module(*(inputs[name] for name in module.inputs))
                if run >= warm_up:
                    samples[stage].append(1000 * (time.perf_counter() - start))
        results.append({"batch": batch, "milliseconds": {stage: _spread(values) for stage, values in samples.items()}})
    return {"machine": describe_machine(), "threads": threads, "runs": runs, "batches": results}


def table(result: dict[str, Any]) -> str:
    """The medians as lines of text, with the spread."""
    lines = [f"PyTorch {result['machine']['torch']}, {result['threads']} threads, {result['runs']} runs"]
    for entry in result["batches"]:
        for stage, spread in entry["milliseconds"].items():
            values = " ".join(f"{name} {value:.1f}" for name, value in spread.items())
            lines.append(f"batch {entry['batch']:>3} {stage:<8} {values} ms")
    return "\n".join(lines)


def _spread(values: list[float]) -> dict[str, float]:
    least, median, p90, most = np.quantile(values, [0, 0.5, 0.9, 1])
    return {"least": float(least), "median": float(median), "p90": float(p90), "most": float(most)}
