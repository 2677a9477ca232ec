"""Frames of pixel data are found, compared with the header, and decoded or refused by their reason."""

import time
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from model.errors import ImageDecodeError, ImageTooLarge, InvalidInput
from tests.support.image_files.dicom import ct
from tests.support.image_files.dicom_frames import GREY, compressed, frame, frame_of, saved


def refused(kind: type[InvalidInput], reason: str, values: Any, **elements: Any) -> None:
    with pytest.raises(kind, match=reason):
        frame(values, **elements)


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


def test_run_length_encoded_bits_are_unpacked() -> None:
    bits = np.eye(8, 11, dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    literal = bytes([len(packed) - 1]) + packed
    rle = b"\1\0\0\0\x40\0\0\0" + bytes(56) + literal + b"\0" * (len(literal) % 2)
    found = compressed(bits, RLELossless, rle, BitsAllocated=1, BitsStored=1, HighBit=0)
    assert found.values.tolist() == bits.tolist()


@pytest.mark.parametrize("behind", [bytes(300), b"\x81\0" * 5_000_000], ids=["zeros", "a bomb"])
def test_bytes_behind_a_run_length_encoded_frame_are_left_out(behind: bytes) -> None:
    halves = GREY.tobytes()[:128], GREY.tobytes()[128:]
    rle = b"\1\0\0\0\x40\0\0\0" + bytes(56) + b"".join(b"\x7f" + half for half in halves)
    start = time.process_time()
    assert compressed(GREY, RLELossless, rle + behind).values.tolist() == GREY.tolist()
    assert time.process_time() - start < 1  # expanding 640 MB takes longer


def test_a_frame_beyond_the_pixel_data_is_refused_and_those_before_are_read() -> None:
    one = np.arange(4, dtype=np.uint8).reshape(2, 2)
    assert frame(one, NumberOfFrames=3).values.tolist() == one.tolist()
    with pytest.raises(ImageDecodeError, match=r"fewer frames than .* says: it contains 1, counted"):
        frame(one, 1, NumberOfFrames=3)


def test_pixel_data_cut_short_is_refused_by_that_reason() -> None:
    refused(ImageDecodeError, "fewer bytes than Rows, Columns, SamplesPerPixel", GREY, PixelData=GREY.tobytes()[:-2])


def test_a_transfer_syntax_that_contradicts_the_pixel_data_is_refused() -> None:
    jpeg = JPEGBaseline8Bit.encode()
    whole = ct(GREY, TransferSyntaxUID=JPEGBaseline8Bit, PixelData=encapsulate([saved(GREY)]))
    uncompressed = whole.replace(jpeg, ExplicitVRLittleEndian.encode().ljust(len(jpeg), b"\0"))
    with pytest.raises(ImageDecodeError, match="its pixel data is compressed, its transfer syntax is not"):
        frame_of(uncompressed)


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("encode", [saved, imagecodecs.jpegls_encode, imagecodecs.jpeg2k_encode])
@pytest.mark.parametrize("items", [False, True])
def test_compressed_bytes_of_a_known_length_are_refused_too(encode: Any, count: int, items: bool) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (count, 16, 16), dtype=np.uint8)
    codestreams = [bytes(encode(picture)) for picture in noise]
    value = encapsulate(codestreams) if items else b"".join(codestreams)
    for syntax in (ExplicitVRLittleEndian, ExplicitVRBigEndian):
        refused(ImageDecodeError, "its pixel data is compressed, its transfer syntax is not", noise,
                TransferSyntaxUID=syntax, PixelData=value + b"\0" * (len(value) % 2))  # fmt: skip


def test_pixels_may_begin_like_a_codestream() -> None:
    pixels = GREY.copy()
    pixels[0, :4] = 0xFF, 0xD8, 0xFF, 0xE0
    assert frame(pixels).values.tolist() == pixels.tolist()


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


def test_only_jpeg_may_be_larger_than_its_header_says() -> None:
    for encode in (imagecodecs.jpegls_encode, imagecodecs.jpeg2k_encode):
        codestream = bytes(encode(np.zeros((24, 40), np.uint8)))
        refused(ImageDecodeError, "they differ in Columns", np.zeros((24, 39), np.uint8),
                TransferSyntaxUID=JPEGLSLossless, PixelData=encapsulate([codestream]))  # fmt: skip


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
