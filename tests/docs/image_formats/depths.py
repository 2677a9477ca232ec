"""Rows of raster files with more than 8 bits per sample, or in compressions that Pillow does not read."""

import io
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.docs.image_formats.rows import differ_by, grey, row, shown, stretched
from tests.support.samples import saved

DEEP = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
COLOURS = np.stack([DEEP, DEEP.T, DEEP[::-1]], axis=-1)


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


@row("grey of 9 to 64 bits, signed or floating point")
def deep_greys_are_stretched() -> None:
    for kind in ("u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"):
        values = (DEEP.astype(float) / 8).astype(kind)
        assert differ_by(grey(tiff(values, photometric="minisblack")), stretched(values)) <= 1, kind
    assert differ_by(grey(saved(Image.fromarray(DEEP), "PNG")), stretched(DEEP)) <= 1
    assert differ_by(grey(saved(Image.fromarray(DEEP), "JPEG2000")), stretched(DEEP)) <= 1
    with_holes = DEEP.astype(np.float32)
    with_holes[0, :2] = np.nan, np.inf
    assert differ_by(grey(tiff(with_holes))[1:], stretched(np.clip(DEEP, 128, None))[1:]) <= 1
    alpha = np.stack([DEEP, DEEP.T], axis=-1)
    data = tiff(alpha, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    assert differ_by(grey(data), stretched(DEEP)) <= 1


@row("PNG of 16-bit grey with alpha")
def alpha_beside_deep_grey_keeps_the_upper_bits() -> None:
    data = bytes(imagecodecs.png_encode(np.stack([DEEP, DEEP.T], axis=-1)))
    assert (grey(data) == DEEP >> 8).all()


@row("RGB of 9 to 16 bits")
def deep_colours_lose_their_lower_bits() -> None:
    for data in (tiff(COLOURS, photometric="rgb"), bytes(imagecodecs.png_encode(COLOURS))):
        assert (shown(data) == COLOURS >> 8).all()


@row("TIFF, RGB of other types")
def other_colours_are_scaled() -> None:
    shares = (COLOURS / 65536).astype(np.float32)
    assert differ_by(shown(tiff(shares, photometric="rgb")), np.rint(shares * 255)) <= 1
    for kind in ("u4", "i2"):
        values = (COLOURS // 4).astype(kind)
        assert differ_by(shown(tiff(values, photometric="rgb")), stretched(values)) <= 1, kind


@row("TIFF whose zero is white")
def white_zero_is_inverted() -> None:
    assert (grey(tiff((DEEP >> 8).astype(np.uint8), photometric="miniswhite")) == 255 - (DEEP >> 8)).all()
    for kind in ("u2", "u4", "f4"):
        data = tiff(DEEP.astype(kind), photometric="miniswhite")
        assert differ_by(grey(data), 255 - stretched(DEEP)) <= 1, kind


@row("TIFF in JPEG 2000, WebP, LERC, PNG, or of depths that Pillow does not read")
def other_compressions_are_read() -> None:
    colours = (COLOURS >> 8).astype(np.uint8)
    for compression in ("jpeg2000", "webp", "lerc", "png"):
        options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
        data = tiff(colours, photometric="rgb", compression=compression, **options)
        assert differ_by(shown(data), colours) <= 1, compression


@row("JPEG of 12 bits, lossless JPEG; JPEG 2000 in colours of more than 8 bits")
def other_jpegs_are_as_deep_as_they_say() -> None:
    lossless, twelve_bits = (
        imagecodecs.ljpeg_encode(DEEP),
        imagecodecs.jpeg_encode(DEEP >> 4, bitspersample=12, level=100),
    )
    assert differ_by(grey(bytes(lossless)), stretched(DEEP)) <= 1
    assert differ_by(grey(bytes(twelve_bits)), stretched(DEEP)) <= 2
    assert (shown(bytes(imagecodecs.jpeg2k_encode(COLOURS, reversible=True))) == COLOURS >> 8).all()
