"""Frames in every encapsulated transfer syntax, by encoders that the product does not use where there is a choice."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from tests.support.image_files.dicom_matrix.recipes import CODED_AS_RGB, Recipe

Cells = NDArray[Any]
NEAR = 1  # largest error of near-lossless JPEG-LS, in stored values
QUALITY = 98  # of lossy JPEG
PEAK_SIGNAL_TO_NOISE = 60  # of lossy JPEG 2000, in dB of the stored bits
BIT_DB = 6


def encode(cells: Cells, recipe: Recipe) -> bytes:
    """Encode one frame, (H, W) or (H, W, 3) of unsigned cells; the result has an even length."""
    if recipe.syntax != uid.RLELossless:
        cells = cells & (2 ** precision(recipe) - 1)
    stream = _ENCODERS[recipe.syntax](np.ascontiguousarray(cells), recipe)
    return stream + bytes(len(stream) % 2)


def precision(recipe: Recipe) -> int:
    """Bits per sample of the codestream."""
    return recipe.layout.stored if recipe.unused == "extended" else recipe.layout.allocated


def _jpeg_lossy(cells: Cells, recipe: Recipe) -> bytes:
    space = None if not recipe.colour else "RGB" if recipe.photometric == "RGB" else "YCBCR"
    subsampling = "422" if recipe.photometric == "YBR_FULL_422" else "444"
    bits = precision(recipe)
    stream = imagecodecs.jpeg8_encode(
        cells.astype(np.uint8) if bits <= 8 else cells,
        level=QUALITY,
        colorspace=space,
        outcolorspace=space,
        subsampling=subsampling,
        bitspersample=bits,
    )
    return bytes(stream)


def _jpeg_lossless(cells: Cells, recipe: Recipe) -> bytes:
    predictor = 1 if recipe.syntax == uid.JPEGLosslessSV1 else 2 + recipe.size[0] % 6
    bits = precision(recipe)
    bytewise = cells.astype(np.uint8) if bits <= 8 else cells
    stream = bytes(imagecodecs.jpeg8_encode(bytewise, lossless=True, predictor=predictor, bitspersample=bits))
    return stream if recipe.photometric != "YBR_FULL" else _without_colour_mark(stream)


def _without_colour_mark(stream: bytes) -> bytes:
    """Remove the Adobe segment that says RGB, and number the components instead of naming them R, G and B."""
    start = stream.index(b"\xff\xee")
    stream = stream[:start] + stream[start + 16 :]
    frame = stream.index(b"\xff\xc3") + 10
    scan = stream.index(b"\xff\xda") + 5
    changed = bytearray(stream)
    changed[frame : frame + 9 : 3] = changed[scan : scan + 6 : 2] = bytes((1, 2, 3))
    return bytes(changed)


def _jpeg_ls(cells: Cells, recipe: Recipe) -> bytes:
    planes = np.moveaxis(cells, -1, 0) if recipe.planar else cells
    bytewise = planes.astype(np.uint8) if precision(recipe) <= 8 else planes
    return bytes(
        jpeg_ls.encode_pixel_data(
            np.ascontiguousarray(bytewise).tobytes(),
            NEAR if recipe.syntax == uid.JPEGLSNearLossless else 0,
            rows=cells.shape[0],
            columns=cells.shape[1],
            samples_per_pixel=3 if recipe.colour else 1,
            bits_stored=precision(recipe),
            planar_configuration=recipe.planar,
        )
    )


def _jpeg_2000(cells: Cells, recipe: Recipe) -> bytes:
    lossy = recipe.syntax == uid.JPEG2000
    quality = PEAK_SIGNAL_TO_NOISE + BIT_DB * (precision(recipe) - recipe.layout.stored)
    return bytes(
        imagecodecs.jpeg2k_encode(
            _numbers(cells, recipe),
            level=quality if lossy else 0,
            codecformat="j2k",
            bitspersample=precision(recipe),
            reversible=not lossy,
            mct=recipe.photometric in CODED_AS_RGB,
        )
    )


def _htj2k(cells: Cells, recipe: Recipe) -> bytes:
    transformed = recipe.photometric in CODED_AS_RGB
    numbers, reversible = _numbers(cells, recipe), recipe.syntax != uid.HTJ2K
    return bytes(imagecodecs.htj2k_encode(numbers, rgb=transformed, reversible=reversible, tlm=True))


def _numbers(cells: Cells, recipe: Recipe) -> Cells:
    """The cells as the codestream's numbers: signed ones if the header says so, in the fewest bytes."""
    bits = precision(recipe)
    narrow: NDArray[Any] = cells.astype(np.uint8 if bits <= 8 else np.uint16)
    if not recipe.signed:
        return narrow
    spare = 8 * narrow.itemsize - bits
    return np.asarray(np.left_shift(narrow, spare).view(narrow.dtype.str.replace("u", "i")) >> spare)


def _run_length(cells: Cells, recipe: Recipe) -> bytes:
    """PS3.5, annex G: a segment per byte of a cell, the most significant first, and rows coded one by one."""
    channels = cells[..., None] if cells.ndim == 2 else cells
    size = cells.itemsize
    planes = [
        (channels[..., channel] >> 8 * byte & 255).astype(np.uint8)
        for channel in range(channels.shape[-1])
        for byte in reversed(range(size))
    ]
    segments = [b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in plane) for plane in planes]
    segments = [segment + bytes(len(segment) % 2) for segment in segments]
    starts = np.cumsum([64, *(len(segment) for segment in segments[:-1])])
    header = np.zeros(16, dtype="<u4")
    header[: len(segments) + 1] = [len(segments), *starts]
    return header.tobytes() + b"".join(segments)


_ENCODERS: dict[str, Callable[[Cells, Recipe], bytes]] = {
    uid.RLELossless: _run_length,
    uid.JPEGBaseline8Bit: _jpeg_lossy,
    uid.JPEGExtended12Bit: _jpeg_lossy,
    uid.JPEGLossless: _jpeg_lossless,
    uid.JPEGLosslessSV1: _jpeg_lossless,
    uid.JPEGLSLossless: _jpeg_ls,
    uid.JPEGLSNearLossless: _jpeg_ls,
    uid.JPEG2000Lossless: _jpeg_2000,
    uid.JPEG2000: _jpeg_2000,
    uid.HTJ2KLossless: _htj2k,
    uid.HTJ2KLosslessRPCL: _htj2k,
    uid.HTJ2K: _htj2k,
}
