"""Organs of the abdomen."""

import numpy as np

from recipes.example_images.ct import values as hu
from recipes.example_images.ct.chest import diaphragm
from recipes.example_images.ct.slice import Slice, cavity
from recipes.example_images.shapes import Array, line_distance


def draw_abdomen(cut: Slice, texture: Array) -> None:
    """Liver, spleen, stomach, kidneys and bowel."""
    if cut.z < 11:
        return
    below = np.maximum(diaphragm(cut), cavity(cut)) + 0.25
    lobe = np.minimum(
        cut.ball((-6.6, -0.2, 18.2), (7.6, 8.3, 7.6), -8), cut.ball((-1.2, -4.4, 17.0), (6.6, 3.4, 5.2), -10)
    )
    liver = np.maximum(lobe, below)
    cut.paint(np.maximum(cut.ball((7.6, -2.6, 17.4), (3.9, 4.0, 5.2), -24), below), hu.SOFT_TISSUE + 10)
    stomach = np.maximum(cut.ball((7.5, -2.5, 17.4), (3.5, 3.6, 4.8), -24), below + 0.3)
    cut.paint(stomach, 18 + 26 * texture)
    cut.paint(np.maximum(stomach, cut.y + 3.3 + 0.1 * texture), hu.AIR)
    cut.paint(np.maximum(cut.ball((9.0, 3.8, 17.8), (2.7, 4.1, 4.6), -28), below), hu.SPLEEN + 14 * texture)
    cut.paint(liver, hu.LIVER + 3 * texture)
    for ends, radius in (
        (((-8.6, 1.6), (-4.6, 0.2), (-2.2, 0.6)), 0.45),
        (((-8.2, -3.4), (-5.0, -2.0), (-2.6, -1.6)), 0.38),
    ):
        if cut.z > 12:
            vein, _ = line_distance(cut.x, cut.y, [(px, py + 0.25 * (cut.z - 16)) for px, py in ends])
            cut.paint(np.maximum(vein - radius, liver), hu.LIVER + 28, 0.5)
    cut.paint(cut.ball((-4.6, -4.2, 20.6), (1.5, 2.0, 2.4), 20), hu.WATER)
    for side, height in ((-1, 22.6), (1, 21.6)):
        kidney = np.maximum(cut.ball((side * 5.6, 3.3, height), (2.5, 3.1, 5.2), side * 28), cavity(cut) + 0.3)
        cut.paint(kidney, hu.RENAL_CORTEX)
        cut.paint(kidney + 0.75 + 0.3 * texture, hu.RENAL_MEDULLA, 0.5)
        cut.paint(cut.oval(side * 4.3, 2.9, 1.3, 0.8) if abs(cut.z - height) < 2 else kidney + 99, hu.FAT)
    if cut.z > 19.5:
        _draw_bowel(cut, texture)


def _draw_bowel(cut: Slice, texture: Array) -> None:
    """Loops of bowel in front, some with gas, and the pancreas."""
    pancreas, _ = line_distance(cut.x, cut.y, [(-2.6, -0.9), (0.6, -1.6), (4.2, -0.4)])
    if cut.z < 22.5:
        cut.paint(pancreas - 0.95 + 0.25 * texture, 95.0)
    loops = (
        (1.4, -5.4, 1.6, 1.2),
        (4.9, -5.2, 1.7, 1.3),
        (8.3, -3.6, 1.5, 1.7),
        (10.0, 0.0, 1.4, 1.8),
        (-1.9, -5.6, 1.5, 1.1),
    )
    for number, (px, py, rx, ry) in enumerate(loops):
        loop = np.maximum(cut.oval(px + 0.25 * (cut.z - 22), py, rx, ry, 20 * number), cavity(cut) + 0.4)
        cut.paint(loop, hu.SOFT_TISSUE + 20)
        cut.paint(loop + 0.28, 15 + 22 * texture)
        if number in (1, 3):
            cut.paint(np.maximum(loop + 0.3, cut.y - py + 0.1), hu.AIR)
