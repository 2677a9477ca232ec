"""Several processes that train one model, as `torchrun` starts them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This process's place among all that train together."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def gather(self, local: Tensor) -> Tensor:
        """Every rank's rows, in order of rank; gradients flow into this rank's own.

        All ranks compute the same loss from the gathered rows. A row's gradient is therefore complete on the rank that
        owns it, and what other ranks' rows contribute to the loss is counted exactly once in all.
        """
        if self.size == 1:
            return local
        parts = [torch.empty_like(local) for _ in range(self.size)]
        dist.all_gather(parts, local.detach().contiguous())
        parts[self.rank] = local
        return torch.cat(parts)

    def gather_objects(self, local: Any) -> list[Any]:
        if self.size == 1:
            return [local]
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, local)
        return parts

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor.div_(self.size)

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()


def join_world(device: str) -> tuple[World, str]:
    """Join the processes that `torchrun` started, alone if it did not; leave with `leave_world`.

    Args:
        device: as `model.devices.pick_device` takes it; "auto" and "cuda" become this process's own GPU.

    Returns:
        This process's place, and its device's name.
    """
    if not dist.is_available() or not (dist.is_initialized() or dist.is_torchelastic_launched()):
        return World(), device
    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{dist.get_node_local_rank(0)}"
    if not dist.is_initialized():
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return World(dist.get_rank(), dist.get_world_size()), device


def leave_world() -> None:
    """Part from the other processes."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
