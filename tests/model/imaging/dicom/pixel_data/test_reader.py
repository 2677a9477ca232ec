"""Stored values of one frame, from every encoding of pixel data."""

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput
from model.imaging.dicom import frames
from model.imaging.dicom.header import read_header
from model.imaging.dicom.pixel_data.reader import Frame, PixelData
from tests.support.image_files.dicom import MAX_PIXELS, ct

TWELVE_BITS = np.array([[0, 1, 0x7FF, 0x800, 0x80D, 0xFFF]], dtype=np.uint16)
SIGNED = ((TWELVE_BITS.astype(np.int32) ^ 0x800) - 0x800).astype(np.int16)  # the same bits in two's complement
GREY = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)


def frame(values: Any, index: int = 0, **elements: Any) -> Frame:
    return frame_of(ct(values, **elements), index)


def frame_of(data: bytes, index: int = 0) -> Frame:
    header = read_header(data, MAX_PIXELS)
    reader = PixelData(
        header.file,
        header.element,
        header.image,
        frame_count=frames.count(header.dataset),
        extended_offsets=[],
        max_pixels=MAX_PIXELS,
    )
    return reader.frame(index)


def compressed(values: NDArray[Any], syntax: str, codestream: bytes | bytearray, **elements: Any) -> Frame:
    return frame(values, TransferSyntaxUID=syntax, PixelData=encapsulate([bytes(codestream)]), **elements)


def refused(kind: type[InvalidInput], reason: str, values: Any, **elements: Any) -> None:
    with pytest.raises(kind, match=reason):
        frame(values, **elements)


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


@pytest.mark.parametrize("shape", [(7, 9), (1, 1), (3, 5), (8, 8), (11, 4)])
def test_frames_of_one_bit_per_pixel_follow_each_other_without_padding(shape: tuple[int, int]) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (5, *shape), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    elements: dict[str, Any] = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    packed += b"\0" * (len(packed) % 2)
    for index in range(5):
        assert frame(bits, index, PixelData=packed, **elements).values.tolist() == bits[index].tolist()
    swapped = np.frombuffer(packed, np.uint16).byteswap().tobytes()
    big = ct(bits, PixelData=swapped, TransferSyntaxUID=ExplicitVRBigEndian, **elements)
    words = big.replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10OW")
    for index in range(5):
        assert frame_of(words, index).values.tolist() == bits[index].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_the_bytes_of_16_bit_words_are_swapped_in_big_endian(dtype: type) -> None:
    values: NDArray[Any] = np.arange(12).reshape(3, 4).astype(dtype) * 19
    swapped = np.frombuffer(values.tobytes(), np.uint16).byteswap().tobytes()
    whole = ct(values, PixelData=swapped, TransferSyntaxUID=ExplicitVRBigEndian)
    words = whole.replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10OW")
    assert frame_of(words).values.tolist() == values.tolist()


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


def saved(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


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


def test_run_length_encoded_bits_are_unpacked() -> None:
    bits = np.eye(8, 11, dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    literal = bytes([len(packed) - 1]) + packed
    rle = b"\1\0\0\0\x40\0\0\0" + bytes(56) + literal + b"\0" * (len(literal) % 2)
    found = compressed(bits, RLELossless, rle, BitsAllocated=1, BitsStored=1, HighBit=0)
    assert found.values.tolist() == bits.tolist()


def test_a_run_length_encoded_frame_of_more_bytes_than_it_can_need_is_not_expanded() -> None:
    rle = b"\1\0\0\0\x40\0\0\0" + bytes(56) + b"\x81\0" * 100_000
    refused(ImageDecodeError, "more bytes than Rows and Columns need", GREY, TransferSyntaxUID=RLELossless,
            PixelData=encapsulate([rle]))  # fmt: skip


def test_a_frame_beyond_the_pixel_data_is_refused_and_those_before_are_read() -> None:
    one = np.arange(4, dtype=np.uint8).reshape(2, 2)
    assert frame(one, NumberOfFrames=3).values.tolist() == one.tolist()
    with pytest.raises(ImageDecodeError, match=r"fewer frames than .* says: 1 are there"):
        frame(one, 1, NumberOfFrames=3)


def test_pixel_data_cut_short_is_refused_by_that_reason() -> None:
    refused(ImageDecodeError, "fewer bytes than Rows, Columns, SamplesPerPixel", GREY, PixelData=GREY.tobytes()[:-2])


def test_a_transfer_syntax_that_contradicts_the_pixel_data_is_refused() -> None:
    jpeg = JPEGBaseline8Bit.encode()
    whole = ct(GREY, TransferSyntaxUID=JPEGBaseline8Bit, PixelData=encapsulate([saved(GREY)]))
    uncompressed = whole.replace(jpeg, ExplicitVRLittleEndian.encode().ljust(len(jpeg), b"\0"))
    with pytest.raises(ImageDecodeError, match="its pixel data is compressed, its transfer syntax is not"):
        frame_of(uncompressed)


def test_uncompressed_pixel_data_under_a_compressed_transfer_syntax_is_refused() -> None:
    padded = ExplicitVRLittleEndian.encode() + b"\0"
    whole = ct(GREY)
    length = whole[140:144]
    longer = whole.replace(b"UI\x14\0" + padded, b"UI\x16\0" + JPEGBaseline8Bit.encode())
    longer = longer.replace(length, bytes([length[0] + 2, *length[1:]]), 1)
    with pytest.raises(ImageDecodeError, match="its transfer syntax is compressed, its pixel data is not"):
        frame_of(longer)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((8, 12), "they differ in Rows and Columns"),
        ((24, 12), "they differ in Columns"),
        ((8, 40), "they differ in Rows"),
        ((40, 24), "Rows and Columns are swapped"),
        ((24, 40), None),
    ],
)
def test_sizes_that_contradict_each_other_are_named(shape: tuple[int, int], reason: str | None) -> None:
    codestream = saved(np.zeros((24, 40), np.uint8))
    values = np.zeros(shape, np.uint8)
    elements = {"TransferSyntaxUID": JPEGBaseline8Bit, "PixelData": encapsulate([codestream])}
    if reason is None:
        assert frame(values, **elements).values.shape == shape
    else:
        refused(ImageDecodeError, f"contradicts its compressed frame: {reason}$", values, **elements)


def test_the_padding_of_an_encoder_to_whole_blocks_is_cut_off() -> None:
    padded = np.zeros((16, 32), np.uint8)
    padded[:, :24] = 200
    found = compressed(np.zeros((16, 24), np.uint8), JPEGBaseline8Bit, saved(padded))
    assert found.values.shape == (16, 24)
    assert int(found.values.min()) > 190


def test_a_codestream_larger_than_the_limit_is_refused_before_it_is_decoded() -> None:
    codestream = saved(np.zeros((3000, 3000), np.uint8))
    refused(ImageTooLarge, "4,000,000 pixels", GREY, TransferSyntaxUID=JPEGBaseline8Bit,
            PixelData=encapsulate([codestream]))  # fmt: skip


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_jpeg_without_its_end_marker_is_read_and_one_cut_short_is_refused(lossless: bool, progressive: bool) -> None:
    codestream = imagecodecs.ljpeg_encode(GREY) if lossless else saved(GREY, progressive=progressive)
    syntax = JPEGLosslessSV1 if lossless else JPEGBaseline8Bit
    assert codestream.endswith(b"\xff\xd9")
    found = compressed(GREY, syntax, codestream[:-2])
    assert np.abs(found.values.astype(int) - GREY).max() <= 2
    for share in (0.6, 0.8, 0.9, 0.95):
        with pytest.raises(ImageDecodeError, match=r"cut short|damaged"):
            compressed(GREY, syntax, codestream[: int(share * len(codestream))])


def test_a_damaged_codestream_is_refused() -> None:
    codestream = imagecodecs.jpegls_encode(GREY)
    refused(ImageDecodeError, "damaged and cannot be decoded", GREY, TransferSyntaxUID=JPEGLSLossless,
            PixelData=encapsulate([codestream[: codestream.index(b"\xff\xda") + 12] + b"\xff\xd9"]))  # fmt: skip
