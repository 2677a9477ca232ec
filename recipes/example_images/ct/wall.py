"""The wall of the trunk: skin, fat, muscles and bones."""

import numpy as np

from recipes.example_images.ct import values as hu
from recipes.example_images.ct.slice import Slice, cavity, half_widths, side_wall, trunk
from recipes.example_images.shapes import Array, box, line_distance


def draw_wall(cut: Slice, texture: Array) -> None:
    """Skin, fat, and the muscles around the ribs."""
    width, depth = half_widths(cut.z)
    cut.paint(trunk(cut, 0), hu.SOFT_TISSUE)
    cut.paint(trunk(cut, 0.22), hu.FAT + 9 * texture)
    cut.paint(np.maximum(cavity(cut) - 1.55, trunk(cut, 1.0)), hu.MUSCLE + 6 * texture)
    upper = float(np.clip(1 - cut.z / 9, 0, 1))
    for side in (-1, 1):
        back = cut.oval(side * 3.3, depth - 2.9, 2.9, 1.75, side * 8)
        cut.paint(back, hu.MUSCLE + 14 * np.minimum(texture, 0))
        if upper:
            cut.paint(cut.oval(side * 7.0, -depth + 1.9 + 0.1 * cut.z, 5.4, 1.15 * upper**0.5, side * 16), hu.MUSCLE)
            cut.paint(
                cut.oval(side * 11.2, 5.6, 4.6 * upper**0.3, 2.3 * upper**0.4, side * -40), hu.MUSCLE + 8 * texture
            )
        side_muscle = cut.oval(side * (width - 2.3), 2.6, 1.0, 4.6, side * -10)
        cut.paint(side_muscle, hu.MUSCLE)
    cut.paint(cavity(cut) - 0.18, hu.SOFT_TISSUE)
    cut.paint(cavity(cut), hu.FAT + 7 * texture)


def draw_skeleton(cut: Slice) -> None:
    """Spine, ribs, breastbone and shoulder blades."""
    _, depth = half_widths(cut.z)
    back = depth - 5.0
    in_disc = (cut.z / 2.8) % 1 > 0.84
    bones = (
        (cut.oval(0, back, 1.75, 1.45), 90.0 if in_disc else hu.MARROW),
        (box(np.abs(cut.x), cut.y, (1.45, back + 1.6), (0.4, 0.8), 0.3), 300.0),
        (cut.oval(0, back + 3.6, 0.38, 1.3), 350.0),
        (box(np.abs(cut.x), cut.y - 0.35 * (np.abs(cut.x) - 1.6), (2.5, back + 2.3), (1.3, 0.42), 0.35), 350.0),
        (box(np.abs(cut.x), cut.y + 0.5 * np.abs(cut.x), (0.7, back + 3.2), (1.0, 0.36), 0.3), 350.0),
    )
    for distance, marrow in bones:
        cut.paint(distance, hu.BONE if not (in_disc and marrow == 90.0) else 120.0)
        cut.paint(distance + 0.28, marrow)
    cut.paint(cut.oval(0, back + 2.2, 1.0, 0.8), 20.0)
    cut.paint(cut.oval(0, back + 2.2, 0.5, 0.42), hu.SPINAL_CORD)
    if cut.z < 15:
        bone = box(cut.x, cut.y, (0, -depth + 2.0), (float(np.interp(cut.z, [0, 4, 15], [2.4, 1.7, 1.1])), 0.55), 0.5)
        cut.paint(bone, 450.0)
        cut.paint(bone + 0.28, 150.0)
    for number in range(-5, 14):
        _draw_rib(cut, number)
    if cut.z < 8:
        for side in (-1, 1):
            blade, _ = line_distance(cut.x, cut.y, [(side * 8.4, 7.7), (side * 11.4, 5.9), (side * 14.0, 3.4)])
            cut.paint(blade - 0.34, 620.0)


def _draw_rib(cut: Slice, number: int) -> None:
    """Draw a rib on both sides, where it crosses the slice on its way from the spine down to the front."""
    drop = 10.5
    share = (cut.z - 2.6 * number) / drop
    if not 0.02 < share < 0.86 or (number > 7 and share > 0.4):
        return
    turned = np.arccos(1 - 2 * share)
    width, depth = half_widths(cut.z)
    rx, ry = width - side_wall(cut.z) + 0.8, depth - 1.9
    px, py = rx * np.sin(turned), ry * np.cos(turned) - 0.1
    along = np.rad2deg(np.arctan2(-ry * np.sin(turned), rx * np.cos(turned)))
    long = 0.75 + 0.75 * np.sin(turned)
    is_cartilage = share > 0.72
    for side in (-1, 1):
        rib = cut.oval(side * px, py, long, 0.5, side * along)
        cut.paint(rib, 140.0 if is_cartilage else hu.BONE)
        cut.paint(rib + 0.2, 110.0 if is_cartilage else 220.0)
