"""Values of a volume are loaded once, whoever reads them first."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from model.errors import ImageDecodeError
from model.imaging.volumes.stored_values import StoredValues

VALUES = np.arange(24, dtype=">i2").reshape((2, 3, 4), order="F")


def stored(load: Any, **changes: Any) -> StoredValues:
    arguments = {"kind": np.dtype(">i2"), "sizes": (2, 3, 4), "offset_bytes": 3, **changes}
    return StoredValues(load, cut_short=lambda: ImageDecodeError("too short"), **arguments)


def test_a_part_of_the_array_is_read_in_any_order_of_its_axes() -> None:
    values = stored(lambda: b"abc" + VALUES.tobytes(order="F"))
    assert np.array_equal(values.read([0, 1], {2: 3}), VALUES[:, :, 3])
    assert np.array_equal(values.read([2, 0], {1: 2}), VALUES[:, 2].T)
    assert np.array_equal(values.read([1], {}), VALUES[0, :, 0])


def test_a_part_that_lies_behind_the_end_is_refused() -> None:
    values = stored(lambda: (b"abc" + VALUES.tobytes(order="F"))[:-1])
    assert np.array_equal(values.read([0, 1], {2: 2}), VALUES[:, :, 2])
    with pytest.raises(ImageDecodeError, match="too short"):
        values.read([0, 1], {2: 3})


def test_values_are_loaded_again_after_a_shortage_of_memory() -> None:
    loads = iter([MemoryError(), None])

    def load() -> bytes:
        if error := next(loads):
            raise error
        return b"abc" + VALUES.tobytes(order="F")

    values = stored(load)
    with pytest.raises(MemoryError):
        values.read([0, 1], {2: 0})
    assert np.array_equal(values.read([0, 1], {2: 0}), VALUES[:, :, 0])


@pytest.mark.parametrize("is_damaged", [False, True])
def test_several_threads_load_once(is_damaged: bool) -> None:
    calls = []

    def load() -> bytes:
        calls.append(threading.get_ident())
        time.sleep(0.01)
        if is_damaged:
            raise ImageDecodeError("damaged")
        return b"abc" + VALUES.tobytes(order="F")

    values = stored(load)

    def read(number: int) -> bool:
        try:
            return np.array_equal(values.read([0, 1], {2: number % 4}), VALUES[:, :, number % 4])
        except ImageDecodeError as error:
            return str(error) == "damaged" and is_damaged

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(40)))
    assert len(calls) == 1
