"""A frontal chest radiograph: the thickness of each tissue along the rays, added up, and shown as a detector does.

Lengths are in centimetres. The picture shows the front: the patient's right is at the left edge.
"""

import numpy as np

from recipes.example_images.chest_outlines import GREAT_VESSELS, HEART, LEFT_LUNG, RIGHT_LUNG, SCAPULA, TRUNK
from recipes.example_images.shapes import (
    Array,
    Points,
    around,
    blurred,
    box,
    dome,
    ellipse,
    inside,
    line_distance,
    noise,
    plane,
    polygon,
    spline,
)

PIXELS = 768
SIZE = 38.0
SOFT = 0.19  # attenuation of soft tissue at about 80 kV, per cm; that of bone is added to it
BONE = 0.22


def draw() -> Array:
    """The radiograph, (768, 768), from 0, black, to 255."""
    random = np.random.default_rng(14)
    x, y = plane(PIXELS, PIXELS, SIZE)
    lungs = _lungs(x, y)
    absorbed = SOFT * _soft_tissue(x, y, lungs, random) + BONE * _bones(x, y)
    absorbed += 1.6 * SOFT * _pulmonary_vessels(x, y, random) * np.clip(lungs / 5, 0, 1)
    return _detected(absorbed, x, y, random)


def _lungs(x: Array, y: Array) -> Array:
    """Thickness of the lungs."""
    thickness = np.zeros(x.shape)
    for outline in (RIGHT_LUNG, LEFT_LUNG):
        distance = polygon(x, y, spline(outline, 8, closed=True))
        thickness += 13.0 * dome(distance, 5.0) * inside(distance, 0.3)
    return thickness * (0.78 + 0.22 * np.clip((y - 4) / 14, 0, 1))


def _soft_tissue(x: Array, y: Array, lungs: Array, random: np.random.Generator) -> Array:
    """Thickness of everything without its bone, as if all were as dense as water."""
    trunk = polygon(x, y, spline(TRUNK, 6, closed=True))
    heart = polygon(x, y, spline(HEART, 8, closed=True))
    great = polygon(x, y, spline(GREAT_VESSELS, 8, closed=True))
    middle = np.maximum(13.0 * dome(heart, 4.2), 9.0 * dome(great, 1.8))
    air = np.clip(lungs - middle, 0, None)
    thickness = 18.5 * dome(trunk, 8.0) * inside(trunk, 0.2) - 0.80 * air
    thickness += 0.16 * middle
    aorta, _ = line_distance(x, y, spline([(2.9, 12.0), (2.6, 18), (1.6, 29)], 4))
    thickness += 1.0 * dome(aorta - 1.0, 0.9)
    windpipe, _ = line_distance(x, y, [(0.1, -1), (0.0, 6), (-0.15, 12.6)])
    airways = windpipe - 0.85
    for end in ((-3.0, 15.6), (3.3, 16.2)):
        bronchus, _ = line_distance(x, y, [(-0.15, 12.2), (end[0] * 0.5, 13.8), end])
        airways = np.minimum(airways, bronchus - 0.55)
    thickness -= 2.2 * dome(airways, 0.8) * inside(y - 15, 2.5)
    for side in (-1, 1):
        shoulder = [(side * 9, 6), (side * 17.5, 6.5), (side * 16.8, 13), (side * 11, 17.5)]
        thickness += 1.5 * inside(polygon(x, y, spline(shoulder, 6, closed=True)), 4.0)
        breast = ellipse(x, y, (side * 7.8, 19.5), (5.6, 6.2))
        thickness += 1.3 * dome(breast, 5.0) * inside(breast, 1.2)
    gas = ellipse(x, y, (6.4, 29.6), (2.7, 1.25), -8) + 0.25 * noise(random, x.shape, 26)
    thickness -= 3.2 * dome(gas, 1.8)
    structure = noise(random, x.shape, 14.0) + 0.6 * noise(random, x.shape, 5.0)
    return np.clip(thickness, 0, None) + 0.10 * structure * inside(trunk, 1.0)


def _bones(x: Array, y: Array) -> Array:
    """Thickness of bone."""
    thickness = 0.55 * _spine(x, y)
    for side in (-1, 1):
        for number in range(1, 12):
            _add_rib(x, y, thickness, number, side)
        clavicle = spline([(side * 2.1, 6.7), (side * 5, 6.1), (side * 9, 5.1), (side * 12.6, 5.0), (side * 15.4, 5.7)])
        where = around(x, y, clavicle, 1.5)
        thickness[where] += _tube(x[where], y[where], clavicle, 0.62, 1.1)
        blade = polygon(x, y, spline([(side * px, py) for px, py in SCAPULA], 6, closed=True))
        thickness += 0.40 * inside(blade, 0.5) + 0.30 * inside(np.abs(blade + 0.25) - 0.12, 0.4)
        spine = spline([(side * 11.9, 9.4), (side * 14, 7.6), (side * 16.6, 6.0)], 6)
        where = around(x, y, spine, 1.5)
        thickness[where] += _tube(x[where], y[where], spine, 0.42, 0.6)
        head = ellipse(x, y, (side * 18.2, 8.4), (1.9, 2.1))
        shaft, _ = line_distance(x, y, [(side * 18.9, 8.6), (side * 22.2, 20)])
        humerus = np.minimum(head, shaft - 1.25)
        thickness += 1.6 * dome(humerus, 1.5) + 0.3 * inside(np.abs(humerus + 0.15) - 0.1, 0.25)
    return thickness


def _spine(x: Array, y: Array) -> Array:
    """Thickness of the vertebrae, with their pedicles and processes."""
    thickness = np.zeros(x.shape)
    top = -1.6
    for number in range(18):
        height, half = 1.55 + 0.06 * number, 1.25 + 0.04 * number
        middle = top + height / 2
        body = box(x, y, (0, middle), (half, height / 2), 0.3) + 0.14 * np.cos(np.pi * (y - middle) / height)
        thickness += 1.9 * inside(body, 0.45) + 0.35 * inside(np.abs(body + 0.12) - 0.08, 0.3)
        thickness += 1.0 * inside(ellipse(x, y, (0, middle + 0.55), (0.28, 0.66)), 0.35)
        for side in (-1, 1):
            pedicle = ellipse(x, y, (side * half * 0.66, middle - 0.15), (0.30, 0.45))
            thickness += 0.8 * inside(np.abs(pedicle) - 0.07, 0.2)
            process = box(x, y, (side * (half + 0.6), middle - 0.05), (0.8, 0.36), 0.3)
            thickness += 0.5 * inside(process, 0.4)
        top += height + 0.32
    return thickness


def _add_rib(x: Array, y: Array, thickness: Array, number: int, side: int) -> None:
    """Add a rib, which winds from the spine to the side and then to the front, in place."""
    outer = float(np.interp(number, [1, 2, 3, 5, 7, 9, 11], [6.9, 9.2, 10.9, 12.7, 13.5, 13.9, 13.7]))
    end = float(np.interp(number, [1, 4, 7, 10, 11], [150, 146, 134, 112, 84]))
    turned = np.deg2rad(np.linspace(7, end, 44))
    across = side * (1.2 + (outer - 1.2) * np.sin(turned) ** 0.85)
    drop = float(np.interp(number, [1, 4, 10], [3.6, 7.2, 9.6]))
    down = 3.2 + 2.14 * (number - 1) - 0.75 * np.sin(np.clip(turned * 2.2, 0, np.pi))
    down += drop * ((1 - np.cos(turned)) / 2) ** 1.1
    line = list(zip(across.tolist(), down.tolist(), strict=True))
    where = around(x, y, line, 1.0)
    radius = 0.44 + 0.02 * min(number, 6)
    middle = min(int(np.searchsorted(turned, np.pi / 2)), len(line) - 2)
    back = _tube(x[where], y[where], line[: middle + 1], radius, 0.80)
    front = _tube(x[where], y[where], line[middle:], radius, 0.50)
    thickness[where] += np.maximum(back, front)


def _tube(x: Array, y: Array, line: Points, radius: float, bone: float) -> Array:
    """Thickness of a tube of bone, whose wall is denser than its inside."""
    distance, _ = line_distance(x, y, line)
    outer = dome(distance - radius, radius)
    inner = dome(distance - 0.72 * radius, 0.72 * radius)
    return bone * (1.5 * outer - 0.75 * inner)


def _pulmonary_vessels(x: Array, y: Array, random: np.random.Generator) -> Array:
    """Thickness of the vessels of the lungs, which branch from the hila."""
    thickness = np.zeros(x.shape)
    for side, hilum in ((-1, (-3.4, 16.4)), (1, (3.9, 15.7))):
        for degrees in (-80, -58, -36, -14, 8, 27, 44, 60, 76):
            heading = np.deg2rad(degrees + random.uniform(-6, 6))
            _grow(x, y, thickness, hilum, heading if side > 0 else np.pi - heading, 0.46, random, 5)
        root = ellipse(x, y, (hilum[0] + side * 0.1, hilum[1] + 0.6), (1.0, 2.1), side * -18)
        thickness += 1.4 * dome(root + 0.25 * noise(random, x.shape, 9), 1.4)
    return thickness


def _grow(
    x: Array,
    y: Array,
    thickness: Array,
    start: tuple[float, float],
    heading: float,
    radius: float,
    random: np.random.Generator,
    generations: int,
) -> None:
    """Add a vessel and its branches, in place."""
    points = [start]
    for _ in range(4):
        heading += random.normal(0, 0.12)
        step = random.uniform(0.45, 0.75) * (0.55 + 0.14 * generations)
        points.append((points[-1][0] + step * np.cos(heading), points[-1][1] + step * np.sin(heading)))
    where = around(x, y, points, 0.6)
    distance, place = line_distance(x[where], y[where], points)
    width = radius * (1 - 0.3 * place)
    np.maximum(thickness[where], 1.7 * np.sqrt(np.clip(width**2 - distance**2, 0, None)), out=thickness[where])
    if generations > 1:
        for turn in (random.uniform(0.2, 0.5), -random.uniform(0.2, 0.5)):
            _grow(x, y, thickness, points[-1], heading + turn, radius * 0.7, random, generations - 1)


def _detected(absorbed: Array, x: Array, y: Array, random: np.random.Generator) -> Array:
    """Greys as a digital detector shows them: edges enhanced, contrast compressed, quantum noise, a side marker."""
    edge = np.pad(absorbed, 96, "edge")
    sharp, coarse = blurred(edge, 0.9)[96:-96, 96:-96], blurred(edge, 30.0)[96:-96, 96:-96]
    share = np.clip((0.62 * coarse + 1.2 * (sharp - coarse) - 0.15) / 2.75, 0, 1.2)
    quanta = noise(random, x.shape, 0.65) * (0.006 + 0.012 * np.clip(share, 0, 1))
    grey = 1 / (1 + np.exp(-5.0 * (share + quanta - 0.53)))
    marker = np.minimum(box(x, y, (16.2, 1.7), (0.12, 0.62), 0.05), box(x, y, (16.55, 2.2), (0.42, 0.12), 0.05))
    grey = np.maximum(1.06 * grey - 0.06, 0.93 * inside(marker, 0.06))
    return np.clip(255 * grey, 0, 255)
