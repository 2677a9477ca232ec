"""Whatever a library raises for a damaged file ends in an error of this package."""

import struct
import zlib

import imagecodecs
import pytest
import tifffile
from PIL import Image, UnidentifiedImageError

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput
from model.imaging.raster.damage import DAMAGE_ERRORS, damage_of


@pytest.mark.parametrize(
    "error",
    [
        *(UnidentifiedImageError(), OSError(), SyntaxError(), EOFError(), ValueError(), KeyError(), IndexError()),
        *(TypeError(), AttributeError(), OverflowError(), ZeroDivisionError(), RuntimeError()),
        *(struct.error(), zlib.error(), AssertionError(), RecursionError()),
        tifffile.TiffFileError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_library_means_that_the_image_is_damaged(error: Exception) -> None:
    with pytest.raises(ImageDecodeError, match="the TIFF image is damaged or cut short"), damage_of("TIFF", 10):
        raise error


@pytest.mark.parametrize(
    "codec", ["Jpeg8", "Jpeg2k", "Ljpeg", "Webp", "Lerc", "Jpegxl", "Png", "Zstd", "Deflate", "Lzw"]
)
def test_the_errors_of_imagecodecs_are_among_them(codec: str) -> None:
    assert issubclass(getattr(imagecodecs, f"{codec}Error"), DAMAGE_ERRORS)


def test_the_reason_is_named_where_the_library_knows_it() -> None:
    with pytest.raises(ImageDecodeError, match="the GIF image is cut short"), damage_of("GIF", 10):
        raise OSError("image file is truncated (3 bytes not processed)")
    with (
        pytest.raises(ImageFormatUnsupported, match="a combination of features that is not read"),
        damage_of("BMP", 10),
    ):
        raise NotImplementedError
    with pytest.raises(ImageTooLarge, match="more than 10 pixels"), damage_of("PNG", 10):
        raise Image.DecompressionBombError


def test_errors_of_this_package_and_of_the_program_pass() -> None:
    with pytest.raises(InvalidInput, match="as it was"), damage_of("PNG", 10):
        raise InvalidInput("as it was")
    with pytest.raises(KeyboardInterrupt), damage_of("PNG", 10):
        raise KeyboardInterrupt
