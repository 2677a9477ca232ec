"""What PS3.3 of the DICOM standard says about the picture of stored values, written from its text alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
WHITE = 255.0
DISCRETE, LINEAR = 0, 1  # opcodes of segmented palettes


@dataclass(frozen=True)
class Table:
    """A lookup table (C.11.1.1, C.11.2.1.1, C.7.6.3.1.5).

    Args:
        first: the input that the first entry belongs to.
        entries: unsigned outputs, (N,).
        bits: bits per entry, as declared by the third value of the descriptor.
    """

    first: int
    entries: NDArray[np.uint16]
    bits: int

    def look_up(self, values: Values) -> Values:
        """The entries of `values`. Inputs before the first or behind the last entry get that entry."""
        places = np.clip(np.trunc(values) - self.first, 0, len(self.entries) - 1)
        return np.asarray(self.entries[places.astype(np.int64)], dtype=np.float64)


def expanded(segments: list[int]) -> NDArray[np.uint16]:
    """The entries of a segmented palette (C.7.9.2). Each segment is an opcode, a length and its data.

    A discrete segment (0) has the entries. A linear one (1) has the last entry; those before it lie on a line that
    begins at the entry before the segment. An indirect one (2) names the offset, in two words, of segments to repeat.
    """
    entries: list[float] = []
    _expand(segments, 0, None, entries)
    return np.rint(entries).astype(np.uint16)


def _expand(segments: list[int], place: int, count: int | None, entries: list[float]) -> None:
    while place + 1 < len(segments) and count != 0:
        opcode, length = segments[place : place + 2]
        if opcode == DISCRETE:
            entries += segments[place + 2 : place + 2 + length]
            place += 2 + length
        elif opcode == LINEAR:
            entries += np.linspace(entries[-1], segments[place + 2], length + 1)[1:].tolist()
            place += 3
        else:
            low, high = segments[place + 2 : place + 4]
            _expand(segments, low + (high << 16), length, entries)
            place += 4
        count = None if count is None else count - 1


@dataclass(frozen=True)
class Display:
    """How the stored values of a frame become a picture.

    Args:
        photometric: MONOCHROME1, MONOCHROME2, PALETTE COLOR, or RGB for colours.
        bits: bits stored, for colours.
        modality: (slope, intercept), or a modality LUT.
        voi: (function, center, width), a VOI LUT, or None for percentiles.
        palette: red, green and blue, of a PALETTE COLOR; with another photometric interpretation, the supplemental
            palette, which colours the values from its first one on (C.7.6.19).
        padding: the lowest and the highest stored value that is padding; None if none is.
    """

    photometric: str = "MONOCHROME2"
    bits: int = 8
    modality: tuple[float, float] | Table = (1.0, 0.0)
    voi: tuple[str, float, float] | Table | None = None
    palette: tuple[Table, Table, Table] | None = None
    padding: tuple[int, int] | None = None


def picture(stored: Values, display: Display) -> Values:
    """The picture of a frame: (H, W) greys or (H, W, 3) colours from 0 to 255, not rounded. Padding is black."""
    if display.photometric == "PALETTE COLOR":
        return coloured(stored, display)
    if stored.ndim == 3:
        return stored / 2.0 ** (display.bits - 8)
    padding = padding_mask(stored, display)
    greys = voi(modality(stored, display), display, modality(stored[~padding], display))
    greys = WHITE - greys if display.photometric == "MONOCHROME1" else greys
    greys = np.where(padding, 0.0, greys)
    if display.palette is None:
        return greys
    supplemental = stored >= display.palette[0].first
    return np.where(supplemental[..., None], coloured(stored, display), greys[..., None])


def coloured(stored: Values, display: Display) -> Values:
    """The colours of a palette, (H, W, 3), from 0 to 255 (C.7.9)."""
    tables = display.palette or ()
    return np.stack([table.look_up(stored) / 2.0 ** (table.bits - 8) for table in tables], axis=-1)


def padding_mask(stored: Values, display: Display) -> NDArray[np.bool_]:
    """Where the stored values are padding (C.7.5.1.1.2)."""
    if display.padding is None:
        return np.zeros(stored.shape, dtype=bool)
    return np.asarray((stored >= min(display.padding)) & (stored <= max(display.padding)))


def modality(stored: Values, display: Display) -> Values:
    """Modality LUT, or rescale slope and intercept (C.11.1)."""
    if isinstance(display.modality, Table):
        return display.modality.look_up(stored)
    slope, intercept = display.modality
    return np.asarray(stored * slope + intercept)


def voi(values: Values, display: Display, counted: Values) -> Values:
    """VOI LUT or window (C.11.2), to greys from 0 to 255.

    Args:
        values: outputs of the modality transformation, (H, W).
        display: what the file says.
        counted: the outputs that count for percentiles, which apply if the file says nothing.
    """
    if isinstance(display.voi, Table):
        return np.asarray(display.voi.look_up(values) * (WHITE / (2**display.voi.bits - 1)))
    if display.voi is not None:
        return windowed(values, *display.voi)
    low, high = percentiles(counted)
    return np.clip((values - low) / (high - low), 0, 1) * WHITE


def percentiles(values: Values) -> tuple[float, float]:
    """The range that this project uses where the file says nothing: docs/images.md, "DICOM"."""
    low, high = (float(bound) for bound in np.percentile(values, (0.5, 99.5)))
    return (low, high) if high > low else (float(values.min()), float(values.max()))


def windowed(values: Values, function: str, center: float, width: float) -> Values:
    """LINEAR (C.11.2.1.2.1), LINEAR_EXACT (C.11.2.1.3.2) or SIGMOID (C.11.2.1.3.1)."""
    if function == "SIGMOID":
        return np.asarray(WHITE / (1 + np.exp(-4 * (values - center) / width)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # LINEAR with a width of 1 is a threshold
        return np.where(values <= center, 0.0, WHITE)
    return np.clip((values - center) / width + 0.5, 0, 1) * WHITE


def rgb_of_ybr(samples: Values) -> Values:
    """YBR_FULL or YBR_FULL_422 of 8 bits, (..., 3), to RGB (C.7.6.3.1.2)."""
    luminance, blue, red = samples[..., 0], samples[..., 1] - 128, samples[..., 2] - 128
    colours = [luminance + 1.402 * red, luminance - 0.344136 * blue - 0.714136 * red, luminance + 1.772 * blue]
    return np.clip(np.stack(colours, axis=-1), 0, WHITE)


def ybr_of_rgb(colours: Values) -> Values:
    """RGB of 8 bits, (..., 3), to YBR_FULL, rounded (C.7.6.3.1.2)."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    return np.asarray(np.clip(np.rint(colours @ matrix.T + [0, 128, 128]), 0, WHITE))
