"""The order in which a run sees its images: a function of seed and number, so that no process has a state to save.

Sample n of a run belongs to step n // G, with G crops in all processes together. Epoch e holds the samples from e·I to
(e + 1)·I of I images. In an epoch the shards come in a drawn order, and the images of every few of them, one after another in
that order, are mixed: a reader has a few files open, and neighbours in a shard are far from each other.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Share:
    """What one of several processes sees of a step: some passes of `batch` crops each."""

    rank: int
    processes: int
    batch: int
    passes: int = 1

    @classmethod
    def of(cls, rank: int, processes: int, batch: int, global_batch: int = 0) -> "Share":
        """`global_batch` 0: one pass. Raises ValueError where the processes do not come to it in whole passes."""
        together = batch * processes
        if global_batch % together:
            raise ValueError(
                f"{processes} processes of {batch} crops see {together} in a pass, which does not divide the global batch of "
                f"{global_batch}: choose another --batch"
            )
        return cls(rank, processes, batch, global_batch // together or 1)

    @property
    def whole(self) -> int:
        """G, the crops of a step in all processes together."""
        return self.batch * self.processes * self.passes

    def part(self, number: int) -> slice:
        """Which of the G crops this process sees in pass `number`."""
        start = (number * self.processes + self.rank) * self.batch
        return slice(start, start + self.batch)


class Order:
    """Where sample n lies: its shard, and its number there."""

    def __init__(self, counts: list[int], seed: int, together: int) -> None:
        """`counts` has the images of every shard, and the images of `together` of them are mixed."""
        if not sum(counts):
            raise ValueError("there is no image to train on")
        self._counts, self._seed, self._together = np.asarray(counts), seed, together
        self._images = int(self._counts.sum())
        # Both are asked for one sample after another.
        self._epoch = lru_cache(2)(self._shards_of_epoch)
        self._group = lru_cache(3)(self._places_of_group)

    def place(self, sample: int) -> tuple[int, int]:
        epoch, number = divmod(sample, self._images)
        _, starts = self._epoch(epoch)
        group = int(np.searchsorted(starts, number, side="right")) - 1
        shard, image = self._group(epoch, group)[number - starts[group]]
        return int(shard), int(image)

    def _shards_of_epoch(self, epoch: int) -> tuple[list[NDArray[np.int64]], list[int]]:
        """Groups of shards, and the number in the epoch at which each begins."""
        shards = np.random.default_rng([self._seed, epoch]).permutation(len(self._counts))
        groups = [shards[k : k + self._together] for k in range(0, len(shards), self._together)]
        sizes = [int(self._counts[group].sum()) for group in groups]
        return groups, list(accumulate(sizes, initial=0))[:-1]

    def _places_of_group(self, epoch: int, group: int) -> NDArray[np.int64]:
        """[images of the group, 2] shards and numbers, mixed."""
        shards = self._epoch(epoch)[0][group]
        places = np.concatenate([np.stack([np.full(self._counts[s], s), np.arange(self._counts[s])], 1) for s in shards])
        return np.random.default_rng([self._seed, epoch, group]).permutation(places)
