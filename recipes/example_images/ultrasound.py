"""An ultrasound picture of a breast with a smooth oval mass: speckle whose strength follows the tissue.

Lengths are in millimetres; y is the depth below the skin.
"""

import numpy as np

from recipes.example_images.shapes import Array, blurred, dome, ellipse, inside, noise

PIXELS = (560, 680)
SIZE = (42.0, 51.0)  # depth and width
DECIBELS = 52.0  # range from black to white
MASS = (2.5, 17.5)


def draw() -> Array:
    """The picture, (560, 680), from 0, black, to 255."""
    random = np.random.default_rng(23)
    height, width = PIXELS
    rows, columns = np.mgrid[0:height, 0:width]
    y, x = (rows + 0.5) / height * SIZE[0], ((columns + 0.5) / width - 0.5) * SIZE[1]
    echo = _tissue(x, y, random) + _attenuation(x, y)
    amplitude = 10 ** (echo / 20) * _speckle(random)
    shown = 20 * np.log10(np.maximum(blurred(amplitude, (0.4, 0.8)), 1e-6))
    grey = np.clip((shown + DECIBELS - 8) / DECIBELS, 0, 1) ** 1.15
    picture: Array = np.clip(255 * grey * inside(0.2 - y, 0.4), 0, 255)
    return picture


def _speckle(random: np.random.Generator) -> Array:
    """The amplitude of many small echoes that interfere, blurred more across the beam than along it."""
    real, imaginary = (noise(random, PIXELS, (1.1, 2.3)) for _ in range(2))
    amplitude: Array = np.hypot(real, imaginary) / np.sqrt(2)
    return amplitude


def _tissue(x: Array, y: Array, random: np.random.Generator) -> Array:
    """Strength of the echoes in decibels: skin, fat, gland, the mass, muscle, and the chest wall."""
    slow, wavy = noise(random, PIXELS, (26, 70)), noise(random, PIXELS, (14, 44))
    fibres = noise(random, PIXELS, (2.0, 17))
    fat_edge = 9.5 + 1.6 * slow + 0.7 * wavy
    muscle = 29.5 + 0.8 * noise(random, PIXELS, (3, 90)) + 0.05 * x
    fat = -21 + 1.5 * wavy + 11 * _ridges(noise(random, PIXELS, (17, 34))) + 4 * np.maximum(fibres - 0.8, 0)
    gland = -9 + 3.2 * fibres + 3.0 * wavy - 9 * inside(noise(random, PIXELS, (7, 26)) + 0.9, 0.8)
    echo = fat + (gland - fat) * inside(fat_edge - y, 1.2)
    deep_fat = -22 + 10 * _ridges(noise(random, PIXELS, (12, 40)))
    echo += (deep_fat - echo) * inside(25.0 + 1.8 * slow - y, 1.6)
    stripes = -17 + 4.5 * noise(random, PIXELS, (1.6, 40)) + 2 * fibres
    echo += (stripes - echo) * inside(muscle - y, 0.8)
    echo += 12 * np.exp(-(((y - muscle) / 0.45) ** 2)) + 9 * np.exp(-(((y - muscle - 5.4 - 0.3 * slow) / 0.4) ** 2))
    skin = y + 0.15 * slow
    echo += (-7 - echo) * inside(skin - 1.9, 0.5)
    echo += 8 * np.exp(-(((skin - 0.5) / 0.3) ** 2)) + 7 * np.exp(-(((skin - 2.0) / 0.25) ** 2))
    return _with_mass(x, y, echo, fibres, wavy)


def _with_mass(x: Array, y: Array, echo: Array, fibres: Array, wavy: Array) -> Array:
    """The mass, its thin bright capsule, the stronger echoes behind it, and the shadows of its edges."""
    mass = ellipse(x, y, MASS, (9.2, 5.3), -7) + 0.28 * wavy
    echo = echo + 7 * np.exp(-(((mass - 0.25) / 0.45) ** 2))
    echo += (-31 + 1.2 * fibres + 1.5 * wavy - echo) * inside(mass, 0.9)
    behind = inside(MASS[1] + 2.0 - y, 3.0)
    across = np.abs(x - MASS[0] - 0.04 * (y - MASS[1]))
    echo += 5.5 * behind * inside(across - 6.6, 4.0) * inside(mass * -1, 0.8)
    return echo - 5.0 * behind * np.exp(-(((across - 9.0) / 0.9) ** 2)) * inside(mass * -1, 0.8)


def _attenuation(x: Array, y: Array) -> Array:
    """Decibels lost with depth in spite of the time gain, and by weak contact at the sides."""
    return -0.2 * np.maximum(y - 8, 0) - 0.03 * np.maximum(y - 26, 0) ** 2 - 5 * dome(20 - np.abs(x), 6.0)


def _ridges(field: Array) -> Array:
    """Thin lines, 0 to 1, where a field of noise is about 0: the septa between lobules of fat."""
    return np.exp(-((field / 0.17) ** 2))
