"""The physical floor of a graph on a GPU: its arithmetic and its bytes at the rates that the GPU was measured to reach."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

_SIDE = 8192  # of the matrices of the measured product
_BYTES = 1 << 30  # of the measured copies


@dataclass(frozen=True)
class Ceilings:
    """Measured rates of one GPU, a second."""

    bfloat16_flops: float
    """Of one large matrix product."""
    memory_bytes: float
    """Read and written by one large copy on the device."""
    host_to_device_bytes: float
    device_to_host_bytes: float
    """Both from and to page-locked memory."""


def measure_ceilings(repeats: int = 10) -> Ceilings:
    """Measures the rates on the current CUDA device, in about a second."""
    a, b = (torch.randn(_SIDE, _SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    on_device = [torch.empty(_BYTES, dtype=torch.uint8, device="cuda") for _ in range(2)]
    on_host = torch.empty(_BYTES // 4, dtype=torch.uint8, pin_memory=True)
    part = on_device[0][: len(on_host)]
    return Ceilings(
        bfloat16_flops=2 * _SIDE**3 / _seconds(lambda: a @ b, repeats),
        memory_bytes=2 * _BYTES / _seconds(lambda: on_device[0].copy_(on_device[1]), repeats),
        host_to_device_bytes=len(on_host) / _seconds(lambda: part.copy_(on_host, non_blocking=True), repeats),
        device_to_host_bytes=len(on_host) / _seconds(lambda: on_host.copy_(part, non_blocking=True), repeats),
    )


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Of one piece of work on the device, after three that are not counted."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


@torch.inference_mode()
def floor_milliseconds(module: nn.Module, network: nn.Module, inputs: list[Tensor], ceilings: Ceilings) -> dict[str, float]:
    """The least milliseconds for `inputs` (on the CPU) through `module`, whose weights are those of `network`; three bounds.

    Arithmetic; memory traffic (weights at 2 bytes, inputs and outputs, each once); transfers between host and device.
    """
    # Fused attention on the CPU is not counted; as two products it is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    given, made = (sum(t.numel() * t.element_size() for t in tensors) for tensors in (inputs, outputs))
    weights = 2 * sum(p.numel() for p in network.parameters())
    return {
        "arithmetic": 1e3 * counter.get_total_flops() / ceilings.bfloat16_flops,
        "memory": 1e3 * (weights + given + made) / ceilings.memory_bytes,
        "transfer": 1e3 * (given / ceilings.host_to_device_bytes + made / ceilings.device_to_host_bytes),
    }
