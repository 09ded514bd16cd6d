"""Quality on images that are kept out of training, measured by all processes of a run together."""

import json
from pathlib import Path

import torch
import torch.distributed as dist

from ..data.images import centre_crop, list_images
from ..evaluation.metrics import psnr, ssim
from ..tokenizer import TaTok, Tokens
from .distributed import Workers

LOSS_RATE = 0.8
"""ε of the second pair of figures."""


class HeldOut:
    """A folder of images, of which each process has every n-th."""

    def __init__(self, folder: Path, size: int, batch: int, workers: Workers) -> None:
        """Raises ValueError for a folder without images."""
        self._files = list_images(folder)
        if not self._files:
            raise ValueError(f"no images in {folder}")
        self._size, self._batch, self._workers = size, batch, workers

    @torch.no_grad()
    def measure(self, model: TaTok) -> dict[str, float]:
        """PSNR (dB) and SSIM with every token, and where tokens can be dropped PSNR, SSIM and tokens at ε = 0.8: means.

        All processes must call it. Each decodes and computes its own images, and all are given the same means, whatever their
        number.
        """
        own = self._files[self._workers.rank :: self._workers.count]
        names = ["psnr", "ssim"] + (["filtered_psnr", "filtered_ssim", "filtered_tokens"] if model.config.filters else [])
        sums = torch.zeros(len(names) + 1, dtype=torch.float64, device=self._workers.device)
        for start in range(0, len(own), self._batch):
            images = torch.stack([torch.from_numpy(centre_crop(path, self._size)) for path in own[start : start + self._batch]])
            images = images.to(self._workers.device)
            tokens = model.encode(images.permute(0, 3, 1, 2))
            figures = self._quality(model, tokens, images)
            if model.config.filters:
                filtered = model.filter(tokens, LOSS_RATE)
                figures += [*self._quality(model, filtered, images), filtered.counts]
            sums += torch.stack([torch.ones_like(figures[0]), *figures]).double().sum(1)
        if self._workers.count > 1:
            dist.all_reduce(sums)
        return {name: value.item() for name, value in zip(names, sums[1:] / sums[0], strict=True)}

    def report(self, model: TaTok, step: int, out: Path) -> None:
        """Measures, and adds a line to held-out.jsonl in the folder `out` of the first process."""
        figures = {name: round(value, 4) for name, value in self.measure(model).items()}
        if self._workers.is_first:
            with (out / "held-out.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, "images": len(self._files)} | figures) + "\n")

    def _quality(self, model: TaTok, tokens: Tokens, images: torch.Tensor) -> list[torch.Tensor]:
        decoded = model.decode(tokens).permute(0, 2, 3, 1)
        # An image that lost nothing would have an infinite one.
        return [psnr(images, decoded).clamp(max=100), ssim(images, decoded)]
