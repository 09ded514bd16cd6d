"""A tiny bundle with a lens, and what PyTorch computes of it: run as a program, this writes test/fixtures/bundles/lens anew."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import tatok
from tatok.bundle.format import FsqCodebook
from tatok.elimination import PARTS, eliminate, given_others, quarters
from tatok.lens.command import finish, write_bundle
from tatok.lens.frozen import Frozen
from tatok.lens.lens_graphs import FillGraph
from tatok.lens.network import Lens
from tatok.lens.sizes import LensSize

FIXTURE = Path(__file__).resolve().parents[3] / "test" / "fixtures" / "bundles" / "lens"
SIZE, GRID, LEVELS = 64, (4, 4), (4, 3)
ROUNDS, LOSS_RATE = 8, 0.5


class Encode(nn.Module):
    """Levels of each patch's brightness and contrast: neighbours tell of each other."""

    def forward(self, image: Tensor) -> Tensor:
        patches = nn.functional.unfold(image.mean(1, keepdim=True), 16, stride=16)
        mean = patches.mean(1)
        spread = (patches - mean.unsqueeze(1)).abs().mean(1)
        first = ((mean + 1) * 2).floor().clamp(0, 3)
        return (first + 4 * (spread * 8).floor().clamp(0, 2)).long().unflatten(1, GRID)


class Decode(nn.Module):
    """Flat patches of the brightness that a code stands for."""

    def forward(self, codes: Tensor) -> Tensor:
        grey = ((codes % 4).float() + 0.5) / 2 - 1 + 0.05 * (codes // 4)
        return nn.functional.interpolate(grey.unsqueeze(1), scale_factor=16).expand(-1, 3, -1, -1)


def export_frozen(out: Path) -> Path:
    """A bundle of both."""
    codebook = FsqCodebook(levels=list(LEVELS))
    return tatok.export_tokenizer(Encode(), Decode(), out=out, name="toy", image_size=SIZE, grid=GRID, codebook=codebook)


def uneven_lens(frozen: Frozen) -> Lens:
    """Weights so large that entropies differ from token to token."""
    torch.manual_seed(1)
    lens = Lens(frozen.manifest, frozen.stream, LensSize(16, 2, 1, 1e-3))
    with torch.no_grad():
        for parameter in lens.parameters():
            parameter.copy_(parameter + 0.7 * torch.randn_like(parameter))
    return lens.eval()


@torch.no_grad()
def golden(frozen: Frozen, lens: Lens, image: np.ndarray) -> dict[str, Any]:
    """Codes, map, ranking, kept set and pixels of an image, uint8 [64, 64, 3], by PyTorch in float32."""
    codes = Encode()(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1).flatten(1).int()
    given = {"patch_codes": codes}

    def estimate(visible: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        return lens.estimate(given, torch.from_numpy(visible))

    every = np.ones((1, 16), dtype=bool)
    entropy = given_others(lambda seen: estimate(seen)[0].numpy(), every, *GRID)
    surprisal = np.zeros_like(entropy)
    for part in range(PARTS):
        own = quarters(*GRID) == part
        surprisal = np.where(own, estimate(every & ~own)[1].numpy(), surprisal)
    (ranking,) = eliminate(lambda seen: estimate(seen)[0].numpy(), 1, *GRID, rounds=ROUNDS)
    keep = ranking.keep(LOSS_RATE)
    expected = estimate(keep[None])[2].float().unsqueeze(-1)
    filled = FillGraph("patch_codes")(codes, expected, torch.from_numpy(keep[None]))
    pixels = ((Decode()(filled.long().unflatten(1, GRID)) + 1) * 127.5).clamp(0, 255).round()
    return {
        "codes": codes[0].tolist(),
        "entropyBits": np.round(entropy[0].astype(float), 5).tolist(),
        "surprisalBits": np.round(surprisal[0].astype(float), 5).tolist(),
        "order": ranking.order.tolist(),
        "cumulativeBits": np.round(ranking.lost_bits, 4).tolist(),
        "lossRate": LOSS_RATE,
        "keep": keep.astype(int).tolist(),
        "filledCodes": filled[0].tolist(),
        "patchGreys": pixels[0, 0, ::16, ::16].flatten().int().tolist(),
    }


def image() -> np.ndarray:
    """A picture whose patches differ."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    waves = 127 + 70 * np.sin(x / 11 + y / 17) + 50 * np.sin(x * y / 300)
    return np.stack([waves, waves, waves], -1).clip(0, 255).astype(np.uint8)


def write(out: Path, frozen: Frozen) -> None:
    """Bundle, picture and golden.json."""
    out.mkdir(parents=True, exist_ok=True)
    lens = uneven_lens(frozen)
    finish(out, write_bundle(frozen, lens, out), loss_rate=LOSS_RATE, total_bits=40.0, summary={"fittedTo": 0})
    Image.fromarray(image()).save(out / "image.png")
    (out / "golden.json").write_text(json.dumps(golden(frozen, lens, image())) + "\n")


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        write(FIXTURE, Frozen.open(export_frozen(Path(folder))))
