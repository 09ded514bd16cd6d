"""How far tokens and pictures of a bundle's CUDA graphs are from those of its plain graphs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..bundle.cuda.graphs import PROVIDER
from ..bundle.cuda.interpreter import GraphInterpreter
from ..bundle.manifest import read_manifest
from ..data.images import eval_batches, list_images
from ..filter import filter_tokens
from .backend import Array, Backend, OnnxBackend
from .metrics import psnr


class CudaGraphs(OnnxBackend):
    """A bundle's CUDA graphs in PyTorch, so that neither a GPU nor a runtime with their operators is needed."""

    def __init__(self, bundle: Path, device: str) -> None:
        super().__init__(bundle)
        variants = read_manifest(bundle).get("variants", {})
        if PROVIDER not in variants:
            raise ValueError(f"{bundle} has no graphs for CUDA; python -m tatok cuda-graphs adds them")
        self._graphs = {graph: GraphInterpreter(bundle / file, device) for graph, file in variants[PROVIDER].items()}

    def run(self, graph: str, inputs: dict[str, Array], outputs: tuple[str, ...]) -> list[Array]:
        return self._graphs[graph].run(outputs, inputs)


def parity(bundle: Path, folder: Path, device: str, limit: int | None = None, batch: int = 2) -> dict[str, Any]:
    """Means over a folder's centre crops, at the model's default ε under global conditioning.

    `entropy` and `decoded` are differences for equal inputs; `kept` and `psnr` compare each path from pixels on.
    """
    plain, other = OnnxBackend(bundle), CudaGraphs(bundle, device)
    loss_rate = read_manifest(bundle)["defaults"]["lossRate"]
    rows = []
    for images in eval_batches(list_images(folder)[:limit], plain.image_size, batch):
        codes, codes_of_other = plain.encode(images), other.encode(images)
        estimates = plain.estimate(*codes), other.estimate(*codes)
        keep = _kept(plain, estimates[0].entropy, loss_rate)
        decoded = [b.decode(*codes, estimates[0].expected_code, keep).astype(np.float32) for b in (plain, other)]
        # From here on the other path's own codes.
        own = other.estimate(*codes_of_other)
        own_keep = _kept(plain, own.entropy, loss_rate)
        whole = other.decode(*codes_of_other, own.expected_code, own_keep)
        for i, image in enumerate(images):
            original = torch.from_numpy(image[None])
            rows.append(
                {
                    "equalGlobalCodes": (codes[0][i] == codes_of_other[0][i]).mean(),
                    "equalPatchCodes": (codes[1][i] == codes_of_other[1][i]).mean(),
                    "entropyBits": np.abs(estimates[0].entropy[i] - estimates[1].entropy[i]).mean(),
                    "decodedLevels": np.abs(decoded[0][i] - decoded[1][i]).mean(),
                    "equallyKeptPatches": (keep[i] == own_keep[i]).mean(),
                    "psnrPlain": psnr(torch.from_numpy(decoded[0][i][None]), original).item(),
                    "psnrCuda": psnr(torch.from_numpy(whole[i][None]), original).item(),
                }
            )
    if not rows:
        raise ValueError(f"no images in {folder}")
    return {"images": len(rows)} | {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _kept(backend: Backend, entropy: Array, loss_rate: float) -> Array:
    return np.stack([filter_tokens(h, *backend.grid, loss_rate=loss_rate) for h in entropy])
