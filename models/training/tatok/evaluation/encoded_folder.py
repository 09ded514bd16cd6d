"""A folder of images through a model: codes, what they decode to, and how good that is."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.images import centre_crop, list_images
from ..features import SqueezeNetDistance
from .backend import Array, Backend, Estimate
from .frechet import FrechetDistance
from .metrics import Weave, psnr, reduced, ssim
from .rate import coded_bits, mask_bits
from .recognition import Recognizer, read_labels
from .reference_metrics import InceptionFigures, Lpips
from .statistics import Columns, summary

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


@dataclass
class Judges:
    """Networks that compare or recognise pictures; each is there where its weights are."""

    distance: SqueezeNetDistance | None = None
    lpips: Lpips | None = None
    inception: InceptionFigures | None = None
    recognizers: tuple[Recognizer, ...] = ()


class EncodedFolder:
    """One backend's codes of one folder, and the figures of every image under every kept mask that was measured."""

    def __init__(self, backend: Backend, folder: Path, limit: int | None, batch: int, judges: Judges | None = None) -> None:
        """Encodes at most `limit` images. Raises ValueError for a folder without images."""
        self.backend, self.batch, self.name = backend, batch, folder.name
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.judges = Judges() if judges is None else judges
        for judge in (self.judges.distance, self.judges.lpips, *self.judges.recognizers):
            if judge is not None:
                judge.to(self.device)
        self.files = list_images(folder)[:limit]
        if not self.files:
            raise ValueError(f"no images in {folder}")
        self.labels = read_labels(folder, self.files) if self.judges.recognizers else None
        self.per_image: dict[str, Columns] = {}
        self.pictures: dict[str, Array] = {}
        """Decoded images of the points that `keep_pictures` names, filled by `judge`."""
        self.keep_pictures: tuple[str, ...] = ()
        images = np.stack([centre_crop(f, backend.image_size) for f in self.files])
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

    def quality(
        self, keep: Array, name: str, expected: Array | None = None, *, known: bool = False, sets: bool = False
    ) -> dict[str, Any]:
        """Tokens, bits and quality of the images decoded with these kept masks [images, N], as `judge` summarises them.

        `known`: a decoder finds the kept set out for itself, see `mask_bits`. Bits are `payload_bits` (tokens at fixed length),
        `coded_bits` (tokens under a range coder), `mask_bits`, and `bytes`, those of the first and the last rounded up.
        """
        decoded = (self.decode(keep, expected, part) for part in self.slices(len(keep)))
        return self.judge(decoded, name, self._rates(keep, known), sets)

    def _rates(self, keep: Array, known: bool) -> Columns:
        kept, bits = keep.sum(1), math.log2(self.backend.codebook_size)
        total, globals_ = kept + self.backend.global_tokens, self.backend.global_tokens * bits
        payload = coded = total * bits
        mask = np.zeros(len(keep))
        if self.encoded.estimate is not None:
            coded = coded_bits(self.encoded.estimate.surprisal, keep, globals_)
            mask = np.array([mask_bits(keep.shape[1], int(k), known=known) for k in kept])
        rates = {"kept": kept, "total": total, "payload_bits": payload, "coded_bits": coded, "mask_bits": mask}
        return {n: v.astype(np.float64) for n, v in (rates | {"bytes": np.ceil((payload + mask) / 8)}).items()}

    def judge(self, decoded: Iterable[Array], name: str, rates: Columns, sets: bool = False) -> dict[str, Any]:
        """Means over images of `rates` and of the quality of pictures [batch, S, S, 3] that come in the folder's order.

        Quality is PSNR, SSIM, weave and, where their networks are there, distances and shares recognised. `interval` has the
        95 % bootstrap intervals of means, `p10` the 10th percentiles over images. `sets` adds figures of all pictures as one
        set: the Fréchet distance in SqueezeNet features, which takes two images at least, and those of Inception. The figures
        of every image are kept under `name`.
        """
        images, values, pictures = self.encoded.images, [], []
        weave = Weave(self.backend.image_size, self.backend.grid[1])
        frechet = None
        if sets and self.judges.distance is not None and len(images) > 1:
            frechet = FrechetDistance(self.judges.distance, self.device)
        for s, batch in zip(self.slices(len(images)), decoded, strict=True):
            a, b = (torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (batch, images[s]))
            values.append(self._differences(a, b) | self._recognised(a, s))
            weave.update(a)
            if frechet is not None:
                frechet.update(b.permute(0, 3, 1, 2), a.permute(0, 3, 1, 2))
            if name in self.keep_pictures or (sets and self.judges.inception is not None):
                pictures.append(batch)
        columns = rates | _joined(values)
        self.per_image[name] = columns
        result = summary(columns, intervals=tuple(values[0]), tails=("psnr", "ssim")) | {"weave_db": weave.decibels()}
        if frechet is not None:
            result["squeezenet_frechet"] = frechet.compute()
        if name in self.keep_pictures:
            self.pictures[name] = np.concatenate(pictures)
        if sets and self.judges.inception is not None:
            result |= self.judges.inception(np.concatenate(pictures), images, self.name)
        return result

    def averaged(self, names: list[str], results: list[dict[str, Any]]) -> dict[str, Any]:
        """Several measurements of the same images as one: `seed_std` is the standard deviation of their mean PSNR."""
        runs = [self.per_image[each] for each in names]
        columns = {column: np.mean([run[column] for run in runs], axis=0) for column in runs[0]}
        return summary(columns, intervals=tuple(results[0]["interval"]), tails=tuple(results[0]["p10"])) | {
            "weave_db": float(np.mean([result["weave_db"] for result in results])),
            "seed_std": float(np.std([result["psnr"] for result in results], ddof=1)),
        }

    def originals(self) -> dict[str, Any]:
        """Figures of the photographs themselves, by the measures that compare with no original: recognition and weave."""
        weave, values = Weave(self.backend.image_size, self.backend.grid[1]), []
        for s in self.slices(len(self.files)):
            batch = torch.from_numpy(self.encoded.images[s]).to(self.device)
            weave.update(batch)
            values.append(self._recognised(batch, s))
        columns = _joined(values)
        if columns:
            self.per_image["photographs"] = columns
        return summary(columns, intervals=tuple(columns), tails=()) | {"weave_db": weave.decibels()}

    def reduced_quality(self) -> dict[str, dict[str, float]]:
        """PSNR, SSIM and perceptual distance of the images themselves at few pixels, by the number of pixels a side."""
        images, values = self.encoded.images, {side: [] for side in REDUCED_SIDES}
        for s in self.slices(len(images)):
            batch = torch.from_numpy(images[s]).to(self.device)
            for side, rows in values.items():
                rows.append(self._differences(reduced(batch, side), batch))
        return {str(side): {n: float(v.mean()) for n, v in _joined(rows).items()} for side, rows in values.items()}

    def _differences(self, a: torch.Tensor, b: torch.Tensor) -> Columns:
        """PSNR, SSIM and the distances of the judges that are there: uint8 [B, S, S, 3] twice."""
        values = {"psnr": psnr(a, b).clamp(max=HIGHEST_PSNR), "ssim": ssim(a, b)}
        pair = [x.permute(0, 3, 1, 2).float() / 127.5 - 1 for x in (a, b)]
        with torch.inference_mode():
            if self.judges.distance is not None:
                values["squeezenet_distance"] = self.judges.distance(*pair)
            if self.judges.lpips is not None:
                values["lpips"] = self.judges.lpips(*pair)
        return {name: value.double().cpu().numpy() for name, value in values.items()}

    def _recognised(self, images: torch.Tensor, part: slice) -> Columns:
        """1 for every picture whose true class is the network's first answer, by network; nothing without labels."""
        if self.labels is None:
            return {}
        answers = {r.column: r.top1(images).cpu().numpy() for r in self.judges.recognizers}
        return {column: (answer == self.labels[part]).astype(np.float64) for column, answer in answers.items()}

    def codebook_usage(self) -> dict[str, dict[str, float]]:
        """Distinct codes and perplexity, of patch tokens and of global tokens."""
        data, usage = self.encoded, {}
        for name, codes in (("patch", data.patch_codes), ("global", data.global_codes)):
            if codes.size:
                counts = np.bincount(codes.ravel(), minlength=self.backend.codebook_size)
                share = counts[counts > 0] / codes.size
                usage[name] = {"distinct": len(share), "perplexity": float(2 ** -(share * np.log2(share)).sum())}
        return usage


def _joined(batches: list[Columns]) -> Columns:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
