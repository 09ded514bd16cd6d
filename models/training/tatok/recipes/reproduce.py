"""`python -m tatok reproduce`: the commands of a recipe, one after another, from image files to the table.

Every step is a command that a person could type, and does nothing where its result lies there already: shards and training go
on where they were stopped, the others leave a record when they are done.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..data.shards import ShardImages, sample_files
from .cost import cost_table
from .recipe import Recipe

Command = list[str]
"""Arguments of `python -m tatok`."""

_DONE = "done.json"


@dataclass(frozen=True)
class Places:
    """Where a reproduction reads and writes."""

    recipe: Path
    data: Path
    """Training images: a folder, or shards of them."""
    held_out: Path
    """Folder of images that the models are measured on."""
    out: Path
    inception: Path | None = None
    """Weights for rFID."""

    def of(self, model: str, name: str) -> Path:
        return self.out / model / name


@dataclass(frozen=True)
class Step:
    """One command, and whether it trains: on several GPUs torchrun starts it."""

    title: str
    command: Command
    trains: bool = False

    def shell(self, gpus: int) -> str:
        """As a person types it."""
        return shlex.join([*_launcher(gpus if self.trains else 1, ["torchrun"], ["python"]), *self.command])


def steps(recipe: Recipe, places: Places, shards: Path) -> list[Step]:
    """All commands in their order."""
    result = []
    if shards != places.data:
        options = ["--out", str(shards), "--shard-images", str(recipe.shard_images)]
        result.append(Step("shards", ["shard", str(places.data), *options]))
    for name in recipe.models:
        filters = recipe.config(name, "first").model.filters
        bundle, kept = places.of(name, "bundle"), places.out / "calibration"
        for stage, before in (("first", None), ("second", "first")):
            options = ["--out", str(places.of(name, stage)), "--config", str(places.of(name, f"{stage}.yaml"))]
            options += [] if before is None else ["--start-from", str(places.of(name, before) / "weights.npz")]
            result.append(Step(f"{name}: {stage} stage", ["train", str(shards), *options], trains=True))
        options = ["--out", str(bundle), "--manifest", str(places.of(name, "manifest.json"))]
        options += ["--reference", str(places.out / "reference"), *(["--calibration", str(kept)] if filters else [])]
        result.append(Step(f"{name}: export", ["export", str(places.of(name, "second") / "weights.npz"), *options]))
        if filters:
            options = ["--tokens", str(recipe.tokens), "--write"]
            result.append(Step(f"{name}: default ε", ["calibrate-budget", str(bundle), str(kept), *options]))
        result.append(Step(f"{name}: check", ["check", str(bundle)]))
        options = ["--out", str(places.of(name, "report")), "--runtime", "torch", "--quick"]
        options += [] if places.inception is None else ["--inception", str(places.inception)]
        result.append(Step(f"{name}: evaluation", ["evaluate", str(bundle), str(places.held_out), *options]))
    if len(recipe.models) > 1:
        reports = [str(places.of(name, "report") / "metrics.json") for name in recipe.models]
        result.append(Step("comparison", ["compare", *reports, "--out", str(places.out / "comparison")]))
    return result


def reproduce(
    places: Places,
    run: Callable[[Command], int],
    *,
    gpus: int | None = None,
    only: Iterable[str] = (),
    dry_run: bool = False,
) -> str:
    """Runs a recipe's commands and returns the table, which also becomes table.md in `places.out`.

    `run` runs a command of this package and returns its exit status; training on several GPUs is started by torchrun. `only`
    names the models that are made, in place of all. With `dry_run` nothing is read of the data or written, and the text is the
    cost on paper and the commands.

    Raises OSError and ValueError for a recipe or a folder that cannot be read, and ValueError where a command fails.
    """
    recipe = Recipe.read(places.recipe)
    if unknown := set(only) - recipe.models.keys():
        raise ValueError(f"{places.recipe} has no model {', '.join(sorted(unknown))}: it has {', '.join(recipe.models)}")
    if only:
        kept = {name: model for name, model in recipe.models.items() if name in set(only)}
        recipe = recipe.model_copy(update={"models": kept})
    gpus = gpus or recipe.gpus
    shards = places.data if (places.data / "index.json").exists() else places.out / "shards"
    todo = steps(recipe, places, shards)
    if dry_run:
        commands = "\n".join(f"# {step.title}\n{step.shell(gpus)}" for step in todo)
        return f"{recipe.description}\n\n{cost_table(recipe)}\n{commands}\n"
    for folder in (places.data, places.held_out):
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}")
    for name in recipe.models:
        _write_inputs(recipe, name, places)
    done = _Done(places.out / _DONE)
    for number, step in enumerate(todo):
        print(f"tatok: {number + 1} of {len(todo)}, {step.title}", file=sys.stderr)
        if step.command[0] == "export":
            _write_samples(shards, recipe.sample, places)
        # Training and shards know themselves how far they are.
        if step.trains or step.command[0] == "shard" or not done.has(step):
            _perform(step, gpus, run)
            done.add(step)
    text = table(recipe, places)
    (places.out / "table.md").write_text(text, encoding="utf-8")
    return text


def _perform(step: Step, gpus: int, run: Callable[[Command], int]) -> None:
    if step.trains and gpus > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run"]
        status = subprocess.run([*_launcher(gpus, torchrun, []), *step.command], check=False).returncode
    else:
        status = run(step.command)
    if status:
        raise ValueError(f"{step.title} failed: the message above says why, and the same command goes on from there")


def _launcher(processes: int, torchrun: Command, python: Command) -> Command:
    if processes == 1:
        return [*python, "-m", "tatok"]
    return [*torchrun, "--standalone", "--nproc-per-node", str(processes), "-m", "tatok"]


class _Done:
    """The commands that were finished."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commands: list[Command] = json.loads(path.read_text()) if path.exists() else []

    def has(self, step: Step) -> bool:
        return step.command in self._commands

    def add(self, step: Step) -> None:
        if not self.has(step):
            self._commands.append(step.command)
            self._path.write_text(json.dumps(self._commands, indent=1))


def _write_inputs(recipe: Recipe, name: str, places: Places) -> None:
    """The YAML files of both stages, and the manifest that the export takes."""
    places.of(name, "").mkdir(parents=True, exist_ok=True)
    for stage in ("first", "second"):
        recipe.config(name, stage)
        places.of(name, f"{stage}.yaml").write_text(yaml.safe_dump(recipe.options(name, stage)), encoding="utf-8")
    steps_of = {stage: recipe.config(name, stage).steps for stage in ("first", "second")}
    manifest: dict[str, Any] = {
        "name": f"{name}, {recipe.name}",
        "version": "1.0.0",
        "description": recipe.models[name].title,
        "licence": recipe.licence,
        "defaults": {"lossRate": 0.8, "edgePriority": 0, "budget": "image", "conditioning": "distortion"},
        "training": {"recipe": recipe.name, "steps": steps_of},
    }
    places.of(name, "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _write_samples(shards: Path, count: int, places: Places) -> None:
    """`count` training images for the reference budget, and as many others that ĥ and the default ε are fitted to.

    Validation images are left to the evaluation; what a model has seen once in a hundred times a thousand images is as new to
    it as makes no difference to one temperature and one threshold.
    """
    images = ShardImages(shards)
    for number, folder in enumerate((places.out / "reference", places.out / "calibration")):
        sample_files(images, folder, count, first=number * count)


def table(recipe: Recipe, places: Places) -> str:
    """The paper's row, ours on the held-out images, and for what was not measured the option that fills it."""
    folder = places.held_out.name
    lines = [f"| {recipe.name} | tokens | rFID | PSNR | SSIM |", "| --- | --- | --- | --- | --- |"]
    lines.append(f"| {recipe.paper.title} ({recipe.paper.source}) | {recipe.paper.tokens:g} | {recipe.paper.rfid:g} | | |")
    for name, model in recipe.models.items():
        metrics = json.loads((places.of(name, "report") / "metrics.json").read_text())["folders"][folder]
        points = {"every token": metrics.get("distortion_sweep", metrics["sweep"])[0]}
        if "adaptivity" in metrics:
            points["the default"] = metrics.get("default") or metrics["adaptivity"]["image, distortion"]
        for kept, point in points.items():
            rfid = f"{point['rfid']:.2f}" if "rfid" in point else "`--inception FILE` fills it"
            quality = f"{point['psnr']:.2f} | {point['ssim']:.3f}"
            lines.append(f"| {model.title}, {kept} | {point['total']:.1f} | {rfid} | {quality} |")
    return "\n".join(lines) + "\n"
