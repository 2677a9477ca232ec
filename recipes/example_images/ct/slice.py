"""One slice while it is drawn, and the outlines of the trunk at its height.

Lengths are in centimetres. x rises to the patient's left, which is at the right edge of the picture, y to the back, and
z to the feet; they are 0 in the middle of the trunk, at the height of the arch of the aorta.
"""

from dataclasses import dataclass

import numpy as np

from recipes.example_images.shapes import Array, ellipse, inside

EDGE = 0.22  # width of an edge between two tissues


@dataclass
class Slice:
    """A slice while it is drawn.

    Args:
        x, y: coordinates, (256, 256).
        z: height of the slice.
        values: Hounsfield units, changed by `paint`.
    """

    x: Array
    y: Array
    z: float
    values: Array

    def paint(self, distance: Array, value: float | Array, softness: float = EDGE) -> None:
        """Fill a shape with a value."""
        share = inside(distance, softness)
        self.values += share * (value - self.values)

    def oval(self, px: float, py: float, rx: float, ry: float, degrees: float = 0) -> Array:
        """Distance to an ellipse."""
        return ellipse(self.x, self.y, (px, py), (rx, ry), degrees)

    def ball(self, centre: tuple[float, float, float], radii: tuple[float, float, float], degrees: float = 0) -> Array:
        """Distance to the cut through an ellipsoid; positive everywhere if the slice does not meet it."""
        rest = 1 - ((self.z - centre[2]) / radii[2]) ** 2
        if rest <= 0.003:
            return np.full(self.x.shape, 9.0)
        share = rest**0.5
        return self.oval(centre[0], centre[1], radii[0] * share, radii[1] * share, degrees)


def half_widths(z: float) -> tuple[float, float]:
    """Half the width and half the depth of the trunk."""
    width = np.interp(z, [0, 6, 14, 25], [17.4, 16.8, 16.2, 15.8])
    return float(width), float(np.interp(z, [0, 8, 25], [10.4, 11.4, 10.8]))


def side_wall(z: float) -> float:
    """Thickness of the wall at the sides of the trunk, outside the ribs."""
    return float(np.interp(z, [0, 5, 9], [5.4, 3.7, 3.1]))


def trunk(cut: Slice, less: float) -> Array:
    """Distance to the trunk's outline, moved inwards by `less`; flatter than an ellipse."""
    width, depth = half_widths(cut.z)
    px, py = cut.x / (width - less), cut.y / (depth - less)
    reach = (np.abs(px) ** 2.5 + np.abs(py) ** 2.5) ** (1 / 2.5)
    distance: Array = (reach - 1) * depth * 1.1
    return distance


def cavity(cut: Slice) -> Array:
    """Distance to the space inside the ribs."""
    width, depth = half_widths(cut.z)
    round_part = cut.oval(0, -0.1, width - side_wall(cut.z), depth - 2.6)
    behind = np.hypot(cut.x / 3.6, (cut.y - depth + 2.0) / 3.2)
    distance: Array = np.maximum(round_part, 2.24 * (1 - behind))
    return distance
