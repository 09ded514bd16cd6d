"""From the bytes of images to rows of a token data set: pixels, codes, the kept set and what it costs."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..bundle.manifest import file_entry, read_manifest
from ..data.inputs import Source
from ..data.pixels import Crop, centre_square, decode_srgb
from ..evaluation.backend import Backend, Estimate, OnnxBackend, Provider
from ..filter import DEFAULT_ROUNDS, lost_with, rank_images
from ..filter import Ranking as PatchRanking
from .dataset import SCHEMA, Columns, DatasetModel, Description, Inputs

Ranking = Literal["entropy", "sequential", "distortion"]
Runtime = Literal["onnx", "torch"]

_BATCHES = {"cpu": 2, "cuda": 16}
"""Images that go through a graph together, as the extension's command line has it."""


@dataclass(frozen=True)
class Settings:
    """What is kept of every image: the filter's ε, β (bits), budget, ranking and its number of rounds."""

    loss_rate: float
    edge_priority: float
    budget: Literal["image", "reference"]
    ranking: Ranking
    rounds: int | None
    """None for a ranking without rounds."""

    def record(self) -> dict[str, Any]:
        """As exports of the extension have it."""
        rounds = {} if self.rounds is None else {"rankingRounds": self.rounds}
        return {
            "lossRate": self.loss_rate,
            "edgePriority": self.edge_priority,
            "budget": self.budget,
            "conditioning": {"entropy": "global"}.get(self.ranking, self.ranking),
        } | rounds


@dataclass(frozen=True)
class Recipe:
    """All that decides which rows an input becomes, and where they are computed."""

    model: Path
    """Folder of the bundle."""
    runtime: Runtime
    provider: Provider
    batch: int
    settings: Settings | None
    """None where the model cannot drop tokens."""
    entropies: bool
    """Whether rows have ĥ and the surprisal of every patch."""
    quality: bool
    """Whether rows have the PSNR and SSIM of what their tokens decode to."""
    threads: int | None = None
    """Threads of the graphs on a CPU; None: as many as there are cores."""


def make_recipe(
    model: Path,
    *,
    runtime: Runtime,
    provider: Literal["auto", "cpu", "cuda"],
    batch: int | None,
    loss_rate: float | None = None,
    edge_priority: float | None = None,
    budget: Literal["image", "reference"] | None = None,
    ranking: Ranking | None = None,
    rounds: int | None = None,
    entropies: bool = False,
    quality: bool = False,
) -> Recipe:
    """Completes settings that are None by the model's defaults, after every file of the bundle was held to the manifest.

    Raises ValueError for a folder that is no bundle, a damaged one, and settings out of their range.
    """
    if not (model / "manifest.json").is_file():
        raise ValueError(f"there is no bundle in {model}: --model is the folder of one, with manifest.json")
    manifest = read_manifest(model)
    for entry in manifest["files"]:
        path = model / entry["path"]
        if not path.is_file() or file_entry(path) != entry:
            raise ValueError(f"{path} is not the file that the bundle's manifest lists: fetch or export the bundle again")
    filters = "entropy" in manifest["graphs"]
    if entropies and not filters:
        raise ValueError(f"{manifest['name']} has no entropy model: leave --entropies out")
    settings = None
    if filters:
        defaults = manifest["defaults"]
        order = ranking or {"global": "entropy"}.get(defaults["conditioning"], defaults["conditioning"])
        settings = Settings(
            defaults["lossRate"] if loss_rate is None else loss_rate,
            defaults["edgePriority"] if edge_priority is None else edge_priority,
            budget or defaults["budget"],
            order,
            (rounds or defaults.get("rankingRounds") or DEFAULT_ROUNDS[order]) if order in DEFAULT_ROUNDS else None,
        )
        if not 0 <= settings.loss_rate <= 1:
            raise ValueError(f"--loss-rate is {settings.loss_rate:g}; its range is 0 to 1")
        if not 0 <= settings.edge_priority < math.inf:
            raise ValueError(f"--edge-priority is {settings.edge_priority:g}; its range is 0 or more")
    chosen = _chosen_provider(runtime) if provider == "auto" else provider
    size = _BATCHES[chosen] if batch is None else batch
    return Recipe(model, runtime, chosen, size, settings, entropies, quality)


def _chosen_provider(runtime: Runtime) -> Provider:
    if runtime == "torch":
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    import onnxruntime

    return "cuda" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "cpu"


def describe(recipe: Recipe, inputs: Inputs, shard_size: int) -> Description:
    """dataset.json of these inputs, with no shard as yet."""
    manifest = read_manifest(recipe.model)
    digest = hashlib.sha256((recipe.model / "manifest.json").read_bytes()).hexdigest()
    half = recipe.runtime == "onnx" and recipe.provider in manifest.get("variants", {})
    return Description(
        model=DatasetModel(name=manifest["name"], version=manifest["version"], hash=digest),
        image=[manifest["image"]["size"]] * 2,
        grid=[manifest["grid"]["rows"], manifest["grid"]["columns"]],
        global_tokens=manifest["globalTokens"],
        codebook_size=manifest["codebook"]["size"],
        settings={} if recipe.settings is None else recipe.settings.record(),
        provider=recipe.provider if recipe.runtime == "onnx" else f"pytorch-{recipe.provider}",
        precision="float16" if half else "float32",
        batch_size=recipe.batch,
        crop="centre",
        input=inputs,
        shard_size=shard_size,
        columns=Columns(entropies=recipe.entropies, quality=recipe.quality),
    )


@dataclass(frozen=True)
class Picture:
    """An input that was decoded, or the reason why it was not."""

    source: Source
    id: str | None = None
    width: int | None = None
    height: int | None = None
    crop: Crop | None = None
    pixels: NDArray[np.uint8] | None = None
    """[S, S, 3] sRGB."""
    error: str | None = None


def read_picture(source: Source, read: Callable[[], bytes], size: int) -> Picture:
    """Reads and decodes one input at the model's `size`. Whatever is wrong with it is in the result."""
    picture = Picture(source)
    try:
        file = read()
        picture = replace(picture, id=hashlib.sha256(file).hexdigest())
        rgb = decode_srgb(file)
        pixels, crop = centre_square(rgb, size)
        return replace(picture, height=rgb.shape[0], width=rgb.shape[1], crop=crop, pixels=pixels)
    except OSError as error:
        return replace(picture, error=f"The file cannot be read: {error.strerror or error}.")
    except ValueError as error:
        reason = " ".join(str(error).split())
        return replace(picture, error=f"{reason[:1].upper()}{reason[1:]}.")


def in_batches(pictures: Iterable[Picture], batch: int) -> Iterator[list[Picture]]:
    """Batches of so many decoded pictures, with those that failed between them."""
    waiting: list[Picture] = []
    good = 0
    for picture in pictures:
        waiting.append(picture)
        good += picture.pixels is not None
        if good == batch:
            yield waiting
            waiting, good = [], 0
    if waiting:
        yield waiting


class Encoder:
    """A model in memory that makes rows of pictures."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._reference = read_manifest(recipe.model).get("referenceBudgetBits")
        if recipe.runtime == "onnx":
            self._backend: Backend = OnnxBackend(recipe.model, recipe.provider, recipe.threads)
        else:
            from ..evaluation.torch_backend import TorchBackend
            from ..tokenizer import TaTok

            self._backend = TorchBackend(TaTok.from_pretrained(recipe.model), recipe.model.name, recipe.provider)

    def rows(self, pictures: list[Picture]) -> pa.Table:
        """One row a picture, in their order, by `dataset.SCHEMA`."""
        pixels = [p.pixels for p in pictures if p.pixels is not None]
        # Graphs round by the size of the batch: with every batch filled up, a row does not depend on what lies around it.
        filled = pixels + pixels[-1:] * (self._recipe.batch - len(pixels))
        made = iter(self._encoded(np.stack(filled)) if pixels else [])
        rows = []
        for picture in pictures:
            row = {"id": picture.id, "path": picture.source.key, "label": picture.source.label, "error": picture.error}
            if picture.crop is not None:
                row |= {"width": picture.width, "height": picture.height}
                row |= {f"crop_{name}": getattr(picture.crop, part) for name, part in _CROP} | next(made)
            rows.append(row)
        return pa.Table.from_pylist(rows, SCHEMA)

    def _encoded(self, images: NDArray[np.uint8]) -> list[dict[str, Any]]:
        backend, recipe = self._backend, self._recipe
        global_codes, patch_codes, estimate = backend.tokenize(images)
        keep = np.ones(patch_codes.shape, dtype=bool)
        lost = None
        coded = _Coded(backend, global_codes, patch_codes, estimate)
        if recipe.settings is not None:
            if not (np.isfinite(estimate.entropy).all() and np.isfinite(estimate.surprisal).all()):
                raise FloatingPointError(f"{backend.name} gave an entropy that is no number on {recipe.provider}")
            rankings = self._ranked(coded, images, recipe.settings)
            budget = self._reference if recipe.settings.budget == "reference" else None
            keep = np.stack([ranking.keep(recipe.settings.loss_rate, budget) for ranking in rankings])
            lost = [lost_with(ranking) for ranking in rankings]
        quality = self._quality(coded, images, keep) if recipe.quality else [{}] * len(images)
        bits = math.log2(backend.codebook_size)
        rows = []
        for i, kept in enumerate(keep):
            count = int(kept.sum())
            tokens = backend.global_tokens + count
            row: dict[str, Any] = {"kept": count, "tokens": tokens, "payload_bits": tokens * bits, "mask_bits": 0.0}
            if backend.global_tokens:
                row["global_codes"] = global_codes[i].astype(np.uint32)
            if backend.patch_tokens:
                row["patch_codes"] = patch_codes[i, kept].astype(np.uint32)
            if backend.filters:
                row["keep"] = np.packbits(kept).tobytes()
                row["mask_bits"] = math.log2(math.comb(len(kept), count))
                surprisal = estimate.surprisal[i].astype(np.float64)
                row["coded_bits"] = backend.global_tokens * bits + float(surprisal[kept].sum())
            if recipe.entropies:
                row["entropy"], row["surprisal"] = (_half(part[i]) for part in (estimate.entropy, estimate.surprisal))
                row["lost"] = None if lost is None else lost[i].astype(np.float32)
            rows.append(row | quality[i])
        return rows

    def _ranked(self, coded: "_Coded", images: NDArray[np.uint8], settings: Settings) -> list[PatchRanking]:
        return rank_images(
            coded, settings.ranking, len(images), *self._backend.grid, settings.edge_priority, images, settings.rounds
        )

    def _quality(self, coded: "_Coded", images: NDArray[np.uint8], keep: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """PSNR in dB, None for equal pictures, and SSIM of what the kept tokens decode to."""
        import torch

        from ..evaluation.metrics import psnr, ssim

        expected = None
        if self._recipe.settings is not None:
            hidden = self._recipe.settings.ranking == "entropy"
            expected = coded.estimate(np.zeros_like(keep) if hidden else keep)[1]
        pair = [torch.from_numpy(np.ascontiguousarray(each)) for each in (coded.decode(expected, keep), images)]
        figures = zip(psnr(*pair).tolist(), ssim(*pair).tolist(), strict=True)
        return [{"psnr": None if math.isinf(p) else p, "ssim": s} for p, s in figures]


_CROP = (("x", "left"), ("y", "top"), ("width", "width"), ("height", "height"))


@dataclass(frozen=True)
class _Coded:
    """The codes of a batch and their model, as `rank_images` asks it; what is known given G alone is not computed again."""

    backend: Backend
    global_codes: NDArray[Any]
    patch_codes: NDArray[Any]
    first: Estimate | None

    def estimate(self, visible: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
        given = self.backend.estimate(self.global_codes, self.patch_codes, visible) if visible.any() else self.first
        return given.entropy, given.expected_code

    def decode(self, expected_code: NDArray[Any] | None, keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return self.backend.decode(self.global_codes, self.patch_codes, expected_code, keep)


def _half(bits: NDArray[np.floating]) -> NDArray[np.float32]:
    return bits.astype(np.float16).astype(np.float32)
