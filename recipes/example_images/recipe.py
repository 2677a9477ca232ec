"""The example files by their names, each with the function that draws and writes it, and their thumbnails."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from model.imaging.images import decode
from model.imaging.rendering import WINDOWS, Rendering
from recipes.example_images import blood_smear, chest_x_ray, mr_brain, ultrasound
from recipes.example_images.ct import volume as ct
from recipes.example_images.ct.dicom_file import write_ct
from recipes.example_images.files import write_picture, write_volume

THUMBNAIL = 176  # pixels along the longer side
MAX_PIXELS = 10**6


def _draw_ct(path: Path) -> None:
    write_ct(path, ct.draw(), pixel_mm=10 * ct.SIZE / ct.PIXELS, spacing_mm=10 * ct.SPACING)


DRAWINGS: dict[str, Callable[[Path], None]] = {
    "chest-x-ray.png": lambda path: write_picture(path, chest_x_ray.draw()),
    "ct-chest.dcm": _draw_ct,
    "mr-brain.nii.gz": lambda path: write_volume(path, mr_brain.draw(), voxel_mm=10 * np.array(mr_brain.VOXEL)),
    "ultrasound.png": lambda path: write_picture(path, ultrasound.draw()),
    "blood-smear.jpg": lambda path: write_picture(path, blood_smear.draw()),
}
SHOWN = {"ct-chest.dcm": Rendering(frame=3, window=WINDOWS["abdomen"])}  # of a thumbnail; otherwise the default


def draw_all(folder: Path) -> None:
    """Write all files and their thumbnails to a folder, which is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        draw(folder / name)
        shown = decode((folder / name).read_bytes(), max_pixels=MAX_PIXELS, rendering=SHOWN.get(name, Rendering()))
        shown.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        shown.save(folder / thumbnail_of(name), quality=80, optimize=True)


def thumbnail_of(name: str) -> str:
    """The name of the thumbnail of a file."""
    return f"{name.partition('.')[0]}-thumbnail.jpg"
