"""The machine and the software behind recorded figures."""

import os
import platform
from pathlib import Path

import torch


def describe_machine() -> dict[str, str | int]:
    """Processor, GPU (where PyTorch has one) and versions, as results files carry them."""
    description: dict[str, str | int] = {
        "cpu": _processor(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        description |= {
            "gpu": properties.name,
            "gpuMemoryBytes": properties.total_memory,
            "cuda": torch.version.cuda or "unknown",
        }
    return description


def _processor() -> str:
    # platform.processor() is empty on most Linux systems.
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()
