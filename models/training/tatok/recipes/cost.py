"""The cost of a recipe on paper: hours from measured rates and counted arithmetic."""

from dataclasses import dataclass
from functools import cache

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..config import ModelConfig
from ..tokenizer import TaTok
from .recipe import Recipe, shape_of

SCALING = 0.95
"""Rate of eight GPUs over eight times that of one. Two were measured at 0.98 (runs/2026-11-28-s256-two-schedules); that eight
lose another 0.03 is assumed."""
SLOWER = {"8 × H100": 1.0, "8 × A100": 989.5 / 312}
"""Time over that of as many H200. The H100 has the same arithmetic, and with SqueezeNet the S model was as fast on it
(runs/2026-11-28-s256-converged). The A100's is the ratio of the peak rates in bfloat16, 989.5 and 312 TFLOP/s: an upper bound,
since no step reaches the peak of either."""


@cache
def forward_flops(config: ModelConfig) -> int:
    """Floating-point operations of one image through encoder, entropy model and decoder, counted by PyTorch.

    The entropy model counts 1.25 times: given G alone, and for a quarter of the batch given patches too.
    """
    total = 0.0
    # Tensors without values, and attention as two products: fused kernels of the CPU are not counted.
    with torch.device("meta"):
        model = TaTok(config)
    with FakeTensorMode(allow_non_fake_inputs=True), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.to_empty(device="cpu")
        image = torch.empty(1, 3, config.image_size, config.image_size)
        codes = [torch.empty(1, n, len(config.levels)) if n else None for n in (config.global_tokens, config.patch_tokens)]
        hidden = torch.zeros(1, config.patches, dtype=torch.bool)
        for part, inputs, times in (
            (model.encoder, (image,), 1.0),
            (model.entropy_model, (*codes, hidden), 1.25),
            (model.decoder, tuple(codes), 1.0),
        ):
            if part is not None:
                with FlopCounterMode(display=False) as counter:
                    part(*inputs)
                total += times * counter.get_total_flops()
    return round(total)


@cache
def parameter_count(config: ModelConfig) -> int:
    """Numbers of a model that are trained."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in TaTok(config).parameters())


@dataclass(frozen=True)
class Cost:
    """Of one stage of one model."""

    model: str
    stage: str
    crops: int
    """Of all processes in all steps."""
    parameters: int
    crops_per_second: float
    """Of one GPU of the kind that was measured."""
    hours: dict[str, float]
    """By machines."""


def costs(recipe: Recipe) -> list[Cost]:
    """Time of a step = measured time · (s + (1 − s)·F / F₀).

    s is the share that does not grow with the model, F its arithmetic and F₀ that of the measured one. Larger products of
    matrices run nearer to a GPU's peak, so this is rather too much.
    """
    result = []
    measured = recipe.measured
    for name in recipe.models:
        for stage in ("first", "second"):
            config = recipe.config(name, stage)
            growth = forward_flops(config.model) / forward_flops(shape_of(measured.shape))
            rate = getattr(measured, stage) / (measured.loss_networks + (1 - measured.loss_networks) * growth)
            crops = config.steps * (config.global_batch or config.batch * recipe.gpus)
            seconds = crops / (rate * recipe.gpus * SCALING)
            hours = {machines: seconds * slower / 3600 for machines, slower in SLOWER.items()}
            result.append(Cost(name, stage, crops, parameter_count(config.model), rate, hours))
    return result


def cost_table(recipe: Recipe) -> str:
    """The costs in Markdown, with the sum of every column."""
    rows = costs(recipe)
    machines = list(SLOWER)
    lines = [
        f"| model | stage | parameters | crops | crops/s, {recipe.measured.gpu} | {' | '.join(f'{m}, h' for m in machines)} |",
        "| --- | --- | --- | --- | --- |" + " --- |" * len(machines),
    ]
    for row in rows:
        hours = " | ".join(f"{row.hours[m]:.1f}" for m in machines)
        lines.append(
            f"| {row.model} | {row.stage} | {row.parameters / 1e6:.0f} M | {row.crops / 1e6:.0f} M | "
            f"{row.crops_per_second:,.0f} | {hours} |"
        )
    totals = " | ".join(f"{sum(row.hours[m] for row in rows):.0f}" for m in machines)
    return "\n".join([*lines, f"| all | | | | | {totals} |"]) + "\n"
