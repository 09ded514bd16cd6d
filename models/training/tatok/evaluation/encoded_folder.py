"""A folder of images through a model: codes, what they decode to, and how good that is."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..data.images import centre_crop, list_images
from ..features import SqueezeNetDistance
from .backend import Array, Backend, Estimate
from .frechet import FrechetDistance
from .metrics import psnr, reduced, ssim

REDUCED_SIDES = (16, 32)
HIGHEST_PSNR = 100.0
"""dB, in place of infinity for an image that lost nothing, which is flat."""


@dataclass
class Encoded:
    """A folder's images and their codes; every array has one row an image."""

    images: Array
    global_codes: Array
    patch_codes: Array
    estimate: Estimate | None
    """Given the global tokens alone; None where the model cannot drop tokens."""


@dataclass(frozen=True)
class CodedImages:
    """The codes of some images and the model that they are of, as `rank_images` asks it."""

    backend: Backend
    global_codes: Array
    patch_codes: Array

    def estimate(self, visible: Array) -> tuple[Array, Array]:
        given = self.backend.estimate(self.global_codes, self.patch_codes, visible)
        return given.entropy, given.expected_code

    def decode(self, expected_code: Array, keep: Array) -> Array:
        return self.backend.decode(self.global_codes, self.patch_codes, expected_code, keep)


class EncodedFolder:
    """One backend's codes of one folder."""

    def __init__(self, backend: Backend, folder: Path, limit: int | None, batch: int, distance: SqueezeNetDistance | None):
        self.backend, self.batch = backend, batch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.distance = None if distance is None else distance.to(self.device)
        files = list_images(folder)[:limit]
        if not files:
            raise ValueError(f"no images in {folder}")
        images = np.stack([centre_crop(f, backend.image_size) for f in files])
        codes = [backend.encode(images[s]) for s in self.slices(len(images))]
        global_codes, patch_codes = (np.concatenate(part) for part in zip(*codes, strict=True))
        estimate = self.estimate(global_codes, patch_codes, None) if backend.filters else None
        self.encoded = Encoded(images, global_codes, patch_codes, estimate)

    def estimate(self, global_codes: Array, patch_codes: Array, visible: Array | None) -> Estimate:
        """ĥ, s and E_q[z] of all images, given what is visible of each."""
        parts = [
            self.backend.estimate(global_codes[s], patch_codes[s], None if visible is None else visible[s])
            for s in self.slices(len(patch_codes))
        ]
        return Estimate(*(np.concatenate(p) for p in zip(*parts, strict=True)))

    def coded(self, part: slice) -> CodedImages:
        """The codes of some of the images."""
        return CodedImages(self.backend, self.encoded.global_codes[part], self.encoded.patch_codes[part])

    def slices(self, count: int) -> list[slice]:
        """Batches of `count` images."""
        return [slice(i, i + self.batch) for i in range(0, count, self.batch)]

    def decode(self, keep: Array, expected: Array | None = None, images: slice = slice(None)) -> Array:
        """uint8 [images, S, S, 3] under kept masks [images, N] of all images; `expected` defaults to E_q[z] given G."""
        data = self.encoded
        codes = data.global_codes[images], data.patch_codes[images]
        if data.estimate is None:
            return self.backend.decode(*codes)
        expected = data.estimate.expected_code if expected is None else expected
        return self.backend.decode(*codes, expected[images], keep[images])

    def everything(self) -> Array:
        """The kept masks that drop nothing."""
        return np.ones(self.encoded.patch_codes.shape, dtype=bool)

    def quality(self, keep: Array, expected: Array | None = None, *, frechet: bool = False) -> dict[str, float]:
        """Mean tokens, bits, PSNR, SSIM and perceptual distance of the images decoded with these kept masks [images, N].

        `frechet` adds the Fréchet distance between the folder and its reconstructions, which takes two images at least.
        """
        data, values, distance = self.encoded, [], None
        if frechet and self.distance is not None and len(keep) > 1:
            distance = FrechetDistance(self.distance, self.device)
        for s in self.slices(len(keep)):
            decoded = self.decode(keep, expected, s)
            a, b = (torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (decoded, data.images[s]))
            values.append(self._differences(a, b))
            if distance is not None:
                distance.update(b.permute(0, 3, 1, 2), a.permute(0, 3, 1, 2))
        kept = keep.sum(1)
        total = float(kept.mean()) + self.backend.global_tokens
        result = {
            "kept": float(kept.mean()),
            "total": total,
            "payload_bits": total * math.log2(self.backend.codebook_size),
            "mask_bits": float(np.mean([_mask_bits(keep.shape[1], int(k)) for k in kept])),
        }
        result |= _means(values)
        if distance is not None:
            result["squeezenet_frechet"] = distance.compute()
        return result

    def reduced_quality(self) -> dict[str, dict[str, float]]:
        """PSNR, SSIM and perceptual distance of the images themselves at few pixels, by the number of pixels a side."""
        images, values = self.encoded.images, {side: [] for side in REDUCED_SIDES}
        for s in self.slices(len(images)):
            batch = torch.from_numpy(images[s]).to(self.device)
            for side, rows in values.items():
                rows.append(self._differences(reduced(batch, side), batch))
        return {str(side): _means(rows) for side, rows in values.items()}

    def _differences(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """PSNR, SSIM and, with a loss network, perceptual distance: uint8 [B, S, S, 3] twice -> [B, 2 or 3]."""
        row = [psnr(a, b).clamp(max=HIGHEST_PSNR), ssim(a, b)]
        if self.distance is not None:
            with torch.inference_mode():
                row.append(self.distance(*(x.permute(0, 3, 1, 2).float() / 127.5 - 1 for x in (a, b))))
        return torch.stack(row, 1).cpu()

    def codebook_usage(self) -> dict[str, dict[str, float]]:
        """Distinct codes and perplexity, of patch tokens and of global tokens."""
        data, usage = self.encoded, {}
        for name, codes in (("patch", data.patch_codes), ("global", data.global_codes)):
            if codes.size:
                counts = np.bincount(codes.ravel(), minlength=self.backend.codebook_size)
                share = counts[counts > 0] / codes.size
                usage[name] = {"distinct": len(share), "perplexity": float(2 ** -(share * np.log2(share)).sum())}
        return usage


def _means(differences: list[torch.Tensor]) -> dict[str, float]:
    means = torch.cat(differences).double().mean(0).tolist()
    return dict(zip(("psnr", "ssim", "squeezenet_distance"), means, strict=False))


def _mask_bits(patches: int, kept: int) -> float:
    """log2 C(N, |S|): what telling the kept set costs."""
    return math.log2(math.comb(patches, kept))
