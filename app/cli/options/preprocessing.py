"""Flags that say how image files become the input of the image encoder, in the words of the API's parameters."""

from typing import TYPE_CHECKING, Any, get_args

import click

from app.cli.options.from_settings import Function
from model.imaging.limits import MAX_JPEG_QUALITY, MAX_STANDARDIZATION_SIZE
from model.imaging.rendering import AnyWindow, Axis, Contrast, Rendering, parse_window

if TYPE_CHECKING:
    from model.imaging.preprocessing import Preprocessing

_SIZE, _QUALITY = "image_standardization_image_size", "image_standardization_jpeg_compression_ratio"


def _window(_context: click.Context, _parameter: click.Parameter, given: str | None) -> AnyWindow | None:
    try:
        return None if given is None else parse_window(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_PICTURE = (
    click.option(
        "--frame",
        type=click.IntRange(min=0),
        metavar="INTEGER",
        help="Frame, page or slice, counted from 0; otherwise the first, and of a volume the middle",
    ),
    click.option(
        "--axis",
        type=click.Choice(get_args(Axis)),
        default="axial",
        show_default=True,
        help="Direction across which a NIfTI or NRRD volume is cut into slices",
    ),
    click.option(
        "--dicom-window",
        metavar="WINDOW",
        callback=_window,
        help="Window that replaces the window of a DICOM, NIfTI or NRRD file: CENTER,WIDTH in rescaled values (HU for "
        "CT), the name of a usual CT window, percentile (0.5 to 99.5), or percentiles such as p1-p99",
    ),
    click.option(
        "--contrast",
        type=click.Choice(get_args(Contrast)),
        default="none",
        show_default=True,
        help="Contrast of the 8-bit picture: equalize is a histogram equalisation of each channel",
    ),
    click.option(
        "--image-standardization-image-size",
        _SIZE,
        type=click.IntRange(1, MAX_STANDARDIZATION_SIZE),
        metavar="INTEGER",
        default=512,
        show_default=True,
        help="Width and height of the standardised image, in pixels",
    ),
    click.option(
        "--image-standardization-jpeg-compression-ratio",
        _QUALITY,
        type=click.IntRange(0, MAX_JPEG_QUALITY),
        metavar="INTEGER",
        default=75,
        show_default=True,
        help="JPEG quality of the standardised image; 0 skips the standardisation",
    ),
)
_PLAIN = click.option("--plain", is_flag=True, help="Skip the standardisation, a small square JPEG, of the service")


def picture_options(command: Function) -> Function:
    """Give a command the flags that choose a picture of a file, its window, its contrast and its standardisation."""
    for option in reversed(_PICTURE):
        command = option(command)
    return command


def preprocessing_options(command: Function) -> Function:
    """Give a command the flags of `picture_options`, and --plain, which skips the standardisation."""
    return picture_options(_PLAIN(command))


def take_preprocessing(given: dict[str, Any]) -> "Preprocessing":
    """The preprocessing that a command's flags describe, which are removed from `given`."""
    from model.imaging.preprocessing import Preprocessing, Standardization  # imports numpy

    size, quality, is_plain = given.pop(_SIZE), given.pop(_QUALITY), given.pop("plain", False)
    standardization = None if is_plain or not quality else Standardization(size, quality)
    rendering = Rendering(given.pop("frame"), given.pop("axis"), given.pop("dicom_window"), given.pop("contrast"))
    return Preprocessing(standardization, rendering)
