"""PNG, JPEG, GIF, BMP, WebP, JPEG 2000 and AVIF files that unpack to much, or have very many parts."""

import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.support.image_files.bombs.codestreams import (
    black_codestream,
    deep_components,
    finely_coded,
    jpeg_claiming,
    jpeg_of_exif_segments,
    jpeg_of_many_scans,
    jpeg_of_many_scans_behind_comments,
    jpeg_of_many_segments,
    jpeg_of_many_tables,
    jpeg_of_scans,
    many_codings,
    many_components,
    many_tile_parts,
    many_tiles,
    resized,
)
from tests.support.samples import huge_png, picture, png, saved

PNG_HEAD_BYTES = 33  # signature and IHDR
TINY = (4, 4)


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def with_chunks(extra: bytes) -> bytes:
    """A small PNG with further chunks behind its header."""
    whole = png()
    return whole[:PNG_HEAD_BYTES] + extra + whole[PNG_HEAD_BYTES:]


def png_of(pixels: bytes, count: int = 1) -> bytes:
    """A PNG of 8 x 8 grey pixels with its compressed pixels in `count` chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    step = -(-len(pixels) // count)
    parts = [pixels[start : start + step] for start in range(0, len(pixels), step)]
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(b"IDAT", part) for part in parts) + chunk(b"IEND", b"")


def animated_png(frames: int) -> bytes:
    """A PNG that announces frames (fcTL) and does not have their pixels."""
    control = b"".join(
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 40, 32, 0, 0, 1, 1, 0, 0)) for number in range(frames)
    )
    return with_chunks(chunk(b"acTL", struct.pack(">II", frames, 0)) + control)


def sized(data: bytes, start: int, size: bytes) -> bytes:
    return data[:start] + size + data[start + len(size) :]


def gif(extensions: int = 0, frames: int = 1) -> bytes:
    """A GIF of 4 x 4 pixels with many comments in front of its first frame, or many frames."""
    whole = saved(Image.new("P", TINY), "GIF")
    start = whole.index(b"\x2c", 13 + 3 * 2 ** ((whole[10] & 7) + 1))
    frame = whole[start:-1]
    return whole[:start] + b"\x21\xfe\0" * extensions + frame * frames + b"\x3b"


def small(kind: str) -> bytes:
    return saved(picture(0), kind)


def box(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(data)) + name + data


def with_boxes(extra: bytes) -> bytes:
    """A small JPEG 2000 file with further boxes in front of its header box."""
    whole = small("JPEG2000")
    start = whole.index(b"jp2h") - 4
    return whole[:start] + extra + whole[start:]


def jp2(codestream: bytes, side: int, components: int = 1) -> bytes:
    """A JPEG 2000 file of a codestream."""
    whole = saved(Image.new("L", TINY), "JPEG2000")
    head = whole[: whole.index(b"jp2c") - 4]
    place = head.index(b"ihdr") + 4
    return sized(head, place, struct.pack(">IIH", side, side, components)) + box(b"jp2c", codestream)


def lying_jp2(side: int, said: int) -> bytes:
    """A JP2 file whose header box says another size than its codestream."""
    return jp2(black_codestream(8).replace(struct.pack(">II", 8, 8), struct.pack(">II", side, side)), said)


def avif(side: int | None = None, extra: bytes = b"") -> bytes:
    """An AVIF file that claims another size, or has further boxes behind its first one."""
    whole = saved(Image.new("RGB", (16, 16)), "AVIF")
    if side is not None:
        whole = sized(whole, whole.index(b"ispe") + 8, struct.pack(">II", side, side))
    first = int.from_bytes(whole[:4], "big")
    return whole[:first] + extra + whole[first:]


def nested_boxes(levels: int) -> bytes:
    """Boxes in boxes, each as long as its contents."""
    return b"".join(struct.pack(">I", 8 * level) + b"meta" for level in range(levels, 0, -1))


def webp(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


WEBP_EXTENDED = b"VP8X\x0a\0\0\0\x02\0\0\0" + b"\x07\0\0" * 2  # animated, 8 x 8


def zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def with_zeros(name: bytes, head: bytes) -> bytes:
    """A small PNG with a chunk that unpacks to 200 MB."""
    return with_chunks(chunk(name, head + zeros(200_000_000)))


RASTER_BOMBS: dict[str, dict[str, Callable[[], bytes]]] = {
    "PNG": {
        "900 million pixels": huge_png,
        "64 million black pixels": lambda: huge_png(8000),
        "a text that unpacks to 200 MB": lambda: with_zeros(b"zTXt", b"a\0\0"),
        "an international text that unpacks to 200 MB": lambda: with_zeros(b"iTXt", b"a\0\1\0\0\0"),
        "a colour profile that unpacks to 200 MB": lambda: with_zeros(b"iCCP", b"a\0\0"),
        "1,000 texts that unpack to 1 MB each": lambda: with_chunks(chunk(b"zTXt", b"a\0\0" + zeros(1_000_000)) * 1000),
        "pixels that unpack to 200 MB": lambda: png_of(zeros(200_000_000)),
        "300,000 empty chunks": lambda: with_chunks(chunk(b"tEXt", b"a\0") * 300_000),
        "pixels in 60,000 chunks": lambda: png_of(zeros(60_000_000), 60_000),
        "100,000 frames": lambda: animated_png(100_000),
    },
    "JPEG": {
        "4 billion pixels": lambda: sized(
            small("JPEG"), small("JPEG").index(b"\xff\xc0") + 5, struct.pack(">HH", 65535, 65535)
        ),
        "2,000 scans": jpeg_of_many_scans,
        "2,000 scans behind 20,000 comments": jpeg_of_many_scans_behind_comments,
        "96 scans of 64 million pixels": lambda: jpeg_of_scans(96, 8000),
        "64 million pixels without their data": lambda: jpeg_claiming(8000),
        "64 million pixels of progressive colours": lambda: jpeg_claiming(8000, progressive=True, subsampling=0),
        "EXIF in 500 segments": lambda: jpeg_of_exif_segments(500),
        "a million comments": jpeg_of_many_segments,
        "60,000 tables": jpeg_of_many_tables,
        "a million bytes of filling": lambda: small("JPEG")[:2] + b"\xff" * 4_000_000 + small("JPEG")[2:],
    },
    "GIF": {
        "4 billion pixels": lambda: sized(small("GIF"), 6, b"\xff\xff\xff\xff"),
        "a frame of 4 billion pixels": lambda: sized(gif(), gif().index(b"\x2c", 13 + 6) + 5, b"\xff\xff\xff\xff"),
        "150,000 frames": lambda: gif(frames=150_000),
        "a million comments": lambda: gif(extensions=1_000_000),
    },
    "BMP": {
        "4 billion pixels": lambda: sized(small("BMP"), 18, b"\xff\xff\x00\x00\xff\xff\x00\x00"),
        "4 billion palette entries": lambda: sized(saved(picture(0).convert("P"), "BMP"), 46, b"\xff\xff\xff\xff"),
        "a million empty runs": lambda: (
            sized(sized(saved(Image.new("P", (8000, 8000)), "BMP")[:1078], 28, struct.pack("<HI", 8, 1)), 34, bytes(4))
            + b"\0\2\0\0" * 1_000_000
        ),
    },
    "WebP": {
        "268 million pixels": lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + b"VP8 \0\0\0\0",
        "64 million pixels": lambda: saved(Image.new("RGB", (8000, 8000)), "WEBP", lossless=True, method=0),
        "half a million chunks": lambda: webp(WEBP_EXTENDED + b"XXXX\0\0\0\0" * 500_000),
        "100,000 frames": lambda: webp(
            WEBP_EXTENDED + b"ANIM\6\0\0\0\0\0\0\0\0\0" + (b"ANMF\x18\0\0\0" + bytes(16) + b"VP8L\0\0\0\0") * 100_000
        ),
    },
    "JPEG 2000": {
        "4 billion pixels": lambda: jp2(resized(black_codestream(8), 65535), 65535),
        "4 billion pixels in its header only": lambda: sized(
            small("JPEG2000"), small("JPEG2000").index(b"ihdr") + 4, b"\0\0\xff\xff\0\0\xff\xff"
        ),
        "4 billion pixels in its codestream only": lambda: jp2(resized(black_codestream(8), 65535), 8),
        "64 million black pixels": lambda: jp2(black_codestream(8000), 8000),
        "64 million black pixels in colour": lambda: jp2(deep_components(3, 8000), 8000, 3),
        "65,000 tiles": lambda: jp2(many_tiles(255), 255),
        "4 million code blocks": lambda: finely_coded(8000, block=0),
        "4 million code blocks in a tile": lambda: finely_coded(8000, block=0, is_in_tile=True),
        "4 million code blocks in an unknown segment": lambda: finely_coded(8000, block=0, before=b"\xff\x70\0\x14"),
        "262,000 code blocks in 16,384 layers": lambda: finely_coded(8000, block=2, layers=16384),
        "5 million precincts": lambda: jp2(finely_coded(4000, precinct=1), 4000),
        "precincts of 65,535 layers": lambda: jp2(finely_coded(8000, precinct=7, layers=65535), 8000),
        "350,000 tile-parts": lambda: many_tile_parts(350_000),
        "200,000 codings": lambda: many_codings(200_000),
        "15 components of 16 bits": lambda: jp2(deep_components(15, 8000), 8000, 15),
        "16,384 components": lambda: jp2(many_components(16384), 8, 16384),
        "half a million boxes": lambda: with_boxes(box(b"free") * 500_000),
        "100,000 boxes in boxes": lambda: with_boxes(nested_boxes(100_000)),
    },
    "AVIF": {
        "4 billion pixels": lambda: avif(65535),
        "half a million boxes": lambda: avif(extra=box(b"free") * 500_000),
        "100,000 boxes in boxes": lambda: avif(extra=nested_boxes(100_000)),
    },
}
