"""What Pillow, tifffile and imagecodecs raise for damaged files, as errors of this package."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, InvalidInput
from model.imaging.limits import too_many_pixels

_STRIP_ROWS = 64
# The errors of imagecodecs are RuntimeErrors, and those of tifffile are ValueErrors.
DAMAGE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    AssertionError,
)


def are_equal(first: Image.Image, second: Image.Image) -> bool:
    """Whether two pictures of the same size have the same pixels. They are compared by strips, and never copied."""
    boxes = [(0, top, first.width, min(top + _STRIP_ROWS, first.height)) for top in range(0, first.height, _STRIP_ROWS)]
    return all(first.crop(box).tobytes() == second.crop(box).tobytes() for box in boxes)


@contextmanager
def damage_of(kind: str, max_pixels: int) -> Iterator[None]:
    """Raise ImageDecodeError where a library finds that an image is damaged.

    Args:
        kind: name of the format in the error message.
        max_pixels: limit for one picture, in the error message.
    """
    try:
        yield
    except InvalidInput:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many_pixels(max_pixels) from error
    except DAMAGE_ERRORS as error:
        if isinstance(error, NotImplementedError) or "unsupported" in str(error).lower():
            reason = "has a combination of features that is not read"
            raise ImageFormatUnsupported(f"the {kind} image {reason}") from error
        reason = (
            "cut short: the end of its data is missing" if "truncated" in str(error).lower() else "damaged or cut short"
        )
        raise ImageDecodeError(f"the {kind} image is {reason}") from error
