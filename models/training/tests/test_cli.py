"""The command line: options, their help, and configurations in YAML."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from tatok.cli import COMMANDS, main, parse
from tatok.config import PRESETS, ModelConfig, TrainConfig, range_of
from tatok.tokenizer import TaTok
from tatok.weights import read_checkpoint

CONFIGS = ROOT / "models" / "training" / "configs"
FILES = sorted(path for path in CONFIGS.glob("*.yaml") if not path.name.startswith("imagenet-"))
DESCRIBED = [f for c in (TrainConfig, ModelConfig) for f in dataclasses.fields(c) if f.name != "model"]


def configured(*options: str) -> TrainConfig:
    return parse(["train", "pack", "--out", "run", *options]).train_config()


def words(text: str) -> str:
    """Help without its frame and its line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    shown = words(capsys.readouterr().out)
    # An option without help would have nothing between its type and its default.
    assert not re.search(r"--[a-z-]+ (INT|FLOAT|PATH|STR) \((default|required)", shown)


def test_every_option_of_a_run_is_explained_with_unit_and_range(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = words(capsys.readouterr().out)
    for field in DESCRIBED:
        assert words(field.metadata["text"]) in shown, field.name
        if isinstance(field.default, bool | str):
            continue
        assert range_of(field), field.name
        about = "; ".join(part for part in (field.metadata["unit"], range_of(field)) if part)
        assert f"({about})" in shown, field.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_configuration_is_one_that_a_run_can_have(path: Path):
    config = configured("--config", str(path))
    assert config != TrainConfig(model=config.model)
    assert f"--config models/training/configs/{path.name}" in path.read_text()


def test_every_shipped_model_and_run_has_a_configuration():
    models = {p.parent.name for p in (ROOT / "models").glob("*/manifest.json")}
    assert models <= {path.stem for path in FILES}
    folders = (ROOT / "models" / "training" / "runs").iterdir()
    # A lens has the few options of its own command, which the notes show.
    runs = {run.name for run in folders if not any("python -m tatok lens" in p.read_text() for p in run.glob("README.md"))}
    assert runs == {name for path in FILES for name in re.findall(r"models/training/runs/([\w-]+)", path.read_text())}


def test_configurations_are_the_commands_that_the_notes_of_runs_show():
    notes = (ROOT / "models/training/runs/2026-11-28-s256-converged/README.md").read_text()
    command = notes.split("python -m tatok train pack --out third ")[1].split("```")[0].replace("\\\n", " ")
    assert configured(*command.split()) == configured("--config", str(CONFIGS / "2026-11-28-s256-converged.yaml"))


def test_the_command_line_overrides_the_file_and_the_file_overrides_the_preset(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text("preset: tiny\nsteps: 7\nlearning_rate: 1e-4\nlevels: [8, 8, 8]\nperceptual: weights.npz\ncompile: true\n")
    run = parse(["train", "pack", "--out", "run", "--config", str(file), "--steps", "9", "--width=64"])
    assert run.train_config() == TrainConfig(
        steps=9, learning_rate=1e-4, model=dataclasses.replace(PRESETS["tiny"], levels=(8, 8, 8), width=64)
    )
    assert run.perceptual == "weights.npz"
    assert run.compile
    assert configured("--config", str(file), "--preset", "fixed-57").model.global_tokens == 57


@pytest.mark.parametrize("levels", [["8,8,4"], ["8", "8", "4"]])
def test_lists_take_commas_or_spaces(levels: list[str]):
    assert configured("--levels", *levels).model.levels == (8, 8, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step: 3", "has an option 'step' that a run does not have"),
        ("steps: many", "has steps: 'many', which is not a whole number"),
        ("steps: 2.5", "has steps: 2.5, which is not a whole number"),
        ("compile: 1", "has compile: 1, which is not true or false"),
        ("perceptual:", "has perceptual: None, which is not text"),
        ("levels: 8", "has levels: 8, which is not a list of numbers"),
        ("preset: large", "has preset: large; the presets are"),
        ("steps: [", "is not YAML"),
        ("- steps", "holds no options"),
        ("keep_all_share: 1.5", "keep_all_share is 1.5; its range is 0 to 1"),
    ],
)
def test_a_wrong_file_is_one_sentence(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run"), "--config", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tatok: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--batch", "0", "batch is 0; its range is 1 or more"),
        ("--ema", "1", "ema is 1; its range is 0 or more and below 1"),
        ("--gradient-clip", "-1", "gradient_clip is -1; its range is above 0"),
        ("--levels", "8,1", "levels is 1; its range is 2 or more"),
        ("--image-size", "100", "image_size is 100, and patch_size, 16, does not divide it"),
    ],
)
def test_a_number_out_of_its_range_is_one_sentence(
    option: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run"), option, value]) == 1
    assert capsys.readouterr().err == f"tatok: {message}\n"


def test_an_option_that_does_not_exist_ends_with_a_hint(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["train", "pack", "--out", "run", "--step", "5"])
    assert end.value.code == 2
    assert "--steps" in words(capsys.readouterr().err)


def test_a_run_of_a_file_trains_and_its_weights_become_safetensors(pack: Path, tmp_path: Path):
    file, run = tmp_path / "run.yaml", tmp_path / "run"
    file.write_text("preset: tiny\nsteps: 2\nbatch: 4\nema: 0.5\nperceptual: none\n")
    assert main(["train", str(pack), "--out", str(run), "--config", str(file)]) == 0
    assert TrainConfig.from_dict(read_checkpoint(run / "checkpoint.pt")["config"]).ema == 0.5
    assert main(["weights", str(run / "checkpoint.pt"), "--out", str(tmp_path / "model.safetensors")]) == 0
    before, after = (TaTok.from_pretrained(p).state_dict() for p in (run / "checkpoint.pt", tmp_path / "model.safetensors"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_goes_on_with_the_options_that_it_was_trained_with(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Those that are not given are its own; others than its own are refused, whether in the file or on the command line."""
    file, run = tmp_path / "run.yaml", tmp_path / "run"
    options = ["train", str(pack), "--out", str(run)]
    file.write_text("preset: tiny\nsteps: 1\nbatch: 4\nperceptual: none\nlearning_rate: 0.002\n")
    assert main([*options, "--config", str(file)]) == 0
    assert main([*options, "--perceptual", "none", "--steps", "2"]) == 0
    state = read_checkpoint(run / "checkpoint.pt")
    assert state["step"] == 2
    assert TrainConfig.from_dict(state["config"]) == configured("--config", str(file), "--steps", "2")
    capsys.readouterr()
    refused = {
        ("--batch", "8"): "with --batch 4, and --batch 8 is asked for",
        ("--levels", "8,8"): "with --levels 8,8,8,8,4,4, and --levels 8,8 is asked for",
        ("--preset", "fixed-57"): "with --image-size 64, and --image-size 256 is asked for",
        ("--config", str(file)): "with --learning-rate 0.002, and --learning-rate 0.5 is asked for",
    }
    file.write_text("learning_rate: 0.5\n")
    for given, difference in refused.items():
        assert main([*options, "--perceptual", "none", *given]) == 1
        error = capsys.readouterr().err
        assert error == f"tatok: {run} was trained {difference}: ask for the same, or begin a new run in another folder\n"
