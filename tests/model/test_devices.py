"""Choice of the device and the dtype, number of CPUs, and errors of memory."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.devices import DTYPES, out_of_memory_named, pick_device, pick_dtype
from model.errors import DeviceError, OutOfDeviceMemory

needs_no_gpu = pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="tests a machine without a GPU"
)


@needs_no_gpu
def test_without_a_gpu_auto_is_the_cpu_in_float32() -> None:
    assert pick_device() == pick_device("auto") == torch.device("cpu")
    assert pick_dtype("auto", pick_device()) == torch.float32


@needs_no_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_a_gpu_that_the_machine_lacks_is_refused(name: str) -> None:
    with pytest.raises(DeviceError) as error:
        pick_device(name)
    assert str(error.value) == f"the device {name!r} is not available on this machine; it has cpu"


def test_the_cpu_is_always_available() -> None:
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "tpu", "", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu,cuda"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(DeviceError) as error:
        pick_device(name)
    assert str(error.value) == f"the device {name!r} is unknown; use auto, cpu, cuda, cuda:N or mps"


@pytest.mark.parametrize("name", ["meta", "xpu", "hpu:1"])
def test_a_device_that_only_torch_knows_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match=f"the device '{name}' is not available on this machine"):
        pick_device(name)


@pytest.mark.parametrize("name", DTYPES)
def test_a_dtype_by_name(name: str) -> None:
    assert pick_dtype(name, torch.device("cpu")) == getattr(torch, name)


@pytest.mark.parametrize("name", ["float64", "int8", "half", ""])
def test_an_unknown_dtype_is_refused(name: str) -> None:
    with pytest.raises(DeviceError) as error:
        pick_dtype(name, torch.device("cpu"))
    assert str(error.value) == f"the dtype {name!r} is unknown; use auto, float32, bfloat16, float16"


def test_auto_is_float32_on_mps() -> None:
    assert pick_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    "failing",
    [
        lambda: torch.empty(2**45, dtype=torch.uint8).fill_(1),
        lambda: np.zeros(2**60, dtype=np.uint8),
    ],
)
def test_errors_of_memory_become_one_class(failing: Callable[[], object]) -> None:
    with pytest.raises(OutOfDeviceMemory, match="the device ran out of memory"), out_of_memory_named():
        failing()


def test_other_errors_keep_their_class() -> None:
    with pytest.raises(RuntimeError, match="must match"), out_of_memory_named():
        torch.zeros(2) + torch.zeros(3)
