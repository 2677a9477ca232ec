"""NIfTI-1 and NIfTI-2 files (.nii, .nii.gz) to volumes; nibabel reads them."""

import io
import math
import zlib
from typing import Any

import nibabel

from model.errors import ImageDecodeError
from model.imaging.limits import MAX_VOLUME_BYTES, volume_too_large
from model.imaging.volumes.reader import VolumeFile
from model.imaging.volumes.slices import Volume

_GZIP = b"\x1f\x8b"
_NIFTI2 = b"n+2\0"


def open_file(data: bytes, *, max_pixels: int) -> VolumeFile:
    """Open a NIfTI file. Raises what `VolumeFile` raises."""
    return VolumeFile("NIfTI", lambda: _volume(data), max_pixels)


def _volume(data: bytes) -> Volume:
    if data.startswith(_GZIP):
        data = _inflate(data)
    kind = nibabel.Nifti2Image if data[4:8] == _NIFTI2 else nibabel.Nifti1Image
    image = kind.from_stream(io.BytesIO(data))
    if image.ndim not in (3, 4) or image.get_data_dtype().kind not in "iuf":
        raise ImageDecodeError("the NIfTI file must contain integers or real numbers in three dimensions, or four with "
                               "time")  # fmt: skip
    if math.prod(image.shape) < 1:
        raise ImageDecodeError("the NIfTI file has a dimension without voxels; each dimension must be at least 1")

    def read(place: tuple[Any, ...]) -> Any:
        return image.dataobj[(*place, *[0] * (image.ndim - 3))]

    return Volume(image.shape[:3], image.affine, read)


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    inflated = inflater.decompress(data, MAX_VOLUME_BYTES)
    if inflater.unconsumed_tail:
        raise volume_too_large()
    if not inflater.eof:
        raise ImageDecodeError("the NIfTI file is damaged or cut short")
    return inflated
