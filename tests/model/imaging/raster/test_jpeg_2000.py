"""JPEG 2000: depths that Pillow reads wrongly, and headers that contradict each other."""

import struct
import sys
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.images import check, decode
from tests.support.image_files.bombs.codestreams import deep_components, finely_coded
from tests.support.image_files.raster import gradient
from tests.support.samples import saved

MAX_PIXELS = 64_000_000


def encoded(values: NDArray[Any], **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(values, **options))


@pytest.mark.parametrize("box", ["j2k", "jp2"])
@pytest.mark.parametrize("samples", [1, 3, 4])
@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 9, 10, 12, 15, 16])
def test_every_depth_is_read_and_white_stays_white(bits: int, samples: int, box: str) -> None:
    levels = np.linspace(0, 2**bits - 1, 16 * 16).round().astype(np.uint16 if bits > 8 else np.uint8)
    values = np.stack([levels.reshape(16, 16)] * samples, axis=-1)
    data = encoded(values.squeeze(), bitspersample=bits, reversible=True, codecformat=box)
    found = np.asarray(decode(data, max_pixels=256).convert("RGB"), dtype=np.int64)[..., 0]
    assert np.abs(found - np.rint(values[..., 0] * (255 / (2**bits - 1)))).max() <= 1


@pytest.mark.parametrize("dtype", ["i1", "i2"])
@pytest.mark.parametrize("samples", [1, 3])
def test_signed_samples(dtype: str, samples: int) -> None:
    limits = np.iinfo(dtype)
    levels = np.linspace(limits.min, limits.max, 256).round().astype(dtype).reshape(16, 16)
    data = encoded(np.stack([levels] * samples, axis=-1).squeeze(), reversible=True)
    found = np.asarray(decode(data, max_pixels=256).convert("RGB"), dtype=np.int64)[..., 0]
    assert np.abs(found.ravel() - np.arange(256)).max() <= 1


def test_grey_beside_alpha_of_16_bits_is_stretched() -> None:
    grey = np.arange(1000, 1256, dtype=np.uint16).reshape(16, 16)
    data = encoded(np.stack([grey, np.full_like(grey, 65535)], axis=-1), reversible=True)
    assert np.asarray(decode(data, max_pixels=256)).ravel().tolist() == list(range(256))


def test_deep_colours_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(np.zeros((16, 16, 3), np.uint16))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(ImageFormatUnsupported, match=r"need medimageinsight-server\[tiff\]"):
        check(data, max_pixels=256)


def test_more_than_16_bits_are_refused() -> None:
    data = encoded(np.zeros((16, 16), np.uint32), bitspersample=20)
    with pytest.raises(ImageFormatUnsupported, match="more than 16 bits per sample"):
        check(data, max_pixels=256)


@pytest.mark.parametrize("form", [">II", ">IIH"])
def test_a_box_that_contradicts_the_codestream_is_refused(form: str) -> None:
    whole = bytearray(saved(gradient(size=(48, 32)), "JPEG2000"))
    struct.pack_into(form, whole, whole.index(b"ihdr") + 4, *((32, 40) if form == ">II" else (32, 48, 1)))
    with pytest.raises(ImageDecodeError, match="its header box and its codestream differ"):
        check(bytes(whole), max_pixels=MAX_PIXELS)


def test_more_pixels_in_the_box_or_in_the_codestream_are_too_large() -> None:
    whole = saved(gradient(size=(48, 32)), "JPEG2000")
    for place in (whole.index(b"ihdr") + 4, whole.index(b"\xff\x4f\xff\x51") + 8):
        large = bytearray(whole)
        struct.pack_into(">II", large, place, 60_000, 60_000)
        with pytest.raises(ImageTooLarge):
            check(bytes(large), max_pixels=MAX_PIXELS)


def test_very_many_tiles_are_refused() -> None:
    data = bytearray(encoded(np.zeros((200, 200), np.uint8)))
    struct.pack_into(">II", data, data.index(b"\xff\x4f\xff\x51") + 24, 1, 1)
    with pytest.raises(ImageTooLarge, match="more than 4,096 tiles"):
        check(bytes(data), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("options", [{"block": 0}, {"block": 0, "is_in_tile": True}, {"precinct": 1}])
def test_very_many_code_blocks_or_packets_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ImageTooLarge, match="more than 4,096 tiles, 524,288 code blocks or 2,097,152 packets"):
        check(finely_coded(8000, **options), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("no_jp2", [False, True])
def test_a_file_that_lacks_a_tile_is_refused(no_jp2: bool) -> None:
    tiled = saved(gradient(size=(64, 64)), "JPEG2000", tile_size=(32, 32), no_jp2=no_jp2)
    second, third = (tiled.index(struct.pack(">HHH", 0xFF90, 10, number)) for number in (1, 2))
    assert decode(tiled, max_pixels=MAX_PIXELS).size == (64, 64)
    with pytest.raises(ImageDecodeError, match="the JPEG 2000 image is damaged: it lacks some of its tiles"):
        check(tiled[:second] + tiled[third:] + bytes(third - second), max_pixels=MAX_PIXELS)


def test_cmyk_is_read_of_8_bits_only() -> None:
    ink = np.dstack([255 - np.asarray(gradient(size=(48, 32))), np.zeros((32, 48), np.uint8)])
    options = {"colorspace": "CMYK", "codecformat": "jp2", "reversible": True, "mct": False}
    assert np.array_equal(np.asarray(decode(encoded(ink, **options), max_pixels=MAX_PIXELS)), ink)
    with pytest.raises(
        ImageFormatUnsupported, match="colours that are not read: they must be grey, RGB, sYCC, or CMYK"
    ):
        check(encoded(ink.astype(np.uint16) * 256, **options), max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("colours", [1, 11, 13, 14])
def test_colours_that_decoders_take_for_rgb_are_refused(colours: int) -> None:
    data = bytearray(saved(gradient(size=(48, 32)), "JPEG2000"))
    struct.pack_into(">I", data, data.index(b"colr") + 7, colours)
    with pytest.raises(ImageFormatUnsupported, match="the JPEG 2000 image has colours that are not read"):
        check(bytes(data), max_pixels=MAX_PIXELS)


def test_more_than_four_components_are_refused() -> None:
    with pytest.raises(ImageFormatUnsupported, match="more than four components"):
        check(deep_components(5, 64), max_pixels=MAX_PIXELS)


def test_a_file_that_is_cut_short_is_refused() -> None:
    for depth in (np.uint8, np.uint16):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(depth)
        data = encoded(noise, reversible=True)
        with pytest.raises(ImageDecodeError, match="the JPEG 2000 image is damaged or cut short"):
            decode(data[:-10], max_pixels=MAX_PIXELS)
