"""Recipes: their costs on paper, their commands, and a tiny one from JPEG files to a bundle."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SAMPLES
from PIL import Image

from tatok.bundle.check import check_bundle
from tatok.cli import main, parse
from tatok.config import TINY_MODEL
from tatok.recipes.cost import SCALING, costs, forward_flops
from tatok.recipes.recipe import Recipe

FILES = sorted((ROOT / "models" / "training" / "configs").glob("imagenet-*.yaml"))
TINY = """
name: tiny
description: Photographs at 64×64.
gpus: 1
images: 12
shard_images: 5
sample: 4
tokens: 12
licence: CC0
paper: {title: The paper, tokens: 56.4, rfid: 1.51, source: as stated}
measured: {shape: {preset: tiny}, gpu: CPU, first: 10, second: 5, loss_networks: 0.5, source: nowhere}
all: {perceptual: none, batch: 2, global_batch: 4, readers: 0, samples_every: 0, warmup_steps: 1}
first: {steps: 3}
second: {steps: 2, trained_part: decoder, adversary_weight: 0.3, adversary_sees: pixels, adversary_warmup_steps: 0}
models:
  tatok: {title: TaTok, shape: {preset: tiny}}
  fixed: {title: 16 patch tokens, shape: {preset: tiny, global_tokens: 0, entropy_layers: 0}, second: {steps: 1}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return tmp_path / "tiny.yaml"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_is_one_that_training_takes(path: Path, tmp_path: Path):
    recipe = Recipe.read(path)
    assert list(recipe.models) == ["tatok", "fixed-256", "fixed-57"]
    for name in recipe.models:
        for stage in ("first", "second"):
            config = recipe.config(name, stage)
            file = tmp_path / f"{name}-{stage}.yaml"
            file.write_text(yaml.safe_dump(recipe.options(name, stage)), encoding="utf-8")
            assert parse(["train", "shards", "--out", str(tmp_path / "run"), "--config", str(file)]).train_config() == config
            assert config.global_batch % (config.batch * recipe.gpus) == 0
            assert (config.trained_part == "decoder") == (stage == "second") == (config.adversary_weight > 0)
        assert recipe.config(name, "first").model == recipe.config(name, "second").model
        filters = recipe.config(name, "first").model.filters
        assert filters == (name == "tatok")


def test_a_block_costs_what_its_matrices_do():
    """Of T tokens and C channels: products with 12·C² weights, and two of T×T attention, at two operations each."""
    tokens, width = TINY_MODEL.global_tokens + TINY_MODEL.patches, TINY_MODEL.width
    block = 24 * tokens * width**2 + 4 * tokens**2 * width
    base = forward_flops(TINY_MODEL)
    assert forward_flops(replace(TINY_MODEL, decoder_layers=3)) - base == block
    assert forward_flops(replace(TINY_MODEL, entropy_layers=2)) - base == block * 1.25


def test_costs_follow_from_the_rates_that_were_measured():
    """And are those that SCALE.md shows."""
    shown = (ROOT / "models" / "training" / "SCALE.md").read_text(encoding="utf-8")
    grown: dict[str, float] = {}
    for size in "sl":
        recipe = Recipe.read(ROOT / "models" / "training" / "configs" / f"imagenet-256-{size}.yaml")
        first, second = costs(recipe.model_copy(update={"models": {"tatok": recipe.models["tatok"]}}))
        assert first.hours["8 × H100"] == pytest.approx(250_000 * 1024 / (first.crops_per_second * 8 * SCALING) / 3600)
        assert first.hours["8 × A100"] > 3 * first.hours["8 × H100"]
        grown[size] = first.crops_per_second
        hours = {machines: first.hours[machines] + second.hours[machines] for machines in first.hours}
        cells = [f"{first.parameters / 1e6:.0f} M", *(f"{h:.1f}" if h < 10 else f"{h:.0f}" for h in hours.values())]
        (row,) = re.findall(rf"^\| {size.upper()} +\| (.*)$", shown, re.MULTILINE)
        assert [cell.strip() for cell in row.split("|")][:3] == cells
    assert grown["s"] == pytest.approx(1785)
    assert grown["l"] < grown["s"] / 5


def test_a_dry_run_says_cost_and_commands_and_touches_nothing(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    places = [
        "--data",
        str(tmp_path / "no" / "train"),
        "--held-out",
        str(tmp_path / "no" / "val"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["reproduce", str(recipe), *places, "--gpus", "8", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "| tatok | first |" in shown
    commands = re.findall(r"^(?:python|torchrun.*) -m tatok (\S+)", shown, re.MULTILINE)
    one = ["train", "train", "export"]
    assert commands == ["shard", *one, "calibrate-budget", "check", "evaluate", *one, "check", "evaluate", "compare"]
    assert "torchrun --standalone --nproc-per-node 8 -m tatok train" in shown
    assert not (tmp_path / "out").exists()
    for line in shown.splitlines():
        if " -m tatok train " in line:
            assert line.split("--config ")[1].split()[0].endswith(("first.yaml", "second.yaml"))


def test_a_recipe_goes_from_jpeg_files_to_a_bundle_and_a_table(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for number in range(12):
        of_class = tmp_path / "train" / f"class-{number % 3}"
        of_class.mkdir(parents=True, exist_ok=True)
        photograph = Image.open(sorted(SAMPLES.glob("*.png"))[number % 3]).convert("RGB")
        photograph.crop((30 * number, 0, 30 * number + 200, 200)).resize((80, 80)).save(of_class / f"{number}.jpg")
    (tmp_path / "val").mkdir()
    for number in range(2):
        (tmp_path / "val" / f"{number}.jpg").write_bytes(
            (tmp_path / "train" / f"class-{number}" / f"{number}.jpg").read_bytes()
        )
    out = tmp_path / "out"
    command = [
        "reproduce",
        str(recipe),
        "--data",
        str(tmp_path / "train"),
        "--held-out",
        str(tmp_path / "val"),
        "--out",
        str(out),
    ]
    assert main([*command, "--models", "tatok"]) == 0
    table = capsys.readouterr().out.split("| tiny |")[1]
    assert "| The paper (as stated) | 56.4 | 1.51 | | |" in table
    assert re.search(r"\| TaTok, every token \| 20.0 \| `--inception FILE` fills it \| \d+\.\d\d \| 0\.\d{3} \|", table)
    assert "| TaTok, the default |" in table
    assert (out / "table.md").read_text().endswith(table)
    assert check_bundle(out / "tatok" / "bundle") == []
    assert json.loads((out / "tatok" / "bundle" / "manifest.json").read_text())["globalTokens"] == 4
    assert not {p.name for p in (out / "reference").iterdir()} & {p.name for p in (out / "calibration").iterdir()}

    # The second time nothing is made again.
    made = [
        out / "tatok" / name
        for name in ("first/weights.npz", "second/weights.npz", "bundle/decoder.onnx", "report/metrics.json")
    ]
    before = [path.stat().st_mtime_ns for path in [*made, *out.glob("shards/*.tar")]]
    assert main([*command, "--models", "tatok"]) == 0
    assert [path.stat().st_mtime_ns for path in [*made, *out.glob("shards/*.tar")]] == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("gpus: 1", "gpus: 0"), "is no recipe: gpus: Input should be greater than or equal to 1"),
        (("licence: CC0", "license: CC0"), "is no recipe: licence: Field required"),
        (("gpus: 1", "gpus: ["), "is not YAML"),
        (("preset: tiny, global", "preset: small, global"), "a model has the preset 'small': the presets are"),
        (("steps: 3", "steps: 0"), "steps is 0; its range is 1 or more"),
        (("steps: 3", "step: 3"), "tiny has an option 'step' that a run does not have"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(
    change: tuple[str, str], message: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe.write_text(TINY.replace(*change), encoding="utf-8")
    command = ["reproduce", str(recipe), "--data", str(tmp_path), "--held-out", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--dry-run"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_models_that_a_recipe_lacks_and_folders_that_are_not_there_are_named(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = [
        "reproduce",
        str(recipe),
        "--data",
        str(tmp_path / "no"),
        "--held-out",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*command, "--models", "titok"]) == 1
    assert "has no model titok: it has tatok, fixed" in capsys.readouterr().err
    assert main(command) == 1
    assert f"there is no folder {tmp_path / 'no'}" in capsys.readouterr().err


def test_a_step_that_fails_ends_the_run(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jpg").write_bytes(b"no image")
    command = [
        "reproduce",
        str(recipe),
        "--data",
        str(tmp_path / "train"),
        "--held-out",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(command) == 1
    assert "tatok: tatok: first stage failed: the message above says why" in capsys.readouterr().err
