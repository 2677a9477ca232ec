"""Images of every accepted type to the bytes of a file that the server reads."""

import io
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class DatasetLike(Protocol):
    """A `pydicom.Dataset`. pydicom is not imported here, because the client does not need it."""

    def save_as(self, filename: Any, /, **kwargs: Any) -> None: ...


ImageLike = str | PathLike[str] | bytes | Image.Image | NDArray[Any] | DatasetLike

_NRRD_TYPES = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
               "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double"}  # fmt: skip


def image_bytes(image: ImageLike, *, has_window: bool = False) -> bytes:
    """The bytes of a file with the image.

    Args:
        image: path, bytes of a file, PIL image, pydicom Dataset, or array: (H, W) of integers or floating point, or
            (H, W, 3) uint8.
        has_window: True if a `dicom_window` goes with the image. The server applies a window to an NRRD file, and
            ignores it for PNG and TIFF, so that every grey array is then sent as NRRD.

    Raises:
        OSError: a path cannot be read.
        TypeError: the type of the image is not supported.
        ValueError: an array has an unsupported shape or type, or a Dataset or PIL image cannot be written.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | PathLike):
        return Path(image).read_bytes()
    if isinstance(image, Image.Image):
        return _picture_bytes(image)
    if isinstance(image, np.ndarray):
        return _array_bytes(image, has_window=has_window)
    if callable(getattr(image, "save_as", None)):
        return _dataset_bytes(image)
    raise TypeError(
        f"an image must be a path, bytes, a PIL image, an array or a pydicom Dataset, not {type(image).__name__}"
    )


def _picture_bytes(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    try:
        picture.save(stream, "TIFF" if picture.mode in ("F", "CMYK", "YCbCr", "LAB") else "PNG")
    except (OSError, SyntaxError, EOFError) as error:  # pillow reads a lazily opened file only here
        raise ValueError(f"the PIL image cannot be written: {error}") from error
    return stream.getvalue()


def _array_bytes(array: NDArray[Any], *, has_window: bool) -> bytes:
    is_grey = array.ndim == 2 and array.dtype.kind in "iuf"
    if array.size == 0 or not (is_grey or (array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(
            f"an array of shape {array.shape} and type {array.dtype} is not an image; an image is (H, W) of integers "
            "or floating point, or (H, W, 3) of uint8"
        )
    if not is_grey or (array.dtype in (np.uint8, np.uint16) and not has_window):
        return _picture_bytes(Image.fromarray(array))
    if array.dtype.kind == "f" and not has_window:
        return _picture_bytes(Image.fromarray(array.astype(np.float32)))
    return _nrrd_bytes(array)


def _nrrd_bytes(array: NDArray[Any]) -> bytes:
    """An NRRD file without orientation: the server shows the array's rows from top to bottom, as stored."""
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32)
    values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    height, width = array.shape
    header = (
        f"NRRD0004\ntype: {_NRRD_TYPES[f'{array.dtype.kind}{array.dtype.itemsize}']}\ndimension: 2\n"
        f"sizes: {width} {height}\nencoding: raw\nendian: little\n\n"  # in NRRD, the fastest index comes first
    )
    return header.encode() + values.tobytes()


def _dataset_bytes(dataset: DatasetLike) -> bytes:
    """The bytes of a DICOM file with the dataset."""
    stream = io.BytesIO()
    try:
        dataset.save_as(stream, enforce_file_format=True)
    except TypeError:  # pydicom 2 has another name for this option
        stream = io.BytesIO()
        cast(Any, dataset).save_as(stream, write_like_original=False)
    except (AttributeError, ValueError, OSError) as error:
        raise ValueError(f"the Dataset cannot be written as a DICOM file: {error}") from error
    return stream.getvalue()
