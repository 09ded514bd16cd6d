"""What a run that goes on says of the options it was started with: its checkpoint has the configuration, they have no say."""

from ..config import TrainConfig
from ..weights import read_checkpoint
from .train import RunFiles

_OF_MODEL = ("preset", "levels")


def resume_note(files: RunFiles, config: TrainConfig, given: set[str]) -> str:
    """One line for a run whose folder holds a checkpoint: where it goes on, and which of the `given` options are ignored.

    `given` names the options of the command line, fields of `config` and "preset", "levels" and "start_from". Those that say
    what the checkpoint says are not listed.
    """
    # On "meta" no weights are read.
    state = read_checkpoint(files.checkpoint, "meta")
    saved = TrainConfig.from_dict(state["config"])
    ignored = [n for n in _OF_MODEL if n in given and config.model != saved.model]
    parts = [_option(name) for name in ignored]
    for name in sorted(given - {*_OF_MODEL, "start_from"}):
        asked, kept = getattr(config, name), getattr(saved, name)
        if asked != kept:
            parts.append(f"{_option(name)} {asked} (it has {kept})")
    if "start_from" in given:
        parts.append(f"{_option('start_from')} (it has weights)")
    note = f"{files.out} resumes at step {state['step']} with its checkpoint's configuration"
    return f"{note}; ignored: {', '.join(parts)}" if parts else note


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
