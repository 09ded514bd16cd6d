"""A run that goes on: what must be the same, what is never overwritten, how it is extended, and what it leaves on its way."""

import io
import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLES
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tatok.config import TrainConfig
from tatok.data.images import pack_hash, write_pack
from tatok.features import perceptual_identity
from tatok.tokenizer import TaTok
from tatok.training import reports
from tatok.training.distributed import Workers
from tatok.training.reports import sample_sheet
from tatok.training.train import RunFiles, Trainer, train
from tatok.weights import read_checkpoint


def trained(files: RunFiles, config: TrainConfig, workers: Workers, steps: int) -> Trainer:
    trainer = Trainer(files, config, workers)
    for _ in range(steps):
        trainer.step()
    return trainer


def poison(trainer: Trainer, steps: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of these steps is not a number."""
    forward = trainer.objective.forward

    def poisoned(*inputs: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, parts = forward(*inputs)
        return (loss * float("nan"), parts) if trainer.step_number in steps else (loss, parts)

    monkeypatch.setattr(trainer.objective, "forward", poisoned)


def on_a_machine(rank: int, folder: Path, pack: Path, config: TrainConfig) -> None:
    """One of two machines that share no folder; the first alone has a checkpoint and weights. Leaves what it found as JSON."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": ""}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": (folder / "port").read_text()}
    torch.set_num_threads(1)
    workers = Workers.join()
    own = folder / f"machine-{rank}"
    own.mkdir()
    files, found = RunFiles(pack, own), {}

    def numbers(trainer: Trainer) -> list[float]:
        states = [s for o in trainer.optimizers for s in o.state_dict()["state"].values()]
        tensors = [*trainer.model.parameters(), *trainer.average.parameters(), *(s["exp_avg"] for s in states)]
        return [float(t.double().abs().sum()) for t in tensors]

    def refusal(files: RunFiles, config: TrainConfig) -> str:
        with pytest.raises(ValueError, match="is asked for") as refused:
            Trainer(files, config, workers)
        return str(refused.value)

    trainer = trained(files, config, workers, 2)
    if rank == 0:
        trainer.save()
    resumed = Trainer(files, config, workers)
    found["step"], found["as saved"] = resumed.step_number, numbers(resumed) == numbers(trainer)
    trainer.step()
    resumed.step()
    found["goes on"], found["numbers"] = numbers(resumed) == numbers(trainer), numbers(resumed)
    found["other configuration"] = refusal(files, replace(config, batch=2))
    found["other data"] = refusal(replace(files, data=folder / "other") if rank else files, config)
    second = replace(config, trained_part="decoder", adversary_weight=0.5, adversary_sees="pixels", adversary_warmup_steps=0)
    start_from = own / "checkpoint.pt"
    found["has weights"] = start_from.exists()
    sharper = Trainer(RunFiles(pack, own / "second", start_from=start_from), second, workers)
    sharper.step()
    found["ratio"], found["sharper"] = sharper.step()["adaptive_weight"].item(), numbers(sharper)
    found["judges"] = [float(p.sum()) for p in sharper.adversary.discriminator.parameters()]
    (folder / f"{rank}.json").write_text(json.dumps(found))
    del trainer, resumed, sharper
    workers.leave()


def test_two_machines_go_on_from_what_the_first_one_has(pack: Path, tmp_path: Path, tiny: TrainConfig):
    write_pack(sorted(SAMPLES.glob("*.png"))[:2], tmp_path / "other", short_side=80)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (tmp_path / "port").write_text(str(free.getsockname()[1]))
    torch.multiprocessing.spawn(on_a_machine, (tmp_path, pack, replace(tiny, batch=4)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert (first["has weights"], second["has weights"]) == (True, False)
    assert first["step"] == second["step"] == 2
    assert first["as saved"]
    assert first["goes on"]
    for name in ("numbers", "ratio", "sharper", "judges", "other configuration", "other data"):
        assert first[name] == second[name], name
    assert "was trained with --batch 4, and --batch 2 is asked for" in first["other configuration"]
    hashes = [pack_hash(p)[:12] for p in (pack, tmp_path / "other")]
    assert f"on the pack {hashes[0]}…, and the pack {hashes[1]}… is asked for in process 1" in first["other data"]


def test_another_pack_is_refused(files: RunFiles, tiny: TrainConfig, alone: Workers, tmp_path: Path):
    trained(files, tiny, alone, 1).save()
    write_pack(sorted(SAMPLES.glob("*.png"))[:2], tmp_path / "other", short_side=80)
    other = replace(files, data=tmp_path / "other")
    with pytest.raises(ValueError, match=f"pack {pack_hash(files.data)[:12]}…, and the pack {pack_hash(other.data)[:12]}…"):
        Trainer(other, tiny, alone)


def test_a_pack_is_known_by_its_images(tmp_path: Path, pack: Path):
    """By the same hash where an older version packed it; a pixel more or less, or another order, make another pack."""
    images = sorted(SAMPLES.glob("*.png"))
    write_pack(images, tmp_path / "again", short_side=96)
    assert pack_hash(tmp_path / "again") == pack_hash(pack)
    index = json.loads((tmp_path / "again" / "index.json").read_text())
    (tmp_path / "again" / "index.json").write_text(json.dumps({"sizes": index["sizes"]}))
    assert pack_hash(tmp_path / "again") == pack_hash(pack)
    write_pack(images[::-1], tmp_path / "again", short_side=96)
    assert pack_hash(tmp_path / "again") != pack_hash(pack)
    with (tmp_path / "again" / "pixels.bin").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="pack the images anew"):
        pack_hash(tmp_path / "again")


def test_another_loss_network_is_refused(files: RunFiles, tiny: TrainConfig, alone: Workers, perceptual: Path):
    trained(replace(files, perceptual=str(perceptual)), tiny, alone, 1).save()
    mine, other = perceptual_identity(perceptual), perceptual_identity("efficientnet-lite")
    assert mine.startswith("SqueezeNet 1.0 (")
    with pytest.raises(ValueError, match=r"with the loss network SqueezeNet 1.0 \(.*…\), and none is asked for"):
        Trainer(files, tiny, alone)
    with pytest.raises(ValueError, match="loss network") as refused:
        Trainer(replace(files, perceptual="efficientnet-lite"), tiny, alone)
    assert f"{mine}, and {other} is asked for" in str(refused.value)


def test_another_number_of_processes_is_refused(files: RunFiles, tiny: TrainConfig, alone: Workers):
    trained(files, tiny, alone, 1).save()
    state = read_checkpoint(files.checkpoint)
    state["origin"]["processes"] = 8
    torch.save(state, files.checkpoint)
    with pytest.raises(ValueError, match="was trained by 8 processes, and 1 are asked for"):
        Trainer(files, tiny, alone)


def test_a_checkpoint_of_an_older_version_goes_on(files: RunFiles, tiny: TrainConfig, alone: Workers):
    trained(files, tiny, alone, 1).save()
    state = read_checkpoint(files.checkpoint)
    for name in ("origin", "adversary"):
        del state[name]
    for name in ("samples_every", "checkpoints_kept", "trained_part"):
        del state["config"][name]
    torch.save(state, files.checkpoint)
    assert Trainer(files, tiny, alone).step_number == 1


@pytest.mark.parametrize("rest", [b"", b"PK\x03\x04 a torn file"])
def test_a_torn_checkpoint_is_one_sentence(files: RunFiles, tiny: TrainConfig, alone: Workers, rest: bytes):
    files.checkpoint.write_bytes(rest)
    with pytest.raises(ValueError, match="is not a whole checkpoint of a training run"):
        Trainer(files, tiny, alone)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_that_is_not_finite_leaves_weights_and_average_finite(
    files: RunFiles, tiny: TrainConfig, alone: Workers, monkeypatch: pytest.MonkeyPatch, optimizer: str
):
    trainer = Trainer(files, replace(tiny, optimizer=optimizer), alone)
    poison(trainer, {0, 2}, monkeypatch)
    before = [p.clone() for p in trainer.model.parameters()]
    assert trainer.step()["non_finite"] == 1
    # There is no momentum yet: what moves is decay alone.
    for old, new in zip(before, trainer.model.parameters(), strict=True):
        assert torch.allclose(old, new, rtol=1e-4)
    assert [trainer.step()["non_finite"].item() for _ in range(3)] == [0, 1, 0]
    assert not any(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True) if a.ndim > 1)
    for part in (trainer.model, trainer.average):
        assert all(p.isfinite().all() for p in part.parameters())
    trainer.save()


@pytest.mark.parametrize("part", ["model", "average", "optimizers"])
def test_weights_that_are_not_finite_never_replace_a_checkpoint(files: RunFiles, tiny: TrainConfig, alone: Workers, part: str):
    trainer = trained(files, tiny, alone, 1)
    trainer.save()
    before = {path: path.read_bytes() for path in files.out.iterdir()}
    trainer.step()
    tensors = {
        "model": trainer.model.decoder.position,
        "average": trainer.average.module.decoder.position,
        "optimizers": trainer.optimizers[0].state[trainer.model.decoder.position]["exp_avg"],
    }
    tensors[part].data[0, 0] = float("inf")
    with pytest.raises(FloatingPointError, match=f"{part}.* not finite at step 2: .* is left as it is"):
        trainer.save()
    assert {path: path.read_bytes() for path in files.out.iterdir()} == before


def test_a_run_without_a_finite_gradient_ends_and_its_checkpoint_stays(
    files: RunFiles, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reports, "LOG_EVERY", 2)
    train(files, replace(tiny, steps=2))
    before = files.checkpoint.read_bytes()
    backward = torch.Tensor.backward
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: backward(loss * float("nan")))
    with pytest.raises(FloatingPointError, match="no gradient of steps 3 to 4 was finite"):
        train(files, replace(tiny, steps=9))
    assert files.checkpoint.read_bytes() == before
    assert json.loads((files.out / "log.jsonl").read_text().splitlines()[-1])["norm"] is None


def test_the_last_checkpoints_are_kept(files: RunFiles, tiny: TrainConfig):
    train(files, replace(tiny, steps=5, checkpoint_every=1, checkpoints_kept=3, samples_every=0))
    names = {path.name: read_checkpoint(path, "meta")["step"] for path in files.out.glob("*.pt")}
    assert names == {"checkpoint.pt": 5, "checkpoint-00000004.pt": 4, "checkpoint-00000003.pt": 3}
    train(files, replace(tiny, steps=6, checkpoints_kept=1, samples_every=0))
    assert [path.name for path in files.out.glob("*.pt")] == ["checkpoint.pt"]
    assert not list(files.out.glob("*partial*"))


def test_a_kept_checkpoint_goes_on_as_the_run_did(files: RunFiles, tiny: TrainConfig, alone: Workers):
    config = replace(tiny, steps=4, checkpoint_every=2, checkpoints_kept=2, samples_every=0)
    train(files, config)
    wanted = read_checkpoint(files.checkpoint)["model"]
    (files.out / "checkpoint-00000002.pt").replace(files.checkpoint)
    (files.out / "checkpoint-00000009.pt").touch()
    again = trained(files, config, alone, 1)
    again.save()
    again.step()
    names = {path.name for path in files.out.glob("*.pt")}
    assert names == {"checkpoint.pt", "checkpoint-00000002.pt", "checkpoint-00000009.pt"}
    assert all(torch.equal(value, wanted[name]) for name, value in again.model.state_dict().items())


def test_a_finished_run_is_extended_exactly(
    files: RunFiles, tiny: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Under schedules that do not depend on the length, as one run of that length; otherwise at the rates of that length."""
    level = {"warmup_steps": 0, "learning_rate": 1e-3, "final_learning_rate": 1e-3, "rate_ramp": 0.0, "full_token_phase": 0.0}
    short, long = (replace(tiny, steps=steps, **level) for steps in (3, 6))
    train(files, short)
    train(files, long)
    assert f"{files.out} goes on at step 3 of 6" in capsys.readouterr().err
    whole = replace(files, out=tmp_path / "whole")
    train(whole, long)
    extended, wanted = (read_checkpoint(f.checkpoint) for f in (files, whole))
    assert extended["step"] == 6
    for part in ("model", "average"):
        assert all(torch.equal(value, wanted[part][name]) for name, value in extended[part].items())

    before = files.checkpoint.read_bytes()
    train(files, long)
    assert f"{files.out} has done all of its 6 steps; --steps with a greater number extends it" in capsys.readouterr().err
    assert files.checkpoint.read_bytes() == before
    with pytest.raises(ValueError, match="is a run of 6 steps, and 4 are asked for"):
        train(files, replace(long, steps=4))


def test_a_run_that_goes_on_has_weights(files: RunFiles, tiny: TrainConfig, capsys: pytest.CaptureFixture[str]):
    train(files, replace(tiny, steps=1))
    train(replace(files, start_from=files.out / "weights.npz"), replace(tiny, steps=2))
    assert "goes on at step 1 of 2; it has weights, so --start-from has no say" in capsys.readouterr().err


def test_lines_and_a_bar_tell_rate_and_time_left(
    files: RunFiles, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(reports, "LOG_EVERY", 1)
    monkeypatch.setattr(reports, "time", Clock())
    train(files, replace(tiny, steps=4))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # A second passes whenever the clock is read: once at the start and once a line.
    assert [line["seconds_left"] for line in lines] == [3, 2, 1, 0]
    assert {line["crops_per_second"] for line in lines} == {tiny.batch}
    assert lines == [json.loads(line) for line in (files.out / "log.jsonl").read_text().splitlines()]

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train(files, replace(tiny, steps=6))
    assert capsys.readouterr().out == ""
    shown = terminal.getvalue().split("\r")[-1]
    assert "6/6 [" in shown
    assert "step/s" in shown or "s/step" in shown
    assert "loss=" in shown


class Clock:
    """Stands for the module of that name; a second passes with every look."""

    now = 0

    def monotonic(self) -> int:
        self.now += 1
        return self.now


def test_tensorboard_has_scalars_and_sample_pictures(files: RunFiles, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reports, "LOG_EVERY", 2)
    train(files, replace(tiny, steps=4, samples_every=3, tensorboard=True))
    events = EventAccumulator(str(files.out / "tensorboard"))
    events.Reload()
    logged = [json.loads(line) for line in (files.out / "log.jsonl").read_text().splitlines()]
    for name in ("loss", "l1", "lr", "norm", "crops_per_second"):
        values = [(event.step, event.value) for event in events.Scalars(name)]
        assert values == [(line["step"], pytest.approx(line[name], rel=1e-5)) for line in logged], name
    images = events.Images("samples")
    assert [image.step for image in images] == [3, 4]
    assert (images[0].width, images[0].height) == (4 * 64, 4 * 64)
    assert sorted(path.name for path in (files.out / "samples").iterdir()) == ["00000003.webp", "00000004.webp"]


def test_tensorboard_that_is_not_installed_is_one_sentence(files: RunFiles, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"TensorBoard is not installed: pip install 'tatok\[tensorboard\]'"):
        train(files, replace(tiny, tensorboard=True))


def test_a_sample_sheet_has_picture_every_token_and_fewer(files: RunFiles, tiny: TrainConfig, alone: Workers, model: TaTok):
    pictures = Trainer(files, tiny, alone).source.centres(8)
    paths = sorted(SAMPLES.glob("*.png"))
    assert pictures.shape == (len(paths), 3, 64, 64)
    for picture, path in zip(pictures, paths, strict=True):
        with Image.open(path) as image:
            side = min(image.size)
            box = [(image.width - side) / 2, (image.height - side) / 2, (image.width + side) / 2, (image.height + side) / 2]
            wanted = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS, box)).astype(float)
        assert np.abs(picture.permute(1, 2, 0).numpy() - wanted).mean() < 8
    columns = sample_sheet(model, pictures).chunk(4, dim=2)
    tokens = model.encode(pictures)
    nothing = replace(tokens, keep=torch.zeros(len(paths), 16, dtype=torch.bool))
    nothing = replace(nothing, expected_code=model.estimate(tokens).expected_code)
    for column, wanted in ((0, pictures), (1, model.decode(tokens)), (3, model.decode(nothing))):
        assert torch.equal(torch.stack(columns[column].chunk(len(paths), dim=1)), wanted), column
    assert not torch.equal(columns[2], columns[1])
    assert not torch.equal(columns[2], columns[3])
