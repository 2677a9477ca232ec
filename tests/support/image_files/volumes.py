"""Small NIfTI and NRRD files."""

from typing import Any

import nibabel
import numpy as np

from model.imaging.rendering import Axis

# 6 voxels to the right, 4 to anterior, 5 to superior. The value of a voxel tells its three indices.
HEAD = np.add.outer(np.add.outer(np.arange(6), 10 * np.arange(4)), 40 * np.arange(5)).astype(np.int16)
COLOURS = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3)).astype(np.uint8)  # 2 pictures, 4 rows, 6 columns
GREYS = COLOURS[..., 0]
AXES: tuple[Axis, ...] = ("sagittal", "coronal", "axial")


def nifti(values: Any = HEAD, codes: str = "RAS", kind: Any = nibabel.Nifti1Image) -> bytes:
    """A NIfTI file of a volume whose axes run to the right, anterior and superior, stored along the axes `codes`."""
    image = kind(values, np.eye(4))
    start, end = nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
    data: bytes = image.as_reoriented(nibabel.orientations.ornt_transform(start, end)).to_bytes()
    return data


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
