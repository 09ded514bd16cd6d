"""`python -m tatok tokenize`: inputs become a token data set, on this machine or on a cluster."""

import hashlib
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow as pa

from ..bundle.manifest import read_manifest
from ..data.inputs import Source, as_text, contents, list_sources
from .dataset import Inputs, TokenDataset
from .encode import Encoder, Picture, Recipe, describe, in_batches, read_picture


def tokenize(
    inputs: list[Path],
    out: Path,
    recipe: Recipe,
    *,
    shard_size: int,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    actors: int | None = None,
    gpus_per_actor: float | None = None,
) -> TokenDataset:
    """Writes the shards that are absent in `out`, and returns the data set.

    Raises ValueError for inputs that cannot be listed, and for a folder that holds anything else, see `TokenDataset.begin`. An
    image that cannot be read is a row with the reason.
    """
    sources = list_sources(inputs)
    dataset = TokenDataset.begin(out, describe(recipe, _described(inputs, sources, out), shard_size))
    recipe = replace(recipe, batch=dataset.description.batch_size, threads=dataset.description.threads)
    shards = {k: sources[k * shard_size : (k + 1) * shard_size] for k in dataset.absent()}
    progress = _Progress(dataset, sum(map(len, shards.values())))
    if not shards:
        return dataset
    if engine == "ray":
        from .cluster import rows_on_ray

        finished = rows_on_ray(shards, recipe, address=address, actors=actors, gpus_per_actor=gpus_per_actor)
    else:
        finished = _rows_here(shards, recipe)
    for number, rows in finished:
        dataset.write_shard(number, rows)
        progress.tell(len(shards[number]))
    return dataset


def _described(inputs: Iterable[Path], sources: list[Source], out: Path) -> Inputs:
    """What the data set in the folder `out` says of its inputs: number, a hash of their keys, and where they are."""
    digest = hashlib.sha256("\n".join(source.key for source in sources).encode())
    places = [as_text(Path(os.path.relpath(path.absolute(), out.absolute().parent))) for path in inputs]
    return Inputs(count=len(sources), hash=digest.hexdigest(), sources=places)


def _rows_here(shards: dict[int, list[Source]], recipe: Recipe) -> Iterator[tuple[int, list[pa.Table]]]:
    """The rows of one shard after the other; pictures are decoded by other threads while the model computes."""
    size = read_manifest(recipe.model)["image"]["size"]
    encoder = Encoder(recipe)
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        everything = (source for sources in shards.values() for source in sources)
        pictures = _decoded_ahead(everything, size, pool, ahead=2 * recipe.batch + 2 * workers)
        for number, sources in shards.items():
            batches = in_batches(islice(pictures, len(sources)), recipe.batch)
            yield number, [encoder.rows(batch) for batch in batches]


def _decoded_ahead(sources: Iterable[Source], size: int, pool: ThreadPoolExecutor, ahead: int) -> Iterator[Picture]:
    """Pictures in their order, of which as many as `ahead` are decoded before they are asked for."""
    waiting: deque[Future[Picture]] = deque()
    for source, read in contents(sources):
        waiting.append(pool.submit(read_picture, source, read, size))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Progress:
    """Lines about the shards that are done, on standard error."""

    def __init__(self, dataset: TokenDataset, images: int) -> None:
        self._dataset, self._left, self._done = dataset, images, 0
        self._start = time.monotonic()
        there = dataset.description.counts.rows
        if there:
            print(f"{dataset.folder} has {there:,} images already; {images:,} are left", file=sys.stderr)

    def tell(self, images: int) -> None:
        self._done += images
        self._left -= images
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        description = self._dataset.description
        shards = f"{len(description.shards):,} of {description.shard_count:,} shards"
        left = f", {_duration(self._left / rate)} left" if self._left else ""
        print(f"{shards}: {description.counts.rows:,} images, {rate:.1f} images/s{left}", file=sys.stderr)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if minutes < 2 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
