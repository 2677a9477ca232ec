"""Shapes with soft edges, as arrays of signed distances, and smooth noise.

Distances are in the unit of the coordinates, negative inside a shape. Every function is elementwise or an FFT of
numpy, so that the pictures are the same on each machine, except for rounding.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
Points = Sequence[tuple[float, float]]
BLOCK = 4  # side of the square of pixels whose distance to a polygon is computed once


def plane(height: int, width: int, size: float) -> tuple[Array, Array]:
    """Coordinates x and y of the pixels' centres, each (height, width).

    Args:
        height, width: in pixels.
        size: width of the plane. x is 0 in the middle, y is 0 at the upper edge; y rises downwards.
    """
    step = size / width
    rows, columns = np.mgrid[0:height, 0:width]
    return (columns + 0.5 - width / 2) * step, (rows + 0.5) * step


def inside(distance: Array, softness: float) -> Array:
    """1 inside a shape, 0 outside, smooth over `softness` around its edge."""
    share: Array = np.clip(0.5 - distance / softness, 0, 1)
    return share * share * (3 - 2 * share)


def dome(distance: Array, width: float) -> Array:
    """A round profile: 0 at the edge of a shape and outside, 1 from `width` inside on."""
    depth = np.clip(-distance / width, 0, 1)
    profile: Array = np.sqrt(depth * (2 - depth))
    return profile


def ellipse(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0) -> Array:
    """Approximate distance to an ellipse that is turned clockwise on the picture."""
    angle = np.deg2rad(degrees)
    along = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
    across = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
    reach = np.hypot(along / radii[0], across / radii[1])
    steepness = np.hypot(along / radii[0] ** 2, across / radii[1] ** 2)
    distance: Array = reach * (reach - 1) / np.maximum(steepness, 1e-9)
    return distance


def box(x: Array, y: Array, centre: tuple[float, float], half: tuple[float, float], corner: float) -> Array:
    """Distance to a rectangle with round corners; `half` is half its width and height."""
    right = np.abs(x - centre[0]) - half[0] + corner
    down = np.abs(y - centre[1]) - half[1] + corner
    return np.hypot(np.maximum(right, 0), np.maximum(down, 0)) + np.minimum(np.maximum(right, down), 0) - corner


def spline(points: Points, steps: int = 12, *, closed: bool = False) -> list[tuple[float, float]]:
    """A smooth line through points (Catmull-Rom), as points with `steps` pieces from one to the next."""
    given = np.asarray(points, float)
    if closed:
        given = np.concatenate([given[-1:], given, given[:2]])
    else:
        given = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    before, start, end, after = given[:-3, None], given[1:-2, None], given[2:-1, None], given[3:, None]
    t = (np.arange(steps) / steps)[None, :, None]
    line = 2 * start + (end - before) * t + (2 * before - 5 * start + 4 * end - after) * t**2
    line = (line + (3 * start - before - 3 * end + after) * t**3) / 2
    drawn = [(float(px), float(py)) for px, py in line.reshape(-1, 2)]
    return drawn if closed else [*drawn, (float(given[-2, 0]), float(given[-2, 1]))]


def line_distance(x: Array, y: Array, points: Points) -> tuple[Array, Array]:
    """Distance to a line of straight pieces, and where on the line the nearest point is, from 0 to 1."""
    ends = np.asarray(points, float)
    nearest, place = np.full(x.shape, np.inf), np.zeros(x.shape)
    for number, ((x0, y0), (x1, y1)) in enumerate(pairwise(ends)):
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
        squared = (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2
        nearer = squared < nearest
        nearest = np.where(nearer, squared, nearest)
        place = np.where(nearer, (number + t) / (len(ends) - 1), place)
    return np.sqrt(nearest), place


def around(x: Array, y: Array, points: Points, reach: float) -> tuple[slice, slice]:
    """The rows and columns of the pixels that are at most `reach` away from the points' bounding box."""
    (left, top), (right, bottom) = np.min(points, 0) - reach, np.max(points, 0) + reach
    columns = np.searchsorted(x[0], [left, right])
    rows = np.searchsorted(y[:, 0], [top, bottom])
    return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))


def polygon(x: Array, y: Array, points: Points) -> Array:
    """Distance to a closed line. It is computed for the middle of each block, and interpolated between them."""
    ends = [*points, points[0]]
    small_x, small_y = _thinned(x), _thinned(y)
    distance, _ = line_distance(small_x, small_y, ends)
    crossings = np.zeros(small_x.shape, int)
    for (x0, y0), (x1, y1) in pairwise(ends):
        if y0 != y1:
            between = (small_y >= min(y0, y1)) & (small_y < max(y0, y1))
            crossings += between & (small_x < x0 + (small_y - y0) / (y1 - y0) * (x1 - x0))
    return enlarged(np.where(crossings % 2, -distance, distance), x.shape)


def enlarged(values: Array, shape: tuple[int, ...]) -> Array:
    """Values on a finer grid of (height, width), by bicubic interpolation."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), float)


def blurred(values: Array, sigma: float | Sequence[float]) -> Array:
    """Values after a Gaussian filter that wraps around; `sigma` in pixels, one for all axes or one per axis."""
    sigmas = [sigma] * values.ndim if isinstance(sigma, int | float) else sigma
    spectrum = np.fft.rfftn(values)
    for axis, width in enumerate(sigmas):
        size = values.shape[axis]
        frequencies = np.fft.rfftfreq(size) if axis == values.ndim - 1 else np.fft.fftfreq(size)
        shape = [-1 if other == axis else 1 for other in range(values.ndim)]
        spectrum *= np.exp(-2 * (np.pi * width * frequencies) ** 2).reshape(shape)
    return np.asarray(np.fft.irfftn(spectrum, values.shape, axes=range(values.ndim)))


def noise(random: np.random.Generator, shape: tuple[int, ...], sigma: float | Sequence[float]) -> Array:
    """Gaussian noise of mean 0 and standard deviation 1, blurred by `sigma` pixels."""
    smooth = blurred(random.standard_normal(shape), sigma)
    even: Array = (smooth - smooth.mean()) / smooth.std()
    return even


def _thinned(values: Array) -> Array:
    """The means of the blocks."""
    height, width = values.shape
    means: Array = values.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((1, 3))
    return means
