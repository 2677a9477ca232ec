"""Colours of PALETTE COLOR and of supplemental palettes (PS3.3 C.7.6.3.1.5, C.7.6.19, C.7.9). Alpha is ignored."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.imaging.dicom import elements
from model.imaging.dicom.lookup_tables.segments import read_segmented_table
from model.imaging.dicom.lookup_tables.tables import LookupTable, read_table
from model.imaging.windowing import Pixels, Values, blocks_of_rows

_COLOURS = ("Red", "Green", "Blue")


@dataclass(frozen=True)
class Palette:
    """The three tables of a palette: red, green, blue."""

    tables: tuple[LookupTable, ...]

    @property
    def first(self) -> int:
        """The first value mapped."""
        return self.tables[0].descriptor.first

    def __call__(self, stored: Values) -> Pixels:
        """The colours of palette indices (H, W), as (H, W, 3)."""
        widest = max((int(table.entries.max()) for table in self.tables if table.entries.itemsize > 1), default=0)
        return np.stack([self._channel(table, stored, widest) for table in self.tables], axis=-1)

    @staticmethod
    def _channel(table: LookupTable, stored: Values, widest: int) -> Pixels:
        """One colour of the indices.

        Entries stored as words have 8 bits if none of the palette is larger than 255: as 16 bits, all would be black.
        Otherwise they have 16 bits, or from 9 to 15 where that is declared and they fit. The upper 8 bits are shown.
        """
        bits = 8
        if table.entries.itemsize > 1 and widest > 255:
            declared = table.descriptor.bits
            bits = declared if 8 < declared < 16 and widest < 2**declared else 16
        upper = replace(table, entries=(table.entries >> (bits - 8)).astype(np.uint8))
        pixels = np.empty(stored.shape, dtype=np.uint8)
        for rows in blocks_of_rows(stored):
            pixels[rows] = upper(stored[rows])
        return pixels


def read_palette(dataset: Any, *, signed: bool) -> Palette:
    """Read the palette of a data set.

    Args:
        dataset: the header.
        signed: whether indices can be negative.

    Raises:
        ImageDecodeError: an element of the palette is absent or empty, or its value cannot be used.
    """
    return Palette(tuple(_read_colour(dataset, colour, signed=signed) for colour in _COLOURS))


def _read_colour(dataset: Any, colour: str, *, signed: bool) -> LookupTable:
    descriptor = f"{colour}PaletteColorLookupTableDescriptor"
    data = f"{colour}PaletteColorLookupTableData"
    if elements.is_empty(dataset, descriptor):
        raise elements.missing(descriptor)
    table = read_table(dataset, descriptor, data, signed=signed)
    if table is None and not elements.is_empty(dataset, f"Segmented{data}"):
        table = read_segmented_table(dataset, descriptor, f"Segmented{data}", signed=signed)
    if table is None:
        raise elements.missing(data)
    return table
