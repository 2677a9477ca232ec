"""What Pillow, tifffile and imagecodecs raise for damaged files, as errors of this package."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, InvalidInput
from model.imaging.limits import too_many_pixels

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
