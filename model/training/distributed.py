"""Training of one model by several processes that `torchrun` starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This process among all processes of a training.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def gather(self, local: Tensor) -> Tensor:
        """The rows of all ranks, in the order of the ranks; only this rank's own rows get gradients.

        All ranks compute the same loss from the gathered rows. So the gradient of a row is complete on the rank that
        owns the row, and the sum over the ranks counts each row once.

        Args:
            local: (n, ...), with the same shape on every rank.

        Returns:
            (size * n, ...).
        """
        if self.size == 1:
            return local
        parts = [torch.empty_like(local) for _ in range(self.size)]
        dist.all_gather(parts, local.detach().contiguous())
        parts[self.rank] = local
        return torch.cat(parts)

    def gather_objects(self, local: Any) -> list[Any]:
        """The objects of all ranks, in the order of the ranks."""
        if self.size == 1:
            return [local]
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, local)
        return parts

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor.div_(self.size)

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.size > 1:
            dist.barrier()


def join_world(device: str) -> tuple[World, str]:
    """Join the processes that `torchrun` started; `leave_world` ends this. Without `torchrun`, the size is 1.

    Args:
        device: name of a device, as `model.devices.pick_device` takes it. "auto" and "cuda" mean this process's GPU.

    Returns:
        This process, and the name of its device.
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
    """Leave the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
