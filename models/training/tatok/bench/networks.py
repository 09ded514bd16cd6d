"""PyTorch as the peer of `npm run bench -- --batches`: the same graphs of the same bundle, stage by stage.

Inputs start and outputs end in host memory, as in the extension. On a GPU the products run in bfloat16, launched one by one
(eager) and as compiled blocks recorded in a CUDA graph (compiled), beside the floor: what the arithmetic and the bytes take at
the rates that this GPU was measured to reach.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle.export import Graph, example_inputs, graph_modules
from ..tokenizer import TaTok
from .floor import Ceilings, floor_milliseconds, measure_ceilings
from .machine import describe_machine

STAGES = {"encode": "encoder", "entropy": "entropy", "decode": "decoder"}
"""Graphs by the names that the benchmark of ONNX Runtime gives them; a model of fixed length has no entropy graph."""

Stage = Callable[[], object]


def bench(model: Path, *, device: str, threads: int, batches: list[int], runs: int, warm_up: int) -> dict[str, Any]:
    """Milliseconds a batch of every graph (least, median, 90 %, most of `runs` runs): float32 on "cpu", bfloat16 on "cuda"."""
    torch.set_num_threads(threads)
    modes = ("eager", "compiled") if device == "cuda" else ("eager",)
    ceilings = measure_ceilings() if device == "cuda" else None
    results: list[dict[str, Any]] = [{"batch": batch} for batch in batches]
    for mode in modes:
        tatok = TaTok.from_pretrained(model).to(device).eval()
        if device == "cuda":
            _in_bfloat16(tatok)
        if mode == "compiled":
            tatok.compile_parts()
        for entry in results:
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                entry[mode] = _time(tatok, entry["batch"], mode, device, runs, warm_up)
    if ceilings is not None:
        for entry in results:
            entry["floor"] = _floor(model, entry["batch"], ceilings)
    result = {"machine": describe_machine(), "device": device, "threads": threads, "runs": runs, "batches": results}
    return result if ceilings is None else result | {"ceilings": vars(ceilings)}


def _in_bfloat16(model: TaTok) -> None:
    """Weights as autocast would cast them on every call."""
    model.to(memory_format=torch.channels_last)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(torch.bfloat16)


def _time(model: TaTok, batch: int, mode: str, device: str, runs: int, warm_up: int) -> dict[str, dict[str, float]]:
    modules, inputs = graph_modules(model, attention=device == "cpu"), example_inputs(model, batch)
    stages: dict[str, Stage] = {}
    for name, module in _stages(modules).items():
        given = [inputs[i] for i in module.inputs]
        if device == "cpu":
            stages[name] = _on_host(module, given)
        else:
            stages[name] = _recorded(module, given) if mode == "compiled" else _launched(module, given)
    samples: dict[str, list[float]] = {stage: [] for stage in stages}
    for run in range(warm_up + runs):
        for stage, call in stages.items():
            start = time.perf_counter()
            call()
            if run >= warm_up:
                samples[stage].append(1000 * (time.perf_counter() - start))
    for count in range(2, len(stages) + 1):
        first = list(stages)[:count]
        samples[" + ".join(first)] = [sum(times) for times in zip(*(samples[stage] for stage in first), strict=True)]
    return {stage: _spread(values) for stage, values in samples.items()}


def _stages(modules: Mapping[str, Graph]) -> dict[str, Graph]:
    """The graphs that a model has, by stage."""
    return {stage: modules[graph] for stage, graph in STAGES.items() if graph in modules}


def _on_host(module: nn.Module, inputs: list[Tensor]) -> Stage:
    return lambda: module(*inputs)


def _to_host(outputs: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    return [output.cpu() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def _launched(module: nn.Module, inputs: list[Tensor]) -> Stage:
    pinned = [tensor.pin_memory() for tensor in inputs]
    return lambda: _to_host(module(*(tensor.cuda(non_blocking=True) for tensor in pinned)))


def _recorded(module: nn.Module, inputs: list[Tensor]) -> Stage:
    """One replay of a CUDA graph between copies from and to the host."""
    pinned, given = [tensor.pin_memory() for tensor in inputs], [tensor.cuda() for tensor in inputs]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            module(*given)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = module(*given)

    def replay() -> None:
        for buffer, tensor in zip(given, pinned, strict=True):
            buffer.copy_(tensor, non_blocking=True)
        graph.replay()
        _to_host(outputs)

    return replay


def _floor(model: Path, batch: int, ceilings: Ceilings) -> dict[str, dict[str, float]]:
    tatok = TaTok.from_pretrained(model).eval()
    modules, inputs = graph_modules(tatok, attention=False), example_inputs(tatok, batch)
    return {
        name: floor_milliseconds(module, module.network, [inputs[i] for i in module.inputs], ceilings)
        for name, module in _stages(modules).items()
    }


def table(result: dict[str, Any]) -> str:
    """The medians as lines of text, with the spread."""
    lines = [f"PyTorch {result['machine']['torch']} on {result['device']}, {result['threads']} threads, {result['runs']} runs"]
    for entry in result["batches"]:
        for mode in ("eager", "compiled", "floor"):
            for stage, numbers in entry.get(mode, {}).items():
                values = " ".join(f"{name} {value:.3g}" for name, value in numbers.items())
                lines.append(f"batch {entry['batch']:>3} {mode:<8} {stage:<25} {values} ms")
    return "\n".join(lines)


def _spread(values: list[float]) -> dict[str, float]:
    least, median, p90, most = np.quantile(values, [0, 0.5, 0.9, 1])
    return {"least": float(least), "median": float(median), "p90": float(p90), "most": float(most)}
