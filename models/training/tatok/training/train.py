"""The training loop. One process, or several under torchrun:

torchrun --nproc-per-node 2 -m tatok train PACK --out RUN --perceptual efficientnet-lite
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainConfig
from ..data.augment import Augmentation
from ..data.crops import CropShape, CropSource
from ..features import open_perceptual
from ..tokenizer import TaTok
from ..weights import read_checkpoint, save_weights
from .adversary import Adversary
from .checkpoint import save_checkpoint, start_from
from .distributed import Workers
from .objective import Objective, Randomness
from .optimizer import learning_rate, make_optimizers, moving_average
from .stop_signals import StopSignals

LOG_EVERY = 50
STOP_CHECK_EVERY = 10


@dataclass(frozen=True)
class RunFiles:
    """Where a run reads and writes."""

    pack: Path
    out: Path
    perceptual: str | None = None
    """`efficientnet-lite`, or the path of SqueezeNet's weights."""
    start_from: Path | None = None

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"


class Trainer:
    """A model, its optimisers and its data, one step at a time.

    A run whose folder holds a checkpoint resumes exactly, with that checkpoint's configuration. `files.start_from` begins a
    new schedule from the weights of a checkpoint, of a weights file or of a bundle. With `config.decoder_only` the tokens come
    from these, and a run without them raises ValueError.
    """

    def __init__(self, files: RunFiles, config: TrainConfig, workers: Workers, *, compile_model: bool = False) -> None:
        device = workers.device
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(config.seed)
        state = read_checkpoint(files.checkpoint, device) if files.checkpoint.exists() else None
        if state is not None:
            config = TrainConfig.from_dict(state["config"])
        self.config, self.workers, self.files = config, workers, files
        self.model = TaTok(config.model)
        if files.start_from and state is None:
            start_from(self.model, files.start_from)
        elif config.decoder_only and state is None:
            raise ValueError("a decoder that trains alone needs the tokens of a trained model: name one by --start-from")
        if config.decoder_only:
            self.model.requires_grad_(False).decoder.requires_grad_(True)
        self.model.to(device).train()
        if device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        self.step_number = 0 if state is None else state["step"]
        self.average = moving_average(self.model, config.ema, self.step_number)
        self.optimizers = make_optimizers(self.model, config)
        self.adversary = None
        if config.adversary_weight:
            self.adversary = Adversary(config, workers, compile_judges=compile_model)
        if state is not None:
            self._restore(state)
        self.objective = self._objective(compile_model)
        augmentation = Augmentation(config.colour_jitter, config.sharpening, config.turned_share, config.mixed_share)
        shape = CropShape(config.smallest_crop, config.largest_crop, config.crop_stretch, config.crop_tilt)
        self.source = CropSource.open(files.pack, config.model.image_size, shape, augmentation, device, compile_model)
        self.generator = torch.Generator(device)

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.module.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.adversary is not None:
            self.adversary.load_state_dict(state["adversary"])

    def _objective(self, compile_model: bool) -> nn.Module:
        device = self.workers.device
        network = open_perceptual(self.files.perceptual)
        if network is not None:
            network.to(device)
        if network is not None and device.type == "cuda":
            network.to(memory_format=torch.channels_last)
        objective = Objective(self.model, self.config, network, self.adversary)
        if compile_model:
            objective.compile_parts()
        if self.workers.count == 1:
            return objective
        ids = [device.index] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(objective, device_ids=ids, gradient_as_bucket_view=True)

    def step(self) -> dict[str, Tensor]:
        """One optimiser step; returns the parts of the loss and the gradient's norm, still on the device."""
        config, device = self.config, self.workers.device
        # Random numbers depend on the seed, the step and the process alone: a resumed run repeats them.
        self.generator.manual_seed((config.seed * 1_000_003 + self.step_number) * 4096 + self.workers.rank)
        images = self.source.batch(config.batch, self.generator)
        randomness = Randomness.make(config.batch, config.model.patch_tokens, self.generator)
        with self._precision():
            ramp = min(1.0, self.step_number / max(1.0, config.rate_ramp * config.steps))
            share = torch.tensor(config.rate_start + (1 - config.rate_start) * ramp, device=device)
            keep_all = self.step_number < config.full_token_phase * config.steps
            loss, parts = self.objective(images, randomness, keep_all, share)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.step_number, config)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.model)
        if self.adversary is not None:
            with self._precision():
                parts = parts | self.adversary.learn()
        self.step_number += 1
        return parts | {"norm": norm}

    def _precision(self) -> torch.autocast:
        device = self.workers.device.type
        return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

    def save(self) -> None:
        """Leaves checkpoint.pt to resume from and weights.npz to export from."""
        save_checkpoint(
            self.files.checkpoint, self.step_number, self.config, self.model, self.average, self.optimizers, self.adversary
        )
        save_weights(self.files.out / "weights.npz", self.config.model, self.average.module.state_dict())


def train(files: RunFiles, config: TrainConfig, *, max_seconds: float | None = None, compile_model: bool = False) -> None:
    """Trains until `config.steps`, until `max_seconds` have passed, or until SIGINT or SIGTERM asks it to end.

    Leaves a checkpoint to resume from, and one every `config.checkpoint_every` steps in case it cannot.
    """
    workers = Workers.join()
    _train(files, config, workers, max_seconds, compile_model)
    workers.leave()


def _train(files: RunFiles, config: TrainConfig, workers: Workers, max_seconds: float | None, compile_model: bool) -> None:
    started = window = time.monotonic()
    files.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(files, config, workers, compile_model=compile_model)
    crops = LOG_EVERY * trainer.config.batch * workers.count
    with StopSignals() as stop:
        while trainer.step_number < trainer.config.steps:
            parts = trainer.step()
            step = trainer.step_number
            if workers.is_first and step % LOG_EVERY == 0:
                now = time.monotonic()
                values = {name: round(value.item(), 5) for name, value in parts.items()}
                rate = learning_rate(step - 1, trainer.config)
                entry = {
                    "step": step,
                    "seconds": round(now - started, 1),
                    "lr": rate,
                    "crops_per_second": round(crops / (now - window)),
                }
                _log(files.out / "log.jsonl", entry | values)
                window = now
            late = max_seconds is not None and time.monotonic() - started > max_seconds
            if step % STOP_CHECK_EVERY == 0 and workers.agree(late or stop.requested):
                break
            if workers.is_first and step % trainer.config.checkpoint_every == 0 and step < trainer.config.steps:
                trainer.save()
        if workers.is_first:
            trainer.save()


def _log(path: Path, entry: dict[str, float]) -> None:
    line = json.dumps(entry)
    print(line, flush=True)
    with path.open("a") as file:
        file.write(line + "\n")
    if entry["loss"] != entry["loss"]:
        raise FloatingPointError(f"the loss is not a number at step {entry['step']}")
