"""The judges of published DICOM files: per file, the first and the last picture that each of them expects."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless

from model.imaging.rendering import Window
from tests.support.image_files.published_dicom import PublishedFile
from tests.support.judges import dcmtk
from tests.support.judges.standard import Display, Table, Values, expanded, modality, percentiles, picture
from tests.support.judges.verdicts import Expected

PROCESSES = 2
_COLOURS = ("Red", "Green", "Blue")


def written(files: Sequence[PublishedFile], folder: Path) -> list[Path]:
    """Write the files, by number."""
    paths = [folder / f"{number}.dcm" for number in range(len(files))]
    for file, path in zip(files, paths, strict=True):
        path.write_bytes(file.data)
    return paths


def by_standard(file: PublishedFile, stored: Values | None) -> Expected | None:
    """Stored values of the first and the last frame, and the formulas of the standard; None without values."""
    if stored is None:
        return None
    header = header_of(file)
    return [picture(values, display_of(header, frame)) for values, frame in zip(stored, ends(header), strict=True)]


def ends(header: Dataset) -> list[int]:
    """The indices of the first and the last frame."""
    return sorted({0, int(header.get("NumberOfFrames") or 1) - 1})


def header_of(file: PublishedFile) -> Dataset:
    return pydicom.dcmread(BytesIO(file.data), stop_before_pixels=True, force=True)


def display_of(header: Dataset, frame: int) -> Display:
    """What the header says about the picture of a frame."""
    photometric, bits = header.PhotometricInterpretation, header.BitsStored
    if header.SamplesPerPixel > 1:
        return Display("RGB", bits)
    palette = _palette(header)
    if photometric == "PALETTE COLOR":
        return Display(photometric, bits, palette=palette)
    slope, intercept = _value(header, "RescaleSlope", frame), _value(header, "RescaleIntercept", frame)
    rescale = (1.0, 0.0) if slope is None or intercept is None else (float(slope), float(intercept))
    table = _table(header, "ModalityLUTSequence")
    coloured = palette if header.get("PixelPresentation") == "COLOR" else None
    return Display(
        photometric, bits, rescale if table is None else table, _voi(header, frame), coloured, _padding(header)
    )


def _voi(header: Dataset, frame: int) -> tuple[str, float, float] | Table | None:
    if (table := _table(header, "VOILUTSequence")) is not None:
        return table
    center, width = _value(header, "WindowCenter", frame), _value(header, "WindowWidth", frame)
    if center is None or width is None:
        return None
    return str(_value(header, "VOILUTFunction", frame) or "LINEAR"), float(center), float(width)


def _value(header: Dataset, name: str, frame: int) -> Any:
    """The first value of an element at the top level or in the functional groups of a frame (C.7.6.16)."""
    groups = [*(header.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]]
    groups += header.get("SharedFunctionalGroupsSequence") or []
    places = [
        item
        for group in groups
        for sequence in ("PixelValueTransformationSequence", "FrameVOILUTSequence")
        for item in group.get(sequence) or []
    ]
    found = [place[name].value for place in (*places, header) if place.get(name) is not None]
    return np.ravel(found[0])[0] if found else None


def _padding(header: Dataset) -> tuple[int, int] | None:
    value = header.get("PixelPaddingValue")
    return None if value is None else (int(value), int(header.get("PixelPaddingRangeLimit", value)))


def _table(header: Dataset, sequence: str) -> Table | None:
    items = header.get(sequence)
    return _read_table(items[0], "LUTDescriptor", "LUTData") if items else None


def _palette(header: Dataset) -> tuple[Table, Table, Table] | None:
    if "RedPaletteColorLookupTableDescriptor" not in header:
        return None
    segmented = "Segmented" if "SegmentedRedPaletteColorLookupTableData" in header else ""
    red, green, blue = (
        _read_table(
            header, f"{colour}PaletteColorLookupTableDescriptor", f"{segmented}{colour}PaletteColorLookupTableData"
        )
        for colour in _COLOURS
    )
    return red, green, blue


def _read_table(holder: Dataset, descriptor: str, name: str) -> Table:
    """A table of words, or of bytes if it has one byte per entry."""
    count, first, bits = holder[descriptor].value
    data = holder[name].value
    order = "<" if holder.original_encoding[1] else ">"
    if not isinstance(data, bytes):
        entries = np.array(data, dtype=np.uint16)
    else:
        entries = np.frombuffer(data, np.uint8 if len(data) == count else f"{order}u2").astype(np.uint16)
    if name.startswith("Segmented"):
        entries = expanded(entries.tolist())
    return Table(int(first), entries[: count or 65536], int(bits))


def windows_of(file: PublishedFile, stored: Values | None) -> list[Window | None]:
    """Per frame, the window of a user for a grey file without one: that of percentiles; None for others."""
    header = header_of(file)
    if stored is None or header.SamplesPerPixel > 1 or header.PhotometricInterpretation == "PALETTE COLOR":
        return [None for _ in ends(header)]
    displays = [display_of(header, frame) for frame in ends(header)]
    return [_window(values, display) for values, display in zip(stored, displays, strict=True)]


def _window(stored: Values, display: Display) -> Window | None:
    if display.voi is not None:
        return None
    low, high = percentiles(modality(stored, display))
    return Window((low + high) / 2, max(high - low, 1.0))


def by_dcmtk(
    files: Sequence[PublishedFile], paths: Sequence[Path], windows: Sequence[Sequence[Window | None]]
) -> list[Expected | None]:
    """The pictures that DCMTK renders; None where it does not read a file. Padding is not marked."""
    with ThreadPoolExecutor(PROCESSES) as pool:
        return list(pool.map(_dcmtk_pictures, files, paths, windows))


def _dcmtk_pictures(file: PublishedFile, path: Path, windows: Sequence[Window | None]) -> Expected | None:
    header = header_of(file)
    jpeg_ls = header.file_meta.get("TransferSyntaxUID") in (JPEGLSLossless, JPEGLSNearLossless)
    try:
        return [
            dcmtk.picture(path, _dcmtk_window(header, frame, window), frame=frame, jpeg_ls=jpeg_ls)
            for frame, window in zip(ends(header), windows, strict=True)
        ]
    except dcmtk.Unreadable:
        return None


def _dcmtk_window(header: Dataset, frame: int, window: Window | None) -> Sequence[str]:
    """Options for the window. DCMTK ignores functional groups: their window is given, in stored values."""
    display = display_of(header, frame)
    if window is not None:
        return dcmtk.exact_window(window.center, window.width)
    if isinstance(display.voi, Table):
        return ("--use-voi-lut", "1")
    if display.voi is None:
        return ()
    if "WindowCenter" in header or isinstance(display.modality, Table):
        return ("--use-window", "1")
    (slope, intercept), (_, center, width) = display.modality, display.voi
    return ("--set-window", f"{(center - intercept) / slope}", f"{width / slope}")
