"""Pages of a TIFF that Pillow does not read, or reads wrongly: read by tifffile, most of them with imagecodecs."""

import io
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.codestreams import jpeg, jpeg_2000
from model.imaging.raster import embedded_sizes
from model.imaging.raster.depth import by_rows, scale_to_8_bits, upper_8_bits
from model.imaging.raster.imagecodecs_extra import EXTRA, has_imagecodecs
from model.imaging.raster.tiff import compressions
from model.imaging.raster.tiff import directory as tags
from model.imaging.raster.tiff.page import (
    BLACK_IS_ZERO,
    CMYK,
    FLOAT,
    PALETTE,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    Page,
)
from model.imaging.raster.tiff.segments import distinct
from model.imaging.windowing import blocks_of_rows

_WHOLE_BYTES = (8, 16, 32, 64)
# Of 24 bits, libtiff and tifffile disagree about the order of the bytes.
_BITS = {UNSIGNED: (*range(1, 24), *range(25, 33), 64), SIGNED: _WHOLE_BYTES, FLOAT: (16, 32, 64)}
# Decoders of JPEG know no others, and OpenJPEG is wrong from 25 bits on.
_CODEC_BITS = dict.fromkeys(compressions.JPEGS, (8, 12, 16)) | dict.fromkeys(compressions.JPEG_2000, range(1, 17))
_COLOUR_BITS = 16  # deeper colours are scaled, as one cannot know how many of their bits are used
_SIZES = (
    (compressions.JPEGS, embedded_sizes.jpeg_size),
    (compressions.JPEG_2000, embedded_sizes.jpeg_2000_size),
    (compressions.LERC, embedded_sizes.lerc_size),
    (compressions.PNG, embedded_sizes.png_size),
    (compressions.WEBP, embedded_sizes.webp_size),
)
# What makes the picture upright, by its orientation; Pillow does the same for the pages that it reads.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_support(page: Page) -> None:
    """Raise ImageFormatUnsupported if tifffile cannot read a page, with the extra's name if that would help."""
    name = compressions.name(page.compression)
    if page.compression not in compressions.TIFFFILE:
        raise ImageFormatUnsupported(f"the TIFF image has a compression that is not read: {name}")
    if page.bits not in _BITS[page.sample_format]:
        raise ImageFormatUnsupported(
            "the TIFF image has a combination of sample size and sample format that is not read"
        )
    if page.bits not in _CODEC_BITS.get(page.compression, _BITS[page.sample_format]):
        raise ImageFormatUnsupported(f"the TIFF image has a number of bits per sample that is not read in {name}")
    if page.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR):
        raise ImageFormatUnsupported("the TIFF image has a photometric interpretation that is not read")
    if page.photometric == YCBCR and page.compression not in compressions.CODESTREAMS:
        raise ImageFormatUnsupported("the TIFF image has YCbCr samples of this size, which are not read")
    if page.photometric in (PALETTE, CMYK, YCBCR) and page.sample_format != UNSIGNED:
        raise ImageFormatUnsupported(
            "the TIFF image has colours of signed or floating-point samples, which are not read"
        )
    if has_imagecodecs():
        return
    if page.compression != compressions.UNCOMPRESSED:
        raise ImageFormatUnsupported(f"the TIFF image has the compression {name}, which needs {EXTRA} on the server")
    if page.bits not in _WHOLE_BYTES:
        raise ImageFormatUnsupported(f"the TIFF image has samples of parts of bytes, which need {EXTRA} on the server")


def check_segments(page: Page, segments: list[bytes]) -> None:
    """Check the pictures inside the tiles: their own headers must not announce more than the tile.

    Raises:
        ImageDecodeError: a tile is damaged, or larger than the page says.
    """
    name = compressions.name(page.compression)
    size_of = next((sizes for numbers, sizes in _SIZES if page.compression in numbers), None)
    if size_of is None:
        return
    for segment in distinct(segments):
        size = size_of(segment)
        if size is None or (page.compression in compressions.JPEGS and not jpeg.has_end(segment)):
            raise ImageDecodeError(f"the TIFF image has a tile or strip that is no {name} picture, or is cut short")
        if not (0 < size[0] <= page.tile[0] and 0 < size[1] <= page.tile[1]) or _has_too_much(page, segment):
            raise ImageDecodeError(
                f"the TIFF image has a tile or strip whose {name} header contradicts the page's size"
            )
        if page.compression in compressions.JPEG_2000 and jpeg_2000.lacks_tiles(
            embedded_sizes.jpeg_2000_codestream(segment)
        ):
            raise ImageDecodeError("the TIFF image has a tile or strip of JPEG 2000 that lacks some of its own tiles")


def check_cost(page: Page, segments: list[bytes]) -> float:
    """What it costs to decode the tiles of a page, in shares of what one picture may cost. Tiles may share a picture.

    Raises:
        ImageTooLarge: they are JPEGs of too many scans, or JPEG 2000 of too many parts.
    """
    counts = Counter(map(id, segments))
    cost = sum(counts[id(segment)] * _cost_of(page, segment) for segment in distinct(segments))
    if cost > 1:
        what = "tiles, code blocks or packets" if page.compression in compressions.JPEG_2000 else "scans"
        raise ImageTooLarge(
            f"the TIFF image has {compressions.name(page.compression)} pictures of too many {what}; save it with fewer"
        )
    return cost


def _cost_of(page: Page, segment: bytes) -> float:
    if page.compression in compressions.JPEG_2000:
        return jpeg_2000.cost(embedded_sizes.jpeg_2000_codestream(segment))
    frame = jpeg.read_frame(segment) if page.compression in compressions.JPEGS else None
    return 0.0 if frame is None else jpeg.cost(segment, frame)


def _has_too_much(page: Page, segment: bytes) -> bool:
    """Whether a tile has more components or work than the page announces."""
    if page.compression in compressions.JPEG_2000:
        components = embedded_sizes.jpeg_2000_components(segment)
        has_signs = page.sample_format == SIGNED
        return len(components) > max(page.samples, 4) or any(
            one.bits > 8 * (1 + (page.bits > 8)) or one.is_signed != has_signs for one in components
        )
    return page.compression in compressions.LERC and embedded_sizes.lerc_planes(segment) > page.samples


def read_values(copy: bytes, page: Page) -> NDArray[Any]:
    """The samples of a page, from its copy in a file of its own.

    Returns:
        (height, width, samples), of any type of integers or floats.
    """
    import tifffile  # imported only for the pages that need it, because the import takes long

    with tifffile.TiffFile(io.BytesIO(copy)) as file:
        values: NDArray[Any] = file.pages[0].asarray(maxworkers=1, squeeze=False)
    largest = 2**page.bits - 1
    if page.compression in compressions.CODESTREAMS and values.dtype.kind == "u" and values.max(initial=0) > largest:
        raise ImageDecodeError("the TIFF image has values of more bits than its header says")
    shape = (page.planes, page.height, page.width, page.samples_per_plane)
    if values.size != np.prod(shape):
        raise ImageDecodeError("the TIFF image has tiles that contradict its number of samples per pixel")
    return np.moveaxis(values.reshape(shape), 0, 2).reshape(page.height, page.width, page.samples)


def has_ycbcr(page: Page, segments: list[bytes]) -> bool:
    """Whether the decoded samples of a page are YCbCr.

    The decoders of JPEG and WebP give RGB, and so does that of JPEG 2000 if there are fewer samples of colour.
    """
    if page.compression in compressions.JPEG_2000 and any(
        component.is_subsampled for component in embedded_sizes.jpeg_2000_components(segments[0])
    ):
        return False
    if page.compression == compressions.YCBCR_JPEG_2000:
        return True
    return page.photometric == YCBCR and page.compression not in compressions.JPEGS | compressions.WEBP


def picture(values: NDArray[Any], page: Page, *, is_ycbcr: bool) -> Image.Image:
    """The samples as a picture of at most 8 bits per channel, turned as the page's orientation says.

    Samples beyond those of the colours are dropped.

    Args:
        values: (height, width, samples), a result of `read_values`.
        page: the page that they come from.
        is_ycbcr: whether they are YCbCr, a result of `has_ycbcr`.
    """
    turn = _TURNS.get((page.directory.numbers.get(tags.ORIENTATION) or (1,))[0])
    image = _as_stored(values, page, is_ycbcr)
    return image if turn is None else image.transpose(turn)


def _as_stored(values: NDArray[Any], page: Page, is_ycbcr: bool) -> Image.Image:
    if page.photometric == PALETTE:
        return _from_palette(values[..., 0], page)
    if page.photometric == CMYK:
        return Image.fromarray(_colours(values[..., :4], page), "CMYK")
    if page.photometric in (RGB, YCBCR) and page.samples >= 3:
        colours = _colours(values[..., :3], page)
        if is_ycbcr:
            colours = by_rows(colours, lambda rows: np.asarray(Image.fromarray(rows, "YCbCr").convert("RGB")))
        return Image.fromarray(colours)
    grey = np.ascontiguousarray(values[..., 0])
    is_shallow = page.sample_format == UNSIGNED and page.bits <= 8
    pixels = upper_8_bits(grey, page.bits) if is_shallow else scale_to_8_bits(grey)
    return Image.fromarray(255 - pixels if page.photometric == WHITE_IS_ZERO else pixels)


def _colours(values: NDArray[Any], page: Page) -> NDArray[np.uint8]:
    if page.sample_format == UNSIGNED and page.bits <= _COLOUR_BITS:
        return upper_8_bits(values, page.bits)
    if page.sample_format == FLOAT and _is_between_0_and_1(values):
        return by_rows(values, lambda rows: np.rint(rows.astype(np.float32) * 255).astype(np.uint8))
    return scale_to_8_bits(np.ascontiguousarray(values))


def _is_between_0_and_1(values: NDArray[Any]) -> bool:
    blocks = (values[rows] for rows in blocks_of_rows(values))
    return all(block.min() >= 0 and block.max() <= 1 for block in blocks)  # False for NaN


def _from_palette(indices: NDArray[Any], page: Page) -> Image.Image:
    """Colours of a palette (section 5): all reds, all greens, all blues, of 16 bits each."""
    palette = np.array(page.directory.numbers.get(tags.COLOR_MAP, ()), dtype=np.int64) >> 8
    if palette.size < 3 * 2**page.bits or palette.size % 3:
        raise ImageDecodeError("the TIFF image lacks its colour map, or has one that is too short for its indices")
    colours = np.ascontiguousarray(palette.reshape(3, -1).T.astype(np.uint8))
    return Image.fromarray(colours[indices])
