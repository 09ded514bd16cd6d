"""Options of a training run, from a YAML file and the command line."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
import yaml
from tyro.conf import Fixed, OmitArgPrefixes, Positional, Suppress, arg

from ..config import PRESETS, ModelConfig, TrainConfig, range_of
from ..features import EFFICIENTNET_LITE
from .resume import RunFiles, saved_config
from .train import train

Preset = Literal[*PRESETS]
DEFAULT_PRESET = "tatok-s-256"


def options_of(config: type, name: str) -> Any:
    """A dataclass with the options of `config`, whose help names unit and range; values are checked when `config` is made."""

    def helped(field: dataclasses.Field[Any]) -> Any:
        about = "; ".join(part for part in (field.metadata["unit"], range_of(field)) if part)
        text = field.metadata["text"]
        return Annotated[field.type, arg(help=f"{text} ({about})." if about else f"{text}.")]

    described = [f for f in dataclasses.fields(config) if f.metadata]
    return dataclasses.make_dataclass(
        name, [(f.name, helped(f), dataclasses.field(default=f.default)) for f in described], frozen=True
    )


TrainingOptions = options_of(TrainConfig, "TrainingOptions")
ModelOptions = options_of(ModelConfig, "ModelOptions")


@dataclasses.dataclass(frozen=True)
class Run:
    """Options of a run. The command line overrides the YAML file, which overrides the preset."""

    data: Positional[Path]
    """Folder that `pack` or `shard` wrote, or a folder of images."""
    out: Path
    """Folder of the run: log, checkpoints, weights, samples. A checkpoint in it is resumed, with its configuration."""
    config: Path | None = None
    """YAML file with options of this list, such as those in models/training/configs; paths in it are as on the command line."""
    preset: Preset = DEFAULT_PRESET
    """Shape of the model; options of the model change it."""
    perceptual: str = EFFICIENTNET_LITE
    """Loss network: efficientnet-lite, which is installed with this package; none; or the file of SqueezeNet 1.0's weights."""
    start_from: Path | None = None
    """Checkpoint, file of weights or bundle that a new schedule starts from."""
    held_out: Path | None = None
    """Folder of images kept out of training: all processes measure PSNR and SSIM on them, see held-out.jsonl."""
    compile: bool = False
    """Compile the model in pieces: minutes at the start, then much faster."""
    training: OmitArgPrefixes[TrainingOptions] = dataclasses.field(default_factory=TrainingOptions)
    model: OmitArgPrefixes[ModelOptions] = dataclasses.field(default_factory=ModelOptions)
    given: Suppress[Fixed[frozenset[str]]] = frozenset()
    """Options that the user gave."""

    def train_config(self) -> TrainConfig:
        """The configuration that the options are; of a run that goes on, what was not given is as it was trained.

        Raises ValueError for a value out of its range, and for a file in the run's folder that is no checkpoint.
        """
        asked = TrainConfig(**vars(self.training), model=ModelConfig(**vars(self.model)))
        saved = saved_config(self.files())
        if saved is None:
            return asked
        of_run, of_model = ({f.name: f for f in dataclasses.fields(o)} for o in (TrainingOptions, ModelOptions))
        shape = asked.model if "preset" in self.given else _replaced(saved.model, asked.model, self.given & of_model.keys())
        return dataclasses.replace(_replaced(saved, asked, self.given & of_run.keys()), model=shape)

    def files(self) -> RunFiles:
        """The folders and files of the run."""
        return RunFiles(self.data, self.out, self.perceptual, self.start_from, self.held_out)


def _replaced(config: Any, other: Any, names: Iterable[str]) -> Any:
    """A configuration whose fields of these names have the values of another."""
    return dataclasses.replace(config, **{name: getattr(other, name) for name in names})


@dataclasses.dataclass(frozen=True)
class Train(Run):
    """Train a model, or resume the run that lies in --out (under torchrun for several GPUs)."""

    max_seconds: float | None = None
    """Stop with a checkpoint after this long (seconds; 0 or more)."""

    def run(self) -> None:
        train(self.files(), self.train_config(), max_seconds=self.max_seconds, compile_model=self.compile)


_OF_RUN = {"preset": str, "perceptual": str, "start_from": Path, "held_out": Path, "compile": bool}


def defaults_of_run(command: type[Run], arguments: Sequence[str]) -> Run:
    """The options of a run before the command line has its say: those of its --config over those of its --preset.

    Raises OSError for a file that cannot be read, and ValueError for one that names other options.
    """
    path, preset = (_argument(arguments, name) for name in ("--config", "--preset"))
    given = {} if path is None else read_options(Path(path))
    if given.get("preset", DEFAULT_PRESET) not in PRESETS:
        raise ValueError(f"{path} has preset: {given['preset']}; the presets are {', '.join(PRESETS)}")
    preset = preset or given.get("preset", DEFAULT_PRESET)
    if preset not in PRESETS:
        # The parser names the choices.
        preset = DEFAULT_PRESET
    shape = dataclasses.asdict(PRESETS[preset])
    training, model = (
        {f.name: given[f.name] for f in dataclasses.fields(options) if f.name in given}
        for options in (TrainingOptions, ModelOptions)
    )
    flags = (argument.partition("=")[0] for argument in arguments if argument.startswith("--"))
    named = {flag[2:].replace("-", "_").removeprefix("no_") for flag in flags}
    return command(
        data=tyro.MISSING,
        out=tyro.MISSING,
        **{name: kind(given[name]) for name, kind in _OF_RUN.items() if name in given} | {"preset": preset},
        training=TrainingOptions(**training),
        model=ModelOptions(**shape | model),
        given=frozenset(named | given.keys()),
    )


def read_options(path: Path) -> dict[str, Any]:
    """The options in a YAML file, by name. Raises ValueError that names an option that does not exist or has a wrong type."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no options: write one a line, such as `steps: 20000`")
    fields = {f.name: f.default for o in (TrainingOptions, ModelOptions) for f in dataclasses.fields(o)}
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields and name not in _OF_RUN:
            raise ValueError(f"{path} has an option {name!r} that a run does not have; see python -m tatok train --help")
        result[name] = _typed(path, name, value, fields.get(name, ""))
    return result


def _typed(path: Path, name: str, value: Any, like: Any) -> Any:
    """A YAML value as the type of an option's default: YAML reads 1e-3 as text, 1 as a whole number and (1, 2) as a list."""
    kind = _OF_RUN.get(name, type(like))
    try:
        if value is None or isinstance(value, bool) != (kind is bool):
            raise ValueError
        if kind is tuple:
            return tuple(type(like[0])(number) for number in value)
        if kind is int and int(value) != float(value):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        raise ValueError(f"{path} has {name}: {value!r}, which is not {_KINDS[kind]}") from None


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    tuple: "a list of numbers",
    Path: "a path",
}


def _argument(arguments: Sequence[str], option: str) -> str | None:
    """The last value of an option among the arguments, before these are parsed: defaults depend on it."""
    value = None
    for index, argument in enumerate(arguments):
        name, equals, attached = argument.partition("=")
        if name == option:
            value = attached if equals else next(iter(arguments[index + 1 : index + 2]), None)
    return value
