"""The tiles or strips of one page of a TIFF file: their bytes, within bounds."""

from collections.abc import Iterable
from itertools import pairwise

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.raster.png import pixel_chunks
from model.imaging.raster.tiff import compressions
from model.imaging.raster.tiff import directory as tags
from model.imaging.raster.tiff.page import YCBCR, Page

_HEADER_BYTES = 8
_LEFT_OUT = (0, 0)  # offset and byte count in the file
MAX_OVERLAP = 2  # times the length of the file; of careless writers, a tile may end behind the start of the next one
_MAX_SHARED_BYTES = 2**28  # read by the decoder of a page, for which it takes a second or less
_Place = tuple[int, int]  # offset, which is 0 for a tile that is left out, and length


def read_segments(data: bytes, page: Page) -> list[bytes]:
    """The encoded bytes of each tile or strip; none for old-style JPEG. Tiles share them in memory as in the file.

    A tile that the file leaves out has the value 0, as for tifffile and GDAL. In a compressed page, it is empty here:
    tifffile fills it. PNG tiles are without texts and profiles.

    Raises:
        ImageDecodeError: a tile is missing, or lies outside the file or in its header.
        ImageFormatUnsupported: a tile is left out, and the value 0 is not black.
        ImageTooLarge: tiles that overlap or lie at the same place have too many bytes together.
    """
    if page.compression == compressions.OLD_STYLE_JPEG:  # the tags of the tables say where its data is
        return []
    places = _places(data, page)
    once = dict.fromkeys(places)
    _check_places(once, len(data))
    found = {place: _segment(data, page, place) for place in once}
    if page.compression in compressions.PNG:
        found = {place: pixel_chunks(segment) if segment else segment for place, segment in found.items()}
    segments = [found[place] for place in places]
    is_plain = page.compression == compressions.UNCOMPRESSED
    if not is_plain and bytes_to_read(page, segments) > max(MAX_OVERLAP * len(data), _MAX_SHARED_BYTES):
        raise _too_many_shared_bytes()
    return segments


def bytes_to_read(page: Page, segments: list[bytes]) -> int:
    """The bytes that a decoder reads: a tile as often as it is listed, and the JPEG tables again for each tile."""
    tables = page.directory.bytes_of.get(tags.JPEG_TABLES, (0, b""))[1]
    return sum(map(len, segments)) + len(tables) * len(segments)


def distinct(segments: Iterable[bytes]) -> list[bytes]:
    """Each of the tiles or strips once, without those that are left out."""
    return list({id(segment): segment for segment in segments if segment}.values())


def is_subsampled(page: Page) -> bool:
    """Whether an uncompressed page has fewer samples of colour than of brightness (section 21)."""
    if page.photometric != YCBCR or page.compression != compressions.UNCOMPRESSED or page.subsampling == (1, 1):
        return False
    numbers = page.directory.numbers
    counts = numbers.get(tags.STRIP_BYTE_COUNTS) or numbers.get(tags.TILE_BYTE_COUNTS) or ()
    return tags.YCBCR_SUBSAMPLING in numbers or sum(counts) < page.height * page.row_bytes


def _places(data: bytes, page: Page) -> list[_Place]:
    """The place of each tile or strip.

    The length of uncompressed ones follows from their size: byte counts of 0 and wrong ones are usual. Others without
    a byte count end where the next one begins, or with the file.
    """
    numbers = page.directory.numbers
    offsets = (numbers.get(tags.TILE_OFFSETS) or numbers.get(tags.STRIP_OFFSETS) or ())[: page.segments]
    counts = (numbers.get(tags.TILE_BYTE_COUNTS) or numbers.get(tags.STRIP_BYTE_COUNTS) or ())[: page.segments]
    if len(offsets) < page.segments:
        raise ImageDecodeError("the TIFF image lists fewer tiles or strips than its size needs")
    if len(counts) < page.segments:
        counts = (0,) * page.segments
    in_header = {place for place in zip(offsets, counts, strict=True) if place[0] < _HEADER_BYTES}
    if in_header - {_LEFT_OUT}:
        raise ImageDecodeError("the TIFF image is damaged: a tile or strip lies in the header of the file")
    if page.compression == compressions.UNCOMPRESSED and not is_subsampled(page):
        counts = _plain_counts(page)
    elif 0 in counts:
        ends = dict(pairwise(sorted({0, *offsets, len(data)}))) | {0: 0}
        counts = tuple(
            count or ends.get(offset, offset) - offset for offset, count in zip(offsets, counts, strict=True)
        )
    return list(zip(offsets, counts, strict=True))


def _check_places(places: Iterable[_Place], file_bytes: int) -> None:
    """Check that the places, each given once, are in the file and overlap at most by mistake."""
    total = 0
    for offset, count in places:
        if offset and (not count or offset + count > file_bytes):
            raise ImageDecodeError("the TIFF image is cut short: a tile or strip lies outside the file")
        total += count if offset else 0
    if total > MAX_OVERLAP * file_bytes:
        raise _too_many_shared_bytes()


def _plain_counts(page: Page) -> tuple[int, ...]:
    whole = page.tile[1] * page.row_bytes
    if page.is_tiled:
        return (whole,) * page.segments
    last = (page.height - (page.rows - 1) * page.tile[1]) * page.row_bytes
    return (*((whole,) * (page.rows - 1)), last) * page.planes


def _segment(data: bytes, page: Page, place: _Place) -> bytes:
    offset, count = place
    if offset:
        return data[offset : offset + count]
    is_ycbcr = page.photometric == YCBCR or page.compression == compressions.YCBCR_JPEG_2000
    if is_ycbcr and page.compression not in compressions.JPEGS | compressions.WEBP:  # which are decoded to RGB
        raise ImageFormatUnsupported(
            "the TIFF image leaves out a tile or strip of YCbCr samples, which is not read; save it again with all"
        )
    return bytes(count)


def _too_many_shared_bytes() -> ImageTooLarge:
    return ImageTooLarge(
        "the TIFF image has tiles or strips that overlap, or share their bytes or tables, with too many bytes together"
    )
