"""TIFF files whose directories, tags, strips or compressed data are expensive to read (TIFF 6.0; BigTIFF)."""

import struct
import zlib
from collections.abc import Callable, Sequence

from PIL import Image

from tests.support.image_files.bombs.codestreams import (
    black_codestream,
    codestream_of_layers,
    jpeg_of_many_scans,
    jpeg_of_scans,
)
from tests.support.image_files.bombs.raster import PNG_HEAD_BYTES, chunk
from tests.support.image_files.raster import TiffPage, tiff, tiled_tiff
from tests.support.samples import saved

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ROWS_PER_STRIP = 256, 257, 258, 259, 262, 277, 278
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, SUB_DIRECTORIES, JPEG_TABLES, EXIF = 273, 279, 324, 330, 347, 34665
SHORT, LONG, DOUBLE = 3, 4, 12
NONE, JPEG, DEFLATE, ALTERNATIVE_JPEG, JPEG2000, LERC, PNG, ZSTD = 1, 7, 8, 33007, 34712, 34887, 34933, 50000
WEBP = 50001
TILE_SIDE = 16
Tag = tuple[int, int, int, int]  # number, field type, count, value or offset


def directory(tags: Sequence[Tag], following: int = 0) -> bytes:
    """One directory of a little-endian TIFF."""
    entries = b"".join(struct.pack("<HHII", *entry) for entry in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def picture_tags(width: int = 8, length: int = 8, **tags: int) -> list[Tag]:
    """The tags of a grey picture of one strip; its data starts at byte 8."""
    values = {
        WIDTH: width,
        LENGTH: length,
        BITS: tags.get("bits", 8),
        COMPRESSION: tags.get("compression", NONE),
        PHOTOMETRIC: 1,
        STRIP_OFFSETS: 8,
        SAMPLES: tags.get("samples", 1),
        ROWS_PER_STRIP: length,
        STRIP_BYTES: tags.get("strip_bytes", width * length),
    }
    return [(number, LONG, 1, value) for number, value in values.items()]


def file(directories: bytes, strip: bytes = bytes(64)) -> bytes:
    """A TIFF whose strip stands in front of its directories."""
    padding = bytes(len(strip) % 2)
    return struct.pack("<2sHI", b"II", 42, 8 + len(strip) + len(padding)) + strip + padding + directories


def pages(count: int, tags: Sequence[Tag], strip: bytes = bytes(64), last: int = 0) -> bytes:
    """A TIFF of many pages that share one strip. `last` is the place to which the last page points."""
    size = 6 + 12 * len(tags)
    start = 8 + len(strip) + len(strip) % 2
    places = [start + size * number for number in range(1, count)] + [last]
    return file(b"".join(directory(tags, place) for place in places), strip)


def one(strip: bytes, compression: int, side: int = 8, bits: int = 8) -> bytes:
    """A TIFF of one compressed strip."""
    tags = picture_tags(side, side, compression=compression, strip_bytes=len(strip), bits=bits)
    return file(directory(tags), strip)


def with_tag(number: int, kind: int, count: int, values: bytes) -> bytes:
    """A TIFF with one long tag, whose values stand behind its directory."""
    tags = [entry for entry in picture_tags() if entry[0] != number]
    behind = 72 + 6 + 12 * (len(tags) + 1)
    return file(directory(sorted([*tags, (number, kind, count, behind)]))) + values


def many_strips(count: int) -> bytes:
    """A TIFF of 8,000 x 8,000 pixels of which each strip is one row; offsets and lengths are arrays of `count`."""
    tags = [entry for entry in picture_tags(8000, 8000) if entry[0] not in (STRIP_OFFSETS, STRIP_BYTES, ROWS_PER_STRIP)]
    behind = 72 + 6 + 12 * (len(tags) + 3)
    tags += [(STRIP_OFFSETS, LONG, count, behind), (ROWS_PER_STRIP, LONG, 1, 1), (STRIP_BYTES, LONG, count, behind)]
    return file(directory(sorted(tags))) + struct.pack("<I", 8) * count


def many_tiles(side: int) -> bytes:
    """A TIFF of `side` x `side` pixels in tiles of 16 x 16, which all lie at the same place."""
    count = (side // 16) ** 2
    tags = [entry for entry in picture_tags(side, side) if entry[0] not in (STRIP_OFFSETS, STRIP_BYTES, ROWS_PER_STRIP)]
    behind = 8 + 256 + 6 + 12 * (len(tags) + 4)
    tags += [(322, LONG, 1, 16), (323, LONG, 1, 16), (TILE_OFFSETS, LONG, count, behind), (325, LONG, count, behind)]
    return file(directory(sorted(tags)), bytes(256)) + struct.pack("<I", 256) * count


def shared_tiles(
    tile: bytes, compression: int, across: int, tables: bytes = b"", shift: int = 0, side: int = TILE_SIDE
) -> bytes:
    """A grey TIFF of `across` x `across` tiles, which lie at the same place.

    Args:
        tile: the compressed tile.
        compression: number of its compression.
        across: number of tiles in a row, and of rows.
        tables: JPEG tables of all tiles.
        shift: number of bytes by which each tile ends before the one in front of it.
        side: of a tile, in pixels.
    """
    count = across**2
    tags = {WIDTH: side * across, LENGTH: side * across, BITS: 8, COMPRESSION: compression, PHOTOMETRIC: 1, SAMPLES: 1}
    tags |= {322: side, 323: side}
    places = {TILE_OFFSETS: [8] * count, 325: [len(tile) - shift * number for number in range(count)]}
    return tiff([TiffPage({**tags, **places}, [tile], {JPEG_TABLES: tables} if tables else {})])


def pages_of_shared_strips(count: int, rows: int) -> bytes:
    """Pages of one pixel per row, and of one deflated strip of 32 bits per row. They share the lists of strips."""
    strip = zeros(4)
    tags = picture_tags(1, rows, compression=DEFLATE, strip_bytes=len(strip))
    values = {BITS: 32, ROWS_PER_STRIP: 1}
    lists = {STRIP_OFFSETS: 8, STRIP_BYTES: len(strip)}
    place = 8 + len(strip) + len(strip) % 2 + count * (6 + 12 * len(tags))
    for number, (tag, kind, _, value) in enumerate(tags):
        if tag in lists:
            tags[number] = (tag, kind, rows, place + 4 * rows * (tag == STRIP_BYTES))
        else:
            tags[number] = (tag, kind, 1, values.get(tag, value))
    return pages(count, tags, strip) + b"".join(struct.pack("<I", value) * rows for value in lists.values())


def pages_of_shared_tile(count: int, tile: bytes) -> bytes:
    """Pages of one JPEG 2000 strip of 16 x 16 pixels, which they share."""
    tags = picture_tags(TILE_SIDE, TILE_SIDE, compression=JPEG2000, strip_bytes=len(tile))
    return pages(count, tags, tile)


def png_of_texts(count: int) -> bytes:
    """A PNG of 16 x 16 pixels whose texts unpack to 8 MB each."""
    whole = saved(Image.new("L", (TILE_SIDE, TILE_SIDE)), "PNG")
    return whole[:PNG_HEAD_BYTES] + chunk(b"zTXt", b"a\0\0" + zeros(7_900_000)) * count + whole[PNG_HEAD_BYTES:]


def jpeg_of_comments(count: int) -> bytes:
    """A JPEG of 16 x 16 pixels without its end marker, with many comments."""
    whole = saved(Image.new("L", (TILE_SIDE, TILE_SIDE)), "JPEG")
    return whole[:2] + b"\xff\xfe\0\2" * count + whole[2:-2]


def big_tiff(count: int) -> bytes:
    """A BigTIFF whose only directory claims `count` tags."""
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + struct.pack("<Q", count) + bytes(200)


def zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def zstandard_zeros(size: int) -> bytes:
    """A Zstandard frame of blocks that each repeat one zero byte 128 KiB times (RFC 8878, 3.1.1.2)."""
    block = (2**17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (1 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x70" + block * (size >> 17) + last


def webp_head(side: int) -> bytes:
    """The beginning of a lossless WebP, which has 14 bits for each side minus 1."""
    size = (side - 1) | (side - 1) << 14
    return b"RIFF\x18\0\0\0WEBPVP8L\x0c\0\0\0\x2f" + size.to_bytes(4, "little") + bytes(7)


TIFF_BOMBS: dict[str, Callable[[], bytes]] = {
    "4 billion pixels": lambda: file(directory(picture_tags(65535, 65535))),
    "a tile of 256 million pixels": lambda: tiled_tiff(16_000),
    "40,000 pages": lambda: pages(40_000, picture_tags()),
    "700,000 empty directories": lambda: pages(700_000, []),
    "a directory that follows itself": lambda: pages(1, picture_tags(), last=72),
    "a ring of 10,000 directories": lambda: pages(10_000, picture_tags(), last=72),
    "a thousand pages of 64 million pixels": lambda: pages(
        1000,
        picture_tags(8000, 8000, compression=DEFLATE, strip_bytes=len(zeros(64_000_000))),
        zeros(64_000_000),
    ),
    "65,535 tags": lambda: file(directory([(number, SHORT, 1, 1) for number in range(65535)])),
    "a BigTIFF of 2**60 tags": lambda: big_tiff(2**60),
    "a tag of 4 billion values": lambda: with_tag(STRIP_OFFSETS, DOUBLE, 2**32 - 1, b""),
    "a tag of a million values": lambda: with_tag(700, LONG, 1_000_000, bytes(4_000_000)),
    "20,000 tags of a million values each": lambda: file(
        directory([*picture_tags(), *[(number, LONG, 1_000_000, 8) for number in range(40_000, 60_000)]]),
        bytes(4_000_000),
    ),
    "sub-directories that contain themselves": lambda: pages(
        1, [*picture_tags(), (SUB_DIRECTORIES, LONG, 1, 72), (EXIF, LONG, 1, 72)]
    ),
    "a million strips": lambda: many_strips(500_000),
    "250,000 tiles": lambda: many_tiles(8000),
    "a strip that inflates to 200 MB": lambda: one(zeros(200_000_000), DEFLATE),
    "a strip of 200 MB of zeros in Zstandard": lambda: one(zstandard_zeros(200_000_000), ZSTD),
    "a strip that is a JPEG of endless scans": lambda: one(jpeg_of_many_scans(), JPEG, 2000),
    "a strip that is a JPEG 2000 of 64 million pixels": lambda: one(black_codestream(8000), JPEG2000),
    "a strip that is a WebP of 256 million pixels": lambda: one(webp_head(16_000), WEBP),
    "400 tiles that share a PNG of texts of 79 MB": lambda: shared_tiles(png_of_texts(10), PNG, 20),
    "65,025 tiles that share a JPEG of 900 comments": lambda: shared_tiles(jpeg_of_comments(900), JPEG, 255),
    "10,000 tiles that share JPEG tables of 260,000 bytes": lambda: shared_tiles(
        saved(Image.new("L", (TILE_SIDE, TILE_SIDE)), "JPEG"),
        ALTERNATIVE_JPEG,
        100,
        b"\xff\xd8" + b"\xff\xfe\0\2" * 65_000 + b"\xff\xd9",
    ),
    "400 tiles that share a JPEG 2000 of a million packets": lambda: shared_tiles(
        codestream_of_layers(4000), JPEG2000, 20
    ),
    "100 tiles of 4 MB that overlap": lambda: shared_tiles(zeros(256) + bytes(4_000_000), DEFLATE, 10, shift=1),
    "a thousand pages that share 100,000 strips": lambda: pages_of_shared_strips(1000, 100_000),
    "a thousand pages that share a JPEG 2000 of a million packets": lambda: pages_of_shared_tile(
        1000, codestream_of_layers(4000)
    ),
    "64 million pixels of 64 bits": lambda: one(zeros(8 * 64_000_000), DEFLATE, 8000, bits=64),
    "16 tiles that are JPEGs of 90 scans": lambda: shared_tiles(jpeg_of_scans(90, 2000), JPEG, 4, side=2000),
    "65,535 samples per pixel": lambda: file(directory(picture_tags(8000, 8000, samples=65535))),
}
