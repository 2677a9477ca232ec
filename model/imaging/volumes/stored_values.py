"""Values of a volume as a file stores them: read in place, and inflated at most once."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from model.errors import InvalidInput

Load = Callable[[], bytes | memoryview]


class StoredValues:
    """An array in a file. Its methods may be called from several threads at once.

    Args:
        load: returns the bytes that contain the values. It is called with the first read, and again only if it
            lacked memory.
        kind: type and byte order of one value.
        sizes: number of values along each stored axis. The index of the first axis changes fastest.
        offset_bytes: place of the first value in the loaded bytes.
        cut_short: returns the error for values that lie behind the end of the loaded bytes.
    """

    def __init__(
        self,
        load: Load,
        kind: "np.dtype[Any]",
        sizes: Sequence[int],
        *,
        offset_bytes: int,
        cut_short: Callable[[], InvalidInput],
    ) -> None:
        self.kind, self.sizes = kind, tuple(sizes)
        self._offset_bytes, self._cut_short = offset_bytes, cut_short
        self._load: Load | None = load
        self._loaded: bytes | memoryview = b""
        self._error: InvalidInput | None = None
        self._lock = threading.Lock()

    def read(self, axes: Sequence[int], indices: Mapping[int, int]) -> Any:
        """Read a part of the array, without a copy.

        Args:
            axes: the stored axes of the result, in its order.
            indices: place on the other axes; 0 where an axis is not named.

        Raises:
            ImageDecodeError: the part does not lie in the file, or `load` raises it.
        """
        strides = [self.kind.itemsize]
        for size in self.sizes[:-1]:
            strides.append(strides[-1] * size)
        start = self._offset_bytes + sum(strides[axis] * index for axis, index in indices.items())
        last = start + sum(strides[axis] * (self.sizes[axis] - 1) for axis in axes)
        loaded = self._bytes()
        if last + self.kind.itemsize > len(loaded):
            raise self._cut_short()
        shape, steps = [self.sizes[axis] for axis in axes], [strides[axis] for axis in axes]
        return np.ndarray(shape, self.kind, loaded, start, steps)

    def _bytes(self) -> bytes | memoryview:
        with self._lock:
            if self._load is not None:
                try:
                    self._loaded = self._load()
                except InvalidInput as error:
                    self._error = error
                self._load = None
            if self._error is not None:
                # A new one: several threads may raise it, and each adds its traceback.
                raise type(self._error)(str(self._error)) from self._error
            return self._loaded
