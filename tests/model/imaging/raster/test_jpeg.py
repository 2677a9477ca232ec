"""JPEG files without end, with bytes before them, cut short, and of more than 8 bits."""

import re
import sys

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.codestreams.jpeg import MAX_SCANS
from model.imaging.images import check, decode
from tests.support.image_files.bombs.codestreams import (
    jpeg_of_many_scans,
    jpeg_of_many_scans_behind_comments,
    jpeg_segment,
)
from tests.support.image_files.raster import gradient
from tests.support.samples import saved

MAX_PIXELS = 64_000_000
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8))
KINDS = {
    "baseline": saved(NOISE, "JPEG"),
    "subsampled": saved(NOISE, "JPEG", subsampling=2),
    "progressive": saved(NOISE, "JPEG", progressive=True),
    "grey": saved(NOISE.convert("L"), "JPEG"),
    "CMYK": saved(NOISE.convert("CMYK"), "JPEG"),
    "restarts": saved(NOISE, "JPEG", restart_marker_blocks=3),
    "smooth": saved(gradient(size=(200, 100)), "JPEG"),
}


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_without_its_end_marker_is_whole(kind: str, missing: int) -> None:
    whole = decode(KINDS[kind], max_pixels=MAX_PIXELS)
    assert np.array_equal(np.asarray(decode(KINDS[kind][:-missing], max_pixels=MAX_PIXELS)), np.asarray(whole))


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_is_cut_short_is_refused(kind: str, kept: float) -> None:
    with pytest.raises(ImageDecodeError, match=r"the JPEG image is .*cut short"):
        decode(KINDS[kind][: int(len(KINDS[kind]) * kept)], max_pixels=MAX_PIXELS)


def test_a_progressive_jpeg_that_lacks_its_last_scans_is_refused() -> None:
    data = KINDS["progressive"]
    with pytest.raises(ImageDecodeError, match="the JPEG image is cut short: the end of its data is missing"):
        decode(data[: data.rindex(b"\xff\xda")], max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("kind", ["baseline", "progressive", "grey"])
def test_no_cut_gives_another_picture(kind: str) -> None:
    whole = np.asarray(decode(KINDS[kind], max_pixels=MAX_PIXELS))
    for missing in (*range(3, 40), *range(40, 2000, 97)):
        try:
            found = decode(KINDS[kind][:-missing], max_pixels=MAX_PIXELS)
        except ImageDecodeError:
            continue
        assert np.array_equal(np.asarray(found), whole)


@pytest.mark.parametrize("before", [b"\r\n", b"\0" * 100, b"Content-Type: image/jpeg\r\n\r\n"])
def test_a_few_bytes_before_a_jpeg_do_not_matter(before: bytes) -> None:
    whole = decode(KINDS["baseline"], max_pixels=MAX_PIXELS)
    assert np.array_equal(np.asarray(decode(before + KINDS["baseline"], max_pixels=MAX_PIXELS)), np.asarray(whole))


@pytest.mark.parametrize("before", [b"\0" * 200, b"%PDF-1.7\n", b"PK\x03\x04"])
def test_a_jpeg_inside_something_else_is_not_looked_for(before: bytes) -> None:
    with pytest.raises((ImageDecodeError, ImageFormatUnsupported)):
        decode(before + KINDS["baseline"], max_pixels=MAX_PIXELS)


def test_bytes_behind_a_jpeg_do_not_matter() -> None:
    whole = decode(KINDS["baseline"], max_pixels=MAX_PIXELS)
    assert np.array_equal(np.asarray(decode(KINDS["baseline"] + b"\0" * 999, max_pixels=MAX_PIXELS)), np.asarray(whole))


def test_a_film_or_further_pictures_behind_a_jpeg_do_not_matter() -> None:
    film = np.random.default_rng(0).bytes(8_000_000)
    for kind in ("baseline", "progressive"):
        whole = np.asarray(decode(KINDS[kind], max_pixels=MAX_PIXELS))
        assert np.array_equal(np.asarray(decode(KINDS[kind] + film, max_pixels=MAX_PIXELS)), whole)
    several = saved(NOISE, "MPO", save_all=True, append_images=[NOISE] * 12, progressive=True)
    assert several.count(b"\xff\xda") > MAX_SCANS
    assert decode(several, max_pixels=MAX_PIXELS).size == NOISE.size


def test_the_scan_of_a_thumbnail_replaces_none_of_the_picture() -> None:
    thumbnail = jpeg_segment(0xE1, b"Exif\0\0" + saved(NOISE.resize((35, 45)), "JPEG"))
    data = KINDS["progressive"][:2] + thumbnail + KINDS["progressive"][2:]
    assert decode(data, max_pixels=MAX_PIXELS).size == NOISE.size
    scans = [place.start() for place in re.finditer(b"\xff\xda", data)][2:]
    for place in scans:
        with pytest.raises(ImageDecodeError, match="the JPEG image is cut short"):
            decode(data[:place], max_pixels=MAX_PIXELS)


def test_deep_and_lossless_jpegs_of_four_colours_are_refused() -> None:
    ink = np.zeros((16, 16, 4), np.uint8)
    for data in (
        imagecodecs.jpeg8_encode(ink, lossless=True),
        imagecodecs.jpeg8_encode(ink.astype(np.uint16), level=90, bitspersample=12),
    ):
        with pytest.raises(ImageFormatUnsupported, match="a JPEG of four colours and of more than 8 bits"):
            check(bytes(data), max_pixels=MAX_PIXELS)


DEEP = np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64)
DEEP_JPEGS = {
    "of 12 bits": bytes(imagecodecs.jpeg8_encode(DEEP, level=100, bitspersample=12)),
    "lossless of 16 bits": bytes(imagecodecs.jpeg8_encode(DEEP, lossless=True, bitspersample=16)),
    "lossless, as DICOM has it": bytes(imagecodecs.ljpeg_encode(DEEP, bitspersample=16)),
}


@pytest.mark.parametrize("kind", DEEP_JPEGS)
def test_a_deep_jpeg_is_scaled_to_8_bits(kind: str) -> None:
    image = decode(DEEP_JPEGS[kind], max_pixels=MAX_PIXELS)
    assert image.mode == "L"
    assert np.abs(np.asarray(image, dtype=int) - np.rint(DEEP * (255 / 4095))).max() <= 1


def test_a_lossless_jpeg_of_8_bits_is_unchanged() -> None:
    values = np.asarray(NOISE)
    assert np.array_equal(
        np.asarray(decode(bytes(imagecodecs.jpeg8_encode(values, lossless=True)), max_pixels=MAX_PIXELS)), values
    )


@pytest.mark.parametrize("kind", DEEP_JPEGS)
def test_a_deep_jpeg_has_the_same_limits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DEEP_JPEGS[kind]
    with pytest.raises(ImageTooLarge):
        check(data, max_pixels=64 * 64 - 1)
    with pytest.raises(ImageDecodeError, match="the JPEG image is cut short"):
        decode(data[: len(data) // 2], max_pixels=MAX_PIXELS)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(ImageFormatUnsupported, match=r"or lossless, which needs medimageinsight-server\[tiff\]"):
        check(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff" + b"\xff" * 1_000_000,
        b"\xff\xd8\xff" + b"\xff" * 1_000_000 + KINDS["baseline"][2:],
        b"\xff\xd8\xff\xd0" * 300_000,
        b"\xff\xd8\xff\xe0",
    ],
)
def test_a_jpeg_without_header_is_named(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match="it lacks the header of its frame"):
        check(data, max_pixels=MAX_PIXELS)


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    for data in (jpeg_of_many_scans(), jpeg_of_many_scans_behind_comments()):
        with pytest.raises(ImageDecodeError, match="more than 100 scans"):
            decode(data, max_pixels=MAX_PIXELS)


def test_jpeg_ls_is_refused_by_its_name() -> None:
    with pytest.raises(ImageFormatUnsupported, match="the image has the format JPEG-LS; accepted formats are"):
        check(bytes(imagecodecs.jpegls_encode(np.zeros((8, 8), np.uint8))), max_pixels=MAX_PIXELS)
