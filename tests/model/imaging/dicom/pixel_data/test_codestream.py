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
    assert read_codestream(without_jfif(jfif)).is_rgb is None
    assert read_codestream(without_jfif(jfif, ADOBE + b"\0")).is_rgb is True
    assert read_codestream(without_jfif(jfif, ADOBE + b"\1")).is_rgb is False
    named = re.sub(rb"(\xff\xc0.{8})\1?", rb"\1", without_jfif(jfif), flags=re.DOTALL)
    frame = named.index(b"\xff\xc0") + 10
    letters = bytearray(named)
    letters[frame], letters[frame + 3], letters[frame + 6] = b"RGB"
    assert read_codestream(bytes(letters)).is_rgb is True


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


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    data = saved(GREY, "JPEG")
    with pytest.raises(ImageFormatUnsupported, match=f"more than {MAX_SCANS} scans"):
        read_codestream(data + b"\xff\xda" * MAX_SCANS)
