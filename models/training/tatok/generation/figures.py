"""Figures of a generator: exact held-out bits, distances of sets of pictures, what it remembers, and a sheet to look at."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..bundle.manifest import read_manifest
from ..data.images import eval_batches, list_images
from ..evaluation.feature_sets import LITE0, PooledFeatures, frechet_distance, nearest, precision_recall
from ..tokenizer import TaTok, Tokens
from .baselines import IndependentCodes, unrelated
from .network import Gpt
from .sampling import Draw, Generator, filled, in_batches, kept_patches
from .training import code_arrays

RESAMPLES = 1000
"""Of a bootstrap of means."""
FRECHET_RESAMPLES = 20
SHEET = 16
"""Pictures of a sheet, each beside its nearest training picture."""


def open_generator(path: Path, bundle: Path, device: torch.device) -> Generator:
    """A trained generator and its bundle. Raises OSError and ValueError for files of another kind or another bundle."""
    return Generator(Gpt.open(path)[0].to(device), TaTok.from_pretrained(bundle).to(device))


def default_draw(bundle: Path, **changes: Any) -> Draw:
    """ε and budget of a bundle's manifest, and what is asked for beside."""
    manifest = read_manifest(bundle)
    defaults = manifest.get("defaults") or {}
    by_reference = defaults.get("budget") == "reference"
    own = {"loss_rate": defaults.get("lossRate", 0.0), "budget_bits": manifest["referenceBudgetBits"] if by_reference else None}
    return Draw(**own | {name: value for name, value in changes.items() if value is not None})


def interval(values: Tensor, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of a mean."""
    index = torch.randint(len(values), (RESAMPLES, len(values)), generator=torch.Generator().manual_seed(seed))
    means = values.double()[index].mean(1)
    return float(means.quantile(0.025)), float(means.quantile(0.975))


@torch.no_grad()
def bits_of(generator: Generator, training: Path, held_out: Path, batch: int) -> dict[str, dict[str, Any]]:
    """Bits a held-out picture with every token, means with 95 % intervals: of the generator and of both baselines.

    Patches that know nothing of the global tokens have the bits of independent codes.
    """
    levels = generator.tokenizer.config.levels
    known, (global_codes, patch_codes) = (
        [None if codes is None else torch.from_numpy(codes) for codes in code_arrays(path)] for path in (training, held_out)
    )
    count = len(next(codes for codes in (global_codes, patch_codes) if codes is not None))
    parts = [
        None if own is None else IndependentCodes(before, levels).bits(own)
        for before, own in zip(known, (global_codes, patch_codes), strict=True)
    ]

    def bits(part: slice) -> Tensor:
        return generator.bits(Tokens(*(None if codes is None else codes[part] for codes in (global_codes, patch_codes)))).cpu()

    rows = {"generator": in_batches(count, batch, bits), "independent codes": sum(part for part in parts if part is not None)}
    if global_codes is not None and patch_codes is not None:
        sequences = generator.network.quantizer.code_levels(global_codes)
        bare = torch.full((count,), generator.network.no_class)
        device = generator.tokenizer.device
        alone = in_batches(
            count, batch, lambda part: generator.network.bits(sequences[part].to(device), bare[part].to(device)).cpu()
        )
        rows["p(G), unrelated patches"] = alone + parts[1]
    return {name: {"mean": float(values.double().mean()), "interval": interval(values)} for name, values in rows.items()}


def sampled(generator: Generator, name: str, count: int, draw: Draw, training: Path, labels: Tensor | None = None) -> Tokens:
    """Tokens of `count` pictures by the generator, or by one of the baselines, under the same filter."""
    if name == "generator":
        return generator.sample(count, draw, labels)
    tokenizer, levels = generator.tokenizer, generator.tokenizer.config.levels
    rng = torch.Generator().manual_seed(draw.seed)
    known = [None if codes is None else torch.from_numpy(codes) for codes in code_arrays(training)]
    if name == "independent codes":
        codes = [None if each is None else IndependentCodes(each, levels).sample(count, rng) for each in known]
    else:
        codes = [generator.sample(count, draw, labels).global_codes, unrelated(known[1], count, rng)]
    tokens = Tokens(*codes).to(tokenizer.device)
    if tokens.global_codes is None or tokens.patch_codes is None or not tokenizer.config.filters:
        return tokens
    return filled(tokenizer, tokens, kept_patches(tokenizer, tokens.global_codes, draw.loss_rate, draw.budget_bits)[0])


def evaluate_generator(
    network: Path,
    bundle: Path,
    training: Path,
    held_out: Path,
    photographs: Path,
    out: Path,
    draw: Draw,
    *,
    count: int,
    batch: int = 16,
) -> dict[str, Any]:
    """Writes figures.json and sheet.png to `out`.

    `training` and `held_out` are token data sets with every token, `photographs` a folder that the generator did not see.
    Fréchet distance, precision and recall compare `count` pictures with these, in EfficientNet-Lite0's features; the distance
    of held-out tokens decoded is what the tokenizer itself costs. The nearest training pictures are those of training tokens
    decoded: where samples are much nearer to them than held-out pictures are, the generator repeats what it saw.

    Raises OSError and ValueError for files of another kind, and ValueError for fewer than two pictures.
    """
    if count < 2:
        raise ValueError(f"a set has two pictures at least, and {count} is asked for")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = open_generator(network, bundle, device)
    tokenizer, features = generator.tokenizer, PooledFeatures(device)
    files = list_images(photographs)
    real = features(torch.from_numpy(each) for each in eval_batches(files, tokenizer.config.image_size, batch))
    seen, kept_out = (
        Tokens(*(None if c is None else torch.from_numpy(c) for c in code_arrays(path))) for path in (training, held_out)
    )
    of_seen, of_held_out = (features(_decoded(tokenizer, tokens, batch)) for tokens in (seen, kept_out))
    bits = bits_of(generator, training, held_out, batch)
    result: dict[str, Any] = {
        "features": LITE0,
        "pictures": count,
        "photographs": len(files),
        "draw": vars(draw),
        "heldOutBits": bits,
        "frechetOfHeldOutTokens": frechet_distance(of_held_out, real),
        "nearestOfHeldOut": float(nearest(of_held_out, of_seen)[0].median()),
        "samplers": {},
    }
    for name in bits:
        started = time.monotonic()
        tokens = sampled(generator, name, count, draw, training)
        pictures = torch.cat(list(_decoded(tokenizer, tokens, batch)))
        seconds = time.monotonic() - started
        found = features(pictures[k : k + batch] for k in range(0, count, batch))
        distances, indices = nearest(found, of_seen)
        result["samplers"][name] = {
            "frechet": frechet_distance(found, real),
            "frechetInterval": _frechet_interval(found, real),
            **precision_recall(real, found)._asdict(),
            "nearestTrainingPicture": float(distances.median()),
            "tokens": float(tokens.counts.double().mean()),
            "secondsAPicture": seconds / count,
        }
        if name == "generator":
            out.mkdir(parents=True, exist_ok=True)
            beside = torch.cat(list(_decoded(tokenizer, seen, batch, indices[:SHEET])))
            write_sheet(torch.stack([pictures[:SHEET], beside], 1), out / "sheet.png")
    (out / "figures.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def write_sheet(pictures: Tensor, path: Path) -> None:
    """uint8 [n, columns, S, S, 3] as one picture, a row each."""
    n, columns, side = pictures.shape[:3]
    grid = pictures.permute(0, 2, 1, 3, 4).reshape(n * side, columns * side, 3)
    Image.fromarray(grid.cpu().numpy()).save(path)


def _decoded(tokenizer: TaTok, tokens: Tokens, batch: int, index: Tensor | None = None) -> Iterator[Tensor]:
    """uint8 [≤ batch, S, S, 3], of all tokens or of some of the pictures."""
    if index is not None:
        tokens = Tokens(*(None if part is None else part[index] for part in (tokens.global_codes, tokens.patch_codes)))
    for start in range(0, len(tokens), batch):
        yield tokenizer.decode(tokens[start : start + batch]).permute(0, 2, 3, 1).cpu()


def _frechet_interval(found: Tensor, real: Tensor) -> tuple[float, float]:
    """95 % interval over samples drawn with replacement. It lies above the distance itself: fewer pictures are different."""
    rng = torch.Generator().manual_seed(0)
    drawn = (found[torch.randint(len(found), (len(found),), generator=rng)] for _ in range(FRECHET_RESAMPLES))
    values = np.array([frechet_distance(each, real) for each in drawn])
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def report(result: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    floor = f"{result['frechetOfHeldOutTokens']:.1f} and lie {result['nearestOfHeldOut']:.2f} from the nearest training picture"
    lines = [
        f"{result['pictures']} pictures against {result['photographs']} photographs, {result['features']}. "
        f"Held-out tokens decoded have a Fréchet distance of {floor}.\n",
        "| sampler | bits, held out | Fréchet distance | precision | recall | nearest in training | tokens | s a picture |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in result["samplers"].items():
        bits = result["heldOutBits"][name]
        low, high = bits["interval"]
        least, most = row["frechetInterval"]
        cells = [f"{bits['mean']:.0f} ({low:.0f}–{high:.0f})", f"{row['frechet']:.1f} ({least:.1f}–{most:.1f})"]
        cells += [f"{row[key]:.2f}" for key in ("precision", "recall", "nearestTrainingPicture")]
        cells += [f"{row['tokens']:.1f}", f"{row['secondsAPicture']:.3f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_pictures(generator: Generator, out: Path, count: int, draw: Draw, labels: Tensor | None, batch: int) -> list[Path]:
    """PNG files 0000.png and so on; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    tokens = generator.sample(count, draw, labels)
    paths = []
    for pictures in _decoded(generator.tokenizer, tokens, batch):
        for picture in pictures:
            paths.append(out / f"{len(paths):04d}.png")
            Image.fromarray(picture.numpy()).save(paths[-1])
    return paths
