"""Which device, which dtype, how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from loky import cpu_count

from model.errors import DeviceError, OutOfDeviceMemory

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name` (`cpu`, `cuda`, `cuda:1`, `mps`); `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: no such device, or not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"the device {name!r} is unknown; use auto, cpu, cuda, cuda:N or mps") from error
    if not available.get(device.type, False):
        raise DeviceError(f"the device {name!r} is not available here; available are {_listed(available)}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"the device {name!r} is not available here; there are {torch.cuda.device_count()} CUDA devices"
        )
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype called `name`; `auto` is bfloat16 on CUDA, float16 where a GPU lacks it, and float32 elsewhere.

    Raises:
        DeviceError: no such dtype.
    """
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if name not in DTYPES:
        raise DeviceError(f"the dtype {name!r} is unknown; use auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def available_cpus() -> int:
    """CPUs that this process may use: the least of the host's, its affinity's and its cgroup's quota."""
    return int(cpu_count())


@contextmanager
def out_of_memory_named() -> Iterator[None]:
    """Make one error of the ways in which torch says that memory is out; on a CPU it is a plain RuntimeError.

    Raises:
        OutOfDeviceMemory: the body ran out of memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfDeviceMemory("the device ran out of memory") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" in str(error):
            raise OutOfDeviceMemory("the device ran out of memory") from error
        raise


def _listed(available: dict[str, bool]) -> str:
    return ", ".join(kind for kind, there in available.items() if there)
