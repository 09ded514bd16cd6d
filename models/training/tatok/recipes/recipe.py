"""A recipe: models that are trained alike in two stages, and the options of each stage, in YAML."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..config import PRESETS, ModelConfig, TrainConfig

Options = dict[str, Any]
"""Options of a run by name, as `train --config` reads them."""


_OF_COMMAND = {"preset", "perceptual", "compile"}
"""Options of `train` that are neither the model's nor the run's."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(_Strict):
    """One model of the table."""

    title: str
    """Its row in the table."""
    shape: Options
    """`preset`, and options of the model that change it."""
    first: Options = {}
    """Options of its first stage beside those that all models have."""
    second: Options = {}


class Measured(_Strict):
    """Rates that were measured, for the cost on paper."""

    shape: Options
    """`preset` of the model that they are of, and options that change it."""
    gpu: str
    first: float = Field(gt=0)
    """Crops a second of the first stage on one GPU."""
    second: float = Field(gt=0)
    """Of the second."""
    loss_networks: float = Field(ge=0, lt=1)
    """Share of the time of a step that does not grow with the model: loss networks, data, pixels."""
    source: str
    """Where the rates were measured."""


class Paper(_Strict):
    """The row of the paper."""

    title: str
    tokens: float
    rfid: float
    source: str


class Recipe(_Strict):
    """What `python -m tatok reproduce` runs."""

    name: str
    description: str
    gpus: int = Field(ge=1)
    """Processes that train, one a GPU; the global batch is made of them."""
    images: int = Field(ge=1)
    """Images of the data set that it is meant for."""
    shard_images: int = Field(ge=1, default=2048)
    sample: int = Field(ge=1)
    """Training images for the reference budget, and as many others for the temperature of ĥ and the default ε."""
    tokens: float = Field(gt=0, default=56.4)
    """Mean number of tokens at the default ε of a model that filters."""
    licence: str
    all: Options = {}
    """Options of both stages of all models."""
    first: Options = {}
    second: Options = {}
    models: dict[str, Model] = Field(min_length=1)
    paper: Paper
    measured: Measured

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """Raises OSError for a file that cannot be read, and ValueError, in one sentence, for one that is no recipe."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "it"
            raise ValueError(f"{path} is no recipe: {place}: {first['msg']}") from error

    def options(self, name: str, stage: str) -> Options:
        """All options of a stage (`first` or `second`) of a model; what is nearer to the model counts."""
        model = self.models[name]
        return self.all | getattr(self, stage) | model.shape | getattr(model, stage)

    def config(self, name: str, stage: str) -> TrainConfig:
        """As a run has it. Raises ValueError for an option or a preset that does not exist, and a value out of its range."""
        options = self.options(name, stage)
        of_run = {f.name for f in fields(TrainConfig)} - {"model"}
        unknown = options.keys() - of_run - {f.name for f in fields(ModelConfig)} - _OF_COMMAND
        if unknown:
            raise ValueError(f"{self.name} has an option {min(unknown)!r} that a run does not have")
        return TrainConfig(**{k: _tupled(v) for k, v in options.items() if k in of_run}, model=shape_of(options))


def shape_of(options: Options) -> ModelConfig:
    """The shape that a `preset` and options of the model give. Raises ValueError for a preset that does not exist."""
    preset = options.get("preset")
    if preset not in PRESETS:
        raise ValueError(f"a model has the preset {preset!r}: the presets are {', '.join(PRESETS)}")
    of_model = {f.name for f in fields(ModelConfig)}
    return replace(PRESETS[preset], **{k: _tupled(v) for k, v in options.items() if k in of_model})


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
