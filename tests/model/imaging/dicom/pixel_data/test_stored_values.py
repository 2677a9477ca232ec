"""Stored values: the bits that count, their sign, and RGB from every photometric interpretation."""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from model.errors import ImageFormatUnsupported
from tests.support.image_files.dicom_frames import GREY, compressed, frame, saved

TWELVE_BITS = np.array([[0, 1, 0x7FF, 0x800, 0x80D, 0xFFF]], dtype=np.uint16)
SIGNED = ((TWELVE_BITS.astype(np.int32) ^ 0x800) - 0x800).astype(np.int16)  # the same bits in two's complement


@pytest.mark.parametrize(("shift", "high"), [(0, 11), (4, 15), (2, 13)])
@pytest.mark.parametrize("unused", [0, 0xFFFF], ids=["unused bits zero", "unused bits set"])
@pytest.mark.parametrize("signed", [False, True])
def test_only_the_stored_bits_count(shift: int, high: int, unused: int, signed: bool) -> None:
    cells = (TWELVE_BITS << shift) | np.uint16(unused & ~(0xFFF << shift))
    found = frame(cells, BitsStored=12, HighBit=high, PixelRepresentation=int(signed))
    assert found.values.tolist() == (SIGNED if signed else TWELVE_BITS).tolist()
    assert found.cells.tolist() == cells.tolist()


@pytest.mark.parametrize("unused", [0, 0xF000], ids=["unused bits zero", "unused bits set"])
@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEGLSLossless, imagecodecs.jpegls_encode),
        (JPEGLosslessSV1, imagecodecs.ljpeg_encode),
        (JPEG2000Lossless, lambda cells: imagecodecs.jpeg2k_encode(cells, codecformat="j2k", reversible=True)),
    ],
)
def test_unused_bits_in_a_codestream_of_precision_16_do_not_count(syntax: str, encode: Any, unused: int) -> None:
    cells = np.repeat(TWELVE_BITS | np.uint16(unused), 4, axis=0)
    signed = compressed(cells, syntax, encode(cells), BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert signed.values.tolist() == np.repeat(SIGNED, 4, axis=0).tolist()
    unsigned = compressed(cells, syntax, encode(cells), BitsStored=12, HighBit=11)
    assert unsigned.values.tolist() == np.repeat(TWELVE_BITS, 4, axis=0).tolist()


def test_the_high_bit_counts_in_a_codestream_with_room_for_it() -> None:
    cells = np.repeat(TWELVE_BITS << 4, 4, axis=0)
    found = compressed(cells, JPEGLSLossless, imagecodecs.jpegls_encode(cells), BitsStored=12, HighBit=15)
    assert found.values.tolist() == np.repeat(TWELVE_BITS, 4, axis=0).tolist()


def test_a_signed_codestream_is_signed_whatever_the_header_says() -> None:
    values: NDArray[np.int16] = np.repeat(SIGNED, 4, axis=0)
    codestream = imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True)
    assert compressed(values.view(np.uint16), JPEG2000Lossless, codestream).values.tolist() == values.tolist()


def test_a_lossy_value_above_the_largest_one_is_the_largest_one() -> None:
    cells = np.full((16, 16), 1023, dtype=np.uint16)
    cells[4:8] = 1030  # as a lossy encoder of a 10-bit picture may leave it
    codestream = imagecodecs.jpeg2k_encode(cells, codecformat="j2k", level=80, reversible=False, bitspersample=12)
    found = compressed(cells, JPEG2000, codestream, BitsStored=10, HighBit=9)
    assert found.is_lossy
    assert int(found.values.max()) == 1023
    assert int(found.values.min()) > 1000


def test_a_signed_lossy_value_beyond_the_stored_bits_is_the_nearest_one() -> None:
    values = np.full((32, 32), 2047, dtype=np.int16)
    values[8:16], values[16:] = 2100, -2100  # as a lossy encoder of a 12-bit picture may leave it
    codestream = imagecodecs.jpeg2k_encode(values, codecformat="j2k", level=80, reversible=False, bitspersample=16)
    elements = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}
    found = compressed(values.view(np.uint16), JPEG2000, codestream, **elements)
    assert (int(found.values.min()), int(found.values.max())) == (-2048, 2047)
    assert int(found.values[:14].min()) > 2000


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEGBaseline8Bit, lambda grey: saved(grey)),
        (JPEGLosslessSV1, imagecodecs.ljpeg_encode),
        (JPEGLSLossless, imagecodecs.jpegls_encode),
    ],
)
def test_eight_bits_may_be_stored_in_sixteen(bits: int, syntax: str, encode: Any) -> None:
    found = compressed(GREY, syntax, encode(GREY), BitsAllocated=bits)
    assert np.abs(found.values.astype(int) - GREY).max() <= 1


RED = np.full((16, 16, 3), (200, 30, 60), dtype=np.uint8)


def colour(photometric: str, syntax: str, codestream: bytes | bytearray) -> list[int]:
    elements: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric}
    found = compressed(GREY, syntax, codestream, PlanarConfiguration=0, **elements)
    pixel: list[int] = found.values[8, 8].tolist()
    return pixel


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "YBR_PARTIAL_422", "RGB", "MONOCHROME2"])
def test_the_mark_of_a_jpeg_decides_its_colours(photometric: str) -> None:
    assert np.abs(np.subtract(colour(photometric, JPEGBaseline8Bit, saved(RED)), RED[0, 0])).max() <= 3


@pytest.mark.parametrize("photometric", ["YBR_RCT", "YBR_FULL", "YBR_FULL_422", "RGB"])
def test_the_component_transform_of_jpeg2000_has_already_made_rgb(photometric: str) -> None:
    codestream = imagecodecs.jpeg2k_encode(RED, codecformat="j2k", reversible=True, mct=True)
    assert colour(photometric, JPEG2000Lossless, codestream) == [200, 30, 60]


def test_without_a_component_transform_the_header_says_the_colours() -> None:
    ybr = np.full((16, 16, 3), (84, 114, 211), dtype=np.uint8)  # of RED, by PS3.3 C.7.6.3.1.2
    codestream = imagecodecs.jpeg2k_encode(ybr, codecformat="j2k", reversible=True, mct=False)
    assert np.abs(np.subtract(colour("YBR_FULL", JPEG2000Lossless, codestream), RED[0, 0])).max() <= 2
    assert colour("RGB", JPEG2000Lossless, codestream) == [84, 114, 211]


def native_colours(values: Any, photometric: str, **elements: Any) -> NDArray[Any]:
    rows, columns = elements.pop("size", (2, 2))
    pixels = np.asarray(values)
    data = pixels.tobytes()
    return frame(
        np.zeros((rows, columns), pixels.dtype),
        PixelData=data,
        SamplesPerPixel=3,
        PhotometricInterpretation=photometric,
        **{"PlanarConfiguration": 0, **elements},
    ).values


def test_native_colours_are_reduced_to_eight_bits() -> None:
    twelve = np.full((2, 2, 3), (0xFFF, 0x800, 0x10), dtype=np.uint16)
    assert native_colours(twelve, "RGB", BitsStored=12, HighBit=11)[0, 0].tolist() == [255, 128, 1]
    five = np.full((2, 2, 3), (31, 16, 0), dtype=np.uint8)
    assert native_colours(five, "RGB", BitsStored=5, HighBit=4)[0, 0].tolist() == [255, 132, 0]


def test_planes_are_interleaved() -> None:
    planes = np.array([[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]], dtype=np.uint8)
    assert native_colours(planes, "RGB", PlanarConfiguration=1)[1, 1].tolist() == [13, 23, 33]


def test_subsampled_colours_are_spread_and_whole_ones_are_recognised_by_their_number() -> None:
    subsampled = np.array([84, 84, 114, 211] * 2, dtype=np.uint8)
    assert np.abs(native_colours(subsampled, "YBR_FULL_422").astype(int) - RED[0, 0]).max() <= 2
    whole = np.array([84, 114, 211] * 4, dtype=np.uint8)
    assert np.abs(native_colours(whole, "YBR_FULL_422").astype(int) - RED[0, 0]).max() <= 2


def test_partial_luminance_is_spread_to_the_whole_range() -> None:
    white_and_black = np.array([235, 16, 128, 128] * 2, dtype=np.uint8)
    assert native_colours(white_and_black, "YBR_PARTIAL_422")[0].tolist() == [[255] * 3, [0] * 3]


def test_an_odd_number_of_columns_cannot_be_subsampled() -> None:
    with pytest.raises(ImageFormatUnsupported, match="odd number of Columns"):
        native_colours(np.zeros(4, np.uint8), "YBR_FULL_422", size=(1, 3))
