"""One process or many: what a training loop needs to know of torchrun."""

import gc
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


def gathered_at_the_end(module: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Passes of one step: processes exchange gradients in the last one alone, if they are several."""
    if last or not isinstance(module, nn.parallel.DistributedDataParallel):
        return nullcontext()
    return module.no_sync()


def means(passes: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The means of numbers over the passes of a step, by name."""
    return {name: torch.stack([parts[name] for parts in passes]).mean(0) for name in passes[0]}


def own_rank() -> int:
    """This process's number among those of torchrun; 0 without."""
    return int(os.environ.get("RANK", 0))


@dataclass(frozen=True)
class Workers:
    """This process among its peers, and its device."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @classmethod
    def join(cls) -> "Workers":
        """Joins torchrun's group where there is one: NCCL on GPUs, gloo on CPUs."""
        rank, count = own_rank(), int(os.environ.get("WORLD_SIZE", 1))
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        if count > 1:
            dist.init_process_group("nccl" if cuda else "gloo")
        return cls(rank, count, device)

    def agree(self, value: bool) -> bool:
        """The first process's word, for everyone: clocks differ, and all must stop at the same step."""
        if self.count == 1:
            return value
        flag = torch.tensor([value], dtype=torch.int32, device=self.device)
        dist.broadcast(flag, 0)
        return bool(flag.item())

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, for everyone: files may lie where that one alone reads them.

        An OSError or a ValueError of `make` is raised in every process, or the others would wait for ever.
        """
        if self.count == 1:
            return make()
        result: list[object] = [None]
        if self.is_first:
            try:
                result = [make()]
            except (OSError, ValueError) as error:
                result = [error]
        dist.broadcast_object_list(result, 0, device=self.device)
        if isinstance(result[0], (OSError, ValueError)):
            raise result[0]
        return result[0]

    def from_all(self, value: T) -> list[T]:
        """The values of all processes, in order."""
        if self.count == 1:
            return [value]
        values: list[T] = [value] * self.count
        dist.all_gather_object(values, value)
        return values

    def leave(self) -> None:
        """Leaves the group, once everyone has come so far.

        Whatever else holds the group (a model under DDP) must be out of scope by now: the group's threads end with it, and a
        gloo thread that still lets go of a tensor while the interpreter shuts down aborts the process.
        """
        if self.count > 1:
            gc.collect()
            dist.barrier()
            dist.destroy_process_group()
