"""Lookup tables of a file in the matrix, and the elements that carry them (PS3.3 C.7.6.3.1.5, C.7.9.2, C.11)."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian

from tests.support.image_files.dicom_matrix.recipes import LUTS, PALETTES, Recipe
from tests.support.judges.standard import Table

MOST_ENTRIES = 65536
LONGEST_US = 32767  # entries: the length of a US element has 16 bits in explicit VR
SIGNED_WORD, WORD = (-32768, 32767), (0, 65535)
Words = NDArray[np.uint16]


def grey_table(kind: str, lowest: int, highest: int, *, inside: bool, curve: float) -> Table | None:
    """The table of a modality or VOI LUT over the inputs from `lowest` to `highest`; None if `kind` is no table."""
    if kind not in LUTS:
        return None
    return _table(int(kind.split()[0]), lowest, highest, inside=inside, curve=curve)


def palette_tables(recipe: Recipe) -> tuple[Table, Table, Table] | None:
    """The tables of red, green and blue; None if there is no palette."""
    if recipe.palette not in PALETTES:
        return None
    bits, highest = int(recipe.palette.split()[0]), recipe.lowest + 2**recipe.layout.stored - 1
    inside = recipe.lut_first == "inside"
    red, green, blue = (_table(bits, recipe.lowest, highest, inside=inside, curve=curve) for curve in (1.0, 0.6, 1.7))
    return red, Table(green.first, green.entries[::-1].copy(), bits), blue


def _table(bits: int, lowest: int, highest: int, *, inside: bool, curve: float) -> Table:
    low, high = SIGNED_WORD if lowest < 0 else WORD
    first = max(lowest + (highest - lowest) // 8 * inside, low)
    count = min(highest, high if not inside else high - 1) - first + 1
    rise = np.linspace(0, 1, min(count, MOST_ENTRIES)) ** curve
    return Table(first, np.rint(rise * (2**bits - 1)).astype(np.uint16), bits)


def lut_item(table: Table, recipe: Recipe, kind: str, *, signed: bool) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item["LUTDescriptor"] = _descriptor("LUTDescriptor", table, signed=signed)
    words = _words(table.entries, packed=kind == "8 packed")
    if recipe.lut_vr == "US" and len(words) <= LONGEST_US:
        item["LUTData"] = DataElement("LUTData", "US", words.tolist())
    else:
        item["LUTData"] = DataElement("LUTData", "OW", word_bytes(words, recipe))
    return item


def lut_sequence(item: Dataset) -> Sequence:
    return Sequence([item])


def palette_elements(recipe: Recipe, tables: tuple[Table, Table, Table]) -> list[DataElement]:
    """The elements of a palette, plain or segmented."""
    elements = []
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        descriptor = f"{colour}PaletteColorLookupTableDescriptor"
        elements.append(_descriptor(descriptor, table, signed=recipe.signed))
        segmented = "segmented" in recipe.palette
        name = f"{'Segmented' if segmented else ''}{colour}PaletteColorLookupTableData"
        numbers = _segments(table.entries) if segmented else table.entries
        words = _words(numbers, packed=recipe.palette in ("8 packed", "8 segmented"))
        elements.append(DataElement(Tag(name), "OW", word_bytes(words, recipe)))
    return elements


def word_bytes(words: NDArray[np.unsignedinteger], recipe: Recipe) -> bytes:
    """Cells as the 16-bit words of the VR OW, in the byte order of the file (PS3.5 6.2 and 8.1.1)."""
    data = words.astype(words.dtype.newbyteorder("<")).tobytes()
    if recipe.syntax != ExplicitVRBigEndian or words.itemsize == 1:
        return data
    return np.frombuffer(data, "<u2").astype(">u2").tobytes()


def _descriptor(name: str, table: Table, *, signed: bool) -> DataElement:
    return DataElement(
        Tag(name), "SS" if signed else "US", [len(table.entries) % MOST_ENTRIES, table.first, table.bits]
    )


def _words(numbers: Words, *, packed: bool) -> Words:
    """One entry per word, or two: the first of them in the lower byte."""
    if not packed:
        return numbers
    pairs = np.pad(numbers, (0, len(numbers) % 2)).reshape(-1, 2)
    return (pairs[:, 0] | pairs[:, 1] << 8).astype(np.uint16)


def _segments(entries: Words) -> Words:
    """The same entries as segments: alternately 16 discrete ones, and linear ones where the entries permit."""
    numbers: list[int] = []
    start = 0
    while start < len(entries):
        length = _linear_length(entries, start)
        if length >= 4:
            numbers += [1, length, int(entries[start + length - 1])]
        else:
            length = min(16, len(entries) - start)
            numbers += [0, length, *(int(entry) for entry in entries[start : start + length])]
        start += length
    return np.array(numbers, dtype=np.uint16)


def _linear_length(entries: Words, start: int) -> int:
    """Number of entries from `start`, at most 255, that lie on a line through the entry before them."""
    if start == 0:
        return 0
    values = entries[start - 1 : start + 255].astype(np.int64)
    steps = np.diff(values)
    return int(np.argmax(np.append(steps != steps[0], True)))
