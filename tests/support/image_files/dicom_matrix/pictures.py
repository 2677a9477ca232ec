"""Stored values of a file in the matrix: noise where the syntax is lossless, slopes where it is not."""

import numpy as np
from numpy.typing import NDArray

from tests.support.image_files.dicom_matrix.recipes import Recipe
from tests.support.judges.standard import ybr_of_rgb

Samples = NDArray[np.int64]


def stored_values(recipe: Recipe, seed: int) -> Samples:
    """(frames, H, W), or (frames, H, W, 3) for colours, in the photometric interpretation of the header."""
    channels = 3 if recipe.colour else 1
    if recipe.lossy or recipe.photometric == "YBR_FULL_422":
        parts = _slopes(recipe, channels)
    else:
        parts = np.random.default_rng(seed).random((recipe.frames, *recipe.size, channels))
    values = np.floor(parts * (2**recipe.layout.stored - 1) + 0.5).astype(np.int64) + recipe.lowest
    if recipe.photometric.startswith("YBR_FULL"):
        values = ybr_of_rgb(values.astype(float)).astype(np.int64)
    if recipe.photometric == "YBR_FULL_422":  # one chrominance per row: decoders may interpolate between columns
        values[..., 1:] = values[:, :, :1, 1:]
    return values if recipe.colour else np.asarray(values[..., 0])


def padding_bounds(recipe: Recipe) -> tuple[int, int] | None:
    """The lowest and the highest value that is padding: for a range, the lower eighth of all."""
    if recipe.padding == "none":
        return None
    return recipe.lowest, recipe.lowest + (2**recipe.layout.stored // 8 if recipe.padding == "range" else 0)


def _slopes(recipe: Recipe, channels: int) -> NDArray[np.float64]:
    """Slopes in another direction per frame and channel, from 0 to 1."""
    rows, columns = np.mgrid[: recipe.size[0], : recipe.size[1]] / (np.array(recipe.size) - 1).reshape(2, 1, 1)
    slopes = [
        [0.1 + 0.8 * np.abs(np.cos(turn) * columns + np.sin(turn) * rows) / 1.42 for turn in angles]
        for angles in np.arange(recipe.frames * channels).reshape(recipe.frames, channels) * 0.7
    ]
    return np.moveaxis(np.array(slopes), 1, -1)
