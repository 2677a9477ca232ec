"""TIFF files: pages, limits and damage."""

import io
import logging
import random
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from model.errors import ImageDecodeError, ImageTooLarge, InvalidInput
from model.imaging.images import check, decode, frame_count, open_image
from model.imaging.limits import MAX_TIFF_PAGES
from model.imaging.rendering import AS_STORED, Rendering
from tests.support.image_files.bombs.tiff import pages, pages_of_shared_strips, picture_tags
from tests.support.image_files.raster import TiffPage, gradient, tiff, tiled_tiff
from tests.support.samples import saved

MAX_PIXELS = 64_000_000
TAGS = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8}


def page(level: int = 0) -> TiffPage:
    return TiffPage(TAGS, [bytes([level] * 64)])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", [1, 8])
def test_each_page_is_decoded_by_itself(order: str, big: bool, compression: int) -> None:
    strips = [bytes([level] * 64) for level in (10, 20, 30)]
    pages = [
        TiffPage({**TAGS, 259: compression}, [zlib.compress(strip) if compression == 8 else strip]) for strip in strips
    ]
    file = open_image(tiff(pages, order=order, big=big), max_pixels=64)
    assert file.frame_count(AS_STORED) == 3
    with ThreadPoolExecutor(3) as pool:
        images = list(pool.map(lambda frame: file.decode(Rendering(frame=frame)), range(3)))
    assert [image.getpixel((0, 0)) for image in images] == [10, 20, 30]


def test_a_missing_page_is_named() -> None:
    with pytest.raises(ImageDecodeError, match="the TIFF image has 2 frames, counted from 0: there is no frame 2"):
        decode(tiff([page(), page()]), max_pixels=64, rendering=Rendering(frame=2))


@pytest.mark.parametrize(
    ("link", "reason"),
    [(2**31, "cut short: one of its pages lies outside the file"), (8, "damaged: a page must have 1 to 4,096 tags")],
)
def test_pages_before_a_damage_are_read_and_are_not_counted_as_all(link: int, reason: str) -> None:
    data = tiff([page(0), page(20)], last_link=link)
    assert decode(data, max_pixels=64, rendering=Rendering(frame=1)).getpixel((0, 0)) == 20
    for broken in (
        lambda: frame_count(data, max_pixels=64),
        lambda: decode(data, max_pixels=64, rendering=Rendering(frame=2)),
    ):
        with pytest.raises(ImageDecodeError, match=f"the TIFF image is {reason}"):
            broken()


def test_a_list_of_pages_that_returns_to_an_earlier_one_ends_there() -> None:
    pages = [page(10), page(20)]
    first = struct.unpack_from("<I", tiff(pages), 4)[0]
    assert frame_count(tiff(pages, last_link=first), max_pixels=64) == 2


@pytest.mark.timing
@pytest.mark.parametrize("compression", [1, 5])
def test_all_of_many_pages_cost_as_much_as_each_of_them(compression: int) -> None:
    strip = bytes(imagecodecs.lzw_encode(bytes(64))) if compression == 5 else bytes(64)
    file = open_image(tiff([TiffPage({**TAGS, 259: compression}, [strip])] * 4000), max_pixels=64)
    start = time.process_time()
    for frame in range(file.frame_count(AS_STORED)):
        file.decode(Rendering(frame=frame))
    assert time.process_time() - start < 8  # 2 ms per page


def test_pages_that_share_long_lists_of_strips_are_refused_after_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.imaging.raster.tiff.file.MAX_FILE_VALUES", 1000)
    file = open_image(pages_of_shared_strips(20, 100), max_pixels=MAX_PIXELS)
    for frame in range(5):  # each has 207 values
        assert file.decode(Rendering(frame=frame)).size == (1, 100)
    with pytest.raises(ImageTooLarge, match="more tiles, strips or bytes than are read for one request; choose one"):
        file.decode(Rendering(frame=5))


def test_pages_that_share_a_large_strip_are_refused_after_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.imaging.raster.tiff.file.MAX_FILE_BYTES", 1)
    strip = zlib.compress(bytes(64)) + bytes(100_000)
    file = open_image(pages(20, picture_tags(compression=8, strip_bytes=len(strip)), strip), max_pixels=MAX_PIXELS)
    for frame in range(3):
        assert file.decode(Rendering(frame=frame)).size == (8, 8)
    with pytest.raises(ImageTooLarge, match="more tiles, strips or bytes than are read for one request; choose one"):
        file.decode(Rendering(frame=3))


def test_too_many_pages_are_refused() -> None:
    entry = struct.pack("<HHHII", 1, 256, 4, 1, 8)
    directories = b"".join(
        entry + struct.pack("<I", 8 + 18 * number if number <= MAX_TIFF_PAGES else 0)
        for number in range(1, MAX_TIFF_PAGES + 2)
    )
    with pytest.raises(ImageDecodeError, match="more than 50,000 pages"):
        open_image(b"II*\0\x08\0\0\0" + directories, max_pixels=64)


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
@pytest.mark.parametrize("kind", ["H", "I", "i", "Q", "q"])  # "q" is a type that libtiff reads and Pillow does not
def test_a_tiff_of_one_pixel_cannot_hide_a_huge_tile(kind: str, order: str, big: bool) -> None:
    data = tiled_tiff(2048, order=order, kind=kind, big=big)
    assert decode(data, max_pixels=2048 * 2048).size == (1, 1)
    with pytest.raises(ImageTooLarge):
        check(data, max_pixels=2048 * 2048 - 1)


@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (34712, lambda values: imagecodecs.jpeg2k_encode(values)),
        (34887, lambda values: imagecodecs.lerc_encode(values)),
        (50001, lambda values: imagecodecs.webp_encode(np.dstack([values] * 3), lossless=True)),
        (34933, lambda values: imagecodecs.png_encode(values)),
        (33007, lambda values: imagecodecs.jpeg8_encode(values)),
    ],
)
def test_a_picture_in_a_tile_cannot_be_larger_than_the_tile(compression: int, encode: Any) -> None:
    samples = 3 if compression == 50001 else 1
    tags = {**TAGS, 258: [8] * samples, 259: compression, 262: 2 if samples == 3 else 1, 277: samples}
    fitting = tiff([TiffPage(tags, [encode(np.zeros((8, 8), np.uint8))])])
    assert decode(fitting, max_pixels=64).size == (8, 8)
    with pytest.raises(ImageDecodeError, match="header contradicts the page's size"):
        decode(tiff([TiffPage(tags, [encode(np.zeros((9, 8), np.uint8))])]), max_pixels=64)
    with pytest.raises(ImageDecodeError, match="cut short"):
        decode(tiff([TiffPage(tags, [b"no picture"])]), max_pixels=64)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({256: []}, "lacks its width"),
        ({257: 0}, "lacks its height"),
        ({273: []}, "lists fewer tiles or strips than its size needs"),
        ({277: 0}, "must have 1 to 512 samples per pixel"),
        ({277: 60_000}, "must have 1 to 512 samples per pixel"),
        ({262: 2}, "has too few samples per pixel"),
        ({322: 0, 323: 8}, "lacks its tile width"),
    ],
)
def test_what_is_missing_or_contradictory_is_named(tags: dict[int, Any], reason: str) -> None:
    with pytest.raises(ImageDecodeError, match=f"the TIFF image {reason}"):
        decode(tiff([TiffPage({**TAGS, **tags}, [bytes(64)])]), max_pixels=64)


def test_a_tag_that_lies_outside_the_file_or_is_given_twice_is_named() -> None:
    whole = tiff([TiffPage({**TAGS, 258: [8, 8, 8], 277: 3, 262: 2}, [bytes(192)])])
    outside = whole.replace(struct.pack("<HHI", 258, 4, 3), struct.pack("<HHI", 258, 4, 200_000))
    with pytest.raises(ImageDecodeError, match="its tag 258 lies outside the file"):
        decode(outside, max_pixels=64)
    long = whole.replace(struct.pack("<HHI", 258, 4, 3), struct.pack("<HHI", 258, 4, 2**32 - 1))
    with pytest.raises(ImageDecodeError, match="more than 262,144 values in its tag 258"):
        decode(long, max_pixels=64)
    twice = tiff([page()]).replace(struct.pack("<HHI", 278, 4, 1), struct.pack("<HHI", 257, 4, 1))
    with pytest.raises(ImageDecodeError, match="gives its tag 257 twice") as _:
        decode(twice.replace(struct.pack("<HHII", 257, 4, 1, 8), struct.pack("<HHII", 257, 4, 1, 9), 1), max_pixels=99)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma", "jpeg", "jpeg2000", "webp"])
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_a_tiff_that_is_cut_short_is_refused(compression: str | None, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    stream = io.BytesIO()
    tifffile.imwrite(stream, noise, photometric="rgb", compression=compression)  # its directory comes first
    data = stream.getvalue()
    with pytest.raises(ImageDecodeError, match="the TIFF image is cut short"):
        decode(data[: int(len(data) * kept)], max_pixels=MAX_PIXELS)


def test_a_jpeg_strip_whose_end_is_missing_is_refused_unless_only_its_marker_is() -> None:
    strip = bytes(imagecodecs.jpeg8_encode(np.asarray(gradient()), level=95))
    tags = {256: 48, 257: 32, 258: [8, 8, 8], 259: 7, 262: 6, 277: 3, 278: 32}
    whole = decode(tiff([TiffPage(tags, [strip])]), max_pixels=MAX_PIXELS)
    assert decode(tiff([TiffPage(tags, [strip[:-2]])]), max_pixels=MAX_PIXELS) == whole
    with pytest.raises(ImageDecodeError, match="a JPEG tile or strip lacks the end of its data"):
        decode(tiff([TiffPage(tags, [strip[: len(strip) // 2]])]), max_pixels=MAX_PIXELS)


def test_wrong_lengths_of_uncompressed_strips_do_not_matter() -> None:
    for length in (0, 1, 10_000):
        data = tiff([TiffPage({**TAGS, 278: 4, 279: [length] * 2}, [bytes([1] * 32), bytes([2] * 32)])])
        assert np.asarray(decode(data, max_pixels=64))[:, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(8))
def test_random_damage_gives_a_picture_or_an_invalid_input_for_every_method(seed: int) -> None:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    chance = random.Random(seed)
    for data in damaged_files():
        broken = bytearray(data)
        for _ in range(chance.choice((1, 2, 8))):
            broken[chance.randrange(min(len(broken), 400))] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
        for method in ("frame_count", "check", "decode"):
            try:
                getattr(open_image(bytes(broken), max_pixels=100_000), method)(AS_STORED)
            except InvalidInput:
                continue


def damaged_files() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    files = [saved(Image.fromarray(noise), "TIFF", save_all=True, append_images=[gradient()])]
    for compression in (None, "lzw", "jpeg", "jpeg2000", "webp", "lerc", "png"):
        for dtype in ("u1", "u4"):
            stream = io.BytesIO()
            try:
                tifffile.imwrite(stream, noise.astype(dtype), photometric="rgb", compression=compression)
            except (ValueError, RuntimeError):
                continue
            files.append(stream.getvalue())
    return files
