"""One page of a TIFF file: what its tags say, checked against each other and against the limits."""

import math
from dataclasses import dataclass

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.limits import check_decoded_bytes, too_many_pixels
from model.imaging.raster.tiff import directory as tags
from model.imaging.raster.tiff.compressions import JPEG_2000, OLD_STYLE_JPEG, WITHOUT_PREDICTOR, name
from model.imaging.raster.tiff.directory import Directory

UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4  # SampleFormat
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8  # PhotometricInterpretation
MAX_SAMPLES = 512  # per pixel; hyperspectral pictures have 224
MAX_SEGMENTS = 100_000  # tiles or strips of one page
_MAX_SIDE = 2**31 - 1


@dataclass(frozen=True)
class Page:
    """The pixels of one page. The names are those of TIFF 6.0; absent tags have their default."""

    directory: Directory
    width: int
    height: int
    bits: int  # per sample
    sample_format: int
    samples: int  # per pixel
    compression: int
    photometric: int
    is_planar: bool
    predictor: int
    subsampling: tuple[int, int]
    tile: tuple[int, int]  # width and height of one tile, or of one strip
    is_tiled: bool

    @property
    def rows(self) -> int:
        """The number of strips, or rows of tiles, in one plane."""
        return math.ceil(self.height / self.tile[1])

    @property
    def columns(self) -> int:
        """The number of tiles in one row; 1 for strips."""
        return math.ceil(self.width / self.tile[0])

    @property
    def planes(self) -> int:
        """The number of planes; 1 if the samples of a pixel lie together."""
        return self.samples if self.is_planar else 1

    @property
    def samples_per_plane(self) -> int:
        """The number of samples of a pixel that lie together."""
        return 1 if self.is_planar else self.samples

    @property
    def segments(self) -> int:
        """The number of tiles or strips."""
        return self.rows * self.columns * self.planes

    @property
    def row_bytes(self) -> int:
        """The bytes of one row of a tile or strip: rows begin at whole bytes."""
        return (self.tile[0] * self.samples_per_plane * self.bits + 7) // 8


def read_page(directory: Directory, max_pixels: int) -> Page:
    """Check what the tags of a page say.

    Raises:
        ImageDecodeError: a needed tag is missing or contradicts another.
        ImageFormatUnsupported: samples of different sizes or kinds, or several slices in one page.
        ImageTooLarge: the page or one of its tiles has more than `max_pixels`, or the page too many bytes or tiles.
    """
    width, height = (_side(directory, tag, what) for tag, what in ((256, "width"), (257, "height")))
    samples = _samples(directory)
    tile, is_tiled = _tile(directory, width, height)
    if max(width * height, tile[0] * tile[1]) > max_pixels:
        raise too_many_pixels(max_pixels)
    if _number(directory, tags.IMAGE_DEPTH, 1) != 1:
        raise ImageFormatUnsupported("the TIFF image has several slices in one page; send one page per slice")
    vertical = directory.numbers.get(tags.YCBCR_SUBSAMPLING) or (2, 2)
    page = Page(
        directory,
        width,
        height,
        bits=_shared(directory, tags.BITS_PER_SAMPLE, samples, default=_default_bits(directory), what="sizes"),
        sample_format=_sample_format(directory, samples),
        samples=samples,
        compression=_number(directory, tags.COMPRESSION, 1),
        photometric=_photometric(directory, samples),
        is_planar=_number(directory, tags.PLANAR_CONFIGURATION, 1) == 2 and samples > 1,
        predictor=_number(directory, tags.PREDICTOR, 1),
        subsampling=(vertical[0], vertical[-1]),
        tile=tile,
        is_tiled=is_tiled,
    )
    if page.predictor != 1 and page.compression in WITHOUT_PREDICTOR:
        raise ImageFormatUnsupported(f"the TIFF image has a predictor, which {name(page.compression)} does not have")
    if page.segments > MAX_SEGMENTS:
        raise ImageTooLarge(f"the TIFF image has more than {MAX_SEGMENTS:,} tiles or strips in one page")
    decoded_bytes = page.rows * page.columns * tile[1] * page.row_bytes * page.planes
    # OpenJPEG holds 32 bits for each sample.
    check_decoded_bytes(decoded_bytes * (4 if page.compression in JPEG_2000 else 1), max_pixels)
    return page


def _number(directory: Directory, tag: int, default: int) -> int:
    return (directory.numbers.get(tag) or (default,))[0]


def _side(directory: Directory, tag: int, what: str) -> int:
    side = _number(directory, tag, 0)
    if not 0 < side <= _MAX_SIDE:
        raise ImageDecodeError(f"the TIFF image lacks its {what}, which must be above 0")
    return side


def _is_old_jpeg(directory: Directory) -> bool:
    return _number(directory, tags.COMPRESSION, 1) == OLD_STYLE_JPEG


def _default_bits(directory: Directory) -> int:
    return 8 if _is_old_jpeg(directory) else 1


def _samples(directory: Directory) -> int:
    photometric = _number(directory, tags.PHOTOMETRIC, WHITE_IS_ZERO)
    default = 3 if _is_old_jpeg(directory) and photometric in (RGB, YCBCR) else 1
    samples = _number(directory, tags.SAMPLES_PER_PIXEL, default)
    if not 0 < samples <= MAX_SAMPLES:
        raise ImageDecodeError(f"the TIFF image must have 1 to {MAX_SAMPLES} samples per pixel")
    needed = {RGB: 3, YCBCR: 1, CIELAB: 3, CMYK: 4}.get(photometric, 1)
    if samples < needed:
        raise ImageDecodeError(f"the TIFF image has too few samples per pixel: its colours need {needed}")
    return samples


def _photometric(directory: Directory, samples: int) -> int:
    default = RGB if samples > 2 else WHITE_IS_ZERO
    return YCBCR if _is_old_jpeg(directory) else _number(directory, tags.PHOTOMETRIC, default)


def _shared(directory: Directory, tag: int, samples: int, *, default: int, what: str) -> int:
    """The value that all samples of a pixel share. Surplus values are ignored, as by Pillow and tifffile."""
    values = set((directory.numbers.get(tag) or (default,))[:samples])
    if len(values) > 1:
        raise ImageFormatUnsupported(f"the TIFF image has samples of different {what} in one pixel, which is not read")
    return values.pop()


def _sample_format(directory: Directory, samples: int) -> int:
    found = _shared(directory, tags.SAMPLE_FORMAT, samples, default=UNSIGNED, what="formats")
    if found not in (UNSIGNED, SIGNED, FLOAT, UNDEFINED):
        raise ImageFormatUnsupported("the TIFF image has complex numbers or an unknown sample format")
    return UNSIGNED if found == UNDEFINED else found


def _tile(directory: Directory, width: int, height: int) -> tuple[tuple[int, int], bool]:
    """Width and height of one tile or strip, and whether the page has tiles."""
    if directory.numbers.get(tags.TILE_OFFSETS) or directory.numbers.get(tags.TILE_WIDTH):
        sides = (_side(directory, tags.TILE_WIDTH, "tile width"), _side(directory, tags.TILE_LENGTH, "tile height"))
        return sides, True
    rows = _number(directory, tags.ROWS_PER_STRIP, height) or height
    return (width, min(rows, height)), False
