"""Choice of the device and the dtype."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from model.errors import DeviceError, OutOfDeviceMemory

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """The device with a name: `cpu`, `cuda`, `cuda:N` or `mps`.

    Args:
        name: the name. Default: `auto`, which takes CUDA if available, then MPS, then the CPU.

    Raises:
        DeviceError: the name is unknown, or this machine does not have the device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"the device {name!r} is unknown; use auto, cpu, cuda, cuda:N or mps") from error
    if not available.get(device.type, False):
        raise DeviceError(f"the device {name!r} is not available on this machine; it has {_listed(available)}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"the device {name!r} is not available on this machine; it has {torch.cuda.device_count()} CUDA devices"
        )
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype with a name: `float32`, `bfloat16` or `float16`.

    Args:
        name: the name, or `auto`: bfloat16 on CUDA (float16 on a GPU without bfloat16), float32 on other devices.
        device: the device on which the encoders will run.

    Raises:
        DeviceError: the name is unknown.
    """
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if name not in DTYPES:
        raise DeviceError(f"the dtype {name!r} is unknown; use auto, {', '.join(DTYPES)}")
    return DTYPES[name]


@contextmanager
def out_of_memory_named() -> Iterator[None]:
    """Convert each out-of-memory error of torch and NumPy to one class. On a CPU, torch raises a RuntimeError.

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
