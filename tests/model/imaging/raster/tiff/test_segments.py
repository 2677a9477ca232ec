"""Tiles and strips that are left out, are shared, overlap, or lie where they cannot."""

import io
import itertools
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.images import decode
from tests.support.image_files.bombs.codestreams import codestream_of_layers
from tests.support.image_files.bombs.raster import chunk
from tests.support.image_files.bombs.tiff import shared_tiles
from tests.support.image_files.raster import TiffPage, tiff
from tests.support.samples import saved

MAX_PIXELS = 1_000_000
TAGS = {256: 32, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 322: 16, 323: 16}
SHARE = "overlap, or share their bytes or tables"


@pytest.mark.parametrize(
    ("compression", "dtypes", "samples"),
    [
        *(
            (compression, ("u1", "u2", "f4"), (1, 3))
            for compression in (None, "zlib", "lzw", "packbits", "zstd", "lzma")
        ),
        ("jpeg2000", ("u1", "u2"), (1, 3)),
        ("png", ("u1", "u2"), (1, 3)),
        ("jpeg", ("u1",), (1, 3)),
        ("webp", ("u1",), (3,)),
    ],
)
def test_a_tile_that_is_left_out_has_the_value_0(
    compression: str | None, dtypes: tuple[str, ...], samples: tuple[int, ...]
) -> None:
    """GDAL writes such tiles with SPARSE_OK, tifffile for None."""
    lossless = {"jpeg2000": {"reversible": True}, "webp": {"lossless": True}}.get(compression or "")
    for dtype, count in itertools.product(dtypes, samples):
        level = 200 << 8 if dtype == "u2" else 1 if dtype == "f4" else 200
        tile = np.full((16, 16, count), level, dtype=dtype)
        stream = io.BytesIO()
        tifffile.imwrite(
            stream, iter([tile, None, tile, tile]), shape=(32, 32, count), dtype=dtype, tile=(16, 16),
            compression=compression, compressionargs=lossless, photometric="rgb" if count == 3 else None,
        )  # fmt: skip
        shown = np.asarray(decode(stream.getvalue(), max_pixels=MAX_PIXELS)).reshape(2, 16, 2, 16, count)
        assert shown[0, :, 1].max() == 0
        right = 200 if dtype == "u1" or (dtype, count) == ("u2", 3) else 255
        assert np.abs(shown[1] - float(right)).max() <= 1


def test_a_tile_of_ycbcr_that_is_left_out_is_refused_unless_its_compression_gives_rgb() -> None:
    tile = bytes(imagecodecs.jpeg8_encode(np.full((16, 16, 3), 200, np.uint8), subsampling="444"))
    for compression, encoded in ((7, tile), (1, bytes([128] * 768)), (8, zlib.compress(bytes([128] * 768)))):
        tags = {**TAGS, 258: [8] * 3, 259: compression, 262: 6, 277: 3, 530: [1, 1]}
        tags |= {324: [0, 8], 325: [0, len(encoded)]}
        data = tiff([TiffPage(tags, [encoded])])
        if compression == 7:
            assert decode(data, max_pixels=MAX_PIXELS).getpixel((0, 0)) == (0, 0, 0)
        else:
            with pytest.raises(ImageFormatUnsupported, match="leaves out a tile or strip of YCbCr samples"):
                decode(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("places", [{324: [0, 8], 325: [256, 256]}, {324: [4, 8], 325: [0, 0]}])
@pytest.mark.parametrize("big", [False, True])
def test_a_tile_in_the_header_of_the_file_is_refused(places: dict[int, list[int]], big: bool) -> None:
    data = tiff([TiffPage({**TAGS, **places}, [bytes(1000)])], big=big)
    with pytest.raises(ImageDecodeError, match="damaged: a tile or strip lies in the header of the file"):
        decode(data, max_pixels=MAX_PIXELS)


def test_a_compressed_tile_without_byte_count_ends_where_the_next_one_begins() -> None:
    tiles = [zlib.compress(bytes([level] * 256)) for level in (10, 20)]
    for counts in ([0, 0], [0, len(tiles[1])], []):
        data = tiff([TiffPage({**TAGS, 259: 8, 325: counts}, tiles)])
        assert np.asarray(decode(data, max_pixels=MAX_PIXELS))[0, ::16].tolist() == [10, 20]


def test_texts_of_png_tiles_are_not_unpacked() -> None:
    whole = saved(Image.new("L", (16, 16), 7), "PNG")
    damaged_text = chunk(b"zTXt", b"a\0\0no zlib")[:-1] + b"?"
    data = shared_tiles(whole[:33] + damaged_text + whole[33:], 34933, 4)
    assert np.unique(np.asarray(decode(data, max_pixels=MAX_PIXELS))).tolist() == [7]


def test_tiles_may_lie_at_the_same_place_but_not_with_too_many_bytes_together() -> None:
    tile = zlib.compress(bytes([7] * 256))
    assert np.unique(np.asarray(decode(shared_tiles(tile, 8, 30), max_pixels=MAX_PIXELS))).tolist() == [7]
    with pytest.raises(ImageTooLarge, match=SHARE):
        decode(shared_tiles(tile + bytes(1_000_000), 8, 30), max_pixels=MAX_PIXELS)
    jpeg = saved(Image.new("L", (16, 16), 7), "JPEG")
    tables = b"\xff\xd8" + b"\xff\xfe\0\2" * 60_000 + b"\xff\xd9"
    assert np.unique(np.asarray(decode(shared_tiles(jpeg, 7, 30, tables), max_pixels=MAX_PIXELS))).tolist() == [7]
    with pytest.raises(ImageTooLarge, match=SHARE):
        decode(shared_tiles(jpeg, 7, 60, tables), max_pixels=MAX_PIXELS)


def test_tiles_that_overlap_may_have_twice_the_bytes_of_the_file_together() -> None:
    tile = zlib.compress(bytes([7] * 256)) + bytes(1000)
    first_two = {324: [8, 8], 325: [len(tile), len(tile) - 1]}
    data = tiff([TiffPage({**TAGS, 259: 8, **first_two}, [tile])])
    assert np.unique(np.asarray(decode(data, max_pixels=MAX_PIXELS))).tolist() == [7]
    many = {256: 64, 324: [8] * 4, 325: [len(tile) - cut for cut in range(4)]}
    with pytest.raises(ImageTooLarge, match=SHARE):
        decode(tiff([TiffPage({**TAGS, 259: 8, **many}, [tile])]), max_pixels=MAX_PIXELS)


def test_the_tiles_of_a_page_in_jpeg_2000_may_not_be_too_costly_together() -> None:
    tile = codestream_of_layers(4000)  # a million packets
    assert decode(shared_tiles(tile, 34712, 1), max_pixels=MAX_PIXELS).size == (16, 16)
    with pytest.raises(ImageTooLarge, match="JPEG 2000 pictures of too many tiles, code blocks or packets"):
        decode(shared_tiles(tile, 34712, 2), max_pixels=MAX_PIXELS)
