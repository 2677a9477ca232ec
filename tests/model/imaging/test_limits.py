"""The limit of decoded bytes: what decoders hold of one picture, in every format."""

import gzip
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from model.errors import ImageTooLarge
from model.imaging.images import check, decode
from model.imaging.limits import LEAST_DECODED_BYTES, check_decoded_bytes
from tests.support.image_files.bombs.codestreams import deep_components, jpeg_claiming, resized
from tests.support.image_files.bombs.dicom import SMALL, with_codestreams
from tests.support.image_files.bombs.raster import avif, chunk
from tests.support.image_files.bombs.tiff import DEFLATE, JPEG2000, one
from tests.support.image_files.bombs.volumes import header
from tests.support.image_files.dicom import ct
from tests.support.samples import saved

MAX_PIXELS, SIDE = 64_000_000, 8000
RGB: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
DEEP = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}


def png(bits: int, colour_type: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def webp(side: int) -> bytes:
    return saved(Image.new("RGB", (side, side)), "WEBP", lossless=True, method=0)


TOO_LARGE: dict[str, Callable[[], bytes]] = {
    "JPEG 2000 of 64 megapixels in three colours": lambda: deep_components(3, SIDE),
    "JPEG 2000 of 17 megapixels in RGBA": lambda: deep_components(4, 4123),
    "WebP of 36 megapixels": lambda: webp(6000),
    "AVIF of 36 megapixels": lambda: avif(6000),
    "progressive JPEG of 64 megapixels, 4:4:4": lambda: jpeg_claiming(SIDE, progressive=True, subsampling=0),
    "progressive JPEG of 36 megapixels in CMYK": lambda: jpeg_claiming(6000, "CMYK", progressive=True),
    "TIFF of 64 megapixels of 64 bits": lambda: one(b"?", DEFLATE, SIDE, bits=64),
    "TIFF of 64 megapixels of 32 bits in JPEG 2000": lambda: one(b"?", JPEG2000, SIDE, bits=16),
    "DICOM of 64 megapixels of RGB of 16 bits": lambda: ct(SMALL, Rows=SIDE, Columns=SIDE, **RGB, **DEEP),
    "DICOM of 64 megapixels of 64 bits": lambda: ct(
        SMALL, Rows=SIDE, Columns=SIDE, BitsAllocated=64, BitsStored=64, HighBit=63
    ),
    "NIfTI with slices of 64 megapixels of float64": lambda: header(SIDE, SIDE, 1, kind=np.float64),
    "NIfTI with slices of 64 megapixels of int64, compressed": lambda: gzip.compress(header(5760, 5760, kind=np.int64)),
}
HONEST: dict[str, Callable[[], bytes]] = {
    "JPEG 2000 of 64 megapixels of grey": lambda: deep_components(1, SIDE),
    "JPEG 2000 of 20 megapixels of RGB of 16 bits": lambda: deep_components(3, 4500),
    "WebP of 30 megapixels": lambda: webp(5500),
    "AVIF of 30 megapixels": lambda: avif(5500),
    "JPEG of 64 megapixels in CMYK": lambda: jpeg_claiming(SIDE, "CMYK"),
    "progressive JPEG of 64 megapixels, 4:2:0": lambda: jpeg_claiming(SIDE, progressive=True, subsampling=2),
    "progressive JPEG of 40 megapixels, 4:4:4": lambda: jpeg_claiming(6300, progressive=True, subsampling=0),
    "PNG of 64 megapixels of RGBA": lambda: png(8, 6),
    "PNG of 64 megapixels of grey of 16 bits": lambda: png(16, 0),
    "TIFF of 64 megapixels of 32 bits": lambda: one(b"?", DEFLATE, SIDE, bits=32),
    "DICOM of 64 megapixels of 16 bits": lambda: ct(SMALL, Rows=SIDE, Columns=SIDE, **DEEP),
    "DICOM of 64 megapixels of RGB": lambda: ct(SMALL, Rows=SIDE, Columns=SIDE, **RGB),
    "DICOM of 40 megapixels of RGB of 16 bits": lambda: ct(SMALL, Rows=6300, Columns=6300, **RGB, **DEEP),
    "NIfTI with slices of 64 megapixels of float32": lambda: header(SIDE, SIDE, 1, kind=np.float32),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_a_picture_whose_decoder_holds_too_much_is_refused_by_its_header(kind: str) -> None:
    with pytest.raises(ImageTooLarge, match=r"more than 256,000,000 bytes while it is decoded, which is the limit"):
        check(TOO_LARGE[kind](), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("kind", HONEST)
def test_large_pictures_of_usual_depths_are_within_the_limit(kind: str) -> None:
    check(HONEST[kind](), max_pixels=MAX_PIXELS)


def test_the_limit_follows_the_limit_of_pixels_down_to_64_mib() -> None:
    check_decoded_bytes(4 * MAX_PIXELS, MAX_PIXELS)
    check_decoded_bytes(LEAST_DECODED_BYTES, 1)
    for size, max_pixels in ((4 * MAX_PIXELS + 1, MAX_PIXELS), (LEAST_DECODED_BYTES + 1, 1)):
        with pytest.raises(ImageTooLarge, match=f"more than {size - 1:,} bytes"):
            check_decoded_bytes(size, max_pixels)


def test_a_compressed_dicom_frame_is_refused_when_it_is_decoded() -> None:
    for data in (
        with_codestreams(jpeg_claiming(SIDE), 1, JPEGBaseline8Bit, SIDE, **RGB),
        with_codestreams(resized(deep_components(3, 8), SIDE), 1, side=SIDE, **RGB),
    ):
        with pytest.raises(ImageTooLarge, match="bytes while it is decoded"):
            decode(data, max_pixels=MAX_PIXELS)
