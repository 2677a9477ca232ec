"""Slices of a CT from the pulmonary arteries to the kidneys."""

import numpy as np

from recipes.example_images.ct import values as hu
from recipes.example_images.ct.abdomen import draw_abdomen
from recipes.example_images.ct.chest import draw_chest
from recipes.example_images.ct.lung_vessels import grow_vessels
from recipes.example_images.ct.slice import Slice, half_widths
from recipes.example_images.ct.wall import draw_skeleton, draw_wall
from recipes.example_images.shapes import Array, blurred, inside, noise, plane

PIXELS = 256
SIZE = 38.4
FRAMES = 18
SPACING = 1.3
TOP = 3.2  # z of the first slice


def draw() -> Array:
    """The slices from the upper to the lower, (18, 256, 256), in Hounsfield units."""
    random = np.random.default_rng(41)
    x, y = plane(PIXELS, PIXELS, SIZE)
    y = y - SIZE / 2
    tree = grow_vessels(random)
    shape = (FRAMES, PIXELS, PIXELS)
    bend = noise(random, shape, (1.2, 14, 14)), noise(random, shape, (1.2, 14, 14))
    texture = noise(random, shape, (0.8, 4, 4))
    drawn = []
    for number in range(FRAMES):
        wavy = x + 0.22 * bend[0][number], y + 0.22 * bend[1][number]
        cut = Slice(*wavy, TOP + number * SPACING, np.full(x.shape, hu.AIR))
        draw_wall(cut, texture[number])
        draw_chest(cut, texture[number], tree)
        draw_abdomen(cut, texture[number])
        draw_skeleton(cut)
        _draw_table(cut, x, y)
        drawn.append(cut.values)
    values = np.stack(drawn)
    values = blurred(values, (0, 0.45, 0.45))
    quanta = noise(random, shape, (0, 0.55, 0.55)) * 9.0
    return np.clip(values + quanta * np.clip((values + 1000) / 300, 0, 1), -1000, 1400)


def _draw_table(cut: Slice, x: Array, y: Array) -> None:
    """The table below the patient: a thin curved shell."""
    _, depth = half_widths(0)
    curve = y - (depth + 1.6) + 0.012 * x**2
    shell = np.maximum(np.abs(curve) - 0.16, np.abs(x) - 17.5)
    cut.values = np.maximum(cut.values, hu.AIR + 620 * inside(shell, 0.3))
