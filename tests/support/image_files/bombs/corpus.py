"""All bombs, and the parameters of requests that each of them is sent with."""

from collections.abc import Callable
from itertools import cycle

from app.decoding.framed_file import FramedFile
from model.imaging.images import open_image
from model.imaging.rendering import AS_STORED, Rendering, Window
from tests.support.image_files.bombs.dicom import DICOM_BOMBS
from tests.support.image_files.bombs.raster import RASTER_BOMBS
from tests.support.image_files.bombs.tiff import TIFF_BOMBS
from tests.support.image_files.bombs.volumes import VOLUME_BOMBS

MAX_PIXELS, MAX_FRAMES = 64_000_000, 1024  # defaults of the service

BOMBS_BY_FORMAT = {"DICOM": DICOM_BOMBS, "TIFF": TIFF_BOMBS, **VOLUME_BOMBS, **RASTER_BOMBS}
BOMBS: dict[str, Callable[[], bytes]] = {
    f"{kind}: {name}": make for kind, bombs in BOMBS_BY_FORMAT.items() for name, make in bombs.items()
}
"""Functions that make the files. Some need a second, so that no file is made before a test needs it."""

PARAMETERS = {
    "no parameter": "",
    "frame": "frame=1",
    "frames": "frames=all",
    "axis": "axis=coronal",
    "dicom_window": "dicom_window=40,80",
}
"""Every parameter that chooses or changes a picture, as in the query of a request."""

ENTRIES = {
    f"{kind}: {names[number % len(names)]}, {parameter}": (f"{kind}: {names[number % len(names)]}", parameter)
    for kind, names in ((kind, list(bombs)) for kind, bombs in BOMBS_BY_FORMAT.items())
    for number, parameter in zip(range(max(len(names), len(PARAMETERS))), cycle(PARAMETERS))
}
"""Bombs and parameters: each bomb at least once, and each parameter at least once with each format."""


def _decode_every_frame(data: bytes) -> None:
    file = open_image(data, max_pixels=MAX_PIXELS)
    count = file.frame_count(AS_STORED)
    frames = FramedFile(count)
    for number in range(count if count <= MAX_FRAMES else 0):
        frames.check_decoded()
        picture = file.decode(Rendering(frame=number))
        frames.add_decoded(picture.width * picture.height)


_RENDERINGS = {
    "frame": Rendering(frame=1),
    "axis": Rendering(axis="coronal"),
    "dicom_window": Rendering(window=Window(40, 80)),
}


def decode_with(parameter: str, data: bytes) -> None:
    """Do what the service does with an image and one of `PARAMETERS`, without the service.

    Raises:
        InvalidInput: the file is refused.
    """
    if parameter == "frames":
        _decode_every_frame(data)
    else:
        open_image(data, max_pixels=MAX_PIXELS).decode(_RENDERINGS.get(parameter, AS_STORED))
