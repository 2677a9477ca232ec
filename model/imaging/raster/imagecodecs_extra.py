"""The extra `tiff`: imagecodecs, the decoders that Pillow lacks."""

import importlib.util
import sys

EXTRA = "medimageinsight-server[tiff]"


def has_imagecodecs() -> bool:
    """Whether the extra is installed."""
    if "imagecodecs" in sys.modules:
        return sys.modules["imagecodecs"] is not None
    return importlib.util.find_spec("imagecodecs") is not None
