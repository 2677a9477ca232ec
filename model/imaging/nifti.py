"""NIfTI files to volumes; nibabel reads."""

import io
import math
import zlib
from typing import Any

import nibabel

from model.errors import ImageDecodeError
from model.imaging.volumes import MOST_BYTES, Volume, VolumeReader, volume_too_large

_GZIP = b"\x1f\x8b"
_NIFTI2 = b"n+2\0"


def _volume(data: bytes) -> Volume:
    if data[:2] == _GZIP:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        data = inflater.decompress(data, MOST_BYTES)
        if inflater.unconsumed_tail:
            raise volume_too_large()
        if not inflater.eof:
            raise ImageDecodeError("the NIfTI file is damaged or cut short")
    kind = nibabel.Nifti2Image if data[4:8] == _NIFTI2 else nibabel.Nifti1Image
    image = kind.from_stream(io.BytesIO(data))
    if image.ndim not in (3, 4) or image.get_data_dtype().kind not in "iuf":
        raise ImageDecodeError("the NIfTI file is no volume of numbers in three dimensions, or four with time")
    if math.prod(image.shape) < 1:
        raise ImageDecodeError("the NIfTI file has a volume without pixels")

    def read(place: tuple[Any, ...]) -> Any:
        return image.dataobj[(*place, *[0] * (image.ndim - 3))]

    return Volume(image.shape[:3], image.affine, read)


_READER = VolumeReader("NIfTI", _volume)
check, frame_count, decode = _READER.check, _READER.frame_count, _READER.decode
