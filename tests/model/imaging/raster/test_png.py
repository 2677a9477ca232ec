"""PNG files: chunks that do not change pixels are left out, whatever they contain."""

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from model.errors import ImageDecodeError
from model.imaging.images import check, decode
from model.imaging.raster.png import pixel_chunks
from tests.support.image_files.raster import gradient
from tests.support.samples import saved

MAX_PIXELS = 64_000_000
PICTURE = saved(gradient())
IHDR_END = 33


def chunk(name: bytes, data: bytes, checksum: int | None = None) -> bytes:
    right = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", right if checksum is None else checksum)


def with_chunk(extra: bytes) -> bytes:
    return PICTURE[:IHDR_END] + extra + PICTURE[IHDR_END:]


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2_000_000))),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2_000_000))),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(200_000_000), 1)),
        chunk(b"tEXt", b"a\0" + b"x" * 2_000_000),
        chunk(b"tEXt", b"a\0" + b"x" * 1_000_000) * 70,
        chunk(b"tEXt", b"a\0wrong checksum", checksum=1),
        chunk(b"iCCP", b"a\0\0no profile"),
        chunk(b"gAMA", b""),
        chunk(b"eXIf", b"no EXIF"),
        chunk(b"acTL", b"no animation"),
        chunk(b"prVt", b"a chunk that nobody knows"),
    ],
    ids=["profile", "ztxt", "itxt", "text", "texts", "checksum", "broken profile", "gamma", "exif", "actl", "private"],
)
def test_a_chunk_that_does_not_change_pixels_does_not_matter(extra: bytes) -> None:
    assert np.array_equal(np.asarray(decode(with_chunk(extra), max_pixels=MAX_PIXELS)), np.asarray(gradient()))


@pytest.mark.timing
def test_a_text_that_unpacks_to_200_mb_is_not_unpacked() -> None:
    data = with_chunk(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 1)))
    start = time.process_time()
    decode(data, max_pixels=MAX_PIXELS)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"PLTE"])
def test_a_damaged_chunk_of_pixels_is_refused(name: bytes) -> None:
    data = bytearray(saved(gradient("P")))
    place = data.index(name) + 4
    data[place + int.from_bytes(data[place - 8 : place - 4], "big")] ^= 1  # its checksum
    with pytest.raises(ImageDecodeError, match="the PNG image is damaged"):
        decode(bytes(data), max_pixels=MAX_PIXELS)


def test_transparency_is_kept() -> None:
    source = Image.new("P", (8, 8))
    source.putpalette([255, 0, 0])
    assert "transparency" in decode(saved(source, transparency=0), max_pixels=MAX_PIXELS).info


def test_the_frames_of_an_animation_are_left_out() -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = saved(red, "PNG", save_all=True, append_images=[blue], duration=10)
    assert b"fdAT" in data
    assert b"fdAT" not in pixel_chunks(data)
    assert decode(data, max_pixels=MAX_PIXELS).convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_too_many_chunks_are_refused() -> None:
    with pytest.raises(ImageDecodeError, match="the PNG image has more than 50,000 chunks"):
        check(with_chunk(chunk(b"tEXt", b"") * 50_001), max_pixels=MAX_PIXELS)


def test_the_beginning_of_a_file_is_enough_to_check_it() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    check(saved(noise)[:65_536], max_pixels=MAX_PIXELS)


def test_a_file_that_is_cut_short_is_named() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(ImageDecodeError, match="the PNG image is cut short"):
        decode(saved(noise)[:5000], max_pixels=MAX_PIXELS)
