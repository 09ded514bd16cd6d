"""Where the time of a training step goes: its rate untraced, then every kernel of a few traced steps, by kind and by name."""

import re
import time
from collections import Counter
from dataclasses import replace

import torch
from torch.autograd import DeviceType

from ..config import TrainConfig
from ..training.distributed import Workers
from ..training.train import RunFiles, Trainer

_ROWS = 60
# Tried in this order: a compiled kernel is named after what was fused into it, a library's after what it computes.
_KINDS = {
    "compiled: layer norms": "triton.*layer_norm",
    "compiled: group norms": "triton.*group_norm",
    "compiled: GELU": "triton.*gelu",
    "compiled: other": "triton",
    "attention": "sdpa|flash|cudnn::fusion",
    "convolutions": "fprop|dgrad|wgrad|conv|nhwc",
    "products of matrices": "nvjet|gemm|cublas",
}


def kind_of(kernel: str) -> str:
    """The kind of work of a kernel, or on a CPU of an operator, by its name."""
    return next((kind for kind, pattern in _KINDS.items() if re.search(pattern, kernel, re.IGNORECASE)), "other")


def profile(
    files: RunFiles,
    config: TrainConfig,
    *,
    compile_model: bool,
    warm_up: int = 12,
    timed: int = 20,
    traced: int = 3,
) -> str:
    """Text of three parts: crops a second over `timed` steps and of the data alone, then milliseconds a step by kind and by
    kernel over `traced`.

    The rate of the data is that of reading, decoding and cutting without a model; where it is above the step's, data are no
    bottleneck. Time waited for a stream is that in which the step had no images yet.

    A run that has a checkpoint goes on from there. No step is of the phase that keeps every token, in which other work is done
    than in most.
    """
    trainer = Trainer(files, config, Workers.join(), compile_model=compile_model)
    trainer.config = replace(trainer.config, full_token_phase=0.0)
    device, crops = trainer.workers.device, trainer.share.whole
    _steps(trainer, warm_up)
    waited = trainer.source.waited
    started = time.monotonic()
    _steps(trainer, timed)
    seconds = (time.monotonic() - started) / timed
    waited = (trainer.source.waited - waited) / timed
    on_gpu = device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as recorded:
        _steps(trainer, traced)
    name = torch.cuda.get_device_name(device) if on_gpu else f"{torch.get_num_threads()} CPU threads"
    head = f"One training step of {crops} crops on {name}, PyTorch {torch.__version__}: {1e3 * seconds:.1f} ms, "
    head += f"{crops / seconds:.0f} crops a second over {timed} steps"
    if on_gpu:
        head += f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB at most"
    of_data = crops / _seconds_of_data(trainer, timed)
    verdict = "faster than the step" if of_data > crops / seconds else "slower than the step: give more readers"
    head += f".\nData alone: {of_data:.0f} crops a second, {verdict}; {1e3 * waited:.1f} ms a step were waited for them"
    trainer.source.close()
    return f"{head}.\n\n{_tables(recorded, on_gpu, traced)}"


def _seconds_of_data(trainer: Trainer, steps: int) -> float:
    """Of the crops of one step, a mean over `steps`, after as many that readers may have had ready."""
    share, generator = trainer.share, torch.Generator(trainer.workers.device).manual_seed(0)
    for _ in ("ahead", "counted"):
        started = time.monotonic()
        for _ in range(steps):
            for number in range(share.passes):
                crops = trainer.source.batch(share.whole, generator, share.part(number))
        # As above, the host is ahead of a GPU until it asks.
        crops[0, 0, 0, 0].item()
    return (time.monotonic() - started) / steps


def _steps(trainer: Trainer, count: int) -> None:
    for _ in range(count):
        parts = trainer.step()
    # The host runs ahead of a GPU until it asks for a number.
    parts["loss"].item()


def _tables(recorded: torch.profiler.profile, on_gpu: bool, steps: int) -> str:
    kernels: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in recorded.key_averages():
        # Ranges that a program marks span kernels that are listed themselves.
        if event.device_type == (DeviceType.CUDA if on_gpu else DeviceType.CPU) and not event.is_user_annotation:
            kernels[event.key] += (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / steps / 1e3
            calls[event.key] += event.count
    total = sum(kernels.values())
    kinds: Counter[str] = Counter()
    for name, milliseconds in kernels.items():
        kinds[kind_of(name)] += milliseconds
    lines = [f"ms a step, mean of {steps}: {total:.1f} in all"]
    lines += [f"{value:8.2f}  {100 * value / total:5.1f} %  {kind}" for kind, value in kinds.most_common()]
    lines += ["", "ms        calls  kernel"]
    lines += [f"{value:8.3f}  {calls[name] / steps:5.1f}  {name[:150]}" for name, value in kernels.most_common(_ROWS)]
    return "\n".join(lines) + "\n"
