"""The note of a run that goes on: its checkpoint has the configuration, and the options it was started with are ignored."""

from dataclasses import fields

from ..config import ModelConfig, TrainConfig
from ..weights import read_checkpoint
from .train import RunFiles


def resume_note(files: RunFiles, config: TrainConfig, given: set[str]) -> str:
    """One line for a run whose folder holds a checkpoint: the step at which it goes on, and the `given` options it ignores.

    `given` names the options that the user gave: fields of `config` and of its model, "preset" and "start_from". Options that
    agree with the checkpoint are not listed.
    """
    # On "meta" no weights are read.
    state = read_checkpoint(files.checkpoint, "meta")
    saved = TrainConfig.from_dict(state["config"])
    of_model = {f.name for f in fields(ModelConfig)}
    parts = [_name("preset")] if "preset" in given and config.model != saved.model else []
    for name in sorted(given - {"preset", "start_from"}):
        asked, kept = (getattr(c.model if name in of_model else c, name) for c in (config, saved))
        if asked != kept:
            parts.append(f"{_name(name)} {_value(asked)} (it has {_value(kept)})")
    if "start_from" in given:
        parts.append(f"{_name('start_from')} (it has weights)")
    note = f"{files.out} resumes at step {state['step']} with its checkpoint's configuration"
    return f"{note}; ignored: {', '.join(parts)}" if parts else note


def _name(option: str) -> str:
    return "--" + option.replace("_", "-")


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
