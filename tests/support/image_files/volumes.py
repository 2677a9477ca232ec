"""Small NIfTI and NRRD files."""

from typing import Any

import nibabel
import numpy as np
from nibabel.nifti1 import header_dtype as nifti1_fields
from nibabel.nifti2 import header_dtype as nifti2_fields

from model.imaging.rendering import Axis

# 6 voxels to the right, 4 to anterior, 5 to superior. The value of a voxel tells its three indices.
HEAD = np.add.outer(np.add.outer(np.arange(6), 10 * np.arange(4)), 40 * np.arange(5)).astype(np.int16)
COLOURS = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3)).astype(np.uint8)  # 2 pictures, 4 rows, 6 columns
GREYS = COLOURS[..., 0]
AXES: tuple[Axis, ...] = ("sagittal", "coronal", "axial")
NIFTI_CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
NIFTI_FORMS = {"sform_code": 1, "srow_x": (1, 0, 0, 0), "srow_y": (0, 1, 0, 0), "srow_z": (0, 0, 1, 0), "pixdim": 1}


def nifti(values: Any = HEAD, codes: str = "RAS", kind: Any = nibabel.Nifti1Image) -> bytes:
    """A NIfTI file of a volume whose axes run to the right, anterior and superior, stored along the axes `codes`."""
    image = kind(values, np.eye(4))
    start, end = nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
    data: bytes = image.as_reoriented(nibabel.orientations.ornt_transform(start, end)).to_bytes()
    return data


def nifti_with(
    values: Any = HEAD, *, version: int = 1, order: str = "<", behind_header: bytes = bytes(4), **fields: Any
) -> bytes:
    """A NIfTI file with any value in any field of its header, whether it makes sense or not.

    Args:
        values: the first axis changes fastest; default: `HEAD`, along the axes of `NIFTI_FORMS`.
        version: 1 or 2.
        order: byte order of header and values.
        behind_header: the bytes between the header and the values; default: the extension flags.
        **fields: other values of fields, as nifti1.h names them.
    """
    layout = (nifti1_fields if version == 1 else nifti2_fields).newbyteorder(order)
    header = np.zeros((), layout)
    stored = values.astype(values.dtype.newbyteorder(order))
    known = {
        "sizeof_hdr": layout.itemsize,
        "magic": b"n+1" if version == 1 else b"n+2",
        "dim": [values.ndim, *values.shape, *[1] * (7 - values.ndim)],
        "datatype": NIFTI_CODES.get(f"{values.dtype.kind}{values.dtype.itemsize}", 0),
        "bitpix": 8 * values.dtype.itemsize,
        "vox_offset": layout.itemsize + len(behind_header),
        "scl_slope": 1,
    }
    if version == 2:
        header["eol_check"] = (13, 10, 26, 10)
    for name, value in {**known, **NIFTI_FORMS, **fields}.items():
        header[name] = value
    return bytes(header.tobytes() + behind_header + stored.tobytes(order="F"))


def nrrd(values: Any = GREYS, payload: Any = None, **fields: Any) -> bytes:
    """An NRRD file of an array whose last axis changes fastest.

    Args:
        values: gives the header, and the bytes of the values unless `payload` is given.
        payload: the bytes behind the header.
        **fields: further or other fields of the header; "_" in a name stands for a space.
    """
    letters = {"i": "int", "u": "uint"}.get(values.dtype.kind, "")
    header = {
        "type": f"{letters}{values.dtype.itemsize * 8}" if letters else "double",
        "dimension": str(values.ndim),
        "sizes": " ".join(map(str, values.shape[::-1])),
        "encoding": "raw",
        "endian": "little",
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    lines = ["NRRD0005", *(f"{name}: {value}" for name, value in header.items()), "\n"]
    return "\n".join(lines).encode() + bytes(values.tobytes() if payload is None else payload)
