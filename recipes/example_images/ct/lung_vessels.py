"""The vessels of the lungs: a tree in three dimensions, and its cuts through the slices."""

import numpy as np

from recipes.example_images.ct.slice import EDGE, Slice
from recipes.example_images.shapes import Array, around, inside, line_distance


def grow_vessels(random: np.random.Generator) -> list[tuple[Array, Array, float]]:
    """The vessels of both lungs as pieces: start, end, radius."""
    pieces: list[tuple[Array, Array, float]] = []

    def grow(start: Array, direction: Array, radius: float, generations: int) -> None:
        for _ in range(2):
            direction = direction + random.normal(0, 0.16, 3)
            direction = direction / np.sqrt((direction**2).sum())
            end = start + direction * (0.75 + 0.22 * generations)
            pieces.append((start, end, radius))
            start, radius = end, radius * 0.92
        if generations > 1:
            for _ in range(2):
                grow(start, direction + random.normal(0, 0.42, 3), radius * 0.76, generations - 1)

    for side in (-1, 1):
        for _ in range(24):
            way = random.normal(0, 1, 3) * (0.7, 1.0, 1.2) + (side * 1.3, 0.1, 0.55)
            grow(np.array([side * 3.4, 0.4, 6.0 + random.normal(0, 1.0)]), way / np.sqrt((way**2).sum()), 0.42, 5)
    return pieces


def draw_vessel(cut: Slice, start: Array, end: Array, radius: float, lungs: Array) -> None:
    """Draw a piece of a vessel where the slice, which is 6 mm thick, meets it."""
    reach = radius + 0.3
    if not min(start[2], end[2]) - reach < cut.z < max(start[2], end[2]) + reach:
        return
    length = end[2] - start[2]
    ends = (cut.z - reach - start[2], cut.z + reach - start[2])
    shares = np.clip(np.divide(ends, length if abs(length) > 1e-6 else 1e-6), 0, 1)
    low, high = start + shares.min() * (end - start), start + shares.max() * (end - start)
    left, right = sorted((low[0], high[0]))
    top, bottom = sorted((low[1], high[1]))
    part = around(cut.x, cut.y, [(left, top), (right, bottom)], 1.2)
    if not cut.x[part].size:
        return
    distance, _ = line_distance(cut.x[part], cut.y[part], [(low[0], low[1]), (high[0], high[1])])
    share = inside(distance - radius, EDGE) * inside(lungs[part] + 0.15, 0.3)
    cut.values[part] += share * (60.0 - cut.values[part]) * min(1.0, 0.45 + radius * 1.6)
