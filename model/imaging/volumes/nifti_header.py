"""Headers of NIfTI-1 and NIfTI-2 files: checked field by field, before anything is computed from them.

The fields are defined by nifti1.h and nifti2.h of nifti.nimh.nih.gov. nibabel supplies their places and types. Its own
checks are not used: they write values of the header to the log, and refuse what the standard's library repairs.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.nifti1 import header_dtype as nifti1_fields
from nibabel.nifti2 import header_dtype as nifti2_fields

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.volumes.nifti_orientation import directions_of

HEADER_BYTES = 544  # of NIfTI-2 with its extension flags; NIfTI-1 has 352
_FIRST_VALUES_PLACES = {348: 352, 540: 544}  # behind the header and its four bytes of extension flags
_NIFTI1_MAGIC_PLACE, _NIFTI2_MAGIC_PLACE = slice(344, 348), slice(4, 8)
_NIFTI1_MAGIC, _NIFTI2_MAGIC, _TWO_FILES = b"n+1\0", b"n+2\0", (b"ni1\0", b"ni2\0")
_COLOUR_SAMPLES = {128: 3, 2304: 4}  # RGB24, RGBA32
_TYPES = {
    **dict.fromkeys((2, *_COLOUR_SAMPLES), "u1"),
    256: "i1",
    4: "i2",
    512: "u2",
    8: "i4",
    768: "u4",
    1024: "i8",
    1280: "u8",
    16: "f4",
    64: "f8",
}
_REFUSED_TYPES = {
    **dict.fromkeys((32, 1792, 2048), "complex numbers; save their magnitude as real numbers"),
    1536: "128-bit floats; save them as float32 or float64",
    1: "single bits; save them as uint8",
}


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI header says about its values."""

    kind: "np.dtype[Any]"  # of one value, or of one colour sample
    sizes: tuple[int, ...]  # three in space, and time where there is one
    samples: int  # 3 for RGB, 4 for RGBA, otherwise 1
    offset_bytes: int  # of the first value
    has_valid_offset: bool  # False: the file says a place within its header
    slope: float
    intercept: float
    directions: Any  # (3, 3), unit vectors to right, anterior and superior in columns

    @property
    def size_bytes(self) -> int:
        """Size of all values."""
        return math.prod(self.sizes) * self.samples * self.kind.itemsize

    @property
    def first_volume_end(self) -> int:
        """The place behind the values of the first time point, in bytes."""
        return self.offset_bytes + math.prod(self.sizes[:3]) * self.samples * self.kind.itemsize


def read_header(start: bytes) -> NiftiHeader:
    """Read the header at the start of a file; `HEADER_BYTES` are enough.

    Raises:
        ImageDecodeError: the header is cut short, or a field has a value that is not allowed.
        ImageFormatUnsupported: the values lie in another file, or are not a volume of real numbers or colours.
    """
    fields = _fields(start)
    code = int(fields["datatype"])
    if code in _REFUSED_TYPES:
        raise ImageFormatUnsupported(f"the NIfTI file contains {_REFUSED_TYPES[code]}")
    if code not in _TYPES:
        raise ImageDecodeError("the NIfTI header's datatype is not one of the codes that the standard defines")
    sizes = _sizes([int(size) for size in fields["dim"]])
    slope, intercept = (float(fields[name]) for name in ("scl_slope", "scl_inter"))
    samples = _COLOUR_SAMPLES.get(code, 1)
    is_scaled = samples == 1 and math.isfinite(slope) and slope != 0
    lowest = _FIRST_VALUES_PLACES[fields.dtype.itemsize]
    offset = float(fields["vox_offset"])
    if offset == math.inf:
        raise ImageDecodeError("the NIfTI header's vox_offset, the place of the values, is infinite")
    if not offset >= lowest and start[lowest - 4 : lowest - 3] == b"\1":
        raise ImageDecodeError("the NIfTI header contradicts itself: its vox_offset places the values where its "
                               "extensions are")  # fmt: skip
    return NiftiHeader(
        np.dtype(_TYPES[code]).newbyteorder(fields.dtype["dim"].base.byteorder),
        sizes,
        samples,
        int(max(lowest, offset)),  # NaN is not larger
        offset >= lowest,
        slope if is_scaled else 1.0,
        intercept if is_scaled and math.isfinite(intercept) else 0.0,
        directions_of(fields, sizes[:3]),
    )


def _fields(start: bytes) -> Any:
    """The header as a record, in the byte order in which dim[0] lies between 1 and 7 (nifti1.h, "BYTE ORDERING")."""
    nifti1, nifti2 = start[_NIFTI1_MAGIC_PLACE], start[_NIFTI2_MAGIC_PLACE]
    is_nifti2 = nifti2 == _NIFTI2_MAGIC
    if (nifti1 in _TWO_FILES and not is_nifti2) or nifti2 in _TWO_FILES:
        raise ImageFormatUnsupported("the NIfTI file is one of two (.hdr and .img); convert them to one .nii file")
    if not is_nifti2 and nifti1 != _NIFTI1_MAGIC:
        raise ImageFormatUnsupported("the file is an Analyze header, whose values lie in another file; "
                                     "convert both to one .nii file")  # fmt: skip
    layout = nifti2_fields if is_nifti2 else nifti1_fields
    if len(start) < layout.itemsize:
        raise ImageDecodeError("the NIfTI file is cut short: it ends within its header")
    for order in "<>":
        fields = np.frombuffer(start, layout.newbyteorder(order), 1)[0]
        if 1 <= fields["dim"][0] <= 7:
            return fields
    raise ImageDecodeError("the NIfTI header's dim[0], the number of dimensions, must lie between 1 and 7")


def _sizes(dim: list[int]) -> tuple[int, ...]:
    """Three sizes in space, and one in time if there are several volumes.

    A size of 0 behind the first two dimensions counts as 1, as in the standard's library.
    """
    count, sizes = dim[0], dim[1 : dim[0] + 1]
    if count == 1:
        raise ImageFormatUnsupported("the NIfTI file has one dimension; a picture needs two, and a volume three")
    if min(sizes) < 0 or min(sizes[:2]) < 1:
        raise ImageDecodeError("the NIfTI header's dim has a size below 1; each size must be at least 1")
    sizes = [max(1, size) for size in [*sizes, *[1] * 5]]
    if max(sizes[4:]) > 1:
        raise ImageFormatUnsupported("the NIfTI file contains vectors or matrices in its fifth to seventh dimension; "
                                     "save one component as a volume")  # fmt: skip
    return tuple(sizes[:4])
