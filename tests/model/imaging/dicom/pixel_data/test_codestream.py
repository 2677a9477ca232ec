"""Headers of compressed frames, as Pillow, CharLS, OpenJPEG and the lossless JPEG encoder of imagecodecs write them."""

import io
import re
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.codestreams.jpeg import MAX_SCANS
from model.imaging.codestreams.jpeg_2000 import MAX_TILES
from model.imaging.dicom.pixel_data.codestream import read_codestream
from tests.support.image_files.bombs.codestreams import finely_coded

GREY = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9)
GREY16 = GREY.astype(np.uint16) * 1000
COLOUR = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)


def jpeg2000(pixels: np.ndarray, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, **{"codecformat": "j2k", "reversible": True, **options}))


def saved(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "kind", "samples", "precision", "is_lossy"),
    [
        (saved(GREY, "JPEG"), "JPEG", 1, 8, True),
        (saved(COLOUR, "JPEG", progressive=True), "JPEG", 3, 8, True),
        (imagecodecs.ljpeg_encode(GREY16), "JPEG", 1, 16, False),
        (imagecodecs.jpegls_encode(GREY16), "JPEG-LS", 1, 16, False),
        (imagecodecs.jpegls_encode(COLOUR, level=2), "JPEG-LS", 3, 8, True),
        (jpeg2000(GREY16), "JPEG 2000", 1, 16, False),
        (jpeg2000(COLOUR, level=30, codecformat="jp2", reversible=False), "JPEG 2000", 3, 8, True),
    ],
)
def test_size_precision_and_loss_are_read(data: bytes, kind: str, samples: int, precision: int, is_lossy: bool) -> None:
    found = read_codestream(data)
    assert (found.kind, found.rows, found.columns) == (kind, 6, 9)
    assert (found.samples, found.precision, found.is_lossy) == (samples, precision, is_lossy)


def test_jpeg2000_says_whether_it_is_signed() -> None:
    signed = jpeg2000(GREY16.astype(np.int16))
    assert read_codestream(signed).is_signed
    assert not read_codestream(jpeg2000(GREY16)).is_signed


def test_the_colours_are_those_of_the_component_transform_or_unknown() -> None:
    mixed = jpeg2000(COLOUR, mct=True)
    separate = jpeg2000(COLOUR, mct=False)
    assert read_codestream(mixed).is_rgb is True
    assert read_codestream(separate).is_rgb is None


ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"


def without_jfif(data: bytes, extra: bytes = b"") -> bytes:
    return data[:2] + extra + data[20:]


def test_the_marks_of_a_jpeg_say_whether_its_colours_are_rgb() -> None:
    jfif = saved(COLOUR, "JPEG")
    assert jfif[6:10] == b"JFIF"
    assert read_codestream(jfif).is_rgb is False
    assert read_codestream(without_jfif(saved(COLOUR, "JPEG", subsampling="4:4:4"))).is_rgb is None
    assert read_codestream(without_jfif(jfif, ADOBE + b"\0")).is_rgb is True
    assert read_codestream(without_jfif(jfif, ADOBE + b"\1")).is_rgb is False
    named = re.sub(rb"(\xff\xc0.{8})\1?", rb"\1", without_jfif(jfif), flags=re.DOTALL)
    frame = named.index(b"\xff\xc0") + 10
    letters = bytearray(named)
    letters[frame], letters[frame + 3], letters[frame + 6] = b"RGB"
    assert read_codestream(bytes(letters)).is_rgb is True


def test_subsampled_colours_of_a_jpeg_without_a_mark_are_not_rgb() -> None:
    for subsampling in ("4:2:0", "4:2:2"):
        data = saved(COLOUR, "JPEG", subsampling=subsampling)
        assert read_codestream(without_jfif(data)).is_rgb is False
        assert read_codestream(without_jfif(data, ADOBE + b"\0")).is_rgb is True


def test_of_the_marks_of_a_lossless_codestream_only_those_of_rgb_count() -> None:
    """A lossless process transforms no colours: GDCM and dcmtk ignore JFIF there. libjpeg-turbo writes RGB with 0."""
    lossless = without_jfif(
        bytes(imagecodecs.jpeg8_encode(COLOUR, lossless=True, colorspace="YCBCR", outcolorspace="YCBCR"))
    )
    for data in (lossless, bytes(imagecodecs.jpegls_encode(COLOUR))):
        for mark in (b"", saved(COLOUR, "JPEG")[2:20], ADOBE + b"\1"):
            assert read_codestream(data[:2] + mark + data[2:]).is_rgb is None
        assert read_codestream(data[:2] + ADOBE + b"\0" + data[2:]).is_rgb is True


@pytest.mark.parametrize(("data", "place"), [(saved(GREY, "JPEG"), b"\xff\xc0"), (jpeg2000(GREY), b"\xff\x51")])
def test_more_bits_per_sample_than_are_decoded_are_refused(data: bytes, place: bytes) -> None:
    changed, start = bytearray(data), data.index(place)
    changed[start + (4 if data[1] == 0xD8 else 40)] = 37  # precision, or Ssiz
    with pytest.raises(ImageFormatUnsupported, match="has more than 32 bits per sample"):
        read_codestream(bytes(changed))


def test_a_scan_header_without_its_last_coefficient_is_corrected() -> None:
    right = saved(GREY, "JPEG")
    place = right.index(b"\xff\xda")
    end = place + 2 + int.from_bytes(right[place + 2 : place + 4], "big")
    wrong = right[: end - 2] + b"\0" + right[end - 1 :]
    assert right[end - 3 : end] == b"\0\x3f\0"
    assert read_codestream(wrong).data == right == read_codestream(right).data


def test_boxes_in_front_of_a_codestream_are_left_out() -> None:
    boxed = jpeg2000(GREY, codecformat="jp2")
    assert boxed[4:8] == b"jP  "
    assert read_codestream(boxed).data.startswith(b"\xff\x4f\xff\x51")


@pytest.mark.parametrize("data", [b"", b"noise" * 10, b"\0" * 5000])
def test_bytes_that_are_no_codestream_are_refused(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match="it is not JPEG, JPEG-LS or JPEG 2000"):
        read_codestream(data)


@pytest.mark.parametrize(("data", "kind"), [(saved(GREY, "JPEG"), "JPEG"), (jpeg2000(GREY), "JPEG 2000")])
def test_a_header_cut_short_is_refused(data: bytes, kind: str) -> None:
    with pytest.raises(ImageDecodeError, match=f"the {kind} frame of the DICOM file is damaged"):
        read_codestream(data[:30])


def test_components_of_different_depths_are_refused() -> None:
    data = bytearray(jpeg2000(COLOUR))
    data[4 + 2 + 36] = 11  # Ssiz of the first component
    with pytest.raises(ImageFormatUnsupported, match="components of different sizes or depths"):
        read_codestream(bytes(data))


def test_a_jpeg2000_of_too_many_tiles_is_refused() -> None:
    data = bytearray(imagecodecs.jpeg2k_encode(np.zeros((255, 255), np.uint8), codecformat="j2k", reversible=True))
    data[4 + 2 + 18 : 4 + 2 + 26] = (1).to_bytes(4, "big") * 2  # XTsiz and YTsiz
    with pytest.raises(ImageTooLarge, match=f"more than {MAX_TILES:,} tiles"):
        read_codestream(bytes(data))


@pytest.mark.parametrize("options", [{"block": 0}, {"block": 0, "is_in_tile": True}, {"precinct": 1}])
def test_a_jpeg2000_of_too_many_code_blocks_or_packets_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ImageTooLarge, match=r"524,288 code blocks or 2,097,152 packets; send it uncompressed"):
        read_codestream(finely_coded(4000, **options))


def test_a_jpeg2000_that_lacks_a_tile_is_refused() -> None:
    tiled = saved(np.zeros((64, 64), np.uint8), "JPEG2000", tile_size=(32, 32), no_jp2=True)
    second, third = (tiled.index(b"\xff\x90\0\x0a\0" + bytes([number])) for number in (1, 2))
    assert read_codestream(tiled).rows == 64
    with pytest.raises(
        ImageDecodeError, match="the JPEG 2000 frame of the DICOM file is damaged: it lacks some of its"
    ):
        read_codestream(tiled[:second] + tiled[third:])


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    data = saved(GREY, "JPEG")
    scan = data[data.index(b"\xff\xda") : -2]
    with pytest.raises(ImageFormatUnsupported, match=f"more than {MAX_SCANS} scans"):
        read_codestream(data[:-2] + scan * MAX_SCANS + data[-2:])
    assert read_codestream(data + scan * MAX_SCANS).rows == GREY.shape[0]
