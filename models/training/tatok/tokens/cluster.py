"""Token data sets on Ray Data: shards → decoded batches → actors with one session each → rows.

Workers read and decode on processors, one shard a task, and actors with a session each turn batches into rows, on GPUs where
there are any. The process that started it all puts the rows of a shard together and writes it: workers need to see the inputs,
and they write nothing. Ray repeats what a lost worker had not delivered. If the first process is lost, so are the shards that
it had not written, and the same command goes on with these.
"""

import importlib.util
import logging
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ..bundle.manifest import read_manifest
from ..data.inputs import Source, contents
from .encode import Encoder, Recipe, in_batches, read_picture

_DECODER_CPUS = 0.5
"""Of a task that reads and decodes, which waits for files in between.

It must differ from an actor's share: Ray Data puts two stages of equal shares into one process, where a GPU would wait for
files.
"""
_BLOCK_BYTES = 16 * 2**20
"""Of decoded pictures that travel to an actor together: 80 of 256×256 pixels."""


def rows_on_ray(
    shards: dict[int, list[Source]],
    recipe: Recipe,
    *,
    address: str | None = None,
    actors: int | None = None,
    gpus_per_actor: float | None = None,
) -> Iterator[tuple[int, list[pa.Table]]]:
    """Numbers and rows of shards, as they are finished.

    `address` is that of a cluster, or "auto"; None starts Ray on this machine. `gpus_per_actor` (None: one on the CUDA
    provider, none on the CPU) may be a fraction; `actors` None: as many as the GPUs allow, or three quarters of the processors.

    Raises ValueError without the package `ray`, where it cannot connect, and where there are no GPUs for actors that need them.
    """
    if importlib.util.find_spec("ray") is None:
        raise ValueError("--engine ray needs Ray Data: pip install 'tatok[cluster]'")
    import ray
    import ray.data

    own = not ray.is_initialized()
    if own:
        options = {} if address is not None else {"include_dashboard": False}
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.WARNING, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ValueError(f"Ray cannot be reached at {address}: {' '.join(str(error).split())}") from error
    try:
        yield from _rows(shards, recipe, actors, gpus_per_actor)
    finally:
        if own:
            ray.shutdown()


def _rows(
    shards: dict[int, list[Source]], recipe: Recipe, actors: int | None, gpus_per_actor: float | None
) -> Iterator[tuple[int, list[pa.Table]]]:
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    resources = ray.cluster_resources()
    processors = int(resources.get("CPU", 0))
    gpus = (1.0 if recipe.provider == "cuda" else 0.0) if gpus_per_actor is None else gpus_per_actor
    most = int(resources.get("GPU", 0) // gpus) if gpus else max(1, 3 * processors // 4)
    if most == 0:
        raise ValueError(f"the cluster has {resources.get('GPU', 0):g} GPUs, and an actor needs {gpus:g}")
    count = most if actors is None else actors
    # An actor on a GPU takes no processor, so that the tasks that decode always have some.
    needs = {"num_gpus": gpus, "num_cpus": 0} if gpus else {"num_cpus": 1 if processors > count else 0}

    context = ray.data.DataContext.get_current()
    context.target_max_block_size = _BLOCK_BYTES
    context.enable_progress_bars = False
    work = [{"shard": number, "sources": pickle.dumps(sources)} for number, sources in shards.items()]
    data = (
        ray.data.from_items(work, override_num_blocks=len(work))
        .map_batches(_Decode(recipe), batch_size=1, num_cpus=_DECODER_CPUS)
        .map(
            _Encode,
            fn_constructor_args=[recipe if gpus else replace(recipe, threads=1)],
            compute=ray.data.ActorPoolStrategy(size=count),
            **needs,
        )
    )
    open_shards: dict[int, dict[int, pa.Table]] = {}
    for done in data.iter_rows():
        number = done["shard"]
        parts = open_shards.setdefault(number, {})
        parts[done["first"]] = pickle.loads(done["rows"])
        if sum(map(len, parts.values())) == len(shards[number]):
            yield number, [parts[first] for first in sorted(parts)]
            del open_shards[number]


class _Decode:
    """A shard's sources -> its pictures, a batch a row: {"shard", "first", "pictures"}."""

    def __init__(self, recipe: Recipe) -> None:
        self._size = read_manifest(recipe.model)["image"]["size"]
        self._batch = recipe.batch

    def __call__(self, work: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for number, sources in zip(work["shard"], work["sources"], strict=True):
            first = 0
            pictures = (read_picture(source, read, self._size) for source, read in contents(pickle.loads(sources)))
            for batch in in_batches(pictures, self._batch):
                yield {"shard": [number], "first": [first], "pictures": [pickle.dumps(batch)]}
                first += len(batch)


class _Encode:
    """An actor with a session: pictures -> rows."""

    def __init__(self, recipe: Recipe) -> None:
        self._encoder = Encoder(recipe)

    def __call__(self, work: dict[str, Any]) -> dict[str, Any]:
        rows = self._encoder.rows(pickle.loads(work["pictures"]))
        return {"shard": work["shard"], "first": work["first"], "rows": pickle.dumps(rows)}
