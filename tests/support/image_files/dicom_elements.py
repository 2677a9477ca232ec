"""Data sets with elements as they are in a file, which pydicom has not converted yet."""

import numpy as np
from numpy.typing import ArrayLike
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

Written = tuple[str | None, bytes]


def header(*, is_little_endian: bool = True, **elements: Written) -> Dataset:
    """A data set.

    Args:
        is_little_endian: byte order of the values.
        **elements: by keyword, VR (None: implicit VR) and bytes of the value.
    """
    dataset = Dataset()
    dataset.set_original_encoding(False, is_little_endian)
    for keyword, (vr, value) in elements.items():
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, vr is None, is_little_endian)
    return dataset


def empty(dataset: Dataset, keyword: str) -> Dataset:
    """A data set whose element has no value."""
    emptied = Dataset()
    emptied.update(dataset)
    tag = Tag(keyword)
    emptied[tag] = RawDataElement(tag, "US", 0, b"", 0, False, True)
    return emptied


def words(values: ArrayLike, *, is_little_endian: bool = True) -> bytes:
    """Values as 16-bit words, negative ones as two's complement."""
    return (np.asarray(values) % 2**16).astype("<u2" if is_little_endian else ">u2").tobytes()


def packed(values: ArrayLike, *, is_little_endian: bool = True, vr: str | None = "OW") -> bytes:
    """Values as bytes, two per word, of which the low one is the first (PS3.3 C.7.6.3.1.5)."""
    data = np.asarray(values, np.uint8).tobytes()
    data += b"\0" * (len(data) % 2)
    return data if is_little_endian or vr == "OB" else np.frombuffer(data, "<u2").byteswap().tobytes()


def lookup_table(entries: ArrayLike, first: int = 0, bits: int = 16) -> Dataset:
    """A sequence item with a modality or VOI LUT whose entries are words."""
    descriptor = words([len(np.asarray(entries)) % 2**16, first, bits])
    return header(LUTDescriptor=("US", descriptor), LUTData=("OW", words(entries)))


def sequence(*items: Dataset) -> Sequence:
    """A sequence of items."""
    return Sequence(items)
