"""Organs of the chest."""

import numpy as np

from recipes.example_images.ct import values as hu
from recipes.example_images.ct.lung_vessels import draw_vessel
from recipes.example_images.ct.slice import Slice, cavity
from recipes.example_images.shapes import Array, line_distance


def diaphragm(cut: Slice) -> Array:
    """Distance to what lies below the two domes of the diaphragm."""
    right = cut.ball((-6.2, -0.6, 22.6), (8.9, 8.6, 11.2))
    left = cut.ball((6.2, -0.3, 23.2), (8.6, 8.4, 10.6))
    middle = cut.ball((0, -1.8, 23.0), (7.0, 7.2, 9.6))
    low = 9.0 if cut.z < 22.4 else -9.0
    return np.minimum(np.minimum(np.minimum(right, left), middle), low)


def draw_chest(cut: Slice, texture: Array, tree: list[tuple[Array, Array, float]]) -> None:
    """Lungs and their vessels, heart, great vessels and airways."""
    z = cut.z
    wide = float(np.interp(z, [0, 3, 6, 10, 14], [2.9, 3.1, 3.6, 3.6, 3.2]))
    middle = np.minimum(cut.oval(0.2, -2.4, wide, 6.0), cut.oval(0.9, 4.6, 2.9, 4.2))
    heart = cut.ball((2.0, -2.5, 11.2), (6.3, 4.9, 5.9), 33)
    outside = np.minimum(np.minimum(middle, heart - 0.35), diaphragm(cut) - 0.25)
    lungs = np.maximum(cavity(cut) + 0.12, -outside)
    cut.paint(lungs, hu.LUNG + 7.0 * (cut.y + 3) + 16 * texture)
    for start, end, radius in tree:
        draw_vessel(cut, start, end, radius, lungs)
    cut.paint(heart, hu.HEART_WALL)
    for centre, radii, turn in (
        ((4.0, -1.8, 12.0), (2.9, 1.9, 4.1), 38), ((-0.1, -4.5, 11.8), (3.3, 1.9, 4.2), 24),
        ((1.1, 1.2, 9.2), (2.9, 1.7, 3.0), 8), ((-2.9, -1.9, 10.6), (1.7, 2.3, 3.8), -6),
    ):  # fmt: skip
        cut.paint(cut.ball(centre, radii, turn), hu.BLOOD, 0.5)
    _draw_great_vessels(cut)
    _draw_airways(cut)


def _draw_great_vessels(cut: Slice) -> None:
    z = cut.z
    if z < 1.0:
        arch, _ = line_distance(cut.x, cut.y, [(-1.3, -3.3), (0.2, -1.9), (1.7, 0.6), (2.1, 3.0)])
        cut.paint(arch - 1.35, hu.BLOOD)
    elif z < 8.2:
        cut.paint(cut.oval(-1.0, -3.0, 1.65, 1.6), hu.BLOOD)
    cut.paint(
        cut.oval(float(np.interp(z, [0, 14, 25], [2.2, 1.6, 0.7])), float(np.interp(z, [0, 25], [3.6, 3.2])), 1.2, 1.2),
        hu.BLOOD,
    )
    if z < 8.2:
        cut.paint(cut.oval(-3.0, -1.9, 0.85, 1.0), hu.BLOOD + 40)
    if 2.0 < z < 7.0:
        trunk, _ = line_distance(cut.x, cut.y, [(2.2, -4.2), (2.9, -2.1), (3.6, -0.6)])
        cut.paint(trunk - 1.25, hu.BLOOD)
    if 3.6 < z < 6.4:
        right, _ = line_distance(cut.x, cut.y, [(2.2, -2.6), (0.2, -0.7), (-3.4, 0.0)])
        cut.paint(right - 1.0, hu.BLOOD)
    if z > 13.0:
        cut.paint(cut.oval(-2.2, 1.9, 1.25, 1.0, 12), 95.0)
    cut.paint(cut.oval(0.9, 2.2, 0.75, 0.6), hu.SOFT_TISSUE)


def _draw_airways(cut: Slice) -> None:
    z = cut.z
    if z < 2.9:
        cut.paint(cut.oval(-0.3, 0.4, 1.12, 1.02), hu.SOFT_TISSUE)
        cut.paint(cut.oval(-0.3, 0.4, 0.92, 0.85), hu.AIR)
    elif z < 7.2:
        apart = 0.62 * (z - 2.2)
        for side in (-1, 1):
            cut.paint(cut.oval(side * apart - 0.2, 0.8, 0.98, 0.82), hu.SOFT_TISSUE)
            cut.paint(cut.oval(side * apart - 0.2, 0.8, 0.74, 0.6), hu.AIR)
