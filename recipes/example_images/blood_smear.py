"""A stained blood smear under the microscope: red cells, a neutrophil and platelets. Lengths are in micrometres."""

import numpy as np
from numpy.typing import NDArray

from recipes.example_images.shapes import Array, around, blurred, ellipse, inside, noise, plane

PIXELS = (560, 720)
WIDTH = 92.0
SLIDE = (226, 224, 214)
RED_CELL = (204, 150, 142)
PALE = (222, 206, 196)
CYTOPLASM = (214, 186, 204)
NUCLEUS = (98, 58, 158)
PLATELET = (156, 116, 180)
LOBES = ((-3.0, -1.5, 2.5, 1.8, 40), (-0.9, 2.6, 2.4, 1.7, -25), (3.0, 1.3, 1.9, 2.5, 20), (1.9, -2.6, 2.0, 1.6, -35))
STRANDS = ((-2.2, 0.9, 0.6, 1.6, -25), (1.2, 2.3, 1.6, 0.6, 0), (2.8, -0.8, 0.6, 1.6, 15))
NEUTROPHIL = (9.5, 30.0)


def draw() -> NDArray[np.uint8]:
    """The picture, (560, 720, 3)."""
    random = np.random.default_rng(5)
    x, y = plane(*PIXELS, WIDTH)
    picture = np.empty((*PIXELS, 3))
    picture[:] = SLIDE
    wavy = noise(random, PIXELS, 26), noise(random, PIXELS, 26)
    bent = x + 0.28 * wavy[0], y + 0.28 * wavy[1]
    grain = noise(random, PIXELS, 2.2)
    for px, py, radius in _places(random):
        part = around(x, y, [(px, py)], radius + 1.5)
        _draw_red_cell(picture[part], bent[0][part], bent[1][part], (px, py), radius, random)
    part = around(x, y, [NEUTROPHIL], 9)
    clumps = noise(random, PIXELS, 6)
    _draw_neutrophil(picture[part], bent[0][part], bent[1][part], grain[part], clumps[part])
    for px, py in ((-17.0, 34.6), (31.5, 36.0), (-25.0, 45.0), (-4.0, 60.5)):
        part = around(x, y, [(px, py)], 3)
        cell = ellipse(bent[0][part], bent[1][part], (px, py), (1.35, 1.0), random.uniform(0, 180)) + 0.14 * grain[part]
        _paint(picture[part], cell, PLATELET, 0.8)
        _paint(picture[part], cell + 0.7, NUCLEUS, 0.9, 0.55)
    light = 1 + 0.02 * noise(random, PIXELS, 90) - 0.06 * ((x / 46) ** 2 + ((y - 36) / 46) ** 2)
    picture = np.stack([blurred(np.pad(picture[..., n], 16, "edge"), 1.1)[16:-16, 16:-16] for n in range(3)], -1)
    picture = picture * light[..., None] + 1.6 * np.stack([noise(random, PIXELS, 0.7) for _ in range(3)], -1)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _places(random: np.random.Generator) -> list[tuple[float, float, float]]:
    """Centres and radii of the red cells: at random places, which overlap little, and not on the neutrophil."""
    height = WIDTH * PIXELS[0] / PIXELS[1]
    places = [(*NEUTROPHIL, 7.6)]
    for _ in range(1400):
        px, py = random.uniform(-WIDTH / 2 - 3, WIDTH / 2 + 3), random.uniform(-3, height + 3)
        radius = float(np.clip(random.normal(3.75, 0.22), 3.2, 4.3))
        if all(np.hypot(px - ox, py - oy) > 0.93 * (radius + other) for ox, oy, other in places):
            places.append((px, py, radius))
    return places[1:]


def _draw_red_cell(
    picture: Array, x: Array, y: Array, centre: tuple[float, float], radius: float, random: np.random.Generator
) -> None:
    """Draw a disc that is paler in its middle, and darker at its rim."""
    stretch, turn = random.uniform(0.92, 1.08), random.uniform(0, 180)
    cell = ellipse(x, y, centre, (radius * stretch, radius / stretch), turn)
    shade = np.array(RED_CELL) + random.normal(0, 5) * np.array((1, 1, 1.1))
    _paint(picture, cell, tuple(shade * 0.94), 0.55)
    _paint(picture, cell + 0.55, tuple(shade), 1.2)
    hollow = ellipse(x, y, (centre[0] + random.normal(0, 0.2), centre[1] + random.normal(0, 0.2)), (1.5, 1.35), turn)
    _paint(picture, hollow - 0.2, PALE, 2.6, float(random.uniform(0.55, 0.95)))


def _draw_neutrophil(picture: Array, x: Array, y: Array, grain: Array, clumps: Array) -> None:
    """Draw a white cell: pale cytoplasm with fine granules, and a nucleus of four lobes."""
    px, py = NEUTROPHIL
    cell = ellipse(x, y, NEUTROPHIL, (6.9, 6.5), 20)
    _paint(picture, cell, tuple(np.array(CYTOPLASM) * 0.96), 0.6)
    _paint(picture, cell + 0.5, CYTOPLASM, 1.0)
    _paint(picture, np.maximum(cell + 0.6, 0.5 * (1.25 - grain)), (186, 146, 186), 0.5, 0.45)
    nucleus = np.full(x.shape, 9.0)
    for dx, dy, rx, ry, degrees in (*LOBES, *STRANDS):
        nucleus = np.minimum(nucleus, ellipse(x, y, (px + dx, py + dy), (rx, ry), degrees))
    nucleus = nucleus + 0.12 * clumps
    _paint(picture, nucleus, NUCLEUS, 0.7)
    _paint(picture, np.maximum(nucleus + 0.5, 0.4 * (0.35 - clumps)), (74, 38, 132), 0.9, 0.7)


def _paint(picture: Array, distance: Array, colour: tuple[float, ...], softness: float, share: float = 1) -> None:
    """Fill a shape with a colour, in place."""
    cover = share * inside(distance, softness)[..., None]
    picture += cover * (np.array(colour) - picture)
