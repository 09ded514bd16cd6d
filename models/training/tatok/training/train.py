"""The training loop. One process, or several under torchrun, of one machine or of more:

torchrun --nproc-per-node 2 -m tatok train PACK --out RUN
torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:PORT -m tatok train SHARDS --out RUN
"""

import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainConfig
from ..data.augment import Augmentation
from ..data.crops import CropShape, CropSource
from ..data.order import Share
from ..data.stream import ImageStream, is_pack, open_images
from ..features import open_perceptual
from ..tokenizer import TaTok
from .adversary import Adversary
from .checkpoint import CheckpointWriter
from .distributed import Workers, gathered_at_the_end, means
from .held_out import HeldOut
from .objective import Objective, Randomness
from .optimizer import batch_scale, clip_gradient, learning_rate, make_optimizers, moving_average
from .reports import SAMPLES, Reports
from .resume import Origin, RunFiles, find_start
from .stop_signals import StopSignals

STOP_CHECK_EVERY = 10


class Trainer:
    """A model, its optimisers and its data, one step at a time.

    A run whose folder holds a checkpoint resumes exactly. More steps than the checkpoint's extend it: the schedules of its
    rates are then those of the new length. `files.start_from` begins a new schedule from the weights of a checkpoint, of a
    weights file or of a bundle; where `config.trained_part` trains alone all else comes from these. The first process alone
    reads checkpoint and weights, and gives them to the others.

    Raises ValueError, see `find_start`, and where the data or the loss networks of two processes differ.
    """

    def __init__(self, files: RunFiles, config: TrainConfig, workers: Workers, *, compile_model: bool = False) -> None:
        device = workers.device
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        origin = Origin.of(files, workers.count)
        start = workers.from_first(lambda: find_start(files, config, origin))
        for rank, other in enumerate(workers.from_all(origin)):
            difference = start.origin.difference(other)
            if difference is not None:
                raise ValueError(f"the first process is to train {difference} in process {rank}: give every machine the same")
        self.config, self.workers, self.files, self.origin = start.config, workers, files, origin
        config, state = start.config, start.state
        self.share = Share.of(workers.rank, workers.count, config.batch, config.global_batch)
        torch.manual_seed(config.seed)
        self.model = TaTok(config.model)
        if start.weights is not None:
            self.model.load_state_dict(start.weights)
        if config.trained_part != "all":
            self.model.requires_grad_(False)
            part = self.model.decoder if config.trained_part == "decoder" else self.model.entropy_model
            part.requires_grad_(True)
        self.model.to(device).train()
        if device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        self._writer = CheckpointWriter(files.out, config)
        self.step_number = 0 if state is None else state["step"]
        self.average = moving_average(self.model, config.ema, self.step_number)
        self.optimizers = make_optimizers(self.model, config)
        self.adversary = None
        if config.adversary_weight:
            self.adversary = Adversary(config, workers, compile_judges=compile_model)
        if state is not None:
            self._restore(state)
        self.objective = self._objective(compile_model)
        self.source = self._open_source(compile_model)
        self.generator = torch.Generator(device)

    def _open_source(self, compile_model: bool) -> CropSource | ImageStream:
        config, device, workers = self.config, self.workers.device, self.workers
        augmentation = Augmentation(config.colour_jitter, config.sharpening, config.turned_share, config.mixed_share)
        shape = CropShape(config.smallest_crop, config.largest_crop, config.crop_stretch, config.crop_tilt)
        size, data = config.model.image_size, self.files.data
        if is_pack(data) and not config.stream:
            return CropSource.open(
                data, size, shape, augmentation, device, compile_model, rank=workers.rank, processes=workers.count
            )
        return ImageStream(
            open_images(data),
            size,
            shape,
            augmentation,
            device,
            self.share,
            seed=config.seed,
            first_step=self.step_number,
            together=config.shards_together,
            readers=config.readers,
            gpu_decoding=config.gpu_decoding,
            compile_sampling=compile_model,
        )

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
        """One optimiser step; returns the parts of the loss and the gradient's norm, still on the device.

        A gradient that is not finite moves nothing but what momentum moves, and counts in `non_finite`.
        """
        config, share = self.config, self.share
        # Random numbers depend on the seed, the step and the place in it alone: a resumed run repeats them, in any processes.
        self.generator.manual_seed((config.seed * 1_000_003 + self.step_number) * 4096)
        seeds = self.generator.get_state()
        of_passes = []
        for number in range(share.passes):
            self.generator.set_state(seeds)
            with gathered_at_the_end(self.objective, number == share.passes - 1):
                of_passes.append(self._pass(share.part(number)))
        parts = means(of_passes)
        norm = clip_gradient(self.model.parameters(), config.gradient_clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(self.step_number)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.model)
        if self.adversary is not None:
            with self._precision():
                parts = parts | self.adversary.learn()
        self.step_number += 1
        return parts | {"norm": norm, "non_finite": 1 - norm.isfinite().float()}

    def _pass(self, part: slice) -> dict[str, Tensor]:
        """Adds the gradient of a part of a step's crops; returns the parts of its loss."""
        config, device = self.config, self.workers.device
        images = self.source.batch(self.share.whole, self.generator, part)
        randomness = Randomness.make(self.share.whole, config.model.patch_tokens, self.generator, part)
        with self._precision():
            ramp = min(1.0, self.step_number / max(1.0, config.rate_ramp * config.steps))
            rate = torch.tensor(config.rate_start + (1 - config.rate_start) * ramp, device=device)
            keep_all = self.step_number < config.full_token_phase * config.steps
            loss, parts = self.objective(images, randomness, keep_all, rate)
        (loss / self.share.passes).backward()
        return parts

    def learning_rate(self, step: int) -> float:
        """The schedule's, scaled to the crops of a step by `batch_scale`."""
        return learning_rate(step, self.config) * batch_scale(self.share.whole, self.config)

    def _precision(self) -> torch.autocast:
        device = self.workers.device.type
        return torch.autocast(device, torch.bfloat16, enabled=device == "cuda" and self.config.precision == "bfloat16")

    def save(self) -> None:
        """Leaves checkpoint.pt to resume from and weights.npz to export from.

        Raises FloatingPointError, see `save_checkpoint`.
        """
        self.begin_saving()
        self.end_saving()

    def end_saving(self) -> None:
        """Waits until what was begun is written. Raises as `save` does."""
        self._writer.wait()

    def begin_saving(self) -> None:
        """As `save`, by a thread: steps go on once the state is copied. Raises what an earlier one met."""
        state = {
            "step": self.step_number,
            "config": self.config.to_dict(),
            "origin": asdict(self.origin),
            "model": self.model.state_dict(),
            "average": self.average.module.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "adversary": None if self.adversary is None else self.adversary.state_dict(),
        }
        self._writer.begin(state)


def train(files: RunFiles, config: TrainConfig, *, max_seconds: float | None = None, compile_model: bool = False) -> None:
    """Trains until `config.steps`, until `max_seconds` have passed, or until SIGINT or SIGTERM asks it to end.

    Leaves a checkpoint to resume from, and one every `config.checkpoint_every` steps in case it cannot. Raises OSError and
    ValueError, see `Trainer`, ValueError where TensorBoard is asked for and not installed, and FloatingPointError where every
    gradient between two lines of the log has a number that is not finite.
    """
    workers = Workers.join()
    _train(files, config, workers, max_seconds, compile_model)
    workers.leave()


def _train(files: RunFiles, config: TrainConfig, workers: Workers, max_seconds: float | None, compile_model: bool) -> None:
    started = time.monotonic()
    files.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(files, config, workers, compile_model=compile_model)
    config, done = trainer.config, trainer.step_number
    if workers.is_first and done:
        print(f"tatok: {_note(files, done, config.steps)}", file=sys.stderr)
    if done >= config.steps:
        return
    with StopSignals() as stop, ExitStack() as stack:
        reports, held_out = None, None
        if files.held_out is not None:
            held_out = HeldOut(files.held_out, config.model.image_size, config.batch, workers)
        if workers.is_first:
            pictures = trainer.source.centres(SAMPLES)
            reports = stack.enter_context(Reports(files.out, config, pictures, done, trainer.share.whole))
        while trainer.step_number < config.steps:
            parts = trainer.step()
            step = trainer.step_number
            if reports is not None:
                reports.step(step, trainer.learning_rate(step - 1), parts, trainer.average.module)
            if held_out is not None and (step % config.held_out_every == 0 or step == config.steps):
                held_out.report(trainer.average.module, step, files.out)
            late = max_seconds is not None and time.monotonic() - started > max_seconds
            if step % STOP_CHECK_EVERY == 0 and workers.agree(late or stop.requested):
                break
            if workers.is_first and step % config.checkpoint_every == 0 and step < config.steps:
                trainer.begin_saving()
        if workers.is_first:
            trainer.save()
        trainer.source.close()


def _note(files: RunFiles, done: int, steps: int) -> str:
    if done >= steps:
        return f"{files.out} has done all of its {steps} steps; --steps with a greater number extends it"
    note = f"{files.out} goes on at step {done} of {steps}"
    return note if files.start_from is None else f"{note}; it has weights, so --start-from has no say"
