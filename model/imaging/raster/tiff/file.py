"""TIFF files: every page becomes a small file of its own, which Pillow or tifffile decodes."""

import io
import threading

from PIL import Image, UnidentifiedImageError

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.codestreams import jpeg
from model.imaging.codestreams.costs import FileCost
from model.imaging.frames import frame_index
from model.imaging.raster.damage import are_equal, damage_of
from model.imaging.raster.depth import is_deep, scale_picture
from model.imaging.raster.tiff import compressions
from model.imaging.raster.tiff import values as tiff_values
from model.imaging.raster.tiff.directory import Layout, page_offsets, read_directory
from model.imaging.raster.tiff.page import (
    BLACK_IS_ZERO,
    FLOAT,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    Page,
    read_page,
)
from model.imaging.raster.tiff.segments import MAX_OVERLAP, bytes_to_read, distinct, read_segments
from model.imaging.raster.tiff.single_page import copy_page
from model.imaging.rendering import Rendering

MAX_FILE_VALUES = 1_250_000  # of the tags of all pages that are decoded
MAX_FILE_BYTES = 2**29  # of the tiles and strips of all pages that are decoded
_PLAIN_ALPHA = {"La": "LA", "RGBa": "RGBA"}  # from colours multiplied by alpha, which have no further conversion
_PILLOW_DEEP_GREY = ((UNSIGNED, 12), (SIGNED, 16), (SIGNED, 32), (FLOAT, 32))  # sample format and bits per sample


def read_by_pillow(page: Page, order: str) -> bool:
    """The rule for who reads a page: Pillow what it reads rightly, as the reference does; tifffile everything else.

    Pillow reads rightly, in the compressions that it knows:

    - unsigned samples of at most 8 bits, also those of CMYK, palettes, YCbCr and CIELAB.
    - unsigned samples of 16 bits, except JPEG and uncompressed planes, whose bytes it puts in a wrong order.
    - grey of 12 bits, of signed 16 and 32 bits, and of float32. The bytes of compressed ones must be little-endian: in
      others it swaps the bytes of every sample.

    Everything else Pillow reads wrongly (signed 8 bits, unsigned 32 bits) or not at all. It also refuses some
    combinations of the above. `TiffFile` gives these to tifffile.

    Args:
        page: the page.
        order: byte order of the file, "<" or ">".
    """
    is_plain = page.compression == compressions.UNCOMPRESSED
    if page.compression not in compressions.PILLOW:
        return False
    if page.sample_format == UNSIGNED and page.bits <= 8:
        return True
    if page.compression in compressions.JPEGS:
        return False
    if page.sample_format == UNSIGNED and page.bits == 16:
        return not (page.is_planar and is_plain)
    is_grey = page.samples == 1 and page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    kind = (page.sample_format, page.bits)
    return is_grey and (is_plain or order == "<") and kind in _PILLOW_DEEP_GREY


class TiffFile:
    """A `model.imaging.formats.ImageFile`: a TIFF file.

    Args:
        data: the whole file.
        layout: its header.
        max_pixels: limit for one page and for one tile.

    Raises:
        ImageDecodeError: the file has no page, or too many.
    """

    inflates = False

    def __init__(self, data: bytes, layout: Layout, max_pixels: int) -> None:
        self._data, self._layout, self._max_pixels = data, layout, max_pixels
        self._lock, self._cost = threading.Lock(), FileCost()
        self._values = self._bytes = 0  # of the tags, and of the tiles and strips, of all pages that were decoded
        self._offsets, self._damage = page_offsets(data, layout)
        if not self._offsets:
            raise ImageDecodeError(f"the TIFF image is {self._damage}")

    def frame_count(self, rendering: Rendering) -> int:  # noqa: ARG002 (same in all readers)
        """The number of pages.

        Raises:
            ImageDecodeError: the list of pages is damaged; those before the damage can be decoded.
        """
        if self._damage:
            raise ImageDecodeError(f"the TIFF image is {self._damage}")
        return len(self._offsets)

    def check(self, rendering: Rendering) -> None:
        """Check one page; no pixel is decoded.

        Raises:
            ImageDecodeError: the page is missing, or its tags are.
            ImageFormatUnsupported: the page has a kind of samples or a compression that is not read.
            ImageTooLarge: the page or one of its tiles is larger than the limits.
        """
        with damage_of("TIFF", self._max_pixels):
            page = self._page(rendering)
            self._open_with_pillow(page, [])

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode one page, by default the first.

        Returns:
            An image of at most 8 bits per channel: docs/images.md says how deeper values become 8 bits.

        Raises:
            ImageDecodeError, ImageFormatUnsupported, ImageTooLarge: the pixel data is damaged, and as `check`.
        """
        with damage_of("TIFF", self._max_pixels):
            page, segments = self._counted(rendering)
            if page.compression not in compressions.JPEGS or all(map(jpeg.has_end, distinct(segments))):
                return self._decode(page, segments)
            # As for a JPEG file: libjpeg replaces missing data silently, but then not twice by the same.
            if all(map(jpeg.has_all_scans, distinct(segments))):
                plain, noisy = (self._decode(page, _with_end(segments, end)) for end in jpeg.ENDS)
                if are_equal(plain, noisy):
                    return plain
            raise ImageDecodeError("the TIFF image is cut short: a JPEG tile or strip lacks the end of its data")

    def _decode(self, page: Page, segments: list[bytes]) -> Image.Image:
        image = self._open_with_pillow(page, segments)
        if image is None:
            tiff_values.check_segments(page, segments)
            copy = copy_page(self._data, self._layout, page, segments)
            is_ycbcr = tiff_values.has_ycbcr(page, segments)
            return tiff_values.picture(tiff_values.read_values(copy, page), page, is_ycbcr=is_ycbcr)
        image.load()
        if image.mode in _PLAIN_ALPHA:
            return image.convert(_PLAIN_ALPHA[image.mode])
        if not is_deep(image):
            return image
        pixels = scale_picture(image)
        # Pillow inverts images whose zero is white only if they have 8 bits or fewer.
        return Image.fromarray(255 - pixels if page.photometric == WHITE_IS_ZERO else pixels)

    def _counted(self, rendering: Rendering) -> tuple[Page, list[bytes]]:
        """A page to decode, and its tiles or strips. Pages may share both, so that a small file has many large ones."""
        if self._values > MAX_FILE_VALUES or self._bytes > max(MAX_OVERLAP * len(self._data), MAX_FILE_BYTES):
            raise ImageTooLarge(
                "the pages of the TIFF image have together more tiles, strips or bytes than are read for one request; "
                "choose one with params.frame"
            )
        page = self._page(rendering)
        segments = read_segments(self._data, page)
        self._cost.add(tiff_values.check_cost(page, segments))
        with self._lock:
            self._values += sum(map(len, page.directory.numbers.values()))
            self._bytes += bytes_to_read(page, segments)
        return page, segments

    def _page(self, rendering: Rendering) -> Page:
        frame = rendering.frame or 0
        if frame >= len(self._offsets) and self._damage:
            self.frame_count(rendering)
        index = frame_index(frame, len(self._offsets), default=0, source="TIFF image")
        return read_page(read_directory(self._data, self._layout, self._offsets[index]), self._max_pixels)

    def _open_with_pillow(self, page: Page, segments: list[bytes]) -> Image.Image | None:
        """The page's picture; None if it is tifffile's."""
        if read_by_pillow(page, self._layout.order) and all(segments):
            try:
                return Image.open(io.BytesIO(copy_page(self._data, self._layout, page, segments)), formats=("TIFF",))
            except (UnidentifiedImageError, KeyError):
                pass  # a combination that Pillow does not know
        tiff_values.check_support(page)
        return None


def _with_end(segments: list[bytes], end: bytes) -> list[bytes]:
    """JPEG tiles or strips with an end appended. They stay shared, and those that are left out stay empty."""
    whole = {id(segment): segment + end for segment in distinct(segments)}
    return [whole.get(id(segment), segment) for segment in segments]
