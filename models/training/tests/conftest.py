import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tatok import features
from tatok.config import TINY_MODEL, TrainConfig
from tatok.data.images import write_pack
from tatok.tokenizer import TaTok
from tatok.training.distributed import Workers
from tatok.training.train import RunFiles

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "media" / "samples"
FIXTURES = ROOT / "test" / "fixtures"


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample photographs, packed small."""
    out = tmp_path_factory.mktemp("pack")
    assert write_pack(sorted(SAMPLES.glob("*.png")), out, short_side=96) >= 3
    return out


@pytest.fixture
def tiny() -> TrainConfig:
    return TrainConfig(model=TINY_MODEL, steps=40, batch=8, warmup_steps=5, seed=3)


@pytest.fixture
def alone() -> Workers:
    return Workers(rank=0, count=1, device=torch.device("cpu"))


@pytest.fixture
def files(pack: Path, tmp_path: Path) -> RunFiles:
    out = tmp_path / "run"
    out.mkdir()
    return RunFiles(pack, out)


@pytest.fixture(scope="session")
def model() -> TaTok:
    """A tiny model whose every weight is random: the true initialisation has branches that are zero."""
    torch.manual_seed(0)
    model = TaTok(TINY_MODEL)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    return np.asarray(Image.open(sorted(SAMPLES.glob("*.png"))[0]).convert("RGB"))


@pytest.fixture
def perceptual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A loss network of random weights: the trained ones are not part of the project."""
    path = tmp_path / "squeezenet.npz"
    arrays: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(0)

    def add(name: str, outputs: int, inputs: int, kernel: int) -> None:
        arrays[f"features.{name}.weight"] = generator.normal(0, (inputs * kernel**2) ** -0.5, (outputs, inputs, kernel, kernel))
        arrays[f"features.{name}.bias"] = np.zeros(outputs)

    add("0", 96, 3, 7)
    inputs = 96
    fires = {3: (16, 64), 4: (16, 64), 5: (32, 128), 7: (32, 128), 8: (48, 192), 9: (48, 192), 10: (64, 256), 12: (64, 256)}
    for index, (squeeze, expand) in fires.items():
        add(f"{index}.squeeze", squeeze, inputs, 1)
        add(f"{index}.expand1x1", expand, squeeze, 1)
        add(f"{index}.expand3x3", expand, squeeze, 3)
        inputs = 2 * expand
    arrays = {k: v.astype(np.float16) for k, v in arrays.items()}
    digest = hashlib.sha256(b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays)))
    monkeypatch.setattr(features, "SQUEEZENET_SHA256", digest.hexdigest())
    np.savez(path, **arrays)
    return path
