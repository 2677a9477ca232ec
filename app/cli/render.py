"""The command `render`: pictures of what the image encoder gets of image files."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from app.cli.options.from_settings import read_settings, settings_options
from app.cli.options.preprocessing import picture_options, take_preprocessing
from app.cli.options.shared import FOLDER, example, verbose

MAX_THREADS = 8


@click.command(
    short_help="Write the pictures that the model sees of images.",
    epilog=example(
        "medimageinsight render scan.dcm -o pictures/ --dicom-window lung",
        "medimageinsight render scans/ head.nii.gz -o pictures/ --frames all --axis coronal",
    ),
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=FOLDER, help="Folder for the PNG files")
@click.option("--frames", type=click.Choice(["all"]), help="Show every frame, page or slice")
@picture_options
@click.option("--standardized", is_flag=True, help="Show the picture after the standardisation, a small square JPEG")
@click.option("--overwrite", is_flag=True, help="Replace files that exist; otherwise such pictures are left out")
@verbose
@settings_options("decode_threads", "max_image_pixels")
def render(
    paths: tuple[Path, ...],
    output: Path,
    frames: str | None,
    standardized: bool,
    overwrite: bool,
    verbose: bool,
    **given: Any,
) -> None:
    """Write PNG files that show what the image encoder gets of image files, and of folders of them.

    A PNG file shows one frame after decoding, windowing and conversion to 8 bits, before it is resized to the encoder's
    input. It has the name of its image, in the same subfolder, and no metadata. No model is loaded.

    The exit status is 1 if a picture is missing (the others are written), or if there is no image.
    """
    preprocessing = take_preprocessing(given)
    if preprocessing.rendering.frame is not None and frames:
        raise click.UsageError("--frame and --frames exclude each other")
    settings = read_settings(given)
    from app.cli.inputs import EXIT_SOME_FAILED, find_files, list_left_out
    from model.data.picture_files import PictureOptions, picture_names, write_pictures
    from model.output_file import open_folder

    found = find_files(paths, output=output, verbose=verbose)
    open_folder(output)
    options = PictureOptions(
        settings.max_image_pixels,
        preprocessing.rendering,
        every_frame=frames is not None,
        standardization=preprocessing.standardization if standardized else None,
        overwrite=overwrite,
    )
    names = [output / name for name in picture_names(found.files, paths)]
    threads = settings.decode_threads or min(os.cpu_count() or 1, MAX_THREADS)
    written = list(write_pictures(found.files, names, options, threads=threads, progress=True))
    failed = [(pictures.file, pictures.problem) for pictures in written if pictures.problem]
    list_left_out(failed)
    left_out = len(failed) + len(found.unreadable)
    total = sum(pictures.count for pictures in written)
    click.echo(f"{output}: {total} pictures{f', {left_out} left out' if left_out else ''}", err=True)
    if left_out:
        sys.exit(EXIT_SOME_FAILED)
