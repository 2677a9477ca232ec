"""A head in three dimensions: scalp, skull, folded brain, ventricles and eyes, with one value per tissue.

Lengths are in centimetres; x rises to the patient's right, y to the front and z to the top, with 0 in the middle of the
brain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recipes.example_images.shapes import noise

Field = NDArray[np.float32]
Point = tuple[float, float, float]
FOLDS = 96  # voxels along each side of the cube of noise that shapes the folds
FOLDS_SIZE = 20.0
SULCUS_DEPTH = 2.6
GREY_MATTER = 0.36  # thickness


@dataclass
class Head:
    """A head while it is drawn.

    Args:
        x, y, z: coordinates, each along its own axis of three.
        tissues: value per tissue.
        edge: width of an edge between two tissues.
        values: the volume, changed in place.
    """

    x: Field
    y: Field
    z: Field
    tissues: Mapping[str, float]
    edge: float
    values: Field

    def paint(self, distance: Field, tissue: str, share: float = 1) -> None:
        """Fill a shape, which is given by the distance to its surface, with a tissue."""
        inner = np.clip(0.5 - distance / self.edge, 0, 1) * np.float32(share)
        self.values += inner * (np.float32(self.tissues[tissue]) - self.values)

    def paint_ball(self, centre: Point, radii: Point, tissue: str) -> None:
        """Fill an ellipsoid."""
        part = self.around([centre], max(radii))
        part.paint(part.ball(centre, radii), tissue)

    def paint_rod(self, start: Point, end: Point, radii: tuple[float, float], tissue: str, share: float = 1) -> None:
        """Fill a rod."""
        part = self.around([start, end], max(radii))
        part.paint(part.rod(start, end, radii), tissue, share)

    def around(self, points: Sequence[Point], reach: float) -> "Head":
        """The part of the volume around points; its values are a view."""
        margin = reach + self.edge
        low, high = np.min(points, 0) - margin, np.max(points, 0) + margin
        axes = self.x.ravel(), self.y.ravel(), self.z.ravel()
        cut = tuple(slice(*np.searchsorted(axis, (low[n], high[n]))) for n, axis in enumerate(axes))
        x, y, z = self.x[cut[0]], self.y[:, cut[1]], self.z[:, :, cut[2]]
        return Head(x, y, z, self.tissues, self.edge, self.values[cut])

    def ball(self, centre: Point, radii: Point) -> Field:
        """Approximate distance to an ellipsoid."""
        parts = [(at - middle) / radius for at, middle, radius in zip(self._places(), centre, radii, strict=True)]
        reach = np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)
        steepness = np.sqrt(sum((part / radius) ** 2 for part, radius in zip(parts, radii, strict=True)))
        distance: Field = (reach * (reach - 1) / np.maximum(steepness, np.float32(1e-4))).astype(np.float32)
        return distance

    def rod(self, start: Point, end: Point, radii: tuple[float, float]) -> Field:
        """Distance to a rod with round ends, whose radius changes from one end to the other."""
        way = np.subtract(end, start).astype(np.float32)
        parts = [at - np.float32(first) for at, first in zip(self._places(), start, strict=True)]
        along = sum(part * step for part, step in zip(parts, way, strict=True)) / np.float32((way**2).sum())
        along = np.clip(along, 0, 1)
        off = [part - along * step for part, step in zip(parts, way, strict=True)]
        distance = np.sqrt(off[0] ** 2 + off[1] ** 2 + off[2] ** 2)
        return np.asarray(distance - radii[0] - along * np.float32(radii[1] - radii[0]), np.float32)

    def _places(self) -> tuple[Field, Field, Field]:
        return self.x, self.y, self.z


def draw(x: Field, y: Field, z: Field, tissues: Mapping[str, float], edge: float) -> Field:
    """The head on a grid.

    Args:
        x, y, z: coordinates, each along its own axis of three.
        tissues: value of air, skin, fat, muscle, bone, marrow, csf, grey, white, deep_grey and eye.
        edge: width of an edge between two tissues; about the side of a voxel.
    """
    empty = np.full((x.size, y.size, z.size), tissues["air"], np.float32)
    head = Head(x, y, z, tissues, edge, empty)
    folds, fine = _fold_fields()
    _draw_outside(head)
    _draw_face(head)
    _draw_brain(head, folds)
    _draw_cerebellum(head, fine)
    _draw_ventricles(head)
    return head.values


def _fold_fields() -> tuple[Field, Field]:
    """Two cubes of noise: for the folds of the cerebrum, and for those of the cerebellum."""
    random = np.random.default_rng(7)
    coarse, fine = (noise(random, (FOLDS,) * 3, sigma).astype(np.float32) for sigma in (2.3, 1.6))
    return coarse, fine


def _cranium(head: Head) -> Field:
    """Distance to the inside of the skull."""
    upper = head.ball((0, -0.1, 0.7), (6.75, 8.45, 6.35))
    behind = head.ball((0, -4.4, -3.1), (5.6, 3.9, 3.3))
    below = [head.ball((side * 4.1, 1.3, -2.9), (2.7, 4.4, 2.5)) for side in (-1, 1)]
    floor = np.maximum(upper, -(head.z + 2.6) + 0.05 * head.y)
    joined = np.minimum(np.minimum(floor, behind), np.minimum(*below))
    return np.minimum(joined, head.rod((0, -2.2, -3), (0, -3.0, -9), (1.3, 1.0)))


def _draw_outside(head: Head) -> None:
    """Skin, fat, muscles and skull."""
    cranium = _cranium(head)
    vault = head.ball((0, -0.1, 0.7), (6.75, 8.45, 6.35))
    neck = np.maximum(head.ball((0, -0.4, -4.6), (6.9, 8.7, 8.0)), head.z - 0.5)
    face = np.minimum(head.ball((0, 3.6, -4.9), (6.1, 5.9, 6.4)), head.rod((0, 8.9, -3.0), (0, 9.5, -6.2), (0.7, 1.1)))
    outline = np.minimum(np.minimum(vault, cranium) - 1.3, np.minimum(neck, face))
    head.paint(outline, "skin")
    head.paint(outline + 0.22, "fat")
    muscles = np.minimum(np.minimum(neck, face) + 0.6, np.maximum(vault - 1.0, head.z - 2.2))
    sides = np.maximum(np.maximum(muscles, outline + 0.5), 2.6 - np.abs(head.x) - 3 * (head.y < -3))
    head.paint(sides, "muscle")
    inner = np.maximum(np.minimum(neck, face) + 0.9, head.z + 2.4)
    head.paint(inner, "muscle", 0.9)
    head.paint(cranium - 0.70, "bone")
    head.paint(np.maximum(np.abs(cranium - 0.40) - 0.15, -(head.z + 3.5)), "marrow")
    head.paint(cranium - 0.12, "csf")


def _draw_face(head: Head) -> None:
    """Eyes in their fat, the cavities of the nose, and the sinuses."""
    for side in (-1, 1):
        orbit = head.rod((side * 2.9, 7.0, -3.6), (side * 1.7, 3.6, -3.4), (1.5, 0.4))
        head.paint(orbit - 0.2, "bone")
        head.paint(orbit, "fat")
        head.paint_ball((side * 3.0, 7.2, -3.6), (1.28, 1.28, 1.25), "muscle")
        head.paint_ball((side * 3.0, 7.2, -3.6), (1.12, 1.12, 1.1), "eye")
        head.paint_ball((side * 3.05, 8.0, -3.6), (0.45, 0.2, 0.45), "muscle")
        head.paint_rod((side * 2.75, 6.0, -3.5), (side * 1.5, 3.4, -3.3), (0.2, 0.2), "white")
        for inward in (0.6, 1.7):
            start = (side * (4.1 - inward * 1.25), 6.4, -3.6)
            head.paint_rod(start, (side * 1.9, 3.8, -3.4), (0.2, 0.18), "muscle")
        cells = head.ball((side * 0.72, 5.6, -4.4), (0.6, 2.6, 1.7))
        head.paint(cells - 0.12, "bone")
        head.paint(np.maximum(cells, 0.1 - np.abs(np.sin(2.1 * head.y))), "air")
        head.paint_ball((side * 0.8, 8.0, -0.9), (0.75, 0.5, 0.9), "air")


def _draw_brain(head: Head, folds: Field) -> None:
    """The cerebrum: white matter, and grey matter along a surface with folds."""
    brain = np.minimum(
        np.maximum(head.ball((0, 0, 0.8), (6.6, 8.28, 6.18)), -(head.z + 2.3) + 0.05 * head.y),
        np.minimum(*(head.ball((side * 4.1, 1.2, -2.7), (2.55, 4.25, 2.4)) for side in (-1, 1))),
    )
    gap = np.abs(head.x + 0.10 * np.sin(0.9 * head.y)) - 0.09
    callosum = np.sqrt((head.y / 3.7) ** 2 + ((head.z - 0.3) / 2.6) ** 2) - 1
    parted = np.where(head.z < -1.2, -1.6 * gap, np.minimum(-1.6 * gap, 9 * callosum))
    brain = np.maximum(brain, parted)
    reach = np.sqrt((head.x / 6.45) ** 2 + (head.y / 8.1) ** 2 + ((head.z - 0.8) / 6.0) ** 2)
    fold = np.abs(_sampled(folds, head, np.maximum(reach, 0.25) ** np.float32(-0.7)))
    shallow = np.clip(1 + np.maximum(brain, -9) / SULCUS_DEPTH, 0, 1)
    sylvian = np.minimum(*(head.rod((side * 6.8, 2.2, -0.9), (side * 3.9, 0.2, 0.3), (0.4, 0.14)) for side in (-1, 1)))
    beside_groove = np.minimum(
        np.where(shallow > 0, 0.55 * fold - 0.13 * shallow + 1.6 * np.clip(0.4 - shallow, 0, 1), 9), sylvian
    )
    bridge = np.clip(0.5 - 4 * callosum, 0, 1) * np.clip(1.6 - np.abs(head.x), 0, 1) * np.clip(head.z + 1.4, 0, 1)
    beside_groove = beside_groove + 2 * bridge  # the hemispheres are joined here, without folds
    depth = np.minimum(-brain, beside_groove).astype(np.float32)
    head.paint(-depth, "grey")
    head.paint(GREY_MATTER - depth, "white")
    for side in (-1, 1):
        head.paint_ball((side * 1.05, -0.9, 0.5), (0.95, 1.5, 0.9), "deep_grey")
        head.paint_ball((side * 2.55, 0.9, 0.4), (0.62, 1.75, 1.1), "deep_grey")
        head.paint_ball((side * 1.35, 2.5, 0.9), (0.6, 0.95, 0.9), "deep_grey")


def _draw_cerebellum(head: Head, fine: Field) -> None:
    """Cerebellum with its leaves, and the brain stem."""
    whole, head = head, head.around([(0, -4.5, -3.6)], 5.3)
    lobes = np.minimum(*(head.ball((side * 2.4, -4.5, -3.6), (2.9, 2.9, 2.0)) for side in (-1, 1)))
    cerebellum = np.minimum(lobes, head.ball((0, -4.6, -3.4), (1.3, 2.4, 1.9)))
    leaves = np.sin(7.5 * np.sqrt((head.y + 3.0) ** 2 + 2.2 * (head.z + 3.5) ** 2) + 1.2 * _sampled(fine, head, 1.0))
    head.paint(cerebellum, "grey")
    head.paint((cerebellum + 0.5 + 0.32 * leaves).astype(np.float32), "white", 0.9)
    between = np.maximum(0.13 * np.abs(leaves + 0.9) - 0.05, cerebellum).astype(np.float32)
    head.paint(between, "csf", 0.55)
    whole.paint_rod((0, -1.0, -1.2), (0, -1.7, -3.6), (1.15, 1.35), "white", 0.85)
    whole.paint_rod((0, -1.9, -3.8), (0, -2.9, -9), (0.95, 0.6), "white", 0.8)


def _draw_ventricles(head: Head) -> None:
    """The four ventricles."""
    for side in (-1, 1):
        path = [(0.55, 3.0, 1.0, 0.42), (0.75, 1.4, 1.75, 0.48), (0.95, -0.9, 2.0, 0.45), (1.9, -2.9, 1.3, 0.6),
                (1.8, -4.5, 0.7, 0.25)]  # fmt: skip
        for (x0, y0, z0, r0), (x1, y1, z1, r1) in pairwise(path):
            head.paint_rod((side * x0, y0, z0), (side * x1, y1, z1), (r0, r1), "csf")
        head.paint_rod((side * 2.2, -2.7, 0.7), (side * 3.1, 0.6, -2.2), (0.4, 0.14), "csf")
    head.paint_ball((0, -0.6, 0.1), (0.2, 1.5, 1.0), "csf")
    head.paint_ball((0, -3.0, -3.3), (0.65, 0.45, 0.95), "csf")


def _sampled(cube: Field, head: Head, factor: Field | float) -> Field:
    """Values of a cube of noise at the places of the volume, whose distance to the centre is multiplied by `factor`.

    A factor that rises towards the centre makes the noise change along the surface, but hardly across it.
    """
    parts = []
    for at, offset in ((head.x, 0.0), (head.y, 0.0), (head.z, -0.8)):
        place = (at + np.float32(offset)) * factor * np.float32(FOLDS / FOLDS_SIZE) + np.float32(FOLDS / 2)
        parts.append(np.broadcast_to(np.clip(place, 0, FOLDS - 1.001), head.values.shape))
    low = [part.astype(np.int32) for part in parts]
    share = [part - whole for part, whole in zip(parts, low, strict=True)]
    found = np.zeros(head.values.shape, np.float32)
    for corner in np.ndindex(2, 2, 2):
        weight = np.ones(1, np.float32)
        for axis, up in enumerate(corner):
            weight = weight * (share[axis] if up else 1 - share[axis])
        found += weight * cube[low[0] + corner[0], low[1] + corner[1], low[2] + corner[2]]
    return found
