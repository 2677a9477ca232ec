"""A T1-weighted volume of the head, as magnetic resonance imaging shows it."""

import numpy as np
from numpy.typing import NDArray

from recipes.example_images import head

SHAPE = (128, 128, 88)
VOXEL = (0.16, 0.17, 0.165)  # cm, along x, y and z
CENTRE = (0.28, -0.1, 1.55)  # beside the gap between the hemispheres, so that the middle sagittal slice shows a brain
T1 = {
    "air": 0,
    "skin": 95,
    "fat": 232,
    "muscle": 82,
    "bone": 14,
    "marrow": 88,
    "csf": 24,
    "grey": 92,
    "deep_grey": 112,
    "white": 152,
    "eye": 30,
}


def draw() -> NDArray[np.uint8]:
    """The volume, (128, 128, 88) voxels that rise to the right, the front and the top."""
    random = np.random.default_rng(3)
    x, y, z = coordinates()
    values = head.draw(x, y, z, T1, edge=0.26)
    values = values * (
        1.03 - 0.0011 * (x**2 + y**2) + 0.006 * (z + y)
    )  # the coil is more sensitive at the top and front
    noisy = np.abs(values + random.standard_normal(SHAPE, np.float32)) * np.clip(values / 12, 0, 1)
    voxels: NDArray[np.uint8] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return voxels


def coordinates() -> tuple[NDArray[np.float32], ...]:
    """Coordinates x, y and z in cm, each along its own axis."""
    axes = (
        (np.arange(size) - (size - 1) / 2) * side + middle
        for size, side, middle in zip(SHAPE, VOXEL, CENTRE, strict=True)
    )
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)
