"""The judges of the DICOM matrix: per file, the pictures that each of them expects."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np

from model.imaging.rendering import Window
from tests.support.image_files.dicom_matrix.recipes import GREY, HTJ2K, JPEG_2000, JPEG_LS, Recipe
from tests.support.image_files.dicom_matrix.writer import MatrixFile
from tests.support.judges import dcmtk, gdcm
from tests.support.judges.standard import Table, Values, padding_mask, picture, rgb_of_ybr
from tests.support.judges.verdicts import Expected

PROCESSES = 2


def by_source(file: MatrixFile) -> Expected:
    """What was encoded, and the formulas of the standard."""
    return [picture(values, file.display) for values in rgb_values(file)]


def rgb_values(file: MatrixFile) -> Values:
    """What was encoded, (frames, H, W), or (frames, H, W, 3) as RGB."""
    values = file.stored.astype(np.float64)
    return rgb_of_ybr(values) if file.recipe.photometric.startswith("YBR_FULL") else values


def by_gdcm(files: Sequence[MatrixFile], folder: Path) -> list[Expected | None]:
    """The stored values that GDCM decodes, and the formulas of the standard; None where GDCM does not read a file."""
    paths = [
        written(MatrixFile(gdcm_twin(file.recipe), file.seed), folder, number) for number, file in enumerate(files)
    ]
    stored = gdcm.stored_values(paths, folder)
    return [
        None if values is None else [picture(frame, file.display) for frame in values]
        for file, values in zip(files, stored, strict=True)
    ]


def gdcm_twin(recipe: Recipe) -> Recipe:
    """The same frames in a file that GDCM reads: one fragment per frame, and no palette, which it checks strictly."""
    recipe = replace(recipe, fragments=1)
    return recipe if recipe.palette == "none" else replace(recipe, photometric="MONOCHROME2", palette="none")


def by_dcmtk(files: Sequence[MatrixFile], folder: Path) -> list[Expected | None]:
    """The pictures that DCMTK renders; None where it does not read a file, or has no decoder.

    Files without a window have `window_of`. Padding is NaN: DCMTK shows it like other values.
    """
    with ThreadPoolExecutor(PROCESSES) as pool:
        return list(pool.map(_dcmtk_pictures, files, repeat(folder), range(len(files))))


def _dcmtk_pictures(file: MatrixFile, folder: Path, number: int) -> Expected | None:
    recipe = dcmtk_twin(file.recipe)
    if recipe.syntax in (*JPEG_2000, *HTJ2K):
        return None
    path = written(MatrixFile(recipe, file.seed), folder, number)
    try:
        pictures = dcmtk.pictures(path, _dcmtk_window(file), jpeg_ls=recipe.syntax in JPEG_LS)
    except dcmtk.Unreadable:
        return None
    return [
        np.where(padding_mask(stored, file.display), np.nan, rendered) if rendered.ndim == 2 else rendered
        for stored, rendered in zip(file.stored.astype(float), pictures, strict=True)
    ]


def dcmtk_twin(recipe: Recipe) -> Recipe:
    """The same picture in a file that DCMTK reads.

    It has no decoder of JPEG 2000, reads no segmented palettes and no functional groups, and needs an offset table for
    frames in fragments.
    """
    if recipe.syntax in (*JPEG_2000, *HTJ2K) and not recipe.lossy:
        recipe = recipe.uncompressed()
    if recipe.fragments > 1 and recipe.offsets == "empty":
        recipe = replace(recipe, offsets="basic")
    palette = recipe.palette.replace("8 segmented", "8 packed").replace("16 segmented", "16")
    return replace(recipe, palette=palette, groups="none")


def window_of(file: MatrixFile) -> Window | None:
    """The window of a user for a grey file that has none; None for others."""
    if file.display.voi is not None or file.recipe.photometric not in GREY:
        return None
    low, high = file.range
    return Window((low + high) / 2, (high - low) * 0.8)


def _dcmtk_window(file: MatrixFile) -> Sequence[str]:
    """Options that choose the file's VOI LUT or window. DCMTK knows LINEAR and SIGMOID."""
    voi, given = file.display.voi, window_of(file)
    if isinstance(voi, Table):
        return ("--use-voi-lut", "1")
    if given is not None:
        return dcmtk.exact_window(given.center, given.width)
    if voi is None:
        return ()
    return dcmtk.exact_window(*voi[1:]) if voi[0] == "LINEAR_EXACT" else ("--use-window", "1")


def written(file: MatrixFile, folder: Path, number: int) -> Path:
    path = folder / f"{number}.dcm"
    path.write_bytes(file.data)
    return path
