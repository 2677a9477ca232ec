"""The recipes of the matrix: which values of the parameters the standard allows together, and a choice of them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from pydicom import uid

from tests.support.image_files.dicom_matrix.pairwise import Sample, pairwise
from tests.support.image_files.dicom_matrix.recipes import (
    GREY,
    HTJ2K,
    JPEG_2000,
    JPEG_LOSSLESS,
    JPEG_LOSSY,
    LOSSY,
    LUTS,
    NATIVE,
    PALETTES,
    SYNTAXES,
    VOI_WINDOWS,
    Layout,
    Recipe,
)

PACKED = Layout(1, 1, 0)
BYTES = Layout(8, 8, 7)
PARTS_OF_BYTES = (Layout(8, 6, 5), Layout(8, 4, 7), Layout(8, 1, 0))
WORDS = (Layout(16, 16, 15), Layout(16, 12, 11))
SHIFTED = (Layout(16, 12, 15), Layout(16, 11, 13))
BYTES_IN_WORDS = Layout(16, 8, 7)
LONG_WORDS = (Layout(32, 32, 31), Layout(32, 20, 19))


@cache
def recipes() -> tuple[Recipe, ...]:
    """The recipes of the matrix; the same in each run."""
    encodings = ("syntax", "photometric", "layout")
    samples = pairwise(PARAMETERS, together=encodings, candidates=12_000, seed=20)
    return tuple(Recipe(**sample) for sample in samples)


def _photometric(sample: Sample) -> Sequence[str]:
    syntax = sample["syntax"]
    if syntax in NATIVE:
        return (*GREY, "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422")
    if syntax == uid.JPEGBaseline8Bit:
        return (*GREY, "RGB", "YBR_FULL", "YBR_FULL_422")
    if syntax == uid.JPEGExtended12Bit:
        return GREY
    colours = ["RGB", "YBR_FULL"]
    if syntax in (*JPEG_2000, *HTJ2K):
        colours += ["YBR_ICT"] if syntax in LOSSY else ["YBR_RCT"]
    return (*GREY, *colours) if syntax in LOSSY else (*GREY, "PALETTE COLOR", *colours)


def _layout(sample: Sample) -> Sequence[Layout]:
    syntax, photometric = sample["syntax"], sample["photometric"]
    if syntax == uid.JPEGExtended12Bit:
        return (BYTES, Layout(16, 12, 11))
    if syntax == uid.JPEGBaseline8Bit:
        return (BYTES, BYTES_IN_WORDS) if photometric in GREY else (BYTES,)
    if photometric.startswith("YBR"):
        return (BYTES,)
    if photometric == "RGB":
        return (BYTES,) if syntax in LOSSY else (BYTES, *WORDS)
    if photometric == "PALETTE COLOR":
        return (BYTES, *WORDS)
    if syntax in HTJ2K:
        return (BYTES, *WORDS)
    layouts = (BYTES, PARTS_OF_BYTES[0], *WORDS, Layout(16, 10, 9), BYTES_IN_WORDS)
    if syntax in NATIVE:
        return (PACKED, *layouts, *PARTS_OF_BYTES[1:], *SHIFTED, *LONG_WORDS)
    if syntax == uid.RLELossless:
        return (*layouts, *PARTS_OF_BYTES[1:], *SHIFTED, *LONG_WORDS)
    return (*layouts, SHIFTED[0]) if syntax in (*JPEG_LOSSLESS, uid.JPEGLSLossless) else layouts


def _signed(sample: Sample) -> Sequence[bool]:
    fixed = sample["photometric"] not in (*GREY, "PALETTE COLOR") or sample["syntax"] in JPEG_LOSSY
    return (False,) if fixed or sample["layout"].stored == 1 else (False, True)


def _unused(sample: Sample) -> Sequence[str]:
    syntax, layout = sample["syntax"], sample["layout"]
    if layout.stored == layout.allocated or syntax in JPEG_LOSSY:
        return ("extended",)
    restorable = sample["signed"] and layout.high == layout.stored - 1
    zero = ("zero",) if restorable and syntax not in (*LOSSY, *JPEG_2000, *HTJ2K) else ()
    if syntax in (*NATIVE, uid.RLELossless):
        return ("extended", "noise", *zero)
    if syntax in HTJ2K or layout.high != layout.stored - 1:
        return ("cell", *zero)
    return ("extended", "cell", *zero)


def _planar(sample: Sample) -> Sequence[int]:
    fixed = sample["photometric"] not in ("RGB", "YBR_FULL") or sample["syntax"] in (
        *JPEG_LOSSY, *JPEG_LOSSLESS, *JPEG_2000, *HTJ2K,
    )  # fmt: skip
    return (0,) if fixed else (0, 1)


def _size(sample: Sample) -> Sequence[tuple[int, int]]:
    even = ((16, 16), (13, 24))
    return even if sample["photometric"] == "YBR_FULL_422" else (*even, (15, 13), (17, 11))


def _pixel_vr(sample: Sample) -> Sequence[str]:
    if sample["syntax"] not in NATIVE:
        return ("OB",)
    if sample["syntax"] == uid.ImplicitVRLittleEndian or sample["layout"].allocated > 8:
        return ("OW",)
    return ("OB", "OW")


def _offsets(sample: Sample) -> Sequence[str]:
    return ("none",) if sample["syntax"] in NATIVE else ("basic", "empty", "extended")


def _fragments(sample: Sample) -> Sequence[int]:
    whole = sample["offsets"] in ("none", "extended") or sample["syntax"] == uid.RLELossless
    return (1,) if whole else (1, 2)


def _file_start(sample: Sample) -> Sequence[str]:
    bare = sample["syntax"] in NATIVE and sample["syntax"] != uid.DeflatedExplicitVRLittleEndian
    return ("preamble", "no preamble", "bare") if bare else ("preamble", "no preamble")


def _modality(sample: Sample) -> Sequence[str]:
    if sample["photometric"] not in GREY:
        return ("none",)
    tables = LUTS if 4 < sample["layout"].stored <= 16 else ()
    return ("none", "integer", "fraction", "negative", *tables)


def _voi(sample: Sample) -> Sequence[str]:
    if sample["photometric"] not in GREY:
        return ("none",)
    windows = ("none", *(name for name in VOI_WINDOWS if name != "width 1" or sample["syntax"] not in LOSSY))
    narrow = sample["layout"].stored < (10 if sample["modality"] == "fraction" else 5)
    return windows if narrow or sample["layout"].stored > 16 else (*windows, *LUTS)


def _palette(sample: Sample) -> Sequence[str]:
    return PALETTES if sample["photometric"] == "PALETTE COLOR" else ("none",)


def _lut_vr(sample: Sample) -> Sequence[str]:
    return ("OW", "US") if {sample["modality"], sample["voi"]} & set(LUTS) else ("none",)


def _lut_first(sample: Sample) -> Sequence[str]:
    tables = {sample["modality"], sample["voi"], sample["palette"]} & {*LUTS, *PALETTES}
    return ("lowest", "inside") if tables else ("none",)


def _padding(sample: Sample) -> Sequence[str]:
    possible = sample["photometric"] in GREY and sample["syntax"] not in LOSSY and 4 < sample["layout"].stored <= 16
    return ("none", "value", "range") if possible else ("none",)


def _groups(sample: Sample) -> Sequence[str]:
    placed = {sample["modality"], sample["voi"]} - {"none"}
    return ("none", "shared", "per frame") if placed and not placed & set(LUTS) else ("none",)


PARAMETERS: dict[str, Any] = {
    "syntax": lambda _: SYNTAXES,
    "photometric": _photometric,
    "layout": _layout,
    "signed": _signed,
    "unused": _unused,
    "planar": _planar,
    "size": _size,
    "frames": lambda _: (1, 2, 3),
    "pixel_vr": _pixel_vr,
    "offsets": _offsets,
    "fragments": _fragments,
    "file_start": _file_start,
    "modality": _modality,
    "voi": _voi,
    "palette": _palette,
    "lut_vr": _lut_vr,
    "lut_first": _lut_first,
    "padding": _padding,
    "groups": _groups,
    "structure": lambda _: ("plain", "undefined lengths", "unknown elements", "trailing padding"),
}
