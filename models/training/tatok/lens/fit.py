"""Fitting a lens to the codes of photographs: masked prediction, with a checkpoint to go on from."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle.calibration import fit_temperature
from ..model import surprisal_bits
from .frozen import Codes, Progress
from .network import Lens
from .sizes import SIZES, Size

CHECKS = 20
"""How often in a run the held-out bits are measured, and a checkpoint is written."""
_CALIBRATION_LOGITS = 2**24


@dataclass(frozen=True)
class FitConfig:
    """All that the weights depend on beside the codes."""

    size: Size
    steps: int
    batch: int
    seed: int


def shares_visible(count: int, generator: torch.Generator) -> Tensor:
    """Shares of visible tokens, one an image, uniform in [0, 1): an order of dropping asks for every one of them."""
    return torch.rand(count, generator=generator)


def random_visible(images: int, tokens: int, shares: Tensor, generator: torch.Generator) -> Tensor:
    """[images, tokens] bool: ⌊share · tokens⌋ visible tokens of every image, at random; one is hidden at least."""
    ranks = torch.rand(images, tokens, generator=generator).argsort(1).argsort(1)
    return ranks < (shares.unsqueeze(1) * tokens).floor()


def hidden_nats(lens: Lens, codes: dict[str, Tensor], visible: Tensor) -> Tensor:
    """Mean −ln q(z_i | Z_S) over the hidden tokens: the objective, without label smoothing, which biases bits."""
    logits, hidden = lens(codes, visible), ~visible
    values = lens.codes.factors(codes[lens.stream]).long()
    log_q = torch.log_softmax(logits, -1).gather(-1, values.unsqueeze(-1)).squeeze(-1).sum(-1)
    return -(log_q * hidden).sum() / hidden.sum()


@torch.no_grad()
def held_out_bits(lens: Lens, codes: dict[str, Tensor], batch: int) -> float:
    """Bits a hidden token of photographs that the weights are not fitted to, under visible sets that are always the same."""
    generator = torch.Generator().manual_seed(0)
    own = codes[lens.stream]
    images, tokens = own.shape
    visible = random_visible(images, tokens, (torch.arange(images) + 0.5) / images, generator).to(own.device)
    bits = 0.0
    for start in range(0, images, batch):
        part = slice(start, start + batch)
        given = {name: each[part] for name, each in codes.items()}
        surprisal = surprisal_bits(lens(given, visible[part]), lens.codes.factors(given[lens.stream]))
        bits += float((surprisal * ~visible[part]).sum())
    return bits / float((~visible).sum())


def fit(
    lens: Lens,
    train: Codes,
    held_out: Codes,
    config: FitConfig,
    checkpoint: Path,
    say: Progress,
    *,
    device: torch.device,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Fits `lens` in place and leaves the weights with the fewest held-out bits; returns figures of the run.

    Goes on from `checkpoint` where there is one, and returns None after writing it where `stopped` says so. Raises ValueError
    for a checkpoint of another configuration.
    """
    lens.to(device)
    data = {name: torch.from_numpy(values).to(device) for name, values in train.items()}
    check = {name: torch.from_numpy(values).to(device) for name, values in held_out.items()}
    images, tokens = data[lens.stream].shape
    matrices = [p for p in lens.parameters() if p.ndim > 1]
    others = [p for p in lens.parameters() if p.ndim < 2]
    rate = SIZES[config.size].rate
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(config.seed)
    step, best, best_weights, history = 0, math.inf, None, []
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["config"] != asdict(config):
            raise ValueError(f"{checkpoint} is of a run with other options: ask for the same, or choose another folder")
        lens.load_state_dict(state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"].cpu())
        step, best, best_weights, history = state["step"], state["best"], state["best_weights"], state["history"]
        say(f"goes on after step {step} of {config.steps}")
    started, first, running = time.monotonic(), step, 0.0
    every = max(1, config.steps // CHECKS)
    while step < config.steps:
        warm = min(1.0, (step + 1) / max(1, config.steps // 20))
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        chosen = torch.randint(images, (config.batch,), generator=generator).to(device)
        visible = random_visible(config.batch, tokens, shares_visible(config.batch, generator), generator).to(device)
        lens.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = hidden_nats(lens, {name: each[chosen] for name, each in data.items()}, visible)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(lens.parameters(), 1.0)
        optimizer.step()
        step += 1
        running += (loss.item() - running) / ((step - 1) % every + 1)
        if step % every == 0 or step == config.steps or stopped():
            lens.eval()
            bits = held_out_bits(lens, check, config.batch)
            history.append({"step": step, "bits": running / math.log(2), "heldOutBits": bits})
            if bits < best:
                best, best_weights = bits, {name: value.clone() for name, value in lens.state_dict().items()}
            left = (config.steps - step) * (time.monotonic() - started) / (step - first)
            seen = f"{history[-1]['bits']:.2f} bits a hidden token, held out {bits:.2f}"
            say(f"step {step} of {config.steps}: {seen}, {_minutes(left)} left")
            state = {"config": asdict(config), "weights": lens.state_dict(), "optimizer": optimizer.state_dict()}
            state |= {"generator": generator.get_state(), "step": step, "history": history}
            _save(state | {"best": best, "best_weights": best_weights}, checkpoint)
            running = 0.0
            if stopped():
                return None
    assert best_weights is not None
    lens.load_state_dict(best_weights)
    lens.eval()
    temperature = _calibrate(lens, check, config.batch)
    return {"heldOutBits": best, "temperature": temperature, "history": history}


@torch.no_grad()
def _calibrate(lens: Lens, codes: dict[str, Tensor], batch: int) -> float:
    """Sets and returns the temperature that fits hidden tokens of held-out photographs."""
    generator = torch.Generator().manual_seed(1)
    images, tokens = codes[lens.stream].shape
    visible = random_visible(images, tokens, (torch.arange(images) + 0.5) / images, generator)
    logits, values, count = [], [], 0
    for start in range(0, images, batch):
        given = {name: each[start : start + batch] for name, each in codes.items()}
        hidden = ~visible[start : start + batch].to(given[lens.stream].device)
        logits.append(lens(given, ~hidden)[hidden].cpu())
        values.append(lens.codes.factors(given[lens.stream])[hidden].cpu())
        count += logits[-1].numel()
        if count > _CALIBRATION_LOGITS:
            break
    temperature = fit_temperature(torch.cat(logits), torch.cat(values))
    lens.temperature.fill_(temperature)
    return temperature


def _save(state: dict[str, Any], path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    partial.replace(path)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def as_tensors(codes: Codes) -> dict[str, Tensor]:
    """Codes for a lens on the CPU."""
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in codes.items()}
