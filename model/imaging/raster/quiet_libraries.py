"""Keeps the libraries of raster files from writing about a file: their lines may quote it."""

import ctypes
import logging
from functools import cache

from PIL import _imaging


@cache
def silence_libraries() -> None:
    """Turn off the logs of Pillow and tifffile, and the error handler of libtiff, which writes to standard error.

    Where libtiff is linked into Pillow, its handler cannot be reached and stays.
    """
    for name in ("PIL", "tifffile"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    set_handler = getattr(ctypes.CDLL(_imaging.__file__), "TIFFSetErrorHandler", None)
    if set_handler is not None:
        set_handler(None)
