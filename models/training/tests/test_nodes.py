"""Several processes and threads of one run: checkpoints that are written meanwhile, and figures that all measure together."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest
import torch
from conftest import SAMPLES
from PIL import Image

from tatok.config import TINY_MODEL, TrainConfig
from tatok.tokenizer import TaTok
from tatok.training import checkpoint
from tatok.training.distributed import Workers
from tatok.training.held_out import HeldOut
from tatok.training.resume import RunFiles
from tatok.training.train import Trainer
from tatok.weights import read_checkpoint


def test_a_checkpoint_is_written_while_steps_go_on(
    files: RunFiles, tiny: TrainConfig, alone: Workers, monkeypatch: pytest.MonkeyPatch
):
    """The writing thread waits here for a step that changes the weights; the file has those of before."""
    stepped, save = threading.Event(), checkpoint.save_checkpoint

    def save_later(*state: object) -> None:
        assert stepped.wait(60)
        save(*state)

    monkeypatch.setattr(checkpoint, "save_checkpoint", save_later)
    trainer = Trainer(files, tiny, alone)
    trainer.step()
    wanted = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.begin_saving()
    trainer.step()
    assert not files.checkpoint.exists()
    stepped.set()
    trainer.end_saving()
    state = read_checkpoint(files.checkpoint)
    assert state["step"] == 1
    assert all(torch.equal(value, wanted[name]) for name, value in state["model"].items())
    assert not all(torch.equal(value, wanted[name]) for name, value in trainer.model.state_dict().items())


def test_what_the_writing_thread_meets_ends_the_run(
    files: RunFiles, tiny: TrainConfig, alone: Workers, monkeypatch: pytest.MonkeyPatch
):
    def full(*state: object) -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr(checkpoint, "save_checkpoint", full)
    trainer = Trainer(files, tiny, alone)
    trainer.begin_saving()
    with pytest.raises(OSError, match="no space left"):
        trainer.begin_saving()


def measured(rank: int, folder: Path, port: int) -> None:
    """Writes what one of two processes is told."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": ""}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    workers = Workers.join()
    (folder / f"{rank}.json").write_text(json.dumps(HeldOut(folder / "images", 64, 2, workers).measure(tiny_model())))
    workers.leave()


def tiny_model() -> TaTok:
    torch.manual_seed(0)
    return TaTok(TINY_MODEL).eval()


def test_processes_measure_together_what_one_measures_alone(tmp_path: Path, alone: Workers):
    (tmp_path / "images").mkdir()
    for number, path in enumerate(sorted(SAMPLES.glob("*.png"))[:3]):
        Image.open(path).convert("RGB").resize((80, 64)).save(tmp_path / "images" / f"{number}.png")
    wanted = HeldOut(tmp_path / "images", 64, 8, alone).measure(tiny_model())
    assert set(wanted) == {"psnr", "ssim", "filtered_psnr", "filtered_ssim", "filtered_tokens"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(measured, (tmp_path, port), nprocs=2)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == pytest.approx(wanted, rel=1e-5)
