"""What a run begins with: weights of another, or its own checkpoint, and what must be as it was when that was trained."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from ..config import ModelConfig, TrainConfig
from ..data.stream import is_pack, open_images
from ..features import perceptual_identity
from ..tokenizer import TaTok
from ..weights import Weights, read_checkpoint
from .checkpoint import start_from

CHANGEABLE = {"steps", "checkpoint_every", "checkpoints_kept", "samples_every", "tensorboard", "readers", "held_out_every"}
"""Options that may change when a run goes on: they say how long it is and what it leaves, and not what a step computes."""


@dataclass(frozen=True)
class RunFiles:
    """Where a run reads and writes."""

    data: Path
    """A pack, a folder of shards or a folder of images."""
    out: Path
    perceptual: str | None = None
    """`efficientnet-lite`, or the path of SqueezeNet's weights; None or `none`: no loss network."""
    start_from: Path | None = None
    held_out: Path | None = None
    """Folder of images that are kept out of training, on which quality is measured."""

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"


@dataclass(frozen=True)
class Origin:
    """What the steps of a run depend on beside its configuration."""

    data: str
    """Its kind and SHA-256, see `Images.identity`."""
    perceptual: str
    """Name and SHA-256, see `perceptual_identity`."""
    processes: int

    @classmethod
    def of(cls, files: RunFiles, processes: int) -> "Origin":
        """Raises OSError and ValueError for data or a loss network that cannot be read."""
        return cls(open_images(files.data).identity, perceptual_identity(files.perceptual), processes)

    @classmethod
    def saved(cls, values: dict[str, Any]) -> "Origin":
        """That of a checkpoint; earlier versions knew packs alone."""
        values = dict(values)
        pack = values.pop("pack", None)
        return cls(**values) if pack is None else cls(data=f"pack {pack}", **values)

    def difference(self, asked: "Origin", *, any_processes: bool = False) -> str | None:
        """The first thing that `asked` has otherwise, as "A, and B is asked for" names it; None where all is equal."""
        if self.data != asked.data:
            mine, theirs = ("the {} {:.12}…".format(*origin.data.split()) for origin in (self, asked))
            return f"on {mine}, and {theirs} is asked for"
        if self.perceptual != asked.perceptual:
            return f"with the loss network {self.perceptual}, and {asked.perceptual} is asked for"
        if self.processes != asked.processes and not any_processes:
            return f"by {self.processes} processes, and {asked.processes} are asked for"
        return None


@dataclass(frozen=True)
class Start:
    """What every process of a run begins with, as the first one found it."""

    config: TrainConfig
    origin: Origin
    state: dict[str, Any] | None = None
    """The checkpoint of a run that goes on."""
    weights: Weights | None = None
    """Weights that a new schedule starts from."""


def find_start(files: RunFiles, config: TrainConfig, origin: Origin) -> Start:
    """The checkpoint in the run's folder, or else the weights that it is to start from, or else nothing.

    Raises ValueError, with one sentence that names both, where configuration, data, loss network or number of processes are not
    those of the checkpoint. A stream with a `global_batch` goes on in any number of processes, with the same crops;
    checkpoints without a record of the latter three are taken as they are. Raises it also where a part is to be trained
    alone and there is nothing to start from.
    """
    if files.checkpoint.exists():
        state = read_checkpoint(files.checkpoint)
        saved = TrainConfig.from_dict(state["config"])
        difference = _difference(saved, config)
        if difference is None and state.get("origin"):
            # A stream comes in one order for all processes together; of a pack each has a part of the images.
            streamed = config.stream or not is_pack(files.data)
            any_processes = config.global_batch > 0 and streamed
            difference = Origin.saved(state["origin"]).difference(origin, any_processes=any_processes)
        if difference is not None:
            raise ValueError(f"{files.out} was trained {difference}: ask for the same, or begin a new run in another folder")
        if config.steps < saved.steps:
            raise ValueError(
                f"{files.out} is a run of {saved.steps} steps, and {config.steps} are asked for: more extend it, "
                "and --max-seconds ends it early"
            )
        return Start(config, origin, state=state)
    if files.start_from is None:
        if config.trained_part != "all":
            raise ValueError("a part that trains alone needs the tokens of a trained model: name one by --start-from")
        return Start(config, origin)
    # Parts that the weights lack are drawn.
    torch.manual_seed(config.seed)
    model = TaTok(config.model)
    start_from(model, files.start_from)
    return Start(config, origin, weights=model.state_dict())


def saved_config(files: RunFiles) -> TrainConfig | None:
    """The configuration of the run that lies in a folder; None where there is none."""
    # On "meta" no weights are read.
    return TrainConfig.from_dict(read_checkpoint(files.checkpoint, "meta")["config"]) if files.checkpoint.exists() else None


def _difference(saved: TrainConfig, asked: TrainConfig) -> str | None:
    names = {f.name for f in fields(TrainConfig)} - CHANGEABLE - {"model"}
    if saved.global_batch == asked.global_batch > 0:
        # The crops of a step are the same ones in passes of another size.
        names -= {"batch"}
    for part, asked_part, named in (
        (saved.model, asked.model, [f.name for f in fields(ModelConfig)]),
        (saved, asked, sorted(names)),
    ):
        for name in named:
            mine, theirs = getattr(part, name), getattr(asked_part, name)
            if mine != theirs:
                return f"with {_option(name, mine)}, and {_option(name, theirs)} is asked for"
    return None


def _option(name: str, value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"--{name.replace('_', '-')} {text}"
