"""Writing pictures and volumes."""

import gzip
import io
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recipes.example_images.shapes import Array


def write_picture(path: Path, values: Array | NDArray[np.uint8]) -> None:
    """Write a picture with values from 0 to 255 as PNG or JPEG, (H, W) or (H, W, 3)."""
    image = Image.fromarray(np.rint(values).astype(np.uint8))
    image.save(path, quality=90, optimize=True)  # PNG has no quality


def write_volume(path: Path, values: NDArray[np.uint8], *, voxel_mm: NDArray[np.float64]) -> None:
    """Write a volume whose axes rise to the right, the front and the top as compressed NIfTI.

    Args:
        path: the file.
        values: the voxels.
        voxel_mm: sides of a voxel along the three axes.
    """
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = -voxel_mm * (np.array(values.shape) - 1) / 2
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"Drawn by a program, not a patient"
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=9, mtime=0, filename="") as packed:
        packed.write(image.to_bytes())
    path.write_bytes(stream.getvalue())
